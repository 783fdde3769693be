"""Intervals hold the truth as often as they say; estimators against mathematics."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwzo.noise import common_mode, curvature, loss_noise, parameter_noise, slow_noise
from hwzo.noise.jackknife import jackknife, mean
from hwzo.noise.quantity import Quantity, half_square_steps, spread_dof, successive_dof
from hwzo.noise.read_error import estimate as read_error
from hwzo.noise.read_error import resolution, with_rounding

TRIALS = 2000
# Binomial: a correct 95% interval holds the truth in so many of 2,000, but for once in 10^5 runs of a test.
FEWEST, MOST = 1855, 1941


def held(quantities, truth):
    return sum(q.low <= truth <= q.high for q in quantities)


def test_spread_of_gaussian_readings():
    rng = np.random.default_rng(100)
    data = 0.3 * rng.standard_normal((TRIALS, 24))
    quantities = [Quantity.spread(float(row.var(ddof=1)), "1", 24, dof=23) for row in data]
    assert FEWEST <= held(quantities, 0.3) <= MOST


def test_spread_of_successive_differences():
    """Half the mean square difference is no chi-square, but near enough with von Neumann's degrees of freedom."""
    rng = np.random.default_rng(101)
    data = 0.3 * rng.standard_normal((40, TRIALS))
    squares = half_square_steps(data)
    assert squares.var() == pytest.approx(2 * 0.09**2 / successive_dof(40), rel=0.15)  # 4.7 standard errors
    quantities = [Quantity.spread(float(v), "1", 40, dof=successive_dof(40)) for v in squares]
    assert FEWEST <= held(quantities, 0.3) <= MOST


def test_slow_drift_is_no_loss_noise_and_is_told_of():
    rng = np.random.default_rng(102)
    losses = 0.01 * rng.standard_normal(200) + np.linspace(0, 0.2, 200)
    found = loss_noise.estimate(losses)
    sd = found.quantities["loss_noise_sd"]
    assert sd.low <= 0.01 <= sd.high
    assert "drifts" in found.warnings[0]
    assert not loss_noise.estimate(0.01 * rng.standard_normal(200)).warnings  # a false alarm once in 1,000


@pytest.mark.parametrize("law", ["normal", "laplace"])
def test_loss_noise_of_any_law(law):
    """128 readings; a Laplace law has an excess kurtosis of 3; taken for Gaussian, 83% would hold the truth."""
    rng = np.random.default_rng(122)
    truth = 1.0 if law == "normal" else math.sqrt(2.0)
    rows = getattr(rng, "standard_normal" if law == "normal" else law)(size=(600, 128))
    count = held([loss_noise.estimate(row).quantities["loss_noise_sd"] for row in rows], truth)
    assert count >= (0.92 if law == "normal" else 0.91) * 600


@pytest.mark.parametrize("between", [0.0, 0.5, 3.0])
def test_component_of_variance(between):
    """The sd between groups, noise within taken off; at 0 the interval begins there."""
    rng = np.random.default_rng(103)
    data = between * rng.standard_normal((TRIALS, 16, 1)) + rng.standard_normal((TRIALS, 16, 4))
    quantities = [loss_noise.rewrites(row).quantities["loss_rewrite_sd"] for row in data]
    count = held(quantities, between)
    # At 0 only the lower end can miss, and an interval that is cut off at 0 does not. Degrees of freedom that follow
    # from a sample's own kurtosis, and are never more than a Gaussian's, make it 1% wider than it need be.
    assert count >= FEWEST
    assert count <= MOST + 20 or between < 1.0


def test_heavy_tails_have_fewer_degrees_of_freedom():
    """48 logistic values, kurtosis 4.2: taken for Gaussian, their interval holds the truth in 89%, else in 93%."""
    rng = np.random.default_rng(120)
    truth = math.pi / math.sqrt(3.0)
    plain, wide = [], []
    for row in rng.logistic(size=(TRIALS, 48)):
        square = float(np.square(row).mean())
        plain.append(Quantity.component(square, 48, 0.0, math.inf, "1", 48))
        wide.append(Quantity.component(square, spread_dof(row), 0.0, math.inf, "1", 48))
    assert held(plain, truth) < 0.91 * TRIALS
    assert held(wide, truth) > 0.92 * TRIALS


def test_gaussian_values_keep_their_degrees_of_freedom():
    rng = np.random.default_rng(121)
    assert spread_dof(rng.standard_normal(200_000), fitted=1) == pytest.approx(200_000, rel=0.03)
    assert spread_dof(rng.uniform(-1, 1, 1000)) == 1000  # lighter tails than a Gaussian's aren't made use of
    assert spread_dof(np.zeros(9), fitted=1) == 8


