"""Estimators against closed forms on linear and quadratic losses, and against independent twins.

Statistical checks compare a mean over M independent repeats with its exact expectation, within 4.5 standard errors of
the mean: a false-alarm rate of 7e-6 each. The seeds are fixed, so that they pass or fail for good.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwzo.directions import STREAMS, directions, second_moment
from hwzo.errors import CapabilityError, ConfigError
from hwzo.estimate import antithetic, block, difference, forward, least_squares
from hwzo.network import Network
from hwzo.parameters import ParameterSpec, TensorSpec

P = 20
RNG = np.random.default_rng(7)
GRADIENT = RNG.standard_normal(P)
SQUARE = GRADIENT @ GRADIENT
CURVATURE = (lambda a: a + a.T)(RNG.standard_normal((P, P)))


def within(values, expected, errors=4.5):
    """The mean of independent values is the expected one, within that many standard errors."""
    values = np.asarray(values)
    assert abs(values.mean() - expected) < errors * values.std(ddof=1) / np.sqrt(len(values)), (
        f"{values.mean():.5g} +- {values.std(ddof=1) / np.sqrt(len(values)):.2g} is not {expected:.5g}"
    )


def along(estimates):
    """Component along the true gradient, 1 if unbiased with scale 1, of each estimate (M, P)."""
    return np.asarray(estimates) @ GRADIENT / SQUARE


def energy(estimates):
    """|g|^2 / |true|^2 of each."""
    return np.square(estimates).sum(axis=1) / SQUARE


def cosine(estimate, gradient):
    return estimate @ gradient / np.sqrt((estimate @ estimate) * (gradient @ gradient))


# --- block -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n", "q", "r"), [(2, 0.0, 0.0), (10, 0.0, 0.0), (10, 1.0, 0.0), (10, 0.0, 1.0), (30, 2.0, 0.7)]
)
def test_block_has_scale_one_and_the_stated_noise(n, q, r):
    """Gaussian displacements of sd s, loss noise q s |g|, read error r s, s2 known: Wishart moments give exactly
    E g = true and E|g|^2 / |true|^2 = 1 + (P + 1 + P q^2 + P r^2 (1 + q^2)) / (N - 1).
    """
    rng, sd = np.random.default_rng(n), 0.3
    estimates = []
    for _ in range(4000):
        true = sd * rng.standard_normal((n, P))
        losses = 5.0 + true @ GRADIENT + q * sd * np.sqrt(SQUARE) * rng.standard_normal(n)
        read = true + r * sd * rng.standard_normal((n, P))
        estimates.append(block(read, losses, variance=sd**2))
    within(along(estimates), 1.0)
    within(energy(estimates), 1 + (P + 1 + P * q**2 + P * r**2 * (1 + q**2)) / (n - 1))


def test_block_on_a_quadratic_has_no_bias_and_the_variance_of_a_sample_covariance():
    """Var cov(L, D_i) = (m22 - (N-2)/(N-1) m11^2 + m20 m02/(N-1)) / N, with Gaussian D and L = g D + D H D / 2:
    m11 = s^2 g_i, m20 = s^2 |g|^2 + s^4 tr H^2 / 2, m22 = s^4 (|g|^2 + 2 g_i^2) + s^6 (tr H^2 / 2 + 2 (H^2)_ii).
    """
    rng, sd, n = np.random.default_rng(3), 0.4, 12
    squared = CURVATURE @ CURVATURE
    m11, m02 = sd**2 * GRADIENT, sd**2
    m20 = sd**2 * SQUARE + sd**4 * np.trace(squared) / 2
    m22 = sd**4 * (SQUARE + 2 * GRADIENT**2) + sd**6 * (np.trace(squared) / 2 + 2 * np.diag(squared))
    variance = (m22 - (n - 2) / (n - 1) * m11**2 + m20 * m02 / (n - 1)) / n / sd**4
    estimates = []
    for _ in range(6000):
        moved = sd * rng.standard_normal((n, P))
        losses = moved @ GRADIENT + 0.5 * np.einsum("ni,ij,nj->n", moved, CURVATURE, moved)
        estimates.append(block(moved, losses, variance=sd**2))
    within(along(estimates), 1.0)
    within(np.square(np.array(estimates) - GRADIENT).sum(axis=1), variance.sum())


@pytest.mark.parametrize(
    ("p", "n", "q", "r"), [(300, 60, 0, 0), (300, 240, 1, 0), (300, 240, 0, 1), (600, 240, 0.5, 0.5)]
)
def test_block_follows_the_cosine_law(p, n, q, r):
    """cos = 1 / sqrt(1 + P (1 + q^2)(1 + r^2) / N), a law of large P and N: within 5%."""
    rng = np.random.default_rng(p + n)
    gradient = rng.standard_normal(p)
    cosines = []
    for _ in range(60):
        true = rng.standard_normal((n, p))
        losses = true @ gradient + q * np.linalg.norm(gradient) * rng.standard_normal(n)
        read = true + r * rng.standard_normal((n, p))
        cosines.append(cosine(block(read, losses, read_error_variance=float(r) ** 2), gradient))
    assert np.mean(cosines) == pytest.approx(1 / np.sqrt(1 + p * (1 + q**2) * (1 + r**2) / n), rel=0.05)


def test_block_takes_the_read_errors_variance_off():
    """s2 measured, 20% off by design if the read error (r = .5) were left in."""
    rng = np.random.default_rng(5)
    estimates = []
    for _ in range(2000):
        true = rng.standard_normal((40, P))
        read = true + 0.5 * rng.standard_normal((40, P))
        estimates.append(block(read, true @ GRADIENT, read_error_variance=0.25))
    # A ratio of means: its bias is of the order 2 var(s2)/s2^2 = 4 / (40 P), 0.5%.
    assert np.mean(along(estimates)) == pytest.approx(1.0, abs=0.02)


def test_block_against_comparing_each_reading_with_the_mean_of_the_others():
    rng = np.random.default_rng(11)
    moved, losses = rng.standard_normal((9, 5)), rng.standard_normal(9)
    expected = sum((losses[n] - np.delete(losses, n).mean()) * moved[n] for n in range(9)) / 9
    assert np.allclose(block(moved, losses, variance=1.0), expected, rtol=1e-12)


# --- antithetic, forward ---------------------------------------------------------------------------------------------


def pairs(rows, scale=0.1):
    return scale * np.repeat(rows, 2, axis=0) * np.tile([1.0, -1.0], len(rows))[:, None]


def drawn(law, rng, k):
    if law == "gaussian":
        return rng.standard_normal((k, P))
    if law == "rademacher":
        return rng.choice([-1.0, 1.0], (k, P))
    return np.linalg.qr(rng.standard_normal((P, P)))[0][:k] * np.sqrt(P)


@pytest.mark.parametrize("law", ["gaussian", "rademacher", "orthogonal"])
@pytest.mark.parametrize("k", [1, 4, 16])
def test_antithetic_finds_its_laws_share_of_the_gradient(law, k):
    """E|g|^2/|true|^2 with E g = true is (K+P+1)/K, (K+P-1)/K and P/K: the inverse squares of the stated cosines."""
    rng = np.random.default_rng(k)
    estimates = []
    for _ in range(3000):
        moved = pairs(drawn(law, rng, k))
        estimates.append(antithetic(moved, 2.0 + moved @ GRADIENT, variance=0.01))
    within(along(estimates), 1.0)
    expected = {"gaussian": (k + P + 1) / k, "rademacher": (k + P - 1) / k, "orthogonal": P / k}[law]
    if law == "orthogonal":  # |g|^2 is proportional to its component along the truth, so compare that ratio exactly
        assert np.allclose(energy(estimates), expected * along(estimates))
    else:
        within(energy(estimates), expected)


@given(st.integers(0, 2**32 - 1), st.floats(0.01, 10))
def test_antithetic_sees_nothing_of_even_order(seed, scale):
    rng = np.random.default_rng(seed)
    moved = pairs(rng.choice([-1.0, 1.0], (5, P)), scale)
    linear = moved @ GRADIENT
    quadratic = linear + 3.0 + 0.5 * np.einsum("ni,ij,nj->n", moved, CURVATURE, moved)
    assert np.allclose(antithetic(moved, quadratic), antithetic(moved, linear), rtol=1e-7, atol=1e-7 * (1 + scale))


def test_antithetic_is_spsa():
    """Spall's g_i = (L+ - L-) / (2 c z_i), for z_i = +-1."""
    z = np.random.default_rng(0).choice([-1.0, 1.0], P)
    plus, minus, c = 3.25, 1.75, 0.01
    assert np.allclose(antithetic(pairs(z[None], c), np.array([plus, minus])), (plus - minus) / (2 * c * z))


