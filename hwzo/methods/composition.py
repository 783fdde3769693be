"""A method as explore -> measure -> estimate -> update: most methods are this, with different parts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hwzo.device import Device, Update
from hwzo.explore.evidence import Evidence
from hwzo.explore.weights import WeightExploration
from hwzo.methods.method import Outcome, Record, State, kept_gradient, stepped
from hwzo.methods.seed_steps import SeedSteps
from hwzo.methods.settings import Exploration
from hwzo.parameters import Array, ParameterSpec
from hwzo.probes import Batch
from hwzo.update import UpdateRule

Estimate = Callable[[Evidence, Array], Array]
Rate = Callable[[int, float], float]


@dataclass(frozen=True)
class Composition:
    """explore -> measure -> estimate -> update, and back to the device.

    Args:
        exploration: its name in results.
        explore: chooses and takes the readings.
        estimate: (evidence, theta) -> gradient (n_params,).
        update: (state, gradient, rate) -> (state, step).
        rate: (t, progress) -> learning rate.
        parameters: of the device, whose bounds the targets keep to.
        reason: why it works this way on this device.
        grid: makes the steps of a method that is plain descent along commanded directions, from coefficients alone, on
            the grid where a board replays them; None: steps are vectors, and a device of finite resolution rounds the
            targets that it is given.
    """

    exploration: Exploration
    explore: WeightExploration
    estimate: Estimate
    update: UpdateRule
    rate: Rate
    parameters: ParameterSpec
    reason: str
    grid: SeedSteps | None = None

    @property
    def evaluations(self) -> int:
        """Loss readings a step."""
        return self.explore.evaluations

    @property
    def regenerable(self) -> bool:
        """True if all displacements are commanded."""
        return self.exploration == "commanded"

    def begin(self, n_params: int) -> State:
        """State of the update rule."""
        return self.update.init(n_params)

    def step(self, device: Device, theta: Array, state: State, batch: Batch, t: int, progress: float) -> Outcome:
        """One step, see `Method`."""
        evidence = self.explore.measure(device, theta, batch, t)
        if self.grid is not None:
            rate = self.rate(t, progress)
            counters, coefficients = self.grid.coefficients(evidence, lambda e: self.estimate(e, theta), t, rate)
            target = self.grid.stepped(theta, t, counters, coefficients)
            device.apply(Update(target, target - theta, t, counters, coefficients))
            return Outcome(target, state, evidence, rate, coefficients=coefficients)
        gradient, rate = self.estimate(evidence, theta).astype(np.float32), self.rate(t, progress)
        target, state = stepped(self.update, self.parameters, theta, state, gradient, rate)
        device.apply(Update(target, target - theta, t))
        return Outcome(target, state, evidence, rate, gradient)

    def replay(self, theta: Array, state: State, record: Record) -> tuple[Array, State]:
        """A recorded step again, see `Method`."""
        if self.grid is not None and record.coefficients is not None:
            return self.grid.stepped(theta, record.t, np.unique(record.counters), record.coefficients), state
        if record.gradient is None and self.regenerable:
            evidence = self.explore.recall(record.losses, record.counters, record.scales, record.t)
            gradient = self.estimate(evidence, theta).astype(np.float32)
        else:
            gradient = kept_gradient(record)
        return stepped(self.update, self.parameters, theta, state, gradient, record.rate)
