"""Student's t distribution, and the mean of a few numbers with its margin: what the statistical checks stand on."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from hwzo.parameters import Array


def two_sided_tail(t: float, df: int) -> float:
    """P(|T| > t) for Student's t with ``df`` degrees of freedom, t >= 0.

    The finite series of Abramowitz & Stegun, Handbook of Mathematical Functions, 26.7.3 and 26.7.4; good down to
    about 1e-14.
    """
    angle = math.atan(t / math.sqrt(df))
    sine, cosine = math.sin(angle), math.cos(angle)
    if df % 2:
        term, total = cosine, cosine if df > 1 else 0.0
        for k in range(3, df - 1, 2):
            term *= cosine * cosine * (k - 1) / k
            total += term
        return max(0.0, 1.0 - (angle + sine * total) * 2 / math.pi)
    term = total = 1.0
    for k in range(2, df - 1, 2):
        term *= cosine * cosine * (k - 1) / k
        total += term
    return max(0.0, 1.0 - sine * total)


@lru_cache(maxsize=256)
def critical_t(alpha: float, df: int) -> float:
    """The t that |T| exceeds with probability ``alpha``, 1e-12 < alpha < 1."""
    low, high = 0.0, 1.0
    while two_sided_tail(high, df) > alpha:
        low, high = high, 2 * high
    for _ in range(60):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if two_sided_tail(middle, df) > alpha else (low, middle)
    return high


@dataclass(frozen=True)
class Mean:
    """A mean of n independent numbers, with what is needed to judge it.

    Args:
        value: the mean.
        standard_error: of the mean.
        n: how many numbers.
    """

    value: float
    standard_error: float
    n: int

    @classmethod
    def of(cls, numbers: Array) -> Mean:
        """Of n >= 2 numbers (n,)."""
        n = len(numbers)
        return cls(float(np.mean(numbers)), float(np.std(numbers, ddof=1)) / math.sqrt(n), n)

    def margin(self, alpha: float) -> float:
        """How far the mean strays from the truth, at most, with probability 1 - alpha (two-sided)."""
        return critical_t(alpha, self.n - 1) * self.standard_error

    def __str__(self) -> str:
        return f"{self.value:.4g} +- {self.standard_error:.2g} (n={self.n})"