def test_antithetic_of_a_pair_as_read_back_allows_for_the_read_error():
    """Pairs of commanded +-c plus the device's own noise, read with an error: only the true displacements count."""
    rng = np.random.default_rng(1)
    estimates = []
    for _ in range(2000):
        true = pairs(rng.choice([-1.0, 1.0], (20, P)), 1.0) + 0.5 * rng.standard_normal((40, P))
        read = true + 0.8 * rng.standard_normal((40, P))
        estimates.append(antithetic(read, true @ GRADIENT, read_error_variance=0.64))
    assert np.mean(along(estimates)) == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize("law", list(STREAMS))
@pytest.mark.parametrize("known", [True, False])
def test_every_law_has_scale_one(law, known):
    """One law after the other through `directions`, K = 7 pairs of counters in a row, s2 known or measured."""
    spec = ParameterSpec((TensorSpec("w", (6, 3)), TensorSpec("b", (2,))))
    scale = 0.05
    variance = scale**2 * second_moment(law, spec) if known else None
    estimates, singles = [], []
    for step in range(3000):
        rows = directions(law, spec, key=3, step=step, counters=np.arange(7 * step, 7 * step + 7))
        moved = pairs(rows, scale)
        estimates.append(antithetic(moved, moved @ GRADIENT, variance=variance))
        ahead = np.concatenate([np.zeros((1, P)), scale * rows])
        singles.append(forward(ahead, ahead @ GRADIENT, variance=variance))
    # With s2 measured, tensors of unlike spread under gaussian-rank1 make the mean of the ratio differ a little from 1.
    slack = 0.1 if law == "gaussian-rank1" and not known else 0.0
    for found in (estimates, singles):
        values = along(found)
        assert abs(values.mean() - 1.0) < slack + 4.5 * values.std() / np.sqrt(len(values))


