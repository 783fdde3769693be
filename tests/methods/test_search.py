"""Methods that program their candidates, against closed forms, published algorithms and an independent twin.

Statistical checks are within 5 standard errors of a mean of independent numbers: a false alarm in 1.7 million each.
"""

import math

import cmaes
import numpy as np
import pytest

from hwzo.explore.programmed import ProgrammedExploration
from hwzo.methods.cbo import soft_minimum
from hwzo.methods.method import Start
from hwzo.methods.registry import method_named
from hwzo.methods.settings import Settings
from hwzo.parameters import ParameterSpec, TensorSpec
from hwzo.probes import Batch
from hwzo.testing.quadratic import QuadraticDevice

KEY = 2024
BATCH = Batch(np.zeros((1, 1)), np.zeros(1, dtype=np.int64))


def search_of(method, n, *, theta=None, key=KEY, **settings):
    """The method's ask and tell, as built for a device of n parameters, and where it starts."""
    device = QuadraticDevice(n, window=1e6, laws=frozenset())
    theta = np.zeros(n) if theta is None else theta
    device.program(theta)
    return method_named(method).build(Settings(**settings), Start(device, theta, BATCH, key)).search, theta


def minimised(method, function, n, rounds, *, theta=None, rate=1.0, key=KEY, **settings):
    """Where ask and tell come to on a function of (n,), without a device."""
    search, theta = search_of(method, n, theta=theta, key=key, **settings)
    state = search.begin(n)
    for i in range(rounds):
        points = search.ask(theta, state, i)
        theta, state = search.tell(theta, state, i, points, np.array([function(x) for x in points]), rate)
    return theta


def within(values, expected):
    values = np.asarray(values)
    error = values.std(ddof=1) / np.sqrt(len(values))
    assert abs(values.mean() - expected) < 5 * error, f"{values.mean():.5g} +- {error:.2g}, not {expected:.5g}"


# --- CMA-ES


def sphere(x):
    return float(x @ x)


def ellipsoid(x):
    """Condition 1e6, as in the BBOB functions that CMA-ES implementations are tested on."""
    return float(np.geomspace(1, 1e6, len(x)) @ x**2)


def rosenbrock(x):
    return float(np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2))


def rotated(x):
    rotation = np.linalg.qr(np.random.default_rng(0).standard_normal((len(x), len(x))))[0]
    return ellipsoid(rotation @ x)


@pytest.mark.parametrize(
    ("method", "function", "n", "rounds"),
    [
        ("cma-es", sphere, 8, 150),
        ("cma-es", ellipsoid, 6, 350),
        ("cma-es", rotated, 6, 350),
        ("cma-es", rosenbrock, 4, 400),
        ("sep-cma", sphere, 8, 150),
        ("sep-cma", ellipsoid, 6, 350),
    ],
)
def test_cma_es_minimises_what_it_is_known_to(method, function, n, rounds):
    end = minimised(method, function, n, rounds, theta=np.full(n, 0.5), scale=0.5)
    assert function(end) < 1e-8


def test_only_the_whole_matrix_learns_a_rotated_ellipsoid():
    ends = [minimised(name, rotated, 6, 350, theta=np.full(6, 0.5), scale=0.5) for name in ("cma-es", "sep-cma")]
    assert rotated(ends[0]) < 1e-8 < 1e-4 < rotated(ends[1])


@pytest.mark.parametrize(("method", "kind"), [("cma-es", cmaes.CMA), ("sep-cma", cmaes.SepCMA)])
def test_it_is_the_packages_own_algorithm(method, kind):
    """Told the same samples and losses, the package's optimiser holds the same distribution after every round."""
    n = 7
    start = np.linspace(-1, 1, n)
    search, theta = search_of(method, n, theta=start, scale=0.3, probes=10)
    state, twin = search.begin(n), kind(mean=start.copy(), sigma=0.3, population_size=10)
    for i in range(30):
        points = search.ask(theta, state, i)
        losses = np.array([rosenbrock(x) for x in points])
        theta, state = search.tell(theta, state, i, points, losses, 1.0)
        twin.tell(list(zip(points, losses.tolist(), strict=True)))
        np.testing.assert_allclose(theta, twin.mean, rtol=1e-9)
        np.testing.assert_allclose(state["covariance"], twin._C, rtol=1e-7, atol=1e-12)
        assert state["sigma"][0] == pytest.approx(twin._sigma, rel=1e-9)


