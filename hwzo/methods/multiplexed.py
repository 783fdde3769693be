"""MGD's discrete algorithm, its three time constants. McCaughan et al. 2023, https://doi.org/10.1063/5.0157645.

A reading is the unit of time. A perturbation is held for tau_p readings, G is integrated and the parameters are moved
every tau_theta, the samples change every tau_x. Whenever parameters or samples have changed, the undisplaced C0 is read
anew (tau_p readings, on top of the others). One step of the loop is one minibatch, hence tau_x readings: with tau_x
below tau_theta the parameters are moved once in several steps, with tau_x above it several times in one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hwzo.device import Device, Update
from hwzo.directions import Directions
from hwzo.estimate.forward import forward
from hwzo.explore.evidence import Evidence
from hwzo.explore.programmed import ProgrammedExploration, program
from hwzo.explore.sinusoids import PEAK, Sinusoids
from hwzo.explore.weights import inward
from hwzo.methods.composition import Rate
from hwzo.methods.method import Outcome, Record, State
from hwzo.methods.settings import Exploration
from hwzo.parameters import Array
from hwzo.probes import Batch, Probes
from hwzo.update import UpdateRule


@dataclass(frozen=True)
class Stretch:
    """Perturbations during which neither the parameters nor the samples change.

    Args:
        window: number of the integration that they belong to.
        counters: (n,) which perturbations.
        ends: True if the parameters are moved after them.
    """

    window: int
    counters: NDArray[np.int64]
    ends: bool


class Perturbations(Protocol):
    """Where a stretch's perturbations come from."""

    @property
    def variance(self) -> float:
        """Mean square of one parameter's perturbation, weight units squared."""
        ...

    def of(self, stretch: Stretch, theta: Array) -> Array:
        """(n, n_params), weight units, of parameters theta (n_params,)."""
        ...

    def scales(self, stretch: Stretch, theta: Array) -> Array:
        """(n,) what of parameters theta (n_params,) is displaced by, weight units; negative: downwards."""
        ...

    def read(self, device: Device, theta: Array, stretch: Stretch, held: int, batch: Batch) -> Array:
        """((n + 1) held,) losses: of the undisplaced parameters, then of each perturbation, each ``held`` times."""
        ...

    def leave(self, device: Device, theta: Array, target: Array, stretch: Stretch) -> None:
        """Make the device hold ``target``, which held ``theta`` before the stretch, if that takes anything."""
        ...


@dataclass(frozen=True)
class Commanded:
    """Perturbations that the device makes itself: codes, or one parameter after the other.

    Args:
        directions: their law.
        scale, variance: see `Perturbations`.
    """

    directions: Directions
    scale: float
    variance: float

    def of(self, stretch: Stretch, theta: Array) -> Array:
        """See `Perturbations`."""
        return self.directions.at(stretch.window, stretch.counters) * self.scales(stretch, theta)[:, None]

    def scales(self, stretch: Stretch, theta: Array) -> Array:
        """See `Perturbations`."""
        scales = np.full(len(stretch.counters), self.scale)
        if self.directions.law != "coordinate":
            return scales
        return inward(scales, stretch.counters, theta, self.directions.spec)

    def read(self, device: Device, theta: Array, stretch: Stretch, held: int, batch: Batch) -> Array:
        """See `Perturbations`."""
        counters = np.repeat(np.concatenate([stretch.counters[:1], stretch.counters]), held)
        scales = np.repeat(np.concatenate([[0.0], self.scales(stretch, theta)]), held)
        along = self.directions
        return device.measure(Probes(counters, scales, law=along.law, key=along.key, step=stretch.window), batch).losses

    def leave(self, device: Device, theta: Array, target: Array, stretch: Stretch) -> None:
        """See `Perturbations`: the device displaces for a reading only."""
        if stretch.ends:
            device.apply(Update(target, target - theta, stretch.window))


