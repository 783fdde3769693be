"""lava:lif against the contract and against arithmetic: modes, noise, read-back, bad input, runs that are cut off."""

import contextlib
import dataclasses
import os
import signal
import sys

import numpy as np
import pytest

import hwzo
from hwzo.errors import CapabilityError, ConfigError, DeviceError, FileError, VerificationError
from hwzo.network import Network
from hwzo.probes import Batch, Probes
from hwzo.registry import DeviceURL, connect
from hwzo.testing.check import run_check
from hwzo.testing.conformance import CHECKS, url_opener
from hwzo_backends.lava.options import resolve
from hwzo_backends.lava.registers import Registers
from hwzo_backends.lava.verify import _compare, verify

RNG = np.random.default_rng(7)
BATCH = Batch(RNG.uniform(-1, 1, (20, 6)), RNG.integers(0, 4, 20))
SMALL = "layers=6-5-4&seed=3"


def options(query):
    return resolve(DeviceURL.parse(f"lava:lif?{query}"), network=None, window=None, seed=None)


@pytest.fixture
def opened(lava_python):
    devices = []

    def connect_to(query):
        device = connect(f"lava:lif?{query}")
        devices.append(device)
        return device

    yield connect_to
    for device in devices:
        device.close()


@pytest.fixture(scope="module")
def device(lava_python):
    """Nothing that is asked of it changes what a later test finds, but for its counters."""
    with_nodes = connect(f"lava:lif?{SMALL}")
    with_nodes.program(with_nodes.parameters.initial(np.random.default_rng(1)))
    yield with_nodes
    with_nodes.close()


# --- against arithmetic ---


def test_without_spiking_layers_outputs_are_the_mean_drive(opened):
    """One layer that integrates: its v over T steps is the mean of its spikes' weights, plus the bias, exactly."""
    one = opened("layers=6-4&noise=none&weight_exp=0&T=8&seed=0")
    theta = one.parameters.clip(np.round(one.parameters.initial(RNG) * 128) / 128)
    one.program(theta)
    inputs = RNG.integers(-8, 9, (20, 6)) / 8  # rate coding gives such inputs exactly
    weights = theta[:24].reshape(6, 4)
    readings = one.measure(Probes.plain(want="outputs"), dataclasses.replace(BATCH, inputs=inputs))
    assert np.allclose(readings.outputs[0], inputs @ weights + theta[24:], atol=1e-12)


