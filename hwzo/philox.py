"""Philox4x32-10, the counter-based generator behind every direction: any number of a stream, in any order, by itself.

Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011
(https://doi.org/10.1145/2063384.2063405). Host, emulator and microcontroller compute the same bits.

The last counter word is the stream, so that no two uses of one key ever share numbers:

=========  ===================================================================
0 to 6     directions, one a law (`hwzo.directions.STREAMS`)
16 to 19   noise of a board's simulated array
32         rounding of steps on a grid (`hwzo.methods.grid_steps`)
33         noise of Lava's quantised nodes (its backend)
34         decisions of `hwzo.methods.metropolis`
35         frequencies and phases of sinusoids (`hwzo.explore.sinusoids`)
36         order of single parameters (`hwzo.explore.coordinates`)
37         parameters that the c* rule looks at (`hwzo.noise.probe_size`)
=========  ===================================================================

Steps from 2^32 - 3 on are no training steps: they are directions along which something is measured beforehand.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from hwzo.errors import ConfigError
from hwzo.parameters import Array

Words = NDArray[np.uint32]

ROUNDS = 10
MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)  # of counter words 0 and 2
WEYL = (0x9E3779B9, 0xBB67AE85)  # what the two key words grow by, a round

_LOW = np.uint64(0xFFFFFFFF)
_SHIFT = np.uint64(32)
_FACTORS = np.array(MULTIPLIERS, dtype=np.uint64)[:, None]


def philox4x32(counters: Words, key: int) -> Words:
    """The 128 random bits of each counter.

    Args:
        counters: (..., 4) unsigned 32-bit words, word 0 first.
        key: 64 bits; its low half is key word 0, its high half key word 1.

    Returns:
        (..., 4) uint32.

    Raises:
        ConfigError: the key isn't a 64-bit number, or the counters aren't of four words.
    """
    if counters.shape[-1:] != (4,):
        raise ConfigError(f"Philox counters have four words each, shape (..., 4); got shape {counters.shape}")
    shape = counters.shape
    columns = np.transpose(counters.reshape(-1, 4))
    # Words 0 and 2, which are multiplied, and words 1 and 3, which are only mixed in, as 64-bit rows: a round is then
    # five array operations for both halves at once. [::-1] crosses the halves over without moving anything.
    even: NDArray[np.uint64] = columns[0::2].astype(np.uint64, order="C")
    odd: NDArray[np.uint64] = columns[1::2].astype(np.uint64, order="C")
    product = np.empty_like(even)
    for round_key in _schedule(key):
        np.multiply(even, _FACTORS, out=product)
        np.right_shift(product[::-1], _SHIFT, out=even)
        np.bitwise_xor(even, odd, out=even)
        np.bitwise_xor(even, round_key, out=even)
        np.bitwise_and(product[::-1], _LOW, out=odd)
    words = np.empty(columns.shape[::-1], dtype=np.uint32)
    words[:, 0::2] = even.T
    words[:, 1::2] = odd.T
    return words.reshape(shape)


@lru_cache(maxsize=64)
def _schedule(key: int) -> tuple[NDArray[np.uint64], ...]:
    """Key words 0 and 1 of every round, (2, 1) each."""
    if not 0 <= key < 2**64:
        raise ConfigError(f"key {key} is not a number of 64 bits, 0 to 2^64 - 1", key="key")
    halves = (key & 0xFFFFFFFF, key >> 32)
    return tuple(
        np.array([[(half + i * step) & 0xFFFFFFFF] for half, step in zip(halves, WEYL, strict=True)], dtype=np.uint64)
        for i in range(ROUNDS)
    )


def box_muller(words: Words) -> Array:
    """Standard normal numbers (..., n) float64 from random words (..., n), n even.

    Words 2j and 2j+1 give numbers 2j (cosine) and 2j+1 (sine). A word w stands for (w + 1/2) / 2^32, which is never 0,
    so the largest number is 6.77. Box and Muller, Ann. Math. Stat. 29, 610 (1958)
    (https://doi.org/10.1214/aoms/1177706645).
    """
    uniform = (np.transpose(words.reshape(-1, 2)).astype(np.float64) + 0.5) * 2.0**-32
    radius = np.sqrt(-2.0 * np.log(uniform[0]))
    angle = (2.0 * np.pi) * uniform[1]
    normals = np.empty((radius.size, 2))
    np.multiply(radius, np.cos(angle), out=normals[:, 0])
    np.multiply(radius, np.sin(angle), out=normals[:, 1])
    return normals.reshape(words.shape)
