"""Numbers as a reader wants them: with their spread and their n, and in few digits."""

from __future__ import annotations

import math

import numpy as np

from hwzo.parameters import Array


def count(n: float) -> str:
    """A whole number with its thousands apart: ``6,877,888``."""
    return f"{round(n):,}"


def amount(value: float, unit: str) -> str:
    """A physical quantity with an SI prefix and four digits: ``10.67 mJ``; finite or not."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g} {unit}"
    power = min(4, max(-5, math.floor(math.log10(abs(value)) / 3)))
    prefix = ["f", "p", "n", "µ", "m", "", "k", "M", "G", "T"][power + 5]
    return f"{value / 1000.0**power:.4g} {prefix}{unit}"


def share(p: float, n: int) -> str:
    """A fraction p of n samples told right, with its binomial standard error sqrt(p (1 - p) / n).

    Where all or none are right that formula gives 0, which is no statement about the next sample; the count is given
    alone, and from 30 samples on the 95% bound 3/n beside it (the "rule of three").
    """
    if n < 1:
        return f"{p:.4f}"
    if 0 < p < 1:
        return f"{p:.4f} ± {share_error(p, n):.4f} (standard error; n = {n:,} samples)"
    sign = ("all wrong", "at most", 3 / n) if p <= 0 else ("all right", "at least", 1 - 3 / n)
    bound = f"; at 95% confidence {sign[1]} {sign[2]:.3f}" if n >= 30 else ""
    return f"{p:.4f} (n = {n:,} samples, {sign[0]}{bound})"


def share_error(p: float, n: int) -> float:
    """Binomial standard error of a fraction p of n samples."""
    return math.sqrt(max(p * (1 - p), 0.0) / n)


def with_error(value: float, error: float, digits: int = 1) -> str:
    """A value and its error in as many decimals as the error's leading digits need: ``0.0056 ± 0.0001``."""
    if not (math.isfinite(error) and error > 0):
        return f"{value:.4g}"
    decimals = max(0, digits - 1 - math.floor(math.log10(error)))
    return f"{value:.{decimals}f} ± {error:.{decimals}f}".replace("-", "\u2212")


def spread(values: Array) -> str:
    """Mean and standard deviation of values (n,), with the n: ``0.1332 ± 0.0021 (sd; n = 32)``."""
    n = values.size
    if n < 2:
        return f"{float(values.mean()):.4g} (n = {n})"
    sd = float(values.std(ddof=1))
    text = with_error(float(values.mean()), sd, 2)
    return f"{text} (sd; n = {n:,})" if sd > 0 else f"{text} in all n = {n:,}"


def mean(values: Array) -> str:
    """Mean of values (n,) with its standard error sd / sqrt(n), as if independent."""
    n = values.size
    return f"{with_error(float(values.mean()), float(values.std()) / math.sqrt(n))} (n = {n:,})"


def deviation(values: Array, about: float | None = None) -> str:
    """Standard deviation of values (n,) with its standard error sd / sqrt(2 n), as if normal and independent.

    Args:
        values: any shape.
        about: what deviations are taken from; None: the values' own mean.
    """
    n = values.size
    centre = float(values.mean()) if about is None else about
    sd = math.sqrt(float(np.mean(np.square(values - centre))))
    return f"{with_error(sd, sd / math.sqrt(2 * n))} (n = {n:,})"
