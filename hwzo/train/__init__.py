"""The training loop, its budget and its journal; `train` starts it all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hwzo.data.task import Task
    from hwzo.device import Device
    from hwzo.noise.profile import Profile
    from hwzo.train.loop import Progress
    from hwzo.train.result import Result
    from hwzo.train.run import Run


def train(
    task: str | Task | None = None,
    device: str | Device | None = None,
    *,
    profile: str | Path | Profile | None = None,
    run: str | Path | None = None,
    resume: bool = False,
    watch: Callable[[Progress], None] | None = None,
    **settings: object,
) -> Result:
    """Train a device in place.

    Args:
        task: a task's name, or a `Task` of your own; None: ``"digits"``, or that of the run that is resumed.
        device: a device URL, or an open `Device`, which stays open; None: ``"crossbar:pcm"``, or likewise.
        profile: of the device, or its file, see `calibrate`: it chooses the settings that aren't given.
        run: folder of the run; None: a new one under ``runs/``.
        resume: go on with the run in that folder, if there is one.
        watch: is shown a `Progress` a few times a second.
        settings: any other key of `hwzo.train.config.TrainConfig`, such as ``method="spsa"``,
            ``budget="20000 evaluations"`` or ``seed=3``.

    Returns:
        What it came to; `load_run` of its ``run`` gives curves and weights.

    Raises:
        HwzoError: see `hwzo.errors`.
    """
    from hwzo.errors import ConfigError
    from hwzo.train.config import TrainConfig
    from hwzo.train.start import start

    if run == "":
        raise ConfigError("run = '' is no name of a folder; leave it out for a new one under runs/", key="run")

    given = dict(settings)
    if task is not None:
        given["task"] = task if isinstance(task, str) else task.name
    if device is not None:
        given["device"] = device if isinstance(device, str) else device.info.url
    known: Profile | None = None
    if profile is not None:
        from hwzo.noise.profile import Profile
        from hwzo.train.advised import advised

        known = profile if isinstance(profile, Profile) else Profile.load(profile)
        given = advised(
            given,
            known,
            task=None if isinstance(task, str) else task,
            device=None if isinstance(device, str) else device,
        )
    return start(
        given,
        config=TrainConfig.build(given),
        task=None if isinstance(task, str) else task,
        device=None if isinstance(device, str) else device,
        run=None if run is None else Path(run),
        resume=resume,
        profile=known,
        watch=watch,
    )


def load_run(path: str | Path) -> Run:
    """A run's configuration, result, curves and weights: see `hwzo.train.run.load_run`."""
    from hwzo.train.run import load_run as load

    return load(path)


def calibrate(
    device: str | Device,
    output: str | Path | None = None,
    *,
    task: str | Task | None = None,
    budget: str | None = None,
    seed: int = 0,
    date: str | None = None,
    temperature_k: float | None = None,
) -> Profile:
    """Measure a device's noise, with standard errors.

    Args:
        device: a device URL, or an open device, which stays open.
        output: the profile's file; readings are kept beside it as they come, and a calibration that was killed goes on
            when it is called again with the same arguments. None: nothing is written.
        task: whose samples are evaluated, and whose network and window a device takes on; None: random samples.
        budget: what may be spent, such as ``"4000 evaluations"``; None: what the measurements take.
        seed: of what is programmed and commanded, and of an emulated device whose URL sets none.
        date: when this is, for the profile.
        temperature_k: of the device, for the profile, kelvin.

    Raises:
        ConfigError: arguments that can't be used, or a budget that allows nothing.
        DeviceError: the device is absent, lost, or dead.
        FileError: the profile can't be written, or its readings are damaged.
    """
    from hwzo.train.calibration import calibrate as run

    return run(
        device,
        None if output is None else Path(output),
        task=task,
        budget=budget,
        seed=seed,
        date=date,
        temperature_k=temperature_k,
    )
