"""Program and verify on devices whose law is known: what becomes of errors, of stuck cells, and of the budget."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from hwzo.deploy.closed_loop import State, program_and_verify
from hwzo.deploy.tolerance import Tolerance
from hwzo.device import Capabilities, DeviceInfo, Update
from hwzo.errors import CapabilityError, ConfigError
from hwzo.parameters import Array, ParameterSpec, TensorSpec
from hwzo.probes import Batch, Cost, Probes, Readings


class Cells:
    """A device that is nothing but cells: differential pairs with noise of writing and reading.

    Args:
        n: cells.
        write_sd, read_sd: of each write and each reading.
        gain, offset: (n,) what a pair makes of what is asked.
        plus, minus: (n,) level at which that half of a pair is stuck, NaN where it isn't.
        endurance: writes after which a cell stays as it is.
        relative: open loop: what is sent is the difference to what was last asked for.
    """

    def __init__(
        self,
        n: int,
        *,
        write_sd: float = 0.0,
        read_sd: float = 0.0,
        gain: Array | float = 1.0,
        offset: Array | float = 0.0,
        plus: Array | None = None,
        minus: Array | None = None,
        endurance: int = 10**9,
        relative: bool = False,
        verified: bool = False,
        readback: str = "weights",
        seed: int = 0,
    ) -> None:
        self.rng = np.random.default_rng(seed)
        self.write_sd, self.read_sd, self.gain, self.offset = write_sd, read_sd, gain, offset
        self.plus = np.full(n, np.nan) if plus is None else plus
        self.minus = np.full(n, np.nan) if minus is None else minus
        self.endurance, self.relative = endurance, relative
        self.held, self.asked = np.zeros(n), np.zeros(n)
        self.writes = np.zeros(n, dtype=np.int64)
        self.programs = 0
        self.info = DeviceInfo("test:cells", "cells", "1", "", emulated=True)
        self.parameters = ParameterSpec((TensorSpec("w", (n,), -1.0, 1.0),))
        self.capabilities = Capabilities(readback=readback, verified_writes=verified)  # pyright: ignore[reportArgumentType]

    def program(self, theta: Array, *, mask: NDArray[np.bool_] | None = None) -> Cost:
        where = np.ones(len(theta), dtype=np.bool_) if mask is None else mask
        self.programs += 1
        self.writes[where] += 1
        noise = self.write_sd * self.rng.standard_normal(len(theta))
        if self.relative:
            new = np.clip(self.held + self.gain * (theta - self.asked) + noise, -1.0, 1.0)
        else:
            level = self.gain * theta
            plus = np.where(np.isnan(self.plus), np.maximum(level, 0.0), self.plus)
            minus = np.where(np.isnan(self.minus), np.maximum(-level, 0.0), self.minus)
            new = plus - minus + self.offset + noise
        self.held = np.where(where & (self.writes <= self.endurance), new, self.held)
        self.asked = np.where(where, theta, self.asked)
        return Cost(cell_writes=int(where.sum()))

    def read(self, repeats: int = 1) -> Array:
        return self.held + self.read_sd * self.rng.standard_normal((repeats, len(self.held)))

    def measure(self, probes: Probes, batch: Batch) -> Readings:
        raise NotImplementedError

    def apply(self, update: Update) -> Cost:
        return self.program(update.target)

    def close(self) -> None:
        pass


def targets_of(n: int, seed: int = 5) -> Array:
    return np.random.default_rng(seed).uniform(-0.9, 0.9, n)


def test_without_noise_every_cell_is_written_once() -> None:
    device, targets = Cells(50), targets_of(50)
    written = program_and_verify(device, targets, tolerance=Tolerance(1e-6, 1, 0.0, 0.0))
    assert (device.held == targets).all()
    assert (written.writes == 1).all()
    assert device.programs == 1
    assert (written.state == State.OK).all()


def test_plain_noise_of_writing_is_beaten_by_writing_again() -> None:
    """A write lands within one standard deviation with probability .683, if it aims at the target; ten writes that miss
    have 1e-5, and 2,000 cells then any at all with 2%. Corrections by chance may cost a little: one cell is allowed,
    which has probability below 2e-4."""
    n, sd = 2000, 0.05
    device, targets = Cells(n, write_sd=sd), targets_of(n)
    written = program_and_verify(device, targets, tolerance=Tolerance(sd, 1, 0.0, sd))
    beyond = np.abs(device.held - targets) > sd
    assert beyond.sum() <= 1
    assert ((written.state == State.OK) == ~beyond).all()
    assert written.writes.max() <= 10
    assert (written.writes == device.writes).all()


def test_what_a_verified_write_leaves_is_not_shrunk() -> None:
    """Errors of cells that are written again only beyond three deviations are normal, cut off there: their variance is
    that of a truncated normal law, .9733. The sum of squares of 6,000 lies within four standard deviations of its mean
    but for 6e-5 of all seeds."""
    n, sd = 6000, 0.03
    device, targets = Cells(n, write_sd=sd, verified=True), targets_of(n)
    written = program_and_verify(device, targets, tolerance=Tolerance(3 * sd, 1, 0.0, sd, verified_writes=True))
    error = device.held - targets
    at = 3.0
    density = math.exp(-0.5 * at**2) / math.sqrt(2 * math.pi)
    truncated = 1.0 - 2.0 * at * density / math.erf(at / math.sqrt(2))
    fourth_less_one = 1.94  # of that law; 2 of a whole one
    assert abs(float(np.square(error).mean()) / (sd**2 * truncated) - 1.0) < 4.0 * math.sqrt(fourth_less_one / n)
    # Beyond were 0.27% at the first look, 16 +- 4, and as few at each later one.
    assert (written.writes > 1).sum() < 16 + 4 * 4 + 12


def test_gains_and_offsets_are_corrected() -> None:
    n, sd = 1500, 0.01
    rng = np.random.default_rng(3)
    device = Cells(
        n, write_sd=sd, read_sd=0.005, gain=rng.uniform(0.7, 1.2, n), offset=rng.normal(0.0, 0.08, n), seed=1
    )
    targets = np.random.default_rng(5).uniform(-0.5, 0.5, n)
    written = program_and_verify(device, targets, tolerance=Tolerance(3 * math.hypot(sd, 0.0025), 4, 0.0025, sd))
    within = np.abs(device.held - targets) <= 3.3 * sd
    assert within.mean() > 0.99
    assert written.count(State.STUCK) == 0
    assert written.within(targets, Tolerance(3 * math.hypot(sd, 0.0025), 4, 0.0025, sd)).mean() >= 0.99


@pytest.mark.parametrize("noise", [0.0, 0.01])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_partners_make_up_for_stuck_halves_wherever_they_can(noise: float, seed: int) -> None:
    """Of a pair one half of which stands at level g, the other reaches from g - 1 to g (or from -g to 1 - g)."""
    n = 1200
    rng = np.random.default_rng([seed, 7])
    plus, minus = np.full(n, np.nan), np.full(n, np.nan)
    level = rng.choice([0.0, 1.0, 0.4], n)
    which = rng.integers(0, 3, n)  # 0: healthy
    plus[which == 1], minus[which == 2] = level[which == 1], level[which == 2]
    targets = rng.uniform(-0.9, 0.9, n)
    low = np.where(which == 1, level - 1.0, np.where(which == 2, -level, -1.0))
    high = np.where(which == 1, level, np.where(which == 2, 1.0 - level, 1.0))
    device = Cells(n, write_sd=noise, plus=plus, minus=minus, seed=seed)
    tolerance = Tolerance(max(3 * noise, 0.005), 1, 0.0, noise)
    written = program_and_verify(device, targets, tolerance=tolerance)
    can = (targets >= low) & (targets <= high)
    margin = 8.0 * max(noise, 0.001)  # within it noise decides
    surely, never = (targets > low + margin) & (targets < high - margin), (targets < low - margin - tolerance.value)
    never |= targets > high + margin + tolerance.value
    within = written.within(targets, tolerance)
    assert within[surely].mean() >= (1.0 if noise == 0.0 else 0.99)
    assert not within[never].any()
    stuck = (written.state == State.STUCK) | (written.state == State.UNREACHABLE)
    assert stuck[never].all()
    assert not (written.state[which == 0] != State.OK)[surely[which == 0]].mean() > 0.01
    assert (written.state == State.COMPENSATED).sum() > 0
    assert can.any()
    # Giving up must not take the whole budget.
    assert np.median(written.writes[never]) <= 5


@pytest.mark.parametrize("most", [1, 2, 5])
def test_no_cell_is_written_more_often_than_it_may(most: int) -> None:
    n = 400
    device, targets = Cells(n, write_sd=0.1), targets_of(n)
    before = np.random.default_rng(0).integers(0, most + 1, n)
    written = program_and_verify(
        device, targets, tolerance=Tolerance(0.02, 1, 0.0, 0.1), most_writes=most, writes=before
    )
    assert (before + device.writes <= np.maximum(most, before)).all()
    assert (written.writes == before + device.writes).all()
    assert written.count(State.OVER_BUDGET) > 0


def test_worn_cells_stay_as_they_are_and_are_counted() -> None:
    n = 300
    offset = np.full(n, 0.2)
    device, targets = Cells(n, offset=offset, endurance=1), np.random.default_rng(5).uniform(-0.5, 0.5, n)
    tolerance = Tolerance(0.01, 1, 0.0, 0.001)
    written = program_and_verify(device, targets, tolerance=tolerance)
    assert not written.within(targets, tolerance).any()
    assert (written.writes <= 10).all()
    assert (written.state >= State.STUCK).all()
    np.testing.assert_allclose(written.reached, targets + 0.2)


def test_cells_programmed_by_pulses_come_near_by_steps() -> None:
    """Open loop, steps of unequal size, from an unknown beginning: each round takes off most of the error."""
    n = 500
    rng = np.random.default_rng(2)
    device = Cells(n, write_sd=0.002, gain=rng.uniform(0.6, 1.4, n), relative=True)
    device.held = rng.uniform(-0.3, 0.3, n)
    targets = np.random.default_rng(5).uniform(-0.4, 0.4, n)
    tolerance = Tolerance(0.01, 1, 0.0, 0.002)
    written = program_and_verify(device, targets, tolerance=tolerance)
    assert written.within(targets, tolerance).mean() >= 0.99


def test_what_is_held_already_is_not_written_again() -> None:
    device, targets = Cells(20), targets_of(20)
    device.program(targets)
    device.writes[:] = 0
    written = program_and_verify(device, targets, tolerance=Tolerance(1e-6, 1, 0.0, 0.0), held=targets)
    assert device.writes.sum() == 0
    assert (written.state == State.OK).all()


def test_cells_known_to_be_stuck_are_asked_once() -> None:
    device, targets = Cells(20, plus=np.zeros(20), minus=np.zeros(20)), targets_of(20)
    written = program_and_verify(
        device, targets, tolerance=Tolerance(1e-6, 1, 0.0, 0.0), stuck=np.ones(20, dtype=np.bool_)
    )
    assert (device.writes == 1).all()
    assert (written.state == State.STUCK).all()


def test_what_can_not_be_done_is_refused_before_anything_is_written() -> None:
    tolerance = Tolerance(0.01, 1, 0.0, 0.0)
    with pytest.raises(CapabilityError, match="readback=weights"):
        program_and_verify(Cells(4, readback="nodes"), np.zeros(4), tolerance=tolerance)
    device = Cells(4)
    for targets in (np.zeros(3), np.full(4, np.nan), np.full(4, 1.5)):
        with pytest.raises(ConfigError):
            program_and_verify(device, targets, tolerance=tolerance)
    with pytest.raises(ConfigError, match="most_writes"):
        program_and_verify(device, np.zeros(4), tolerance=tolerance, most_writes=0)
    assert device.programs == 0
