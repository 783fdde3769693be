"""Backends, tasks, streams and signals at their worst: a message, an exit code, and one JSON object or none."""

import json
import os
import signal
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import pytest

from hwzo.cli.signals import TWICE_S, Signalled, answered
from hwzo.train.folder import RunFolder

HWZO = f"{sys.executable} -c 'from hwzo.cli.main import main; main()'"
TRAIN = "train --task xor --budget '20 evaluations'"


@pytest.fixture
def shell(tmp_path):
    """Run a command line with its redirections in a shell; None where a stream went elsewhere."""

    def run(line):
        env = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", line.replace("hwzo", HWZO, 1)],
            cwd=tmp_path,
            env=env,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert "Traceback" not in done.stdout + done.stderr
        assert "Exception ignored" not in done.stderr
        return done

    return run


@pytest.mark.parametrize(
    ("line", "code", "says"),
    [
        (f"hwzo {TRAIN} --json >&-", 1, "standard output is closed"),
        (f"hwzo {TRAIN} >/dev/full", 1, "No space left"),
        (f"hwzo {TRAIN} --json >/dev/full", 1, "No space left"),
        (f"hwzo {TRAIN} --json 2>/dev/full", 0, ""),
        (f"hwzo {TRAIN} --json 2>&-", 0, ""),
        (f"hwzo {TRAIN} --json >&- 2>&-", 1, ""),
        ("hwzo devices | true", 1, ""),
        ("hwzo train --task nosuch 2>/dev/full", 2, ""),
        ("hwzo train --task nosuch --json >/dev/full", 2, "nosuch"),
        ("hwzo --version >/dev/full", 1, "No space left"),
    ],
)
def test_streams_that_are_closed_or_full(shell, line, code, says, tmp_path):
    done = shell(line)
    assert done.returncode == code, done.stderr
    assert says in done.stderr
    if "--budget" in line:  # the run itself is whole in any case
        (run,) = (tmp_path / "runs").iterdir()
        assert RunFolder(run).weights.is_file()
    if "2>" in line and code == 0:
        assert json.loads(done.stdout)["evaluations"] == 20


CHATTY = """
import sys
import numpy as np
from hwzo.data import Task

print("loading")

def make():
    print("making")
    return Task.from_arrays("mine", np.eye(8), np.arange(8) % 2, layers=(8, 2))
"""


def test_what_a_task_prints_is_no_result(hwzo, tmp_path):
    (tmp_path / "chatty.py").write_text(CHATTY)
    done = hwzo("train", "--json", "--task", "chatty.py:make", "--budget", "20 evaluations")
    assert done.code == 0
    assert done.json["evaluations"] == 20
    assert "loading\nmaking\n" in done.err
    people = hwzo("train", "--task", "chatty.py:make", "--budget", "20 evaluations")
    assert "making" not in people.out
    assert "making" in people.err


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("import sys; sys.exit(0)", "can't be run: SystemExit"),
        ("def make(): raise SystemExit(0)", "make() in"),
        (CHATTY.replace("(8, 2)", "('8', '2')"), "layers=('8', '2') must be whole numbers"),
        (CHATTY.replace('"mine"', "3"), "name is a int; it must be text"),
        (CHATTY.replace("layers=(8, 2)", "layers=(8, 2), class_names=[1, 2]"), "class_names holds 1"),
        (CHATTY.replace("layers=(8, 2)", "layers=(8, 2), class_names='ab'"), "class_names='ab' must be a list"),
        (CHATTY.replace("layers=(8, 2)", "layers=(8, 2), window='1'"), "window is a str"),
    ],
)
def test_a_task_that_is_wrong_exits_2(hwzo, tmp_path, code, says):
    (tmp_path / "wrong.py").write_text(code)
    done = hwzo("train", "--json", "--task", "wrong.py:make")
    assert done.code == 2
    assert says in done.json["error"]["message"]


def test_a_nul_in_a_name_exits_2(hwzo):
    assert hwzo("train", "--json", "--task", "a\0b.py:make").code == 2


def test_what_ends_the_program_from_within_is_a_defect_not_a_success(hwzo, monkeypatch):
    def ending(*args, **kwargs):
        raise SystemExit(0)

    monkeypatch.setattr("hwzo.cli.devices.listings", ending)
    done = hwzo("devices", "--json")
    assert done.code == 1
    assert done.json["error"]["type"] == "SystemExit"


