"""Splits: sizes by the stated rule, disjoint, complete, and the same for ever."""

from fractions import Fraction
from math import ceil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwzo.data import splits
from hwzo.errors import ConfigError


@given(st.integers(3, 5000))
def test_the_three_splits_follow_the_rule_and_share_nothing(n):
    parts = splits.three_way(n)
    assert len(parts.test) == ceil(Fraction(20, 100) * n)
    assert len(parts.validation) == ceil(Fraction(16, 100) * n)
    assert min(len(part) for part in parts) >= 1
    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(n))


def test_digits_sizes():
    assert [len(part) for part in splits.three_way(1797)] == [1149, 288, 360]


def test_the_order_is_numpys_permutation_of_seed_0():
    order = np.random.default_rng(0).permutation(1797)
    train, validation, test = splits.three_way(1797)
    assert np.array_equal(np.concatenate([train, validation, test]), order)
    # A NumPy that permutes otherwise would silently change every figure ever measured; here it is noticed.
    assert np.random.default_rng(0).permutation(10).tolist() == [4, 6, 2, 7, 3, 5, 9, 0, 8, 1]


def test_two_way_takes_validation_from_the_end():
    train, validation = splits.two_way(60_000, 10_000)
    assert (len(train), len(validation)) == (50_000, 10_000)
    assert np.array_equal(np.sort(np.concatenate([train, validation])), np.arange(60_000))


@pytest.mark.parametrize("n", [0, 1, 2])
def test_too_few_samples(n):
    with pytest.raises(ConfigError, match="at least 3"):
        splits.three_way(n)
