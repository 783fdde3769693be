"""The forward estimator: every reading against one undisplaced baseline."""

from __future__ import annotations

import numpy as np

from hwzo.estimate.population import check_population, resolved_variance
from hwzo.parameters import Array


def forward(displacements: Array, losses: Array, *, variance: float | None = None) -> Array:
    """Gradient from a baseline reading, the first, and N - 1 displaced ones::

        g = sum_n (L_n - L_0) (D_n - D_0) / ((N - 1) s2),   n = 1 .. N - 1

    with s2 the mean square of D_n - D_0. This is multiplexed gradient descent's G += (C - C0) theta / |dtheta|^2,
    averaged over its integration time (McCaughan et al., APL Mach. Learn. 1, 026118, 2023).

    Outside its domain: curvature biases L_n - L_0 by a constant, and the baseline's reading error enters every term
    alike; both multiply the mean of D, which falls as 1/sqrt(N) only. Where a population of two or more is read anyhow,
    `block` is better: it takes its baseline from all of them. Displacements read back with an error share D_0's:
    use `block` for those.

    Args:
        displacements: (N, n_params), weight units; row 0 is the baseline's, 0 where nothing was commanded. N >= 2.
        losses: (N,).
        variance: s2 where it is known beforehand (scale^2 times `hwzo.directions.second_moment`), else measured.

    Returns:
        (n_params,), loss per weight unit.

    Raises:
        ConfigError: shapes, or no displaced reading.
        CapabilityError: nothing was displaced.
    """
    check_population(displacements, losses, least=2, estimator="forward")
    moved: Array = displacements[1:] - displacements[0]
    if variance is None:
        variance = float(np.vdot(moved, moved)) / moved.size
    variance = resolved_variance(variance, 0.0)
    return ((losses[1:] - losses[0]) / (len(moved) * variance)) @ moved
