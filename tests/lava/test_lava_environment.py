"""Where Lava lives: found, made whole or not at all, and counted with before it is trusted."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from hwzo.cli.app import app
from hwzo.errors import DeviceError
from hwzo.registry import connect
from hwzo_backends.lava import LavaBackend, environment
from hwzo_backends.lava.inside import hook, known_answer
from hwzo_backends.lava.lif import Neurons
from hwzo_backends.lava.plan import Plan, question
from hwzo_backends.lava.worker import Worker

CHECKED = environment.checked
SETUP = {"mode": "trial", "plan": Plan((4, 3, 2), (Neurons(4095, 0, 256),) * 2, steps=5).as_words()}


@pytest.fixture
def cache(monkeypatch, tmp_path):
    """An empty cache, and no interpreter named."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv(environment.VARIABLE, raising=False)
    return tmp_path


@pytest.fixture
def installer(cache, monkeypatch):
    """Makes environments out of this Python, and believes in them; for which interpreters is kept."""
    ran = []

    def fill(building, interpreter):
        ran.append(interpreter)
        (building / "bin").mkdir(exist_ok=True)
        (building / "bin" / "python").symlink_to(sys.executable)

    def checked(python):
        assert python.exists()
        return environment.Environment(str(python), "3.10.0", environment.LAVA, "1.26.4", hooked=False)

    monkeypatch.setattr(environment, "_interpreter", lambda: (sys.executable, "this Python"))
    monkeypatch.setattr(environment, "_fill", fill)
    monkeypatch.setattr(environment, "checked", checked)
    return ran


def test_nothing_is_found_in_an_empty_cache(cache):
    assert environment.find() is None
    with pytest.raises(DeviceError, match="hwzo doctor --install lava"):
        environment.python()


def test_what_was_made_is_found_and_not_made_again(installer, cache):
    said = []
    made = environment.install(said.append)
    assert made.lava == environment.LAVA
    assert Path(made.python).is_relative_to(cache)
    assert environment.find() == made == environment.install(said.append)
    assert len(installer) == 1
    assert "installing" in said[0]
    assert [path.name for path in (cache / "hwzo").iterdir() if "building" in path.name] == []


def test_an_interrupted_one_leaves_nothing_and_is_made_again(installer, cache, monkeypatch):
    checked = environment.checked

    def interrupted(python):
        raise KeyboardInterrupt

    monkeypatch.setattr(environment, "checked", interrupted)
    with pytest.raises(KeyboardInterrupt):
        environment.install(lambda _: None)
    assert environment.find() is None
    assert not [path for path in (cache / "hwzo").iterdir() if path.is_dir()]
    monkeypatch.setattr(environment, "checked", checked)
    assert environment.install(lambda _: None) == environment.find()


def test_a_damaged_one_is_made_again(installer):
    made = environment.install(lambda _: None)
    Path(made.python).unlink()
    assert environment.find() is None
    environment.install(lambda _: None)
    assert len(installer) == 2
    (environment.folder() / "hwzo.json").write_text("{")
    assert environment.find() is None


def test_one_that_no_longer_counts_is_made_again(installer, cache, monkeypatch):
    """Its Python is there, but a package isn't: the doctor says so, opening a device too, and installing mends it."""
    made = environment.install(lambda _: None)
    works, broken, said = environment.checked, DeviceError("Lava doesn't work: No module named 'lava'"), []

    def checked(python):
        if len(installer) == 1:
            raise broken
        return works(python)

    monkeypatch.setattr(environment, "checked", checked)
    with pytest.raises(DeviceError, match="No module named 'lava'"):
        LavaBackend().examine()
    with pytest.raises(DeviceError, match=r"No module named 'lava'; .*hwzo doctor --install lava"):
        connect("lava:lif?seed=1")  # whose Python here is that of the tests
    assert environment.install(said.append) == made
    assert len(installer) == 2
    assert "made anew" in said[0]


