"""Random numbers inside kernels: Philox4x32-10 for what is replayed, xoshiro128++ lanes for what is only reproducible.

Philox (Salmon et al., SC 2011, https://doi.org/10.1145/2063384.2063405) gives the signs of directions, bit for bit
those of `hwzo.directions`, and the first state of the lanes. xoshiro128++ 1.0 (Blackman and Vigna, ACM Trans. Math.
Softw. 47, 36 (2021), https://doi.org/10.1145/3460772) gives the device's noise: `LANES` generators side by side, each
with its own part of a Philox stream as its state, so that a row of them is one vector instruction.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hwzo.philox import MULTIPLIERS, ROUNDS, WEYL
from hwzo_backends.crossbar.fast.arithmetic import log
from hwzo_backends.crossbar.fast.compiler import F, Floats, Number, U, W, Words, compiled

LANES = 16
CHUNK = 2 * LANES
"""Normal numbers are drawn so many at a time; what a request leaves of its last chunk is dropped."""

_1, _2, _3 = LANES, 2 * LANES, 3 * LANES  # where the lanes' second, third and fourth words begin
_M0, _M1 = W(MULTIPLIERS[0]), W(MULTIPLIERS[1])
_W0, _W1 = U(WEYL[0]), U(WEYL[1])
_LOW, _HIGH = W(0xFFFFFFFF), W(32)
_TAG = W(0x687A_7862_6172_2D32)  # keeps these keys apart from those of directions
_DEVICE = U(0x8000_0000)  # and these counters
_SIGN = U(0x8000_0000)
_S0, _S1, _S2, _S3 = (F(c) for c in (1.0, -0.16666650772094727, 0.008332036435604095, -0.00019504022202454507))
_C1, _C2, _C3 = (F(c) for c in (-0.49999895691871643, 0.04165629297494888, -0.0013597821816802025))
_TO_ANGLE = F(np.pi / 4 * 2.0**-31)
_TO_UNIT = F(2.0**-31)


@compiled
def philox(key: int, first: int, step: int, counter: int, stream: int, words: Words) -> None:
    """Fill ``words`` (blocks, 4) uint32 with Philox of counters (first + i, step, counter, stream)."""
    n = words.shape[0]
    for i in range(n):
        a, b, c, d = U(U(first) + U(i)), U(step), U(counter), U(stream)
        k0, k1 = U(W(key) & _LOW), U(W(key) >> _HIGH)
        for _ in range(ROUNDS):
            p, q = W(W(a) * _M0), W(W(c) * _M1)
            a, b, c, d = U(U(q >> _HIGH) ^ U(b ^ k0)), U(q & _LOW), U(U(p >> _HIGH) ^ U(d ^ k1)), U(p & _LOW)
            k0, k1 = U(k0 + _W0), U(k1 + _W1)
        words[i, 0] = a
        words[i, 1] = b
        words[i, 2] = c
        words[i, 3] = d


@compiled
def sign_bits(key: int, step: int, counter: int, stream: int, words: Words) -> None:
    """Fill ``words`` (n,) uint32, n a multiple of 4: bit i & 31 of word i >> 5 is set where sign i is +1."""
    philox(key, U(0), step, counter, stream, words.reshape((words.size // 4, 4)))


@compiled
def seed_lanes(seed: int, stream: int, event: int, lanes: Words) -> None:
    """The first state of the lanes (4 * LANES,) uint32, word by word, for the draws of (seed, stream, event)."""
    words = np.empty((LANES, 4), dtype=np.uint32)
    event = W(event)
    philox(W(seed) ^ _TAG, U(0), U(event & _LOW), U(event >> _HIGH), U(_DEVICE | U(stream)), words)
    for lane in range(LANES):
        for word in range(4):
            lanes[word * LANES + lane] = words[lane, word]


@compiled
def _rotated(x: Number, k: int) -> Number:
    return U(U(x << U(k)) | U(x >> U(32 - k)))


@compiled
def _next(a: Number, b: Number, c: Number, d: Number) -> tuple[Number, Number, Number, Number, Number]:
    """A word of xoshiro128++, and its next state."""
    word = U(_rotated(U(a + d), 7) + a)
    t = U(b << U(9))
    c = U(c ^ a)
    d = U(d ^ b)
    b = U(b ^ c)
    a = U(a ^ d)
    c = U(c ^ t)
    return word, a, b, c, _rotated(d, 11)


@compiled
def _pair(radial: Number, angular: Number) -> tuple[Number, Number]:
    """Two standard normal float32 from two words: Box and Muller, in the form that needs one quadrant only.

    The upper word stands for u = (w/2 + 1/2) / 2^31, so that the largest number is 6.66. The lower 30 bits of the
    other are an angle t in [-pi/4, pi/4); sqrt(-ln u) (cos t -+ sin t) is the point at pi/4 + t of radius
    sqrt(-2 ln u), which its two highest bits send to one of the four quadrants.
    """
    u = (F(np.int32(U(radial >> U(1)))) + F(0.5)) * _TO_UNIT
    radius = np.sqrt(-log(u))
    t = F(np.int32(U(angular << U(2)))) * _TO_ANGLE
    tt = t * t
    sine = t * (_S0 + tt * (_S1 + tt * (_S2 + tt * _S3)))
    cosine = F(1.0) + tt * (_C1 + tt * (_C2 + tt * _C3))
    x = U(F(radius * (cosine - sine)).view(np.uint32) ^ U(angular & _SIGN)).view(np.float32)
    y = U(F(radius * (cosine + sine)).view(np.uint32) ^ U(U(angular << U(1)) & _SIGN)).view(np.float32)
    return x, y


@compiled
def _fill_chunks(lanes: Words, chunks: Floats) -> None:
    for i in range(chunks.shape[0]):
        for lane in range(LANES):
            radial, a, b, c, d = _next(lanes[lane], lanes[_1 + lane], lanes[_2 + lane], lanes[_3 + lane])
            angular, a, b, c, d = _next(a, b, c, d)
            lanes[lane], lanes[_1 + lane], lanes[_2 + lane], lanes[_3 + lane] = a, b, c, d
            chunks[i, lane], chunks[i, LANES + lane] = _pair(radial, angular)


@compiled
def fill_normals(lanes: Words, out: Floats) -> None:
    """Fill ``out`` (n,) float32 with standard normal numbers; the lanes move on by whole chunks."""
    whole = out.size // CHUNK
    _fill_chunks(lanes, out[: whole * CHUNK].reshape((whole, CHUNK)))
    rest = out[whole * CHUNK :]
    if rest.size:
        last = np.empty(CHUNK, dtype=np.float32)
        _fill_chunks(lanes, last.reshape((1, CHUNK)))
        rest[:] = last[: rest.size]


@compiled
def add_normals(lanes: Words, rest: Floats, left: int, sd: Number, out: Floats) -> int:
    """Add ``sd`` times the next standard normal numbers to ``out`` (n,), dropping none between calls.

    ``rest`` (CHUNK,) ends in the ``left`` numbers that were drawn and not yet used; how many there are now is returned.
    """
    used = min(left, out.size)
    for i in range(used):
        out[i] += sd * rest[CHUNK - left + i]
    left -= used
    piece = np.empty(64 * CHUNK, dtype=np.float32)  # it stays in the first cache
    for at in range(used, out.size, piece.size):
        part = out[at : at + piece.size]
        whole = part.size - part.size % CHUNK
        fill_normals(lanes, piece[:whole])
        if whole < part.size:
            fill_normals(lanes, rest)
            left = CHUNK - (part.size - whole)
            piece[whole : part.size] = rest[: part.size - whole]
        for i in range(part.size):
            part[i] += sd * piece[i]
    return left


@compiled
def fill_uniforms(lanes: Words, out: NDArray[np.float64]) -> None:
    """Fill ``out`` (n,) float64 with uniform numbers of [0, 1), multiples of 2^-32; the lanes move on by whole rows."""
    n = out.size
    row = np.empty(LANES, dtype=np.uint32)
    for at in range(0, n, LANES):
        for lane in range(LANES):
            word, a, b, c, d = _next(lanes[lane], lanes[_1 + lane], lanes[_2 + lane], lanes[_3 + lane])
            lanes[lane], lanes[_1 + lane], lanes[_2 + lane], lanes[_3 + lane] = a, b, c, d
            row[lane] = word
        for i in range(min(LANES, n - at)):
            out[at + i] = np.float64(row[i]) * 2.0**-32
