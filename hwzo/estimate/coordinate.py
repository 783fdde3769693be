"""Finite differences along single parameters."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hwzo.errors import CapabilityError
from hwzo.parameters import Array


def coordinate_differences(
    indices: NDArray[np.int64], scales: Array, losses: Array, n_params: int, *, paired: bool = False
) -> Array:
    """Slope of the loss along each parameter that was displaced alone, by least squares::

        g_i = sum_n c_n (L_n - L_0) / sum_n c_n^2,        over the readings n of parameter i

    with L_0 the first, undisplaced reading; of pairs each reading's partner is what it is compared with, in c_n and
    L_n. It costs no array of displacements.

    Outside its domain: the first reading's noise is in every forward difference alike; pairs are free of it.

    Args:
        indices: (N,) the parameter that each reading displaced.
        scales: (N,) by how much, weight units; 0 for a baseline.
        losses: (N,).
        n_params: number of parameters.
        paired: readings 2i and 2i + 1 are of one parameter.

    Returns:
        (n_params,), loss per weight unit; 0 where nothing was displaced.

    Raises:
        CapabilityError: nothing was displaced.
    """
    if paired:
        indices, scales, losses = indices[0::2], scales[0::2] - scales[1::2], losses[0::2] - losses[1::2]
        first = 0.0
    else:
        first = losses[0]
    squares = np.bincount(indices, scales * scales, n_params)
    if not squares.any():
        raise CapabilityError("nothing was displaced: command a scale above 0")
    products = np.bincount(indices, scales * (losses - first), n_params)
    return np.divide(products, squares, out=np.zeros(n_params), where=squares > 0)
