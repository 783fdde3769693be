"""Drift: factors against known fading, ages as they are written, and what the command says."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import hwzo
from hwzo.cli.main import main
from hwzo.deploy.drift import Reference, compensate, refresh
from hwzo.deploy.drift_ages import SECONDS, age_label, parse_ages
from hwzo.deploy.drift_evaluation import evaluate_at
from hwzo.deploy.layout import Mapping
from hwzo.deploy.mapped import MappedDevice
from hwzo.errors import CapabilityError, ConfigError
from hwzo.probes import Batch, Probes
from hwzo.train.weights import Weights

# Ages ---------------------------------------------------------------------------------------------------------------


def test_ages_are_read_as_people_write_them():
    assert parse_ages("1 s,1 h,1 d,30 d") == (1.0, 3600.0, 86400.0, 2592000.0)
    assert parse_ages("30d, 1.5min ,2w,1 month,1 y, .5 s") == (0.5, 90.0, 1209600.0, 2592000.0, 2629800.0, 31557600.0)
    assert parse_ages("2 seconds, 1 minute, 3 hours, 1 day, 2 weeks, 1 year") == parse_ages("2 s,1 min,3 h,1 d,2 w,1 y")
    assert parse_ages("1 h, 60 min") == (3600.0,)
    assert parse_ages([3600, "1 s", 0.0]) == (0.0, 1.0, 3600.0)


@pytest.mark.parametrize(
    "text", ["", "1", "h", "1 fortnight", "1 h,,2 h", "-1 s", "1e9 y", "nan s", "1 h 2 d", "inf s"]
)
def test_ages_that_are_none_are_refused_by_name(text):
    with pytest.raises(ConfigError, match="at = ") as refused:
        parse_ages(text)
    assert refused.value.key == "at"


@given(st.integers(1, 999), st.sampled_from(list(SECONDS)))
def test_labels_are_read_back(number, unit):
    seconds = parse_ages(f"{number} {unit}")[0]
    assert parse_ages(age_label(seconds))[0] == pytest.approx(seconds, rel=5e-3)


# Compensation -------------------------------------------------------------------------------------------------------


def faded(device, factors):
    """Make the cells of a mapped, ideal device hold less, a factor a layer, without its being told."""
    network = device.capabilities.network
    cells = device.device.read(1)[0]
    for block, factor in zip(network.blocks(cells), factors, strict=True):
        block *= factor
    device.device.program(cells)


def ideal(options="", gains=True):
    device = hwzo.connect(f"crossbar:ideal?layers=12-8-5&engine=numpy{options}")
    mapping = Mapping.identity(device)
    rng = np.random.default_rng(4)
    if gains:
        mapping = mapping.with_gains(rng.uniform(0.5, 2, 13))
    mapped = MappedDevice(device, mapping)
    theta = rng.uniform(-0.8, 0.8, device.parameters.size) * mapping.bounds.upper
    mapped.program(theta)
    return mapped, theta


@pytest.mark.parametrize("readback", ["weights", "nodes"])
def test_a_factor_a_layer_undoes_fading(readback):
    reader, _ = ideal()
    reader.capabilities = replace(reader.capabilities, readback=readback)  # as if it could do no more
    reference = Reference.taken(reader)
    batch = Batch(np.random.default_rng(1).uniform(-1, 1, (6, 12)), np.zeros(6, dtype=np.int64))
    before = reader.measure(Probes.plain(want="nodes"), batch).nodes
    faded(reader, (0.8, 0.5))
    factors = compensate(reader, reference, "layer")
    np.testing.assert_allclose(factors, [1 / 0.8, 1 / 0.5], rtol=1e-9)
    after = reader.measure(Probes.plain(want="nodes"), batch).nodes
    for was, now in zip(before, after, strict=True):
        np.testing.assert_allclose(now, was, rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(reader.device.gains, reader.mapping.gains)
    np.testing.assert_allclose(compensate(reader, reference, "layer"), 1.0, rtol=1e-9)


def test_one_factor_is_the_least_squares_one_of_all_weights():
    mapped, theta = ideal(gains=False)
    reference = Reference.taken(mapped)
    faded(mapped, (0.8, 0.5))
    now = mapped.read(1)[0]
    expected = theta @ now / (now @ now)
    np.testing.assert_allclose(compensate(mapped, reference, "global"), [expected, expected], rtol=1e-9)


def test_reading_error_does_not_bias_the_factor():
    """Weights are small against the error of a read: without taking it off, the factor would be 0.36 of what it is.

    Its standard error, from 2,410 weights in the ratio of two sums, is below 7% each; 20 devices: 1.6%, and 5 of those.
    """
    factors = []
    for seed in range(100, 120):
        device = hwzo.connect(f"crossbar:ideal?engine=numpy&read_error=0.2&window=2&seed={seed}")
        theta = 0.15 * np.random.default_rng(seed).standard_normal(device.parameters.size)
        mapped = MappedDevice(device, Mapping.identity(device))
        mapped.program(mapped.parameters.clip(theta))
        reference = Reference(theta)
        device.program(0.5 * theta)
        factors.append(compensate(mapped, reference, "global")[0])
    assert np.mean(factors) == pytest.approx(2.0, rel=0.08)


def test_what_has_vanished_is_left_alone():
    mapped, theta = ideal(gains=False)
    reference = Reference.taken(mapped)
    mapped.device.program(np.zeros_like(theta))
    np.testing.assert_array_equal(compensate(mapped, reference, "layer"), 1.0)


def test_a_refresh_writes_what_has_moved_and_nothing_else():
    mapped, theta = ideal()
    cells = mapped.device.read(1)[0]
    moved = cells.copy()
    moved[[3, 40, 100]] += 0.1
    mapped.device.program(moved)
    count, cost = refresh(mapped, theta, tolerance=0.05)
    assert (count, cost.cell_writes) == (3, 6)
    np.testing.assert_allclose(mapped.read(1)[0], theta, rtol=1e-9)
    assert refresh(mapped, theta, tolerance=0.05)[0] == 0


def test_drift_of_the_published_kind_is_undone():
    """pcm after 30 days: the outputs' rms error, over 10 chips, is less than half of what it is without."""
    without, kept = [], []
    for seed in range(100, 110):
        device = hwzo.connect(f"crossbar:pcm?layers=40-20-5&engine=numpy&seed={seed}&programming=0&node_noise=0")
        mapped = MappedDevice(device, Mapping.identity(device))
        rng = np.random.default_rng(seed)
        theta = np.clip(0.4 * rng.standard_normal(device.parameters.size), -1, 1)
        batch = Batch(rng.uniform(-1, 1, (32, 40)), np.zeros(32, dtype=np.int64))
        mapped.program(theta)
        reference = Reference.taken(mapped)
        first = mapped.measure(Probes.plain(want="outputs"), batch).outputs[0]
        mapped.advance(30 * 86400.0)
        for errors in (without, kept):
            outputs = mapped.measure(Probes.plain(want="outputs"), batch).outputs[0]
            errors.append(np.sqrt(np.square(outputs - first).mean()))
            compensate(mapped, reference, "layer")
    assert np.mean(kept) < 0.5 * np.mean(without)


