"""Every weight-space method goes on bit for bit: from a checkpoint, and from a record without a device."""

import numpy as np
import pytest

import hwzo
from hwzo.errors import CapabilityError
from hwzo.methods.method import Record, Start
from hwzo.methods.registry import method_named
from hwzo.methods.settings import Settings
from hwzo.probes import Batch
from hwzo.testing.quadratic import QuadraticDevice
from hwzo.train.budget import Spent
from hwzo.train.checkpoint import Checkpoint
from hwzo.train.replay import replay

N = 9
KEY = 5
QUADRATIC = (
    "zo-sgd",
    "zo-signsgd",
    "zo-adamm",
    "mezo",
    "fzoo",
    "hizoo",
    "coordinate",
    "coordinate?sparsity=0.5&scores=8",
    "lozo?hold=3",
    "eggroll",
    "openes",
    "cma-es",
    "sep-cma",
    "cbo",
    "guided-es?memory=3",
    "reszo?memory=10",
    "oua?lam=0.5",
    "mgd?tau_p=2&tau_theta=8&tau_x=6",
    "mgd?multiplexing=frequency&tau_theta=4&tau_x=6",
    "mgd?analogue=true&tau_x=3",
    "metropolis",
    "block",
)


def device_of(**options):
    return QuadraticDevice(N, seed=2, loss_sd=0.01, **options)


def batches(count):
    rng = np.random.default_rng(0)
    return [Batch(rng.uniform(-1, 1, (1, 3)), np.zeros(1, dtype=np.int64)) for _ in range(count)]


def begun(device, method, settings=None):
    theta = np.linspace(-0.4, 0.6, device.parameters.size)
    device.program(theta)
    start = Start(device, theta, batches(1)[0], KEY)
    return method_named(method).build(settings or Settings(), start), start


def walked(learner, device, theta, state, start, stop):
    outcomes = []
    for t in range(start, stop):
        outcome = learner.step(device, theta, state, batches(t + 1)[t], t, 0.1 * t)
        theta, state = outcome.theta, outcome.state
        outcomes.append(outcome)
    return theta, state, outcomes


@pytest.mark.parametrize("method", QUADRATIC)
def test_goes_on_from_a_checkpoint_as_if_nothing_had_been(method, tmp_path):
    device = device_of()
    learner, start = begun(device, method)
    theta, state, _ = walked(learner, device, start.theta, learner.begin(N), 0, 4)
    saved = Checkpoint(4, theta, state, Spent(), start.measured, snapshot=device.snapshot()).save(tmp_path)
    whole, _, _ = walked(learner, device, theta, state, 4, 9)

    at, other = Checkpoint.load(saved), device_of()
    other.restore(at.snapshot)
    again = method_named(method).build(start.settings, Start(other, at.theta, batches(1)[0], KEY, dict(at.measured)))
    resumed, _, _ = walked(again, other, at.theta, at.state, 4, 9)
    assert np.array_equal(whole, resumed)
    assert not np.array_equal(whole, start.theta)


@pytest.mark.parametrize("method", QUADRATIC)
def test_a_commanded_run_is_replayed_from_seeds_and_losses(method):
    """No step vector is kept: counters, scales, losses, rate and coefficients alone."""
    device = device_of()
    learner, start = begun(device, method)
    assert learner.regenerable
    whole, _, outcomes = walked(learner, device, start.theta, learner.begin(N), 0, 6)
    fresh = method_named(method).build(
        start.settings, Start(device_of(), start.theta, batches(1)[0], KEY, dict(start.measured))
    )
    theta, state = start.theta, fresh.begin(N)
    for t, outcome in enumerate(outcomes):
        seen = outcome.evidence
        record = Record(t, seen.losses, seen.counters, seen.scales, outcome.rate, None, outcome.coefficients, 0.1 * t)
        theta, state = fresh.replay(theta, state, record)
    assert np.array_equal(whole, theta)


def test_what_a_twin_guided_is_replayed_from_step_vectors_only():
    device = hwzo.connect("crossbar:ideal?layers=3-2-2&window=2&seed=1&engine=numpy")
    learner, start = begun(device, "guided-es?guide=twin")
    whole, _, outcomes = walked(learner, device, start.theta, learner.begin(start.theta.size), 0, 4)
    theta, state = start.theta, learner.begin(start.theta.size)
    for t, outcome in enumerate(outcomes):
        seen = outcome.evidence
        record = Record(t, seen.losses, seen.counters, seen.scales, outcome.rate, outcome.gradient)
        theta, state = learner.replay(theta, state, record)
    assert np.array_equal(whole, theta)
    with pytest.raises(CapabilityError, match="rerun"):
        learner.replay(theta, state, Record(4, seen.losses, seen.counters, seen.scales, 0.1))


@pytest.mark.parametrize("method", ["mezo", "cbo", "reszo?memory=20", "mgd?tau_theta=8&tau_x=4", "noisezo"])
def test_a_whole_run_is_replayed_from_its_journal(method, tmp_path):
    def device():
        noise = {"parameter_noise": "retained", "sigma": 0.05, "readback": "weights"} if method == "noisezo" else {}
        return device_of(**noise)

    result = hwzo.train("xor", device(), method=method, budget="300 evaluations", run=tmp_path / "run")
    replayed = replay(tmp_path / "run", device=device())
    assert replayed.parameters_crc32 == result.parameters_crc32
    assert (replayed.how == "seeds and losses") == (method != "noisezo")
