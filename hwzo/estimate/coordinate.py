"""Finite differences along single parameters."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hwzo.errors import CapabilityError
from hwzo.parameters import Array


def coordinate_differences(indices: NDArray[np.int64], scales: Array, losses: Array, n_params: int) -> Array:
    """Slope of the loss along each parameter that was displaced alone, by least squares through the first reading::

        g_i = sum_n c_n (L_n - L_0) / sum_n c_n^2,        over the readings n of parameter i

    which is the forward difference of a parameter with one reading beside an undisplaced first one, and the central
    difference of one with a pair at +c and -c, of which L_0 drops out. It costs no array of displacements.

    Outside its domain: the first reading's noise is in every forward difference alike; pairs are free of it.

    Args:
        indices: (N,) the parameter that each reading displaced.
        scales: (N,) by how much, weight units; 0 for a baseline.
        losses: (N,).
        n_params: number of parameters.

    Returns:
        (n_params,), loss per weight unit; 0 where nothing was displaced.

    Raises:
        CapabilityError: nothing was displaced.
    """
    squares = np.bincount(indices, scales * scales, n_params)
    if not squares.any():
        raise CapabilityError("nothing was displaced: command a scale above 0")
    products = np.bincount(indices, scales * (losses - losses[0]), n_params)
    return np.divide(products, squares, out=np.zeros(n_params), where=squares > 0)
