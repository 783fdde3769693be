"""Learning on the host's own float64 copy of the network: references beside which a device's learning is judged.

The gradient never sees the device; the steps are written to it and accuracies are read on it, like any method's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from hwzo.device import Device, Update
from hwzo.errors import CapabilityError
from hwzo.explore.evidence import Evidence
from hwzo.methods.composition import Rate
from hwzo.methods.method import Outcome, Record, Start, State, kept_gradient, stepped
from hwzo.methods.serving import instead
from hwzo.methods.settings import Exploration
from hwzo.network import Network
from hwzo.parameters import Array, ParameterSpec
from hwzo.probes import Batch
from hwzo.update import UpdateRule


class HostRule(Protocol):
    """Makes what stands for a gradient, by computation alone."""

    def begin(self, n_params: int) -> State:
        """What it remembers before the first step; names that no update rule uses."""
        ...

    def descent(self, state: State, theta: Array, batch: Batch, t: int) -> tuple[State, float, Array]:
        """What it remembers afterwards, the batch's mean loss, and what to go against, (n_params,)."""
        ...


@dataclass(frozen=True)
class HostReference:
    """A rule and an update; each step counts as one evaluation. See `Method`.

    Args:
        rule: makes what to go against.
        update: (state, gradient, rate) -> (state, step).
        rate: (t, progress) -> learning rate.
        parameters: of the device, whose bounds the targets keep to.
        reason: what is computed.
    """

    rule: HostRule
    update: UpdateRule
    rate: Rate
    parameters: ParameterSpec
    reason: str
    exploration: Exploration = "none"
    evaluations: int = 1
    regenerable: bool = False

    def begin(self, n_params: int) -> State:
        """What the rule and the update rule remember at first."""
        return {**self.rule.begin(n_params), **self.update.init(n_params)}

    def step(self, device: Device, theta: Array, state: State, batch: Batch, t: int, progress: float) -> Outcome:
        """One step, see `Method`."""
        learned, loss, exact = self.rule.descent(state, theta, batch, t)
        evidence = Evidence(np.array([loss]), np.zeros(1, dtype=np.int64), np.zeros(1))
        gradient, rate = exact.astype(np.float32), self.rate(t, progress)
        target, moved = stepped(self.update, self.parameters, theta, state, gradient, rate)
        device.apply(Update(target, target - theta, t))
        return Outcome(target, {**moved, **learned}, evidence, rate, gradient)

    def replay(self, theta: Array, state: State, record: Record) -> tuple[Array, State]:
        """A recorded step again, see `Method`. What the rule remembers is left as it was."""
        return stepped(self.update, self.parameters, theta, state, kept_gradient(record), record.rate)


def known_network(start: Start, method: str) -> Network:
    """The device's network.

    Raises:
        CapabilityError: it is none that the host could compute.
    """
    network = start.device.capabilities.network
    if network is None:
        raise CapabilityError(
            f"{start.device.info} is not a layered network, so the host has nothing to compute for {method!r}; "
            f"{instead(start.device)}"
        )
    return network
