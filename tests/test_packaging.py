"""What is installed: what an import costs, what the wheel holds, and whether a stranger's backend is found."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from textwrap import dedent

import pytest

ROOT = Path(__file__).resolve().parent.parent
BANNED = ("lava", "numba", "matplotlib", "serial", "sklearn", "scipy", "mlxtend", "pandas", "typer", "rich")


def run(*command: str, cwd: Path, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    """``python`` and these words in ``cwd``, with ``path`` first among the places it imports from."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    if path is not None:
        environment["PYTHONPATH"] = str(path)
    return subprocess.run(
        [sys.executable, *command], cwd=cwd, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


def build_wheel(project: Path, into: Path) -> zipfile.ZipFile:
    """The wheel of the project in ``project``, built without isolation, so without the network."""
    built = run("-m", "hatchling", "build", "-t", "wheel", "-d", str(into), cwd=project)
    assert built.returncode == 0, built.stderr
    (wheel,) = into.glob("*.whl")
    return zipfile.ZipFile(wheel)


def hwzo(*words: str, cwd: Path, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    return run("-c", "from hwzo.cli.main import main; main()", *words, cwd=cwd, path=path)


def test_import_loads_nothing_heavy(tmp_path):
    code = "import sys, hwzo; print(*sys.modules)"
    done = run("-W", "error", "-c", code, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert "hwzo" in loaded
    assert not loaded & set(BANNED)


def test_public_names_are_there():
    import hwzo

    assert hwzo.__all__
    for name in hwzo.__all__:
        assert getattr(hwzo, name) is not None


def test_wheel_holds_the_two_packages_and_nothing_else(tmp_path):
    with build_wheel(ROOT, tmp_path) as wheel:
        names = wheel.namelist()
        (info,) = {name.partition("/")[0] for name in names} - {"hwzo", "hwzo_backends"}
        assert info.endswith(".dist-info")
        for package, folder in (("hwzo", ROOT / "hwzo"), ("hwzo_backends", ROOT / "backends" / "hwzo_backends")):
            sources = {f"{package}/{p.relative_to(folder).as_posix()}" for p in folder.rglob("*.py")}
            assert sources <= set(names)
            assert f"{package}/py.typed" in names
        entry_points = wheel.read(f"{info}/entry_points.txt").decode()
        assert "crossbar = hwzo_backends.crossbar:BACKEND" in entry_points
        assert f"{info}/licenses/LICENSE" in names


STRANGER = '''
"""A chip of somebody else's: a network with exact weights, which answers with a loss and nothing more."""

import numpy as np

from hwzo.device import Capabilities, DeviceInfo
from hwzo.directions import directions
from hwzo.errors import CapabilityError, ConfigError
from hwzo.network import Network, sample_losses
from hwzo.probes import Cost, Readings
from hwzo.registry import Listing


class Chip:
    def __init__(self, url, network):
        self.network = network
        self.parameters = network.parameter_spec(window=4.0)
        self.info = DeviceInfo(str(url), "stranger:chip", "1", "none", emulated=True)
        self.capabilities = Capabilities(laws=frozenset({"rademacher"}), network=network, deterministic=True)
        self.theta = np.zeros(self.parameters.size)

    def program(self, theta, *, mask=None):
        theta = self.parameters.check(theta)
        mask = np.ones(len(theta), dtype=bool) if mask is None else mask
        self.theta = np.where(mask, theta, self.theta)
        return Cost(cell_writes=int(mask.sum()))

    def measure(self, probes, batch):
        if probes.want != "loss":
            raise CapabilityError(f"stranger:chip reads back a loss only, not {probes.want}")
        if probes.law not in self.capabilities.laws:
            raise CapabilityError(f"stranger:chip can't do {probes.law}; it can do rademacher")
        rows = directions(
            probes.law, self.parameters, key=probes.key, step=probes.step, counters=probes.counters
        )
        losses = [
            sample_losses(self.network.forward(theta, batch.inputs)[-1], batch.targets, batch.loss).mean()
            for theta in self.theta + probes.scales[:, None] * rows
        ]
        return Readings(np.array(losses), cost=Cost(reads=len(probes) * len(batch), device_seconds=1e-6 * len(probes)))

    def apply(self, update):
        return self.program(update.target, mask=update.step != 0)

    def read(self, repeats=1):
        raise CapabilityError("stranger:chip reads back a loss only")

    def close(self):
        pass


class Backend:
    def open(self, url, *, network, window, seed):
        if url.target != "chip":
            raise ConfigError(f"stranger:{url.target} is not known; stranger:chip is", key="device")
        return Chip(url, network or Network((2, 2, 1)))

    def listings(self):
        return [Listing("stranger:chip", emulated=True, available=True, reason="a test")]

    def lock_name(self, url):
        return None


BACKEND = Backend()
'''


@pytest.fixture(scope="module")
def stranger(tmp_path_factory) -> Path:
    """A folder to import from, in which somebody else's distribution with a backend of its own is installed."""
    project = tmp_path_factory.mktemp("stranger")
    (project / "stranger_chip.py").write_text(STRANGER, encoding="utf-8")
    (project / "pyproject.toml").write_text(
        dedent("""
            [build-system]
            requires = ["hatchling"]
            build-backend = "hatchling.build"

            [project]
            name = "stranger-chip"
            version = "1.0"
            dependencies = ["hwzo"]

            [project.entry-points."hwzo.backends"]
            stranger = "stranger_chip:BACKEND"

            [tool.hatch.build.targets.wheel]
            only-include = ["stranger_chip.py"]
        """),
        encoding="utf-8",
    )
    site = tmp_path_factory.mktemp("site")
    # Unpacking is all that installing a wheel of pure Python into a folder does.
    with build_wheel(project, project / "dist") as wheel:
        wheel.extractall(site)
    return site


def test_a_strangers_backend_is_listed(stranger, tmp_path):
    done = hwzo("devices", "--json", cwd=tmp_path, path=stranger)
    assert done.returncode == 0, done.stderr
    lines = {line["url"]: line for line in json.loads(done.stdout)["devices"]}
    chip = lines["stranger:chip"]
    assert chip["backend"] == "stranger"
    assert chip["available"] is True
    assert any(url.startswith("crossbar:") for url in lines)


def test_a_strangers_backend_trains(stranger, tmp_path):
    words = ["train", "--device", "stranger:chip", "--task", "nist7x7", "--seed", "0", "--json"]
    done = hwzo(*words, "--budget", "3000 evaluations", cwd=tmp_path, path=stranger)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["device"].startswith("stranger:chip")
    assert result["exploration"] == "commanded"  # nothing else is left to a chip that answers with a loss
    assert 0 < result["commanded_probes"] <= result["evaluations"] <= 3000
    assert result["loss"] < 0.5 * math.log(4)  # guessing among its four letters costs log 4
    assert result["test_accuracy"] is None


def test_a_strangers_own_refusal_reaches_the_user(stranger, tmp_path):
    done = hwzo("train", "--device", "stranger:disc", "--task", "xor", "--json", cwd=tmp_path, path=stranger)
    assert done.returncode == 2
    assert "stranger:chip" in done.stderr
    assert "Traceback" not in done.stderr


def test_without_the_stranger_the_url_is_refused(tmp_path):
    done = hwzo("train", "--device", "stranger:chip", "--task", "xor", "--json", cwd=tmp_path)
    assert done.returncode == 2
    assert "stranger" in done.stderr
    assert "crossbar" in done.stderr
