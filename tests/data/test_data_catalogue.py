"""Tasks by name and from a user's own file."""

import subprocess
import sys

import pytest

from hwzo.data import Task, load_task, task_names
from hwzo.errors import ConfigError, FileError

GOOD = """
from __future__ import annotations
from dataclasses import dataclass
import numpy as np
from hwzo.data import Task

@dataclass
class Settings:
    n: int = 40

def circle() -> Task:
    x = np.random.default_rng(0).uniform(-1, 1, (Settings().n, 2))
    return Task.from_arrays("circle", x, (x**2).sum(axis=1) < 0.5, layers=(2, 4, 2))

def number():
    return 7

def broken():
    return 1 / 0

def unusable():
    return Task.from_arrays("circle", 9 * np.ones((40, 2)), np.zeros(40), layers=(2, 2))

value = 3
"""
BROKEN_LINE = GOOD.splitlines().index("    return 1 / 0") + 1


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "my task.py"
    path.write_text(GOOD)
    return path


def test_every_documented_name_is_there():
    assert {"xor", "parity-4", "nist7x7", "digits", "mnist5k", "fashion-mnist"} <= set(task_names())
    assert {f"parity-{bits}" for bits in range(2, 9)} <= set(task_names())


@pytest.mark.parametrize("name", ["", "digit", "parity-9", "parity-", "XOR", "package:function", "xor:"])
def test_an_unknown_name_lists_the_known(name):
    with pytest.raises(ConfigError, match=r"xor, parity-2.*digits, mnist5k, fashion-mnist") as caught:
        load_task(name)
    assert caught.value.key == "task"
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("name", ["xor", "parity-4", "nist7x7"])
def test_a_task_bears_its_own_name(name):
    assert load_task(name).name == name


def test_a_users_file(file, monkeypatch):
    task = load_task(f"{file}:circle")
    assert isinstance(task, Task)
    assert task.train.targets.tolist() == ((task.train.inputs**2).sum(axis=1) < 0.5).astype(int).tolist()
    monkeypatch.chdir(file.parent)
    assert load_task("my task.py:circle").name == "circle"
    monkeypatch.chdir("/")
    monkeypatch.setenv("HOME", str(file.parent))
    assert load_task("~/my task.py:circle").name == "circle"


@pytest.mark.parametrize(
    ("function", "says"),
    [
        ("square", "no function 'square'; it has .*circle"),
        ("value", "no function 'value'"),
        ("", "no function ''"),
        ("number", "returned int"),
        ("broken", rf"ZeroDivisionError: division by zero \(line {BROKEN_LINE}\)"),
        ("unusable", "outside"),
    ],
)
def test_a_users_mistake_is_explained(file, function, says):
    with pytest.raises(ConfigError, match=says):
        load_task(f"{file}:{function}")


def test_a_users_file_that_is_missing_or_no_python(file):
    with pytest.raises(FileError, match="doesn't exist"):
        load_task(f"{file.parent}/none.py:circle")
    with pytest.raises(FileError, match="can't be looked up") as caught:
        load_task("~nobody-of-that-name/none.py:circle")
    assert caught.value.key == "task"
    file.write_text("def circle(:\n")
    with pytest.raises(ConfigError, match=r"SyntaxError.*line 1"):
        load_task(f"{file}:circle")
    file.write_text("\nimport no_such_module_anywhere\n")
    with pytest.raises(ConfigError, match=r"no_such_module_anywhere.*\(line 2\)"):
        load_task(f"{file}:circle")


def test_importing_the_tasks_costs_no_extra():
    extras = {"sklearn", "mlxtend", "pandas", "scipy", "matplotlib"}
    code = f"import sys, hwzo.data; print(sorted({extras} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
