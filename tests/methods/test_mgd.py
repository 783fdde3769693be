"""MGD against finite differences and SPSA, bit for bit, and its filters against theirs."""

from types import SimpleNamespace

import numpy as np
import pytest

import hwzo
from hwzo.directions import directions
from hwzo.explore.sinusoids import Sinusoids
from hwzo.methods.method import Start
from hwzo.methods.mgd_analogue import Analogue
from hwzo.methods.registry import method_named
from hwzo.methods.settings import Settings
from hwzo.probes import Batch
from hwzo.testing.quadratic import QuadraticDevice

N = 16
KEY = 0x5EED
BATCH = Batch(np.zeros((1, 1)), np.zeros(1, dtype=np.int64))
C, RATE = 2.0**-4, 2.0**-3


def dyadic():
    """A quadratic whose losses and differences are exact in float64 for some steps: all its numbers are few bits."""
    rng = np.random.default_rng(2)
    optimum, curvature = rng.integers(-16, 17, N) / 16, rng.choice([0.5, 1.0, 2.0], N)
    device = QuadraticDevice(N, optimum=optimum, curvature=curvature)
    device.floor = 0.125
    theta = rng.integers(-16, 17, N) / 16
    device.program(theta)
    return device, theta


def taken(device, theta, method, steps, batches=None, **settings):
    learner = method_named(method).build(Settings(**settings), Start(device, theta, BATCH, KEY))
    state, path, readings = learner.begin(theta.size), [], []
    for t in range(steps):
        outcome = learner.step(device, theta, state, BATCH if batches is None else batches[t], t, 0.0)
        theta, state = outcome.theta, outcome.state
        path.append(theta)
        readings.append(outcome.evidence)
    return path, readings


PLAIN = {"scale": C, "rate": RATE, "update": "sgd", "schedule": "constant"}


@pytest.mark.parametrize("method", ["mgd?tau_p=1&tau_theta=1", "mgd?tau_theta=1&tau_x=2&multiplexing=code"])
def test_moving_at_every_perturbation_is_one_sided_spsa(method):
    """theta -= rate (L(theta + c z) - L(theta)) / (c z_i), Spall's one-sided form, to the last bit."""
    device, theta = dyadic()
    steps = 2 if method.endswith("1") else 1
    path, _ = taken(device, theta, method, steps, **PLAIN)
    for window in range(2):
        z = directions("rademacher", device.parameters, key=KEY, step=window, counters=np.array([0]))[0]
        theta = theta - RATE * (device.loss_at(theta + C * z) - device.loss_at(theta)) / (C * z)
    assert np.array_equal(path[-1], theta)


def test_one_sided_steps_along_z_and_minus_z_are_the_antithetic_one():
    """The mean of both one-sided estimates is SPSA's pair, to the last bit."""
    device, theta = dyadic()
    pair, _ = taken(device, theta, "spsa", 1, **PLAIN)
    z = directions("rademacher", device.parameters, key=KEY, step=0, counters=np.array([0]))[0]
    sides = [(device.loss_at(theta + s * C * z) - device.loss_at(theta)) / (s * C) * z for s in (1, -1)]
    assert np.array_equal(pair[0], theta - RATE * 0.5 * (sides[0] + sides[1]))


@pytest.mark.parametrize(
    "method", [f"mgd?multiplexing=time&tau_theta={N}", f"mgd?multiplexing=time&tau_theta={N}&tau_x=4"]
)
def test_taking_turns_is_finite_differences(method):
    device, theta = dyadic()
    path, readings = taken(device, theta, method, 4 if method.endswith("4") else 1, **PLAIN)
    gradient = np.array([(device.loss_at(theta + C * e) - device.loss_at(theta)) / C for e in np.eye(N)])
    assert np.array_equal(path[-1], theta - RATE * gradient)
    assert sum(len(seen.losses) for seen in readings) == N + len(readings)  # a C0 whenever the samples change


@pytest.mark.parametrize("multiplexing", ["code", "walsh", "time"])
def test_time_constants_that_say_nothing_new_change_nothing(multiplexing):
    """On a noisy crossbar, whose readings depend on every call before: tau_theta = tau_x = probes is plain MGD."""
    ends = []
    for method, settings in (("mgd?tau_theta=8&tau_x=8", {}), ("mgd", {"probes": 8})):
        device = hwzo.connect("crossbar:pcm?layers=4-3-2&window=1&seed=5&engine=numpy")
        theta = device.parameters.initial(np.random.default_rng(1))
        device.program(theta)
        batch = Batch(np.random.default_rng(0).uniform(-1, 1, (6, 4)), np.array([0, 1, 0, 1, 1, 0]))
        name = method + ("&" if "?" in method else "?") + f"multiplexing={multiplexing}"
        path, _ = taken(device, theta, name, 5, [batch] * 5, scale=0.05, rate=0.1, **settings)
        ends.append(path[-1])
    assert np.array_equal(*ends)


