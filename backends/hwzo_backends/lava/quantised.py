"""Parameters on a grid: the levels that a device holds of the float64 targets that a run keeps.

A step of a zeroth-order method is often smaller than a weight's level. Nothing of it is lost, since the run keeps the
targets theta in float64 (the master copy) and the device only ever gets their levels::

    level = floor(theta / resolution + u),   kept within the device's levels

``nearest``: u = 1/2. The device is at most half a level from the targets, and moves when they have crossed half of one.

``stochastic``: u is uniform on [0, 1), a number for each parameter and write, so that the level is theta on average,
however small a step was (Croci et al., "Stochastic rounding", R. Soc. Open Sci. 9, 211631, 2022,
https://doi.org/10.1098/rsos.211631). It is drawn from (seed, number of the write) by Philox, as a board's coefficients
are (`hwzo.methods.grid_steps`): a resumed run rounds as it would have. It is noise that nobody reads back, with
variance f (1 - f) levels^2 for a remainder f.

Either way u stays the same until the next write, and floor(x + n) is floor(x) + n for a whole n. So a commanded
displacement by whole levels displaces what the device holds by just that, wherever theta lies between two levels,
except at the ends of the range. Rounding halves to even hasn't that property.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from hwzo.errors import ConfigError
from hwzo.parameters import Array
from hwzo.philox import philox4x32

Rounding = Literal["nearest", "stochastic"]
STREAM = 33
"""Of Philox: 0 to 6 are the directions', 16 to 19 a simulated array's, 32 the rounding of coefficients."""


@dataclass(frozen=True)
class Grid:
    """Levels of a device's parameters.

    Args:
        resolution: weight units between two levels.
        lowest, highest: the levels there are, such as -128 and 127.
        rounding: ``nearest`` or ``stochastic``.
        seed: 64 bits, of stochastic rounding.

    Raises:
        ConfigError: no level, a resolution that isn't above 0, an unknown rounding or a seed out of range.
    """

    resolution: float
    lowest: int
    highest: int
    rounding: Rounding = "nearest"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.rounding not in get_args(Rounding):
            allowed = " or ".join(get_args(Rounding))
            raise ConfigError(f"rounding={self.rounding!r} is not {allowed}", key="rounding")
        if not (np.isfinite(self.resolution) and self.resolution > 0):
            raise ConfigError(f"resolution={self.resolution:g} must be above 0, in weight units", key="resolution")
        if not self.lowest < self.highest:
            raise ConfigError(f"levels {self.lowest} to {self.highest}: a weight needs two at least", key="resolution")
        if not 0 <= self.seed < 2**64:
            raise ConfigError(f"seed={self.seed} is not a number of 64 bits", key="seed")

    def dither(self, n: int, write: int) -> Array:
        """What is added before rounding down, (n,) in [0, 1), for write number ``write``, 0 to 2^64 - 1."""
        if self.rounding == "nearest":
            return np.full(n, 0.5)
        words = np.zeros((-(-n // 4), 4), dtype=np.uint32)
        words[:, 0] = np.arange(len(words))
        words[:, 1], words[:, 2], words[:, 3] = write & 0xFFFFFFFF, write >> 32, STREAM
        drawn: Array = philox4x32(words, self.seed).reshape(-1)[:n].astype(np.float64)
        return drawn * 2.0**-32

    def levels(self, theta: Array, dither: Array | None = None) -> NDArray[np.int32]:
        """The levels (..., n) of targets (..., n), weight units; ``dither`` (n,) as of the write, else the nearest.

        What lies outside the range is held at its end.
        """
        moved: Array = theta / self.resolution
        moved += 0.5 if dither is None else dither
        np.floor(moved, out=moved)
        return np.clip(moved, self.lowest, self.highest, out=moved).astype(np.int32)

    def values(self, levels: NDArray[np.int32]) -> Array:
        """What levels stand for, weight units."""
        return levels.astype(np.float64) * self.resolution
