"""Noise-based reward-modulated learning (NRL). Garcia Fernandez et al. 2025, https://arxiv.org/abs/2503.23972.

One noisy pass, and no other. The reward of a sample is R = -loss; with nu the own noise of all N nodes in that pass::

    RPE = (R - Rbar) / |Rbar|                        reward prediction error
    eligibility_l = N nu_l x_{l-1}^T / |nu|^2        summed over the reads: a recurrent layer's over its time steps
    g_l = - mean over samples of RPE eligibility_l

Rbar is the running mean of past rewards. Its size, rather than that of the reward at hand, scales the error: that one
depends on nu, and would turn the expected step away from the gradient. As it is, the expectation is the gradient of the
loss divided by |Rbar|, to first order and for noise of one size in all nodes.

The noise of a node is what it shows beyond ``x W + b`` with the host's W. The rewards of different samples differ by
far more than noise makes of one, so it needs many samples a step: it wins where one pass is all there is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from hwzo.estimate.nodes_passes import own_noise
from hwzo.explore.evidence import Nodes
from hwzo.methods.anp import TINY, activity_gradient
from hwzo.methods.method import Start, State
from hwzo.methods.node_learning import NodeLearning, learning
from hwzo.methods.settings import Settings
from hwzo.network import Network
from hwzo.parameters import Array
from hwzo.probes import Batch

DEFAULTS = Settings(probes=1, update="adam", rate=0.003, schedule="linear")

MEMORY = 0.9
"""Share of the running mean that is kept a step."""


@dataclass(frozen=True)
class RewardModulation:
    """See the module; it remembers the mean reward.

    Args:
        network: what the nodes are.
        memory: share of the running mean that is kept a step.
    """

    network: Network
    memory: float = MEMORY

    def begin(self) -> State:
        """No reward yet, which NaN says."""
        return {"reward": np.full(1, np.nan)}

    def gradient(self, state: State, theta: Array, nodes: Nodes, batch: Batch) -> tuple[State, Array]:
        """See `NodeRule`."""
        rewards = -nodes.sample_losses
        mean = float(np.add.reduce(rewards, axis=None)) / rewards.size
        before = float(state["reward"][0])
        expected = mean if math.isnan(before) else before
        layers = own_noise(self.network, theta, nodes.inputs, nodes.activities)
        learned = {"reward": np.array([self.memory * expected + (1.0 - self.memory) * mean])}
        # All nodes, also those that a pool passed over: in a single pass the others are those whose noise was high.
        layers = [layer if layer.heard is None else replace(layer, heard=None) for layer in layers]
        return learned, activity_gradient(self.network, layers, (expected - rewards) / max(abs(expected), TINY))


def build(settings: Settings, start: Start) -> NodeLearning:
    """The method, on a layered device with noisy nodes that reads them back."""
    reason = "one noisy pass a step: the nodes' own noise explores, rewards are compared with the mean of past ones"
    takes = ("update", "rate", "schedule")
    return learning("nrl", settings, DEFAULTS, start, RewardModulation, reason, takes=takes, least=1)
