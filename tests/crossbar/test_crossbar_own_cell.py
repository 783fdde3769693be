"""A user's own cell, from a Python file or a table: what works, and what is refused in which words."""

import contextlib
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwzo.errors import ConfigError, FileError
from hwzo.registry import DeviceURL, connect
from hwzo_backends.crossbar.preset import IV, Drift, Flicker, Preset, Relaxation, find_preset
from hwzo_backends.crossbar.table import read_table

EXAMPLES = Path(__file__).parents[2] / "examples"
GOOD = Preset(name="mine", summary="mine", g_min=1.0, g_max=20.0, fits={"mine": lambda g: 0.1 + 0.01 * g})

FILE = """
from dataclasses import dataclass, field
import numpy as np
from hwzo_backends.crossbar.preset import Preset

CELL = Preset(name="mine", summary="mine", g_min=1.0, g_max=20.0, fits={"mine": lambda g: 0.1 + 0.01 * g})

@dataclass(frozen=True)
class Cell(Preset):
    name: str = "of-a-class"
    summary: str = "mine"
    g_min: float = 0.0
    g_max: float = 5.0

def make():
    return Cell(g_max=7.0)

def fails():
    return 1 / 0

def leaves():
    raise SystemExit(3)

def needs(something):
    return CELL

def odd():
    return 3

NUMBER = 4
INVERTED = Preset(name="mine", summary="mine", g_min=20.0, g_max=1.0)
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "my cells.py"
    path.write_text(FILE)
    return path


def test_an_instance_a_class_and_a_function_from_a_file(file):
    assert find_preset(f"{file}:CELL").fits["mine"](np.array([10.0])) == pytest.approx(0.2)
    assert find_preset(f"{file}:Cell").g_max == 5.0
    assert find_preset(f"{file}:make").g_max == 7.0


def test_its_url_is_absolute_and_opens_it_again(file, monkeypatch):
    monkeypatch.chdir(file.parent)
    preset = find_preset("my cells.py:CELL")
    assert preset.target == f"{file.resolve()}:CELL"
    device = connect("crossbar:my cells.py:CELL?layers=3-2&seed=4")
    monkeypatch.chdir("/")
    again = connect(device.info.url)
    assert again.info.url == device.info.url
    assert DeviceURL.parse(again.info.url).target == preset.target
    np.testing.assert_array_equal(again.read(), device.read())


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("CELLS", r"has no 'CELLS'; presets in it: CELL, INVERTED"),
        ("fails", r"fails\(\).*ZeroDivisionError: division by zero \(line \d+\)"),
        ("leaves", r"leaves\(\).*SystemExit: 3"),
        ("needs", r"needs\(\).*TypeError"),
        ("odd", r"odd in .* is a int, not a Preset"),
        ("NUMBER", r"NUMBER in .* is a int, not a Preset"),
        ("INVERTED", r"g_min=20.0: should be less than g_max=1"),
    ],
)
def test_a_name_that_gives_no_preset(file, name, words):
    with pytest.raises(ConfigError, match=words) as caught:
        connect(f"crossbar:{file}:{name}")
    assert caught.value.key == "device"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("import numpy\nraise RuntimeError('no')\n", r"can't be run: RuntimeError: no \(line 2\)"),
        ("def broken(:\n", "can't be run: SyntaxError"),
        ("import a_module_that_is_not_there\n", "can't be run: ModuleNotFoundError"),
        ("import sys\nsys.exit()\n", "can't be run: SystemExit"),
    ],
)
def test_a_file_that_does_not_run(tmp_path, text, words):
    path = tmp_path / "cells.py"
    path.write_text(text)
    with pytest.raises(ConfigError, match=words) as caught:
        find_preset(f"{path}:CELL")
    assert caught.value.key == "device"


def test_targets_that_are_nothing(tmp_path):
    for target, kind, words in (
        ("pmc", ConfigError, "pcm"),
        ("", ConfigError, "is not known"),
        ("cells.py", ConfigError, "cells.py:NAME"),
        (f"{tmp_path}/absent.py:CELL", FileError, "doesn't exist"),
        (f"{tmp_path}/absent.csv", FileError, "doesn't exist"),
        ("nul\0.csv", FileError, "can't be looked up|doesn't exist"),
    ):
        with pytest.raises(kind, match=words) as caught:
            find_preset(target)
        assert caught.value.key == "device"


def curves(curve):
    """Presets with ``curve`` in each place of one variable."""
    fine = np.zeros_like
    yield replace(GOOD, fits={"mine": curve})
    yield replace(GOOD, drift=Drift(fine, curve))
    yield replace(GOOD, flicker=Flicker(1e-6, curve))
    yield replace(GOOD, read_sd=curve)
    yield replace(GOOD, relaxation=Relaxation(lambda g, t: 0 * g * t, lambda g, t: curve(g)))


def fail(g):
    raise KeyError("nothing")


def spoil(g):
    g *= 2
    return g


@pytest.mark.parametrize(
    ("curve", "words"),
    [
        (lambda g: -np.ones_like(g), "gave -1 at .*; it should be finite and at least 0"),
        (lambda g: np.full_like(g, np.nan), "gave nan at"),
        (lambda g: np.full_like(g, np.inf), "gave inf at"),
        (lambda g: 0.2, "gave float for an array of shape .*numpy.full_like"),
        (lambda g: np.ones(3), r"gave float64 of shape \(3,\)"),
        (lambda g: np.ones(g.shape, dtype=int), "gave int64"),
        (lambda g: list(g), "gave list"),
        (lambda g: g[0] + 0 * g + g.size, "element by element"),
        (fail, "failed: KeyError: 'nothing'"),
        (spoil, "changes its argument"),
        (3.0, "a function of an array|not callable"),
    ],
)
def test_curves_that_make_no_sense(curve, words):
    for preset in curves(curve):
        with pytest.raises(ConfigError, match=words) as caught, np.errstate(all="ignore"):
            preset.check()
        assert caught.value.key == "device"
        assert "preset 'mine'" in str(caught.value)


def test_laws_of_two_signs_may_be_negative():
    replace(GOOD, iv=IV(0.2, np.negative, np.negative), drift=Drift(np.negative, np.abs)).check()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("g_min", -1.0),
        ("g_min", 20.0),
        ("g_min", float("nan")),
        ("g_max", -0.5),
        ("g_max", "20"),
        ("t0", 0.0),
        ("t_write", 0.0),
        ("t_sample", -1e-6),
        ("read_noise", -0.1),
        ("read_error", float("inf")),
        ("bits", 1),
        ("bits", 8.0),
        ("limits", (2.0, 30.0)),
        ("limits", (0.0, 10.0)),
        ("limits", 5),
        ("drift_ev", float("nan")),
        ("name", ""),
        ("fits", [np.zeros_like]),
        ("drift", np.zeros_like),
        ("iv", (1, 2)),
        ("relaxation", Relaxation(lambda g, t: 0 * g * t, lambda g, t: 0 * g * t, "other")),
        ("flicker", Flicker(0.0, np.zeros_like)),
        ("iv", IV(0.0, np.zeros_like, np.zeros_like)),
    ],
)
def test_numbers_that_make_no_sense(key, value):
    with pytest.raises(ConfigError, match=rf"preset '.*': {key}.*should be"):
        replace(GOOD, **{key: value}).check()


def table_of(tmp_path, text):
    path = tmp_path / "cells.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


def test_a_table(tmp_path):
    path = table_of(
        tmp_path, "# lab\ng_us,sigma_us,read_sigma_us\n\n2,0.2,0.01\n5,0.4,0.02\n10,0.5,0.03\n40,0.3,0.05\n"
    )
    preset = read_table(path)
    assert (preset.g_min, preset.g_max) == (2.0, 40.0)
    assert preset.target == str(Path(path).resolve())
    np.testing.assert_allclose(preset.fits["table"](np.array([2, 5, 10, 40.0])), [0.2, 0.4, 0.5, 0.3])
    # Noise may carry a cell beyond what was measured; its read noise is that of the end.
    np.testing.assert_allclose(preset.read_sd(np.array([0.0, 7.5, 50.0]))[[0, 2]], [0.01, 0.05])
    for beyond in (1.9, 40.1):
        with pytest.raises(ConfigError, match="no measurement beyond 2 to 40 microsiemens"):
            preset.fits["table"](np.array([beyond]))


def test_cells_of_a_table_have_its_spread(tmp_path):
    path = table_of(tmp_path, "g_us,sigma_us\n2,0\n11,0.45\n20,0.3\n")
    device = connect(f"crossbar:{path}?layers=199-100&read_error=0&adc_bits=0&node_noise=0&seed=1")
    device.program(np.full(device.parameters.size, 0.5))  # g+ = 11 uS, g- = 2 uS without any spread
    noise = device.read()[0] - 0.5
    assert noise.std() * 18 == pytest.approx(0.45, rel=5 / np.sqrt(2 * noise.size))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty; its header should be g_us,sigma_us"),
        ("2,0.2\n5,0.3\n9,0.4\n", "line 1: '2,0.2': the header should be"),
        ("g_us,sigma\n2,0.2\n", "line 1: .*the header should be"),
        ("g_us,sigma_us\n", "has 0 rows of numbers; at least 3"),
        ("g_us,sigma_us\n2,0.2\n5,0.3\n", "has 2 rows of numbers; at least 3"),
        ("g_us,sigma_us\n2,0.2\n5,\n9,0.4\n", "line 3: sigma_us is empty"),
        ("g_us,sigma_us\n2,0.2\n,0.3\n9,0.4\n", "line 3: g_us is empty"),
        ("g_us,sigma_us\n2,0.2\n5\n9,0.4\n", "line 3: 1 values under 2 columns"),
        ("g_us,sigma_us\n2,0.2\n5,0.3,0.1\n9,0.4\n", "line 3: 3 values under 2 columns"),
        ("g_us,sigma_us\n2,0.2\n\n5,nan\n9,0.4\n", "line 4: sigma_us=nan: should be finite"),
        ("g_us,sigma_us\n2,0.2\n5,inf\n9,0.4\n", "line 3: sigma_us=inf"),
        ("g_us,sigma_us\n2,0.2\n5,-0.3\n9,0.4\n", "line 3: sigma_us=-0.3: should be finite, and 0 to"),
        ("g_us,sigma_us\n-2,0.2\n5,0.3\n9,0.4\n", "line 2: g_us=-2"),
        ("g_us,sigma_us\n2,0.2\nfive,0.3\n9,0.4\n", "line 3: g_us='five' is not a number"),
        ('g_us,sigma_us\n2,0.2\n"5,5",0.3\n9,0.4\n', "line 3: g_us='5,5' is not a number; decimals have a point"),
        ("g_us,sigma_us\n2,0.2\n9,0.3\n5,0.4\n", "line 4: g_us=5 after 9: rows should rise"),
        ("g_us,sigma_us\n2,0.2\n5,0.3\n5,0.4\n", "line 4: g_us=5 after 5"),
        (b"\xff\xfe\x00\x01", "can't be read as text"),
        (b"g_us,sigma_us\n" + b"#" * 10_000_001, "is longer than"),
    ],
)
def test_tables_that_are_refused(tmp_path, text, words):
    with pytest.raises(ConfigError, match=words) as caught:
        find_preset(table_of(tmp_path, text))
    assert caught.value.key == "device"


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(1, 10_000), st.integers(0, 1000), st.integers(0, 100)),
        min_size=3,
        max_size=12,
        unique_by=lambda row: row[0],
    )
)
def test_a_table_goes_through_its_points_and_stays_between_neighbours(tmp_path_factory, rows):
    rows = sorted(rows)
    g, sd, read = np.array(rows, dtype=float).T
    text = "g_us,sigma_us,read_sigma_us\r\n" + "".join(f"{a}, {b} ,{c}\r\n" for a, b, c in rows)
    preset = find_preset(table_of(tmp_path_factory.mktemp("table"), text))
    curve = preset.fits["table"]
    np.testing.assert_allclose(curve(g), sd, atol=1e-9)
    np.testing.assert_allclose(preset.read_sd(g), read, atol=1e-9)
    for i in range(len(g) - 1):
        inside = curve(np.linspace(g[i], g[i + 1], 17))
        slack = 1e-9 * (1 + sd.max())
        assert inside.min() >= min(sd[i], sd[i + 1]) - slack
        assert inside.max() <= max(sd[i], sd[i + 1]) + slack


@settings(max_examples=60, deadline=None)
@given(st.one_of(st.binary(max_size=200), st.text(alphabet='g_us,ima0123456789.-e\n#" ', max_size=120)))
def test_no_table_ends_in_a_traceback(tmp_path_factory, text):
    # Anything but a ConfigError goes through `suppress` and fails the test.
    with contextlib.suppress(ConfigError):
        find_preset(table_of(tmp_path_factory.mktemp("table"), text))


def test_the_example_runs(tmp_path):
    done = subprocess.run(
        [sys.executable, EXAMPLES / "04_your_own_cell.py"],
        cwd=tmp_path,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    measured, law = re.search(r"0\.5: (0\.\d+), by the law (0\.\d+)", done.stdout).groups()
    assert float(measured) == pytest.approx(float(law), rel=5 / np.sqrt(2 * 20_000) + 0.01)
    # A constant answer leaves .25.
    assert float(re.search(r"error on xor: (\d\.\d+)", done.stdout)[1]) < 0.15


def test_the_command_line_names_the_fault_and_ends_with_2(tmp_path):
    path = table_of(tmp_path, "g_us,sigma_us\n2,0.2\n5,\n9,0.4\n")
    done = subprocess.run(
        [sys.executable, "-m", "hwzo", "train", "--task", "xor", "--device", f"crossbar:{path}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 2
    assert "line 3" in done.stderr
    assert "Traceback" not in done.stderr
