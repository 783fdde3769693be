"""Runs: what they come to, going on with them, replaying any step, and devices that fail on the way."""

import os
import shutil
import struct
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import hwzo
from hwzo.data.logic import xor
from hwzo.errors import (
    CapabilityError,
    ConfigError,
    DeviceBusyError,
    DeviceError,
    DeviceTimeoutError,
    FileError,
    MeasurementError,
)
from hwzo.parameters import parameters_crc32
from hwzo.testing.faulty import FaultyDevice
from hwzo.testing.quadratic import QuadraticDevice
from hwzo.train import bench, loop
from hwzo.train.checkpoint import Checkpoint, checkpoints
from hwzo.train.folder import RunFolder
from hwzo.train.replay import replay

PCM = "crossbar:pcm"
BUDGET = "300 evaluations"


@pytest.fixture
def often(monkeypatch):
    """Checkpoints after nearly every step."""
    monkeypatch.setattr(loop, "CHECKPOINT_S", 1e-3)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished run on the emulated crossbar, and its folder; not to be changed."""
    path = tmp_path_factory.mktemp("finished") / "run"
    return hwzo.train("xor", PCM, budget=BUDGET, run=path), path


def copied(path, to):
    shutil.copytree(path, to)
    return to


# What a run comes to


def test_a_run_is_what_was_asked_for(finished):
    result, path = finished
    assert (result.task, result.method, result.exploration) == ("xor", "intrinsic", "intrinsic-node")
    assert (result.emulated, result.seed, result.n_parameters, result.stopped) == (True, 0, 9, "budget")
    assert (result.steps, result.evaluations, result.commanded_probes) == (150, 300, 0)
    # Every step writes at most every pair of cells; the start wrote them all.
    assert 2 * 9 <= result.cell_writes <= 2 * 9 * 151
    assert result.device_seconds > 0
    assert result.joules > 0
    assert 0 <= result.test_accuracy <= 1
    assert result.run == str(path)


def test_a_run_can_be_looked_at(finished):
    result, path = finished
    run = hwzo.load_run(path)
    assert run.result == result
    assert run.config.budget == BUDGET
    np.testing.assert_array_equal(run.curve["t"], np.arange(150))
    np.testing.assert_array_equal(run.curve["evaluations"], 2 * np.arange(1, 151))
    # The start wrote all 18 cells before step 0.
    assert run.curve["cell_writes"][-1] == result.cell_writes - 18
    assert [look.evaluations for look in run.validations] == [0, 100, 200, 300]
    assert run.validations[-1].accuracy == result.validation_accuracy
    assert parameters_crc32(run.weights().theta) == result.parameters_crc32
    assert run.checkpoint().t == 150
    assert set(run.description) == {"format", "config", "versions", "device", "task", "method"}
    assert [kind for _, _, kind, _ in run.events] == ["test"]  # which was read once


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(finished, tmp_path):
    result, _ = finished
    again = hwzo.train("xor", PCM, budget=BUDGET, run=tmp_path / "again")
    other = hwzo.train("xor", PCM, budget=BUDGET, run=tmp_path / "other", seed=1)
    assert again.parameters_crc32 == result.parameters_crc32
    assert again.test_accuracy == result.test_accuracy
    assert other.parameters_crc32 != result.parameters_crc32


@pytest.mark.parametrize(
    ("budget", "of"),
    [
        ("50 evaluations", lambda r: r.evaluations / 50),
        ("300 writes", lambda r: r.cell_writes / 300),
        ("2e-3 device seconds", lambda r: r.device_seconds / 2e-3),
        ("2e-5 J", lambda r: r.joules / 2e-5),
        ("0.2 s", lambda r: r.wall_seconds / 0.2),
    ],
)
def test_a_budget_in_any_unit_is_spent_and_not_overspent(tmp_path, budget, of):
    result = hwzo.train("xor", PCM, budget=budget, run=tmp_path / "run")
    step = 1 / result.steps if result.steps else 1
    # The step that crosses a limit other than evaluations is taken; it is one of many.
    assert 1 - 2 * step < of(result) < 1 + 25 * step
    assert result.stopped == "budget"


def test_a_target_ends_the_run(tmp_path):
    result = hwzo.train("xor", "crossbar:ideal", method="backprop", target=1.0, run=tmp_path / "run")
    assert result.target_reached
    assert result.stopped == "target"
    assert result.evaluations_to_target == result.evaluations < 2000
    assert result.validation_accuracy == 1.0


def test_progress_is_shown(tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "WATCH_S", 0.0)
    seen = []
    hwzo.train("xor", PCM, budget="20 evaluations", run=tmp_path / "r", watch=lambda p: seen.append((p.share, p.loss)))
    assert [share for share, _ in seen] == [pytest.approx(0.1 * step) for step in range(1, 11)]
    assert all(np.isfinite(loss) for _, loss in seen)


def test_without_a_folder_a_new_one_is_made(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = hwzo.train("xor", PCM, budget="4 evaluations")
    assert Path(result.run).parent == Path("runs")
    assert hwzo.load_run(result.run).result == result


# Bad input


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"method": "magic"}, "method"),
        ({"task": "nosuch"}, "task"),
        ({"device": "crossbar:nosuch"}, "device"),
        ({"device": "crossbar:pcm?windw=2"}, "windw"),
        ({"layers": "3-2-1"}, "layers"),
        ({"layers": "2-2-3"}, "layers"),
        ({"layers": "2-2-2-2-2-1"}, "layers"),  # more layers than xor has samples
        ({"device": "crossbar:pcm?layers=3-1"}, "layers"),
        ({"batch": 5}, "batch"),
        ({"probes": 3}, "probes"),  # node perturbation has none
        ({"method": "spsa", "probes": 3}, "probes"),  # pairs
        ({"method": "block", "probes": 1}, "probes"),
        ({"method": "mgd", "estimator": "block"}, "estimator"),
        ({"method": "selection", "rate": 0.1}, "rate"),
        ({"budget": "-1 s"}, "budget"),
        ({"steps": 10}, "steps"),
    ],
)
def test_a_wrong_setting_is_refused_by_key_and_leaves_nothing(tmp_path, settings, key):
    with pytest.raises(ConfigError) as caught:
        hwzo.train(**{"task": "xor", "device": PCM, "run": tmp_path / "run", **settings})
    assert caught.value.key == key
    assert key in str(caught.value) or "nosuch" in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_a_target_needs_an_accuracy(tmp_path):
    with pytest.raises(CapabilityError, match="loss only"):
        hwzo.train("xor", "crossbar:pcm?readback=loss", target=0.9, run=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_folder_with_somebodys_files_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("mine")
    for resume in (False, True):
        with pytest.raises(ConfigError, match=r"not a run.*thesis\.tex"):
            hwzo.train("xor", PCM, run=tmp_path, resume=resume)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
    with pytest.raises(ConfigError, match="is a file"):
        hwzo.train("xor", PCM, run=tmp_path / "thesis.tex")


def test_what_a_killed_start_left_is_no_hindrance(tmp_path):
    folder = RunFolder(tmp_path / "run")
    folder.lock()
    folder.unlock()
    for name in (".run.toml.part", "journal.sqlite", "journal.sqlite-journal"):
        (folder.path / name).write_bytes(b"half")
    assert hwzo.train("xor", PCM, budget="4 evaluations", run=folder.path).steps == 2


# Going on


def test_resume_starts_where_there_is_nothing(tmp_path, finished):
    result, _ = finished
    (tmp_path / "empty").mkdir()
    for name in ("missing", "empty"):
        started = hwzo.train("xor", PCM, budget=BUDGET, run=tmp_path / name, resume=True)
        assert started.parameters_crc32 == result.parameters_crc32


def test_resume_of_a_finished_run_gives_its_result_again(finished, tmp_path):
    result, path = finished
    run = copied(path, tmp_path / "run")
    before = {p.name: p.read_bytes() for p in (run / "checkpoints").iterdir()}
    assert hwzo.train(run=run, resume=True) == result
    assert hwzo.train("xor", PCM, budget="3e2 evaluations", seed=0, run=run, resume=True) == result
    assert {p.name: p.read_bytes() for p in (run / "checkpoints").iterdir()} == before


def test_without_resume_a_run_is_not_touched(finished):
    _, path = finished
    with pytest.raises(ConfigError, match="--resume") as caught:
        hwzo.train("xor", PCM, budget=BUDGET, run=path)
    assert caught.value.key == "run"


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"seed": 1}, "seed"),
        ({"task": "parity-4"}, "task"),
        ({"device": "crossbar:ideal"}, "device"),
        ({"method": "spsa"}, "method"),
        ({"rate": 0.5}, "rate"),
        ({"batch": 2}, "batch"),
        ({"target": 0.9}, "target"),
        ({"budget": "299 evaluations"}, "budget"),
        ({"budget": "1000 evaluations, 1 s", "seed": 3}, "seed"),
    ],
)
def test_resume_with_something_else_is_refused_naming_it(finished, settings, key):
    result, path = finished
    with pytest.raises(ConfigError) as caught:
        hwzo.train(run=path, resume=True, **settings)
    assert caught.value.key == key
    assert key in str(caught.value)
    assert repr(settings[key]) in str(caught.value)
    assert hwzo.load_run(path).result == result


@pytest.mark.parametrize(
    ("method", "device"),
    [("intrinsic", PCM), ("block", PCM), ("selection", "crossbar:pcm?readback=loss"), ("backprop", "crossbar:ideal")],
)
def test_a_larger_budget_continues(tmp_path, method, device, often):
    first = hwzo.train("xor", device, method=method, budget="200 evaluations", run=tmp_path / "run")
    longer = hwzo.train(run=tmp_path / "run", resume=True, budget="400 evaluations")
    assert longer.steps > first.steps
    assert 200 < longer.evaluations <= 400
    run = hwzo.load_run(tmp_path / "run")
    assert run.config.budget == "400 evaluations"
    assert len(run.curve["t"]) == longer.steps
    # The first part had another schedule, and is replayed with that.
    middle = replay(tmp_path / "run", first.steps)
    assert middle.parameters_crc32 == first.parameters_crc32
    assert replay(tmp_path / "run").parameters_crc32 == longer.parameters_crc32


def test_a_run_on_the_clock_replays_exactly(tmp_path):
    """Its rate follows the time spent, which no rerun meets again."""
    result = hwzo.train("xor", PCM, budget="0.2 s", run=tmp_path / "run")
    assert replay(tmp_path / "run").parameters_crc32 == result.parameters_crc32


def test_two_processes_in_one_folder(tmp_path):
    folder = RunFolder(tmp_path / "run")
    hwzo.train("xor", PCM, budget="4 evaluations", run=folder.path)
    folder.lock()
    try:
        for resume in ("True", "False"):
            code = f"import hwzo\nhwzo.train('xor', run={str(folder.path)!r}, resume={resume})"
            done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
            assert f"DeviceBusyError: run {folder.path} is held by process {os.getpid()}" in done.stderr
    finally:
        folder.unlock()


# Replay


@pytest.mark.parametrize(
    ("method", "device", "how"),
    [
        ("intrinsic", PCM, "a rerun on the emulated device"),
        ("intrinsic", "crossbar:ideal?sigma=0.05&readback=weights", "a rerun on the emulated device"),
        ("backprop", PCM, "a rerun on the emulated device"),
        ("block", PCM, "seeds and losses"),
        ("spsa", "crossbar:ideal?layers=2-3-1", "seeds and losses"),
        ("mgd", PCM, "seeds and losses"),
        ("selection", PCM, "seeds and losses"),
    ],
)
def test_any_step_is_rebuilt(tmp_path, method, device, how, often):
    result = hwzo.train("xor", device, method=method, budget=BUDGET, run=tmp_path / "run")
    folder = RunFolder(tmp_path / "run")
    saved = [Checkpoint.load(path) for path in checkpoints(folder.checkpoints)]
    for path in checkpoints(folder.checkpoints)[1:]:
        path.unlink()  # all from the start
    for at in saved:
        rebuilt = replay(folder.path, at.t)
        assert rebuilt.how == how
        np.testing.assert_array_equal(rebuilt.weights.theta, at.theta)
    assert saved[0].t == 0
    assert saved[-1].t == result.steps == replay(folder.path).step
    assert replay(folder.path).parameters_crc32 == result.parameters_crc32


def test_a_step_that_was_not_taken_is_refused(finished):
    _, path = finished
    for step in (-1, 151):
        with pytest.raises(ConfigError, match="0 to 150") as caught:
            replay(path, step)
        assert caught.value.key == "step"


# Devices that fail, and devices that can't be put back


def crossbar(url="crossbar:pcm?layers=2-2-1&window=3&seed=5"):
    return hwzo.connect(url)


FAULTS = [
    ("nan", MeasurementError, {}),
    ("raise", DeviceError, {}),
    ("raise", DeviceError, {"error": OSError("pulled out")}),
    ("hang", DeviceTimeoutError, {"hang_s": 30.0}),
]


@pytest.mark.parametrize(("fault", "error", "options"), FAULTS)
@pytest.mark.parametrize("after", [1, 2, 70])
def test_a_device_that_fails_leaves_a_run_that_goes_on_bit_for_bit(tmp_path, fault, error, options, after, often):
    settings = {"budget": "200 evaluations", "timeout_s": 0.2}
    whole = hwzo.train("xor", crossbar(), run=tmp_path / "whole", **settings)
    device = FaultyDevice(crossbar(), after=after, fault=fault, **options)
    with pytest.raises(error):
        hwzo.train("xor", device, run=tmp_path / "run", **settings)
    failed = hwzo.load_run(tmp_path / "run")
    assert failed.result is None
    assert failed.events[-1][2] == "failed"
    assert error.__name__ in failed.events[-1][3]
    resumed = hwzo.train("xor", device, run=tmp_path / "run", resume=True, **settings)
    assert resumed.parameters_crc32 == whole.parameters_crc32
    assert resumed.test_accuracy == whole.test_accuracy
    assert resumed.cell_writes == whole.cell_writes


@pytest.mark.parametrize("method", ["intrinsic", "backprop", "block", "selection"])
def test_hardware_goes_on_from_the_journal_and_replays_exactly(tmp_path, hardware, method):
    # The reference measures only when it looks at the validation split: at the start, and after 100 steps.
    device = hardware(FaultyDevice(crossbar(), after=2 if method == "backprop" else 45))
    settings = {"method": method, "budget": "200 evaluations", "run": tmp_path / "run"}
    if method == "block":
        settings |= {"scale": 0.1, "probes": 2}
    with pytest.raises(DeviceError):
        hwzo.train("xor", device, **settings)
    last = hwzo.load_run(tmp_path / "run").curve["t"][-1]
    held = device.targets[-1] if method != "selection" else None
    told = len(device.targets)
    result = hwzo.train("xor", device, resume=True, **settings)
    assert not result.emulated
    if held is not None:
        np.testing.assert_array_equal(device.targets[told], held)  # no step was lost, none was made up
    assert result.steps > last > 0
    rebuilt = replay(tmp_path / "run", device=device)
    regenerable = method in ("block", "selection")
    assert rebuilt.how == ("seeds and losses" if regenerable else "stored step vectors")
    assert rebuilt.parameters_crc32 == result.parameters_crc32
    start = replay(tmp_path / "run", 0, device=device)
    np.testing.assert_array_equal(start.weights.theta, device.targets[0])
    if method in ("intrinsic", "backprop", "block"):
        for step in (1, int(last), int(last) + 1):
            np.testing.assert_array_equal(
                replay(tmp_path / "run", step, device=device).weights.theta, device.targets[step]
            )


def test_hardware_without_noise_ends_where_it_would_have(tmp_path, hardware):
    def device():
        return QuadraticDevice(6, seed=2)

    settings = {"method": "spsa", "scale": 0.1, "budget": "400 evaluations", "task": "xor"}
    whole = hwzo.train(device=hardware(device()), run=tmp_path / "whole", **settings)
    failing = hardware(FaultyDevice(device(), after=20))
    with pytest.raises(DeviceError):
        hwzo.train(device=failing, run=tmp_path / "run", **settings)
    resumed = hwzo.train(device=failing, run=tmp_path / "run", resume=True, **settings)
    assert resumed.parameters_crc32 == whole.parameters_crc32
    assert resumed.evaluations == whole.evaluations
    assert resumed.test_accuracy is None


def test_hardware_remembers_when_the_target_was_reached(tmp_path, hardware):
    device = hardware(FaultyDevice(crossbar("crossbar:ideal?layers=2-2-1&window=3&seed=5"), after=20))
    settings = {"method": "backprop", "budget": "2000 evaluations", "run": tmp_path / "run"}
    with pytest.raises(DeviceError):
        hwzo.train("xor", device, **settings)
    looks = hwzo.load_run(tmp_path / "run").validations
    reached = [look.evaluations for look in looks if look.accuracy >= 0.95]
    assert reached  # in the part that no checkpoint covers
    assert len(checkpoints(tmp_path / "run" / "checkpoints")) == 1
    assert hwzo.train("xor", device, resume=True, **settings).evaluations_to_target == reached[0]


def test_a_rerun_that_comes_out_otherwise_is_told_and_replaces(tmp_path):
    """As after an upgrade that rounds otherwise: the device answers a little differently than the first time."""

    class Upgraded(FaultyDevice):
        def measure(self, probes, batch):
            readings = super().measure(probes, batch)
            return replace(readings, losses=readings.losses * (1 + 1e-9)) if self.measured > self.after else readings

    device = Upgraded(crossbar(), after=70)
    with pytest.raises(DeviceError):
        hwzo.train("xor", device, budget=BUDGET, run=tmp_path / "run")
    result = hwzo.train("xor", device, budget=BUDGET, run=tmp_path / "run", resume=True)
    run = hwzo.load_run(tmp_path / "run")
    assert "rerun differs" in [kind for _, _, kind, _ in run.events]
    np.testing.assert_array_equal(run.curve["t"], np.arange(result.steps))


# Damage


def interrupted(tmp_path, method="intrinsic"):
    """A run that stopped at its 50th measurement, with checkpoints on the way."""
    with pytest.raises(DeviceError):
        hwzo.train("xor", FaultyDevice(crossbar(), after=50), budget=BUDGET, run=tmp_path / "run", method=method)
    return RunFolder(tmp_path / "run")


def test_a_damaged_checkpoint_is_said_and_the_one_before_it_is_used(tmp_path, often):
    whole = hwzo.train("xor", crossbar(), budget=BUDGET, run=tmp_path / "whole")
    folder = interrupted(tmp_path)
    *_, before, last = checkpoints(folder.checkpoints)
    damaged = bytearray(last.read_bytes())
    damaged[-5] ^= 4
    last.write_bytes(damaged)
    at = Checkpoint.load(before).t
    result = hwzo.train("xor", crossbar(), budget=BUDGET, run=folder.path, resume=True)
    assert result.parameters_crc32 == whole.parameters_crc32
    events = [(t, detail) for _, t, kind, detail in hwzo.load_run(folder.path).events if kind == "damaged checkpoint"]
    assert events[0][0] == at
    assert last.name in events[0][1]


def test_without_any_whole_checkpoint_it_is_said(tmp_path, often):
    folder = interrupted(tmp_path)
    for path in checkpoints(folder.checkpoints):
        path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(FileError, match=r"no whole checkpoint.*step-000000000"):
        hwzo.train(run=folder.path, resume=True)


@pytest.mark.parametrize("how", ["random bytes", "truncated", "one bit"])
def test_a_damaged_journal_is_said_and_the_checkpoint_goes_on_without_it(tmp_path, how, often):
    whole = hwzo.train("xor", crossbar(), budget=BUDGET, run=tmp_path / "whole")
    folder = interrupted(tmp_path)
    content = bytearray(folder.journal.read_bytes())
    if how == "random bytes":
        content[:] = np.random.default_rng(0).bytes(len(content))
    elif how == "truncated":
        del content[len(content) // 3 :]
    else:
        with_step = content.rfind(struct.pack(">d", hwzo.load_run(folder.path).curve["loss"][3]))
        assert with_step > 0
        content[with_step] ^= 1
    folder.journal.write_bytes(content)
    at = Checkpoint.load(checkpoints(folder.checkpoints)[-1]).t
    says = rf"damaged.*the checkpoint of step {at} is whole: move journal\.sqlite\* out"
    with pytest.raises(FileError, match=says) as caught:
        hwzo.train("xor", crossbar(), budget=BUDGET, run=folder.path, resume=True)
    expected = "its last good step is 2" if how == "one bit" else "last good step|no step in it can be read"
    assert any(text in str(caught.value) for text in expected.split("|"))
    for path in folder.path.glob("journal.sqlite*"):
        path.unlink()
    result = hwzo.train("xor", crossbar(), budget=BUDGET, run=folder.path, resume=True)
    assert result.parameters_crc32 == whole.parameters_crc32


def test_a_result_that_is_damaged_is_said(finished, tmp_path):
    _, path = finished
    run = copied(path, tmp_path / "run")
    from hwzo.train.journal import Journal

    journal = Journal(run / "journal.sqlite")
    journal.remember("result", '{"run": 3}')
    journal.close()
    for look in (lambda: hwzo.load_run(run), lambda: hwzo.train(run=run, resume=True)):
        with pytest.raises(FileError, match="damaged"):
            look()


# Weights


def test_evaluate_reads_the_test_split(finished):
    result, path = finished
    seen = hwzo.evaluate(path, repeats=20)
    assert (seen.device, seen.emulated, seen.task, seen.samples, seen.repeats) == (result.device, True, "xor", 4, 20)
    assert 0 <= seen.accuracy <= 1
    assert hwzo.evaluate(path, repeats=1).accuracy_standard_error is None
    again = hwzo.evaluate(path / "weights.safetensors", crossbar("crossbar:ideal?layers=2-2-1&window=3"), repeats=3)
    assert again.accuracy_standard_error == 0.0  # an ideal device has no noise


def test_evaluate_agrees_with_arithmetic(finished):
    _, path = finished
    weights = hwzo.load_run(path).weights()
    ideal = hwzo.evaluate(path, "crossbar:ideal?dac_bits=0&adc_bits=0&engine=numpy", repeats=1)
    task = xor()
    outputs = task.network.forward(weights.theta, task.test.inputs)[-1]
    assert ideal.loss == pytest.approx(np.square(outputs - task.test.targets).mean(), rel=1e-12)
    assert ideal.accuracy == ((outputs > 0.5) == (task.test.targets > 0.5)).mean()


@pytest.mark.parametrize(
    ("device", "task", "error", "says"),
    [
        ("crossbar:ideal?layers=2-3-1", None, ConfigError, "of 2-2-1, 9 weights; the device is 2-3-1, 13"),
        ("crossbar:ideal?window=0.01", None, ConfigError, r"outside \[-0\.01, 0\.01\]; nothing was written"),
        ("crossbar:pcm?readback=loss", None, CapabilityError, "loss only"),
        (None, "parity-4", ConfigError, "4 inputs"),
        (None, "nosuch", ConfigError, "task"),
    ],
)
def test_weights_that_do_not_fit_are_refused(finished, device, task, error, says):
    _, path = finished
    with pytest.raises(error, match=says):
        hwzo.evaluate(path, device, task=task)


def test_weights_that_are_no_numbers_are_refused(finished, tmp_path):
    _, path = finished
    weights = hwzo.load_run(path).weights()
    weights.theta[3] = np.nan
    weights.save(tmp_path / "nan.safetensors")
    with pytest.raises(ConfigError, match=r"0\.weight\[1, 1\] is nan"):
        hwzo.evaluate(tmp_path / "nan.safetensors")


def test_weights_of_a_run_that_is_not_finished(tmp_path, often):
    folder = interrupted(tmp_path)
    with pytest.raises(FileError, match="isn't finished"):
        hwzo.evaluate(folder.path)
    with pytest.raises(FileError):
        hwzo.load_run(folder.path).weights()


def test_no_repeats_is_refused(finished):
    with pytest.raises(ConfigError, match="repeats"):
        hwzo.evaluate(finished[1], repeats=0)


def test_a_busy_device_is_refused_before_the_run_is_started(tmp_path, monkeypatch):
    def busy(*args, **kwargs):
        raise DeviceBusyError("held by process 1")

    monkeypatch.setattr(bench, "connect", busy)
    with pytest.raises(DeviceBusyError):
        hwzo.train("xor", PCM, run=tmp_path / "run")
    assert not (tmp_path / "run").exists()
