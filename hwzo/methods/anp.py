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

from hwzo.estimate.nodes_passes import LayerPasses, activity_changes, credit, heard_nodes
from hwzo.explore.evidence import Nodes
from hwzo.methods.method import Start, State
from hwzo.methods.node_learning import NodeLearning, learning
from hwzo.methods.settings import Settings
from hwzo.network import Network
from hwzo.parameters import Array
from hwzo.probes import Batch

TINY = 1e-150
"""Instead of 0 to divide by; what is divided by it twice is finite still."""
DEFAULTS = Settings(probes=2, update="adam", rate=0.01, schedule="linear")


def activity_gradient(network: Network, layers: Sequence[LayerPasses], above: Array) -> Array:
    """The module's g, (n_params,), of the mean loss.

    Args:
        network: what the nodes are.
        layers: what they did in R passes.
        above: (R, batch), how much more loss each pass had than was expected.
    """
    energy = layers[0].energy
    for layer in layers[1:]:
        energy += layer.energy
    moved: Array = np.maximum(np.add.reduce(energy), TINY)  # a sample each; where it is 0, so is what is credited
    modulation = above * (heard_nodes(layers) / moved / above.shape[1])
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
        losses = nodes.sample_losses
        return {}, activity_gradient(self.network, layers, losses - losses.mean(axis=0))


def build(settings: Settings, start: Start) -> NodeLearning:
    """The method, on a layered device with noisy nodes that reads them back."""
    reason = "{passes} noisy passes; how activities differ between them is the exploration, whatever it comes from"
    return learning("anp", settings, DEFAULTS, start, ActivityPerturbation, reason)