@pytest.mark.parametrize(("p", "n"), [(0.05, 100), (0.3, 40)])
def test_share(p, n):
    """Jeffreys' interval oscillates with p around 95% (Brown, Cai and DasGupta 2001): within 2.5% of it here."""
    counts = np.random.default_rng(104).binomial(n, p, TRIALS)
    quantities = {k: Quantity.share(int(k), n) for k in set(counts.tolist())}
    assert abs(held([quantities[int(k)] for k in counts], p) / TRIALS - 0.95) < 0.025


@given(st.integers(1, 500), st.data())
def test_share_is_within_0_and_1(n, data):
    k = data.draw(st.integers(0, n))
    q = Quantity.share(k, n)
    assert 0 <= q.low <= q.value <= q.high <= 1
    assert q.standard_error > 0


def test_jackknife_of_a_mean_is_the_usual_standard_error():
    values = np.random.default_rng(105).standard_normal((30, 2))
    estimate = jackknife(values, lambda row: row, groups=30)
    np.testing.assert_allclose(estimate.value, values.mean(axis=0), atol=1e-12)
    np.testing.assert_allclose(estimate.standard_error, values.std(axis=0, ddof=1) / math.sqrt(30), rtol=1e-9)


def test_jackknife_takes_the_bias_of_a_square_off():
    """The square of a mean is too large by variance / n; the jackknife's correction is exact for it."""
    values = np.random.default_rng(106).standard_normal((50, 1))
    estimate = jackknife(values, lambda row: row[0] ** 2, groups=50)
    assert estimate.value == pytest.approx(values.mean() ** 2 - values.var(ddof=1) / 50, rel=1e-9)


@pytest.mark.parametrize("sd", [0.0, 0.1, 0.3, 0.6, 2.0])
def test_rounding_that_hides_in_repeats_is_put_back(sd):
    """Readings rounded to a step of 1: the mean square error against the truth, which repeats alone don't show."""
    rng = np.random.default_rng(107)
    truth = rng.uniform(-20, 20, 20000)
    readings = np.rint(truth + sd * rng.standard_normal((6, 20000)))
    seen = float(readings.var(axis=0, ddof=1).mean())
    expected = float(np.square(readings - truth).mean())
    assert with_rounding(seen, 1.0) == pytest.approx(expected, rel=0.02)
    assert resolution(readings) == pytest.approx(1.0, rel=1e-6)
    q = read_error(readings).quantities["read_error_sd"]
    assert q.value == pytest.approx(math.sqrt(expected), rel=0.01)


def test_no_grid_is_seen_where_there_is_none():
    assert resolution(np.random.default_rng(108).standard_normal(5000)) == 0.0
    assert resolution(np.zeros(100)) == 0.0


def test_parameter_noise_less_read_error():
    rng = np.random.default_rng(109)
    truth = rng.uniform(-1, 1, 500)
    sigma = rng.uniform(0.01, 0.05, 500)
    read = 0.03
    realised = truth + sigma * rng.standard_normal((128, 500)) + read * rng.standard_normal((128, 500))
    reads = truth + read * rng.standard_normal((16, 500))
    found = parameter_noise.estimate(realised, reads)
    q = found.quantities["parameter_noise_sigma"]
    expected = math.sqrt(float(np.square(sigma).mean()))
    assert abs(q.value - expected) < 4.5 * q.standard_error
    each = found.curves["parameter_noise_sigma_each"]
    good = np.abs(each.values - sigma) < 4 * each.standard_error
    assert good.mean() > 0.98


def test_too_few_evaluations_say_how_many():
    found = parameter_noise.estimate(np.zeros((5, 3)), np.zeros((4, 3)))
    assert "at least 8" in found.left_out["parameter_noise_sigma"]
    assert "at least 8" in loss_noise.estimate(np.zeros(3)).left_out["loss_noise_sd"]


@pytest.mark.parametrize("share", [0.0, 0.2, 0.7])
def test_common_mode_share(share):
    rng = np.random.default_rng(110)
    hits = []
    for _ in range(200):
        common = math.sqrt(share) * rng.standard_normal((64, 1))
        own = math.sqrt(1 - share) * rng.standard_normal((64, 40))
        read = 0.5 * rng.standard_normal((64, 40))
        q = common_mode.estimate(common + own + read, 0.25).quantities["common_mode_share"]
        hits.append(q.low <= share <= q.high)
    assert 174 <= sum(hits) <= 200  # 190 expected; fewer than 174 once in 10^5


def test_common_mode_shows_as_a_component():
    rng = np.random.default_rng(111)
    noise = rng.standard_normal((64, 1)) + rng.standard_normal((64, 200))
    curve = common_mode.estimate(noise, 0.0).curves["leading_components"]
    edge = float(curve.about.rpartition(" ")[2])
    assert curve.values[0] > 0.45  # half the variance is shared
    assert curve.values[1] < 1.1 * edge


