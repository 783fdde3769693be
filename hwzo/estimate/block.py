"""The block estimator: how the losses of a population vary with its displacements."""

from __future__ import annotations

import numpy as np

from hwzo.estimate.population import centre, check_population, resolved_variance
from hwzo.parameters import Array


def block(
    displacements: Array, losses: Array, *, read_error_variance: float = 0.0, variance: float | None = None
) -> Array:
    """Gradient from N readings, each compared with the mean of all of them::

        g = sum_n (L_n - mean L) (D_n - mean D) / ((N - 1) s2)

    with s2 the mean over the parameters of the variance of D. Dividing by N - 1 makes it the average over n of
    comparing L_n with the mean of the others, which is unbiased (Kool, van Hoof and Welling, "Buy 4 REINFORCE samples,
    get a baseline for free!", https://openreview.net/forum?id=r1lgTGL5DE); the population gradient itself is that of
    Salimans et al., https://arxiv.org/abs/1703.03864.

    With independent displacements of equal variance it is unbiased up to third-order terms of the loss, and
    ``cos(g, true) = 1 / sqrt(1 + P (1 + q^2) (1 + r^2) / N)``, where q = sd(loss reading) / (sd(D) |true|) and
    r = sd(read error) / sd(D).

    Outside its domain: with unequal or correlated variances it follows (covariance of D / s2) times the gradient, the
    natural gradient of the search distribution, not the gradient: see `least_squares`. Slow noise makes neighbouring
    readings alike: see `difference`. Of ``walsh`` directions, some columns of which are alike in all readings of a
    step, it loses those parameters; of ``coordinate`` directions, whose mean isn't 0, it loses the gradient's mean over
    the parameters: use `antithetic` or `forward`.

    Args:
        displacements: (N, n_params), weight units, as commanded or as read back; N >= 2.
        losses: (N,).
        read_error_variance: variance of the error in each element of ``displacements``, weight units squared.
        variance: s2 where it is known beforehand (scale^2 times `hwzo.directions.second_moment`); else it is measured,
            which for directions alike in all parameters keeps the scale exact.

    Returns:
        (n_params,), loss per weight unit.

    Raises:
        ConfigError: shapes, or fewer than two readings.
        CapabilityError: no displacement is left once the read error is taken off.
    """
    check_population(displacements, losses, least=2, estimator="block")
    degrees = len(losses) - 1
    centred, rounding = centre(displacements)
    if variance is None:
        measured = float(np.vdot(centred, centred)) / (degrees * centred.shape[1])
        variance = resolved_variance(measured, read_error_variance, rounding, degrees * centred.shape[1])
    else:
        variance = resolved_variance(variance, 0.0)
    return ((losses - losses.mean()) / (degrees * variance)) @ centred
