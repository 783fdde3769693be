"""Student's t against SciPy's, and the coverage of the margins that the kit stands on."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from hwzo.testing.student import Mean, critical_t, two_sided_tail


@given(t=st.floats(0, 30), df=st.integers(1, 200))
def test_tail_is_scipys(t: float, df: int):
    assert two_sided_tail(t, df) == pytest.approx(2 * stats.t.sf(t, df), rel=1e-6, abs=1e-13)


@given(exponent=st.floats(-8, -0.1), df=st.integers(2, 200))
def test_critical_value_is_scipys(exponent: float, df: int):
    alpha = 10.0**exponent
    assert critical_t(alpha, df) == pytest.approx(stats.t.isf(alpha / 2, df), rel=1e-5)


@pytest.mark.parametrize("alpha", [0.2, 0.05, 0.01])
def test_margin_covers_as_often_as_it_says(alpha: float):
    # 20,000 means of 16: the count of misses is binomial; false alarm of this test 1e-6.
    experiments = 20_000
    rows = np.random.default_rng(1).standard_normal((experiments, 16)) * 3.0 + 7.0
    missed = sum(abs(mean.value - 7.0) > mean.margin(alpha) for mean in map(Mean.of, rows))
    low, high = stats.binom.ppf([5e-7, 1 - 5e-7], experiments, alpha)
    assert low <= missed <= high
