"""Program and verify: write, read back, correct what lies beyond the tolerance, within a budget of writes a cell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from hwzo.deploy.tolerance import Tolerance
from hwzo.device import Device
from hwzo.parameters import Array
from hwzo.probes import Cost

MOST_WRITES = 10
"""A cell is written so often at most, unless told otherwise."""


class State(IntEnum):
    """What became of a cell."""

    OK = 0
    COMPENSATED = 1
    """Within the tolerance by being asked for something far from its target: one half of its pair is stuck."""
    STUCK = 2
    """It doesn't follow what is asked of it."""
    UNREACHABLE = 3
    """It follows, but the window ends before the target."""
    OVER_BUDGET = 4
    """Beyond the tolerance after as many writes as it may have."""

    @property
    def label(self) -> str:
        """Such as ``"over-budget"``."""
        return self.name.lower().replace("_", "-")


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

    def within(self, targets: Array, tolerance: Tolerance) -> NDArray[np.bool_]:
        """(n,) True where a cell was read within the tolerance of its target."""
        return np.abs(self.reached - targets) <= tolerance.value


@dataclass(frozen=True)
class Progress:
    """How far a deployment is.

    Args:
        phase: what is being done.
        share: 0 to 1, of that phase.
        beyond: cells that lie beyond the tolerance, as far as is known.
        cost: so far.
    """

    phase: str
    share: float
    beyond: int
    cost: Cost


Watch = Callable[[Progress], None]


def program_and_verify(
    device: Device, targets: Array, *, tolerance: Tolerance, most_writes: int = MOST_WRITES, watch: Watch | None = None
) -> Written:
    """Bring the cells of a device within a tolerance of their targets (n,)."""
    raise NotImplementedError
