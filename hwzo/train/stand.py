"""What a calibration stands on: a device, samples that it is evaluated on, and the parameters that it starts from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hwzo.data.catalogue import load_task
from hwzo.data.sampler import Sampler
from hwzo.data.task import Task
from hwzo.device import Device
from hwzo.probes import Batch
from hwzo.registry import connect
from hwzo.train.bench import device_seed, open_bench
from hwzo.train.config import TrainConfig
from hwzo.train.guard import GuardedDevice

SAMPLES = 128
"""Of the minibatch that is evaluated, or as many as the device has room for."""


@dataclass(frozen=True)
class Stand:
    """An open device and its samples.

    Args:
        device: guarded.
        batch: samples of the task, or made up.
        task: its name; None: made up.
        ours: whether the device is ours to close.
    """

    device: GuardedDevice
    batch: Batch
    task: str | None
    ours: bool

    def close(self) -> None:
        """Close the device, if it was opened here; see `GuardedDevice.leave`."""
        self.device.leave(ours=self.ours)


def open_stand(device: str | Device, task: str | Task | None, seed: int) -> Stand:
    """Open a device, or take an open one.

    Args:
        device: a device URL, or an open device.
        task: whose samples are evaluated, and whose network and window a device takes on; None: random samples.
        seed: of an emulated device whose URL sets none, and of the samples.

    Raises:
        ConfigError: the network doesn't fit the task, or one of them isn't known.
        DeviceError: the device can't be opened.
    """
    if task is not None:
        url = device if isinstance(device, str) else device.info.url
        name = task if isinstance(task, str) else task.name
        config = TrainConfig.build({"task": name, "device": url, "seed": seed})
        given = task if isinstance(task, Task) else None
        bench = open_bench(config, given, None if isinstance(device, str) else device)
        return Stand(bench.device, samples_of(bench.device, bench.task, seed), name, bench.ours)
    guard = GuardedDevice(connect(device, seed=device_seed(seed)) if isinstance(device, str) else device)
    return Stand(guard, samples_of(guard, None, seed), None, isinstance(device, str))


def samples_of(device: GuardedDevice, task: str | Task | None, seed: int) -> Batch:
    """The samples that a calibration evaluates: a minibatch of a task, or made up if there is none."""
    if task is None:
        return _made_up(device, seed)
    batch = (load_task(task) if isinstance(task, str) else task).batch("train")
    return Sampler(batch, min(SAMPLES, len(batch), _room(device)), seed).at(0)


def _room(guard: GuardedDevice) -> int:
    return guard.capabilities.max_batch or SAMPLES


def _made_up(guard: GuardedDevice, seed: int) -> Batch:
    rng = np.random.default_rng([seed, 4])
    network = guard.capabilities.network
    samples = min(SAMPLES, _room(guard))
    if network is None:
        return Batch(rng.uniform(-1, 1, (samples, 1)), np.zeros(samples, dtype=np.int64))
    inputs = rng.uniform(-1, 1, (samples, network.layers[0]))
    classes = network.layers[-1]
    if classes == 1:
        return Batch(inputs, rng.integers(0, 2, (samples, 1)).astype(np.float64), "squared-error")
    return Batch(inputs, rng.integers(0, classes, samples))