def test_spike_counts_of_a_neuron_without_leak(opened):
    """Constant drive w a step, threshold 1, no leak: it fires in each step that is a multiple of floor(1/w) + 1."""
    counts = opened("layers=1-5&noise=none&weight_exp=0&readout=counts&gain=16&T=16&seed=0")
    weights = np.array([0.125, 0.25, 0.375, 0.5, 0.875])
    counts.program(np.concatenate([weights, np.zeros(5)]))
    readings = counts.measure(Probes.plain(want="outputs"), Batch(np.ones((1, 1)), np.zeros(1, dtype=np.int64)))
    assert readings.outputs[0, 0].tolist() == [16 // int(1 / w + 1) for w in weights]


@pytest.mark.parametrize("query", ["readout=counts&dv=0.1", "target=weights&T=5"])
def test_both_modes_count_the_same_spikes(opened, query):
    device = opened(f"layers=6-5-3-4&seed=3&{query}")
    device.program(device.parameters.initial(np.random.default_rng(2)))
    verified = device.verify(BATCH.inputs[:3], sets=2)
    assert verified.evaluations == 6
    assert verified.samples == 3
    assert verified.spikes > 100
    assert verified.membranes == 6 * 3 * 4
    assert "spikes, each in its neuron and step" in str(verified)


@pytest.mark.parametrize(("query", "compared"), [("layers=6-5-4", False), ("layers=6-4", True)])
def test_modes_that_never_spiked_were_not_compared(monkeypatch, tmp_path, query, compared):
    """Two modes that answer with zeros agree, in nothing; a layer that only integrates has its membranes."""

    class Silent(contextlib.nullcontext):
        def ask(self, words, arrays, *, timeout_s):
            samples, sets = len(arrays["inputs"]), len(arrays["parameters"])
            none = np.zeros((sets, samples, 16, 5), dtype=np.bool_)
            return {}, {"membrane": np.zeros((sets, samples, 4)), "raster0": none, "raster1": none}

    monkeypatch.setattr("hwzo_backends.lava.verify.Worker", lambda python, setup, name: Silent(Silent()))
    monkeypatch.setenv("HWZO_LAVA_PYTHON", sys.executable)
    chosen = options(f"{query}&seed=3")
    if compared:
        assert verify(chosen, sets=1).membranes == 2 * 4 * 4
    else:
        with pytest.raises(VerificationError, match=r"no neuron spiked in 6 evaluations of 1 samples.*vth="):
            verify(chosen, inputs=BATCH.inputs[:1], sets=3)


def test_a_spike_in_another_step_is_a_difference():
    """In the same neuron, with the same count: a raster tells."""
    one = np.zeros((2, 3, 5, 4), dtype=np.bool_)
    other = one.copy()
    one[1, 2, 3, 0] = other[1, 2, 4, 0] = True
    _compare("lava:lif", "raster0", one, one)
    with pytest.raises(VerificationError, match=r"in 2 of 120 steps .* layer 0; first in set 1, sample 2, step 3, n"):
        _compare("lava:lif", "raster0", one, other)


def test_the_raster_has_the_spikes_that_are_counted():
    plan = options("layers=6-5-4&readout=counts&noise=none&seed=3").plan()
    parameters = (RNG.integers(-128, 128, (3, 59)) * 2).astype(np.int16)
    trial = plan.run(parameters, BATCH.inputs, evaluation=0, raster=True)
    assert [spiked.shape for spiked in trial.raster] == [(3, 20, 16, 5), (3, 20, 16, 4)]
    assert np.array_equal(trial.raster[1].sum(axis=2), trial.counts)
    assert trial.counts.any()


def test_a_displacement_moves_registers_by_whole_levels(opened):
    quiet = opened("layers=6-4&noise=none&weight_exp=0&seed=0")
    theta = quiet.parameters.initial(RNG)
    level = 1 / 128
    inputs = np.ones((1, 6))
    batch = Batch(inputs, np.zeros(1, dtype=np.int64))
    probes = Probes(
        np.zeros(3, dtype=np.int64), np.array([0.0, 3 * level, 0.4 * level]), law="coordinate", want="outputs"
    )
    quiet.program(theta)
    outputs = quiet.measure(probes, batch).outputs[:, 0]
    assert outputs[1, 0] - outputs[0, 0] == pytest.approx(3 * level, abs=1e-12)
    assert np.array_equal(outputs[1, 1:], outputs[0, 1:])
    assert abs(outputs[2, 0] - outputs[0, 0]) in (0.0, pytest.approx(level))


# --- noise ---


def test_node_noise_has_the_size_of_loihis_form(opened):
    """Uniform on -127..127, in the mean over 16 steps, in units of 256 to a weight unit (weight_exp = -6)."""
    one = opened("layers=6-4&T=16&seed=11")
    readings = one.measure(Probes.plain(200, want="nodes"), BATCH)
    noise = readings.nodes[0].ravel()  # parameters are 0: there is nothing but noise
    expected = np.sqrt((255**2 - 1) / 12) / 256 / 4
    # 16,000 numbers, nearly normal: an estimate of sd has an sd of expected/sqrt(32,000), .56%; six of them: 2e-9.
    assert noise.std() == pytest.approx(expected, rel=6 * 0.0056)
    assert abs(noise.mean()) < 6 * expected / np.sqrt(len(noise))
    # 20 samples by 4 units, within an evaluation and from one to the next: correlations of 16,000 pairs, six sd.
    assert abs(np.corrcoef(noise[:-1], noise[1:])[0, 1]) < 6 / np.sqrt(len(noise))


def test_weight_noise_is_what_read_reads(opened):
    noisy = opened(f"{SMALL}&target=weights&exponent=3&read_error=0")
    noisy.program(np.zeros(noisy.parameters.size))
    readings = noisy.measure(Probes.plain(250, want="weights"), BATCH)
    levels = readings.realised * 128
    assert np.array_equal(levels, np.round(levels))
    assert np.array_equal(noisy.read(2), np.repeat(readings.realised[-1:], 2, axis=0))
    # r 2^(3 - 7), rounded: uniform on -127..127 sixteenths. 14,750 draws; six sd of a uniform's estimate of sd.
    expected = np.sqrt((255**2 - 1) / 12) / 16
    assert levels.std() == pytest.approx(expected, rel=6 * np.sqrt(0.2 / levels.size) + 0.01)


def test_read_error_is_as_asked(opened):
    noisy = opened(f"{SMALL}&target=weights&read_error=0.02")
    noisy.measure(Probes.plain(), BATCH)
    reads = noisy.read(400)
    sd = (reads - reads.mean(axis=0)).std() * np.sqrt(400 / 399)
    assert sd == pytest.approx(0.02, rel=6 / np.sqrt(2 * reads.size))


def test_noise_is_a_function_of_the_seed(opened):
    losses = [opened(f"layers=6-5-4&seed={seed}").measure(Probes.plain(3), BATCH).losses for seed in (3, 4)]
    assert len({*losses[0], *losses[1]}) == 6


def test_without_noise_there_is_nothing_to_explore_with(opened):
    quiet = opened(f"{SMALL}&noise=none")
    readings = quiet.measure(Probes.plain(3), BATCH)
    assert len(set(readings.losses)) == 1
    assert not quiet.capabilities.node_noise
    assert quiet.capabilities.parameter_noise == "none"


@pytest.mark.parametrize(
    "asked", [{"method": "node-perturbation"}, {"exploration": "intrinsic-node"}, {"exploration": "intrinsic-weight"}]
)
def test_intrinsic_exploration_is_refused_without_noise(lava_python, tmp_path, asked):
    """It says what works; the method `intrinsic`, left to choose, commands, and says so."""
    settings = {"budget": "100 evaluations", "seed": 10}
    with pytest.raises(CapabilityError, match="'intrinsic', which picks what"):
        hwzo.train("nist7x7", "lava:lif?noise=none", run=tmp_path / "refused", **settings, **asked)
    result = hwzo.train("nist7x7", "lava:lif?noise=none", method="intrinsic", run=tmp_path / "run", **settings)
    assert result.exploration == "commanded"


# --- registers ---


def test_registers_are_even_and_within_8_bits_and_a_sign():
    registers = Registers.by(options(SMALL))
    spec = registers.spec()
    held = registers.of(np.linspace(-2, 2, 1001))
    assert held.dtype == np.int16
    assert held.min() == -256
    assert held.max() == 254
    assert not (held % 2).any()
    assert registers.of(spec.lower).tolist() == [-256] * spec.size
    assert registers.of(spec.upper).tolist() == [254] * spec.size
    assert np.abs(
        registers.parameters(registers.of(np.linspace(-1, 0.99, 999))) - np.linspace(-1, 0.99, 999)
    ).max() <= (0.5 / 128 + 1e-12)


def test_stochastic_rounding_has_no_bias(opened):
    """The mean of what is held over many writes is what was programmed."""
    rounding = Registers.by(options(f"{SMALL}&rounding=stochastic"))
    theta = np.random.default_rng(0).uniform(-0.9, 0.9, 59)
    writes = 4000
    held = np.stack([rounding.parameters(rounding.of(theta, rounding.dither(write))) for write in range(writes)])
    error = (held.mean(axis=0) - theta) * 128
    # Bernoulli with sd at most 1/2: a mean of 4,000 has one of .0079 at most; 59 means at six of them: 1e-7.
    assert np.abs(error).max() < 6 * 0.5 / np.sqrt(writes)


# --- the contract ---


def test_conformance(lava_python):
    """The checks of state and bookkeeping, with all that is random; `hwzo conformance` runs all of them."""
    failures = {}
    wanted = ("snapshot and", "probes in one call", "deterministic", "info.url", "cost of writing")
    for check in CHECKS:
        if check.name.startswith(wanted):
            result = run_check(check, url_opener("lava:lif?rounding=stochastic&coding=bernoulli"), by_url=True)
            if result.status != "passed":
                failures[check.name] = result.detail
    assert not failures


def test_a_snapshot_of_another_device_is_refused(opened, device):
    with pytest.raises(FileError, match="another device"):
        opened("layers=6-5-4&seed=4").restore(device.snapshot())


def test_a_snapshot_goes_from_trial_to_graph(opened):
    """Parameters, noise and displacements are the same there, in more probes than there are copies."""
    graph, trial = opened(f"{SMALL}&mode=graph&copies=2"), opened(SMALL)
    trial.program(trial.parameters.initial(RNG))
    trial.measure(Probes.plain(2), BATCH)
    graph.restore(trial.snapshot())
    few = Batch(BATCH.inputs[:3], BATCH.targets[:3])
    probes = Probes(np.array([0, 0, 4]), np.array([0.0, 0.1, -0.1]), key=5, want="outputs")
    one, other = trial.measure(probes, few), graph.measure(probes, few)
    assert np.array_equal(one.losses, other.losses)
    assert np.array_equal(one.outputs, other.outputs)


def test_a_large_batch_goes_in_parts(opened, monkeypatch):
    quiet = opened(f"{SMALL}&noise=none&readback=outputs")
    quiet.program(quiet.parameters.initial(RNG))
    whole = quiet.measure(Probes.plain(2, want="outputs"), BATCH)
    monkeypatch.setattr("hwzo_backends.lava.device.MOST_AT_ONCE", 7 * 16 * 6)
    parts = quiet.measure(Probes.plain(2, want="outputs"), BATCH)
    assert np.array_equal(whole.outputs, parts.outputs)
    assert np.array_equal(whole.losses, parts.losses)


# --- what is killed ---


def test_a_lost_worker_is_an_error_and_the_next_call_starts_another(opened):
    there, twin = opened(SMALL), opened(SMALL)
    losses = []

    def ask_for_ever():  # the model may still answer for a moment
        while True:
            losses.extend(there.measure(Probes.plain(2), BATCH).losses)

    os.kill(there._worker.pid, signal.SIGKILL)
    with pytest.raises(DeviceError, match="killed by SIGKILL"):
        ask_for_ever()
    losses.extend(there.measure(Probes.plain(2), BATCH).losses)
    expected = [loss for _ in range(len(losses) // 2) for loss in twin.measure(Probes.plain(2), BATCH).losses]
    assert losses == expected


def test_a_run_whose_worker_is_killed_resumes_to_the_same_bytes(lava_python, tmp_path, monkeypatch):
    """Killed in the middle: the run ends with an error, and resumed it ends as one that nobody disturbed."""
    settings = {"task": "nist7x7", "device": "lava:lif", "method": "intrinsic", "budget": "60 evaluations", "seed": 10}
    undisturbed = hwzo.train(**settings, run=tmp_path / "whole")

    from hwzo_backends.lava.worker import Worker

    asked = []
    ask = Worker.ask

    def ask_and_die(self, words, arrays=None, *, timeout_s):
        asked.append(words)
        if len(asked) == 25:
            os.kill(self.pid, signal.SIGKILL)
        return ask(self, words, arrays, timeout_s=timeout_s)

    monkeypatch.setattr(Worker, "ask", ask_and_die)
    with pytest.raises(DeviceError, match="killed by SIGKILL"):
        hwzo.train(**settings, run=tmp_path / "cut")
    resumed = hwzo.train(**settings, run=tmp_path / "cut", resume=True)
    assert resumed.parameters_crc32 == undisturbed.parameters_crc32
    assert resumed.test_accuracy == undisturbed.test_accuracy


# --- bad input ---


@pytest.mark.parametrize(
    ("query", "key", "message"),
    [
        ("T=0", "T", "greater than or equal to 1"),
        ("T=many", "T", "integer"),
        ("precision=double", "precision", "'fixed' or 'float'"),
        ("colour=red", "colour", "unknown option; there are: T, coding"),
        ("layer=6-4", "layer", "did you mean 'layers'"),
        ("layers=28x28x1-16c3-p2-10", "layers", "dense"),
        ("layers=6", "layers", "is not of the form"),
        ("vth=0", "vth", r"can be 0\.25 to"),
        ("vth=1,2,3", "vth", "3 numbers for 2 layers"),
        ("vth=high", "vth", "a number, or one a layer"),
        ("vth=nan", "vth", "should be finite"),
        ("vth=1,inf", "vth", "should be finite"),
        ("du=nan", "du", "should be finite"),
        ("precision=float&dv=nan", "dv", "should be finite"),
        ("precision=float&vth=inf", "vth", "should be finite"),
        ("du=0", "du", "share"),
        ("dv=2", "dv", "share"),
        ("activation=tanh", "activation", "leave it out"),
        ("noise=none&exponent=7", "exponent", "no noise to set"),
        ("read_error=0.1", "read_error", "aren't read back"),
        ("target=weights&readback=nodes", "readback", "readback=weights"),
        ("mode=graph&readback=nodes", "readback", "at most"),
        ("hardware=loihi2", "hardware", "mode=graph&noise=none"),
        ("mode=graph&hardware=loihi2", "hardware", "mode=graph&noise=none"),
        ("layers=90000-100-10", "layers", "at most 5000000"),
    ],
)
def test_options_that_are_no_good(query, key, message):
    with pytest.raises(ConfigError, match=message) as caught:
        options(query)
    assert caught.value.key == key
    assert query.split("&")[-1].partition("=")[0] in str(caught.value) or "layers" in query


def test_weights_without_noise_are_not_read_back():
    with pytest.raises(CapabilityError, match="target=weights"):
        options("readback=weights")


def test_the_hardware_configuration_takes_intels_extension(lava_python):
    with pytest.raises(DeviceError, match="Intel's own extension of Lava"):
        connect("lava:lif?layers=6-4&mode=graph&hardware=loihi2&noise=none")


def test_without_lava_the_command_that_installs_it_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("HWZO_LAVA_PYTHON", raising=False)
    with pytest.raises(DeviceError, match="hwzo doctor --install lava"):
        connect("lava:lif")


def test_a_target_that_is_not_known():
    with pytest.raises(ConfigError, match=r"lava:lif, and lava:FILE\.py:FUNCTION"):
        connect("lava:liff")


def test_inputs_beyond_one_are_refused(device):
    with pytest.raises(ConfigError, match=r"takes \[-1, 1\]"):
        device.measure(Probes.plain(), dataclasses.replace(BATCH, inputs=2 * BATCH.inputs))


def test_parameters_out_of_8_bits_are_refused(device):
    with pytest.raises(ConfigError, match=r"0\.weight\[0, 0\] = 1\.01 is outside \[-1, 1\]"):
        device.program(np.full(device.parameters.size, 1.01))


@pytest.mark.parametrize(
    "query", ["noise=none", "mode=graph", "target=weights", "precision=float", "rounding=stochastic", "readout=counts"]
)
def test_parameters_of_one_device_are_allowed_on_another(query):
    """Whatever its noise, mode and precision; the ends of the window are allowed, and held within 8 bits."""
    spec, other = (Registers.by(options(f"layers=6-5-4&window=2&{each}")).spec() for each in ("noise=loihi1", query))
    assert np.array_equal(spec.lower, other.lower)
    assert np.array_equal(spec.upper, other.upper)
    assert spec.upper.max() == -spec.lower.min() == 2.0  # what a file of weights keeps as their window


def test_what_was_learned_with_noise_is_evaluated_without(lava_python, tmp_path):
    hwzo.train("nist7x7", "lava:lif?noise=loihi1", budget="60 evaluations", rate=0.5, seed=10, run=tmp_path / "run")
    theta = hwzo.load_run(tmp_path / "run").weights().theta
    assert np.abs(theta).max() == 2.0  # some are driven to the end of the window
    evaluated = hwzo.evaluate(tmp_path / "run", "lava:lif?noise=none", repeats=2)
    assert "window=2.0&" in evaluated.device
    assert evaluated.accuracy_standard_error == 0.0


@pytest.mark.parametrize(
    "query", [SMALL, "target=membrane&dv=0.25,0.5&T=9&window=2", "noise=none&precision=float&gain=3"]
)
def test_the_url_opens_the_same_device(query):
    chosen = options(query)
    assert options(str(chosen.url()).partition("?")[2]) == chosen


def test_the_task_suggests_layers_and_window():
    url = DeviceURL.parse("lava:lif")
    chosen = resolve(url, network=Network.parse("49-4-4"), window=2.0, seed=9)
    assert (chosen.layers, chosen.window, chosen.seed) == ("49-4-4", 2.0, 9)
