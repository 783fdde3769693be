"""Touch-up: some steps of learning on the device itself, from the weights that were put there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hwzo.data.task import Task
from hwzo.deploy.mapped import MappedDevice
from hwzo.errors import CapabilityError, ConfigError, FileError, StoppedError
from hwzo.methods.registry import method_named
from hwzo.parameters import Array
from hwzo.train.config import TrainConfig
from hwzo.train.folder import RunFolder
from hwzo.train.loop import Progress
from hwzo.train.result import Result
from hwzo.train.start import start
from hwzo.train.weights import Weights

METHOD = "intrinsic"
KEPT = "what was verified is kept: the same command with another touch-up, or without one, goes on"


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


def touch_up(
    device: MappedDevice,
    weights: Weights,
    how: TouchUp,
    task: Task,
    run: Path,
    *,
    watch: Callable[[Progress], None] | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> tuple[Array, Result]:
    """Learn on the device, from the weights that it holds; returns what they became, (n,), and what the run came to.

    Args:
        device: holds the weights.
        weights: which.
        how: budget, method, rate.
        task: what is learned.
        run: folder of the run; one that was begun goes on.
        watch, say: as for training.

    Raises:
        CapabilityError: the device's noise can't be learned by.
        ConfigError: a budget that allows no step.
        StoppedError: Ctrl-C.
    """
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
        result = start(
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
    return np.asarray(theta, dtype=np.float64), result
