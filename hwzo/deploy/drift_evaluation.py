"""Accuracy of learned weights while an emulated device ages: with compensation, and without."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Literal, NamedTuple, get_args

import numpy as np
from pydantic import BaseModel, ConfigDict
from threadpoolctl import threadpool_limits  # pyright: ignore[reportMissingTypeStubs]

from hwzo.data.catalogue import load_task
from hwzo.data.task import Task
from hwzo.deploy.deployment import Deployment
from hwzo.deploy.drift import Reference, compensate, refresh
from hwzo.deploy.drift_ages import parse_ages
from hwzo.deploy.mapped import MappedDevice
from hwzo.deploy.mapping import Mapping
from hwzo.deploy.sources import load_source
from hwzo.device import Device
from hwzo.errors import CapabilityError, ConfigError
from hwzo.network import Network, accuracy
from hwzo.probes import Batch, Probes
from hwzo.registry import connect
from hwzo.say import Say
from hwzo.train.evaluate import MOST_REPEATS, Watch, check_fit
from hwzo.train.guard import GuardedDevice
from hwzo.train.weights import Weights

Compensation = Literal["off", "global", "layer", "refresh"]
AGES = "1 s, 1 h, 1 d, 30 d"
TOLERANCE = 0.05
"""What a refresh lets a cell move by where no deployment says it, as a share of the window."""


class AgedAccuracy(BaseModel):
    """Accuracy at one age.

    Args:
        seconds: since programming.
        accuracy: mean over the repeats, with the compensation that was asked for.
        accuracy_standard_error: of that mean; None with one repeat.
        repeats: how often the device was programmed.
        loss: mean over the repeats.
        accuracy_without: mean of the accuracy right before compensating; the same where nothing was compensated.
        accuracy_without_standard_error: of that mean.
        factors: mean factor of the gains, a layer each, since programming; all 1 without gains.
        cells_written: mean number of cells that were refreshed at this age.
    """

    model_config = ConfigDict(frozen=True)

    seconds: float
    accuracy: float
    accuracy_standard_error: float | None
    repeats: int
    loss: float
    accuracy_without: float
    accuracy_without_standard_error: float | None
    factors: list[float]
    cells_written: float


class Aging(BaseModel):
    """What ``hwzo evaluate --at --json`` prints.

    Args:
        device: URL.
        emulated: True: only an emulated device's time can pass at will.
        task: whose test split was read.
        samples: how many there are.
        repeats: how often the device was programmed, and aged.
        compensate: what was done at each age, see `evaluate_at`.
        points: an age each, rising.
    """

    model_config = ConfigDict(frozen=True)

    device: str
    emulated: bool
    task: str
    samples: int
    repeats: int
    compensate: Compensation
    points: list[AgedAccuracy]


@dataclass(frozen=True, eq=False)
class _Held:
    """Weights, and how a device shall hold them."""

    weights: Weights
    device: MappedDevice
    tolerance: float


class _Seen(NamedTuple):
    """One repeat at one age: accuracy and loss in the end, accuracy before compensating, factors, cells refreshed."""

    accuracy: float
    loss: float
    without: float
    factors: list[float]
    cells: int


def evaluate_at(
    source: object,
    device: str | Device | None = None,
    *,
    at: str | Iterable[str | float] = AGES,
    compensation: Compensation = "layer",
    task: str | Task | None = None,
    repeats: int = 10,
    watch: Watch = lambda done, of: None,
    say: Say = lambda text: None,
) -> Aging:
    """Program weights into an emulated device, let time pass, and read the test split at each age, ``repeats`` times.

    Args:
        source: a deployment (``.h5``), which keeps its mapping; or a run, a bundle or weights, see
            `hwzo.deploy.sources.load_source`, which are written as they are.
        device: URL or open device; None: the one of the source.
        at: ages since programming, see `hwzo.deploy.drift_ages.parse_ages`.
        compensation: at each age: ``off``: nothing; ``global``, ``layer``: gains, see `hwzo.deploy.drift.compensate`;
            ``refresh``: what has moved beyond the deployment's tolerance is written again.
        task: None: the one that the weights were learned for.
        repeats: 1 to 100,000.
        watch: see `hwzo.train.evaluate.Watch`.
        say: is told what a user should know.

    Raises:
        FileError: no weights there.
        ConfigError: ages or options that can't be; weights that don't fit the device.
        CapabilityError: a device that isn't emulated, one without gains, or one that gives a loss only.
    """
    ages = parse_ages(at)
    if compensation not in get_args(Compensation):
        allowed = ", ".join(get_args(Compensation))
        raise ConfigError(f"compensate = {compensation!r} is not one of {allowed}", key="compensate")
    if not 1 <= repeats <= MOST_REPEATS:
        raise ConfigError(f"repeats = {repeats} must be from 1 to {MOST_REPEATS}", key="repeats")
    held, ours = _open(source, device, task, say)
    guard = held.device.device
    assert isinstance(guard, GuardedDevice)
    try:
        chosen = task if isinstance(task, Task) else load_task(task or held.weights.task)
        batch = chosen.batch("test")
        _check(guard, ages, compensation, batch)
        with threadpool_limits(1):
            rows: list[list[_Seen]] = []
            for done in range(repeats):
                watch(done, repeats)
                rows.append(_aged(held, guard, ages, compensation, batch))
    finally:
        guard.leave(ours=ours)
    return Aging(
        device=guard.info.url,
        emulated=guard.info.emulated,
        task=chosen.name,
        samples=len(batch),
        repeats=repeats,
        compensate=compensation,
        points=[_point(age, [row[index] for row in rows]) for index, age in enumerate(ages)],
    )


def _open(source: object, device: str | Device | None, task: str | Task | None, say: Say) -> tuple[_Held, bool]:
    """The source's weights, on a device; and whether that was opened here."""
    deployment = Deployment.load(source) if isinstance(source, str | Path) and str(source).endswith(".h5") else source
    if isinstance(deployment, Deployment):
        weights = deployment.weights
    else:
        weights = load_source(source, task=task if isinstance(task, str) else None, say=say)
    network = Network.parse(weights.layers, weights.activation) if weights.layers else None
    if isinstance(device, str) or device is None:
        opened, ours = connect(device or weights.device, network=network, window=weights.window, seed=0), True
    else:
        opened, ours = device, False
    guard = GuardedDevice(opened)
    try:
        check_fit(weights, guard, str(source))
        tolerance = TOLERANCE * float(np.min(guard.parameters.upper))
        if not isinstance(deployment, Deployment):
            return _Held(weights, MappedDevice(guard, Mapping.identity(guard)), tolerance), ours
        mapping = Mapping.from_arrays(guard, deployment.mapping)
        was = deployment.manifest["device"]
        same = (guard.info.model, guard.info.serial) == (was["model"], was["serial"])
        if not same:
            say(f"not the device of the deployment, {was['url']}: corrections of its single cells are left out")
        corrections = deployment.corrections if same else None
        return _Held(weights, MappedDevice(guard, mapping, corrections), deployment.tolerance.value), ours
    except BaseException:
        guard.leave(ours=ours)
        raise