def test_runs_with_a_folder_that_may_not_be_entered(hwzo, tmp_path, monkeypatch):
    hwzo("train", "--task", "xor", "--budget", "20 evaluations", "--run", "runs/a")
    (tmp_path / "runs" / "b").mkdir()
    is_file = Path.is_file

    def refused(self, **options):
        if self.parent.name == "b":
            raise PermissionError(13, "Permission denied", str(self))
        return is_file(self, **options)

    monkeypatch.setattr(Path, "is_file", refused)
    done = hwzo("runs", "--json")
    assert done.code == 0
    rows = {row["run"]: row for row in done.json["runs"]}
    assert (rows["runs/a"]["state"], rows["runs/b"]["state"]) == ("finished", "damaged")
    assert "Permission denied" in rows["runs/b"]["reason"]


def test_a_file_system_that_refuses_is_no_defect_of_ours(hwzo, monkeypatch):
    def refuse(*args, **kwargs):
        raise OSError(28, "No space left on device", "/full/disk")

    monkeypatch.setattr("hwzo.cli.devices.listings", refuse)
    done = hwzo("devices", "--json")
    assert done.code == 2
    assert done.json["error"] == {
        "type": "FileError",
        "message": "/full/disk: No space left on device",
        "exit_code": 2,
    }


class Finalised:
    """Is told to end while it is finalised, from where nothing can be raised."""

    def __del__(self):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.01)


def test_a_signal_that_comes_while_something_is_finalised_ends_the_command_all_the_same(capsys):
    def command():
        with answered():
            Finalised()
            time.sleep(10.0)

    hook, begun = sys.unraisablehook, time.monotonic()
    with pytest.raises(Signalled) as caught:
        command()
    assert caught.value.number == signal.SIGTERM
    assert time.monotonic() - begun < 5.0
    assert sys.unraisablehook is hook
    assert "Traceback" not in capsys.readouterr().err


def test_the_handlers_of_signals_are_put_back():
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(Signalled), answered():
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def interrupted(pause_s):
    """A command that is interrupted again while it tidies up; whether it came to the end of that."""
    tidy = False
    try:
        with answered():
            try:
                signal.raise_signal(signal.SIGTERM)
            finally:
                time.sleep(pause_s)
                signal.raise_signal(signal.SIGTERM)
                tidy = True
    except Signalled:
        return tidy
    pytest.fail("nothing was raised")


def test_a_signal_that_comes_twice_at_once_ends_a_command_once():
    """As timeout(1) sends it, to the process and to its group; a user who asks again later is heard again."""
    assert interrupted(0.0)
    assert not interrupted(TWICE_S)


SLOW = """
import pathlib, sys, time

class Slow:
    def find_spec(self, name, path=None, target=None):
        if name == "{module}":
            pathlib.Path("begun").touch()
            time.sleep(60)

sys.meta_path.insert(0, Slow())
"""


@pytest.mark.parametrize("module", ["typer", "hwzo.cli.app", "rich.console", "pydantic_core"])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_while_modules_are_loaded(tmp_path, module, number, code):
    program = SLOW.format(module=module) + "from hwzo.cli.main import main; main()"
    command = [sys.executable, "-c", program, "train", "--json"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        deadline = time.monotonic() + 60
        while not (tmp_path / "begun").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        child.send_signal(number)
        out, err = child.communicate(timeout=60)
    assert child.returncode == code, err
    assert "Traceback" not in err
    assert json.loads(out)["error"]["exit_code"] == code


def test_a_task_cannot_swallow_a_signal(process, ended, tmp_path):
    code = """
import pathlib, time
def make():
    while True:
        try:
            pathlib.Path("begun").touch()
            time.sleep(60)
        except Exception:
            pass
"""
    (tmp_path / "stubborn.py").write_text(code)
    child = process("train", "--json", "--task", "stubborn.py:make")
    deadline = time.monotonic() + 60
    while not (tmp_path / "begun").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    child.send_signal(signal.SIGTERM)
    assert ended(child).code == 143


def test_the_version(hwzo):
    done = hwzo("--version")
    assert (done.code, done.out) == (0, f"hwzo {version('hwzo')}\n")
