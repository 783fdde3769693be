"""Steps on a device's grid: unbiased whatever their size, exactly what a board adds up, and the same when replayed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwzo.directions import Directions, directions
from hwzo.estimate.antithetic import antithetic
from hwzo.estimate.block import block
from hwzo.estimate.forward import forward
from hwzo.explore.evidence import Evidence
from hwzo.explore.weights import WeightExploration
from hwzo.methods.grid_steps import GridSteps, resolution_of
from hwzo.methods.method import Record, Start
from hwzo.methods.registry import method_named
from hwzo.methods.settings import Settings
from hwzo.parameters import ParameterSpec, TensorSpec
from hwzo.probes import Batch
from hwzo.testing.quadratic import QuadraticDevice

UNIT = 2.0**-12
KEY = 0x0123456789ABCDEF


def spec(size=21, window=1.0, resolution=UNIT):
    return ParameterSpec((TensorSpec("w", (size,), -window, window, resolution, initial_sd=0.3),))


def grid(parameters=None, resolution=UNIT, law="rademacher"):
    return GridSteps(Directions(law, parameters or spec(resolution=resolution), KEY), resolution)


def evidence(counters, scales, losses):
    return Evidence(np.array(losses, dtype=np.float64), np.array(counters), np.array(scales, dtype=np.float64))


@pytest.mark.parametrize("law", ["rademacher", "rank1-sign"])
@pytest.mark.parametrize(
    ("estimator", "counters", "signs"),
    [
        (block, [0, 1, 2, 3, 4], [1, 1, 1, 1, 1]),
        (antithetic, [0, 0, 1, 1], [1, -1, 1, -1]),
        (forward, [0, 0, 1, 2], [0, 1, 1, 1]),
    ],
)
def test_coefficients_make_the_step_of_the_gradient(estimator, counters, signs, law):
    """On a grid so fine that rounding doesn't count: -rate g, with g from the displacements themselves."""
    rng = np.random.default_rng(1)
    c, rate, t = 0.02, 0.3, 7
    scales = c * np.array(signs, dtype=np.float64)
    losses = rng.normal(1.0, 0.1, len(scales))
    fine = grid(spec(resolution=2.0**-40), 2.0**-40, law)
    rows = directions(law, fine.directions.spec, key=KEY, step=t, counters=np.array(counters))
    expected = -rate * estimator(rows * scales[:, None], losses, variance=c * c)
    of, coefficients = fine.coefficients(
        evidence(counters, scales, losses), lambda e: estimator(e.displacements, e.losses, variance=c * c), t, rate
    )
    assert of.tolist() == sorted(set(counters))
    z = directions(law, fine.directions.spec, key=KEY, step=t, counters=of)
    np.testing.assert_allclose(coefficients @ z, expected, rtol=0, atol=len(of) * 2.0**-40)


@pytest.mark.parametrize("wanted", [0.003, 0.25, 0.5, 0.9, 1.4, -0.003, -0.6, -7.25])
def test_rounding_is_unbiased(wanted):
    """Of N roundings the mean is a binomial's about ``wanted`` points: 5 sd, a false alarm in 1.7 million."""
    n, rate, c = 2_000, 1.0, 1.0
    steps = grid()
    # One pair: the coefficient of its direction is -rate (L+ - L-) / 2c.
    losses = [-wanted * UNIT, wanted * UNIT]
    seen = evidence([3, 3], [c, -c], losses)
    values = np.array(
        [
            steps.coefficients(seen, lambda e: antithetic(e.displacements, e.losses, variance=c * c), t, rate)[1][0]
            for t in range(n)
        ]
    )
    points = values / UNIT
    low = np.floor(wanted)
    assert set(points.tolist()) <= {low, low + 1}
    share = wanted - low
    assert abs(points.mean() - wanted) <= 5 * np.sqrt(share * (1 - share) / n)


def test_rounding_goes_its_own_way_for_each_step_and_direction():
    """Neighbours' roundings are uncorrelated: |r| of 4,000 pairs within 5 / sqrt(4000)."""
    steps = grid()
    counters = np.arange(2)
    seen = Evidence(np.array([0.0, 0.0]), counters, np.ones(2))
    table = (
        np.array([steps.coefficients(seen, lambda e: np.full(2, 0.5 * UNIT), t, 1.0)[1] for t in range(4001)])
        > -UNIT / 2
    )
    bits = 2.0 * table - 1.0
    assert abs((bits[:-1, 0] * bits[1:, 0]).mean()) < 5 / np.sqrt(4000)
    assert abs((bits[:, 0] * bits[:, 1]).mean()) < 5 / np.sqrt(4000)


