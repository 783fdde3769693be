"""Program and verify: write, read back, correct what lies beyond the tolerance, within a budget of writes a cell.

A cell that misses is asked for something else by a share of what it missed, ``asked + share (target - reached)``. It
may miss in the same way next time, or it was chance, and correcting chance only adds to it. So the share is that of all
errors' variance V which the noise s of writing and reading doesn't explain, ``1 - s^2 / V``; but it is
``e^2 / (e^2 + (3 s)^2)`` of an error e that is beyond chance, or that was missed by to the same side twice.

A cell that doesn't move when it is asked to may be one half of a differential pair whose other half is stuck: the one
that is asked isn't the one that works. Then the difference alone is asked for, ``target - reached``, of the partner. If
that doesn't move it either, it is stuck, and left alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from hwzo.deploy.journal import Outcome, Steps
from hwzo.deploy.tolerance import DEVIATIONS, Tolerance
from hwzo.device import Device
from hwzo.errors import CapabilityError, ConfigError
from hwzo.parameters import Array
from hwzo.probes import Cost

MOST_WRITES = 10
"""A cell is written so often at most, unless told otherwise."""
MISS = 0.5
"""Of half the range: who is asked for something so far from its target, or misses it by so much, has a stuck cell."""
FOLLOWS = 0.25
"""A cell follows if it moves by more than this share of what it was asked to."""
AT_THE_END = 3
"""Writes at an end of the window, after which a target beyond it is given up."""
BEYOND_CHANCE = 6.0
"""Standard deviations of the noise, beyond which an error isn't chance."""
MORE_ROUNDS = 2
"""Rounds beyond as many as a cell may be written: cells near the edge of the tolerance fall beyond it by chance."""

Bools = NDArray[np.bool_]


class State(IntEnum):
    """What became of a cell."""

    OK = 0
    COMPENSATED = 1
    """Within the tolerance by being asked for something far from its target: one half of its pair is stuck."""
    STUCK = 2
    """It doesn't follow what is asked of it, or only so far that a part of it must be stuck."""
    UNREACHABLE = 3
    """It follows, but its window ends before the target."""
    OVER_BUDGET = 4
    """Beyond the tolerance after as many writes, or looks, as it may have."""

    @property
    def label(self) -> str:
        """Such as ``"compensated"``."""
        return "writes or rounds used up" if self is State.OVER_BUDGET else self.name.lower()


@dataclass(frozen=True)
class Written:
    """What a closed loop came to, a cell each; weight units of the device.

    Args:
        asked: (n,) what the device was last asked to hold.
        reached: (n,) what was read of it, a mean of reads.
        reached_error: (n,) standard error of that.
        writes: (n,) int64, how often each was written, those of a write that may or may not have happened included.
        state: (n,) uint8, a `State`.
        cost: of the loop.
    """

    asked: Array
    reached: Array
    reached_error: Array
    writes: NDArray[np.int64]
    state: NDArray[np.uint8]
    cost: Cost = field(default_factory=Cost)

    def within(self, targets: Array, tolerance: Tolerance) -> Bools:
        """(n,) True where a cell was read within the tolerance of its target."""
        return np.abs(self.reached - targets) <= tolerance.value

    @property
    def healthy(self) -> Bools:
        """(n,) True for the cells that aren't stuck."""
        return self.state != State.STUCK

    def count(self, state: State) -> int:
        """How many cells are in that state."""
        return int(np.count_nonzero(self.state == state))


@dataclass(frozen=True)
class Progress:
    """How far a deployment is.

    Args:
        phase: what is being done.
        share: 0 to 1, of all.
        beyond: cells that lie beyond the tolerance; None: not known yet.
        cost: of the device so far.
    """

    phase: str
    share: float
    beyond: int | None
    cost: Cost


Watch = Callable[[Progress], None]


