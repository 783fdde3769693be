"""What a method is to the loop: something that takes a step on a device, and can take it again from a record."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hwzo.device import Device
from hwzo.errors import CapabilityError
from hwzo.explore.evidence import Evidence
from hwzo.methods.settings import Exploration, Settings
from hwzo.parameters import Array, ParameterSpec
from hwzo.probes import Batch
from hwzo.update import State, UpdateRule


@dataclass(frozen=True)
class Outcome:
    """One step, done.

    Args:
        theta: (n_params,) float64, weight units: the new targets, already applied to the device.
        state: the method's new state.
        evidence: what was asked and what came back.
        rate: learning rate of this step.
        gradient: (n_params,) float32, the estimate that made the step; None if the method has none.
        coefficients: what makes the step of a method that has no gradient: decisions, or how much of each direction.
    """

    theta: Array
    state: State
    evidence: Evidence
    rate: float
    gradient: NDArray[np.float32] | None = None
    coefficients: Array | None = None


@dataclass(frozen=True)
class Record:
    """What the journal kept of a step.

    Args:
        t: the step.
        losses, counters, scales: (N,), as in `Evidence`.
        rate: learning rate of the step.
        gradient: (n_params,) float32 where it was kept.
        coefficients: as in `Outcome`.
        progress: share of the budget that was spent before it.
    """

    t: int
    losses: Array
    counters: NDArray[np.int64]
    scales: Array
    rate: float
    gradient: NDArray[np.float32] | None = None
    coefficients: Array | None = None
    progress: float = 0.0


def kept_gradient(record: Record) -> NDArray[np.float32]:
    """The gradient that the journal kept of a step.

    Raises:
        CapabilityError: it kept none.
    """
    if record.gradient is None:
        raise CapabilityError(
            f"step {record.t} follows from more than its readings, and no step vector was kept: it can be rerun on the "
            "emulated device, not replayed"
        )
    return record.gradient


def stepped(
    update: UpdateRule,
    parameters: ParameterSpec,
    theta: Array,
    state: State,
    gradient: NDArray[np.float32],
    rate: float,
) -> tuple[Array, State]:
    """Theta (n_params,) after a step by a gradient, in bounds, and the state with what the update rule remembers.

    The gradient is float32, which is what the journal keeps, so that a replay is exact.
    """
    remembered, step = update.step(state, gradient.astype(np.float64), rate)
    return parameters.clip(theta + step), {**state, **remembered}


class Method(Protocol):
    """A way to learn. Its state is arrays only, so that a checkpoint holds all of it."""

    @property
    def exploration(self) -> Exploration:
        """Where its displacements come from."""
        ...

    @property
    def reason(self) -> str:
        """Why it works this way on this device, a sentence for the user."""
        ...

    @property
    def evaluations(self) -> int:
        """Most loss readings that one step takes."""
        ...

    @property
    def regenerable(self) -> bool:
        """True if steps follow from counters, scales, losses and coefficients alone."""
        ...

    def begin(self, n_params: int) -> State:
        """State before the first step."""
        ...

    def step(self, device: Device, theta: Array, state: State, batch: Batch, t: int, progress: float) -> Outcome:
        """Take a step on a device that holds theta.

        Args:
            device: where the step is measured and applied.
            theta: (n_params,) weight units, as programmed.
            state: of the method, arrays by name, as ``begin`` or the last step gave it.
            batch: the step's minibatch.
            t: number of the step, from 0.
            progress: share of the budget that is spent, 0 to 1.

        Raises:
            CapabilityError: nothing can be learned from what came back.
            DeviceError: the device is lost, or answered what no number is.
        """
        ...

    def replay(self, theta: Array, state: State, record: Record) -> tuple[Array, State]:
        """Theta (n_params,), weight units, and state after a recorded step, without a device.

        Raises:
            CapabilityError: the record doesn't hold what this step was made from.
        """
        ...


@dataclass
class Start:
    """Where a method is built: on a device that holds ``theta``, with a batch to measure on.

    Quantities measured here are kept by name, so that a resumed run doesn't measure them again.

    Args:
        device: the device.
        theta: (n_params,) float64, what it was programmed with.
        batch: training samples to measure on.
        key: the run's 64-bit key for commanded directions.
        measured: quantities by name, filled here, or given by a checkpoint.
        evaluations: loss readings spent here.
        commanded: how many of them had a commanded displacement.
        settings: what the method was built with, defaults and measured values filled in; set by its builder.
    """

    device: Device
    theta: Array
    batch: Batch
    key: int
    measured: dict[str, float] = field(default_factory=dict[str, float])
    evaluations: int = 0
    commanded: int = 0
    settings: Settings = field(default_factory=Settings)

    def quantity(self, name: str, measure: Callable[[], float]) -> float:
        """The quantity of this name, measured only if it isn't known yet."""
        if name not in self.measured:
            self.measured[name] = measure()
        return self.measured[name]


class Builder(Protocol):
    """A method's file: makes the method for one device."""

    def __call__(self, settings: Settings, start: Start) -> Method:
        """Build it.

        Raises:
            ConfigError: a setting that it doesn't take or can't use.
            CapabilityError: the device can't do it; names what would work.
        """
        ...
