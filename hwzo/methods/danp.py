"""Decorrelated activity node perturbation (DANP). Dalm et al. 2023, https://arxiv.org/abs/2310.00965.

Each layer's inputs are decorrelated by a matrix of its own, x* = R x, learned from the inputs by `decorrelated`; then
activity node perturbation on x*. The device goes on computing x W: R enters as a preconditioner of W's gradient, see
`preconditioned`. That is the paper's learning, except that W stays what it is while R changes.

Adam's step size for each parameter would undo the preconditioning in part: the default is one step size for all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field

from hwzo.errors import ConfigError
from hwzo.estimate.nodes_decorrelation import decorrelated, preconditioned
from hwzo.estimate.nodes_passes import LayerPasses, activity_changes
from hwzo.explore.evidence import Nodes
from hwzo.methods.anp import activity_gradient
from hwzo.methods.method import Start, State
from hwzo.methods.node_learning import NodeLearning, learning
from hwzo.methods.options import Options
from hwzo.methods.settings import Settings
from hwzo.network import Network
from hwzo.parameters import Array
from hwzo.probes import Batch

DEFAULTS = Settings(probes=2, update="normalised-momentum", rate=0.01, schedule="linear")

ROWS = 64
"""Inputs a step that decorrelation learns from: it is far from its noise floor with few."""
MOST_INPUTS = 4096
"""Rows of a layer above which R, rows x rows, would be no matrix to keep: 134 MB."""


class DanpOptions(Options):
    """Of decorrelated activity node perturbation.

    Args:
        decorrelation: rate of the decorrelation rule, 0 to 1; 0 leaves the inputs as they are.
    """

    decorrelation: Annotated[float, Field(ge=0, lt=1)] = 0.02


@dataclass(frozen=True)
class DecorrelatedPerturbation:
    """See the module; it remembers a matrix R a layer.

    Args:
        network: what the nodes are.
        decorrelation: rate of the decorrelation rule.
    """

    network: Network
    decorrelation: float

    def begin(self) -> State:
        """Each R the identity."""
        return {f"decorrelation.{index}": np.eye(stage.rows) for index, stage in enumerate(self.network.stages)}

    def gradient(self, state: State, theta: Array, nodes: Nodes, batch: Batch) -> tuple[State, Array]:
        """See `NodeRule`."""
        layers = activity_changes(self.network, nodes.inputs, nodes.activities)
        losses = nodes.sample_losses
        gradient = activity_gradient(self.network, layers, losses - losses.mean(axis=0))
        learned: State = {}
        for index, (layer, slot) in enumerate(zip(layers, self.network.blocks(gradient), strict=True)):
            name = f"decorrelation.{index}"
            learned[name] = decorrelated(state[name], _some(layer), self.decorrelation)
            slot[:-1] = preconditioned(state[name], slot[:-1])  # of the R that its inputs were decorrelated by
        return learned, gradient


def _some(layer: LayerPasses) -> Array:
    """At most `ROWS` of a layer's inputs in its first pass, spread over samples and reads."""
    driven: Array = layer.driven[0]
    return driven[:: -(-len(driven) // ROWS)]


def build(settings: Settings, start: Start, options: DanpOptions | None = None) -> NodeLearning:
    """The method, on a layered device with noisy nodes that reads them back."""
    decorrelation = (options or DanpOptions()).decorrelation
    reason = "{passes} noisy passes; activity differences are the exploration, each layer's inputs are decorrelated"
    return learning("danp", settings, DEFAULTS, start, lambda network: _rule(network, decorrelation), reason)


def _rule(network: Network, decorrelation: float) -> DecorrelatedPerturbation:
    widest = max(stage.rows for stage in network.stages)
    if widest > MOST_INPUTS:
        raise ConfigError(
            f"method 'danp' keeps a matrix of inputs x inputs a layer; {network.label} has a layer of {widest} inputs, "
            f"and {MOST_INPUTS} are the most; 'anp' needs none",
            key="layers",
        )
    return DecorrelatedPerturbation(network, decorrelation)
