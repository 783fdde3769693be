"""Whether a device is still what its profile says: quantities compared, with a stated rate of false alarms."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from hwzo.noise.holm import rejected
from hwzo.noise.quantiles import student_tail
from hwzo.noise.quantity import Quantity

ALPHA = 0.01
"""Chance that a check of a device which hasn't changed finds anything moved, over all its comparisons together."""

CHECKED = frozenset({"loss", "read error", "parameters", "nodes", "ends", "programming"})
"""Measurements that a check repeats: those that are cheap for what they tell."""
SHARE = 0.5
"""How often they are repeated, of the usual."""


@dataclass(frozen=True)
class Comparison:
    """One quantity, then and now.

    Args:
        name: of the quantity.
        before, now: as measured.
        standard_errors: how far apart they are, in standard errors of their difference; infinite where numbers that are
            read off differ.
        p: chance of that or more if nothing changed.
        moved: whether p is below what Holm's procedure allows.
    """

    name: str
    before: Quantity
    now: Quantity
    standard_errors: float
    p: float
    moved: bool


def not_compared(before: Mapping[str, Quantity], left_out: Mapping[str, str]) -> list[str]:
    """Quantities that a budget left out of a check.

    Args:
        before: what the profile holds.
        left_out: why quantities, or whole families such as ``node_noise_sd``, weren't measured this time, by name.
    """
    return [name for name in before if name in left_out or name.partition("/")[0] in left_out]


def compare(before: Mapping[str, Quantity], now: Mapping[str, Quantity], *, alpha: float = ALPHA) -> list[Comparison]:
    """Compare what both have, in the order of ``before``.

    Each difference is held against Student's t with the lesser degrees of freedom; spreads well above 0 are compared by
    their logarithms, whose errors are nearer to Gaussian. The chance of any false alarm is ``alpha``, see
    `hwzo.noise.holm`.
    """
    shared = [name for name in before if name in now]
    told = {name: _difference(before[name], now[name]) for name in shared}
    moved = rejected({name: p for name, (_, p) in told.items()}, alpha)
    return [Comparison(name, before[name], now[name], *told[name], name in moved) for name in shared]


def _difference(a: Quantity, b: Quantity) -> tuple[float, float]:
    """(standard errors, p) of two measurements of one quantity."""
    if a.standard_error is None or b.standard_error is None:
        same = math.isclose(a.value, b.value, rel_tol=1e-6, abs_tol=1e-12)
        return (0.0, 1.0) if same else (math.inf, 0.0)
    dof = min(a.dof, b.dof)
    spread = a.low > 0 and b.low > 0 and a.unit != "1"
    if spread:
        errors = [q.standard_error / q.value for q in (a, b) if q.standard_error is not None]
        difference = abs(math.log(b.value / a.value))
    else:
        errors = [a.standard_error, b.standard_error]
        difference = abs(b.value - a.value)
    error = math.hypot(*errors)
    if error == 0.0:
        return (0.0, 1.0) if difference == 0.0 else (math.inf, 0.0)
    return difference / error, student_tail(difference / error, dof)