@given(
    st.integers(0, 2**32 - 1),
    st.lists(
        st.tuples(st.integers(0, 65535), st.integers(-3000, 3000)), min_size=1, max_size=6, unique_by=lambda p: p[0]
    ),
    st.integers(0, 2**16),
)
def test_a_step_is_what_integers_add_up_to(t, pairs, seed):
    """Against whole numbers: sum of c z, the bounds only at the end; whether or not it began on the grid."""
    parameters = spec(size=13, window=0.5)
    steps = grid(parameters)
    rng = np.random.default_rng(seed)
    theta = rng.uniform(-0.5, 0.5, 13)
    counters = np.array([k for k, _ in pairs])
    units = np.array([c for _, c in pairs])
    z = directions("rademacher", parameters, key=KEY, step=t, counters=counters).astype(np.int64)
    expected = np.clip(np.rint(theta / UNIT).astype(np.int64) + units @ z, -2048, 2048)
    stepped = steps.stepped(theta, t, counters, units * UNIT)
    assert np.array_equal(stepped, expected * UNIT)
    assert np.array_equal(steps.nearest(stepped), stepped)


class Recording(QuadraticDevice):
    """Remembers the updates it was given."""

    updates = ()

    def apply(self, update):
        self.updates = (*self.updates, update)
        return super().apply(update)


def quadratic(resolution):
    return Recording(12, seed=5, window=1.0, resolution=resolution)


BATCH = Batch(np.zeros((1, 1)), np.zeros(1, dtype=np.int64))


def built(device, name="spsa", **settings):
    theta = device.parameters.initial(np.random.default_rng(0))
    device.program(theta)
    start = Start(device, theta, BATCH, KEY)
    return method_named(name).build(Settings(**settings), start), theta


def run(device, steps, name="spsa", **settings):
    method, theta = built(device, name, **settings)
    state = method.begin(theta.size)
    outcomes = []
    for t in range(steps):
        outcome = method.step(device, theta, state, BATCH, t, 0.0)
        theta, state = outcome.theta, outcome.state
        outcomes.append(outcome)
    return method, theta, outcomes


@pytest.mark.parametrize("name", ["spsa", "block", "mgd"])
def test_updates_carry_what_makes_them(name):
    device = quadratic(UNIT)
    _, theta, _ = run(device, 20, name, update="sgd", rate=0.05, scale=0.0301, probes=4)
    assert np.array_equal(theta, np.round(theta / UNIT) * UNIT)
    for before, update in zip(device.updates, device.updates[1:], strict=False):
        z = directions("rademacher", device.parameters, key=KEY, step=update.t, counters=update.counters)
        moved = before.target + update.coefficients @ z
        assert np.array_equal(update.target, device.parameters.clip(moved))
        assert np.array_equal(update.step, update.target - before.target)


def test_other_steps_are_vectors():
    for settings in ({"update": "adam"}, {"update": "sgd", "law": "gaussian"}):
        device = quadratic(UNIT)
        run(device, 2, scale=0.03, **settings)
        assert all(update.coefficients is None for update in device.updates)
    device = quadratic(0.0)
    run(device, 2, update="sgd", scale=0.03)
    assert all(update.coefficients is None for update in device.updates)


def test_learns_by_steps_far_below_the_grid():
    """Most coefficients are below a quarter of a grid point: rounded to the nearest they would be 0, and stay so."""
    coarse, c, rate = 0.02, 0.02, 0.002
    device = quadratic(coarse)
    _, _, outcomes = run(device, 4000, update="sgd", rate=rate, scale=c, schedule="constant")
    losses = np.array([outcome.evidence.losses for outcome in outcomes])
    wanted = rate * np.abs(losses[:, 0] - losses[:, 1]) / (2 * c)
    assert np.median(wanted) < 0.25 * coarse
    assert losses[-500:].mean() - device.floor < 0.2 * (losses[:10].mean() - device.floor)


def test_a_recorded_step_is_replayed_bit_for_bit():
    device = quadratic(UNIT)
    method, theta, outcomes = run(device, 30, update="sgd", rate=0.05, scale=0.03)
    _, again = built(quadratic(UNIT), update="sgd", rate=0.05, scale=0.03)
    for t, outcome in enumerate(outcomes):
        seen = outcome.evidence
        assert outcome.gradient is None
        record = Record(t, seen.losses, seen.counters, seen.scales, outcome.rate, coefficients=outcome.coefficients)
        again, _ = method.replay(again, {}, record)
    assert np.array_equal(again, theta)


@pytest.mark.parametrize("scale", [0.0301, 1e-6])
def test_scales_are_those_that_the_device_can_make(scale):
    explore = WeightExploration(Directions("rademacher", spec(), KEY), 2, scale=scale, antithetic=True, resolution=UNIT)
    asked = explore.request(3).scales / UNIT
    assert asked.tolist() == [max(1, round(scale / UNIT)), -max(1, round(scale / UNIT))]


def test_a_baseline_stays_undisplaced():
    explore = WeightExploration(Directions("rademacher", spec(), KEY), 2, scale=0.01, baseline=True, resolution=UNIT)
    assert explore.request(0).scales[0] == 0


def test_one_grid_for_all_parameters_or_none():
    parts = (TensorSpec("a", (2,), -1, 1, UNIT), TensorSpec("b", (2,), -1, 1, 2 * UNIT))
    assert resolution_of(ParameterSpec(parts[:1])) == UNIT
    assert resolution_of(ParameterSpec(parts)) == 0.0
    assert resolution_of(spec(resolution=0.0)) == 0.0
