"""How well the loss repeats: from reading to reading, and from write to write."""

from __future__ import annotations

import math

import numpy as np

from hwzo.errors import MeasurementError
from hwzo.noise.jackknife import jackknife
from hwzo.noise.quantiles import student_tail
from hwzo.noise.quantity import Findings, Quantity, half_square_steps, spread_dof, successive_dof
from hwzo.noise.setup import Raw, Setup
from hwzo.parameters import Array

STARTS = 3
FEWEST = 8
READS = 4  # of each write
ALPHA = 1e-3
"""Chance of a warning about a loss that doesn't move."""


def take_response(setup: Setup, repeats: int) -> Raw:
    """``losses`` (STARTS, repeats) at parameters that have nothing to do with each other; the last are theta.

    Raises:
        MeasurementError: the loss is the same number whatever is programmed: the device is dead.
    """
    rows: list[Array] = []
    for at in range(STARTS):
        setup.device.program(setup.theta if at == STARTS - 1 else setup.levels(f"response {at}"))
        rows.append(setup.evaluate(repeats).losses)
    losses = np.stack(rows)
    if losses.size > 1 and np.ptp(losses) == 0.0:
        raise MeasurementError(
            f"{setup.device.info} gives the loss {losses[0, 0]:g} whatever is programmed, {STARTS} times: it seems "
            "dead; check its supply, its reference voltages and what it is fed with"
        )
    return {"losses": losses}


def response(losses: Array) -> Findings:
    """A warning if the loss moves no more between starts than between readings of one (Fisher's F, in logarithms)."""
    found = Findings()
    if losses.shape[1] < 2:  # nothing tells its noise
        return found
    between, within = float(losses.mean(axis=1).var(ddof=1)), float(losses.var(axis=1, ddof=1).mean())
    within /= losses.shape[1]
    if within > 0 and _f_tail(between / within, len(losses) - 1, losses.size - len(losses)) > ALPHA:
        found.warnings.append(
            "the loss can't be seen to answer to the parameters: between unrelated starts it moves no more than by its "
            "noise"
        )
    return found


def take(setup: Setup, readings: int) -> Raw:
    """``losses`` (readings,) in a row, of a device that holds theta."""
    setup.device.program(setup.theta)
    return {"losses": setup.evaluate(readings).losses}


def estimate(losses: Array) -> Findings:
    """``loss_noise_sd`` and ``loss_noise_excess_kurtosis``; a warning if the loss drifts meanwhile.

    The sd is made of successive differences, so that a drift of the loss doesn't count as noise (J. von Neumann et al.,
    Ann. Math. Stat. 12, 153 (1941)). Kurtosis is Fisher's G2 of what remains of a straight line, with the error that
    Gaussian readings give it (D. N. Joanes and C. A. Gill, Statistician 47, 183 (1998)), or that of the jackknife over
    readings where it is larger: from heavy tails it strays further. So does the sd, whose variance has
    3 + G2 terms where Gaussian readings have 3.

    Args:
        losses: (n,) consecutive readings.
    """
    found = Findings()
    n = len(losses)
    if n < FEWEST:
        reason = f"{n} readings; at least {FEWEST} are needed"
        found.left_out = {"loss_noise_sd": reason, "loss_noise_excess_kurtosis": reason}
        return found
    variance = float(half_square_steps(losses))
    t = np.arange(n) - 0.5 * (n - 1)
    slope = float(t @ losses / (t @ t))
    rest = losses - losses.mean() - slope * t
    second = float(np.square(rest).mean())
    exact = second <= 1e-24 * max(1.0, float(np.square(losses).mean()))
    g2 = 0.0 if exact else float((rest**4).mean()) / second**2 - 3.0
    kurtosis = (n - 1) / ((n - 2) * (n - 3)) * ((n + 1) * g2 + 6.0)
    dof = successive_dof(n) * 3.0 / (3.0 + max(kurtosis, 0.0))
    about = "sd of one loss reading of one minibatch, at fixed parameters; slow drift not counted"
    found.quantities["loss_noise_sd"] = Quantity.spread(variance, "loss", n, dof=dof, about=about)
    if exact:
        found.left_out["loss_noise_excess_kurtosis"] = "the loss repeats exactly"
        return found
    gaussian = math.sqrt(24.0 * n * (n - 1) ** 2 / ((n - 3) * (n - 2) * (n + 3) * (n + 5)))
    unit = rest / math.sqrt(second)
    own = jackknife(np.stack([unit, unit**2, unit**3, unit**4], axis=1), _excess_kurtosis, unbiased=False)
    se, dof = max((gaussian, math.inf), (float(own.standard_error), own.dof))
    about = "Fisher's G2 of the loss noise; 0 for a Gaussian"
    found.quantities["loss_noise_excess_kurtosis"] = Quantity.mean(kurtosis, se, "1", n, dof=dof, about=about)
    slope_se = math.sqrt(variance / float(t @ t))
    if slope_se > 0 and student_tail(slope / slope_se, n - 2) < ALPHA:
        found.warnings.append(
            f"the loss moved by {slope * (n - 1):.3g} +- {slope_se * (n - 1):.2g} while it was read {n} times at fixed "
            "parameters: the device drifts, or its noise is slow"
        )
    return found


def _excess_kurtosis(m: Array) -> float:
    """From the mean first to fourth powers."""
    mean, square, cube, fourth = (float(value) for value in m)
    central = fourth - 4.0 * mean * cube + 6.0 * mean**2 * square - 3.0 * mean**4
    return central / (square - mean**2) ** 2 - 3.0


def take_rewrites(setup: Setup, writes: int) -> Raw:
    """``losses`` (writes, READS) after writing theta again and again, each time from somewhere else.

    A device that verifies what it writes would leave alone what is right already: its writes would hang together.
    """
    rows: list[Array] = []
    for at in range(writes):
        setup.device.program(setup.levels(f"rewrites {at}"))
        setup.device.program(setup.theta)
        rows.append(setup.evaluate(READS).losses)
    return {"losses": np.stack(rows)}


def rewrites(losses: Array) -> Findings:
    """``loss_rewrite_sd``: what writing the same parameters anew does to the loss, beyond the noise of reading it.

    Analysis of variance of one random factor: the mean square between writes less that within, over the readings of a
    write. The loss isn't linear in what writing does to the parameters, so that neither need be Gaussian: degrees of
    freedom follow from their kurtosis.

    Args:
        losses: (writes, readings), writes >= 3.
    """
    writes, reads = losses.shape
    means = losses.mean(axis=1) - losses.mean()
    rest = losses - losses.mean(axis=1, keepdims=True)
    between = reads * float(np.square(means).sum()) / (writes - 1)
    within = float(np.square(rest).sum()) / (writes * (reads - 1))
    about = "sd of the loss from write to write of the same parameters, noise of reading taken off"
    sd = Quantity.component(
        between,
        spread_dof(means, fitted=1),
        within,
        spread_dof(rest.ravel(), fitted=writes),
        "loss",
        losses.size,
        share=1 / reads,
        about=about,
    )
    return Findings({"loss_rewrite_sd": sd})


def _f_tail(f: float, numerator: int, denominator: int) -> float:
    from scipy import special  # pyright: ignore[reportMissingTypeStubs]

    return float(special.fdtrc(numerator, denominator, f))
