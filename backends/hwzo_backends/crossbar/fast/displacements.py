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
def make_signs(law: int, key: Number, step: int, counter: int, words: Words, signs: Floats) -> None:
    """Fill ``words`` with the random bits of a direction, and of a rank-1 one ``signs`` with u, v, s of each layer."""
    sign_bits(key, step, counter, U(law), words)
    for i in range(signs.size):
        signs[i] = _signed(F(1.0), words[i >> 5], i & 31)


@compiled
def displace_each(weights: Floats, scale: Number, words: Words, first: int, held: Floats) -> None:
    """``held`` (n,) = weights (n,) + scale signs, a bit each from bit ``first`` on."""
    n = weights.size
    head = min(n, -first % 32)
    whole = (n - head) // 32
    for i in range(head):
        held[i] = weights[i] + _signed(scale, words[(first + i) >> 5], (first + i) & 31)
    before = weights[head : head + 32 * whole].reshape((whole, 32))
    after = held[head : head + 32 * whole].reshape((whole, 32))
    bits = words[(first + head) >> 5 :]
    for i in range(whole):
        word = bits[i]
        for bit in range(32):
            after[i, bit] = before[i, bit] + _signed(scale, word, bit)
    for i in range(head + 32 * whole, n):
        held[i] = weights[i] + _signed(scale, words[(first + i) >> 5], (first + i) & 31)


@compiled
def displace_rank1(weights: Floats, scale: Number, signs: Floats, n_in: int, first: int, held: Floats) -> None:
    """``held`` (rows, n_out) = weights + scale u v^T for the layer's rows from ``first`` on; row n_in, the bias, has
    signs s of its own. ``signs`` are u (n_in,), v (n_out,), s (n_out,) in a row.
    """
    n_out = weights.shape[1]
    v, s = signs[n_in : n_in + n_out], signs[n_in + n_out : n_in + 2 * n_out]
    for i in range(weights.shape[0]):
        if first + i < n_in:
            factor = scale * signs[first + i]
            for j in range(n_out):
                held[i, j] = weights[i, j] + factor * v[j]
        else:
            for j in range(n_out):
                held[i, j] = weights[i, j] + scale * s[j]
