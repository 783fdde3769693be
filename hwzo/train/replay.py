"""Rebuilding the weights of any step of a run, and saying how."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from threadpoolctl import threadpool_limits  # pyright: ignore[reportMissingTypeStubs]

from hwzo.data.task import Task
from hwzo.device import Device
from hwzo.errors import ConfigError, FileError
from hwzo.parameters import Array, parameters_crc32
from hwzo.train.bench import open_bench, rebuilt, start_of
from hwzo.train.folder import RunFolder
from hwzo.train.journal import Journal
from hwzo.train.lookout import lookout_of
from hwzo.train.loop import Loop
from hwzo.train.weights import Weights

How = Literal["seeds and losses", "a rerun on the emulated device", "stored step vectors"]


@dataclass(frozen=True)
class Replay:
    """Rebuilt weights.

    Args:
        run: the run's folder.
        step: how many steps were taken; the weights are those after them.
        weights: the parameters and what they belong to.
        how: from seeds and losses (a commanded run), by rerunning the emulated device, or from stored step vectors.
        parameters_crc32: CRC-32 of the parameters as little-endian float64.
    """

    run: str
    step: int
    weights: Weights
    how: How
    parameters_crc32: int


def replay(
    path: str | Path, step: int | None = None, *, task: Task | None = None, device: Device | None = None
) -> Replay:
    """The weights after ``step`` steps of a run; None: after the last finished one.

    Args:
        path: the run's folder, which isn't changed.
        step: 0 is the start.
        task, device: where the run was made with objects instead of names.

    Raises:
        ConfigError: the run has no such step.
        FileError: the run is damaged.
    """
    folder = RunFolder(Path(path))
    journal = Journal(folder.journal, read_only=True)
    try:
        with threadpool_limits(1):  # as in the run itself
            return _replayed(folder, journal, step, task, device)
    finally:
        journal.close()


def _replayed(
    folder: RunFolder, journal: Journal, step: int | None, task: Task | None, device: Device | None
) -> Replay:
    config, url = folder.config(), folder.device_url()
    last = journal.last_done()
    taken = 0 if last is None else last + 1
    wanted = taken if step is None else step
    if not 0 <= wanted <= taken:
        raise ConfigError(f"step = {wanted}: run {folder.path} has steps 0 to {taken}", key="step")
    at, _ = folder.latest(wanted)
    bench = open_bench(config, task, device, url)
    try:
        guard = bench.device
        method = rebuilt(config, start_of(config, bench.task, guard, at.theta, at.measured), at.measured)
        theta: Array
        how: How
        if method.regenerable or guard.emulation is None:
            how = "seeds and losses" if method.regenerable else "stored step vectors"
            theta, state = at.theta, at.state
            count = 0
            for record in journal.records(at.t, wanted):
                theta, state = method.replay(theta, state, record)
                count += 1
            if count != wanted - at.t:
                raise FileError(f"journal {folder.journal} lacks {wanted - at.t - count} steps before step {wanted}")
        else:
            how = "a rerun on the emulated device"
            guard.emulation.restore(at.snapshot)
            known = {record.t: record for record in journal.records(at.t, wanted)}
            lookout = lookout_of(config, folder, bench, at.t)
            loop = Loop(config, folder, journal, bench.task, guard, method, at, known, lookout=lookout)
            theta = loop.train_to(wanted).theta
        weights = Weights.learned(theta, guard, config.task)
        return Replay(str(folder.path), wanted, weights, how, parameters_crc32(theta))
    finally:
        bench.close()
