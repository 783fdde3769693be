"""K probes of one state of a dense network, evaluated in one call: a loop over probes that don't depend on each other.

What a probe draws is a function of its own event and direction, so that any split of the K probes, over calls, threads
or processes, gives the same bits. An array of K rows of parameters is never built. Floating-point arrays are float32,
batches are padded to a multiple of `WIDTH` samples.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hwzo.parameters import Array
from hwzo_backends.crossbar.fast.columns import activate, converted, mean_loss, read_columns, square, take_roots
from hwzo_backends.crossbar.fast.compiler import F, Floats, Integers, Number, U, compiled
from hwzo_backends.crossbar.fast.displacements import RANK1, displace_each, displace_rank1, make_signs, sign_count
from hwzo_backends.crossbar.fast.products import ROWS, WIDTH, add_product, product
from hwzo_backends.crossbar.fast.random import CHUNK, LANES, add_normals, fill_normals, seed_lanes
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
    """What stands around the tiles; codes and converters as in `columns`, node_variance of a whole column.

    ``gains``: (columns,) of all layers, factors on the digitised sums; or empty.
    """

    node_variance: Number
    dac_levels: Number
    adc_levels: Number
    adc_lsb: Number
    activation: int
    gains: Floats


class Cells(NamedTuple):
    """The weights, which all probes have in common, and their noise.

    Args:
        weights: (n_params,).
        additive: (n_params,) variance of each one's white noise; or empty.
        relative: further white noise, sd as a fraction of the weight.
        exact: whether that follows a displacement.
        sigma: sd of a displacement of each weight, constant in an evaluation, drawn from `Stream.PARAMETERS`.
    """

    weights: Floats
    additive: Floats
    relative: Number
    exact: bool
    sigma: Number


class Samples(NamedTuple):
    """The batch: inputs (n, inputs) float64, loss as a code, and classes (n,) or values (outputs, n), or empty."""

    inputs: Array
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


@compiled
def _drive(inputs: Array, levels: Number, x: Floats) -> None:
    """Inputs (n, rows) through the row converters into x (rows + 1, batch); the last row 1, the padding 0."""
    lsb = F(1.0) / levels if levels > F(0.0) else F(1.0)
    x[:] = F(0.0)
    for i in range(inputs.shape[1]):
        for b in range(inputs.shape[0]):
            x[i, b] = F(inputs[b, i])
        for b in range(x.shape[1]):
            x[i, b] = converted(x[i, b], levels, lsb)
    x[inputs.shape[1]] = F(1.0)


@compiled
def _spread(weights: Floats, additive: Floats, relative: Number, out: Floats) -> None:
    """Variances (n,) of weights (n,): additive, if not empty, and relative^2 w^2."""
    factor = relative * relative
    if additive.size > 0:
        for i in range(weights.size):
            out[i] = additive[i] + factor * weights[i] * weights[i]
    else:
        for i in range(weights.size):
            out[i] = factor * weights[i] * weights[i]


@compiled
def _share(
    cells: Cells, edges: Integers, node_variance: Number, x: Floats, squares: Floats, means: Floats, sds: Floats
) -> None:
    """What all probes with rank-1 directions have in common: the first layer's partial sums without displacement, and
    the standard deviations of their noise, (tiles, outputs, batch) each.
    """
    n_tiles, n_out, padded = means.shape
    means[:] = F(0.0)
    sds[:] = F(0.0)
    variances = np.empty(ROWS * n_out, dtype=np.float32)
    for tile in range(n_tiles):
        start: Number = edges[tile]
        stop: Number = edges[tile + 1]
        for row in range(start, stop, ROWS):
            rows = min(ROWS, stop - row)
            at, size = row * n_out, rows * n_out
            weights = cells.weights[at : at + size]
            add_product(weights.reshape((rows, n_out)), x, row, means[tile])
            if cells.additive.size > 0 or cells.relative > F(0.0):
                _spread(weights, cells.additive[at : at + size], cells.relative, variances[:size])
                add_product(variances[:size].reshape((rows, n_out)), squares, row, sds[tile])
        take_roots(sds[tile].reshape(n_out * padded), node_variance / F(n_tiles))


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
    lean: bool,
    losses: Array,
) -> None:
    """Mean losses of probes k0 to k1, into ``losses`` (K,) float64.

    ``lean``: directions are rank-1, or there are none, and sigma is 0: the first layer is shared by all probes.

    Weights are displaced, and their variances worked out, a few rows at a time just before those are multiplied: what
    is in the cache needn't be fetched again.
    """
    sizes, relative, sigma = layout.sizes, cells.relative, cells.sigma
    n_layers, padded = sizes.size - 1, -(-samples.inputs.shape[0] // WIDTH) * WIDTH
    white = cells.additive.size > 0 or relative > F(0.0)
    law, levels, lsb = population.law, periphery.adc_levels, periphery.adc_lsb
    highest = widest = 0
    for layer in range(n_layers):
        highest, widest = max(highest, sizes[layer] + 1), max(widest, sizes[layer + 1])
    lanes, own_lanes = np.empty(4 * LANES, dtype=np.uint32), np.empty(4 * LANES, dtype=np.uint32)
    rest = np.empty(CHUNK, dtype=np.float32)
    n_signs = sign_count(law, sizes)
    words = np.empty((n_signs + 127) // 128 * 4, dtype=np.uint32)
    signs = np.zeros(n_signs if law == RANK1 else 0, dtype=np.float32)
    displaced = np.empty(ROWS * widest, dtype=np.float32)
    variances = np.empty(ROWS * widest, dtype=np.float32)
    flat_mean, flat_sd = np.empty(widest * padded, dtype=np.float32), np.empty(widest * padded, dtype=np.float32)
    flat_normals, flat_total = np.empty(widest * padded, dtype=np.float32), np.empty(widest * padded, dtype=np.float32)
    activities = np.empty((highest, padded), dtype=np.float32)
    squares = np.empty((highest, padded), dtype=np.float32)
    along = np.zeros((1, padded), dtype=np.float32)
    nothing = np.zeros(max(widest, padded), dtype=np.float32)
    scale, shift = np.zeros(widest, dtype=np.float32), np.zeros(widest, dtype=np.float32)
    x0, squares0 = (
        np.empty((sizes[0] + 1, padded), dtype=np.float32),
        np.empty((sizes[0] + 1, padded), dtype=np.float32),
    )
    _drive(samples.inputs, periphery.dac_levels, x0)
    square(x0, squares0)
    n_shared = layout.starts[1] - 1 if lean else 0
    means = np.empty((n_shared, sizes[1], padded), dtype=np.float32)
    sds = np.empty((n_shared, sizes[1], padded), dtype=np.float32)
    if lean:
        _share(cells, layout.edges, periphery.node_variance, x0, squares0, means, sds)
    for k in range(k0, k1):
        c = F(population.scales[k])
        if c != F(0.0):
            make_signs(law, population.key, population.step, population.counters[k], words, signs)
        if sigma > F(0.0):
            seed_lanes(population.seed, _PARAMETERS, population.events[k], own_lanes)
        seed_lanes(population.seed, _NODES, population.events[k], lanes)
        left = placed = taken = column = 0
        x, xx = x0, squares0
        for layer in range(n_layers):
            n_in, n_out = sizes[layer], sizes[layer + 1]
            size = n_out * padded
            mean, sd = flat_mean[:size].reshape((n_out, padded)), flat_sd[:size].reshape((n_out, padded))
            normals, total = flat_normals[:size].reshape((n_out, padded)), flat_total[:size].reshape((n_out, padded))
            edge, n_tiles = layout.starts[layer], layout.starts[layer + 1] - layout.starts[layer] - 1
            node_variance = periphery.node_variance / F(n_tiles)
            for tile in range(n_tiles):
                start: Number = layout.edges[edge + tile]
                stop: Number = layout.edges[edge + tile + 1]
                fill_normals(lanes, flat_normals[:size])
                if lean and layer == 0:
                    spread = sds[tile]
                    if c != F(0.0):
                        for j in range(n_out):
                            scale[j] = c * signs[n_in + j]
                            shift[j] = c * signs[n_in + n_out + j] if stop > n_in else F(0.0)
                        product(signs[:n_in].reshape((n_in, 1)), x, start, min(stop, n_in), along)
                        if cells.exact and relative > F(0.0):
                            block = cells.weights[: (n_in + 1) * n_out].reshape((n_in + 1, n_out))
                            _follow(block, spread, x, start, stop, relative * relative, c, signs, sd)
                            spread = sd
                    else:
                        scale[:] = F(0.0)
                        shift[:] = F(0.0)
                    read_columns(total, tile == 0, means[tile], spread, normals, scale, along[0], shift, levels, lsb)
                    continue
                mean[:] = F(0.0)
                sd[:] = F(0.0)
                for row in range(start, stop, ROWS):
                    rows = min(ROWS, stop - row)
                    at, n = placed + row * n_out, rows * n_out
                    weights = cells.weights[at : at + n]
                    held = weights
                    if c != F(0.0) or sigma > F(0.0):
                        held = displaced[:n]
                        if c == F(0.0):
                            held[:] = weights
                        elif law == RANK1:
                            matrix, moved = weights.reshape((rows, n_out)), held.reshape((rows, n_out))
                            displace_rank1(matrix, c, signs[taken:], n_in, row, moved)
                        else:
                            displace_each(weights, c, words, at, held)
                        if sigma > F(0.0):
                            left = add_normals(own_lanes, rest, left, sigma, held)
                    add_product(held.reshape((rows, n_out)), x, row, mean)
                    if white:
                        additive = cells.additive[at : at + n]
                        if relative > F(0.0):
                            _spread(held if cells.exact else weights, additive, relative, variances[:n])
                            additive = variances[:n]
                        add_product(additive.reshape((rows, n_out)), xx, row, sd)
                take_roots(flat_sd[:size], node_variance)
                read_columns(total, tile == 0, mean, sd, normals, nothing, nothing, nothing, levels, lsb)
            if periphery.gains.size > 0:
                for j in range(n_out):
                    gain = periphery.gains[column + j]
                    for b in range(padded):
                        total[j, b] *= gain
            column += n_out
            if layer + 1 < n_layers:
                x = activities[: n_out + 1]
                activate(total, periphery.activation, periphery.dac_levels, x)
                x[n_out] = F(1.0)
                if white:
                    xx = squares[: n_out + 1]
                    square(x, xx)
            placed += (n_in + 1) * n_out
            taken += n_in + 2 * n_out
        outputs = flat_total[: sizes[n_layers] * padded].reshape((sizes[n_layers], padded))
        losses[k] = mean_loss(outputs, samples.inputs.shape[0], samples.loss, samples.classes, samples.values)
