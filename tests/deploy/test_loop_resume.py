"""A deployment that is cut off at any moment goes on, and no cell is written more often than it may."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import hwzo
from hwzo.deploy.deploying import deploy
from hwzo.deploy.deployment import Deployment
from hwzo.device import Device, Update
from hwzo.errors import ConfigError, DeviceError, FileError, MeasurementError
from hwzo.network import Network
from hwzo.parameters import Array
from hwzo.probes import Batch, Cost, Probes, Readings
from hwzo.testing.faulty import FaultyDevice
from hwzo.train.weights import Weights

LAYERS = "12-8-4"
URL = f"crossbar:pcm?layers={LAYERS}&stuck=0.05&seed=4&engine=numpy"
MOST = 10


def weights(seed: int = 3, layers: str = LAYERS, task: str = "") -> Weights:
    spec = Network.parse(layers).parameter_spec(1.0)
    theta = np.clip(np.random.default_rng(seed).normal(0.0, 0.3, spec.size), -1.0, 1.0)
    return Weights(theta, spec, task, layers, "tanh", 1.0, URL, True)


class PowerCut(BaseException):
    """Nothing that anybody handles."""


class Hardware:
    """An emulated device that plays hardware: it can't be put back, and power is cut at one of its calls.

    Args:
        device: does the work.
        cut: number of the call at which power is cut; the first is 1; 0: never.
        after: whether the call was carried out before.
    """

    def __init__(self, device: Device, cut: int = 0, *, after: bool = False) -> None:
        self.device, self.cut, self.after = device, cut, after
        self.info = replace(device.info, emulated=False)
        self.capabilities = replace(device.capabilities, snapshot=False)
        self.parameters = device.parameters
        self.calls = 0
        self.writes = np.zeros(device.parameters.size, dtype=np.int64)

    def _call(self, act: Any) -> Any:
        self.calls += 1
        if self.calls == self.cut and not self.after:
            raise PowerCut
        answer = act()
        if self.calls == self.cut:
            raise PowerCut
        return answer

    def program(self, theta: Array, *, mask: NDArray[np.bool_] | None = None) -> Cost:
        def act() -> Cost:
            self.writes[mask if mask is not None else slice(None)] += 1
            return self.device.program(theta, mask=mask)

        return self._call(act)

    def measure(self, probes: Probes, batch: Batch) -> Readings:
        return self._call(lambda: self.device.measure(probes, batch))

    def apply(self, update: Update) -> Cost:
        return self._call(lambda: self.device.apply(update))

    def read(self, repeats: int = 1) -> Array:
        return self._call(lambda: self.device.read(repeats))

    @property
    def gains(self) -> Array:
        return self.device.gains  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType, reportUnknownVariableType]

    def set_gains(self, gains: Array) -> None:
        self.device.set_gains(gains)  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]

    def close(self) -> None:
        self.device.close()


@pytest.mark.parametrize("after", [False, True])
def test_hardware_that_is_cut_off_at_any_call_ends_verified_and_within_its_budget(after: bool, tmp_path: Path) -> None:
    whole = Hardware(hwzo.connect(URL))
    deploy(weights(), whole, output=tmp_path / "whole.h5", most_writes=MOST)
    assert whole.calls > 8
    for cut in range(1 + after, whole.calls + 1, 6):
        device, output = Hardware(hwzo.connect(URL), cut, after=after), tmp_path / f"{cut}.h5"
        with pytest.raises(PowerCut):
            deploy(weights(), device, output=output, most_writes=MOST)
        assert not output.exists()
        done = deploy(weights(), device, output=output, most_writes=MOST)
        assert (device.writes <= done.written.writes).all()  # in doubt a write counts
        assert done.written.writes.max() <= MOST
        healthy = done.written.healthy
        # 141 healthy cells, and a write in doubt that took one of a cell's: two of them may miss.
        assert done.result.cells_within_tolerance >= healthy.sum() - 2
        assert not (tmp_path / f"{cut}.h5.part").exists()


@pytest.mark.parametrize("cut", [1, 2, 3])
def test_gains_are_measured_again_after_power_failed_meanwhile(cut: int, tmp_path: Path) -> None:
    """The first calls are of choosing a mapping, which writes one column of 13 cells twice."""
    device, output, told = Hardware(hwzo.connect(URL), cut, after=True), tmp_path / "d.h5", list[str]()
    with pytest.raises(PowerCut):
        deploy(weights(), device, output=output)
    before = device.writes.copy()
    done = deploy(weights(), device, output=output, say=told.append)
    assert not any("assumed noise" in text for text in told)
    assert before.sum() in (13, 26)
    assert (device.writes <= done.written.writes).all()
    # In doubt, two writes of that column's cells count, and none of any other's.
    more = done.written.writes - device.writes
    assert set(np.flatnonzero(more)) <= set(np.flatnonzero(before))
    assert more.max() <= 2


def test_power_that_fails_again_and_again_never_takes_a_cell_beyond_its_budget(tmp_path: Path) -> None:
    device, output = Hardware(hwzo.connect(URL)), tmp_path / "d.h5"
    rng = np.random.default_rng(1)
    done = None
    for _ in range(60):
        device.calls, device.cut, device.after = 0, int(rng.integers(1, 5)), bool(rng.integers(2))
        try:
            done = deploy(weights(), device, output=output, most_writes=MOST)
            break
        except PowerCut:
            continue
        except ConfigError:  # no writes are left to look at the noise with
            break
        finally:
            assert device.writes.max() <= MOST
    if done is not None:
        assert done.written.writes.max() <= MOST


def same(a: Deployment, b: Deployment) -> bool:
    arrays = [(x.targets, x.written.asked, x.written.reached, x.written.writes, x.written.state) for x in (a, b)]
    return all(np.array_equal(x, y) for x, y in zip(*arrays, strict=True)) and a.snapshot == b.snapshot


def test_an_emulated_device_ends_with_the_same_bytes(tmp_path: Path) -> None:
    whole = deploy(weights(), URL, output=tmp_path / "whole.h5")
    for after in range(1, 4):
        output = tmp_path / f"{after}.h5"
        with pytest.raises(DeviceError, match="lost"):
            deploy(weights(), FaultyDevice(hwzo.connect(URL), after=after), output=output)
        done = deploy(weights(), URL, output=output)
        assert same(done, whole)
        assert done.result.cell_writes == whole.result.cell_writes


SCRIPT = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from test_loop_resume import weights
from hwzo.deploy.deploying import deploy
print("ready", flush=True)
deploy(weights(), sys.argv[2], output=Path(sys.argv[1]))
print("done", flush=True)
"""


