"""A sinusoid for each parameter, each of a frequency of its own: frequency multiplexing."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hwzo.parameters import Array
from hwzo.philox import philox4x32

PEAK = np.sqrt(2.0)
STREAM = 35
"""Of Philox, for which parameter has which frequency, and for the phases."""


@dataclass(frozen=True)
class Sinusoids:
    """Perturbations ``sqrt(2) sin(2 pi f_i n + phase_i)`` at readings n = 0, 1, ..., of mean square 1.

    The n_params frequencies lie evenly between 0 and 1/2 a reading, neither included, so that over 2 n_params readings
    in a row all sinusoids are orthogonal, and over fewer only nearly so. Which parameter has which, and its phase, are
    drawn from the run's key: in order and in phase, neighbours would move alike for a long time.

    Args:
        n_params: how many.
        key: of the run.
    """

    n_params: int
    key: int

    def at(self, readings: NDArray[np.int64]) -> Array:
        """Perturbations (K, n_params) at some readings (K,)."""
        frequencies, phases = self._drawn
        # In whole periods first, or the phase of a late reading would be lost in rounding.
        turns = np.mod(np.multiply.outer(readings.astype(np.float64), frequencies), 1.0)
        return PEAK * np.sin(2.0 * np.pi * turns + phases)

    @cached_property
    def _drawn(self) -> tuple[Array, Array]:
        n = self.n_params
        counters = np.zeros((n, 4), dtype=np.uint32)
        counters[:, 0], counters[:, 3] = np.arange(n), STREAM
        words = philox4x32(counters, self.key)
        order = np.argsort(words[:, 0], kind="stable")
        frequencies: Array = (order.astype(np.float64) + 0.5) / (2.0 * n)
        return frequencies, 2.0 * np.pi * (words[:, 1].astype(np.float64) * 2.0**-32)