def test_the_usual_population_is_hansens():
    """4 + floor(3 ln n), eq. 48 of the tutorial."""
    for n in (5, 50, 500):
        assert search_of("sep-cma", n)[0].candidates == 4 + math.floor(3 * math.log(n))


# --- consensus


def test_particles_contract_as_they_should():
    """|x' - v|^2 / |x - v|^2 has the mean (1 - pull dt)^2 + spread^2 dt, for whatever consensus v (isotropic in xi)."""
    pull, spread, dt, n = 1.5, 0.8, 0.2, 400
    search, theta = search_of(f"cbo?pull={pull}&spread={spread}", n, probes=40, scale=1.0)
    state = search.begin(n)
    ratios = []
    for i in range(4):
        points = search.ask(theta, state, i)
        v, state = search.tell(theta, state, i, points, np.array([sphere(x) for x in points]), dt)
        ratios.append(np.square(state["particles"] - v) / np.square(points - v))
    within(np.concatenate(ratios).ravel(), (1 - pull * dt) ** 2 + spread**2 * dt)


def test_the_consensus_goes_from_the_mean_to_the_best():
    """Laplace's principle: small alpha weighs all alike, large alpha only the least loss."""
    losses = np.array([3.0, 1.0, 2.0, 1.5])
    np.testing.assert_allclose(soft_minimum(losses, 1e-9), 0.25)
    np.testing.assert_allclose(soft_minimum(losses, 1e3), [0, 1, 0, 0], atol=1e-12)
    weights = soft_minimum(losses, 2.0)
    expected = np.exp(-2.0 * losses / losses.std())
    np.testing.assert_allclose(weights, expected / expected.sum())
    np.testing.assert_allclose(soft_minimum(np.ones(3), 5.0), 1 / 3)


def test_particles_agree_on_the_global_minimum():
    """Rastrigin's function in two dimensions: some hundred local minima, of which a gradient finds the nearest."""

    def rastrigin(x):
        return float(20 + np.sum(x**2 - 10 * np.cos(2 * np.pi * x)))

    start = np.array([1.3, -0.7])
    found = 0
    for key in range(5):
        end = minimised(
            "cbo?alpha=30&spread=1.3", rastrigin, 2, 150, theta=start, key=key, rate=0.1, probes=100, scale=2.0
        )
        found += np.abs(end).max() < 0.1
    assert found >= 4


# --- Ornstein-Uhlenbeck


@pytest.mark.parametrize("lam", [0.05, 0.5, 5.0])
def test_left_alone_parameters_have_the_stationary_variance(lam):
    """Variance scale^2 = sigma^2 / (2 lam) and autocorrelation exp(-lam k) in each of 2,000 independent parameters."""
    n, scale = 2000, 0.2
    search, mu = search_of(f"oua?lam={lam}", n, scale=scale)
    state, rows = search.begin(n), []
    for i in range(int(8 / lam) + 20):
        point = search.ask(mu, state, i)
        mu, state = search.tell(mu, state, i, point, np.zeros(1), 0.0)
        rows.append(state["displacement"])
    assert not mu.any()
    within(np.square(rows[-1]), scale**2)
    for lag in (1, 3):
        within(rows[-1] * rows[-1 - lag], scale**2 * math.exp(-lam * lag))


def test_means_drift_down_the_gradient():
    """E d mu = -eta scale^2 gradient, with the expected reward known from before: 4,000 independent moves."""
    n, scale, eta = 6, 0.3, 0.01
    slope = np.linspace(-1, 1, n)
    search, mu = search_of("oua?lam=20", n, scale=scale)
    drifts = []
    for i in range(4000):
        state = {"displacement": np.zeros(n), "expected": np.zeros(1)}
        point = search.ask(mu, state, i)
        moved, _ = search.tell(mu, state, i, point, point @ slope, eta)
        drifts.append(moved)
    for parameter in range(n):
        within(np.array(drifts)[:, parameter], -eta * scale**2 * slope[parameter])


def test_the_expected_reward_is_a_running_mean():
    search, mu = search_of("oua?eps=0.25", 1, scale=0.1)
    state, expected = search.begin(1), None
    for i, loss in enumerate([2.0, 1.0, 4.0, 3.0]):
        _, state = search.tell(mu, state, i, search.ask(mu, state, i), np.array([loss]), 0.0)
        expected = -loss if expected is None else expected + 0.25 * (-loss - expected)
        assert state["expected"][0] == pytest.approx(expected)


