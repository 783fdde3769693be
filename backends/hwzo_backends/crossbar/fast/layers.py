"""The tiles of any layer, vector by vector: for layers that aren't dense, cells that aren't linear, and nodes."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from hwzo.parameters import Array
from hwzo_backends.crossbar.fast.columns import converted, read_columns, take_roots
from hwzo_backends.crossbar.fast.compiler import F, Floats, Integers, Number, U, Words, compiled
from hwzo_backends.crossbar.fast.products import WIDTH, product
from hwzo_backends.crossbar.fast.random import fill_normals, seed_lanes
from hwzo_backends.crossbar.noise import Stream

STRIP = 256
"""Vectors that are read in one go: what they need then stays in the second cache."""
_Scalar = TypeVar("_Scalar", np.float32, np.float64)
_NODES = U(Stream.NODES)


@compiled
def seed_nodes(seed: Number, events: Integers, lanes: Words) -> None:
    """Fill lanes (K, 4 LANES) with the first state of each event's column noise."""
    for k in range(events.size):
        seed_lanes(seed, _NODES, events[k], lanes[k])


@compiled
def _row(array: NDArray[_Scalar], k: int) -> NDArray[_Scalar]:
    """Evaluation k's row of (K or 1, ...)."""
    return array[k if array.shape[0] > 1 else 0]


@compiled
def _drive(signal: Array, first: int, levels: Number, x: Floats) -> None:
    """Vectors ``first`` on of signal (vectors, rows) through the row converters into x (rows + 1, width), padded."""
    n_rows, padded = x.shape
    lsb = F(1.0) / levels if levels > F(0.0) else F(1.0)
    count = min(padded, signal.shape[0] - first)
    for b in range(count):
        for i in range(n_rows - 1):
            x[i, b] = converted(F(signal[first + b, i]), levels, lsb)
    for i in range(n_rows - 1):
        for b in range(count, padded):
            x[i, b] = F(0.0)
    x[n_rows - 1] = F(1.0)


@compiled
def read_layer(
    k0: int,
    k1: int,
    lanes: Words,
    signal: Array,
    weights: Floats,
    variances: Floats,
    second: Floats,
    third: Floats,
    edges: Integers,
    node_variance: Number,
    dac_levels: Number,
    adc_levels: Number,
    adc_lsb: Number,
    slice_scale: float,
    sums: Array,
) -> None:
    """Add what a layer's columns make of a signal in evaluations k0 to k1 to ``sums`` (K, vectors, outputs) float64.

    Args:
        k0, k1: which.
        lanes: (K, 4 LANES), where each one's noise stands; they move on.
        signal: (K or 1, vectors, rows) float64, before the row converters and without the bias row.
        weights: (K or 1, rows + 1, outputs).
        variances, second, third: likewise: variance of the white noise, coefficients of x^2 and x^3; or empty.
        edges: rows where the tiles begin, and where the last one ends.
        node_variance: of a whole column's own noise. dac_levels, adc_levels, adc_lsb: see `converted`.
        slice_scale: factor on the digitised sum.
    """
    n_rows, n_out = weights.shape[1], weights.shape[2]
    n_vectors, n_tiles = signal.shape[1], edges.size - 1
    width = min(STRIP, -(-n_vectors // WIDTH) * WIDTH)
    white = variances.size > 0
    noisy = white or node_variance > F(0.0)
    bent, cubic = second.size > 0, third.size > 0
    x = np.empty((n_rows, width), dtype=np.float32)
    squares, cubes = np.empty((n_rows, width), dtype=np.float32), np.empty((n_rows, width), dtype=np.float32)
    mean, part = np.empty((n_out, width), dtype=np.float32), np.empty((n_out, width), dtype=np.float32)
    flat_sd, flat_normals = np.zeros(n_out * width, dtype=np.float32), np.zeros(n_out * width, dtype=np.float32)
    sd, normals = flat_sd.reshape((n_out, width)), flat_normals.reshape((n_out, width))
    total = np.empty((n_out, width), dtype=np.float32)
    nothing = np.zeros(max(n_out, width), dtype=np.float32)
    for k in range(k0, k1):
        for first in range(0, n_vectors, width):
            _drive(_row(signal, k), first, dac_levels, x)
            for i in range(n_rows):
                for b in range(width):
                    squares[i, b] = x[i, b] * x[i, b]
                    cubes[i, b] = squares[i, b] * x[i, b]
            for tile in range(n_tiles):
                start, stop = edges[tile], edges[tile + 1]
                product(_row(weights, k), x, start, stop, mean)
                if bent:
                    product(_row(second, k), squares, start, stop, part)
                    mean[:] = mean + part
                if cubic:
                    product(_row(third, k), cubes, start, stop, part)
                    mean[:] = mean + part
                if noisy:
                    fill_normals(lanes[k], flat_normals)
                if white:
                    product(_row(variances, k), squares, start, stop, sd)
                    take_roots(flat_sd, node_variance / F(n_tiles))
                else:
                    sd[:] = np.sqrt(node_variance / F(n_tiles))
                read_columns(total, tile == 0, mean, sd, normals, nothing, nothing, nothing, adc_levels, adc_lsb)
            for b in range(min(width, n_vectors - first)):
                for j in range(n_out):
                    sums[k, first + b, j] += slice_scale * np.float64(total[j, b])
