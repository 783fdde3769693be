"""A look at an emulated device as its run left it: restored from the last checkpoint, read, and thrown away.

Made for the page alone: nothing of it goes back into the run, and hardware is never touched.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # pyright: ignore[reportMissingTypeStubs]

from hwzo.data.task import Task
from hwzo.errors import CapabilityError, ConfigError
from hwzo.network import accuracy
from hwzo.parameters import Array, ParameterSpec
from hwzo.probes import Batch, Probes
from hwzo.train.bench import open_bench
from hwzo.train.checkpoint import Checkpoint
from hwzo.train.folder import RunFolder
from hwzo.train.guard import GuardedDevice
from hwzo.train.run import Run

PASSES = 32
MAX_SAMPLES = 2000
MAX_READINGS = 40_000


@dataclass(frozen=True)
class Readout:
    """What the emulated device gave back; all of it on the validation split, with the weights left alone.

    Args:
        parameters: of the device, with its bounds.
        samples: how many validation samples were shown.
        losses: (K,) mean loss of each of K passes.
        accuracies: (K,) of the same passes; None where only a loss is read back.
        nodes: a layer each, (samples, units): what two passes differ by; None where nodes aren't read back.
        weights: (n_params,) weight units: one reading minus the target; None where weights aren't read back.
        read_error: (n_params,) weight units: what two readings of the same weights differ by; likewise.
        confusion: (classes, classes) samples by true class and by class told, in one pass; None where the task has
            no classes or the device no outputs.
        class_names: of the task; may be empty.
    """

    parameters: ParameterSpec
    samples: int
    losses: Array
    accuracies: Array | None
    nodes: tuple[Array, ...] | None
    weights: Array | None
    read_error: Array | None
    confusion: NDArray[np.int64] | None
    class_names: tuple[str, ...]


def read_out(run: Run, checkpoint: Checkpoint) -> Readout:
    """Open the run's emulated device, put the checkpoint's snapshot back, and read.

    Raises:
        CapabilityError: the run was made on hardware, or left no snapshot.
        HwzoError: the task or the device can't be opened again; says why.
    """
    device = run.description.get("device")
    if not isinstance(device, dict) or cast("Mapping[str, object]", device).get("emulated") is not True:
        raise CapabilityError("the run was made on hardware, which a page never touches")
    if not checkpoint.snapshot:
        raise CapabilityError("the run's checkpoint holds no snapshot of the emulated device")
    bench = open_bench(run.config, None, None, RunFolder(run.path).device_url())
    try:
        guard = bench.device
        if guard.emulation is None or not guard.info.emulated:
            raise CapabilityError(f"{guard.info} is not an emulated device whose state can be put back")
        if guard.parameters.size != checkpoint.theta.size:
            raise ConfigError(
                f"{guard.info} has {guard.parameters.size} parameters, the run has {checkpoint.theta.size}"
            )
        guard.emulation.restore(checkpoint.snapshot)
        with threadpool_limits(1):
            return _read(guard, bench.task, checkpoint.theta)
    finally:
        bench.close()


def _read(device: GuardedDevice, task: Task, theta: Array) -> Readout:
    whole, can = task.batch("validation"), device.capabilities
    n = min(len(whole), MAX_SAMPLES)
    batch = Batch(whole.inputs[:n], whole.targets[:n], whole.loss)
    nodes = weights = read_error = accuracies = confusion = None
    if can.reads_back("nodes"):
        first, second = (device.measure(Probes.plain(want="nodes"), batch).nodes for _ in range(2))
        if first is not None and second is not None:
            nodes = tuple(a[0] - b[0] for a, b in zip(first, second, strict=True))
    if can.reads_back("weights"):
        if nodes is None:
            device.measure(Probes.plain(), batch)
        readings = device.read(2)
        weights, read_error = readings[0] - theta, readings[0] - readings[1]
    passes = max(2, min(PASSES, MAX_READINGS // n))
    seen = device.measure(Probes.plain(passes, want="outputs" if can.reads_back("outputs") else "loss"), batch)
    if seen.outputs is not None:
        accuracies = accuracy(seen.outputs, batch.targets, batch.loss)
        if batch.loss == "cross-entropy":
            confusion = np.zeros((seen.outputs.shape[-1],) * 2, np.int64)
            np.add.at(confusion, (batch.targets.astype(np.intp), seen.outputs[0].argmax(axis=-1)), 1)
    return Readout(
        device.parameters, n, seen.losses, accuracies, nodes, weights, read_error, confusion, task.class_names
    )
