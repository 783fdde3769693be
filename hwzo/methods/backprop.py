"""Backpropagation on the host. Rumelhart, Hinton and Williams, Nature 323, 533 (1986), https://doi.org/10.1038/323533a0.

A reference on the host's own float64 copy of the network, not a way to train a chip: the gradient never sees the
device; the steps are written to it and accuracies are read on it, like any method's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hwzo.device import Device, Update
from hwzo.errors import CapabilityError
from hwzo.explore.evidence import Evidence
from hwzo.methods.method import Outcome, Record, Start, State
from hwzo.methods.serving import instead
from hwzo.methods.settings import Exploration, Settings
from hwzo.methods.weight_perturbation import rate_of
from hwzo.network import Network
from hwzo.parameters import Array
from hwzo.probes import Batch
from hwzo.update import UPDATES, UpdateRule

DEFAULTS = Settings(update="adam", rate=0.01, schedule="linear")


@dataclass(frozen=True)
class Backprop:
    """See the module."""

    network: Network
    update: UpdateRule
    rate: Callable[[int, float], float]
    clip: Callable[[Array], Array]
    exploration: Exploration = "none"
    reason: str = "host-side reference: the gradient is computed in float64, the device is only written to"
    evaluations: int = 1
    regenerable: bool = False

    def begin(self, n_params: int) -> State:
        """State of the update rule."""
        return self.update.init(n_params)

    def step(self, device: Device, theta: Array, state: State, batch: Batch, t: int, progress: float) -> Outcome:
        """One step, see `Method`."""
        loss, exact = self.network.gradient(theta, batch.inputs, batch.targets, batch.loss)
        evidence = Evidence(np.array([loss]), np.zeros(1, dtype=np.int64), np.zeros(1))
        gradient, rate = exact.astype(np.float32), self.rate(t, progress)
        target, state = self._stepped(theta, state, gradient, rate)
        device.apply(Update(target, target - theta, t))
        return Outcome(target, state, evidence, rate, gradient)

    def replay(self, theta: Array, state: State, record: Record) -> tuple[Array, State]:
        """A recorded step again, see `Method`."""
        if record.gradient is None:
            raise CapabilityError(f"step {record.t}: no gradient was kept; rerun it on the emulated device")
        return self._stepped(theta, state, record.gradient, record.rate)

    def _stepped(self, theta: Array, state: State, gradient: np.ndarray, rate: float) -> tuple[Array, State]:
        state, step = self.update.step(state, gradient.astype(np.float64), rate)
        return self.clip(theta + step), state


def build(settings: Settings, start: Start) -> Backprop:
    """The reference, for a device that is a layered network."""
    start.settings = chosen = settings.only("backprop", ("update", "rate", "schedule")).over(DEFAULTS)
    network = start.device.capabilities.network
    if network is None:
        raise CapabilityError(
            f"{start.device.info} is not a layered network, so there is nothing to backpropagate through; "
            f"{instead(start.device)}"
        )
    return Backprop(network, UPDATES[chosen.update or "adam"], rate_of(chosen), start.device.parameters.clip)
