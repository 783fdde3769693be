"""Numbers with their spread: against the formulas, and read back."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwzo.report.quantity import amount, count, deviation, mean, share, share_error, spread, with_error

PREFIXES = {"f": -15, "p": -12, "n": -9, "µ": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12}


@given(st.floats(min_value=1e-14, max_value=1e14), st.sampled_from([1.0, -1.0]))
def test_an_amount_reads_back_to_four_digits(size: float, sign: float):
    number, unit = amount(sign * size, "J").split(" ")
    assert float(number) * 10 ** PREFIXES[unit.removesuffix("J")] == pytest.approx(sign * size, rel=6e-4)


@pytest.mark.parametrize(
    ("value", "text"), [(0.0, "0 J"), (math.inf, "inf J"), (0.010671788, "10.67 mJ"), (7.07, "7.07 J")]
)
def test_amounts(value: float, text: str):
    assert amount(value, "J") == text


def test_a_fraction_carries_its_binomial_standard_error():
    assert share_error(0.5, 100) == 0.05
    assert share(0.9, 100) == "0.9000 ± 0.0300 (standard error; n = 100 samples)"


def test_all_right_is_no_certainty():
    assert share(1.0, 4) == "1.0000 (n = 4 samples, all right)"
    assert "at 95% confidence at least 0.990" in share(1.0, 300)
    assert "at 95% confidence at most 0.010" in share(0.0, 300)


@given(st.floats(min_value=-1e6, max_value=1e6), st.floats(min_value=1e-8, max_value=1e5), st.sampled_from([1, 2]))
def test_value_and_error_show_the_digits_that_the_error_leaves_known(value: float, error: float, digits: int):
    shown, plus_minus = with_error(value, error, digits).replace("\N{MINUS SIGN}", "-").split(" ± ")
    assert float(plus_minus) == pytest.approx(error, rel=0.5 * 10 ** (1 - digits) + 1e-9) or error > 1
    assert abs(float(shown) - value) <= 0.5 * max(error, 1.0 if error > 1 else 0) + 1e-9
    assert [len(part.partition(".")[2]) for part in (shown, plus_minus)].count(len(plus_minus.partition(".")[2])) == 2


def test_spreads_follow_their_formulas():
    values = np.array([1.0, 2.0, 3.0, 4.0])
    assert spread(values) == "2.5 ± 1.3 (sd; n = 4)"  # sd with n - 1: 1.291
    assert mean(values) == "2.5 ± 0.6 (n = 4)"  # sqrt(1.25) / 2 = 0.559
    assert deviation(values) == "1.1 ± 0.4 (n = 4)"  # sqrt(1.25) = 1.118, over sqrt(8) = 0.395
    assert deviation(values, 0.0) == "2.7 ± 1.0 (n = 4)"  # sqrt(7.5) = 2.739, over sqrt(8) = 0.968
    assert spread(np.full(5, 0.25)) == "0.25 in all n = 5"
    assert spread(np.array([0.25])) == "0.25 (n = 1)"


def test_count():
    assert count(6877888) == "6,877,888"
