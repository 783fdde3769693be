"""Compiling: said once, kept on disk, and never in a user's way."""

import os
import subprocess
import sys
from importlib.util import find_spec

import pytest

if find_spec("numba") is None and not os.environ.get("CI"):
    pytest.skip("numba is not installed", allow_module_level=True)

SMALL = """
import numpy as np
from hwzo_backends.crossbar.fast.noise import FastNoise
from hwzo_backends.crossbar.noise import Stream
print(FastNoise(1).at(Stream.GAIN, 0).random(3).tolist())
"""


def python(program, **environment):
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env={**os.environ, **environment}
    )
    assert done.returncode == 0, done.stderr
    return done


def test_it_is_available_here():
    from hwzo_backends.crossbar import fast

    assert fast.available() == (True, "")


def test_compiling_is_announced_once_and_kept(tmp_path):
    first = python(SMALL, NUMBA_CACHE_DIR=str(tmp_path / "cache"))
    assert first.stderr == "compiling the fast engine, once\n"
    assert list((tmp_path / "cache").rglob("*.nbc"))
    again = python(SMALL, NUMBA_CACHE_DIR=str(tmp_path / "cache"))
    assert again.stderr == ""
    assert again.stdout == first.stdout


def test_a_users_setting_and_other_kernels_are_left_alone(tmp_path):
    program = """
import numba
mine = numba.njit(lambda x: x + 1)
from hwzo_backends.crossbar.fast import random
import numpy as np
assert numba.config.CACHE_DIR == ""
print(mine(1))
"""
    assert python(program, NUMBA_CACHE_DIR="", XDG_CACHE_HOME=str(tmp_path)).stderr == ""


def test_where_nothing_can_be_kept_it_is_compiled_each_time(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    done = python(SMALL, NUMBA_CACHE_DIR=str(blocked / "below"))
    assert done.stderr == "compiling the fast engine, once\n"
    assert done.stdout == python(SMALL).stdout


@pytest.mark.parametrize(
    ("breakage", "reason"),
    [
        ("import sys; sys.modules['numba'] = None", "numba"),
        ("import numba; numba.njit = None", "callable"),
        (
            "from hwzo_backends.crossbar.fast import random\n"
            "def fails(*_): raise OSError('LLVM is ill\\nand more')\n"
            "random.philox = fails",
            "OSError: LLVM is ill",
        ),
        ("from hwzo_backends.crossbar.fast import random\nrandom.philox = lambda *_: None", "wrong answer"),
    ],
)
def test_whatever_is_broken_is_a_reason(breakage, reason):
    done = python(f"{breakage}\nfrom hwzo_backends.crossbar import fast\nprint(fast.available())")
    assert done.stdout.startswith("(False, ")
    assert reason in done.stdout
    assert done.stdout.count("\n") == 1


def test_the_engine_alone_imports_numba():
    program = "import sys, hwzo; from hwzo_backends.crossbar import fast; print('numba' in sys.modules)"
    assert python(program).stdout == "False\n"
