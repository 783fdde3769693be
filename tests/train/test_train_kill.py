"""Runs that are killed at any moment, and disks that are full: nothing that was done is lost."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import hwzo
from hwzo.errors import FileError
from hwzo.train import loop
from hwzo.train.replay import replay

KILLS = 20


@pytest.mark.parametrize(
    "settings",
    [
        # All the physics there is: programming noise, 1/f and telegraph noise, drift on the device's clock.
        {"device": "crossbar:pcm?layers=49-6-4&telegraph=0.1", "budget": "200 evaluations"},
        {"device": "crossbar:pcm?layers=49-4", "method": "block", "probes": 8, "budget": "400 evaluations"},
    ],
    ids=["intrinsic", "commanded"],
)
def test_killed_twenty_times_it_ends_where_it_would_have(tmp_path, settings):
    settings |= {"batch": 32}
    command = [sys.executable, Path(__file__).with_name("kill_and_resume.py"), tmp_path, KILLS, 1, json.dumps(settings)]
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        [str(word) for word in command], env=environment, capture_output=True, text=True, timeout=250, check=False
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    same = ("parameters_crc32", "test_accuracy", "evaluations", "cell_writes", "device_seconds", "joules", "loss")
    for found in answer["found"]:
        assert {key: found[key] for key in same} == {key: answer["whole"][key] for key in same}
        assert found["differs"] == []  # every step that was rerun gave the very losses of the first time
    assert sum(found["kills"] for found in answer["found"]) >= KILLS
    # Not all of them hit before there was anything to go on with.
    assert sum(found["resumed"] for found in answer["found"]) >= KILLS / 2


def missing(reason):
    """Where CI is set, a test that can't run is a failure."""
    (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)


@pytest.fixture
def small_disk(tmp_path):
    """A disk of half a megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.geteuid() != 0:
        missing("needs root, to mount a small disk")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(folder)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        missing(f"can't mount a small disk here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("room", [150_000, 250_000])
def test_a_full_disk_is_said_and_the_run_goes_on_after_room_is_made(small_disk, tmp_path, monkeypatch, room):
    monkeypatch.setattr(loop, "CHECKPOINT_S", 0.01)
    settings = {"task": "xor", "device": "crossbar:pcm", "budget": "4000 evaluations"}
    whole = hwzo.train(run=tmp_path / "whole", **settings)
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(512 * 1024 - room))
    with pytest.raises(FileError, match="make room, then go on with --resume"):
        hwzo.train(run=small_disk / "run", **settings)
    ballast.unlink()
    run = hwzo.load_run(small_disk / "run")
    steps = len(run.curve["t"])
    assert steps > 0
    assert run.result is None
    # Room is made; the run is as long as it was, and goes on elsewhere, too, where there is room enough for all of it.
    assert replay(small_disk / "run").step == steps
    subprocess.run(["cp", "-r", str(small_disk / "run"), str(tmp_path / "run")], check=True)
    assert hwzo.train(run=tmp_path / "run", resume=True).parameters_crc32 == whole.parameters_crc32
