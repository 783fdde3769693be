"""Weights as a probe displaces them, from the random bits of its direction; the same bits as `hwzo.directions`."""

from __future__ import annotations

import numpy as np

from hwzo.directions import STREAMS
from hwzo_backends.crossbar.fast.compiler import F, Floats, Integers, Number, U, Words, compiled
from hwzo_backends.crossbar.fast.random import sign_bits

LAW_CODES = {"rademacher": STREAMS["rademacher"], "rank1-sign": STREAMS["rank1-sign"]}
"""The laws whose directions kernels make."""
RADEMACHER, RANK1 = LAW_CODES["rademacher"], LAW_CODES["rank1-sign"]


@compiled
def sign_count(law: int, sizes: Integers) -> int:
    """Random bits that a direction takes; sizes: units of each layer, inputs first."""
    bits = 0
    for layer in range(sizes.size - 1):
        n_in, n_out = sizes[layer], sizes[layer + 1]
        bits += n_in + 2 * n_out if law == RANK1 else (n_in + 1) * n_out
    return bits


@compiled
def _signed(scale: Number, word: Number, bit: int) -> Number:
    """+scale where the bit is set, else -scale."""
    return F(np.int32(U(U(U(word >> U(bit)) & U(1)) << U(1))) - np.int32(1)) * scale


@compiled
def displace_each(weights: Floats, scale: Number, words: Words, held: Floats) -> None:
    """``held`` (n,) = weights (n,) + scale signs, a bit each."""
    whole = weights.size // 32
    before, after = weights[: 32 * whole].reshape((whole, 32)), held[: 32 * whole].reshape((whole, 32))
    for i in range(whole):
        word = words[i]
        for bit in range(32):
            after[i, bit] = before[i, bit] + _signed(scale, word, bit)
    for i in range(32 * whole, weights.size):
        held[i] = weights[i] + _signed(scale, words[i >> 5], i & 31)


@compiled
def displace_rank1(weights: Floats, scale: Number, signs: Floats, held: Floats) -> None:
    """``held`` (n_in + 1, n_out) = weights + scale (u v^T, and s in the last row), with ``signs`` u, v, s in a row."""
    n_in, n_out = weights.shape[0] - 1, weights.shape[1]
    v, s = signs[n_in : n_in + n_out], signs[n_in + n_out :]
    for i in range(n_in):
        factor = scale * signs[i]
        for j in range(n_out):
            held[i, j] = weights[i, j] + factor * v[j]
    for j in range(n_out):
        held[n_in, j] = weights[n_in, j] + scale * s[j]


@compiled
def displace(
    weights: Floats,
    scale: Number,
    law: int,
    key: Number,
    step: int,
    counter: int,
    sizes: Integers,
    first: int,
    words: Words,
    signs: Floats,
    held: Floats,
) -> None:
    """``held`` (n_params,) = weights (n_params,) + scale direction(key, step, counter).

    Of a rank-1 direction only from layer ``first`` on; ``signs`` then begin with u, v and s of every layer in a row.
    """
    sign_bits(key, step, counter, U(law), words)
    if law == RADEMACHER:
        displace_each(weights, scale, words, held)
        return
    placed = taken = 0
    for i in range(sign_count(law, sizes)):
        signs[i] = _signed(F(1.0), words[i >> 5], i & 31)
    for layer in range(sizes.size - 1):
        n_in, n_out = sizes[layer], sizes[layer + 1]
        size = (n_in + 1) * n_out
        if layer >= first:
            displace_rank1(
                weights[placed : placed + size].reshape((n_in + 1, n_out)),
                scale,
                signs[taken : taken + n_in + 2 * n_out],
                held[placed : placed + size].reshape((n_in + 1, n_out)),
            )
        placed += size
        taken += n_in + 2 * n_out