@pytest.mark.parametrize("law", ["walsh", "coordinate"])
def test_a_complete_orthogonal_set_gives_the_gradient_exactly(law):
    spec = ParameterSpec((TensorSpec("w", (16,)),))
    gradient, hessian = GRADIENT[:16], CURVATURE[:16, :16]
    rows = 0.2 * directions(law, spec, key=9, step=4, counters=np.arange(16))
    both = pairs(rows, 1.0)
    losses = both @ gradient + 0.5 * np.einsum("ni,ij,nj->n", both, hessian, both)
    assert np.allclose(antithetic(both, losses), gradient, rtol=0, atol=1e-12)
    ahead = np.concatenate([np.zeros((1, 16)), rows])
    assert np.allclose(forward(ahead, ahead @ gradient), gradient, rtol=0, atol=1e-12)


def test_forward_is_one_reading_against_the_baseline():
    """MGD's (C - C0) theta / |dtheta|^2 for one perturbation of amplitude dtheta in each parameter."""
    theta = 0.02 * np.random.default_rng(2).choice([-1.0, 1.0], P)
    got = forward(np.stack([np.zeros(P), theta]), np.array([1.0, 1.3]))
    assert np.allclose(got, 0.3 * theta / 0.02**2)


def test_forwards_baseline_error_multiplies_the_mean_displacement():
    rows = np.random.default_rng(4).standard_normal((6, P))
    moved = np.concatenate([np.zeros((1, P)), rows])
    losses = moved @ GRADIENT
    wrong = losses + np.eye(7)[0]
    lost = forward(moved, losses, variance=1.0) - forward(moved, wrong, variance=1.0)
    assert np.allclose(lost, rows.mean(axis=0))


# --- least squares ---------------------------------------------------------------------------------------------------


@given(st.integers(2, 40), st.integers(0, 2**32 - 1), st.floats(1e-3, 1.0))
def test_least_squares_is_ridge_regression_in_the_parameters(n, seed, damping):
    """The P x P twin: (Dc^T Dc + l I)^-1 Dc^T Lc is the same vector."""
    rng = np.random.default_rng(seed)
    moved, losses = 0.01 * rng.standard_normal((n, P)), rng.standard_normal(n)
    d, y = moved - moved.mean(axis=0), losses - losses.mean()
    ridge = damping * np.square(d).sum() / n
    twin = np.linalg.solve(d.T @ d + ridge * np.eye(P), d.T @ y)
    assert np.allclose(least_squares(moved, losses, damping=damping), twin, rtol=1e-7, atol=1e-7 * np.abs(twin).max())


