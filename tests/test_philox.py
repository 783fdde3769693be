"""Philox4x32-10 against published vectors and against its definition on plain integers."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwzo.errors import ConfigError
from hwzo.philox import box_muller, philox4x32

VECTORS = json.loads((Path(__file__).parent / "vectors" / "philox4x32-10.json").read_text())["vectors"]
word = st.integers(0, 2**32 - 1)


def by_hand(counter, key):
    """The paper's definition on Python integers, a word at a time."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        p0, p1 = c0 * 0xD2511F53, c2 * 0xCD9E8D57
        c0, c1, c2, c3 = (p1 >> 32) ^ c1 ^ k0, p1 % 2**32, (p0 >> 32) ^ c3 ^ k1, p0 % 2**32
        k0, k1 = (k0 + 0x9E3779B9) % 2**32, (k1 + 0xBB67AE85) % 2**32
    return [c0, c1, c2, c3]


@pytest.mark.parametrize("vector", VECTORS)
def test_known_answers(vector):
    counter, key, expected = ([int(w, 16) for w in vector[name]] for name in ("counter", "key", "out"))
    got = philox4x32(np.array(counter, dtype=np.uint32), key[0] | key[1] << 32)
    assert got.tolist() == expected
    assert got.dtype == np.uint32


@given(st.lists(st.tuples(word, word, word, word), min_size=1, max_size=9), word, word)
def test_equals_the_definition_for_any_counters(counters, low, high):
    got = philox4x32(np.array(counters, dtype=np.uint32), low | high << 32)
    assert got.tolist() == [by_hand(c, (low, high)) for c in counters]


def test_shape_is_kept():
    counters = np.arange(24, dtype=np.uint32).reshape(2, 3, 4)
    whole = philox4x32(counters, 5)
    assert whole.shape == (2, 3, 4)
    assert np.array_equal(whole[1, 2], philox4x32(counters[1, 2], 5))
    assert philox4x32(np.empty((0, 4), dtype=np.uint32), 5).shape == (0, 4)


@pytest.mark.parametrize("key", [-1, 2**64])
def test_key_out_of_range_is_named(key):
    with pytest.raises(ConfigError, match="64 bits"):
        philox4x32(np.zeros(4, dtype=np.uint32), key)


def test_counters_of_three_words_are_refused():
    with pytest.raises(ConfigError, match="four words"):
        philox4x32(np.zeros((2, 3), dtype=np.uint32), 0)


def test_box_muller_extremes_are_finite():
    words = np.array([0, 0, 2**32 - 1, 2**32 - 1], dtype=np.uint32)
    normals = box_muller(words)
    assert np.isfinite(normals).all()
    assert normals[0] == pytest.approx(np.sqrt(66 * np.log(2)))  # u = 2^-33, angle almost 0


def test_box_muller_is_normal():
    """Kolmogorov-Smirnov on 40,000 numbers, false-alarm rate 1e-3; the key is fixed, so it passes or fails for good."""
    stats = pytest.importorskip("scipy.stats")
    counters = np.zeros((10_000, 4), dtype=np.uint32)
    counters[:, 0] = np.arange(10_000)
    normals = box_muller(philox4x32(counters, 2024)).ravel()
    assert stats.kstest(normals, "norm").pvalue > 1e-3
    # The two numbers of a pair share a radius: they must still be uncorrelated, and so must their squares.
    pairs = normals.reshape(-1, 2)
    for a in (pairs, pairs**2):
        assert abs(np.corrcoef(a.T)[0, 1]) < 3.3 / np.sqrt(len(pairs))