# --- HiZOO


def test_hizoo_is_its_three_formulas():
    """Written out a number at a time."""
    n, c, smooth, rate = 5, 0.1, 0.05, 0.02
    h = np.array([0.5, 1.0, 2.0, 4.0, 8.0])

    def loss(x):
        return 1.0 + 0.5 * float(h @ np.square(x - 0.3))

    search, theta = search_of(f"hizoo?smooth={smooth}", n, scale=c)
    state, by_hand, curvature = search.begin(n), [0.0] * n, [1.0] * n
    for i in range(6):
        u = search.directions.at(i, np.arange(1))[0]
        points = search.ask(theta, state, i)
        losses = np.array([loss(x) for x in points])
        theta, state = search.tell(theta, state, i, points, losses, rate)
        moved = [c * u[j] / math.sqrt(curvature[j]) for j in range(n)]
        still = loss(np.array(by_hand))
        plus = loss(np.array([w + d for w, d in zip(by_hand, moved, strict=True)]))
        minus = loss(np.array([w - d for w, d in zip(by_hand, moved, strict=True)]))
        second = abs(plus + minus - 2 * still) / (2 * c * c)
        curvature = [(1 - smooth) * k + smooth * second * k * u[j] ** 2 for j, k in enumerate(curvature)]
        by_hand = [w - rate * (plus - minus) / (2 * c) * u[j] / math.sqrt(curvature[j]) for j, w in enumerate(by_hand)]
        np.testing.assert_allclose(theta, by_hand, rtol=1e-9, atol=1e-15)
        np.testing.assert_allclose(state["curvature"], curvature, rtol=1e-9)


# --- annealing


def test_worse_is_kept_with_metropolis_probability():
    """exp(-d / T) of 4,000 decisions, T falling with the budget; better always, and at the end only better."""
    device = QuadraticDevice(4)
    device.program(np.zeros(4))
    learner = method_named("metropolis?temperature=0.5").build(Settings(), Start(device, np.zeros(4), BATCH, KEY))
    old, worse = np.full(2, 1.0), np.full(1, 1.3)
    for progress, temperature in ((0.0, 0.5), (0.6, 0.2)):
        kept = [learner._keeps(old, worse, t, progress) for t in range(4000)]
        within(np.array(kept, dtype=float), math.exp(-0.3 / temperature))
    assert learner._keeps(old, np.full(1, 0.9), 0, 0.5)
    assert learner._keeps(old, np.full(1, 1.0), 0, 0.5)  # exp(0) = 1
    assert not learner._keeps(old, worse, 0, 1.0)
    assert learner._keeps(old, np.full(1, 0.9), 0, 1.0)


# --- programming candidates


def test_candidates_are_brought_to_what_the_device_can_hold():
    spec = ParameterSpec((TensorSpec("a", (2,), -1, 1, 0.25), TensorSpec("b", (2,), -0.5, 0.5)))
    explore = ProgrammedExploration(spec)
    placed = explore.placed(np.array([[0.30, -3.0, 0.30, 3.0]]))
    np.testing.assert_array_equal(placed, [[0.25, -1.0, 0.30, 0.5]])
    smooth = ProgrammedExploration(ParameterSpec(spec.tensors[1:]))
    np.testing.assert_array_equal(smooth.placed(np.array([[0.30, 3.0]])), [[0.30, 0.5]])


def test_only_what_differs_is_written():
    """A cell that is written draws new noise, and wears: what a candidate leaves as it is must not be written."""
    device = QuadraticDevice(4, seed=1)
    explore = ProgrammedExploration(device.parameters)
    held = np.zeros(4)
    device.program(held)
    written = []
    program = device.program
    device.program = lambda theta, *, mask: written.append(int(mask.sum())) or program(theta, mask=mask)
    candidates = np.array([held, [1.0, 0, 0, 0], [1.0, 0, 0, 0], [0, 0, 1.0, 0]])
    losses = explore.measure(device, held, candidates, BATCH)
    assert written == [1, 2]
    np.testing.assert_allclose(losses, [device.loss_at(x) for x in candidates])