# The command --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Weights that tell digits, by a few steps of backpropagation; a file."""
    run = tmp_path_factory.mktemp("drift") / "run"
    device = "crossbar:ideal?layers=64-16-10&engine=numpy"
    hwzo.train(task="digits", device=device, method="backprop", budget="150 evaluations", seed=10, run=run)
    return next(run.glob("*.safetensors"))


def test_accuracy_falls_with_age_and_gains_keep_it(weights):
    device = "crossbar:pcm?layers=64-16-10&engine=numpy&seed=100&adc_bits=0"
    aging = evaluate_at(weights, device, at="1 s, 1 y", repeats=3)
    first, last = aging.points
    assert first.accuracy > 0.85
    assert [point.seconds for point in aging.points] == [1.0, SECONDS["y"]]
    assert min(last.factors) > 1.5  # magnitudes fade as (t/20 s)^-0.05: to half in a year
    assert last.loss < 2 * first.loss
    assert aging.emulated
    assert last.repeats == 3


def test_each_repeat_begins_anew(weights):
    """Drift runs from programming: ages of the second repeat are counted from its own."""
    device = hwzo.connect("crossbar:pcm?layers=64-16-10&engine=numpy&seed=100&programming=0&node_noise=0&adc_bits=0")
    twice = evaluate_at(weights, device, at="1 h", repeats=2, compensation="off").points[0]
    assert twice.accuracy_standard_error < 0.02
    assert device.gains == pytest.approx(1.0, abs=0)
    # An open device stays open, aged by both.
    assert 7200 < device.clock < 7300