def test_white_noise_in_time():
    rng = np.random.default_rng(112)
    found = slow_noise.estimate(0.1 * rng.standard_normal((128, 300)), 0.0, 1e-3)
    q = found.quantities["noise_slope"]
    assert abs(q.value) < 4.5 * q.standard_error
    allan = found.curves["allan_deviation"]
    expected = 0.1 / np.sqrt(allan.axis / 1e-3)  # sigma / sqrt(m)
    assert (np.abs(allan.values - expected) < 5 * allan.standard_error).all()
    assert "shorter than one evaluation" in found.left_out["correlation_time"]


def test_periodogram_keeps_the_variance():
    """Parseval: over all frequencies but 0 the powers add up to the sum of squares."""
    series = np.random.default_rng(113).standard_normal((65, 7))
    centred = series - series.mean(axis=0)
    np.testing.assert_allclose(2 * slow_noise.periodogram(series).sum(axis=0), np.square(centred).sum(axis=0))


@pytest.mark.parametrize("beta", [0.5, 1.0, 1.5])
def test_slope_of_a_power_law(beta):
    """Gaussian noise of spectrum 1/f^beta, made by shaping the transform of a much longer series."""
    rng = np.random.default_rng(114)
    length = 4096
    shape = np.zeros(length // 2 + 1)
    shape[1:] = np.arange(1, length // 2 + 1) ** (-beta / 2)
    transform = shape[:, None] * (rng.standard_normal((length // 2 + 1, 200, 2)) @ [1, 1j])
    series = np.fft.irfft(transform, axis=0)[:128]
    q = slow_noise.estimate(series / series.std(), 0.0, 0.0).quantities["noise_slope"]
    assert q.value == pytest.approx(beta, abs=0.12)  # leakage of a short window makes it no power law at its ends


def test_correlation_time_of_an_autoregressive_process():
    """AR(1) with coefficient a: the variogram reaches 1 - 1/e at -1 / ln a."""
    rng = np.random.default_rng(115)
    a, k, n = math.exp(-1 / 5.0), 256, 400
    y = np.empty((k, n))
    y[0] = rng.standard_normal(n)
    for t in range(1, k):
        y[t] = a * y[t - 1] + math.sqrt(1 - a * a) * rng.standard_normal(n)
    read = 0.3 * rng.standard_normal((k, n))
    q = slow_noise.estimate(y + read, 0.09, 2e-3).quantities["correlation_time"]
    assert q.unit == "s"
    assert abs(q.value - 0.01) < 4.5 * q.standard_error
    assert q.standard_error < 0.001


def test_mean_over_contiguous_groups_sees_slow_noise():
    """Random walks within a series: groups of neighbours make a larger error than scattered ones."""
    walk = np.cumsum(np.random.default_rng(116).standard_normal((400, 1)), axis=0)
    assert mean(walk, contiguous=True).standard_error > 3 * mean(walk).standard_error


def test_derivatives_of_a_polynomial():
    """Along direction z_k the loss is a + b_k s + c_k s^2 / 2 + d_k s^3 / 6: its own derivatives come back."""
    rng = np.random.default_rng(117)
    b, c, d = rng.standard_normal((3, 40))
    scales = np.array(curvature.SCALES) * 0.1
    losses = 2 + np.outer(b, scales) + np.outer(c, scales**2) / 2 + np.outer(d, scales**3) / 6
    found = curvature.estimate(np.repeat(losses[:, None], 2, axis=1), scales).quantities
    assert found["gradient_norm"].value == pytest.approx(math.sqrt(np.square(b).mean()), rel=1e-9)
    assert found["curvature_d2_rms"].value == pytest.approx(math.sqrt(np.square(c).mean()), rel=1e-9)
    assert found["curvature_d3_rms"].value == pytest.approx(math.sqrt(np.square(d).mean()), rel=1e-6)


def test_derivatives_under_noise():
    rng = np.random.default_rng(118)
    scales = np.array(curvature.SCALES) * 0.1
    hits = []
    for _ in range(400):
        losses = (rng.standard_normal((24, 1)) * scales)[:, None] + 0.05 * rng.standard_normal((24, 2, 4))
        q = curvature.estimate(losses, scales).quantities["gradient_norm"]
        hits.append(q.low <= 1.0 <= q.high)
    assert 361 <= sum(hits) <= 397  # binomial at 95%, but for once in 10^4


def test_an_answering_loss_is_not_suspected():
    rng = np.random.default_rng(119)
    assert not loss_noise.response(np.array([[1.0], [2.0], [3.0]]) + 0.1 * rng.standard_normal((3, 2))).warnings
    assert loss_noise.response(np.ones((3, 2)) + 0.1 * rng.standard_normal((3, 2))).warnings
