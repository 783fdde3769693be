"""What weight-space methods estimate, against closed forms on quadratics.

Statistical checks compare a mean over independent repeats with its exact expectation, within 5 standard errors: a false
alarm in 1.7 million each. Seeds are fixed, so that they pass or fail for good.
"""

import numpy as np
import pytest

import hwzo
from hwzo.directions import directions
from hwzo.errors import CapabilityError, ConfigError
from hwzo.estimate.coordinate import coordinate_differences
from hwzo.estimate.least_squares import least_squares
from hwzo.explore.coordinates import sweep, sweep_length
from hwzo.explore.evidence import Evidence
from hwzo.methods.fzoo import per_deviation
from hwzo.methods.grid_steps import SIGNS
from hwzo.methods.lozo import LowRank
from hwzo.methods.method import Start
from hwzo.methods.openes import centred_ranks
from hwzo.methods.registry import method_named
from hwzo.methods.reszo import weights_of
from hwzo.methods.settings import Settings
from hwzo.network import Network
from hwzo.parameters import ParameterSpec, TensorSpec
from hwzo.probes import Batch
from hwzo.testing.quadratic import QuadraticDevice

P = 12
KEY = 77
BATCH = Batch(np.zeros((1, 1)), np.zeros(1, dtype=np.int64))


def within(values, expected, errors=5.0):
    values = np.asarray(values)
    error = values.std(ddof=1) / np.sqrt(len(values))
    assert abs(values.mean() - expected) < errors * error + 1e-12, (
        f"{values.mean():.5g} +- {error:.2g}, not {expected:.5g}"
    )


def gradients(method, count, *, scale=0.3, device=None, **settings):
    """Estimates (count, P) of a method at one point of a quadratic, and the true gradient and curvature."""
    device = device or QuadraticDevice(P, seed=4)
    theta = np.linspace(-0.5, 0.5, device.parameters.size)
    device.program(theta)
    given = {"scale": scale, "rate": 1e-6, "schedule": "constant", "update": "sgd"} | settings
    given = {key: value for key, value in given.items() if value is not None}
    learner = method_named(method).build(Settings(**given), Start(device, theta, BATCH, KEY))
    state, found = learner.begin(theta.size), []
    for t in range(count):
        outcome = learner.step(device, theta, state, BATCH, t, 0.0)
        found.append((theta - outcome.theta) / 1e-6)
        device.program(theta)
    return np.array(found), device.gradient_at(theta), device.curvature


@pytest.mark.parametrize(
    ("method", "probes", "settings"),
    [
        ("zo-sgd", 1, {}),
        ("zo-sgd", 4, {}),
        ("mezo", 2, {"update": None}),
        ("mezo", 8, {"update": None}),
        ("lozo", 4, {}),
        ("guided-es?alpha=1", 4, {}),
    ],
)
def test_gaussian_estimates_have_their_bias_and_variance(method, probes, settings):
    """K normal directions u on a quadratic of diagonal H: no bias, for its error is odd in u, and
    E|g|^2 = (K+P+1)/K |true|^2 + one-sided (P+4) ((tr H)^2 + 2 tr H^2) c^2 / 4 / K + (K-1)/K cross terms that vanish,
    since E f(u)|u|^2 = (P+4) E f for a form of degree four, and E (u H u) u = 0.
    """
    c = 0.3
    found, true, h = gradients(method, 600, scale=c, probes=probes, **settings)
    k = probes if method == "zo-sgd" else probes // 2
    square = true @ true
    within(found @ true / square, 1.0)
    curved = (P + 4) * (h.sum() ** 2 + 2 * h @ h) * c**2 / 4 / k if method == "zo-sgd" else 0.0
    within(np.square(found).sum(axis=1), (k + P + 1) / k * square + curved)


@pytest.mark.parametrize(("method", "probes"), [("spsa", 8), ("mgd?tau_theta=8", None)])
def test_sign_estimates_have_no_bias(method, probes):
    """And K antithetic pairs of signs have E|g|^2 = (K+P-1)/K |true|^2."""
    found, true, _ = gradients(method, 600, probes=probes, law="rademacher")
    within(found @ true / (true @ true), 1.0)
    if method == "spsa":
        within(np.square(found).sum(axis=1), (4 + P - 1) / 4 * (true @ true))


