"""IR drop: what wires of some resistance leave of the conductances of a tile; quickly, or as `nodal` solves it.

Conventions are those of `nodal`. Two cases have a solution in closed form, a recursion along a ladder of resistors:

- columns of 0 ohm: each row by itself. From node j on there are ``K_j = g_j + K_(j+1) / (1 + r K_(j+1))``, and
  the voltage there is ``a_j = a_(j-1) / (1 + r K_j)`` of the input. So T = G a.
- rows of 0 ohm: each column by itself, and by reciprocity the same recursion from the amplifier up: T = G b.

To second order in the resistances T differs from G a b by sneak currents only: from a driven row into a column, from
there up into the wire of another row, and down again in a third column. With the mean conductance g of the tile for the
cells on that way::

    T = a b (G + g q / (1 - q)),    q = (1 - a) (1 - b)

which sums the higher orders as a tile of equal cells does, where T = G / (1/a + 1/b - 1). What sneaks to a cell hardly
depends on its own conductance: in a differential pair it cancels, but for the difference of the two arrays.

Errors against `nodal` on tiles of 16 x 16 to 256 x 256, of equal resistance along rows and columns, in percent of the
drop G - T (rms of the rms, largest of the largest); the worst of uniform, normal and uneven weights, as
``python benchmarks/ir_drop.py`` measures them (docs/physics-wires.md)::

    g_max, segments     mean drop      T, rms   T, largest   weights, rms   weights, largest
     25 uS, 0.35 ohm    0.03 to 16 %    0.5      0.5          0.2            0.4
     25 uS, 2 ohm       0.2  to 51 %    1.8      2.0          0.5            1.3
    200 uS, 0.35 ohm    0.2  to 59 %    2.1      2.4          0.6            1.5
    200 uS, 5 ohm       3    to 94 %    2.8      3.9          1.6            3.3
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Literal, Protocol

import numpy as np

from hwzo.errors import ConfigError
from hwzo.parameters import Array
from hwzo_backends.crossbar.nodal import check_tile, effective_conductances

EXACT_LIMIT = 16 * 256**4
"""Most work of exact solves each time that cells change: ``max(N, M) min(N, M)^3``, summed over arrays."""


def attenuation(g: Array, r_row_ohm: float, r_column_ohm: float) -> Array:
    """Attenuation a b (..., N, M) of each cell's current, from 0 to 1: T is about G a b, but for sneak currents.

    Exact if one of the resistances is 0. Falls with every conductance and either resistance.

    Args:
        g: (..., N, M) conductances, siemens, at least 0.
        r_row_ohm, r_column_ohm: resistance of a segment, ohm, at least 0.

    Raises:
        ConfigError: a value is negative or not finite, or ``g`` has fewer than two axes.
    """
    along_rows, along_columns = _ladders(g, r_row_ohm, r_column_ohm)
    return along_rows * along_columns


def approximate_conductances(g: Array, r_row_ohm: float, r_column_ohm: float) -> Array:
    """Effective conductances (..., N, M), siemens, sneak currents included; arguments as for `attenuation`."""
    along_rows, along_columns = _ladders(g, r_row_ohm, r_column_ohm)
    return g * along_rows * along_columns + _sneaked(g, along_rows, along_columns)


def _sneaked(g: Array, along_rows: Array, along_columns: Array) -> Array:
    """The part of the effective conductances that isn't a cell's own."""
    mean: Array = g.mean(axis=(-2, -1), keepdims=True)
    passed = along_rows * along_columns
    rest = np.maximum(along_rows + along_columns - passed, np.finfo(float).tiny)  # 1 - q; 0 in wires that pass nothing
    return mean * passed * ((1.0 - along_rows) * (1.0 - along_columns) / rest)


def _ladders(g: Array, r_row_ohm: float, r_column_ohm: float) -> tuple[Array, Array]:
    check_tile(g, r_row_ohm, r_column_ohm)
    along_rows = np.moveaxis(_ladder(np.moveaxis(g, -1, 0), r_row_ohm), 0, -1)
    along_columns = np.moveaxis(_ladder(np.moveaxis(g, -2, 0)[::-1], r_column_ohm)[::-1], 0, -2)
    # In one layout, or everything that follows is slower.
    return np.ascontiguousarray(along_rows), np.ascontiguousarray(along_columns)


def _ladder(g: Array, ohm: float) -> Array:
    """Voltages (n, ...) along ladders of resistors driven with 1 V before the first of the rungs g (n, ...)."""
    g = np.ascontiguousarray(g)
    voltages = np.empty_like(g)
    seen = np.zeros(g.shape[1:])
    for rung, passed in zip(g[::-1], voltages[::-1], strict=True):
        seen += rung
        np.multiply(seen, ohm, out=passed)
        passed += 1.0
        np.reciprocal(passed, out=passed)
        seen *= passed
    return np.multiply.accumulate(voltages, axis=0, out=voltages)


class TiledLayer(Protocol):
    """How a layer is cut into tiles, as `tiles.LayerTiles` says: (start, stop) of each row and column of tiles."""

    @property
    def rows(self) -> tuple[tuple[int, int], ...]:
        """Rows of the layer's matrix, its bias the last one."""
        ...

    @property
    def columns(self) -> tuple[tuple[int, int], ...]:
        """Columns of the layer's matrix."""
        ...


