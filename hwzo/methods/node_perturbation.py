"""Node perturbation by the nodes' own noise. After Dalm et al., https://arxiv.org/abs/2310.00965.

For layer l with own noise nu_l of variance v_l, and L the loss of a sample::

    g_l = (L - baseline) nu_l x_{l-1}^T / v_l            mean over the samples

The noise of one layer's nodes changes the next layer's input too; that part is known to the host, which has the
activities and its own weights, and is taken off, or it drowns the deeper layers' signal.

======  ================================  ==========================================================================
passes  the baseline is                   and so
======  ================================  ==========================================================================
2       the mean of both noisy passes     nothing is clean; what the device's weights deviate by cancels; the default
R > 2   the mean of all of them           less noise a step, and R - 1 comparisons for R readings
1       the host's own clean pass         half the readings; but what the device's weights deviate by is taken for
                                          noise, and has to be small beside it
======  ================================  ==========================================================================

Node perturbation and its learning curves: Werfel, Xie and Seung, Neural Computation 17, 2699 (2005).
"""

from __future__ import annotations

from dataclasses import dataclass

from hwzo.estimate.nodes import node_gradient
from hwzo.estimate.nodes_passes import credit, own_noise
from hwzo.explore.evidence import Nodes
from hwzo.methods.method import Start, State
from hwzo.methods.node_learning import NodeLearning, learning
from hwzo.methods.settings import Settings
from hwzo.network import Network, sample_losses
from hwzo.parameters import Array
from hwzo.probes import Batch

DEFAULTS = Settings(probes=2, update="adam", rate=0.01, schedule="linear")


@dataclass(frozen=True)
class NodePerturbation:
    """See the module, for any number of passes; it remembers nothing."""

    network: Network

    def begin(self) -> State:
        """Nothing."""
        return {}

    def gradient(self, state: State, theta: Array, nodes: Nodes, batch: Batch) -> tuple[State, Array]:
        """See `NodeRule`."""
        losses = nodes.sample_losses
        passes, samples = losses.shape
        if passes == 2:  # the same, a third faster
            return {}, node_gradient(self.network, theta, nodes.inputs, nodes.activities, losses)[0]
        layers = own_noise(self.network, theta, nodes.inputs, nodes.activities)
        if passes == 1:
            baseline = sample_losses(self.network.forward(theta, nodes.inputs)[-1], batch.targets, batch.loss)
        else:
            baseline = losses.mean(axis=0)
        above = (losses - baseline) / (max(1, passes - 1) * samples)
        return {}, credit(self.network, layers, [above / layer.variance for layer in layers])


def build(settings: Settings, start: Start) -> NodeLearning:
    """The method, on a layered device with noisy nodes that reads them back."""
    match settings.probes:
        case None | 2:
            reason = "nodes are noisy and read back: two noisy passes explore every node at once"
        case 1:
            reason = "one noisy pass a step: the nodes' own noise explores, beside the host's own clean pass"
        case _:
            reason = "{passes} noisy passes a step: the nodes' own noise explores, losses are compared with their mean"
    return learning("node-perturbation", settings, DEFAULTS, start, NodePerturbation, reason, least=1)