@pytest.mark.parametrize(("estimator", "probes"), [("antithetic", 2 * P), ("forward", P)])
def test_coordinate_differences_are_the_gradient(estimator, probes):
    """Central ones exactly on a quadratic, one-sided ones up to c h / 2 each."""
    found, true, h = gradients("coordinate", 3, estimator=estimator, probes=probes)
    expected = true if estimator == "antithetic" else true + 0.5 * 0.3 * h
    np.testing.assert_allclose(found, np.tile(expected, (3, 1)), rtol=1e-5)


def test_coordinates_without_a_turn_stay():
    found, true, h = gradients("coordinate", 6, estimator="forward", probes=4)
    expected = true + 0.5 * 0.3 * h
    for step in range(0, 6, 3):  # a sweep is three steps
        rows = found[step : step + 3]
        assert ((np.abs(rows) > 1e-9).sum(axis=1) == 4).all()
        np.testing.assert_allclose(rows.sum(axis=0), expected, rtol=1e-5)


def test_coordinate_differences_are_least_squares_through_the_first_reading():
    """Twice the same parameter, once beside others: the slope that numpy's least squares finds; the rest stays 0."""
    rng = np.random.default_rng(8)
    indices, scales = np.array([3, 3, 5, 3, 0, 0]), np.array([0.0, 0.2, -0.4, 0.5, 0.1, -0.1])
    losses = rng.normal(size=6)
    found = coordinate_differences(indices, scales, losses, 7)
    moved = np.zeros((6, 7))
    moved[np.arange(6), indices] = scales
    expected = np.linalg.lstsq(moved, losses - losses[0], rcond=None)[0]
    np.testing.assert_allclose(found, expected, atol=1e-12)
    with pytest.raises(CapabilityError, match="nothing was displaced"):
        coordinate_differences(indices, np.zeros(6), losses, 7)


def test_one_parameter_alone_is_tried_and_displaced_farther():
    """One of 2,410 moves the loss by a fiftieth of what all do; around noise the c* rule goes beyond its own 0.2."""
    sizes = {}
    for law in ("rademacher", "coordinate"):
        device = QuadraticDevice(400, seed=5, loss_sd=0.05)
        device.program(np.zeros(400))
        start = Start(device, np.zeros(400), BATCH, KEY)
        method_named("coordinate" if law == "coordinate" else "zo-sgd").build(Settings(), start)
        sizes[law] = start.measured["probe_size"]
    assert sizes["coordinate"] > 0.2 >= sizes["rademacher"]


SPEC = ParameterSpec((TensorSpec("a", (40, 5)), TensorSpec("b", (30,)), TensorSpec("c", (3,))))


@pytest.mark.parametrize("shares", [(1.0, 1.0, 1.0), (0.1, 0.5, 0.01)])
def test_a_sweep_takes_its_share_of_each_tensor_once(shares):
    first, second = (sweep(SPEC, shares, KEY, number) for number in (0, 1))
    assert len(first) == len(set(first.tolist())) == sweep_length(SPEC, shares)
    counts = [np.isin(first, np.arange(SPEC.size)[part]).sum() for part in SPEC.slices.values()]
    assert counts == [max(1, round(share * t.size)) for share, t in zip(shares, SPEC.tensors, strict=True)]
    assert not np.array_equal(first, second)
    assert np.array_equal(first, sweep(SPEC, shares, KEY, 0))


def test_all_parameters_have_their_turn_though_sweeps_are_sparse():
    """Each is in a sweep of a tenth with probability .1: of 200 sweeps all are hit, but with probability 2e-7."""
    seen = np.concatenate([sweep(SPEC, (0.1, 0.1, 1.0), KEY, number) for number in range(200)])
    assert set(seen.tolist()) == set(range(SPEC.size))


