"""Activity-based node perturbation, all passes noisy. Dalm et al. 2023, https://arxiv.org/abs/2310.00965.

For two passes over a sample, with da the activity difference of all N nodes and dL the loss difference::

    g_l = N dL da_l x_{l-1}^T / |da|^2            mean over the samples

Neither the noise nor the weights need to be known, only activities. The price: what a layer's inputs passed on counts
as its own doing. To first order g_l is then made from ``(I + sum_{k<l} J_lk J_lk^T)`` times the derivative by the
layer's activities, up to one scale for all layers, with J_lk the Jacobian of layer l's activities by layer k's: biased,
but never uphill by the activities. With R passes (``probes``) differences are taken from their mean. For recurrent
layers N counts the units at every time step, as in https://arxiv.org/abs/2405.08967.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hwzo.errors import ConfigError
from hwzo.estimate.nodes_passes import LayerPasses, activity_changes, credit, heard_nodes
from hwzo.explore.evidence import Nodes
from hwzo.methods.method import Start, State
from hwzo.methods.node_learning import NodeLearning, noisy_network
from hwzo.methods.settings import Settings
from hwzo.methods.weight_perturbation import rate_of
from hwzo.network import Network
from hwzo.parameters import Array
from hwzo.probes import Batch
from hwzo.update import UPDATES

DEFAULTS = Settings(probes=2, update="adam", rate=0.01, schedule="linear")
TAKES = ("probes", "update", "rate", "schedule")


def activity_gradient(network: Network, layers: Sequence[LayerPasses], losses: Array) -> Array:
    """The module's g, (n_params,), of the mean loss.

    Args:
        network: what the nodes are.
        layers: from `activity_changes`, R > 1 passes.
        losses: (R, batch).
    """
    moved = np.sum([layer.energy for layer in layers], axis=0).sum(axis=0)  # a sample each
    still = moved == 0.0  # nothing moved, nothing learnt
    scale = heard_nodes(layers) / np.where(still, 1.0, moved) / losses.shape[1]
    modulation = (losses - losses.mean(axis=0)) * np.where(still, 0.0, scale)
    return credit(network, layers, [modulation] * len(layers))


@dataclass(frozen=True)
class ActivityPerturbation:
    """See the module; it remembers nothing."""

    network: Network

    def begin(self) -> State:
        """Nothing."""
        return {}

    def gradient(self, state: State, theta: Array, nodes: Nodes, batch: Batch) -> tuple[State, Array]:
        """See `NodeRule`."""
        layers = activity_changes(self.network, nodes.inputs, nodes.activities)
        return {}, activity_gradient(self.network, layers, nodes.sample_losses)


def build(settings: Settings, start: Start) -> NodeLearning:
    """The method, on a layered device with noisy nodes that reads them back."""
    start.settings = chosen = settings.only("anp", TAKES).over(DEFAULTS)
    network, passes = noisy_network(start, "anp"), at_least_two("anp", chosen)
    reason = f"{passes} noisy passes; how activities differ between them is the exploration, whatever it comes from"
    return NodeLearning(
        ActivityPerturbation(network),
        passes,
        UPDATES[chosen.update or "adam"],
        rate_of(chosen),
        start.device.parameters,
        reason,
    )


def at_least_two(method: str, chosen: Settings) -> int:
    """Passes a step.

    Raises:
        ConfigError: one pass has nothing to be compared with.
    """
    passes = chosen.probes or 2
    if passes < 2:
        raise ConfigError(
            f"probes = {passes}: method {method!r} compares noisy passes over the same samples and needs at least 2; "
            "'node-perturbation' can do with 1",
            key="probes",
        )
    return passes
