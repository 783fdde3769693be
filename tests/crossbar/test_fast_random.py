"""Random numbers of the fast engine: bits equal to hwzo's, and laws equal to SciPy's.

Statistical checks have fixed seeds and a false-alarm rate of 1e-5 each, below 1e-3 for the file.
"""

import os
from importlib.util import find_spec
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from hwzo.directions import directions
from hwzo.network import Network
from hwzo.philox import philox4x32
from hwzo_backends.crossbar.noise import Stream

if find_spec("numba") is None and not os.environ.get("CI"):
    pytest.skip("numba is not installed", allow_module_level=True)

from hwzo_backends.crossbar.fast import arithmetic
from hwzo_backends.crossbar.fast.displacements import (
    LAW_CODES,
    displace_each,
    displace_rank1,
    make_signs,
    sign_count,
)
from hwzo_backends.crossbar.fast.noise import FastNoise
from hwzo_backends.crossbar.fast.random import philox

RATE = 1e-5
WORD = st.integers(0, 2**32 - 1)


@settings(max_examples=30)
@given(st.integers(0, 2**64 - 1), WORD, WORD, WORD, WORD)
def test_philox_is_philox(key, first, step, counter, stream):
    words = np.empty((3, 4), dtype=np.uint32)
    philox(np.uint64(key), first, step, counter, stream, words)
    counters = np.array([[(first + i) % 2**32, step, counter, stream] for i in range(3)], dtype=np.uint32)
    np.testing.assert_array_equal(words, philox4x32(counters, key))


