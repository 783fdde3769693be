"""The examples run as a user would run them, in an empty folder, and show what they promise."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


def output_of(name: str, folder: Path, *arguments: str) -> str:
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, EXAMPLES / name, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_quickstart_learns_without_one_commanded_probe(tmp_path: Path) -> None:
    if "CI" not in os.environ:
        pytest.importorskip("sklearn", reason="the digits come with scikit-learn")
    text = output_of("01_quickstart.py", tmp_path, "--evaluations", "1000")
    assert "emulated: True" in text
    assert "exploration: intrinsic-node" in text
    assert "commanded probes: 0 of 1000 evaluations" in text
    accuracy = float(re.search(r"test accuracy.*: (0\.\d+)", text)[1])
    assert accuracy > 0.5  # 360 samples of 10 classes: guessing stays below .2 but once in 1e6


def test_a_loss_only_device_of_ones_own_learns_xor(tmp_path: Path) -> None:
    text = output_of("02_your_own_device.py", tmp_path)
    assert "exploration: selection" in text
    assert float(re.search(r"mean squared error on xor: (-?\d\.\d+)", text)[1]) < 0.04


def test_a_task_of_ones_own(tmp_path: Path) -> None:
    text = output_of("03_your_own_task.py", tmp_path)
    assert float(re.search(r"test accuracy: (\d\.\d+)", text)[1]) > 0.9


def test_the_command_line_takes_a_task_from_a_file(tmp_path: Path) -> None:
    task = f"{EXAMPLES / '03_your_own_task.py'}:rings"
    arguments = ["train", "--task", task, "--budget", "200 evaluations", "--run", "run", "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "hwzo", *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr
    assert '"test_accuracy"' in done.stdout


def test_a_classifier_of_another_library_gets_into_a_chip_with_dead_cells(tmp_path: Path) -> None:
    if "CI" not in os.environ:
        pytest.importorskip("sklearn", reason="the classifier is scikit-learn's")
    text = output_of("06_deploy.py", tmp_path)
    assert "emulated: True; verified: True" in text
    before, after = map(float, re.search(r"written once: (\S+); in the end: (\S+)", text).groups())
    assert after > before + 0.05  # of 360 samples; twenty standard errors of passes
