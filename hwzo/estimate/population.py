"""What every estimator asks of the displacements and losses it is given."""

from __future__ import annotations

import numpy as np

from hwzo.errors import CapabilityError, ConfigError
from hwzo.parameters import Array

ROUNDING = 1e-24
"""Square of the relative difference below which two float64 numbers are taken as equal."""


def check_population(displacements: Array, losses: Array, *, least: int, estimator: str) -> None:
    """Check the shapes (N, n_params) and (N,), and that N is enough.

    Raises:
        ConfigError: shapes that don't belong together, or fewer than ``least`` readings.
    """
    if displacements.ndim != 2 or losses.shape != displacements.shape[:1]:
        raise ConfigError(
            f"{estimator}: displacements (N, n_params) and losses (N,) don't fit: "
            f"got {displacements.shape} and {losses.shape}"
        )
    if len(losses) < least:
        raise ConfigError(
            f"{estimator}: needs at least {least} readings to compare, got {len(losses)}; ask for more probes a step",
            key="probes",
        )


def centre(displacements: Array) -> tuple[Array, float]:
    """Displacements (N, n_params) less their mean, and the mean square that rounding alone may leave of equal ones."""
    mean: Array = displacements.mean(axis=0)
    return displacements - mean, ROUNDING * float(np.vdot(mean, mean)) / mean.size


UNRESOLVED = 0.05
"""Relative error of a measured variance below which nothing left of it is no accident."""


def resolved_variance(measured: float, read_error: float, rounding: float = 0.0, degrees: int = 0) -> float:
    """The displacements' own mean variance: what was measured less what the read error adds to it.

    Of few displacements in few parameters that difference may be anything, below 0 too. It is taken as no less than the
    standard error of what was measured, sqrt(2 / degrees) of it, so that an unlucky step is as wrong as it must be and
    no worse.

    Args:
        measured: mean variance of the displacements as read, weight units squared.
        read_error: how much of it is the read error's.
        rounding: how much of it the arithmetic itself may have left.
        degrees: of freedom that it was measured with; 0: it is exact.

    Raises:
        CapabilityError: nothing is left, so there is nothing to divide by.
        ConfigError: the read error's variance is negative.
    """
    if not read_error >= 0:
        raise ConfigError(f"read_error_variance = {read_error:g} can't be negative", key="read_error_variance")
    error = (2.0 / degrees) ** 0.5 if degrees and read_error else 0.0
    chance = error > UNRESOLVED and read_error < (1.0 + 4.0 * error) ** 3 * measured
    left = max(measured - read_error, error * measured) if chance else measured - read_error
    if not left > 0 or measured <= rounding:
        if measured <= rounding:
            raise CapabilityError(
                "the readings were not displaced against each other, so their losses hold no gradient; "
                "add a commanded perturbation, or use a device whose parameter noise changes between readings"
            )
        raise CapabilityError(
            f"the displacements' mean variance as read, {measured:.3g}, is not above what the read error accounts for, "
            f"{read_error:.3g}: this noise is below what reading can resolve; average more reads, "
            "add a commanded perturbation, or use a loss-only method"
        )
    return left
