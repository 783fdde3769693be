"""Weights, a device that they fit, and how they are to be put into it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hwzo.data.catalogue import load_task
from hwzo.data.task import Task
from hwzo.deploy.bundle import read_bundle
from hwzo.deploy.closed_loop import MOST_WRITES
from hwzo.deploy.sources import load_source
from hwzo.device import Device
from hwzo.errors import CapabilityError, ConfigError
from hwzo.network import Network
from hwzo.parameters import Array, ParameterSpec
from hwzo.registry import connect
from hwzo.say import Say
from hwzo.train.bench import device_seed
from hwzo.train.budget import Budget
from hwzo.train.evaluate import check_fit
from hwzo.train.guard import GuardedDevice
from hwzo.train.run import load_run
from hwzo.train.weights import Weights

METHOD = "intrinsic"
"""Of a touch-up."""


@dataclass(frozen=True)
class TouchUp:
    """How a device is touched up.

    Args:
        budget: such as ``"2000 evaluations"``.
        method: a method's name.
        rate: of its update; None: the method's own. Smaller and larger ones did no better on validation (0.005 and 0.02
            against 0.01, on pcm with 5% stuck cells and on reram-wan, four chips each).
        seed: of the order of the samples.
    """

    budget: str
    method: str = METHOD
    rate: float | None = None
    seed: int = 0


@dataclass(frozen=True)
class Settings:
    """How a deployment is done.

    Args:
        tolerance: weight units of the device; None: three standard deviations of what can't be helped.
        touch_up: what it may spend, and how it learns; None: none.
        gains, orders: whether the mapping uses columns' gains, and reorders hidden units around stuck cells.
        clip: whether weights outside what the device can hold are moved into it.
        most_writes: of one cell, by program and verify.
        seed: of an emulated device whose URL sets none, of which cells are looked at, and of the touch-up.
    """

    tolerance: float | None = None
    touch_up: TouchUp | None = None
    gains: bool = True
    orders: bool = True
    clip: bool = False
    most_writes: int = MOST_WRITES
    seed: int = 0

    def check(self) -> Settings:
        """These settings, if they can be used.

        Raises:
            ConfigError: names the key and what is allowed.
        """
        value = self.tolerance
        if value is not None and (isinstance(value, bool) or not (math.isfinite(value) and value > 0.0)):
            raise ConfigError(f"tolerance = {value!r} must be above 0 and finite, in weight units", key="tolerance")
        if isinstance(self.most_writes, bool) or not 1 <= self.most_writes <= 10_000:
            raise ConfigError(f"most_writes = {self.most_writes!r} must be from 1 to 10000", key="most_writes")
        if isinstance(self.seed, bool) or not 0 <= self.seed < 2**32:
            raise ConfigError(f"seed = {self.seed!r} must be a whole number from 0 to 4294967295", key="seed")
        if self.touch_up is not None:
            Budget.parse(self.touch_up.budget)
        return self


@dataclass
class Stand:
    """Weights, and a device that they fit.

    Args:
        weights: to be deployed.
        guard: the device.
        task: theirs; None if nobody knows.
        ours: whether the device was opened here.
        probes: (samples, n_in) inputs of the source's own probe set; None if it has none.
        learned_accuracy: validation accuracy of the run that learned the weights; None if nobody knows.
    """

    weights: Weights
    guard: GuardedDevice
    task: Task | None
    ours: bool
    probes: Array | None = None
    learned_accuracy: float | None = None

    def close(self) -> None:
        """Close the device, if it was opened here; see `GuardedDevice.leave`."""
        self.guard.leave(ours=self.ours)


def open_for(
    source: object,
    device: str | Device | None,
    task: str | Task | None,
    seed: int,
    say: Say,
    *,
    layers: str | None = None,
    activation: str | None = None,
) -> Stand:
    """Load weights and open a device that they fit.

    Raises:
        ConfigError: they don't; shows both.
        CapabilityError: the device doesn't read back its weights.
    """
    named = task.name if isinstance(task, Task) else task
    weights = load_source(source, task=named, layers=layers, activation=activation, say=say)
    if not np.isfinite(weights.theta).all():
        raise ConfigError("the weights hold a number that is not finite; nothing was written", key="source")
    probes, learned = None, None
    if isinstance(source, str | Path):
        if str(source).lower().endswith(".zip"):
            probes = read_bundle(source).probes.inputs
        elif Path(source).is_dir():
            result = load_run(source).result
            learned = None if result is None else result.validation_accuracy
    chosen = task if isinstance(task, Task) else _task_of(weights, named, bundled=probes is not None, say=say)
    network = Network.parse(weights.layers, weights.activation) if weights.layers else None
    if device is None and not weights.device:
        raise ConfigError("these weights don't say which device they are for; name one with --device URL", key="device")
    window = weights.window if weights.window is not None or chosen is None else chosen.window
    opened = (
        connect(device or weights.device, network=network, window=window, seed=device_seed(seed))
        if device is None or isinstance(device, str)
        else device
    )
    stand = Stand(weights, GuardedDevice(opened), chosen, opened is not device, probes, learned)
    try:
        told = str(source) if isinstance(source, str | Path) else type(source).__name__
        check_fit(weights, stand.guard, told)
        if not stand.guard.capabilities.reads_back("weights"):
            raise CapabilityError(
                f"{stand.guard.info} reads back {stand.guard.capabilities.readback!r}, not weights: what is written "
                "into it can't be verified; open it with readback=weights if it has that, or begin a training on it "
                "with these weights: hwzo train --set start=WEIGHTS"
            )
        layered = stand.guard.capabilities.network
        if chosen is not None and layered is not None:
            needs = (chosen.network.layers[0], chosen.network.layers[-1])
            if needs != (layered.layers[0], layered.layers[-1]):
                raise ConfigError(
                    f"task {chosen.name!r} has {needs[0]} inputs and {needs[1]} outputs; the weights are for "
                    f"{layered.label}",
                    key="task",
                )
        return stand
    except BaseException:
        stand.close()
        raise


def _task_of(weights: Weights, named: str | None, *, bundled: bool, say: Say) -> Task | None:
    """The task that was named, or that the weights are of; a bundle may come from where another one's file lies."""
    name = named or weights.task
    try:
        return load_task(name) if name else None
    except ConfigError as error:
        if named or not bundled:
            raise
        say(f"the bundle's task can't be loaded, so there will be no accuracies: {error}; --task names another")
        return None


def fitted(weights: Weights, bounds: ParameterSpec, *, clip: bool) -> tuple[Array, int]:
    """The weights (n,) within what the device can hold, and how many had to be moved.

    Raises:
        ConfigError: some lie outside, and ``clip`` is false.
    """
    theta = weights.theta
    inside = bounds.clip(theta)
    out = np.abs(inside - theta) > 1e-9 * np.abs(theta)
    count = int(np.count_nonzero(out))
    if count and not clip:
        worst = int(np.argmax(np.abs(inside - theta)))
        raise ConfigError(
            f"{count} of {len(theta)} weights lie outside what the device can hold, such as "
            f"{bounds.name_of(worst)} = {theta[worst]:.4g} in [{bounds.lower[worst]:.4g}, {bounds.upper[worst]:.4g}]; "
            "nothing was written; --clip moves them to the nearest it can, or widen its window (window=... in its URL)",
            key="clip",
        )
    return inside, count
