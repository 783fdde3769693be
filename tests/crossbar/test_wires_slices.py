"""Bit slices: rounding, order, and what noise of the cells does to the joined weight."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwzo.errors import ConfigError
from hwzo_backends.crossbar.slices import MAX_BITS, BitSlices

SLICES = st.tuples(st.integers(1, 8), st.integers(1, 8), st.floats(0.01, 100.0)).filter(
    lambda a: a[0] * a[1] <= MAX_BITS
)
FRACTIONS = st.lists(st.floats(-1.0, 1.0), min_size=1, max_size=20).map(np.array)


def represented(slices, weights):
    return slices.join(slices.split(weights))


@given(SLICES, FRACTIONS)
def test_rounding_is_to_the_nearest_level(arguments, fractions):
    slices = BitSlices(*arguments)
    weights = slices.window * fractions
    error = np.abs(represented(slices, weights) - weights)
    assert error.max() <= 0.5 * slices.level + 1e-14 * slices.window


@given(SLICES, FRACTIONS)
def test_slices_are_levels_of_a_cell_with_the_weights_sign(arguments, fractions):
    slices = BitSlices(*arguments)
    weights = slices.window * fractions
    parts = slices.split(weights)
    assert parts.shape == (slices.n_slices, len(weights))
    digits = np.abs(parts) / slices.window * (2**slices.bits - 1)
    np.testing.assert_allclose(digits, np.rint(digits), atol=1e-9)
    assert np.abs(parts).max() <= slices.window * (1 + 1e-15)
    assert (parts * weights >= 0).all()


@given(SLICES, FRACTIONS)
def test_splitting_is_odd_monotone_and_the_same_when_repeated(arguments, fractions):
    slices = BitSlices(*arguments)
    weights = np.sort(slices.window * fractions)
    here = represented(slices, weights)
    np.testing.assert_array_equal(represented(slices, -weights), -here)
    assert (np.diff(here) >= -1e-14 * slices.window).all()
    np.testing.assert_array_equal(slices.split(here), slices.split(weights))


@pytest.mark.parametrize(("n_slices", "bits"), [(1, 3), (2, 2), (4, 1), (3, 3)])
def test_every_level_is_exact(n_slices, bits):
    slices = BitSlices(n_slices, bits, 2.0)
    top = 2 ** (n_slices * bits) - 1
    levels = 2.0 * np.arange(-top, top + 1) / top
    np.testing.assert_allclose(represented(slices, levels), levels, rtol=0, atol=1e-15)
    assert slices.level == pytest.approx(2.0 / top)


def test_digits_of_a_weight_by_hand():
    # 0.7 of a window is level 44 of 63: digits 2, 3, 0 in base 4.
    slices = BitSlices(3, 2, 1.0)
    np.testing.assert_allclose(slices.split(np.array([0.7, -0.7])).T, [[2 / 3, 1, 0], [-2 / 3, -1, 0]], atol=1e-15)
    np.testing.assert_allclose(slices.scales, [48 / 63, 12 / 63, 3 / 63])


def test_weights_beyond_the_window_are_clipped():
    slices = BitSlices(2, 4, 0.5)
    np.testing.assert_allclose(represented(slices, np.array([3.0, -9.0])), [0.5, -0.5])


@pytest.mark.parametrize(("n_slices", "bits"), [(1, 4), (2, 1), (4, 2), (8, 4)])
def test_scales_add_up_and_their_squares_have_a_closed_form(n_slices, bits):
    scales, b = BitSlices(n_slices, bits, 1.0).scales, 2.0**bits
    assert scales.sum() == pytest.approx(1.0, rel=1e-14)
    closed = (b - 1) * (b**n_slices + 1) / ((b + 1) * (b**n_slices - 1))
    assert np.square(scales).sum() == pytest.approx(closed, rel=1e-12)


def test_variance_of_the_joined_weight_is_that_of_simulated_writes():
    """Programming noise that grows with the level. Five standard errors of a variance: a false alarm in 1e6."""
    slices, rng = BitSlices(3, 2, 1.0), np.random.default_rng(0)
    n = 200_000
    ideal = slices.split(np.array([0.7]))
    sd = 0.01 + 0.03 * np.abs(ideal)
    written = ideal + sd * rng.standard_normal((3, n))
    variance = slices.join(written).var()
    assert variance == pytest.approx(slices.variance(sd**2)[0], rel=5 * np.sqrt(2 / n))


def test_the_most_significant_slice_dominates_the_noise():
    slices = BitSlices(4, 2, 1.0)
    share = slices.scales[0] ** 2 / np.square(slices.scales).sum()
    assert share == pytest.approx(15 / 16, rel=1e-2)


@pytest.mark.parametrize(
    ("n_slices", "bits", "window", "key"),
    [(0, 2, 1.0, "slices"), (2, 0, 1.0, "slice_bits"), (8, 5, 1.0, "slice_bits"), (2, 2, 0.0, "window")],
)
def test_what_cannot_be_sliced_is_refused(n_slices, bits, window, key):
    with pytest.raises(ConfigError) as refused:
        BitSlices(n_slices, bits, window)
    assert refused.value.key == key
