"""Every method learns: a quadratic whose floor is known, and xor on the emulated crossbar."""

import numpy as np
import pytest

import hwzo
from hwzo.data.logic import SOLVED, xor
from hwzo.errors import CapabilityError
from hwzo.registry import connect
from hwzo.testing.quadratic import QuadraticDevice


def learnt(tmp_path, device, method, budget="4000 evaluations", **settings):
    """Excess loss over the quadratic's floor, at the start and at the end, without noise."""
    result = hwzo.train("xor", device, method=method, budget=budget, run=tmp_path / "run", **settings)
    run = hwzo.load_run(tmp_path / "run")
    first, last = run.checkpoint(0).theta, run.weights().theta
    return result, device.loss_at(first) - device.floor, device.loss_at(last) - device.floor


@pytest.mark.parametrize(
    ("method", "settings"),
    [
        ("block", {}),
        ("block", {"law": "gaussian"}),
        ("block", {"estimator": "least-squares"}),
        ("block", {"estimator": "difference"}),
        ("spsa", {}),
        ("spsa", {"gains": "spall", "rate": 0.1}),
        ("mgd", {}),
        ("mgd", {"law": "walsh"}),
        ("mgd", {"law": "coordinate", "probes": 8}),
        ("selection", {}),
        ("intrinsic", {}),
        ("intrinsic", {"exploration": "selection"}),
    ],
)
@pytest.mark.parametrize("loss_sd", [0.0, 0.01])
def test_commanded_methods_descend_a_quadratic(tmp_path, method, settings, loss_sd):
    device = QuadraticDevice(8, seed=3, loss_sd=loss_sd)
    result, before, after = learnt(tmp_path, device, method, **settings)
    assert before > 1.0  # of which noise in the loss leaves a part that is a few times its deviation at most
    assert after < 0.02 * before + 5 * loss_sd
    assert result.commanded_probes > 0.3 * result.evaluations


@pytest.mark.parametrize("exploration", ["auto", "mixed"])
def test_the_devices_own_noise_descends_a_quadratic(tmp_path, exploration):
    device = QuadraticDevice(8, seed=3, parameter_noise="per-evaluation", sigma=0.05, readback="weights", read_sd=0.01)
    result, before, after = learnt(tmp_path, device, "intrinsic", exploration=exploration)
    assert result.exploration == ("intrinsic-weight" if exploration == "auto" else "mixed")
    assert (result.commanded_probes == 0) == (exploration == "auto")
    assert after < 0.02 * before


def test_selection_works_with_a_loss_and_nothing_else(tmp_path):
    """Nothing is commanded, nothing read back, and writing has noise of its own."""
    device = QuadraticDevice(
        8, seed=3, loss_sd=0.02, parameter_noise="retained", sigma=0.02, laws=frozenset(), readback="loss"
    )
    result, before, after = learnt(tmp_path, device, "intrinsic", budget="8000 evaluations")
    assert result.exploration == "selection"
    assert result.validation_accuracy is None
    assert result.test_accuracy is None
    assert after < 0.1 * before


@pytest.mark.parametrize(
    ("method", "budget", "settings"),
    [("backprop", 1000, {}), ("block", 6000, {}), ("mgd", 6000, {}), ("spsa", 6000, {"rate": 0.03})],
)
def test_xor_is_solved_from_most_starts(tmp_path, method, budget, settings):
    """A start in fourteen leads even exact descent to no solution, as the task says; of 5, 3 must be solved.

    At 93% a start, fewer than 3 of 5 are solved with probability 3e-3; the seeds are fixed.
    """
    solved = 0
    for seed in range(5):
        result = hwzo.train(
            "xor",
            "crossbar:ideal",
            method=method,
            budget=f"{budget} evaluations",
            seed=seed,
            run=tmp_path / str(seed),
            **settings,
        )
        exact = hwzo.evaluate(result.run, "crossbar:ideal?dac_bits=0&adc_bits=0", repeats=1)
        solved += exact.loss < SOLVED
    assert solved >= 3


@pytest.mark.parametrize(
    ("device", "exploration", "least"),
    [
        ("crossbar:pcm", "intrinsic-node", 0.9),
        ("crossbar:ideal?sigma=0.03", "intrinsic-weight", 0.7),
        ("crossbar:pcm?node_noise=0&read_noise=0", "intrinsic-weight", 0.7),  # what each write leaves, written anew
    ],
)
def test_letters_are_learnt_from_the_devices_own_noise(tmp_path, device, exploration, least):
    """Chance is 0.25; the bars lie some way below what was measured, since they are no benchmark."""
    result = hwzo.train("nist7x7", device, budget="4000 evaluations", run=tmp_path / "run")
    assert result.exploration == exploration
    assert result.commanded_probes == 0
    assert result.test_accuracy > least


def test_letters_are_learnt_from_a_loss_alone(tmp_path):
    result = hwzo.train(
        "nist7x7", "crossbar:pcm?readback=loss", method="selection", budget="15000 evaluations", run=tmp_path / "run"
    )
    looks = [look.loss for look in hwzo.load_run(tmp_path / "run").validations]
    assert result.test_accuracy is None
    assert sum(looks[-5:]) / 5 < 0.85 * looks[0]


def test_a_few_nodes_on_one_code_of_the_converter_do_not_end_a_run(tmp_path):
    """Two nodes and four samples fall on equal codes now and then; always, only where the converter is too coarse."""
    fine = hwzo.train("xor", "crossbar:pcm?adc_bits=6", budget="1000 evaluations", run=tmp_path / "fine")
    assert fine.steps == 500
    coarse = "crossbar:ideal?node_noise=1e-4&adc_bits=6"
    with pytest.raises(CapabilityError, match="no noise of its own"):
        hwzo.train("xor", coarse, budget="1000 evaluations", run=tmp_path / "coarse")


def test_backprop_is_descent_along_the_exact_gradient(tmp_path):
    """Plain steps at a constant rate, against a few lines of arithmetic."""
    url = "crossbar:ideal?layers=2-2-1&window=3&seed=1"
    settings = {"update": "sgd", "rate": 0.1, "schedule": "constant", "method": "backprop"}
    result = hwzo.train("xor", connect(url), budget="50 evaluations", run=tmp_path / "run", **settings)
    run = hwzo.load_run(tmp_path / "run")
    task = xor()
    theta = run.checkpoint(0).theta
    for _ in range(50):
        _, gradient = task.network.gradient(theta, task.train.inputs, task.train.targets, task.loss)
        theta = theta - 0.1 * gradient
    assert result.exploration == "none"
    assert result.commanded_probes == 0
    np.testing.assert_allclose(run.weights().theta, theta, atol=1e-6)  # steps are made from float32