class Wires:
    """The wires of all tiles of a device.

    A layer's block of pairs (rows, columns) is cut as `TiledLayer` says; the positive and the negative members of
    the pairs of a tile are two arrays of the same shape, each with wires of its own, and so is every bit slice. Row
    ``start`` of a tile is the one furthest from the amplifiers, column ``start`` the one nearest to the sources.

    Args:
        layers: how the weights lie on tiles.
        n_slices: bit slices, laid one after another.
        r_row_ohm, r_column_ohm: resistance of a segment, ohm.
        g_unit_siemens: what the conductances are given in: 1e-6 for microsiemens.
        method: by `attenuation`, or by solving Kirchhoff's equations.

    Raises:
        ConfigError: a resistance is out of range, or the exact solve would take too long.
    """

    def __init__(
        self,
        layers: Sequence[TiledLayer],
        n_slices: int,
        r_row_ohm: float,
        r_column_ohm: float,
        g_unit_siemens: float,
        method: Literal["fast", "exact"],
    ) -> None:
        check_tile(np.zeros((1, 1)), r_row_ohm, r_column_ohm)
        self._n_slices = n_slices
        self._unit = g_unit_siemens
        self._ohm = (r_row_ohm, r_column_ohm)
        self._exact = method == "exact"
        self._layers = tuple(layers)
        if self._exact:
            self._check_work()

    def _check_work(self) -> None:
        sizes = [
            (rows[1] - rows[0], columns[1] - columns[0])
            for layer in self._layers
            for rows, columns in product(layer.rows, layer.columns)
        ]
        work = 2 * self._n_slices * sum(max(size) * min(size) ** 3 for size in sizes)
        if work > EXACT_LIMIT:
            raise ConfigError(
                f"ir_drop=exact: {2 * self._n_slices * len(sizes)} arrays of up to {max(sizes)[0]} x {max(sizes)[1]} "
                f"cells take {work / EXACT_LIMIT:.1f} times the work that is allowed each time that cells change, "
                "16 arrays of 256 x 256 (15 to 30 s); use ir_drop=fast, or smaller tiles",
                key="ir_drop",
            )

    def effective(self, conductances: Array) -> Array:
        """Factors (2, slices * n), 0 to 1, by which wires reduce the current of every cell.

        They give each pair the weight that its two effective conductances stand for. What sneaks to both cells alike
        cancels there, and is left out of both: the weaker cell has its `attenuation`, the stronger what makes their
        difference right. The difference that two arrays' sneak currents leave in a pair of cells of nearly 0 is lost.

        Args:
            conductances: (2, slices * n) of the positive and the negative cells, in units of ``g_unit_siemens``.
        """
        pairs = conductances.reshape(2, self._n_slices, -1)
        factors = np.empty(pairs.shape)
        start = 0
        for layer in self._layers:
            n_rows, n_columns = layer.rows[-1][1], layer.columns[-1][1]
            stop = start + n_rows * n_columns
            shape = (2, self._n_slices, n_rows, n_columns)
            cells = pairs[:, :, start:stop].reshape(shape)
            slots = factors[:, :, start:stop].reshape(shape)  # a view: only the last axis is divided
            for rows, columns in product(layer.rows, layer.columns):
                tile = (..., slice(*rows), slice(*columns))
                slots[tile] = self._factors(cells[tile] * self._unit)
            start = stop
        return factors.reshape(conductances.shape)

    def _factors(self, g: Array) -> Array:
        """The same for one tile: (2, slices, rows, columns), siemens."""
        along_rows, along_columns = _ladders(g, *self._ohm)
        factors = along_rows * along_columns
        own = g * factors
        if self._exact:
            effective = np.stack([[effective_conductances(a, *self._ohm) for a in member] for member in g])
            sneaked: Array = effective - own
        else:
            sneaked = _sneaked(g, along_rows, along_columns)
        weaker = np.argmin(g, axis=0, keepdims=True)
        own += sneaked
        own -= np.take_along_axis(sneaked, weaker, axis=0)
        np.divide(own, g, out=factors, where=g > 0.0)
        return np.clip(factors, 0.0, 1.0, out=factors)
