"""How commands end: each exit code by a real case in a process of its own, and never a traceback."""

import os
import signal
import time
from importlib.util import find_spec

import pytest

import hwzo
from hwzo.train.folder import RunFolder
from hwzo.train.journal import Journal

KEYS = {
    *("run", "device", "emulated", "task", "method", "exploration", "n_parameters", "seed", "steps", "evaluations"),
    *("commanded_probes", "cell_writes", "device_seconds", "joules", "wall_seconds", "loss", "validation_accuracy"),
    *("test_accuracy", "target_reached", "evaluations_to_target", "parameters_crc32"),
}


def test_0_train_with_nothing_but_a_budget(process, ended, tmp_path):
    done = ended(process("train", "--json", "--budget", "100 evaluations", pictures=True))
    assert done.code == 0
    result = done.json
    assert result.keys() >= KEYS
    assert (result["task"], result["method"], result["exploration"]) == ("digits", "intrinsic", "intrinsic-node")
    assert (result["evaluations"], result["commanded_probes"], result["n_parameters"]) == (100, 0, 2410)
    assert result["device"].startswith("crossbar:pcm?layers=64-32-10")
    assert result["emulated"] is True
    assert "emulated" in done.err
    (run,) = (tmp_path / "runs").iterdir()
    assert str(run.relative_to(tmp_path)) == result["run"]
    assert (run / "report.html").is_file() == (find_spec("matplotlib") is not None)


def test_2_a_wrong_argument(process, ended):
    done = ended(process("train", "--json", "--set", "probs=3"))
    assert done.code == 2
    assert done.json["error"]["exit_code"] == 2
    assert "unknown key 'probs': did you mean 'probes'?" in done.err


def test_3_a_device_that_is_busy(process, ended, tmp_path):
    folder = RunFolder(tmp_path / "run")
    hwzo.train("xor", "crossbar:pcm", budget="4 evaluations", run=folder.path)
    folder.lock()
    try:
        done = ended(process("train", "--json", "--task", "xor", "--run", "run", "--resume"))
    finally:
        folder.unlock()
    assert done.code == 3
    assert f"held by process {os.getpid()}" in done.err
    assert done.json["error"]["type"] == "DeviceBusyError"


def test_4_what_the_device_cannot_do(process, ended):
    words = ("--task", "xor", "--device", "crossbar:ideal", "--set", "exploration=intrinsic-node")
    done = ended(process("train", *words))
    assert done.code == 4
    assert "use method 'intrinsic'" in done.err


def test_5_a_target_that_is_missed(process, ended):
    words = ("--task", "xor", "--method", "spsa", "--target", "1", "--budget", "44 evaluations")
    done = ended(process("train", "--json", *words))
    assert done.code == 5
    assert done.json["target_reached"] is False
    assert "target 1 was not reached" in done.err


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_130_and_143_a_signal_ends_the_step_in_flight(process, ended, tmp_path, number, code):
    run = tmp_path / "run"
    child = process("train", "--json", "--task", "xor", "--budget", "1.5 s", "--run", run)
    deadline = time.monotonic() + 60
    while not RunFolder(run).started and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.2)
    child.send_signal(number)
    done = ended(child)
    assert done.code == code
    assert done.json["error"] == {
        "type": "StoppedError",
        "message": done.json["error"]["message"],
        "exit_code": code,
    }
    assert "--resume" in done.err
    known = hwzo.load_run(run)
    steps = len(known.curve["t"])
    assert known.result is None
    assert known.events[-1][1:] == (steps, "stopped", number.name)
    assert known.checkpoint().t == steps > 0
    assert hwzo.train(run=run, resume=True).steps > steps
    assert hwzo.load_run(run).curve["t"][-1] == hwzo.load_run(run).result.steps - 1


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_130_and_143_outside_of_training_too(process, ended, number, code, tmp_path):
    """As while the data are loaded: here, a task that takes its time."""
    slow = "import pathlib, time\ndef make():\n    pathlib.Path('begun').touch()\n    time.sleep(60)\n"
    (tmp_path / "slow.py").write_text(slow)
    child = process("train", "--json", "--task", "slow.py:make", "--run", "run")
    deadline = time.monotonic() + 60
    while not (tmp_path / "begun").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    child.send_signal(number)
    done = ended(child)
    assert done.code == code
    assert done.json["error"]["exit_code"] == code
    assert not (tmp_path / "run").exists()


def test_1_is_a_defect_of_ours(hwzo, monkeypatch):
    def broken(*args, **kwargs):
        raise ZeroDivisionError("oops")

    monkeypatch.setattr("hwzo.cli.devices.listings", broken)
    done = hwzo("devices", "--json")
    assert done.code == 1
    assert "defect in hwzo: ZeroDivisionError: oops (--debug shows where)" in done.err
    assert done.json["error"]["type"] == "ZeroDivisionError"


def test_debug_shows_where(process):
    out, err = process("train", "--debug", "--task", "nosuch").communicate(timeout=60)
    assert "Traceback" in err
    assert out == ""


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("nosuch",),
        ("train", "--nosuch"),
        ("train", "--seed", "x"),
        ("train", "--set"),
        ("evaluate",),
        ("replay", "r"),
    ],
)
def test_2_usage(hwzo, words):
    done = hwzo(*words)
    assert done.code == 2
    assert done.err


def test_2_usage_as_json(hwzo):
    error = hwzo("train", "--json", "--nosuch").json["error"]
    assert error["exit_code"] == 2
    assert "--nosuch" in error["message"]


@pytest.mark.parametrize("words", [("--help",), ("-h",), ("train", "--help"), ("conformance", "-h")])
def test_0_help(hwzo, words):
    done = hwzo(*words)
    assert done.code == 0
    assert "Usage" in done.out


def test_a_reader_that_leaves_is_no_error_of_ours(process):
    child = process("devices")
    child.stdout.close()
    with child:
        assert child.stderr.read() == ""
    assert child.returncode == 1


def test_a_finished_run_prints_again_and_exits_0(hwzo):
    words = ("train", "--json", "--task", "xor", "--budget", "20 evaluations", "--run", "run", "--resume")
    first = hwzo(*words)
    again = hwzo(*words)
    assert (first.code, again.code) == (0, 0)
    assert again.json == first.json
    assert "finished" in again.err


def test_a_damaged_run_is_said_with_the_last_good_step(hwzo, tmp_path):
    hwzo("train", "--task", "xor", "--budget", "200 evaluations", "--run", "run")
    journal = Journal(tmp_path / "run" / "journal.sqlite")
    journal._db.execute("UPDATE steps SET rate = 1 WHERE t = 60")
    journal.close()
    done = hwzo("train", "--json", "--run", "run", "--resume", "--budget", "300 evaluations")
    assert done.code == 2
    assert "its last good step is 59; the checkpoint of step 100 is whole" in done.err
