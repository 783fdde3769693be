"""Touch-up: some steps of learning on the device itself, from the weights that were put there."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from hwzo.data.task import Task
from hwzo.deploy.mapped import MappedDevice
from hwzo.deploy.stand import TouchUp
from hwzo.deploy.work import Work
from hwzo.deploy.worth import validated
from hwzo.errors import CapabilityError, ConfigError, FileError, StoppedError
from hwzo.methods.registry import method_named
from hwzo.parameters import Array
from hwzo.say import Say
from hwzo.train.config import TrainConfig
from hwzo.train.folder import RunFolder
from hwzo.train.loop import Progress
from hwzo.train.start import start
from hwzo.train.weights import Weights

WORSE = 2.0
"""Standard errors by which a touch-up must have lost validation accuracy to be put back."""
KEPT = "what was verified is kept: the same command with another touch-up, or without one, goes on"


def touched_up(work: Work, theta: Array, device: MappedDevice, how: TouchUp, task: Task) -> tuple[Array, Path]:
    """Learn on the device, unless that makes it worse: then the weights from before are put back.

    Args:
        work: the deployment under way; validated before.
        theta: (n,) weights of the network that the device holds, weight units.
        device: holds them.
        how: budget, method, rate.
        task: what is learned.

    Returns:
        The weights (n,) that the device holds now, and the run's folder.

    Raises:
        CapabilityError: the device's noise can't be learned by.
        ConfigError: a budget that allows no step.
        FileError: the run can't be kept.
        StoppedError: Ctrl-C.
    """
    stem = work.output.with_suffix("").name

    def name() -> dict[str, Any]:
        for number in range(1000):
            run = work.output.with_name(f"{stem}-touch-up" + (f"-{number}" if number else ""))
            if not run.exists():
                return {"name": np.frombuffer(run.name.encode(), dtype=np.uint8)}
        raise FileError(f"no free name for a run's folder like {stem}-touch-up", key="output")

    begun = f"touch-up by {how.method}, {how.budget}"
    run = work.output.with_name(work.take(begun, name).arrays["name"].tobytes().decode())
    info = work.guard.info
    weights = replace(
        work.weights,
        theta=theta,
        parameters=device.parameters,
        task=task.name,
        device=info.url,
        emulated=info.emulated,
    )

    def act() -> dict[str, Any]:
        learned = _learned(
            device,
            weights,
            how,
            task,
            run,
            lambda progress: work.show("touching up", progress.share),
            work.say,
        )
        return {"theta": learned, "held": _held(device)}

    def back() -> dict[str, Any]:
        device.program(theta)
        return {"held": _held(device)}

    before = work.validation[-1]
    try:
        seen = work.take("touch-up", act).arrays
    except (ConfigError, CapabilityError) as error:
        if not isinstance(error, FileError):  # it can't be done: another one may be, or none
            work.forget(begun)
        raise
    device.held = np.asarray(seen["held"], dtype=np.float64)
    after, error = validated(work, "touched up", device)
    assert after is not None  # outputs and a task there are
    assert error is not None
    lost = float(str(before["accuracy"])) - after
    if lost > WORSE * math.hypot(float(str(before["standard_error"])), error):
        work.say(f"the touch-up lost {lost:.4f} of validation accuracy: the weights from before are put back")
        device.held = np.asarray(work.take("put back", back).arrays["held"], dtype=np.float64)
        validated(work, "put back", device)
        return theta, run
    return np.asarray(seen["theta"], dtype=np.float64), run


def _held(device: MappedDevice) -> Array:
    assert device.held is not None  # all cells were written
    return device.held


def _learned(
    device: MappedDevice,
    weights: Weights,
    how: TouchUp,
    task: Task,
    run: Path,
    watch: Callable[[Progress], None],
    say: Say,
) -> Array:
    """What the weights that the device holds become, (n,), by a run in that folder; one that was begun goes on."""
    begun = run.with_name(run.name + ".start.safetensors")
    if not begun.is_file():
        weights.save(begun)
    given: dict[str, object] = {
        "task": task.name,
        "device": device.info.url,
        "method": how.method,
        "budget": how.budget,
        "seed": how.seed,
        "start": str(begun),
    }
    if how.rate is not None:
        given["rate"] = how.rate
    method_named(how.method)
    try:
        start(
            given,
            config=TrainConfig.build(given),
            task=task,
            device=device,
            run=run,
            resume=run.exists(),
            watch=watch,
            say=lambda text: say(f"touch-up: {text}"),
        )
    except CapabilityError as error:
        raise CapabilityError(f"touch-up: {error}; {KEPT}") from error
    except ConfigError as error:
        if isinstance(error, FileError):
            raise
        begun.unlink(missing_ok=True)
        raise ConfigError(f"touch-up: {error}; {KEPT}", key=error.key) from error
    except StoppedError as error:
        raise StoppedError(
            f"stopped while touching up, in {run}: the same command goes on", error.exit_code - 128
        ) from None
    folder = RunFolder(run)
    theta = Weights.load(folder.weights).theta
    # A run that was finished before it was cut off leaves the device as it began; its last checkpoint knows better.
    last = folder.latest()[0]
    if last.snapshot and device.capabilities.snapshot:
        device.restore(last.snapshot)
    device.program(theta)  # writes nothing where it is there already
    begun.unlink(missing_ok=True)
    return np.asarray(theta, dtype=np.float64)
