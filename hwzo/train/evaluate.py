"""Accuracy of learned weights on a device, with its spread."""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable
from pathlib import Path
from statistics import fmean, stdev

from pydantic import BaseModel, ConfigDict
from threadpoolctl import threadpool_limits  # pyright: ignore[reportMissingTypeStubs]

from hwzo.data.catalogue import load_task
from hwzo.data.task import Task
from hwzo.device import Device
from hwzo.errors import CapabilityError, ConfigError, FileError
from hwzo.network import Network, accuracy
from hwzo.probes import Probes
from hwzo.registry import connect
from hwzo.train.folder import RunFolder
from hwzo.train.guard import GuardedDevice
from hwzo.train.weights import Weights

MOST_REPEATS = 100_000


class Evaluation(BaseModel):
    """What ``hwzo evaluate --json`` prints.

    Args:
        device: URL.
        emulated: True if no hardware was involved.
        task: whose test split was read.
        samples: how many there are.
        accuracy: mean over the repeats.
        accuracy_standard_error: of that mean: how the device's noise, of writing and of reading, moves it; the split's
            finite size is not in it. None with one repeat.
        repeats: how often the device was programmed and the whole split read.
        loss: mean over the repeats.
    """

    model_config = ConfigDict(frozen=True)

    device: str
    emulated: bool
    task: str
    samples: int
    accuracy: float
    accuracy_standard_error: float | None
    repeats: int
    loss: float


Watch = Callable[[int, int], None]
"""Is told how many repeats are done, and of how many."""


def evaluate(
    path: Path,
    device: str | Device | None = None,
    *,
    task: str | Task | None = None,
    repeats: int = 10,
    watch: Watch = lambda done, of: None,
) -> Evaluation:
    """Program weights into a device and read the test split, ``repeats`` times over.

    Args:
        path: a run's folder, or a weights file.
        device: URL or open device; None: the one that the weights were learned on.
        task: None: the one that the weights were learned for.
        repeats: 1 to 100,000.
        watch: see `Watch`.

    Raises:
        FileError: no weights there.
        ConfigError: weights of another architecture, or outside the device's window; both are shown.
        CapabilityError: the device gives a loss only.
    """
    if not 1 <= repeats <= MOST_REPEATS:
        raise ConfigError(f"repeats = {repeats} must be from 1 to {MOST_REPEATS}", key="repeats")
    weights = load_weights(path)
    chosen = task if isinstance(task, Task) else load_task(task or weights.task)
    network = Network.parse(weights.layers, weights.activation) if weights.layers else None
    opened = (
        device
        if device is not None and not isinstance(device, str)
        else connect(device or weights.device, network=network, window=weights.window, seed=0)
    )
    guard = GuardedDevice(opened)
    try:
        check_fit(weights, guard, str(path))
        if not guard.gives_outputs:
            raise CapabilityError(f"{guard.info} gives a loss only: an accuracy needs outputs that are read back")
        batch, layered = chosen.batch("test"), guard.capabilities.network
        if layered is not None and layered.layers[0] != batch.inputs.shape[1]:
            raise ConfigError(
                f"task {chosen.name!r} has {batch.inputs.shape[1]} inputs, weights {path} are for {layered.label}",
                key="task",
            )
        with threadpool_limits(1):
            right, losses = list[float](), list[float]()
            for done in range(repeats):
                watch(done, repeats)
                guard.program(weights.theta)
                readings = guard.measure(Probes.plain(want="outputs"), batch)
                if readings.outputs is None:
                    raise CapabilityError(f"{guard.info} did not return the outputs that it declares")
                right.append(float(accuracy(readings.outputs[0], batch.targets, batch.loss)))
                losses.append(float(readings.losses[0]))
        return Evaluation(
            device=guard.info.url,
            emulated=guard.info.emulated,
            task=chosen.name,
            samples=len(batch),
            accuracy=fmean(right),
            accuracy_standard_error=stdev(right) / math.sqrt(repeats) if repeats > 1 else None,
            repeats=repeats,
            loss=fmean(losses),
        )
    finally:
        guard.leave(ours=opened is not device)


def load_weights(path: Path) -> Weights:
    """Weights from a run's folder or a weights file.

    Raises:
        FileError: neither is there.
    """
    try:
        is_folder, exists = path.is_dir(), path.exists()
    except OSError as error:
        raise FileError(f"{path} can't be looked at: {error.strerror or error}") from error
    if is_folder:
        folder = RunFolder(path)
        folder.description()  # says so if it isn't a run's folder
        if not folder.weights.is_file():
            raise FileError(
                f"run {path} isn't finished, so it has no weights; finish it with "
                f"hwzo train --run {shlex.quote(str(path))} --resume, or "
                f"rebuild them with hwzo replay {shlex.quote(str(path))} -o weights.safetensors"
            )
        return Weights.load(folder.weights)
    if not exists:
        raise FileError(f"{path} does not exist; expected a run's folder or a weights file (.safetensors)")
    return Weights.load(path)


def check_fit(weights: Weights, device: Device, path: str) -> None:
    """Weights and device are of one architecture.

    Raises:
        ConfigError: they aren't; both are shown.
    """
    mine, other = ({t.name: t.shape for t in spec.tensors} for spec in (weights.parameters, device.parameters))
    layered = device.capabilities.network
    if mine != other:
        theirs, its = (
            f"{label}, {spec.size} weights" if label else f"a black box of {spec.size} parameters"
            for label, spec in (
                (weights.layers, weights.parameters),
                (layered.label if layered is not None else "", device.parameters),
            )
        )
        raise ConfigError(f"weights {path} do not fit {device.info}: they are of {theirs}; the device is {its}")
    if weights.layers and layered is not None and layered.label != weights.layers:  # their weights look alike
        raise ConfigError(
            f"weights {path} are for the network {weights.layers}, {device.info} is {layered.label}", key="layers"
        )
