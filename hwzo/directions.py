"""Seeded directions: what a commanded probe displaces the parameters along, regenerated from (key, step, counter).

Row k of a direction matrix depends on nothing but the law, the parameters' shapes, the key, the step and counter k, so
host, emulator and board agree without sending arrays, in any order and any shard. The random bits of a row are those of
Philox4x32-10 with counter words (block, step, counter, stream), block 0, 1, ...; bit i of a row lies in block i >> 7,
word (i >> 5) & 3, at position i & 31.

======================  ==============================================================  ===========
law                     row z                                                           E[z_i^2]
======================  ==============================================================  ===========
rademacher              z_i = +-1: bit i set is +1                                      1
rank1-sign              per matrix u v^T with u, v in +-1; other tensors plain signs    1
gaussian                independent standard normal                                     1
gaussian-rank1          per matrix u v^T with u, v normal; other tensors plain normal   1
walsh                   rows of a Hadamard matrix, columns' signs scrambled each step   1
coordinate              unit vector of parameter (counter mod P)                        1/P
sparse                  +-1 with probability `DENSITY`, otherwise 0                     DENSITY
======================  ==============================================================  ===========

Rademacher is SPSA's law (Spall 1992, https://doi.org/10.1109/9.119632); rank-1 Gaussian directions are from "Evolution
strategies at the hyperscale" (https://arxiv.org/abs/2511.16652).
"""

from __future__ import annotations

from functools import lru_cache
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from hwzo.errors import ConfigError
from hwzo.parameters import Array, ParameterSpec
from hwzo.philox import Words, box_muller, philox4x32
from hwzo.probes import Law

STREAMS: dict[Law, int] = {
    "rademacher": 0,
    "rank1-sign": 1,
    "gaussian": 2,
    "gaussian-rank1": 3,
    "walsh": 4,
    "coordinate": 5,  # needs no bits
    "sparse": 6,
}

DENSITY = 0.1
"""Share of the parameters that a sparse direction moves."""

# The signs of a byte's bits, lowest first: one look-up writes eight elements.
_BITS = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1, bitorder="little")
_SIGNS: Array = _BITS.astype(np.float64) * 2.0 - 1.0


def directions(law: Law, spec: ParameterSpec, *, key: int, step: int, counters: NDArray[np.int64]) -> Array:
    """The directions of some probes of one step.

    Args:
        law: the law they are drawn from.
        spec: the device's parameters; the rank-1 laws need their shapes, the others their number only.
        key: the run's 64-bit key.
        step: the training step, 0 to 2^32 - 1.
        counters: (K,) which directions of that step, 0 to 2^32 - 1, in any order, repeats allowed.

    Returns:
        (K, n_params) float64; times a scale in weight units it is a displacement.

    Raises:
        ConfigError: an unknown law, or a key, step or counter out of range.
    """
    return _rows(law, spec, key, np.array([step]), np.asarray(counters))[0]


def second_moment(law: Law, spec: ParameterSpec) -> float:
    """E[z_i^2] of one element of a direction; of ``coordinate``, the mean over n_params counters in a row.

    Raises:
        ConfigError: an unknown law.
    """
    _check_law(law)
    if law == "coordinate":
        return 1.0 / spec.size
    return DENSITY if law == "sparse" else 1.0


class Directions:
    """The same rows as `directions`, generated ahead: a loop that asks for the same few counters step by step pays for
    one Philox call in many steps.

    Args:
        law, spec, key: as for `directions`.
    """

    AHEAD_STEPS = 64
    """Most steps that are generated in one go."""
    AHEAD_ELEMENTS = 1 << 18
    """Most elements that are kept (2 MiB): large requests gain nothing by being batched further."""

    def __init__(self, law: Law, spec: ParameterSpec, key: int) -> None:
        _check_law(law)
        self.law: Law = law
        self.spec = spec
        self.key = key
        self._counters: NDArray[np.int64] = np.empty(0, dtype=np.int64)
        self._given: NDArray[np.int64] | None = None  # the same, as the array that was given, if nobody can change it
        self._start = 0
        self._cache: Array = np.empty((0, 0, spec.size))

    def at(self, step: int, counters: NDArray[np.int64]) -> Array:
        """(K, n_params) float64, read-only; see `directions`.

        Raises:
            ConfigError: a step or counter out of range.
        """
        same = counters is self._given or np.array_equal(counters, self._counters)
        index = step - self._start
        if same and 0 <= index < len(self._cache):
            self._given = counters if not counters.flags.writeable else None
            return self._cache[index]
        # Only a caller who goes on with the same counters is served ahead; one who changes them would pay for nothing.
        room = self.AHEAD_ELEMENTS // max(1, len(counters) * self.spec.size)
        run = max(1, min(self.AHEAD_STEPS, room, 2**32 - step)) if same and index == len(self._cache) else 1
        self._cache = _rows(self.law, self.spec, self.key, np.arange(step, step + run), np.asarray(counters))
        self._cache.flags.writeable = False
        self._counters, self._given, self._start = np.array(counters), None, step
        return self._cache[0]


def _check_law(law: str) -> None:
    if law not in STREAMS:
        raise ConfigError(f"law {law!r} is not one of {', '.join(get_args(Law))}", key="law")