def test_killed_at_random_moments_it_ends_with_the_same_bytes(tmp_path: Path) -> None:
    whole = deploy(weights(), URL, output=tmp_path / "whole.h5")
    rng = np.random.default_rng(2)
    output = tmp_path / "killed.h5"
    arguments = [sys.executable, "-c", SCRIPT, str(output), URL, str(Path(__file__).parent)]
    for _ in range(2):
        process = subprocess.Popen(
            arguments,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
        )
        assert process.stdout is not None
        with process, process.stdout:
            assert process.stdout.readline() == b"ready\n"
            time.sleep(float(rng.uniform(0.0, 0.25)))
            process.send_signal(signal.SIGKILL)
        if output.exists():
            break
    done = Deployment.load(output) if output.exists() else deploy(weights(), URL, output=output)
    assert same(done, whole)


def test_other_arguments_than_those_it_began_with_are_refused(tmp_path: Path) -> None:
    output = tmp_path / "d.h5"
    with pytest.raises(DeviceError):
        deploy(weights(), FaultyDevice(hwzo.connect(URL), after=1), output=output)
    with pytest.raises(ConfigError, match="unfinished deployment with most_writes = 10"):
        deploy(weights(), URL, output=output, most_writes=9)
    with pytest.raises(ConfigError, match="source"):
        deploy(weights(seed=9), URL, output=output)
    assert deploy(weights(), URL, output=output).result.cells > 0


def test_a_damaged_journal_is_told_of(tmp_path: Path) -> None:
    output = tmp_path / "d.h5"
    with pytest.raises(DeviceError):
        deploy(weights(), FaultyDevice(hwzo.connect(URL), after=1), output=output)
    journal = tmp_path / "d.h5.part" / "journal.sqlite"
    journal.write_bytes(b"nothing that SQLite knows" * 100)
    with pytest.raises(FileError, match="remove the folder"):
        deploy(weights(), URL, output=output)


class NaNReads(Hardware):
    def read(self, repeats: int = 1) -> Array:
        return super().read(repeats) * np.nan


def test_a_device_that_answers_nan_ends_it_and_it_goes_on(tmp_path: Path) -> None:
    output = tmp_path / "d.h5"
    with pytest.raises(MeasurementError):
        deploy(weights(), NaNReads(hwzo.connect(URL)), output=output)
    assert deploy(weights(), Hardware(hwzo.connect(URL)), output=output).result.cells > 0
