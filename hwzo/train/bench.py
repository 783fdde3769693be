"""What a run stands on: a task, a device that fits it, and the seeds that follow from the run's."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version

import numpy as np

from hwzo.data.catalogue import load_task
from hwzo.data.sampler import Sampler
from hwzo.data.task import Task
from hwzo.device import Device
from hwzo.errors import ConfigError
from hwzo.methods.method import Method, Start
from hwzo.methods.registry import method_named
from hwzo.network import Network
from hwzo.parameters import Array
from hwzo.registry import connect
from hwzo.train.config import TrainConfig
from hwzo.train.guard import GuardedDevice


@dataclass
class Bench:
    """A task, a device that fits it, and who has to close it."""

    task: Task
    device: GuardedDevice
    ours: bool

    def close(self) -> None:
        """Close the device, if it was opened here; see `GuardedDevice.leave`."""
        self.device.leave(ours=self.ours)


def open_bench(config: TrainConfig, task: Task | None, device: Device | None, url: str | None = None) -> Bench:
    """Load the task and open the device that a configuration names, or take the objects given.

    Raises:
        ConfigError: the network doesn't fit the task.
        DeviceError: the device can't be opened.
    """
    task = task if task is not None else load_task(config.task)
    network = task.network
    if config.layers is not None or config.activation is not None:
        network = Network.parse(config.layers or network.label, config.activation or network.activation)
    if len(network.layers) > len(task.train):
        raise ConfigError(
            f"layers = {network.label!r}: {len(network.layers)} layers for {len(task.train)} training samples",
            key="layers",
        )
    _check_fit(network, task)
    opened = device
    if opened is None:
        opened = connect(url or config.device, network=network, window=task.window, seed=device_seed(config.seed))
    bench = Bench(task, GuardedDevice(opened, config.timeout_s), device is None)
    try:
        if bench.device.capabilities.network is not None:
            _check_fit(bench.device.capabilities.network, task)
        return bench
    except BaseException:
        bench.close()
        raise


def _check_fit(network: Network, task: Task) -> None:
    needs = (task.network.layers[0], task.network.layers[-1])
    if (network.layers[0], network.layers[-1]) != needs:
        raise ConfigError(
            f"layers = {network.label!r} does not fit task {task.name!r}, which has {needs[0]} inputs and {needs[1]} "
            f"outputs (it suggests {task.network.label!r})",
            key="layers",
        )


def device_seed(seed: int) -> int:
    """Of an emulated device whose URL sets none, from the run's."""
    return int(np.random.SeedSequence([seed, 1]).generate_state(1)[0])


def fresh_parameters(device: Device, seed: int) -> Array:
    """A draw of the parameters (n_params,) that a run with that seed starts from."""
    return device.parameters.initial(np.random.default_rng(np.random.SeedSequence([seed, 3])))


def key_of(config: TrainConfig) -> int:
    """The run's 64-bit key for commanded directions."""
    return int(np.random.SeedSequence([config.seed, 2]).generate_state(1, np.uint64)[0])


def start_of(
    config: TrainConfig, task: Task, device: Device, theta: Array, measured: Mapping[str, float] | None = None
) -> Start:
    """Where the run's method is built: with the minibatch of step 0 to measure on.

    Args:
        config: the run's, with its batch.
        task: what is learnt.
        device: holds ``theta``.
        theta: (n_params,) weight units.
        measured: what needn't be measured again; None: nothing is known.
    """
    batch = Sampler(task.batch("train"), config.batch or 1, config.seed).at(0)
    return Start(device, theta, batch, key_of(config), dict(measured or {}))


def rebuilt(config: TrainConfig, start: Start, measured: Mapping[str, float]) -> Method:
    """The run's method, built again; a probe size that was ``measured`` is left to what is known of it by now."""
    settings = replace(config.settings, scale=None) if "probe_size" in measured else config.settings
    return method_named(config.method).build(settings, start)


def about(bench: Bench, method: Method, measured: Mapping[str, float]) -> dict[str, Mapping[str, object]]:
    """What is written down of a run beside its configuration."""
    info, task, network = bench.device.info, bench.task, bench.device.capabilities.network
    return {
        "versions": {"python": platform.python_version(), "numpy": np.__version__, "hwzo": version("hwzo")},
        "device": {
            "url": info.url,
            "model": info.model,
            "serial": info.serial,
            "firmware": info.firmware,
            "emulated": info.emulated,
            "n_parameters": bench.device.parameters.size,
            "layers": network.label if network else "",
        },
        "task": {
            "name": task.name,
            "source": task.source,
            "train": len(task.train),
            "validation": len(task.validation),
            "test": len(task.test),
        },
        "method": {"exploration": method.exploration, "reason": method.reason, "measured": dict(measured)},
    }
