"""K probes of one state of a dense network, evaluated in one call: a loop over probes that don't depend on each other.

What a probe draws is a function of its own event and direction, so that any split of the K probes, over calls, threads
or processes, gives the same bits. An array of K rows of parameters is never built. Floating-point arrays are float32,
batches are padded to a multiple of `WIDTH` samples.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hwzo.parameters import Array
from hwzo_backends.crossbar.fast.columns import activate, mean_loss, read_columns, square, take_roots
from hwzo_backends.crossbar.fast.compiler import F, Floats, Integers, Number, U, compiled
from hwzo_backends.crossbar.fast.displacements import RANK1, displace, sign_count
from hwzo_backends.crossbar.fast.products import product
from hwzo_backends.crossbar.fast.random import LANES, add_normals, fill_normals, seed_lanes
from hwzo_backends.crossbar.noise import Stream

_NODES, _PARAMETERS = U(Stream.NODES), U(Stream.PARAMETERS)


class Layout(NamedTuple):
    """A dense network on its tiles.

    Args:
        sizes: (L + 1,) units of each layer, inputs first.
        edges: rows where each layer's tiles begin, and where its last one ends, layer by layer.
        starts: (L + 1,) where each layer's edges begin, and where the last one's end.
    """

    sizes: Integers
    edges: Integers
    starts: Integers


class Periphery(NamedTuple):
    """What stands around the tiles; codes and converters as in `columns`, node_variance of a whole column."""

    node_variance: Number
    dac_levels: Number
    adc_levels: Number
    adc_lsb: Number
    activation: int


class Cells(NamedTuple):
    """The weights, which all probes have in common, and their noise.

    Args:
        weights: (n_params,).
        variances: (n_params,) of each one's white noise; empty without any.
        relative: of displaced weights, relative^2 ((w + d)^2 - w^2) is added to that; 0: it doesn't follow.
        sigma: sd of a displacement of each weight, constant in an evaluation, drawn from `Stream.PARAMETERS`.
    """

    weights: Floats
    variances: Floats
    relative: Number
    sigma: Number


class Samples(NamedTuple):
    """The batch.

    Args:
        x: (inputs + 1, batch) after the row converters, the last row 1.
        n: number of samples, without the padding.
        loss: code as in `columns`.
        classes: (n,) or empty.
        values: (outputs, n) or empty.
    """

    x: Floats
    n: int
    loss: int
    classes: Integers
    values: Floats


class Population(NamedTuple):
    """The probes: law (code), key and step of their directions; counters, scales, and numbers of their noise, (K,)."""

    law: int
    key: Number
    step: int
    counters: Integers
    scales: Array
    events: Integers
    seed: Number


class Shared(NamedTuple):
    """What probes with rank-1 directions have in common, (tiles, outputs, batch) of the first layer: partial sums, and
    standard deviations of their noise, without the displacement. Empty: nothing.
    """

    means: Floats
    sds: Floats


@compiled
def share(cells: Cells, layout: Layout, periphery: Periphery, x: Floats, shared: Shared) -> None:
    """Fill ``shared``."""
    n_tiles, n_out, padded = shared.means.shape
    n_rows = x.shape[0]
    block = cells.weights[: n_rows * n_out].reshape((n_rows, n_out))
    squares = np.empty(x.shape, dtype=np.float32)
    square(x, squares)
    for tile in range(n_tiles):
        start, stop = layout.edges[tile], layout.edges[tile + 1]
        product(block, x, start, stop, shared.means[tile])
        if cells.variances.size > 0:
            product(cells.variances[: n_rows * n_out].reshape((n_rows, n_out)), squares, start, stop, shared.sds[tile])
        else:
            shared.sds[tile] = F(0.0)
        take_roots(shared.sds[tile].reshape(n_out * padded), periphery.node_variance / F(n_tiles))


@compiled
def _follow(
    block: Floats,
    sd0: Floats,
    x: Floats,
    start: int,
    stop: int,
    factor: Number,
    scale: Number,
    signs: Floats,
    sd: Floats,
) -> None:
    """Standard deviations of a tile whose noise follows a rank-1 displacement c (u v^T), without building the matrix.

    sum_i x_i^2 (w_ij + c u_i v_j)^2 = sum_i x_i^2 w_ij^2 + 2 c v_j sum_i x_i^2 u_i w_ij + c^2 sum_i x_i^2, times
    ``factor``; the bias row, driven by 1, has signs s_j of its own. ``sd0`` holds the undisplaced sd.
    """
    n_in, n_out, padded = block.shape[0] - 1, sd.shape[0], sd.shape[1]
    signed = np.empty(x.shape, dtype=np.float32)
    length = np.zeros(padded, dtype=np.float32)
    for i in range(start, stop):
        sign = signs[i] if i < n_in else F(1.0)
        for b in range(padded):
            power = x[i, b] * x[i, b]
            length[b] += power
            signed[i, b] = sign * power
    product(block, signed, start, min(stop, n_in), sd)
    for j in range(n_out):
        cross = F(2.0) * scale * signs[n_in + j]
        bias = F(2.0) * scale * signs[n_in + n_out + j] * block[n_in, j] if stop > n_in else F(0.0)
        for b in range(padded):
            variance = sd0[j, b] * sd0[j, b] + factor * (cross * sd[j, b] + bias + scale * scale * length[b])
            sd[j, b] = np.sqrt(F(0.0) if variance < F(0.0) else variance)


@compiled
def evaluate(
    k0: int,
    k1: int,
    population: Population,
    cells: Cells,
    layout: Layout,
    periphery: Periphery,
    samples: Samples,
    shared: Shared,
    losses: Array,
) -> None:
    """Mean losses of probes k0 to k1, into ``losses`` (K,) float64."""
    sizes, relative, sigma = layout.sizes, cells.relative, cells.sigma
    n_layers, padded, n_params = sizes.size - 1, samples.x.shape[1], cells.weights.size
    lean, white, follows = shared.means.size > 0, cells.variances.size > 0, relative > F(0.0)
    law, levels, lsb = population.law, periphery.adc_levels, periphery.adc_lsb
    rows = widest = 0
    for layer in range(n_layers):
        rows, widest = max(rows, sizes[layer] + 1), max(widest, sizes[layer + 1])
    lanes = np.empty(4 * LANES, dtype=np.uint32)
    n_signs = sign_count(law, sizes)
    words = np.empty((n_signs + 127) // 128 * 4, dtype=np.uint32)
    signs = np.zeros(max(n_signs if law == RANK1 else 0, sizes[0] + 2 * sizes[1]), dtype=np.float32)
    displaced = np.empty(n_params, dtype=np.float32)
    followed = np.empty(n_params if follows else 0, dtype=np.float32)
    flat_mean = np.empty(widest * padded, dtype=np.float32)
    flat_sd = np.empty(widest * padded, dtype=np.float32)
    flat_normals = np.empty(widest * padded, dtype=np.float32)
    flat_total = np.empty(widest * padded, dtype=np.float32)
    activities = np.empty((rows, padded), dtype=np.float32)
    squares = np.empty((rows, padded), dtype=np.float32)
    along = np.zeros((1, padded), dtype=np.float32)
    nothing = np.zeros(max(widest, padded), dtype=np.float32)
    scale = np.zeros(widest, dtype=np.float32)
    shift = np.zeros(widest, dtype=np.float32)
    for k in range(k0, k1):
        c = F(population.scales[k])
        held, variances = cells.weights, cells.variances
        if c != F(0.0):
            counter = population.counters[k]
            first = 1 if lean else 0
            displace(held, c, law, population.key, population.step, counter, sizes, first, words, signs, displaced)
            held = displaced
        elif sigma > F(0.0):
            displaced[:] = held
            held = displaced
        if sigma > F(0.0):
            seed_lanes(population.seed, _PARAMETERS, population.events[k], lanes)
            add_normals(lanes, sigma, displaced)
        if follows and (c != F(0.0) or sigma > F(0.0)):
            for i in range((sizes[0] + 1) * sizes[1] if lean else 0, n_params):
                w, d = cells.weights[i], displaced[i]
                followed[i] = variances[i] + relative * relative * (d * d - w * w)
            variances = followed
        seed_lanes(population.seed, _NODES, population.events[k], lanes)
        placed, x = 0, samples.x
        for layer in range(n_layers):
            n_in, n_out = sizes[layer], sizes[layer + 1]
            size, n_weights = n_out * padded, (n_in + 1) * n_out
            block = held[placed : placed + n_weights].reshape((n_in + 1, n_out))
            mean, sd = flat_mean[:size].reshape((n_out, padded)), flat_sd[:size].reshape((n_out, padded))
            normals, total = flat_normals[:size].reshape((n_out, padded)), flat_total[:size].reshape((n_out, padded))
            edge, n_tiles = layout.starts[layer], layout.starts[layer + 1] - layout.starts[layer] - 1
            node_variance = periphery.node_variance / F(n_tiles)
            if white and not (lean and layer == 0):
                square(x, squares)
            for tile in range(n_tiles):
                start: Number = layout.edges[edge + tile]
                stop: Number = layout.edges[edge + tile + 1]
                fill_normals(lanes, flat_normals[:size])
                if lean and layer == 0:
                    for j in range(n_out):
                        scale[j] = c * signs[n_in + j]
                        shift[j] = c * signs[n_in + n_out + j] if stop > n_in else F(0.0)
                    if c != F(0.0):
                        product(signs[:n_in].reshape((n_in, 1)), x, start, min(stop, n_in), along)
                    if follows and c != F(0.0):
                        undisplaced = cells.weights[:n_weights].reshape((n_in + 1, n_out))
                        _follow(undisplaced, shared.sds[tile], x, start, stop, relative * relative, c, signs, sd)
                    spread = sd if follows and c != F(0.0) else shared.sds[tile]
                    read_columns(
                        total, tile == 0, shared.means[tile], spread, normals, scale, along[0], shift, levels, lsb
                    )
                    continue
                product(block, x, start, stop, mean)
                if white:
                    spread = variances[placed : placed + n_weights].reshape((n_in + 1, n_out))
                    product(spread, squares, start, stop, sd)
                    take_roots(flat_sd[:size], node_variance)
                else:
                    sd[:] = np.sqrt(node_variance)
                read_columns(total, tile == 0, mean, sd, normals, nothing, nothing, nothing, levels, lsb)
            if layer + 1 < n_layers:
                x = activities[: n_out + 1]
                activate(total, periphery.activation, periphery.dac_levels, x)
                x[n_out] = F(1.0)
            placed += n_weights
        outputs = flat_total[: sizes[n_layers] * padded].reshape((sizes[n_layers], padded))
        losses[k] = mean_loss(outputs, samples.n, samples.loss, samples.classes, samples.values)
