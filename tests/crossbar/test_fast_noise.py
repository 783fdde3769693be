"""The fast source of noise: the same contract as the reference's."""

import os
from importlib.util import find_spec

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwzo_backends.crossbar.noise import Stream

if find_spec("numba") is None and not os.environ.get("CI"):
    pytest.skip("numba is not installed", allow_module_level=True)

from hwzo_backends.crossbar.fast.noise import FastNoise


@settings(max_examples=30)
@given(st.integers(0, 2**64 - 1), st.sampled_from(Stream), st.integers(0, 2**63 - 1), st.integers(0, 70))
def test_a_draw_depends_on_seed_stream_and_event_only(seed, stream, event, used_before):
    noise = FastNoise(seed)
    noise.at(Stream.NODES, 12).standard_normal(used_before)
    noise.at(stream, event).random(used_before)
    drawn = noise.at(stream, event).standard_normal(9)
    np.testing.assert_array_equal(drawn, FastNoise(seed).at(stream, event).standard_normal(9))


def test_streams_events_and_seeds_differ():
    draws = [
        tuple(FastNoise(seed).at(stream, event).random(4))
        for seed in (0, 1, 2**63)
        for stream in Stream
        for event in (*range(20), 2**32, 2**32 + 1)
    ]
    assert len(set(draws)) == len(draws)


@settings(max_examples=30)
@given(st.one_of(st.none(), st.integers(0, 200), st.tuples(st.integers(0, 9), st.integers(0, 40))))
def test_shapes_and_types(size):
    at = FastNoise(1).at
    flat = at(Stream.GAIN, 0).standard_normal(400, dtype=np.float32)
    for dtype in (np.float64, np.float32):
        drawn = at(Stream.GAIN, 0).standard_normal(size, dtype=dtype)
        assert np.shape(drawn) == np.empty(1 if size is None else size).shape[: np.ndim(drawn)]
        assert np.asarray(drawn).dtype == dtype
        np.testing.assert_array_equal(np.ravel(drawn), flat[: np.size(drawn)].astype(dtype))
        if size is not None:
            out = np.full(size, np.nan, dtype=dtype)
            assert at(Stream.GAIN, 0).standard_normal(out=out) is out
            np.testing.assert_array_equal(out, drawn)
    uniform = at(Stream.GAIN, 0).random(size)
    assert np.shape(uniform) == np.shape(at(Stream.GAIN, 0).standard_normal(size))
    assert np.asarray(uniform).dtype == np.float64


def test_draws_go_on():
    draws = FastNoise(1).at(Stream.GAIN, 0)
    first, second, third = draws.standard_normal(5), draws.standard_normal(5), draws.random(5)
    assert len({*first, *second, *third}) == 15
    again = FastNoise(1).at(Stream.GAIN, 0)
    np.testing.assert_array_equal(again.standard_normal(5), first)
    np.testing.assert_array_equal(again.standard_normal(5), second)
    np.testing.assert_array_equal(again.random(5), third)


def test_arrays_it_cannot_fill_are_refused():
    draws = FastNoise(1).at(Stream.GAIN, 0)
    with pytest.raises(TypeError, match="float64 or float32"):
        draws.standard_normal(3, dtype=np.int64)
    with pytest.raises(TypeError, match="float64 or float32"):
        draws.standard_normal(out=np.empty(3, dtype=np.float16))
    with pytest.raises(ValueError, match="contiguous"):
        draws.standard_normal(out=np.empty((4, 4)).T[1:])
    with pytest.raises(ValueError, match="shape"):
        draws.standard_normal(3, out=np.empty(4))
