"""A measured number and how well it is known; a measured curve likewise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from hwzo.noise.quantiles import beta, chi_square, student
from hwzo.parameters import Array

CONFIDENCE = 0.95
_LOW, _HIGH = (1.0 - CONFIDENCE) / 2.0, (1.0 + CONFIDENCE) / 2.0


@dataclass(frozen=True)
class Quantity:
    """One number with its error.

    The interval [low, high] holds the truth in 95% of calibrations. It need not be symmetric: a standard deviation that
    can't be told from 0 has a value near 0 and an interval that begins there.

    Args:
        value: the estimate, in ``unit``.
        standard_error: in ``unit``; None where the number was read off and not estimated.
        low, high: the 95% interval; equal to the value where there is no standard error.
        unit: such as ``"weight"``, ``"nat"``; ``"1"`` for a ratio.
        n: number of readings behind it.
        dof: degrees of freedom of the standard error; infinite if it follows from a law.
        about: what it is, in a sentence.
    """

    value: float
    standard_error: float | None
    low: float
    high: float
    unit: str
    n: int
    dof: float = math.inf
    about: str = ""

    @classmethod
    def exact(cls, value: float, unit: str, n: int, about: str = "") -> Quantity:
        """A number that was read off, such as a converter's step."""
        return cls(value, None, value, value, unit, n, about=about)

    @classmethod
    def mean(
        cls, value: float, standard_error: float, unit: str, n: int, *, dof: float = math.inf, about: str = ""
    ) -> Quantity:
        """An estimate whose error is Student's t: value +- t standard errors."""
        reach = student(_HIGH, dof) * standard_error
        return cls(value, standard_error, value - reach, value + reach, unit, n, dof, about)

    @classmethod
    def root(
        cls,
        square: float,
        standard_error: float,
        unit: str,
        n: int,
        *,
        dof: float = math.inf,
        skewed: bool = False,
        about: str = "",
    ) -> Quantity:
        """A standard deviation, from an unbiased estimate of its square with a Student error.

        The interval is the square's, cut at 0, and its root taken, which keeps its coverage. An estimate below 0, as a
        difference of variances may be, gives the value 0, and an interval as long as if it were. Where few and
        ``skewed`` values were squared, the logarithm of their mean square is nearer to Student's t than it is itself;
        so it is made of that, if 0 is far enough.
        """
        reach = student(_HIGH, dof) * standard_error
        if skewed and square > 2.0 * standard_error > 0.0:
            factor = math.exp(reach / square)
            return cls._of_square(square, square / factor, square * factor, unit, n, dof, about)
        return cls._of_square(square, square - reach, max(square, 0.0) + reach, unit, n, dof, about)

    @classmethod
    def spread(cls, variance: float, unit: str, n: int, *, dof: float, about: str = "") -> Quantity:
        """A standard deviation, from a variance of Gaussian readings with ``dof`` degrees of freedom (chi-square)."""
        low, high = dof * variance / chi_square(_HIGH, dof), dof * variance / chi_square(_LOW, dof)
        return cls._of_square(variance, low, high, unit, n, dof, about)

    @classmethod
    def component(
        cls,
        total: float,
        total_dof: float,
        noise: float,
        noise_dof: float,
        unit: str,
        n: int,
        *,
        share: float = 1.0,
        about: str = "",
    ) -> Quantity:
        """A standard deviation whose square is ``share * (total - noise)``, a difference of two mean squares.

        The interval is the modified large-sample one of F. A. Graybill and C.-M. Wang, J. Am. Stat. Assoc. 75, 869
        (1980), doi:10.1080/01621459.1980.10477565, in the form for differences of N. Ting et al., J. Stat. Comput.
        Simul. 35, 135 (1990), without its cross term: exact where either mean square is 0. A difference below 0 gives
        the value 0, and an interval as long as if it were.

        Args:
            total, noise: mean squares, distributed as chi-square over degrees of freedom.
            total_dof, noise_dof: their degrees of freedom; those of ``noise`` may be infinite.
            unit, n, about: see the class.
            share: factor on the difference.
        """
        below, above = _reaches(total, total_dof)
        noise_below, noise_above = _reaches(noise, noise_dof)
        middle = total - noise
        low = middle - math.hypot(below, noise_above)
        high = max(middle, 0.0) + math.hypot(above, noise_below)
        return cls._of_square(share * middle, share * low, share * high, unit, n, total_dof, about)

    @classmethod
    def share(cls, k: int, n: int, *, about: str = "") -> Quantity:
        """A probability, from k cases of n: Jeffreys' interval.

        L. D. Brown, T. T. Cai and A. DasGupta, Stat. Sci. 16, 101 (2001), doi:10.1214/ss/1009213286.
        """
        low = 0.0 if k == 0 else beta(_LOW, k + 0.5, n - k + 0.5)
        high = 1.0 if k == n else beta(_HIGH, k + 0.5, n - k + 0.5)
        p = k / n
        error = math.sqrt(max(p * (1 - p), 0.25 / n) / n)  # near 0 and 1 not below that of half a case
        return cls(p, error, low, high, "1", n, about=about)

    @classmethod
    def _of_square(cls, square: float, low: float, high: float, unit: str, n: int, dof: float, about: str) -> Quantity:
        value, low, high = (math.sqrt(max(x, 0.0)) for x in (square, low, high))
        return cls(value, (high - low) / (2.0 * student(_HIGH, math.inf)), low, high, unit, n, dof, about)

    @property
    def significant(self) -> bool:
        """True if the interval doesn't reach 0."""
        return self.low > 0.0 or self.high < 0.0

    def scaled(self, factor: float, unit: str) -> Quantity:
        """The same in another unit, ``factor`` > 0."""
        error = None if self.standard_error is None else factor * self.standard_error
        low, high = factor * self.low, factor * self.high
        return Quantity(factor * self.value, error, low, high, unit, self.n, self.dof, self.about)


