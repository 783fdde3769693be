"""Parameters: flat and named views, bounds, what a device refuses before any write."""

import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwzo.errors import ConfigError
from hwzo.parameters import ParameterSpec, TensorSpec, parameters_crc32

SPEC = ParameterSpec(
    (
        TensorSpec("0.weight", (3, 2), -1.0, 1.0, initial_sd=0.5),
        TensorSpec("0.bias", (2,), -1.0, 1.0),
        TensorSpec("gain", (1,), 0.5, 2.0),
    )
)

shapes = st.lists(st.lists(st.integers(1, 4), min_size=1, max_size=3).map(tuple), min_size=1, max_size=5)


def valid():
    return np.array([0.1, -0.2, 0.3, 0.4, -0.5, 0.6, 0.7, -0.8, 1.0])


@given(shapes, st.integers(0, 2**32 - 1))
def test_flat_and_views_are_each_others_inverse(shapes, seed):
    spec = ParameterSpec(tuple(TensorSpec(f"t{i}", shape) for i, shape in enumerate(shapes)))
    theta = np.random.default_rng(seed).standard_normal(spec.size)
    views = spec.views(theta)
    assert [view.shape for view in views.values()] == shapes
    np.testing.assert_array_equal(spec.flat(views), theta)


def test_a_view_writes_to_the_vector():
    theta = valid()
    SPEC.views(theta)["0.bias"][1] = 0.25
    assert theta[7] == 0.25


@given(st.integers(0, SPEC.size - 1))
def test_names_point_at_the_element(index):
    theta = np.arange(SPEC.size, dtype=np.float64)
    name, _, place = SPEC.name_of(index).rstrip("]").partition("[")
    assert SPEC.views(theta)[name][tuple(int(i) for i in place.split(","))] == index


def test_no_name_beyond_the_end():
    with pytest.raises(IndexError):
        SPEC.name_of(SPEC.size)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_number_that_is_not_finite_is_refused_by_name(bad):
    theta = valid()
    theta[4] = bad
    with pytest.raises(ConfigError, match=r"0\.weight\[2, 0\].*not a finite number; nothing was written"):
        SPEC.check(theta)


@pytest.mark.parametrize(("index", "value"), [(6, 1.0001), (0, -1.5), (8, 0.4999), (8, 2.1)])
def test_out_of_bounds_is_refused_by_name(index, value):
    theta = valid()
    theta[index] = value
    with pytest.raises(ConfigError) as caught:
        SPEC.check(theta)
    assert SPEC.name_of(index) in str(caught.value)
    assert "nothing was written" in str(caught.value)


def test_bounds_themselves_are_fine():
    np.testing.assert_array_equal(SPEC.check(SPEC.lower), SPEC.lower)
    np.testing.assert_array_equal(SPEC.check(SPEC.upper), SPEC.upper)


@pytest.mark.parametrize("shape", [(8,), (10,), (9, 1), ()])
def test_a_wrong_shape_is_refused(shape):
    with pytest.raises(ConfigError, match=r"the device needs \(9,\)"):
        SPEC.check(np.zeros(shape))


@given(st.lists(st.floats(allow_nan=False), min_size=SPEC.size, max_size=SPEC.size))
def test_what_is_clipped_passes(values):
    clipped = SPEC.clip(np.array(values))
    np.testing.assert_array_equal(SPEC.check(clipped), clipped)
    inside = (np.array(values) >= SPEC.lower) & (np.array(values) <= SPEC.upper)
    np.testing.assert_array_equal(clipped[inside], np.array(values)[inside])


@pytest.mark.parametrize(
    "tensors",
    [
        {"0.weight": np.zeros((3, 2)), "0.bias": np.zeros(2)},
        {"0.weight": np.zeros((2, 3)), "0.bias": np.zeros(2), "gain": np.ones(1)},
        {"0.weight": np.zeros((3, 2)), "0.bias": np.zeros(2), "gain": np.ones(1), "more": np.ones(1)},
    ],
)
def test_named_arrays_that_do_not_fit_are_refused(tensors):
    with pytest.raises(ConfigError, match="do not fit the device"):
        SPEC.flat(tensors)


def test_a_start_is_normal_with_each_tensors_deviation_and_within_bounds():
    spec = ParameterSpec((TensorSpec("w", (200, 100), -10, 10, initial_sd=0.5), TensorSpec("b", (100,), -10, 10)))
    start = spec.views(spec.initial(np.random.default_rng(0)))
    assert not start["b"].any()
    # Standard error of a standard deviation is sd / sqrt(2n); five of them: false alarm 6e-7.
    assert abs(start["w"].std() - 0.5) < 5 * 0.5 / np.sqrt(2 * 20000)
    bounded = SPEC.initial(np.random.default_rng(1))
    np.testing.assert_array_equal(SPEC.check(bounded), bounded)


def test_crc_is_that_of_little_endian_doubles():
    theta = np.array([1.0, -2.5])
    assert parameters_crc32(theta) == zlib.crc32(bytes.fromhex("000000000000f03f00000000000004c0"))
    assert parameters_crc32(theta.astype(">f8")) == parameters_crc32(theta)
    assert parameters_crc32(np.repeat(theta, 2)[::2]) == parameters_crc32(theta)


@given(st.integers(0, 8), st.integers(0, 63))
def test_crc_sees_a_single_bit(index, bit):
    bits = valid().view(np.uint64)
    bits[index] ^= np.uint64(1) << np.uint64(bit)
    assert parameters_crc32(bits.view(np.float64)) != parameters_crc32(valid())


@pytest.mark.parametrize(
    "make",
    [
        lambda: TensorSpec("w", ()),
        lambda: TensorSpec("w", (3, 0)),
        lambda: TensorSpec("w", (1,), 1.0, 1.0),
        lambda: TensorSpec("w", (1,), np.nan, 1.0),
        lambda: TensorSpec("w", (1,), resolution=-1.0),
        lambda: TensorSpec("w", (1,), initial_sd=np.nan),
        lambda: ParameterSpec(()),
        lambda: ParameterSpec((TensorSpec("w", (1,)), TensorSpec("w", (2,)))),
    ],
)
def test_a_spec_that_makes_no_sense_is_refused(make):
    with pytest.raises(ConfigError):
        make()