def test_least_squares_with_enough_readings_is_exact_whatever_the_displacements():
    rng = np.random.default_rng(8)
    moved = (rng.standard_normal((60, P)) @ rng.standard_normal((P, P))) * np.geomspace(0.1, 1, P) + 2.0
    got = least_squares(moved, 4.0 + moved @ GRADIENT, damping=1e-12)
    assert np.allclose(got, GRADIENT, rtol=0, atol=1e-5)


def test_least_squares_shrinks_to_the_span():
    """The projection of a vector on a random span of N - 1 of P dimensions: share (N - 1)/P, cos^2 of the same mean."""
    rng, n = np.random.default_rng(9), 6
    estimates = []
    for _ in range(2000):
        moved = rng.standard_normal((n, P))
        estimates.append(least_squares(moved, moved @ GRADIENT, damping=1e-9))
    within(along(estimates), (n - 1) / P)
    within([cosine(e, GRADIENT) ** 2 for e in estimates], (n - 1) / P)


def test_least_squares_usual_damping_takes_little_off_the_shrink_factor():
    rng = np.random.default_rng(10)
    gradient = rng.standard_normal(800)
    factors = []
    for _ in range(60):
        moved = 0.03 * rng.standard_normal((51, 800))
        factors.append(least_squares(moved, moved @ gradient) @ gradient / (gradient @ gradient))
    assert np.mean(factors) == pytest.approx(50 / 800, rel=0.05)


# --- which is best where ---------------------------------------------------------------------------------------------


def compare(make, first, second, *, p=300, n=120, repeats=40):
    """Mean paired difference in cosine between two estimators, in standard errors, on a linear loss."""
    rng = np.random.default_rng(13)
    gaps = []
    for _ in range(repeats):
        gradient = rng.standard_normal(p)
        moved = make(rng, n, p)
        losses = moved @ gradient
        gaps.append(cosine(first(moved, losses), gradient) - cosine(second(moved, losses), gradient))
    return np.mean(gaps) / (np.std(gaps, ddof=1) / np.sqrt(repeats))


def unequal(rng, n, p):
    return np.exp(rng.standard_normal(p)) * rng.standard_normal((n, p))


def common_mode(rng, n, p):
    return np.sqrt(0.5) * (rng.standard_normal((n, p)) + rng.standard_normal((n, 1)))


def first_order(rng, n, p, memory=0.99):
    """AR(1) from its stationary state."""
    moved = np.empty((n, p))
    moved[0] = rng.standard_normal(p)
    for i in range(1, n):
        moved[i] = memory * moved[i - 1] + np.sqrt(1 - memory**2) * rng.standard_normal(p)
    return moved


def one_over_f(rng, n, p):
    """Power ~ 1/f, by its spectrum, over a record eight times as long as what is used."""
    frequency = np.fft.rfftfreq(8 * n)
    frequency[0] = np.inf
    spectrum = rng.standard_normal((len(frequency), p)) + 1j * rng.standard_normal((len(frequency), p))
    return np.fft.irfft(spectrum / np.sqrt(frequency)[:, None], axis=0)[:n]


def white(rng, n, p):
    return rng.standard_normal((n, p))


@pytest.mark.parametrize(
    ("noise", "better", "worse"),
    [
        (unequal, least_squares, block),
        (common_mode, least_squares, block),
        (first_order, difference, block),
        (one_over_f, difference, block),
        (first_order, least_squares, block),
        (white, block, difference),
    ],
)
def test_ranks_as_stated(noise, better, worse):
    """Paired over 40 repeats, by more than 5 standard errors."""
    assert compare(noise, better, worse) > 5


def test_block_under_unequal_noise_follows_the_natural_gradient():
    """E g = Sigma true / mean variance."""
    rng, sd = np.random.default_rng(17), np.geomspace(0.1, 1.0, P)
    weights = rng.standard_normal((P, 3))
    estimates = []
    for _ in range(3000):
        moved = sd * rng.standard_normal((16, P))
        estimates.append(block(moved, moved @ GRADIENT, variance=float(np.mean(sd**2))))
    expected = sd**2 * GRADIENT / np.mean(sd**2)
    for w in weights.T:
        within(np.array(estimates) @ w, expected @ w)


def test_difference_on_a_random_walk_has_scale_one():
    """A random walk's steps are white; with s2 measured, the trace of what multiplies the gradient is P exactly."""
    rng = np.random.default_rng(19)
    estimates = []
    for _ in range(3000):
        moved = np.cumsum(0.1 * rng.standard_normal((10, P)), axis=0)
        estimates.append(difference(moved, moved @ GRADIENT))
    within(along(estimates), 1.0)


