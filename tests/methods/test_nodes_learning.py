"""Node methods on emulated devices: they learn, go on after a stop to the same bits, and say what they need."""

import numpy as np
import pytest

import hwzo
from hwzo.data import Task
from hwzo.errors import CapabilityError, ConfigError
from hwzo.methods.method import Record, Start
from hwzo.methods.registry import method_named
from hwzo.methods.settings import Settings
from hwzo.probes import Batch
from hwzo.testing.quadratic import QuadraticDevice

METHODS = ["node-perturbation", "anp", "danp", "learned-feedback", "nrl", "hebbian"]
QUIET = "crossbar:ideal?node_noise=0.1"  # weights are what the host believes, nodes are noisy


def start(url="crossbar:pcm?layers=5-4-3&seed=1", samples=16, device=None):
    device = device or hwzo.connect(url)
    rng = np.random.default_rng(0)
    theta = device.parameters.initial(rng)
    device.program(theta)
    batch = Batch(rng.uniform(-1, 1, (samples, 5)), rng.integers(0, 3, samples))
    return Start(device, theta, batch, key=1)


@pytest.mark.parametrize(
    ("method", "settings", "device", "least"),
    [
        ("node-perturbation", {}, "crossbar:pcm", 0.85),
        ("node-perturbation", {"probes": 1}, QUIET, 0.85),
        ("node-perturbation", {"probes": 4}, "crossbar:pcm", 0.7),
        ("anp", {}, "crossbar:pcm", 0.85),
        ("danp", {}, "crossbar:pcm", 0.85),
        ("learned-feedback", {}, "crossbar:pcm", 0.85),
        ("nrl", {"rate": 0.005}, QUIET, 0.35),
        ("hebbian", {}, "crossbar:pcm", 0.6),
    ],
)
def test_letters_are_learnt(tmp_path, method, settings, device, least):
    """Chance is 0.25; the bars lie some way below what was measured, since they are no benchmark."""
    given = {"budget": "800 evaluations", "validate_every": 800, "rate": 0.02, **settings}
    result = hwzo.train("nist7x7", device, method=method, run=tmp_path / "run", **given)
    assert result.exploration == "intrinsic-node"
    assert result.commanded_probes == 0
    assert result.test_accuracy > least


@pytest.mark.parametrize("method", METHODS)
def test_going_on_gives_the_same_bits(tmp_path, method):
    """A run of 40 evaluations that is raised to 80, and one of 80; all that is remembered is in the checkpoint."""
    given = {"method": method, "schedule": "constant", "batch": 8, "seed": 3, "validate_every": 1000}
    whole = hwzo.train("nist7x7", "crossbar:pcm", run=tmp_path / "whole", budget="80 evaluations", **given)
    hwzo.train("nist7x7", "crossbar:pcm", run=tmp_path / "parts", budget="40 evaluations", **given)
    parts = hwzo.train(run=tmp_path / "parts", resume=True, budget="80 evaluations")
    assert parts.steps == whole.steps
    assert parts.parameters_crc32 == whole.parameters_crc32


@pytest.mark.parametrize("name", METHODS)
def test_a_recorded_step_is_taken_again_bit_for_bit(name):
    begin = start()
    method = method_named(name).build(Settings(), begin)
    theta, state, replayed = begin.theta, method.begin(begin.theta.size), None
    again, memory = theta, state
    for t in range(3):
        outcome = method.step(begin.device, theta, state, begin.batch, t, 0.1 * t)
        seen = outcome.evidence
        replayed = Record(t, seen.losses, seen.counters, seen.scales, outcome.rate, outcome.gradient)
        again, memory = method.replay(again, memory, replayed)
        theta, state = outcome.theta, outcome.state
        assert set(memory) == set(state)
    np.testing.assert_array_equal(again, theta)
    with pytest.raises(CapabilityError, match="step 2"):
        method.replay(again, memory, Record(2, seen.losses, seen.counters, seen.scales, outcome.rate))


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("url", ["crossbar:ideal", "crossbar:pcm?readback=outputs"])
def test_what_is_missing_is_told_with_what_would_work(name, url):
    begin = start(url + ("&" if "?" in url else "?") + "layers=5-4-3&seed=1")
    with pytest.raises(CapabilityError, match="noisy and read back") as caught:
        method_named(name).build(Settings(), begin)
    assert f"'{name}'" in str(caught.value)
    assert "'intrinsic'" in str(caught.value)
    assert "'block'" in str(caught.value)
    method_named("intrinsic").build(Settings(), begin)


def test_a_black_box_that_cannot_be_commanded_is_not_sent_to_methods_that_command():
    device = QuadraticDevice(5, loss_sd=0.1, laws=frozenset())
    with pytest.raises(CapabilityError) as caught:
        method_named("anp").build(Settings(), start(device=device))
    assert "'selection'" in str(caught.value)
    assert "'spsa'" not in str(caught.value)


@pytest.mark.parametrize("name", ["anp", "danp", "learned-feedback", "hebbian"])
def test_one_pass_is_too_few_where_passes_are_compared(name):
    with pytest.raises(ConfigError, match="at least 2") as caught:
        method_named(name).build(Settings(probes=1), start())
    assert caught.value.key == "probes"


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("danp?decorrelation=1", "decorrelation"),
        ("danp?decorrelation=-0.1", "decorrelation"),
        ("learned-feedback?feedback=2", "feedback"),
        ("learned-feedback?rate=0.1", "rate"),
        ("anp?x=1", "method"),
        ("gauss-newton?damping=-1", "damping"),
        ("gauss-newton?iterations=0", "iterations"),
    ],
)
def test_options_that_make_no_sense_are_refused(text, key):
    with pytest.raises(ConfigError) as caught:
        method_named(text).build(Settings(), start())
    assert caught.value.key == key


def test_a_layer_too_wide_to_decorrelate_is_told():
    device = hwzo.connect("crossbar:pcm?layers=5000-2-2&seed=1&adc_bits=0")
    theta = device.parameters.initial(np.random.default_rng(0))
    with pytest.raises(ConfigError, match="'anp' needs none"):
        method_named("danp").build(Settings(), Start(device, theta, Batch(np.zeros((1, 5000)), np.zeros(1, int)), 1))


def test_a_converter_too_coarse_for_the_noise_ends_it_with_a_sentence():
    """A hundred steps in a row in which no node moved; before that, steps that move nothing."""
    begin = start(f"{QUIET}&layers=5-4-3&seed=1&adc_bits=2")
    method = method_named("anp").build(Settings(), begin)
    theta, state = begin.theta, method.begin(begin.theta.size)
    still = Batch(np.zeros((2, 5)), np.zeros(2, int))
    for t in range(99):
        outcome = method.step(begin.device, theta, state, still, t, 0.0)
        np.testing.assert_array_equal(outcome.theta, theta)
        theta, state = outcome.theta, outcome.state
    with pytest.raises(CapabilityError, match="did the same in all passes"):
        method.step(begin.device, theta, state, still, 99, 0.0)


def test_a_recurrent_network_learns_in_time(tmp_path):
    """Which of two features came last, 6 steps; by activities alone."""
    rng = np.random.default_rng(1)
    inputs = rng.uniform(-1, 1, (400, 12))
    label = (inputs[:, -2] > inputs[:, -1]).astype(int)
    task = Task.from_arrays("last", inputs, label, layers="6x2-8r-2")
    result = hwzo.train(task, "crossbar:pcm", method="anp", budget="800 evaluations", batch=64, run=tmp_path / "run")
    assert result.test_accuracy > 0.85