@dataclass(frozen=True)
class Curve:
    """Measured values along an axis, or one a parameter.

    Args:
        values: any shape.
        unit: of the values.
        n: readings behind each.
        standard_error: of the shape of ``values``, or None.
        axis: (len(values),) what they are measured against, or None: parameters in their order.
        axis_unit: such as ``"weight"`` or ``"s"``.
        about: what it is.
    """

    values: Array
    unit: str
    n: int
    standard_error: Array | None = None
    axis: Array | None = None
    axis_unit: str = ""
    about: str = ""


@dataclass
class Findings:
    """What an estimator made of readings.

    Args:
        quantities, curves: by name.
        left_out: why a quantity isn't there, by name.
        warnings: what a user should know, a sentence each.
    """

    quantities: dict[str, Quantity] = field(default_factory=dict[str, Quantity])
    curves: dict[str, Curve] = field(default_factory=dict[str, Curve])
    left_out: dict[str, str] = field(default_factory=dict[str, str])
    warnings: list[str] = field(default_factory=list[str])

    def add(self, other: Findings) -> None:
        """Take over another's."""
        self.quantities |= other.quantities
        self.curves |= other.curves
        self.left_out |= other.left_out
        self.warnings += other.warnings


def combined(errors: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Standard error and degrees of freedom of a sum of independent terms, from those of each.

    F. E. Satterthwaite, Biometrics Bull. 2, 110 (1946), doi:10.2307/3002019.
    """
    square = sum(error**2 for error, _ in errors)
    fourth = sum(error**4 / dof for error, dof in errors)
    return math.sqrt(square), square**2 / fourth if fourth > 0 else errors[0][1]


def _reaches(square: float, dof: float) -> tuple[float, float]:
    """How far the chi-square interval of a mean square reaches below and above it."""
    if math.isinf(dof) or square <= 0:
        return 0.0, 0.0
    return square * (1.0 - dof / chi_square(_HIGH, dof)), square * (dof / chi_square(_LOW, dof) - 1.0)


def spread_dof(values: Array, *, fitted: int = 0) -> float:
    """Degrees of freedom of the mean square of n independent values, from their own kurtosis.

    ``2 (n - fitted) / (kurtosis - 1)``, so that their mean square has the variance that a chi-square of so many has: G.
    E. P. Box, Biometrika 40, 318 (1953), doi:10.1093/biomet/40.3-4.318. Never more than Gaussian values would have: a
    few values from a heavy tail often look lighter than it is.

    Args:
        values: (n,), of mean 0, or with ``fitted`` parameters of theirs taken off.
        fitted: such as 1 for values less their own mean.
    """
    free = len(values) - fitted
    second = float(np.square(values).mean())
    if second <= 0.0:
        return float(free)
    # The factor makes it 3 in the mean for Gaussian values.
    kurtosis = float((values**4).mean()) / second**2 * (free + 2) / free
    return 2.0 * free / (max(kurtosis, 3.0) - 1.0)


def successive_dof(n: int) -> float:
    """Degrees of freedom of half the mean square successive difference of n Gaussian readings.

    Its variance is ``sigma^4 (3n - 4) / (n - 1)^2``: J. von Neumann et al., Ann. Math. Stat. 12, 153 (1941),
    doi:10.1214/aoms/1177731746.
    """
    return 2.0 * (n - 1) ** 2 / (3 * n - 4) if n > 2 else 1.0


def half_square_steps(series: Array) -> Array:
    """``1/2 mean_t (y_(t+1) - y_t)^2`` along axis 0: variance of what is new from one reading to the next."""
    return 0.5 * np.square(np.diff(series, axis=0)).mean(axis=0)