def test_difference_takes_two_read_errors_off():
    rng = np.random.default_rng(20)
    estimates = []
    for _ in range(2000):
        true = np.cumsum(rng.standard_normal((40, P)), axis=0)
        read = true + 0.5 * rng.standard_normal((40, P))
        estimates.append(difference(read, true @ GRADIENT, read_error_variance=0.25))
    assert np.mean(along(estimates)) == pytest.approx(1.0, abs=0.02)


# --- a real network --------------------------------------------------------------------------------------------------


def test_estimates_of_a_networks_gradient_agree_with_backpropagation():
    """A complete Walsh set of pairs: exact but for third-order terms, which fall as the square of the scale."""
    rng = np.random.default_rng(21)
    network = Network.parse("5-6-3")
    spec = network.parameter_spec()
    theta, inputs, targets = spec.initial(rng), rng.uniform(-1, 1, (40, 5)), rng.integers(0, 3, 40)
    _, gradient = network.gradient(theta, inputs, targets, "cross-entropy")
    rows = directions("walsh", spec, key=1, step=0, counters=np.arange(64))
    errors = []
    for scale in (0.02, 0.01):
        moved = pairs(rows, scale)
        losses = np.array([network.gradient(theta + d, inputs, targets, "cross-entropy")[0] for d in moved])
        errors.append(np.linalg.norm(antithetic(moved, losses) - gradient) / np.linalg.norm(gradient))
        assert cosine(least_squares(moved, losses, damping=1e-9), gradient) > 0.999
    assert errors[0] < 0.02
    assert errors[0] / errors[1] == pytest.approx(4.0, rel=0.1)


# --- bad input -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("estimator", [block, antithetic, least_squares, difference, forward])
def test_a_population_of_one_is_refused(estimator):
    with pytest.raises(ConfigError, match="at least 2 readings") as error:
        estimator(np.ones((1, 3)), np.ones(1))
    assert error.value.key == "probes"


@pytest.mark.parametrize("estimator", [block, antithetic, least_squares, difference, forward])
def test_shapes_that_do_not_fit_are_refused(estimator):
    with pytest.raises(ConfigError, match=r"\(4, 3\) and \(3,\)"):
        estimator(np.ones((4, 3)), np.ones(3))


@pytest.mark.parametrize("estimator", [block, antithetic, least_squares, difference, forward])
def test_readings_that_were_not_displaced_are_refused(estimator):
    with pytest.raises(CapabilityError, match="commanded perturbation"):
        estimator(np.full((6, 3), 0.1), np.arange(6.0))  # the mean of six 0.1s is not exactly 0.1


@pytest.mark.parametrize("estimator", [block, antithetic, difference])
def test_noise_below_what_reading_resolves_is_said(estimator):
    rng = np.random.default_rng(0)
    with pytest.raises(CapabilityError, match="below what reading can resolve"):
        estimator(0.1 * rng.standard_normal((40, 3)), rng.standard_normal(40), read_error_variance=0.1)
    with pytest.raises(ConfigError, match="negative"):
        estimator(rng.standard_normal((4, 3)), rng.standard_normal(4), read_error_variance=-1.0)


@pytest.mark.parametrize("estimator", [block, antithetic, difference])
def test_an_unlucky_step_of_few_displacements_is_no_end_and_no_leap(estimator):
    """Displacements as large as their reading's error, 9 parameters, 2 readings: one in eight says that there are none.

    What is divided by is at least a sqrt(2 / 9) of what was measured, so an estimate is at most 2.2 times as long as if
    nothing had been taken off.
    """
    rng = np.random.default_rng(1)
    slope = rng.standard_normal(9)
    for _ in range(500):
        moved = 0.02 * rng.standard_normal((2, 9))
        seen = moved + 0.02 * rng.standard_normal((2, 9))
        losses = moved @ slope
        found = estimator(seen, losses, read_error_variance=4e-4)
        assert np.linalg.norm(found) <= 2.2 * np.linalg.norm(estimator(seen, losses))


def test_a_reading_without_its_partner_is_refused():
    with pytest.raises(ConfigError, match="pairs"):
        antithetic(np.ones((3, 2)), np.ones(3))


@pytest.mark.parametrize("damping", [0.0, -1.0, np.nan])
def test_damping_must_be_positive(damping):
    with pytest.raises(ConfigError, match="above 0"):
        least_squares(np.eye(3), np.ones(3), damping=damping)
