"""The difference estimator: each reading against the one before it, for slow noise."""

from __future__ import annotations

import numpy as np

from hwzo.estimate.population import check_population, resolved_variance
from hwzo.parameters import Array


def difference(displacements: Array, losses: Array, *, read_error_variance: float = 0.0) -> Array:
    """Gradient from N readings in the order in which they were taken::

        g = sum_n (L_n+1 - L_n) (D_n+1 - D_n) / ((N - 1) s2),   n = 1 .. N - 1

    with s2 the mean square of D_n+1 - D_n. Differencing whitens displacements that wander, such as 1/f noise and drift,
    as first differences do in a regression on autocorrelated series (Cochrane and Orcutt,
    J. Am. Stat. Assoc. 44, 32, 1949), and whatever drifts slowly in the loss reading drops out.

    Outside its domain: for white displacements `block` is better, for there the differences of neighbours repeat each
    other (each reading enters two of them); white reading errors count twice.

    Args:
        displacements: (N, n_params), weight units, in order of time; N >= 2.
        losses: (N,).
        read_error_variance: variance of the error in each element of ``displacements``, weight units squared.

    Returns:
        (n_params,), loss per weight unit.

    Raises:
        ConfigError: shapes, or fewer than two readings.
        CapabilityError: no displacement is left once the read error is taken off.
    """
    check_population(displacements, losses, least=2, estimator="difference")
    steps = np.diff(displacements, axis=0)
    measured = float(np.vdot(steps, steps)) / steps.size
    variance = resolved_variance(measured, 2.0 * read_error_variance, degrees=steps.size)
    return (np.diff(losses) / (len(steps) * variance)) @ steps
