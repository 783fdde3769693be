"""The antithetic estimator: readings in opposite pairs."""

from __future__ import annotations

import numpy as np

from hwzo.errors import ConfigError
from hwzo.estimate.population import check_population, resolved_variance
from hwzo.parameters import Array


def antithetic(
    displacements: Array, losses: Array, *, read_error_variance: float = 0.0, variance: float | None = None
) -> Array:
    """Gradient from K = N/2 pairs of readings, rows 2i and 2i + 1 displaced in opposite senses::

        d_i = (D_2i - D_2i+1) / 2,   g = sum_i d_i (L_2i - L_2i+1) / (2 K s2)

    with s2 the mean square of d over pairs and parameters. For +-c z with Rademacher z this is SPSA, the mean of
    (L+ - L-) / (2c) z (Spall 1992, https://doi.org/10.1109/9.119632). It is written in the displacements so that it
    holds for a pair as read back too.

    What is of even order in the loss cancels when the two are exactly opposite; on a quadratic it has no bias at all.
    cos(g, true) is sqrt(K / (K + P - 1)) for Rademacher, sqrt(K / (K + P + 1)) for Gaussian and sqrt(K / P) for
    orthogonal directions.

    Outside its domain: a reading spent on a pair is no better than one spent on a `block`; under noise that isn't read
    back the two of a pair are not opposite, and s2 must not be taken from the commanded displacement.

    Args:
        displacements: (2K, n_params), weight units.
        losses: (2K,).
        read_error_variance: variance of the error in each element of ``displacements``, weight units squared.
        variance: s2 where it is known beforehand (scale^2 times `hwzo.directions.second_moment`), else measured.

    Returns:
        (n_params,), loss per weight unit.

    Raises:
        ConfigError: shapes, no pair, or a reading without its partner.
        CapabilityError: no displacement is left once the read error is taken off.
    """
    check_population(displacements, losses, least=2, estimator="antithetic")
    if len(losses) % 2:
        raise ConfigError(f"antithetic: readings come in pairs, got {len(losses)}", key="probes")
    halves = 0.5 * (displacements[0::2] - displacements[1::2])
    pairs = len(halves)
    if variance is None:
        # Half the difference of two readings has half the variance of one reading's error.
        variance = resolved_variance(
            float(np.vdot(halves, halves)) / halves.size, 0.5 * read_error_variance, degrees=halves.size
        )
    else:
        variance = resolved_variance(variance, 0.0)
    return ((losses[0::2] - losses[1::2]) / (2.0 * pairs * variance)) @ halves
