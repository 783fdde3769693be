"""Drift: how what was written fades."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from hwzo.noise.jackknife import jackknife
from hwzo.noise.quantity import Curve, Findings, Quantity
from hwzo.noise.setup import Raw, Setup
from hwzo.parameters import Array

EMULATED_AGES = (1e3, 1e4, 1e5)
"""Seconds after the write, on a device whose time can be let pass. Ages well above a cell's own t0, which the host
doesn't know, so that it doesn't matter."""
DUST = 1e-12
"""Relative error of a mean magnitude by rounding: on a device that is exact it is all there is."""
WAITED_AGES = (2.0, 6.0, 18.0)
"""The same where it has to be waited for."""


def take(setup: Setup, reads: int, ages: tuple[float, ...]) -> Raw:
    """``values`` (ages, n) weight units, means of so many reads of one write; ``ages`` (ages,) s; ``levels`` (n,)."""
    levels = setup.levels("drift")
    setup.device.program(levels)
    written = setup.clock()
    seen: list[float] = []
    values: list[Array] = []
    for age in ages:
        setup.wait(max(0.0, age - (setup.clock() - written)))
        seen.append(float(f"{setup.clock() - written:.9g}"))  # a clock's last bits depend on where it began
        values.append(setup.device.read(reads).mean(axis=0))
        setup.progress()
    return {"values": np.stack(values), "ages": np.array(seen), "levels": levels}


def estimate(values: Array, ages: Array, levels: Array, working: NDArray[np.bool_]) -> Findings:
    """``drift_exponent``: nu of a mean magnitude that goes as age^-nu.

    It is the exponent of the sum of magnitudes, what a common factor could compensate: V. Joshi et al., Nat. Commun.
    11, 2473 (2020), doi:10.1038/s41467-020-16108-9; fitted as a straight line through logarithms. Magnitudes are taken
    along what was written, so that noise has no mean.

    Args:
        values, ages, levels: as `take` gives them.
        working: (n,) parameters that follow what is written.
    """
    found = Findings()
    along: Array = np.stack([row[working] for row in values * np.sign(levels)], axis=1)  # (n, ages)
    if len(along) < 2:
        found.left_out["drift_exponent"] = f"{len(along)} parameters that follow what is written; 2 are needed"
        return found
    x = np.log(ages) - np.log(ages).mean()
    weights = x / float(x @ x)

    def exponent(row: Array) -> Array:
        return -np.log(np.maximum(row, 1e-300)) @ weights

    level: Array = along.mean(axis=0)
    if (level <= 0).any():
        found.left_out["drift_exponent"] = "what was written can't be seen in what is read"
        return found
    value, error, dof = jackknife(along, exponent).scalars
    error = math.hypot(error, DUST / float(np.ptp(x)))
    about = f"nu of a mean magnitude that goes as age^-nu, between {ages[0]:.3g} and {ages[-1]:.3g} s"
    found.quantities["drift_exponent"] = Quantity.mean(value, error, "1", along.size, dof=dof, about=about)
    found.curves["mean_magnitude"] = Curve(
        level,
        "weight",
        len(along),
        along.std(axis=0, ddof=1) / np.sqrt(len(along)),
        ages,
        "s",
        "mean of the parameters along what was written, against age",
    )
    return found