def test_scores_give_sweeps_to_the_tensor_that_curves():
    """ZO-GraSP on a quadratic: score_i = -theta_i h_i g_i, known; where it is clearly lowest, the share is largest."""
    n = 60

    class Two(QuadraticDevice):
        """Two tensors; in the first one theta and gradient have one sign and curvature is high."""

        @property
        def parameters(self):
            return ParameterSpec((TensorSpec("steep", (n // 2,), -2, 2), TensorSpec("flat", (n // 2,), -2, 2)))

    curvature = np.repeat([4.0, 0.01], n // 2)
    device = Two(n, optimum=np.zeros(n), curvature=curvature)
    theta = np.full(n, 1.0)
    device.program(theta)
    start = Start(device, theta, BATCH, KEY)
    method_named("coordinate?sparsity=0.5&scores=2000").build(Settings(scale=0.1), start)
    assert start.measured["share of steep"] > 0.9
    assert start.measured["share of flat"] < 0.1
    assert start.evaluations == 4000
    again = Start(device, theta, BATCH, KEY, dict(start.measured))
    method_named("coordinate?sparsity=0.5&scores=2000").build(Settings(scale=0.1), again)
    assert again.evaluations == 0


@pytest.mark.parametrize("factor", [1e-3, 1e3])
@pytest.mark.parametrize("method", ["fzoo", "openes"])
def test_steps_do_not_know_the_losses_scale(method, factor):
    """FZOO's deviation and OpenES's ranks take it out: losses times a factor give the same steps."""
    ends = []
    for scale in (1.0, factor):
        device = QuadraticDevice(P, seed=4)
        device.curvature, device.floor = device.curvature * scale, device.floor * scale
        ends.append(gradients(method, 4, device=device, probes=8)[0])
    np.testing.assert_allclose(ends[0], ends[1], rtol=1e-5, atol=1e-9)


def test_ranks_are_centred_and_ties_are_shared():
    def of(losses):
        return centred_ranks(Evidence(np.array(losses), np.zeros(len(losses), dtype=np.int64), np.zeros(len(losses))))

    np.testing.assert_allclose(of([3.0, 1.0, 2.0]), [0.5, -0.5, 0.0])
    np.testing.assert_allclose(of([1.0, 1.0, 5.0]), [-0.25, -0.25, 0.5])
    np.testing.assert_allclose(of([7.0, 7.0]), [0.0, 0.0])
    losses = np.random.default_rng(0).standard_normal(9)
    np.testing.assert_allclose(of(losses), of(np.exp(losses)))
    assert of(losses).sum() == pytest.approx(0.0)


def test_fzoo_divides_by_the_deviation_and_stands_still_without_one():
    seen = Evidence(np.array([1.0, 2.0, 4.0]), np.arange(3), np.array([0.0, 0.1, 0.1]))
    np.testing.assert_allclose(per_deviation(seen), np.array([1.0, 2.0, 4.0]) * 0.1 / np.sqrt(2.0))
    flat = Evidence(np.ones(3), np.arange(3), np.array([0.0, 0.1, 0.1]))
    assert not per_deviation(flat).any()


def test_signsgd_moves_every_parameter_by_the_rate():
    device = QuadraticDevice(P, seed=4)
    theta = np.linspace(-0.5, 0.5, P)
    device.program(theta)
    learner = method_named("zo-signsgd").build(Settings(scale=0.1, rate=0.01), Start(device, theta, BATCH, KEY))
    moved = learner.step(device, theta, learner.begin(P), BATCH, 0, 0.0).theta - theta
    np.testing.assert_allclose(np.abs(moved), 0.01)


# --- low rank


@pytest.mark.parametrize("rank", [1, 3])
def test_low_rank_directions_have_their_rank_and_keep_their_rows(rank):
    low = LowRank.of(SPEC, KEY, rank, hold=4)
    first, last, later = (SPEC.views(low.at(i, 2)[1])["a"] for i in (0, 3, 4))
    assert np.linalg.matrix_rank(first) == rank
    assert np.linalg.matrix_rank(np.concatenate([first, last])) == rank  # one row space
    assert np.linalg.matrix_rank(np.concatenate([first, later])) == min(2 * rank, 5)


def test_low_rank_elements_have_variance_one_and_no_correlation():
    """1,500 directions, V new each time: the mean square within 5 standard errors, the gradient's estimate unbiased."""
    spec = ParameterSpec((TensorSpec("w", (4, 3)), TensorSpec("b", (2,))))
    low = LowRank.of(spec, KEY, 2, hold=1)
    rows = np.array([low.at(i, 1)[0] for i in range(1500)])
    within(np.square(rows).mean(axis=1), 1.0)
    true = np.random.default_rng(0).standard_normal(spec.size)
    within((rows @ true) ** 2 / (true @ true), 1.0)


# --- regression on what was read before


def test_the_regression_is_least_squares_on_the_points():
    rng = np.random.default_rng(0)
    points, losses = 3.0 + rng.standard_normal((9, 30)), rng.standard_normal(9)
    slope = weights_of(points @ points.T, losses, np.zeros(9)) @ points
    np.testing.assert_allclose(slope, least_squares(points, losses), rtol=1e-6, atol=1e-12)


def test_what_a_minibatch_adds_to_all_its_losses_is_left_out():
    rng = np.random.default_rng(1)
    points, samples = rng.standard_normal((12, 30)), np.repeat([0.0, 1.0, 5.0], 4)
    losses = points @ rng.standard_normal(30)
    shifted = losses + 10.0 * samples
    products = points @ points.T
    np.testing.assert_allclose(
        weights_of(products, losses, samples), weights_of(products, shifted, samples), rtol=0, atol=1e-10
    )


def test_the_regression_is_the_gradient_once_it_has_as_many_points():
    """A linear loss, P = 12 parameters, 40 points read with one minibatch: exact but for the damping."""
    device = QuadraticDevice(P, optimum=np.zeros(P), curvature=np.full(P, 1e-9))
    slope = np.random.default_rng(5).standard_normal(P)
    theta = np.zeros(P)
    built = method_named("reszo?memory=40").build(
        Settings(scale=0.1, probes=40, rate=1e-9, update="sgd", schedule="constant"), Start(device, theta, BATCH, KEY)
    )
    search, state, now = built.search, built.search.begin(P), theta
    for i in range(40):
        point = search.ask(now, state, i)
        before, (now, state) = now, search.tell(now, state, i, point, point @ slope, 1e-9)
    found = (before - now) / 1e-9
    assert found @ slope / np.linalg.norm(found) / np.linalg.norm(slope) > 0.999
    assert found @ slope / (slope @ slope) == pytest.approx(1.0, abs=0.03)


# --- guides


def test_guided_directions_have_the_stated_covariance():
    """c^2 (alpha I + (1 - alpha) n/k U U^T): along U, across it, and n c^2 in all."""
    n, k, alpha, c = 40, 3, 0.4, 0.1
    device = QuadraticDevice(n, seed=1, window=50.0)
    theta = np.zeros(n)
    built = method_named(f"guided-es?alpha={alpha}&memory={k}").build(
        Settings(scale=c, probes=2), Start(device, theta, BATCH, KEY)
    )
    state = built.begin(n)
    state["past"] = np.random.default_rng(2).standard_normal((k, n))
    basis = np.linalg.qr(state["past"].T)[0]
    moved = np.array([built._pairs(theta, state, t, None)[0] for t in range(1000)])
    along = moved @ basis
    across = moved - along @ basis.T
    within(np.square(along).mean(axis=1), c**2 * (alpha + (1 - alpha) * n / k))
    within(np.square(across).sum(axis=1), c**2 * alpha * (n - k))
    within(np.square(moved).sum(axis=1), n * c**2)


def test_a_perfect_twin_leaves_no_noise_in_the_estimate():
    """alpha = 0 on a noise-free device that is its twin: every pair lies along the gradient, so the cosine is 1."""
    device = hwzo.connect("crossbar:ideal?layers=5-4-3&window=4&seed=1&dac_bits=0&adc_bits=0&engine=numpy")
    rng = np.random.default_rng(0)
    theta = device.parameters.initial(rng)
    device.program(theta)
    batch = Batch(rng.uniform(-1, 1, (20, 5)), rng.integers(0, 3, 20))
    built = method_named("guided-es?guide=twin&alpha=0").build(
        Settings(scale=1e-3, probes=4), Start(device, theta, batch, KEY)
    )
    outcome = built.step(device, theta, built.begin(theta.size), batch, 0, 0.0)
    _, true = device.capabilities.network.gradient(theta, batch.inputs, batch.targets, batch.loss)
    found = outcome.gradient.astype(np.float64)
    assert found @ true / np.linalg.norm(found) / np.linalg.norm(true) == pytest.approx(1.0, abs=1e-4)


def test_mezo_keeps_one_number_for_each_direction():
    device = QuadraticDevice(P, seed=4)
    theta = np.linspace(-0.5, 0.5, P)
    device.program(theta)
    built = method_named("mezo").build(
        Settings(scale=0.1, probes=4, rate=0.1, schedule="constant"), Start(device, theta, BATCH, KEY)
    )
    outcome = built.step(device, theta, built.begin(P), BATCH, 3, 0.0)
    z = directions("gaussian", device.parameters, key=KEY, step=3, counters=np.arange(2))
    pairs = [(device.loss_at(theta + 0.1 * row) - device.loss_at(theta - 0.1 * row)) / 0.2 for row in z]
    np.testing.assert_allclose(outcome.coefficients, -0.1 * np.array(pairs) / 2, rtol=1e-9)
    np.testing.assert_allclose(outcome.theta, theta + outcome.coefficients @ z, rtol=1e-12)
    assert outcome.gradient is None
    assert outcome.state == {}


@pytest.mark.parametrize(
    ("method", "probes", "given"),
    [
        ("coordinate", 10, {}),
        ("coordinate", 20, {"estimator": "antithetic"}),
        ("spsa", 20, {"law": "coordinate"}),
        ("mgd?multiplexing=time", 10, {}),
        ("mgd?multiplexing=time&tau_p=2", 10, {}),
        ("mgd?multiplexing=frequency", 20, {}),
    ],
)
def test_the_slope_of_a_parameter_at_its_bound_is_found_from_within(method, probes, given):
    """A crossbar cuts off what leads out; these methods' estimates are exact, where they see what they displace."""
    device = hwzo.connect("crossbar:ideal?layers=4-2&window=1&dac_bits=0&adc_bits=0&seed=3")
    batch = Batch(np.random.default_rng(0).uniform(-1, 1, (8, 4)), np.arange(8) % 2)
    theta, c = np.array([1.0, -1.0, 0.8, 0.0, 1.0, 0.3, -0.9, 1.0, 0.2, 1.0]), 1e-3
    device.program(theta)
    settings = Settings(scale=c, probes=probes, update="sgd", rate=1.0, schedule="constant", **given)
    learner = method_named(method).build(settings, Start(device, theta, batch, key=1))
    outcome = learner.step(device, theta, learner.begin(10), batch, 0, 0.0)
    _, gradient = Network((4, 2)).gradient(theta, batch.inputs, batch.targets, batch.loss)
    assert np.count_nonzero((np.abs(theta) == 1.0) & (theta * gradient > 0.05)) == 3  # at a bound, and leaving it
    np.testing.assert_allclose(outcome.theta, np.clip(theta - gradient, -1, 1), atol=3e-3)
    if "frequency" not in method and not given:  # and the record says which way they went
        went = dict(zip(outcome.evidence.counters.tolist(), outcome.evidence.scales.tolist(), strict=True))
        assert [went[i] < 0 for i in range(10)] == (theta == 1.0).tolist()


ANALOGUE = "mgd?analogue=true&tau_hp=1e9&tau_theta=1"


@pytest.mark.parametrize(
    ("method", "law"),
    [
        ("lozo", None),
        ("hizoo", None),
        ("guided-es?alpha=1", None),
        (ANALOGUE, None),
        (ANALOGUE, "gaussian"),
        (ANALOGUE, "sparse"),
        (f"{ANALOGUE}&multiplexing=frequency", None),
    ],
)
def test_pairs_at_a_bound_show_all_of_the_slope(method, law):
    """The mean over 2,000 rounds of a linear loss, without steps, is its slope (the analogue form's, for tau_theta = 1
    and losses whose mean is 0, half of it): each of eight parameters, four at their bounds, within 5 standard errors.
    """
    spec = QuadraticDevice(8, laws=frozenset()).parameters
    theta, slope = np.array([2.0, 2.0, -2.0, -2.0, 0.0, 0.1, -0.5, 1.9]), np.array([1.0, -2, 3, -1, 2, 1, -1, 2])
    device = QuadraticDevice(8, laws=frozenset())
    device.program(theta)
    learner = method_named(method).build(Settings(scale=0.2, law=law), Start(device, theta, BATCH, KEY))
    found = []
    for i in range(2000):
        state = learner.begin(8)
        if method.startswith("guided-es"):
            points = learner._pairs(theta, state, i, None)
            found.append(learner._estimate(points, points @ slope))
            continue
        points = spec.clip(learner.search.ask(theta, state, i))
        if "analogue" in method:
            state["before"] = np.array([theta @ slope])
        moved, _ = learner.search.tell(theta, state, i, points, points @ slope, 1.0)
        found.append((theta - moved) * (2.0 if "analogue" in method else 1.0))
    for column, expected in zip(np.transpose(found), slope, strict=True):
        within(column, expected)


@pytest.mark.parametrize("method", ["reszo", "selection", "metropolis"])
def test_one_direction_a_step_is_not_a_coordinate(method):
    device = QuadraticDevice(6, loss_sd=0.01)
    with pytest.raises(ConfigError, match="same parameter") as caught:
        method_named(method).build(Settings(law="coordinate"), Start(device, np.zeros(6), BATCH, key=1))
    assert caught.value.key == "law"


def test_fzoo_is_normalised_by_displacements_downwards_too():
    """All parameters at their upper bounds, one by one: the step is the forward differences over the losses' spread."""
    device = QuadraticDevice(8, seed=3)
    theta, c = np.full(8, 2.0), 0.1
    device.program(theta)
    settings = Settings(scale=c, probes=8, law="coordinate", rate=0.01, update="sgd", schedule="constant")
    outcome = (
        method_named("fzoo").build(settings, Start(device, theta, BATCH, KEY)).step(device, theta, {}, BATCH, 0, 0.0)
    )
    losses = np.array([device.loss_at(theta - c * row) for row in np.eye(8)])
    slopes = (device.loss_at(theta) - losses) / c
    np.testing.assert_allclose(outcome.theta, theta - 0.01 * c * slopes / losses.std(ddof=1), rtol=1e-6)


@pytest.mark.parametrize("law", ["rademacher", "rank1-sign", "walsh", "sparse", "coordinate"])
def test_displacements_by_units_are_whole_steps_of_a_grid(law):
    """A device that rounds what it is displaced to would move parameters by something else than is reckoned with."""
    device, asked = QuadraticDevice(8, resolution=2.0**-4, loss_sd=0.01), []
    measure = device.measure
    device.measure = lambda probes, batch: asked.append(probes) or measure(probes, batch)
    start = Start(device, np.zeros(8), BATCH, KEY)
    method = method_named("mgd").build(Settings(law=law), start)
    method.explore.measure(device, start.theta, BATCH, 0)
    for probes in asked:  # those of the c* rule, and of a step
        np.testing.assert_array_equal(probes.scales, np.round(probes.scales * 16) / 16)
    assert (method.grid is not None) == (law in SIGNS)  # of these alone a board makes the steps itself
    trial = np.abs(asked[1].scales)
    assert set(trial / trial.min()) == {1.0, 2.0}


def test_walsh_directions_are_not_for_centred_estimators():
    device = QuadraticDevice(8)
    for method in ("block", "intrinsic"):
        with pytest.raises(ConfigError, match="never learn") as caught:
            method_named(method).build(Settings(law="walsh", scale=0.1), Start(device, np.zeros(8), BATCH, key=1))
        assert caught.value.key == "law"
    method_named("spsa").build(Settings(law="walsh", scale=0.1), Start(device, np.zeros(8), BATCH, key=1))
