"""The least-squares estimator: the smallest gradient that explains the losses."""

from __future__ import annotations

import numpy as np

from hwzo.errors import ConfigError
from hwzo.estimate.population import centre, check_population, resolved_variance
from hwzo.parameters import Array


def least_squares(displacements: Array, losses: Array, *, damping: float = 1e-2) -> Array:
    """Gradient from N readings by damped linear regression of the losses on the displacements, both centred::

        g = Dc^T (Dc Dc^T + damping tr(Dc Dc^T) / N I)^-1 (L - mean L)

    which is ridge regression solved in the N readings instead of the n_params parameters: one N x N system. Regression
    gradients in derivative-free optimisation: Berahas et al. 2021, https://arxiv.org/abs/1905.01332.

    It asks nothing of the displacements' distribution, so it is the best of the estimators here under unequal,
    common-mode or correlated noise. With N < n_params it finds the gradient's projection on the span of the
    displacements, so for isotropic ones the estimate is shrunk by about (N - 1) / n_params and
    cos(g, true) = sqrt((N - 1) / n_params).

    Outside its domain: the shrinking makes its size wrong for a gradient (Adam doesn't mind, plain SGD does); reading
    errors in D and noise in L are fitted too, most of all near N = n_params: raise the damping there.

    Args:
        displacements: (N, n_params), weight units; N >= 2.
        losses: (N,).
        damping: what is added to the diagonal, in units of the mean eigenvalue of Dc Dc^T; above 0.

    Returns:
        (n_params,), loss per weight unit.

    Raises:
        ConfigError: shapes, fewer than two readings, or a damping that isn't above 0.
        CapabilityError: nothing was displaced.
    """
    check_population(displacements, losses, least=2, estimator="least_squares")
    if not damping > 0:
        raise ConfigError(f"damping = {damping:g} must be above 0; 0.01 is usual", key="damping")
    centred, rounding = centre(displacements)
    gram: Array = np.matmul(centred, np.transpose(centred))
    mean_variance = resolved_variance(float(np.trace(gram)) / centred.size, 0.0, rounding)
    gram[np.diag_indices_from(gram)] += damping * mean_variance * centred.shape[1]
    spread: Array = losses - losses.mean()
    return np.matmul(np.linalg.solve(gram, spread), centred)