@pytest.mark.parametrize(("tau_theta", "tau_x"), [(8, 2), (8, 4), (8, 8), (4, 8), (2, 8), (6, 4)])
def test_samples_may_change_faster_or_slower_than_parameters(tau_theta, tau_x):
    """With samples that are all alike it is one sequence, however it is cut: the same parameters, to rounding."""
    device, theta = dyadic()
    moves = 24 // tau_theta
    path, _ = taken(device, theta, f"mgd?tau_theta={tau_theta}&tau_x={tau_x}", 24 // tau_x, **PLAIN)
    for window in range(moves):
        z = directions("rademacher", device.parameters, key=KEY, step=window, counters=np.arange(tau_theta))
        slopes = [(device.loss_at(theta + C * row) - device.loss_at(theta)) / C for row in z]
        theta = theta - RATE * (np.array(slopes) @ z) / tau_theta
    np.testing.assert_allclose(path[-1], theta, atol=1e-6)


def test_a_perturbation_is_held_for_tau_p_readings():
    """Readout noise of variance s^2: a gradient's is (1 + 1/n) s^2 / (tau_p n c^2), n perturbations against one C0.

    With no slope at all (at the optimum, less what curvature gives) the rest is noise: within 5 standard errors of a
    variance of 12,800 numbers, whose correlation through C0 is in the factor; a false alarm in 1.7 million.
    """
    held, count, sd = 4, 8, 0.1
    device = QuadraticDevice(N, loss_sd=sd, optimum=np.zeros(N), curvature=np.full(N, 1e-9), seed=1)
    theta = np.zeros(N)
    device.program(theta)
    path, readings = taken(device, theta, f"mgd?tau_p={held}&tau_theta={held * count}", 800, **PLAIN | {"rate": 1e-9})
    gradients = -np.diff(np.array([theta, *path]), axis=0) / 1e-9
    assert readings[0].scales.tolist() == [0.0] * held + [C] * held * count
    # Given the codes, C0's error multiplies their mean, of mean square 1/n; the others' are independent.
    expected = (sd**2 / held) * (1 / count + 1 / count) / C**2
    rows = np.square(gradients).mean(axis=1)
    assert abs(rows.mean() - expected) < 5 * rows.std() / np.sqrt(len(rows))


def test_sinusoids_are_orthogonal_over_two_readings_for_each():
    n = 40
    waves = Sinusoids(n, KEY).at(np.arange(2 * n) + 1_000_000)
    np.testing.assert_allclose(waves.T @ waves / (2 * n), np.eye(n), atol=1e-6)


def test_frequencies_find_the_gradient_where_codes_only_approach_it():
    """Over 2 n readings of a linear loss the sinusoids' estimate is exact."""
    linear = QuadraticDevice(N, optimum=np.zeros(N))
    slope = np.random.default_rng(0).standard_normal(N)
    linear.measure = lambda probes, batch: SimpleNamespace(losses=np.array([float(slope @ linear._theta)]))
    linear.program(np.zeros(N))
    path, _ = taken(linear, np.zeros(N), f"mgd?multiplexing=frequency&tau_theta={2 * N}", 1, **PLAIN | {"scale": 0.01})
    np.testing.assert_allclose(-path[0] / RATE, slope, atol=1e-6)


def test_the_analogue_filters_have_the_responses_of_first_order_filters():
    """A step in the loss passes the high-pass as a^(n+1), a = tau_hp / (tau_hp + 1); the low-pass settles as b^n,
    b = tau_theta / (tau_theta + 1)."""
    ones = SimpleNamespace(at=lambda readings: np.ones((len(readings), 1)))
    search = Analogue(QuadraticDevice(1).parameters, ones, 1.0, 1, tau_theta=4.0, tau_hp=3.0)
    state, theta = search.begin(1), np.zeros(1)
    state["before"] = np.array([0.0])
    high, low = [], []
    for i in range(12):
        theta, state = search.tell(theta, state, i, theta[None], np.array([1.0]), 0.0)
        high.append(state["highpassed"][0])
        low.append(state["integrated"][0])
    a, b = 0.75, 0.8
    np.testing.assert_allclose(high, a ** np.arange(1, 13), rtol=1e-12)
    expected = [sum(b ** (n - k) * 0.2 * a ** (k + 1) for k in range(n + 1)) for n in range(12)]
    np.testing.assert_allclose(low, expected, rtol=1e-12)


@pytest.mark.parametrize("multiplexing", ["code", "frequency"])
def test_the_analogue_form_integrates_the_gradient(multiplexing):
    """With parameters held still (rate 0), G averages the high-passed loss times the perturbation: gain tau_hp /
    (tau_hp + 1) for codes, which are white. Of 40 seeds: within 5 standard errors, a false alarm in 500,000 (t, 39).
    """
    slope = np.random.default_rng(4).standard_normal(8)
    gains = []
    for key in range(40):
        device = QuadraticDevice(8, laws=frozenset())
        device.program(np.zeros(8))
        start = Start(device, np.zeros(8), BATCH, key)
        built = method_named(f"mgd?analogue=true&multiplexing={multiplexing}&tau_theta=200&tau_hp=9").build(
            Settings(scale=0.01), start
        )
        state, theta = built.search.begin(8), np.zeros(8)
        mean = np.zeros(8)
        for i in range(600):
            point = built.search.ask(theta, state, i)
            _, state = built.search.tell(theta, state, i, point, point @ slope, 0.0)
            mean += state["integrated"] / 400 if i >= 200 else 0.0
        settled = 1 - np.mean([(200 / 201) ** (i + 1) for i in range(200, 600)])
        gains.append(mean @ slope / (slope @ slope) / settled)
    expected = 0.9
    error = np.std(gains, ddof=1) / np.sqrt(len(gains))
    slack = 0.1 if multiplexing == "frequency" else 0.0  # of which the slowest are filtered out
    assert abs(np.mean(gains) - expected) < 5 * error + slack