def test_the_command_prints_one_object_with_points(weights, capfd):
    device = "crossbar:pcm?layers=64-16-10&engine=numpy&seed=1"
    with pytest.raises(SystemExit) as ended:
        main(["evaluate", str(weights), "--device", device, "--at", "1 s,30 d", "--repeats", "2", "--json"])
    told = json.loads(capfd.readouterr().out)
    assert ended.value.code == 0
    assert [point["seconds"] for point in told["points"]] == [1.0, 2592000.0]
    assert {"device", "emulated", "task", "samples", "repeats", "compensate"} < set(told)
    assert {"accuracy", "accuracy_standard_error", "repeats", "loss"} < set(told["points"][0])


def test_a_page_is_drawn(weights, tmp_path):
    pytest.importorskip("matplotlib")
    from hwzo.report.aging import write_aging_page

    aging = evaluate_at(weights, "crossbar:pcm?layers=64-16-10&engine=numpy&seed=1", at="0 s,1 d", repeats=2)
    write_aging_page(aging, "weights.safetensors", tmp_path / "aging.html")
    page = (tmp_path / "aging.html").read_text()
    assert "EMULATED" in page
    assert "1 d" in page
    assert "<svg" in page


def test_what_cannot_be_is_refused_before_anything_runs(weights, tmp_path):
    device = "crossbar:pcm?layers=64-16-10&engine=numpy"
    with pytest.raises(ConfigError, match="compensate"):
        evaluate_at(weights, device, compensation="columns")
    with pytest.raises(ConfigError, match="repeats"):
        evaluate_at(weights, device, repeats=0)
    with pytest.raises(CapabilityError, match="nodes"):
        evaluate_at(weights, f"{device}&readback=outputs", at="1 h")
    with pytest.raises(CapabilityError, match="loss only"):
        evaluate_at(weights, f"{device}&readback=loss", at="1 h", compensation="off")
    with pytest.raises(CapabilityError, match="time can't"):
        evaluate_at(weights, Unemulated(hwzo.connect(device)), at="1 h")


class Unemulated:
    """A device whose time nobody can let pass."""

    def __init__(self, device):
        self._device = device
        self.info, self.parameters = device.info, device.parameters
        self.capabilities = replace(device.capabilities, snapshot=False)

    def __getattr__(self, name):
        if name in ("snapshot", "restore", "advance"):
            raise AttributeError(name)
        return getattr(self._device, name)


def test_weights_of_a_file_are_what_is_evaluated(weights):
    """At age 0 and without compensation it is the plain evaluation, on a device without noise exactly."""
    device = "crossbar:ideal?layers=64-16-10&engine=numpy"
    plain = hwzo.evaluate(weights, device, repeats=1)
    aged = evaluate_at(weights, device, at=[0.0], compensation="off", repeats=1).points[0]
    assert (aged.accuracy, aged.loss) == (plain.accuracy, plain.loss)
    assert Weights.load(weights).task == "digits"


def test_a_deployment_ages_with_its_mapping_and_corrections(weights, tmp_path):
    """With stuck cells: its own device is asked for what verifying found, another one for the targets, as is said."""
    url = "crossbar:pcm?layers=64-16-10&engine=numpy&stuck=0.03&node_noise=0.02&seed="
    deployment = hwzo.deploy(weights, f"{url}5", output=tmp_path / "there.h5")
    assert np.abs(deployment.corrections).max() > 0.1
    said = []
    own, other = hwzo.connect(f"{url}5"), hwzo.connect(f"{url}6")
    aging = evaluate_at(tmp_path / "there.h5", own, at="1 s, 30 d", repeats=2, say=said.append)
    assert said == []
    assert aging.device == deployment.result.device
    np.testing.assert_allclose(own._theta, deployment.written.asked, rtol=0, atol=1e-9)
    evaluate_at(tmp_path / "there.h5", other, at="1 s", repeats=1, say=said.append)
    assert "corrections" in said[0]
    np.testing.assert_allclose(other._theta, deployment.targets, rtol=0, atol=1e-9)
    np.testing.assert_array_equal(own.gains, deployment.mapping["gains"])