@settings(max_examples=40)
@given(
    st.sampled_from(sorted(LAW_CODES)),
    st.lists(st.integers(1, 40), min_size=2, max_size=4),
    st.integers(0, 2**64 - 1),
    WORD,
    WORD,
    st.integers(1, 9),
)
def test_directions_are_those_of_hwzo(law, sizes, key, step, counter, rows):
    """Made a few rows at a time, as the engine does."""
    network = Network(tuple(sizes))
    expected = directions(law, network.parameter_spec(), key=key, step=step, counters=np.array([counter]))[0]
    code, units = LAW_CODES[law], np.array(sizes, dtype=np.int64)
    n_bits = sign_count(code, units)
    words = np.empty(-(-n_bits // 128) * 4, dtype=np.uint32)
    signs = np.zeros(n_bits if law == "rank1-sign" else 0, dtype=np.float32)
    make_signs(code, np.uint64(key), step, np.int64(counter), words, signs)
    got = np.empty(len(expected), dtype=np.float32)
    placed = taken = 0
    for n_in, n_out in pairwise(sizes):
        for first in range(0, n_in + 1, rows):
            part = slice(placed + first * n_out, placed + min(first + rows, n_in + 1) * n_out)
            held = np.empty(part.stop - part.start, dtype=np.float32)
            zeros = np.zeros_like(held)
            if law == "rademacher":
                displace_each(zeros, np.float32(1), words, part.start, held)
            else:
                shape = (-1, n_out)
                displace_rank1(zeros.reshape(shape), np.float32(1), signs[taken:], n_in, first, held.reshape(shape))
            got[part] = held
        placed += (n_in + 1) * n_out
        taken += n_in + 2 * n_out
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize(
    ("kernel", "exact", "low", "high", "relative", "absolute"),
    [
        (arithmetic.log, np.log, 1e-9, 1.0, 4e-7, 0.0),
        (arithmetic.log, np.log, 1.0, 1e9, 4e-7, 0.0),
        (arithmetic.exp, np.exp, -1.0, 1.0, 3e-7, 0.0),
        (arithmetic.exp, np.exp, -86.0, 86.0, 6e-6, 0.0),
        (arithmetic.tanh, np.tanh, -14.0, 14.0, 0.0, 4e-7),
        (arithmetic.sigmoid, lambda x: 1 / (1 + np.exp(-x)), -20.0, 20.0, 0.0, 3e-7),
    ],
)
def test_functions_keep_to_their_stated_errors(kernel, exact, low, high, relative, absolute):
    spaced = np.geomspace if kernel is arithmetic.log else np.linspace
    x = spaced(low, high, 5000).astype(np.float32)
    got = np.array([kernel(v) for v in x], dtype=np.float64)
    np.testing.assert_allclose(got, exact(x.astype(np.float64)), rtol=relative, atol=absolute)
    assert got.dtype == np.float64
    assert isinstance(kernel(x[0]), float | np.floating)


@pytest.mark.parametrize("kernel", [arithmetic.exp, arithmetic.tanh, arithmetic.sigmoid])
def test_not_a_number_goes_through(kernel):
    assert np.isnan(kernel(np.float32(np.nan)))


def test_normal_numbers_are_standard_normal():
    n = 4_000_000
    z = FastNoise(1).at(Stream.NODES, 5).standard_normal(n, dtype=np.float32).astype(np.float64)
    limit = stats.norm.isf(RATE / 2)
    # Moments of a normal sample, with their standard errors.
    for power, expected, se in ((1, 0.0, 1.0), (2, 1.0, 2.0**0.5), (3, 0.0, 15.0**0.5), (4, 3.0, 96.0**0.5)):
        assert abs((z**power).mean() - expected) < limit * se / n**0.5, power
    assert stats.kstest(z[:1_000_000], "norm").pvalue > RATE
    for bound in (2.0, 3.0, 4.0, 5.0):
        for tail in (z > bound, z < -bound):
            count, p = int(tail.sum()), stats.norm.sf(bound)
            assert stats.binomtest(count, n, p).pvalue > RATE, bound


def test_tails_beyond_five_sigma():
    """2^28 numbers: 77 beyond 5 sigma each side are expected, 0.27 beyond 6; nothing is cut off at 5.5."""
    noise, low, high, beyond = FastNoise(2), 0, 0, 0
    out = np.empty(1 << 22, dtype=np.float32)
    for event in range(64):
        z = noise.at(Stream.NODES, event).standard_normal(out=out)
        low += int((z < -5).sum())
        high += int((z > 5).sum())
        beyond += int((np.abs(z) > 5.5).sum())
    n = 64 * out.size
    assert stats.binomtest(low, n, stats.norm.sf(5)).pvalue > RATE
    assert stats.binomtest(high, n, stats.norm.sf(5)).pvalue > RATE
    assert stats.binomtest(beyond, n, 2 * stats.norm.sf(5.5)).pvalue > RATE


def test_normal_numbers_are_independent():
    """Numbers, and their squares, of one chunk, of chunks in a row, and of events and streams in a row."""
    noise = FastNoise(3)
    z = noise.at(Stream.NODES, 1).standard_normal(1 << 20)
    others = {f"lag {lag}": (z[:-lag], z[lag:]) for lag in (1, 2, 8, 16, 17, 31, 32, 64)}
    others["event"] = z, noise.at(Stream.NODES, 2).standard_normal(1 << 20)
    others["stream"] = z, noise.at(Stream.PARAMETERS, 1).standard_normal(1 << 20)
    others["seed"] = z, FastNoise(4).at(Stream.NODES, 1).standard_normal(1 << 20)
    firsts = np.array([noise.at(Stream.NODES, event).standard_normal(2) for event in range(1, 60_000)])
    others["first of each event"] = firsts[:-1, 0], firsts[1:, 0]
    limit = stats.norm.isf(RATE / 2)
    for name, (a, b) in others.items():
        for power in (1, 2):
            r = np.corrcoef(a**power, b**power)[0, 1]
            assert abs(r) < limit / len(a) ** 0.5, (name, power)


def test_uniform_numbers_are_uniform():
    u = FastNoise(5).at(Stream.STUCK, 0).random(1_000_000)
    assert u.min() >= 0
    assert u.max() < 1
    assert stats.kstest(u, "uniform").pvalue > RATE
    low = np.floor(u * 2.0**32) % 256  # the low bits, too
    assert stats.chisquare(np.bincount(low.astype(int), minlength=256)).pvalue > RATE