def program_and_verify(
    device: Device,
    targets: Array,
    *,
    tolerance: Tolerance,
    most_writes: int = MOST_WRITES,
    held: Array | None = None,
    first: Array | None = None,
    writes: NDArray[np.int64] | None = None,
    stuck: NDArray[np.bool_] | None = None,
    suspect: NDArray[np.bool_] | None = None,
    most_rounds: int | None = None,
    steps: Steps | None = None,
    watch: Callable[[int, int], None] | None = None,
) -> Written:
    """Bring the cells of a device within a tolerance of their targets.

    A round is one ``program`` of the cells that are beyond, and one ``read`` of all.

    Args:
        device: unmapped; reads back its weights.
        targets: (n,) weight units of the device, within its bounds.
        tolerance: how near, and how many reads are averaged to tell.
        most_writes: of one cell, over all that it is written here and as ``writes`` says; never exceeded.
        held: (n,) what the cells were last asked to hold; None: unknown, all are written.
        first: (n,) what they are asked for first; None: their targets, and where that is what they hold, nothing.
        writes: (n,) how often they were written before; None: never.
        stuck: (n,) True where a cell is known not to reach its target: it is left alone once it was asked.
        suspect: (n,) True where a part of a cell is known to be stuck, whether it matters or not: what can't be brought
            within the tolerance then is stuck, too.
        most_rounds: of correcting; 0: what is asked for first is written, and read; None: as many as may help.
        steps: where steps are kept, so that a deployment that is cut off goes on.
        watch: is told the round, and how many cells are beyond the tolerance.

    Raises:
        CapabilityError: the device doesn't read back its weights.
        ConfigError: targets of another shape, not finite, or out of bounds; nothing was written.
        DeviceError: the device failed; the journal knows what was written.
    """
    if not device.capabilities.reads_back("weights"):
        raise CapabilityError(
            f"{device.info} reads back {device.capabilities.readback!r}, not weights: what was written can't be "
            "verified; open it with readback=weights, if it has that, or train on it as it is"
        )
    if isinstance(most_writes, bool) or most_writes < 1:
        raise ConfigError(f"most_writes = {most_writes!r} must be a whole number, at least 1", key="most_writes")
    spec = device.parameters
    loop = _Loop(device, spec.check(targets), tolerance, most_writes, steps or Steps(device), stuck, suspect)
    rounds = most_writes + MORE_ROUNDS if most_rounds is None else most_rounds
    return loop.run(held, spec.check(targets if first is None else first), writes, rounds, watch)