def test_what_a_killed_installation_left_is_removed_by_the_next(installer, cache):
    left = cache / "hwzo" / "lava-building-killed" / "lib"
    left.mkdir(parents=True)
    environment.install(lambda _: None)
    assert not left.parent.exists()


def test_a_killed_installation_takes_its_installer_with_it(tmp_path):
    """As `kill -9` of hwzo while uv downloads."""
    noted = tmp_path / "pid"
    code = f"from hwzo_backends.lava.environment import _run; _run(['sh', '-c', 'echo $$ > {noted}; exec sleep 60'])"
    process = subprocess.Popen([sys.executable, "-c", code])
    until = time.monotonic() + 20
    while not (noted.exists() and noted.read_text().strip()) and time.monotonic() < until:
        time.sleep(0.02)
    child = int(noted.read_text())
    process.kill()
    process.wait()
    until = time.monotonic() + 5
    while _runs(child) and time.monotonic() < until:
        time.sleep(0.02)
    assert not _runs(child)


def _runs(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_uv_hears_of_the_index_that_pip_was_told_of():
    pip = {"PIP_INDEX_URL": "https://index/simple", "PIP_EXTRA_INDEX_URL": "https://more/simple"}
    assert environment.index_settings(pip) == {
        "UV_DEFAULT_INDEX": "https://index/simple",
        "UV_INDEX": "https://more/simple",
    }
    assert environment.index_settings({**pip, "UV_DEFAULT_INDEX": "its own"}) == {"UV_INDEX": "https://more/simple"}
    assert environment.index_settings({**pip, "UV_INDEX_URL": "its own"}) == {"UV_INDEX": "https://more/simple"}
    assert environment.index_settings({"PATH": "/bin", "PIP_INDEX_URL": ""}) == {}


def test_one_that_miscounts_is_not_kept(installer, monkeypatch):
    monkeypatch.setattr(environment, "checked", CHECKED)
    monkeypatch.setattr(environment, "MAIN", Path(__file__).with_name("miscounting_main.py"))
    with pytest.raises(DeviceError, match="miscounts"):
        environment.install(lambda _: None)
    assert environment.find() is None


def test_a_cache_that_cannot_be_written(monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.delenv(environment.VARIABLE, raising=False)
    with pytest.raises(DeviceError, match="XDG_CACHE_HOME"):
        environment.install(lambda _: None)


def test_an_interpreter_without_lava_is_refused(cache, monkeypatch):
    monkeypatch.setenv(environment.VARIABLE, sys.executable)
    with pytest.raises(DeviceError, match="No module named"):
        environment.install(lambda _: None)


def test_an_interpreter_that_is_not_there_is_named(cache, monkeypatch):
    monkeypatch.setenv(environment.VARIABLE, "/nowhere/python")
    assert environment.find() is None
    with pytest.raises(DeviceError, match="no Python /nowhere/python, which HWZO_LAVA_PYTHON names"):
        environment.install(lambda _: None)
    with pytest.raises(DeviceError, match="which HWZO_LAVA_PYTHON names"):
        connect("lava:lif")
    assert [line.available for line in LavaBackend().listings()] == [False]


def test_an_interpreter_without_lava_says_what_named_it(cache, monkeypatch):
    monkeypatch.setenv(environment.VARIABLE, sys.executable)
    with pytest.raises(DeviceError, match=r"No module named 'lava'; HWZO_LAVA_PYTHON=.* names it"):
        connect("lava:lif?seed=1")


def test_something_else_than_an_interpreter_is_refused(cache, monkeypatch):
    monkeypatch.setenv(environment.VARIABLE, shutil.which("true"))
    with pytest.raises(DeviceError, match="doesn't work"):
        environment.install(lambda _: None)


def test_a_failing_package_index_is_told(cache, monkeypatch, tmp_path):
    """No network: uv or pip says so, and what it says comes through."""
    monkeypatch.setattr(environment, "_interpreter", lambda: (sys.executable, "this Python"))
    for name, value in {"UV_OFFLINE": "1", "UV_CACHE_DIR": str(tmp_path / "uv"), "PIP_NO_INDEX": "1"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(DeviceError, match="package index"):
        environment.install(lambda _: None)
    assert environment.find() is None


# --- what is counted ---


def test_the_known_answer_follows_from_the_equations():
    """By a loop of its own: v grows by w each step from the second on, and falls to 0 above the threshold."""
    for weight, count in zip(known_answer.WEIGHTS, known_answer.expected(known_answer.VTH), strict=True):
        v = spikes = 0
        for _ in range(known_answer.STEPS - 1):
            v += weight
            if v > known_answer.VTH:
                v, spikes = 0, spikes + 1
        assert spikes == count, weight


def test_lava_counts_as_it_should(lava_python):
    found = environment.checked(lava_python)
    assert found.lava == environment.LAVA
    assert found.hooked == (tuple(map(int, found.version.split(".")[:2])) >= (3, 11))


def test_defaults_that_python_refuses_are_let_pass_in_that_module_only(tmp_path):
    """Of the module's name, in a package of ours; Lava isn't needed."""
    package = tmp_path / "lava" / "magma" / "compiler"
    package.mkdir(parents=True)
    source = (
        "from dataclasses import dataclass\n"
        "@dataclass\nclass Encoder:\n    base: int = 0\n"
        "@dataclass\nclass Core:\n    x: Encoder = Encoder()\n"
    )
    (package / "var_model.py").write_text(source)
    (package / "other_model.py").write_text(source)
    code = (
        "import sys, importlib.util\n"
        f"spec = importlib.util.spec_from_file_location('hook', {hook.__file__!r})\n"
        "hook = importlib.util.module_from_spec(spec); spec.loader.exec_module(hook); hook.install()\n"
        f"sys.path.insert(0, {str(tmp_path)!r})\n"
        "from lava.magma.compiler.var_model import Core\n"
        "assert Core() == Core() and Core().x.base == 0\n"
        "if sys.version_info >= (3, 11):\n"
        "    try:\n        import lava.magma.compiler.other_model\n"
        "    except ValueError: print('refused')\n"
        "else: print('refused')\n"
    )
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "refused", done.stderr


# --- the command ---


def test_the_doctor_installs_once_and_says_what_is_there(installer):
    from typer.testing import CliRunner

    for _ in range(2):
        done = CliRunner().invoke(app, ["doctor", "--install", "lava", "--json"])
        assert done.exit_code == 0, done.output
        checks = json.loads(done.stdout.strip().splitlines()[-1])["checks"]
        assert [check["name"] for check in checks] == ["lava"]
        assert "lava-nc 0.10.0" in checks[0]["detail"]
    assert len(installer) == 1


def test_the_import_hook_on_this_python(tmp_path, monkeypatch):
    """Installed under the Python that runs the tests, where that is newer than Lava's own."""
    if not os.environ.get("CI"):
        pytest.skip("installs 400 MB: in CI only")
    if sys.version_info < (3, 11):
        pytest.skip("this is Lava's own Python")
    monkeypatch.setenv("UV_CACHE_DIR", os.environ.get("UV_CACHE_DIR") or str(Path.home() / ".cache" / "uv"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv(environment.VARIABLE, raising=False)
    monkeypatch.setattr(environment, "_candidates", list)
    said = []
    made = environment.install(said.append)
    assert f"Python {sys.version_info[0]}.{sys.version_info[1]}" in said[0]
    assert made.hooked
    with Worker(Path(made.python), SETUP, "test") as worker:
        words, arrays = question(np.zeros((1, 23), dtype=np.int16), np.zeros((2, 4)), evaluation=0)
        assert worker.ask(words, arrays, timeout_s=30.0)[1]["counts"].tolist() == [[[0, 0], [0, 0]]]
