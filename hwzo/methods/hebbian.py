"""Reward-modulated Hebbian learning. Hoerzer, Legenstein, Maass, Cereb. Cortex 24, 677 (2014), https://doi.org/10.1093/cercor/bhs348.

Every synapse knows its input x, its node's activity a and its short-time mean abar, and one bit for the whole network::

    dW = rate M x^T (a - abar),      M = 1 if the reward is above its short-time mean, else 0

The short time here is that of R noisy passes over one sample (``probes``), held at the input: abar and the mean reward,
R = -loss, are those of its passes. Nothing is known of weights, noise or the loss's size.

For small noise the expected step of one sample is the steepest one by the activities, but of the same length for every
sample: with noise of sd s and two passes, ``- rate s delta / (2 sqrt(pi) |delta|)`` with delta the derivative by the
activities (and what deeper layers add to them, see `hwzo.methods.anp`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hwzo.estimate.nodes_passes import activity_changes, credit
from hwzo.explore.evidence import Nodes
from hwzo.methods.method import Start, State
from hwzo.methods.node_learning import NodeLearning, learning
from hwzo.methods.settings import Settings
from hwzo.network import Network
from hwzo.parameters import Array
from hwzo.probes import Batch

DEFAULTS = Settings(probes=2, update="adam", rate=0.01, schedule="linear")


@dataclass(frozen=True)
class RewardedHebb:
    """See the module; it remembers nothing beyond a step."""

    network: Network

    def begin(self) -> State:
        """Nothing."""
        return {}

    def gradient(self, state: State, theta: Array, nodes: Nodes, batch: Batch) -> tuple[State, Array]:
        """See `NodeRule`: the mean of -dW / rate over samples and passes."""
        rewards = -nodes.sample_losses
        modulation = np.where(rewards > rewards.mean(axis=0), -1.0 / rewards.size, 0.0)
        layers = activity_changes(self.network, nodes.inputs, nodes.activities)
        return {}, credit(self.network, layers, [modulation] * len(layers))


def build(settings: Settings, start: Start) -> NodeLearning:
    """The method, on a layered device with noisy nodes that reads them back."""
    reason = "{passes} noisy passes: what nodes did in those with more reward than the mean is made more likely"
    return learning("hebbian", settings, DEFAULTS, start, RewardedHebb, reason)
