r"""Resistive wires of a crossbar, solved exactly from Kirchhoff's current law.

A tile has N rows and M columns. Row i is driven at its left end; column j ends, below the last row, in an amplifier
that holds it at 0 V. A segment of ``r_row_ohm`` lies before every cell of a row (the first one between source and
cell), one of ``r_column_ohm`` after every cell of a column (the last one between cell and amplifier)::

    v_0 --r_row--+-----r_row--+----- ...     + a node of a row's wire, o one of a column's
                  \            \
                  G_00         G_01          the cells between them
                    \            \
                     o            o
                   r_col        r_col
    v_1 --r_row--+---|-r_row--+---|- ...
                  \  |         \  |
                  G_10         G_11
                    \|           \|
                     o            o
                   r_col        r_col
                     |            |
                    0 V          0 V         currents I_0, I_1, ...

Currents are linear in the voltages, I = V T: wires turn the conductances G into effective ones, T. These are the
conventions of badcrossbar (D. Joksas and A. Mehonic, SoftwareX 12, 100617 (2020), doi:10.1016/j.softx.2020.100617).
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np

from hwzo.errors import ConfigError
from hwzo.parameters import Array


def effective_conductances(g: Array, r_row_ohm: float, r_column_ohm: float) -> Array:
    """Effective conductances T (N, M) of a tile, siemens: currents are V T.

    The 2NM node voltages are eliminated a row of cells at a time. With u the voltages along the wire of row i, w those
    of the columns at its height and G = diag(g_i), Kirchhoff's law on the row wire reads ``B u = e_0 v + r_row G w``,
    where ``B = tridiag(-1, 2, -1) + r_row G`` but for a 1 in place of the last 2. Without u, row i is coupled to the
    rows above it through ``E_i = 2 + r_column (G - r_row G B^-1 G) - E_(i-1)^-1`` (1 in place of 2 for i = 0), which
    is symmetric and positive definite. Written in resistances, all this holds for wires of 0 ohm too.

    A direct solve, like a sparse LU factorisation of the nodal matrix, and three times as fast where every row is to
    be driven: about ``3 max(N, M) min(N, M)^3`` multiplications, 1 to 2 s for 256 x 256.

    Args:
        g: (N, M) conductances, siemens, at least 0.
        r_row_ohm, r_column_ohm: resistance of a segment, ohm, at least 0.

    Raises:
        ConfigError: a value is negative or not finite, or ``g`` is not a matrix.
    """
    check_tile(g, r_row_ohm, r_column_ohm)
    if g.ndim != 2:
        raise ConfigError(f"conductances of shape {g.shape}: should be a matrix, rows x columns", key="g")
    if (
        g.shape[1] > g.shape[0]
    ):  # reciprocity: driven at the columns' ends, with 0 V at the rows', it's the same network
        return _turn(effective_conductances(_turn(g), r_column_ohm, r_row_ohm))
    from scipy import linalg  # pyright: ignore[reportMissingTypeStubs]

    n, m = g.shape
    identity = np.eye(m)
    above = np.zeros((m, m))  # E_(i-1)^-1; there is no wire above the first row
    band = np.full((2, m), -1.0)  # of B: above its diagonal, and the diagonal
    currents = np.empty((m, n))  # that flow down the columns below row i, for each of the rows driven so far
    for i, row in enumerate(g):
        band[1] = 2.0 + r_row_ohm * row
        band[1, -1] -= 1.0
        # SciPy refuses a band of one number.
        inverse = cast(Array, cast(Any, linalg).solveh_banded(band, identity)) if m > 1 else 1.0 / band[1:]
        e: Array = (-r_column_ohm * r_row_ohm) * row[:, None] * inverse * row - above
        e[np.diag_indices(m)] += r_column_ohm * row + (2.0 if i else 1.0)
        above = np.linalg.inv(e)
        currents[:, i] = row * inverse[:, 0]
        currents[:, : i + 1] = above @ currents[:, : i + 1]
    return np.transpose(currents)


def _turn(g: Array) -> Array:
    """The tile as seen from its columns' ends: they become the rows, driven at the left."""
    return np.transpose(g[::-1, ::-1])


def check_tile(g: Array, r_row_ohm: float, r_column_ohm: float) -> None:
    """Refuse what isn't a network of resistors.

    Raises:
        ConfigError: a conductance or resistance is negative or not finite, or there are no cells.
    """
    for name, ohm in (("r_row_ohm", r_row_ohm), ("r_column_ohm", r_column_ohm)):
        if not 0.0 <= ohm < np.inf:
            raise ConfigError(f"{name}={ohm}: a wire's resistance should be 0 ohm or more, and finite", key="wire_ohm")
    if g.ndim < 2 or g.size == 0:
        raise ConfigError(f"conductances of shape {g.shape}: should be rows x columns, at least 1 x 1", key="g")
    if not (g.min() >= 0.0 and g.max() < np.inf):
        raise ConfigError(f"conductances from {g.min()} to {g.max()} S: should be 0 or more, and finite", key="g")
