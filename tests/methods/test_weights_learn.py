"""Every weight-space method finds its way down: a quadratic whose optimum is known, with and without readout noise."""

import numpy as np
import pytest

import hwzo
from hwzo.methods.method import Start
from hwzo.methods.registry import METHODS, method_named
from hwzo.methods.settings import Settings
from hwzo.probes import Batch
from hwzo.testing.quadratic import QuadraticDevice

N = 8
BATCH = Batch(np.zeros((1, 1)), np.zeros(1, dtype=np.int64))
CASES = [
    ("zo-sgd", {"rate": 0.2}),
    ("zo-signsgd", {"rate": 0.05}),
    ("zo-adamm", {"rate": 0.03}),
    ("mezo", {}),
    ("fzoo", {}),
    ("hizoo", {}),
    ("coordinate", {"probes": 8, "rate": 0.05}),
    ("coordinate?sparsity=0.5", {"probes": 4, "rate": 0.05}),
    ("lozo", {}),
    ("eggroll", {"probes": 8}),
    ("openes", {"probes": 8}),
    ("cma-es", {}),
    ("sep-cma", {}),
    ("cbo?alpha=30&spread=1.2", {"probes": 16, "scale": 1.0, "rate": 0.1}),
    ("guided-es?memory=3", {}),
    ("reszo?memory=20", {"rate": 0.01}),
    ("oua", {"rate": 1.0}),
    ("mgd?tau_theta=8&tau_x=2", {}),
    ("mgd?tau_theta=4&tau_x=8", {}),
    ("mgd?multiplexing=frequency", {}),
    ("mgd?multiplexing=walsh", {}),
    ("mgd?analogue=true", {"rate": 0.01}),
    ("metropolis?temperature=0.01", {"scale": 0.1}),
]
BUDGET = 1600


@pytest.mark.parametrize(("method", "settings"), CASES, ids=[method for method, _ in CASES])
@pytest.mark.parametrize("loss_sd", [0.0, 0.01])
def test_descends_a_quadratic(method, settings, loss_sd):
    device = QuadraticDevice(N, seed=3, loss_sd=loss_sd)
    theta = np.zeros(N)
    device.program(theta)
    before = device.loss_at(theta) - device.floor
    learner = method_named(method).build(Settings(**settings), Start(device, theta, BATCH, 11))
    state, spent, t = learner.begin(N), 0, 0
    while spent + learner.evaluations <= BUDGET:
        outcome = learner.step(device, theta, state, BATCH, t, spent / BUDGET)
        theta, state, t = outcome.theta, outcome.state, t + 1
        spent += len(outcome.evidence.losses)
    assert before > 1.0
    assert device.loss_at(theta) - device.floor < 0.05 * before + 5 * loss_sd
    np.testing.assert_array_equal(device._theta, theta)  # what was learnt is what the device holds


def test_noise_of_two_writes_descends_a_quadratic():
    device = QuadraticDevice(N, seed=3, parameter_noise="retained", sigma=0.05, readback="weights", read_sd=0.01)
    theta = np.zeros(N)
    device.program(theta)
    before = device.loss_at(theta) - device.floor
    learner = method_named("noisezo").build(Settings(), Start(device, theta, BATCH, 11))
    state = learner.begin(N)
    for t in range(800):
        outcome = learner.step(device, theta, state, BATCH, t, t / 800)
        theta, state = outcome.theta, outcome.state
    assert outcome.evidence.commanded == 0
    assert device.loss_at(theta) - device.floor < 0.05 * before


def test_the_cases_are_all_weight_space_methods():
    tested = {method.partition("?")[0] for method, _ in CASES} | {"noisezo", "mgd"}
    assert tested <= set(METHODS)


@pytest.mark.parametrize("method", ["sep-cma", "noisezo"])
def test_letters_are_learnt_on_a_noisy_crossbar(method, tmp_path):
    """Chance is 0.25; the bar lies well below what these reach."""
    result = hwzo.train(
        "nist7x7", "crossbar:pcm", method=method, budget="2500 evaluations", seed=12, run=tmp_path / "r"
    )
    assert result.test_accuracy > 0.5
