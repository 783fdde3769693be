"""Curves: the forms that the published laws of cells have. Each works in the float type that it is given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np

from hwzo.parameters import Array
from hwzo_backends.crossbar.preset import Curve, TimeCurve

SMALLEST = 1e-9  # relative conductance whose logarithm stands for that of anything less, 0 included


def constant(value: float) -> Curve:
    """The same everywhere."""
    return lambda x: np.full_like(x, value)


def polynomial(*coefficients: float, scale: float = 1.0) -> Curve:
    """``c0 + c1 r + c2 r^2 + ...`` with r = x / scale."""

    def curve(x: Array) -> Array:
        r = x / scale
        total = np.full_like(r, coefficients[-1])
        for c in coefficients[-2::-1]:
            total *= r
            total += c
        return total

    return curve


def logarithmic(slope: float, offset: float, low: float, high: float) -> Curve:
    """``slope ln x + offset``, kept between low and high."""

    def curve(x: Array) -> Array:
        line = np.log(np.maximum(x, SMALLEST))
        line *= slope
        line += offset
        return np.clip(line, low, high)

    return curve


def piecewise(threshold: float, below: Curve, above: Curve) -> Curve:
    """One law for x < threshold, another one from there on."""
    return lambda x: np.where(x < threshold, below(x), above(x))


def saturating(height: float, width: float) -> Curve:
    """``height (1 - exp(-x / width))``."""
    return lambda x: -height * np.expm1(x / -width)


def held(curve: Curve, low: float, high: float) -> Curve:
    """``curve`` between low and high, where it was fitted, and its values at these ends beyond."""
    return lambda x: curve(np.clip(x, low, high))


def between(times: Sequence[float], curves: Sequence[Curve], *, logarithm: bool) -> TimeCurve:
    """``curves`` at those ages (seconds), linear in the age or in its logarithm between, constant outside."""
    knots: Array = np.asarray(times, dtype=np.float64)
    if logarithm:
        knots = np.log(knots)

    def law(x: Array, age: Array) -> Array:
        position = np.log(age) if logarithm else age
        total: Array = np.zeros(np.broadcast_shapes(np.shape(x), np.shape(age)))
        for index, curve in enumerate(curves):
            share = cast(Array, np.interp(position, knots, np.eye(len(knots))[index]))
            if share.any():  # most ages lie between two of the times: the other curves aren't needed
                total = total + share * curve(x)
        return total

    return law