def _check(guard: GuardedDevice, ages: tuple[float, ...], compensation: Compensation, batch: Batch) -> None:
    can = guard.capabilities
    if guard.emulation is None and ages != (0.0,):
        raise CapabilityError(
            f"{guard.info}: its time can't be made to pass; only an emulated device can be looked at after a month. "
            "Leave --at out, and come back then"
        )
    if not guard.gives_outputs:
        raise CapabilityError(f"{guard.info} gives a loss only: an accuracy needs outputs that are read back")
    if can.network is not None and can.network.layers[0] != batch.inputs.shape[1]:
        raise ConfigError(
            f"the task has {batch.inputs.shape[1]} inputs, the weights are for {can.network.label}", key="task"
        )
    if compensation in ("global", "layer") and not can.output_gains:
        raise CapabilityError(
            f"{guard.info} has no gains at its columns' outputs, which compensation needs; --compensate refresh, or off"
        )
    needed = "weights" if compensation == "refresh" else "nodes"
    if compensation != "off" and not can.reads_back(needed):
        raise CapabilityError(
            f"{guard.info} reads back {can.readback!r}; compensation by {compensation} needs {needed}: --compensate off"
        )


def _aged(
    held: _Held, guard: GuardedDevice, ages: tuple[float, ...], compensation: Compensation, batch: Batch
) -> list[_Seen]:
    """One life: programmed, then older and older."""
    device, theta = held.device, held.weights.theta
    first = device.mapping.gains
    device.forget()
    device.program(theta)
    reference = Reference.taken(device) if compensation in ("global", "layer") else None
    written, waited = guard.cost.device_seconds, 0.0
    seen: list[_Seen] = []
    for age in ages:
        rest = age - waited - (guard.cost.device_seconds - written)
        if rest > 0.0:
            device.advance(rest)
            waited += rest
        without, loss = _read(device, batch)
        accuracy_now, cells = without, 0
        if compensation == "refresh":
            cells, _ = refresh(device, theta, held.tolerance)
        elif compensation != "off":
            assert reference is not None
            compensate(device, reference, compensation)
        if compensation != "off":
            accuracy_now, loss = _read(device, batch)
        factors = [float(part.mean()) for part in device.mapping.by_layer(device.mapping.gains / first)]
        seen.append(_Seen(accuracy_now, loss, without, factors, cells))
    if guard.capabilities.output_gains:
        device.set_gains(first)
    return seen


def _read(device: MappedDevice, batch: Batch) -> tuple[float, float]:
    readings = device.measure(Probes.plain(want="outputs"), batch)
    assert readings.outputs is not None
    return float(accuracy(readings.outputs[0], batch.targets, batch.loss)), float(readings.losses[0])


def _point(age: float, seen: list[_Seen]) -> AgedAccuracy:
    right, without = ([getattr(one, name) for one in seen] for name in ("accuracy", "without"))
    return AgedAccuracy(
        seconds=age,
        accuracy=fmean(right),
        accuracy_standard_error=_error(right),
        repeats=len(seen),
        loss=fmean(one.loss for one in seen),
        accuracy_without=fmean(without),
        accuracy_without_standard_error=_error(without),
        factors=[fmean(layer) for layer in zip(*(one.factors for one in seen), strict=True)],
        cells_written=fmean(one.cells for one in seen),
    )


def _error(values: list[float]) -> float | None:
    return stdev(values) / math.sqrt(len(values)) if len(values) > 1 else None
