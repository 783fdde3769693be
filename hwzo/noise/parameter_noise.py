"""Noise of the parameters themselves, from evaluation to evaluation: its size, a parameter each."""

from __future__ import annotations

import math

import numpy as np

from hwzo.noise.jackknife import GROUPS, jackknife
from hwzo.noise.quantity import Curve, Findings, Quantity, combined, successive_dof
from hwzo.noise.read_error import resolution, unclipped, with_rounding
from hwzo.noise.setup import Raw, Setup
from hwzo.parameters import Array

FEWEST = 8
STRETCH = 2
"""Least steps in a stretch of time that is left out at once. Few and long ones would leave the error so few degrees of
freedom that a short look couldn't tell a device that changed."""
LEAST_GROUPS = 4


def take(setup: Setup, evaluations: int) -> Raw:
    """``realised`` (evaluations, n) float32: theta as each of so many evaluations in a row realised it, read back.

    ``seconds`` (1,) is what one evaluation took on the device's clock, 0 where it has none.
    """
    setup.device.program(setup.theta)
    part = max(1, min(evaluations, setup.device.capabilities.max_probes, 2**24 // setup.theta.size))
    rows = np.empty((evaluations, setup.theta.size), dtype=np.float32)
    seconds = 0.0
    for start in range(0, evaluations, part):
        stop = min(start + part, evaluations)
        readings = setup.evaluate(stop - start, "weights")
        assert readings.realised is not None
        rows[start:stop] = readings.realised
        seconds += readings.cost.device_seconds
    return {"realised": rows, "seconds": np.array([seconds / evaluations])}


def estimate(realised: Array, reads: Array) -> Findings:
    """``parameter_noise_sigma``: rms over the parameters of what is new in each evaluation; and each one's own.

    Half the mean square difference of successive readings, less the read-back's mean square error. Slow noise counts by
    how much it moves from one evaluation to the next. The standard error is by the jackknife over stretches of time,
    since parameters may differ in their noise, or share it. Squares of neighbouring differences share a reading, and
    for white Gaussian noise have a correlation of 1/4, which raises the variance of their mean by 1.5; what of that
    lies between stretches of m differences the jackknife doesn't see, and a factor 1.5 / (1 + (1 - 1/m) / 2) puts back.

    Args:
        realised: (evaluations, n), weight units, in order.
        reads: (repeats, n) of one state, weight units, of the same device.
    """
    found = Findings()
    if len(realised) < FEWEST:
        found.left_out["parameter_noise_sigma"] = f"{len(realised)} evaluations; at least {FEWEST} are needed"
        return found
    step = resolution(reads)
    steps = 0.5 * np.square(np.diff(realised.astype(np.float64), axis=0))
    inside = unclipped(realised)
    read = jackknife(
        np.var(reads[:, unclipped(reads)], axis=0, ddof=1)[:, None], lambda row: with_rounding(float(row[0]), step)
    )
    groups = min(len(steps), GROUPS, max(LEAST_GROUPS, len(steps) // STRETCH))
    seen = jackknife(steps[:, inside].mean(axis=1)[:, None], lambda row: row[0], groups=groups, contiguous=True)
    square = float(seen.value - read.value)
    between = math.sqrt(1.5 / (1.5 - 0.5 * groups / len(steps)))
    error, dof = combined([(between * float(seen.standard_error), seen.dof), (float(read.standard_error), read.dof)])
    about = "rms over the parameters of the noise that is new in each evaluation, read error taken off"
    found.quantities["parameter_noise_sigma"] = Quantity.root(
        square, error, "weight", realised.size, dof=dof, about=about
    )
    new = steps.mean(axis=0)
    own = np.sqrt(np.maximum(new - float(read.value), 0.0))
    error_square = new * np.sqrt(2.0 / successive_dof(len(realised)))
    floor = np.maximum(own, np.sqrt(0.5 * error_square))  # near 0 the root's error isn't its derivative's
    found.curves["parameter_noise_sigma_each"] = Curve(
        own, "weight", len(realised), 0.5 * error_square / np.maximum(floor, 1e-300), about=about
    )
    return found