class _Loop:
    """A closed loop under way."""

    def __init__(
        self,
        device: Device,
        targets: Array,
        tolerance: Tolerance,
        most_writes: int,
        steps: Steps,
        stuck: Bools | None,
        suspect: Bools | None,
    ) -> None:
        self._device, self._targets, self._tolerance = device, targets, tolerance
        self._most, self._steps = most_writes, steps
        n = len(targets)
        spec = device.parameters
        self._low, self._high = spec.lower, spec.upper
        half = 0.5 * (self._high - self._low)
        self._half: Array = np.where(np.isfinite(half), half, np.inf)
        self._asked: Array = np.zeros(n)
        self._reached: Array = np.zeros(n)
        self._error: Array = np.zeros(n)
        self._writes: NDArray[np.int64] = np.zeros(n, dtype=np.int64)
        # Where a cell stood when it was first seen: how it has moved since then tells whether it follows.
        self._from_asked: Array = np.full(n, np.nan)
        self._from_reached: Array = np.full(n, np.nan)
        self._partner: Bools = np.zeros(n, dtype=np.bool_)  # the partner was asked
        self._at_end: NDArray[np.int64] = np.zeros(n, dtype=np.int64)  # writes at an end of the window
        self._streak: Array = np.zeros(n)  # misses in a row, with the sign of the error
        self._alike = 0.0  # share of the errors' variance that the noise doesn't explain
        self._stuck: Bools = np.zeros(n, dtype=np.bool_) if stuck is None else np.array(stuck)
        self._suspect: Bools = np.zeros(n, dtype=np.bool_) if suspect is None else suspect
        self._short: Bools = np.zeros(n, dtype=np.bool_)  # its own range ends before the target
        self._unsure: Bools = np.zeros(n, dtype=np.bool_)  # whether the last write happened isn't known
        self._cost = Cost()

    def run(
        self,
        held: Array | None,
        first: Array,
        writes: NDArray[np.int64] | None,
        most_rounds: int,
        watch: Callable[[int, int], None] | None,
    ) -> Written:
        if writes is not None:
            self._writes[:] = writes
        self._asked[:] = first if held is None else held
        wanted = np.ones(len(first), dtype=np.bool_) if held is None else first != held
        self._round(0, first, wanted & (self._writes < self._most))
        typical = float(np.median(np.abs(self._reached - self._targets))) / 0.6745  # sd of a normal law
        self._alike = max(0.0, 1.0 - (self._tolerance.noise / typical) ** 2) if typical > 0.0 else 0.0
        for number in range(1, most_rounds + 1):
            beyond = self._beyond
            if watch is not None:
                watch(number, int(np.count_nonzero(beyond)))
            asked, todo = self._next(beyond & ~self._stuck & ~self._short & (self._writes < self._most))
            if not todo.any():
                break
            self._round(number, asked, todo)
        return self._result()

    @property
    def _beyond(self) -> Bools:
        return np.abs(self._reached - self._targets) > self._tolerance.value

    def _round(self, number: int, asked: Array, where: Bools) -> None:
        """Write the cells ``where`` and read all."""
        asked = np.where(where, asked, self._asked)
        device, repeats = self._device, self._tolerance.repeats

        def look() -> dict[str, Array]:
            reads = device.read(repeats)
            return {"reached": reads.mean(axis=0), "error": reads.std(axis=0, ddof=min(1, repeats - 1))}

        def act() -> dict[str, Array]:
            if where.any():
                device.program(asked, mask=where)
            return look()

        seen: Outcome = self._steps.take(f"round {number}", act, cells=where, instead=look)
        self._cost += seen.cost
        self._asked = asked
        self._writes += where  # also in doubt: rather one write too few than one too many
        self._reached = np.asarray(seen.arrays["reached"], dtype=np.float64)
        own = np.asarray(seen.arrays["error"], dtype=np.float64) / np.sqrt(repeats)
        self._error = np.maximum(own, self._tolerance.read_error)
        self._unsure = where & seen.doubtful
        new = np.isnan(self._from_asked) & ~self._unsure
        self._from_asked[new], self._from_reached[new] = asked[new], self._reached[new]

    def _next(self, todo: Bools) -> tuple[Array, Bools]:
        """What to ask for next (n,), and of which cells (n,)."""
        tolerance, targets = self._tolerance.value, self._targets
        error = targets - self._reached
        noise, sign = self._tolerance.noise, np.sign(error)
        self._streak = np.where(self._beyond, np.where(np.sign(self._streak) == sign, self._streak, 0.0) + sign, 0.0)
        share = np.square(error) / np.maximum(np.square(error) + (DEVIATIONS * noise) ** 2, 1e-300)
        chance = (np.abs(error) < BEYOND_CHANCE * noise) & (np.abs(self._streak) < 2.0)
        share = np.where(chance, np.minimum(share, self._alike), share)
        asked = self._clip(self._asked + share * error)
        # Far enough that standing still can be told from following.
        moved = self._asked - self._from_asked
        judged = todo & (np.abs(moved) > 2.0 * tolerance)
        followed = (self._reached - self._from_reached) * np.sign(moved) > FOLLOWS * np.abs(moved)
        still = judged & ~followed
        alone = self._clip(error)  # the difference alone, of the partner
        known = np.abs(alone - self._asked) < 2.0 * tolerance
        known |= np.abs(alone - self._from_asked) < 2.0 * tolerance
        other_side = sign == -np.sign(self._from_asked)
        own = targets * self._reached > 0.0
        self._short |= still & ~other_side & own & (np.abs(self._reached) > 2.0 * tolerance)
        self._stuck |= still & ~self._short & (self._partner | known | ~other_side)
        ask_partner = still & ~self._stuck & ~self._short
        asked = np.where(ask_partner, alone, asked)
        self._partner |= ask_partner
        self._from_asked[ask_partner] = self._from_reached[ask_partner] = np.nan
        asked = np.where(self._unsure, self._asked, asked)
        # At an end of the window there is nothing more to ask for; once or twice it may still have been chance.
        outward = ((asked >= self._high) & (error > 0)) | ((asked <= self._low) & (error < 0))
        at_end = todo & outward & (asked == self._asked)
        self._at_end[at_end] += 1
        return asked, todo & ~self._stuck & ~self._short & (self._at_end < AT_THE_END)

    def _clip(self, asked: Array) -> Array:
        return np.minimum(np.maximum(asked, self._low), self._high)

    def _result(self) -> Written:
        beyond, half = self._beyond, self._half
        away = np.abs(self._asked - self._targets) > MISS * half
        misses = np.abs(self._reached - self._targets) > MISS * half
        at_end = self._at_end >= AT_THE_END
        state = np.full(len(beyond), State.OVER_BUDGET, dtype=np.uint8)
        state[at_end | self._short] = State.UNREACHABLE
        state[self._stuck | self._suspect | (at_end & (away | misses))] = State.STUCK
        state[~beyond] = State.OK
        state[~beyond & (away | self._partner)] = State.COMPENSATED
        return Written(self._asked, self._reached, self._error, self._writes, state, self._cost)