def _rows(law: Law, spec: ParameterSpec, key: int, steps: NDArray[np.int64], counters: NDArray[np.int64]) -> Array:
    """Every counter (K,) at every step (S,): (S, K, n_params)."""
    _check_law(law)
    for name, values in (("step", steps), ("counters", counters)):
        if values.ndim != 1 or values.dtype.kind not in "iu":
            raise ConfigError(f"{name}: needs whole numbers of shape (K,), got {values.dtype} {values.shape}", key=name)
        if values.size and (int(values.min()) < 0 or int(values.max()) >= 2**32):
            raise ConfigError(f"{name} must be 0 to 2^32 - 1, got {values.min()} to {values.max()}", key=name)
    stream, n = STREAMS[law], spec.size
    if law == "rademacher":
        return _signs(n, key, steps, counters, stream)
    if law == "gaussian":
        return _normals(n, key, steps, counters, stream)
    if law == "rank1-sign":
        return _rank1(_signs(_draws(spec), key, steps, counters, stream), spec)
    if law == "gaussian-rank1":
        return _rank1(_normals(_draws(spec), key, steps, counters, stream), spec)
    if law == "walsh":
        return _walsh(n, key, steps, counters, stream)
    if law == "coordinate":
        rows = np.zeros((len(steps), len(counters), n))
        rows[:, np.arange(len(counters)), counters % n] = 1.0
        return rows
    # sparse: a word each parameter; its lowest bit is the sign, the rest says whether the parameter moves at all.
    words = _words(n, key, steps, counters, stream)
    moved = (words >> np.uint32(1)) < np.uint32(round(DENSITY * 2**31))
    sign: Array = (words & np.uint32(1)).astype(np.float64) * 2.0 - 1.0
    return moved * sign


def _blocks(count: int, key: int, steps: NDArray[np.int64], counters: NDArray[np.int64], stream: int) -> Words:
    """The first ``count`` blocks of each row, (S, K, 4 count) words."""
    grid = np.empty((len(steps), len(counters), count, 4), dtype=np.uint32)
    grid[..., 0] = np.arange(count)
    grid[..., 1] = steps[:, None, None]
    grid[..., 2] = counters[:, None]
    grid[..., 3] = stream
    return philox4x32(grid, key).reshape(len(steps), len(counters), 4 * count)


def _words(n: int, key: int, steps: NDArray[np.int64], counters: NDArray[np.int64], stream: int) -> Words:
    """The first n words of each row, (S, K, n)."""
    return _blocks(-(-n // 4), key, steps, counters, stream)[..., :n]


def _signs(n: int, key: int, steps: NDArray[np.int64], counters: NDArray[np.int64], stream: int) -> Array:
    """The first n bits of each row as signs, (S, K, n)."""
    words = _blocks(-(-n // 128), key, steps, counters, stream)
    octets = words.astype("<u4", copy=False).view(np.uint8)[..., : -(-n // 8)]
    return _SIGNS[octets].reshape(*octets.shape[:2], 8 * octets.shape[2])[..., :n]


def _normals(n: int, key: int, steps: NDArray[np.int64], counters: NDArray[np.int64], stream: int) -> Array:
    """n standard normal numbers a row, (S, K, n), a word each."""
    return box_muller(_blocks(-(-n // 4), key, steps, counters, stream))[..., :n]


@lru_cache(maxsize=64)
def _draws(spec: ParameterSpec) -> int:
    """How many numbers a rank-1 row takes: N + M for an (N, M) matrix, one each for other tensors' elements."""
    return sum(sum(tensor.shape) if len(tensor.shape) == 2 else tensor.size for tensor in spec.tensors)


def _rank1(draws: Array, spec: ParameterSpec) -> Array:
    """Rows (S, K, n_params) from draws (S, K, _draws(spec)): tensors in order; a matrix takes u (N,), then v (M,)."""
    rows = np.empty((*draws.shape[:-1], spec.size))
    taken = placed = 0
    for tensor in spec.tensors:
        target = rows[..., placed : placed + tensor.size]
        if len(tensor.shape) == 2:
            n, m = tensor.shape
            u, v = draws[..., taken : taken + n], draws[..., taken + n : taken + n + m]
            np.multiply(u[..., :, None], v[..., None, :], out=target.reshape(*u.shape, m))
            taken += n + m
        else:
            target[...] = draws[..., taken : taken + tensor.size]
            taken += tensor.size
        placed += tensor.size
    return rows


def _walsh(n: int, key: int, steps: NDArray[np.int64], counters: NDArray[np.int64], stream: int) -> Array:
    """Rows (counter XOR the step's mask) mod 2^m of the Sylvester-Hadamard matrix, 2^m >= n, columns' signs random.

    Element (r, i) is (-1)^popcount(r AND i). The step's signs are the bits of counter 0, its mask word 0 of counter 1.
    2^m counters in a row are a complete orthogonal set: sum_k z_k z_k^T = 2^m I.
    """
    m = (n - 1).bit_length()
    masks = _words(1, key, steps, np.array([1]), stream).astype(np.int64)[..., 0]
    chosen = counters ^ masks  # (S, K); only the lowest m bits matter
    rows = np.empty((len(steps), len(counters), 1 << m))
    rows[..., 0] = 1.0
    for bit in range(m):  # each bit of i doubles what is written, with the sign that this bit of r gives it
        width = 1 << bit
        sign = 1.0 - 2.0 * ((chosen >> bit) & 1)
        np.multiply(rows[..., :width], sign[..., None], out=rows[..., width : 2 * width])
    scrambled = rows[..., :n]
    scrambled *= _signs(n, key, steps, np.array([0]), stream)
    return scrambled