@dataclass(frozen=True)
class Sinusoidal:
    """Perturbations that no device makes itself: the host programs them.

    Args:
        sinusoids: one for each parameter.
        explore: programs and reads.
        window: perturbations of one integration.
        scale: see `Perturbations`.
    """

    sinusoids: Sinusoids
    explore: ProgrammedExploration
    window: int
    scale: float

    @property
    def variance(self) -> float:
        """See `Perturbations`."""
        return self.scale**2

    def scales(self, stretch: Stretch, theta: Array) -> Array:
        """See `Perturbations`."""
        return np.full(len(stretch.counters), self.scale)

    def of(self, stretch: Stretch, theta: Array) -> Array:
        """See `Perturbations`."""
        return self.scale * self.sinusoids.at(stretch.window * self.window + stretch.counters)

    def read(self, device: Device, theta: Array, stretch: Stretch, held: int, batch: Batch) -> Array:
        """See `Perturbations`."""
        return self.explore.measure(device, theta, np.repeat(self._points(theta, stretch), held, axis=0), batch)

    def leave(self, device: Device, theta: Array, target: Array, stretch: Stretch) -> None:
        """See `Perturbations`: the device holds the last perturbation."""
        program(device, self._points(theta, stretch)[-1], target)

    def _points(self, theta: Array, stretch: Stretch) -> Array:
        centre = self.explore.parameters.inside(theta, PEAK * self.scale)
        return self.explore.placed(np.concatenate([centre[None], centre + self.of(stretch, theta)]))


@dataclass(frozen=True)
class Multiplexed:
    """See the module.

    Args:
        perturbations: where they come from.
        held: tau_p, readings.
        window: tau_theta / tau_p, perturbations.
        samples: tau_x / tau_p, perturbations.
        walks: True if perturbations are counted over the whole run, as parameters that take turns are; else anew in
            each integration.
        update, rate: turn the integrated gradient, a mean over its perturbations, into a step.
        clip: keeps parameters in bounds.
        reason: why it works this way on this device.
    """

    perturbations: Perturbations
    held: int
    window: int
    samples: int
    walks: bool
    update: UpdateRule
    rate: Rate
    clip: Callable[[Array], Array]
    reason: str
    exploration: Exploration = "commanded"
    regenerable: bool = True

    @property
    def evaluations(self) -> int:
        """Most loss readings a step."""
        if self.window % self.samples == 0:  # all of them lie within one integration
            return self.held * (self.samples + 1)
        return self.held * (self.samples + -(-self.samples // self.window) + bool(self.samples % self.window))

    def begin(self, n_params: int) -> State:
        """What is integrated so far, and the update rule's state."""
        return {"integrated": np.zeros(n_params)} | self.update.init(n_params)

    def step(self, device: Device, theta: Array, state: State, batch: Batch, t: int, progress: float) -> Outcome:
        """One step, see `Method`."""
        rate, at = self.rate(t, progress), self.perturbations
        losses, scales = list[Array](), list[Array]()
        counters = list[NDArray[np.int64]]()
        for stretch in self._stretches(t):
            read, moved = at.read(device, theta, stretch, self.held, batch), at.scales(stretch, theta)
            target, state = self._learnt(theta, state, stretch, read, rate)
            at.leave(device, theta, target, stretch)
            theta = target
            losses.append(read)
            counters.append(np.repeat(np.concatenate([stretch.counters[:1], stretch.counters]), self.held))
            scales.append(np.repeat(np.concatenate([[0.0], moved]), self.held))
        evidence = Evidence(np.concatenate(losses), np.concatenate(counters), np.concatenate(scales))
        return Outcome(theta, state, evidence, rate)

    def replay(self, theta: Array, state: State, record: Record) -> tuple[Array, State]:
        """A recorded step again, see `Method`."""
        taken = 0
        for stretch in self._stretches(record.t):
            count = (len(stretch.counters) + 1) * self.held
            read = record.losses[taken : taken + count]
            theta, state = self._learnt(theta, state, stretch, read, record.rate)
            taken += count
        return theta, state

    def _stretches(self, t: int) -> Iterator[Stretch]:
        start, stop = t * self.samples, (t + 1) * self.samples
        while start < stop:
            window = start // self.window
            end = min(stop, (window + 1) * self.window)
            first = 0 if self.walks else window * self.window
            yield Stretch(window, np.arange(start - first, end - first), end == (window + 1) * self.window)
            start = end

    def _learnt(self, theta: Array, state: State, stretch: Stretch, losses: Array, rate: float) -> tuple[Array, State]:
        """Parameters and state after a stretch."""
        moved = np.concatenate([np.zeros((1, theta.size)), self.perturbations.of(stretch, theta)])
        means = losses.reshape(-1, self.held).mean(axis=1)
        share = len(stretch.counters) / self.window
        integrated: Array = state["integrated"] + share * forward(moved, means, variance=self.perturbations.variance)
        if not stretch.ends:
            return theta, state | {"integrated": integrated}
        # Rounded to float32, as in every method whose gradient a journal may keep.
        gradient = integrated.astype(np.float32).astype(np.float64)
        rule, step = self.update.step(state, gradient, rate)
        return self.clip(theta + step), {"integrated": np.zeros_like(theta)} | rule
