"""Forward gradient, a host-side reference. Baydin et al. 2022, https://arxiv.org/abs/2202.08587.

``g = (dL/dtheta . v) v`` for a random v ~ N(0, I): one derivative along one direction, computed exactly on the way
forward, without a backward pass. Its mean over v is the gradient; ``probes`` directions are averaged. It is what weight
perturbation would be with an infinitely small probe and no noise.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from hwzo.directions import Directions
from hwzo.methods.host_reference import HostReference, known_network
from hwzo.methods.method import Start, State
from hwzo.methods.settings import Settings, known
from hwzo.methods.weight_perturbation import rate_of, update_of
from hwzo.network import ACTIVATIONS, Network, output_gradient, sample_losses
from hwzo.parameters import Array
from hwzo.probes import Batch
from hwzo.stages import Convolution, Stage

DEFAULTS = Settings(probes=1, update="normalised-momentum", rate=0.01, schedule="linear")
TAKES = ("probes", "update", "rate", "schedule")


def pushed_forward(network: Network, theta: Array, direction: Array, inputs: Array) -> tuple[Array, Array]:
    """Outputs (batch, n_outputs), and their derivative along a direction in parameter space, likewise.

    Forward-mode differentiation: every stage is run on pairs (value, derivative), stacked on a leading axis of 2.

    Args:
        network: what to compute.
        theta, direction: (n_params,).
        inputs: (batch, network.layers[0]).
    """
    activate, slope = ACTIVATIONS[network.activation]

    def along(a: Array) -> Array:
        x = activate(a[0])
        return np.stack([x, slope(x) * a[1]])

    x = np.stack([inputs, np.zeros_like(inputs)])
    nodes = x
    blocks = zip(network.stages, network.blocks(theta), network.blocks(direction), strict=True)
    for index, (stage, block, moved) in enumerate(blocks):

        def read(driven: Array, block: Array = block, moved: Array = moved) -> Array:
            value = driven[0] @ block[:-1] + block[-1]
            return np.stack([value, driven[1] @ block[:-1] + driven[0] @ moved[:-1] + moved[-1]])

        nodes = stage.run(x, read, along)
        if index + 1 < len(network.stages):
            x = _passed(stage, nodes, network)
    return nodes[0], nodes[1]


def _passed(stage: Stage, nodes: Array, network: Network) -> Array:
    """What a pair of (value, derivative) becomes as the next stage's input."""
    activate, slope = ACTIVATIONS[network.activation]
    if isinstance(stage, Convolution) and stage.pool > 1:
        # A pool is linear in what it heard: those that were the largest, which share alike where they are several.
        heard = stage.heard(nodes[0], activate)
        means = replace(stage, pooling="a")
        moved: Array = slope(activate(nodes[0])) * nodes[1] * heard
        share = means.passed(np.asarray(heard, dtype=np.float64), _same)
        return np.stack([stage.passed(nodes[0], activate), means.passed(moved, _same) / share])
    return stage.passed(nodes, lambda a: np.stack([(x := activate(a[0])), slope(x) * a[1]]))


def _same(a: Array) -> Array:
    return a


@dataclass(frozen=True)
class ForwardGradient:
    """See the module.

    Args:
        network: what to compute.
        directions: the law of v and the run's key.
        probes: directions a step.
    """

    network: Network
    directions: Directions
    probes: int

    def begin(self, n_params: int) -> State:
        """Nothing."""
        return {}

    def descent(self, state: State, theta: Array, batch: Batch, t: int) -> tuple[State, float, Array]:
        """See `HostRule`."""
        gradient = np.zeros_like(theta)
        loss = 0.0
        for direction in self.directions.at(t, np.arange(self.probes)):
            outputs, moved = pushed_forward(self.network, theta, direction, batch.inputs)
            loss = float(sample_losses(outputs, batch.targets, batch.loss).mean())
            change = float(np.vdot(output_gradient(outputs, batch.targets, batch.loss), moved)) / len(batch)
            gradient += change / self.probes * direction
        return {}, loss, gradient


def build(settings: Settings, start: Start) -> HostReference:
    """The reference, for a device that is a layered network."""
    start.settings = chosen = settings.only("forward-gradient", TAKES).over(DEFAULTS)
    network, parameters = known_network(start, "forward-gradient"), start.device.parameters
    return HostReference(
        ForwardGradient(network, Directions("gaussian", parameters, start.key), known(chosen.probes)),
        update_of(chosen),
        rate_of(chosen),
        parameters,
        "host-side reference: derivatives along random directions are computed in float64, the device is only "
        "written to",
    )
