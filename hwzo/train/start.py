"""Starting a run: its folder, its device, its method."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from threadpoolctl import threadpool_limits  # pyright: ignore[reportMissingTypeStubs]

from hwzo.data.task import Task
from hwzo.device import Device
from hwzo.errors import CapabilityError, ConfigError, FileError
from hwzo.methods.method import Method, Start
from hwzo.methods.registry import Entry, method_named
from hwzo.noise.profile import Profile
from hwzo.parameters import Array
from hwzo.say import Say
from hwzo.tape import Call
from hwzo.train.advised import advised_at_start
from hwzo.train.bench import Bench, about, fresh_parameters, open_bench, start_of
from hwzo.train.budget import Budget, Spent
from hwzo.train.checkpoint import Checkpoint
from hwzo.train.config import TrainConfig
from hwzo.train.evaluate import check_fit, load_weights
from hwzo.train.folder import RunFolder
from hwzo.train.journal import Journal
from hwzo.train.lookout import lookout_of
from hwzo.train.loop import Loop, Watch
from hwzo.train.recorded import description, recorded
from hwzo.train.result import Result
from hwzo.train.resume import go_on


def start(
    given: Mapping[str, object],
    *,
    config: TrainConfig,
    task: Task | None = None,
    device: Device | None = None,
    run: Path | None = None,
    resume: bool = False,
    profile: Profile | None = None,
    watch: Watch | None = None,
    say: Say = lambda text: None,
) -> Result:
    """Run a configuration, or go on with the run in ``run``.

    Args:
        given: the keys that the user set, as opposed to defaults; only these must agree with a run that is resumed.
        config: all keys.
        task, device: objects to use instead of what the configuration names.
        run: the run's folder; None: a new one under ``runs/``.
        resume: go on with what is in the folder; start if there is nothing.
        profile: of the device, for a run that looks after it; its advice is in ``config`` already, see `advised`.
        watch: is shown progress.
        say: is told what a user should know, a line each.

    Raises:
        HwzoError: see `hwzo.errors`.
    """
    method_named(config.method)
    try:
        folder = _folder(run, config, resume=resume)
    except (OSError, ValueError) as error:
        if isinstance(error, ConfigError):
            raise
        reason = getattr(error, "strerror", None) or error
        raise FileError(f"run = {str(run)!r} can't be used: {reason}", key="run") from error
    folder.lock()
    try:
        with threadpool_limits(1):  # one BLAS thread: the same bytes on any machine load
            if resume and not folder.started:
                say(f"there is no run in {folder.path} to go on with: a new one starts")
            if resume and folder.started:
                return go_on(folder, given, task, device, watch, say)
            return _begin(folder, config, task, device, profile, watch, say)
    finally:
        if not folder.started:
            folder.discard()
        folder.unlock()


def _folder(run: Path | None, config: TrainConfig, *, resume: bool) -> RunFolder:
    if run is None:
        if resume:
            raise ConfigError("--resume needs --run DIR: which run shall go on?", key="run")
        return RunFolder.fresh(Path("runs"), config.task, config.method)
    folder = RunFolder(run)
    if run.exists() and not run.is_dir():
        raise ConfigError(f"run = {str(run)!r} is a file, not a folder", key="run")
    if run == Path() and not folder.started:  # what an empty name comes to, too
        raise ConfigError(
            f"run = {str(run)!r} is the current folder, or no name; name a folder, or the current one in full: "
            f"{Path.cwd()}",
            key="run",
        )
    if folder.started:
        if not resume:
            folder.lock()  # if it is still going on, that is what the user should hear
            folder.unlock()
            raise ConfigError(f"run = {str(run)!r} holds a run; go on with --resume, or name another folder", key="run")
    elif folder.foreign:
        if folder.lacks:
            raise FileError(
                f"run = {str(run)!r} holds {', '.join(folder.foreign[:3])}, of a run that can't go on without its "
                f"{folder.lacks}; nothing was changed: put back what is missing, or name another folder",
                key="run",
            )
        raise ConfigError(
            f"run = {str(run)!r} holds something that is not a run ({', '.join(folder.foreign[:3])}); name another "
            "folder",
            key="run",
        )
    return folder


def _begin(
    folder: RunFolder,
    config: TrainConfig,
    task: Task | None,
    device: Device | None,
    profile: Profile | None,
    watch: Watch | None,
    say: Say,
) -> Result:
    folder.clear()
    if config.on_drift is not None and profile is None:
        raise ConfigError(
            f"on_drift = {config.on_drift!r} compares the device with its profile: give one, with --profile FILE; "
            "`hwzo calibrate` makes it",
            key="on_drift",
        )
    bench = open_bench(config, task, device)
    try:
        guard, config = bench.device, _filled(config, bench)
        if task is not None:
            config = config.model_copy(update={"task": bench.task.name})
        if device is not None:
            config = config.model_copy(update={"device": guard.info.url})
        if config.target is not None and not guard.gives_outputs:
            raise CapabilityError(
                f"target = {config.target}: {guard.info} gives a loss only, no accuracy; leave the target out"
            )
        calls: list[Call] = []
        if recorded(config, guard):
            guard.heard = calls.append
        begin = _placed(config, bench)
        told: list[str] = []
        settings = config.settings if profile is not None else advised_at_start(config, begin, told.append)
        method = method_named(config.method).build(settings, begin)
        guard.heard = None
        config = config.model_copy(update={**settings.keep(("exploration",)).given, **begin.settings.given})
        spent = _spent(config, bench, begin, method)
        snapshot = b"" if guard.emulation is None else guard.emulation.snapshot()
        at = Checkpoint(0, begin.theta, method.begin(begin.theta.size), spent, begin.measured, snapshot=snapshot)
        journal = Journal(folder.journal, create=True)
        try:
            folder.describe(config, about(bench, method, begin.measured))
            folder.keep(at)
            lookout = lookout_of(config, folder, bench, 0, profile)
            if lookout is not None:
                lookout.save(folder.path, 0)
            if recorded(config, guard):
                journal.remember("device", description(guard))
                journal.heard(-1, "start", calls)
                journal.commit()
            say(f"run {folder.path}: {bench.task.name} on {guard.info}")
            say(f"exploration {method.exploration}: {method.reason}")
            for text in told:
                say(text)
            loop = Loop(config, folder, journal, bench.task, guard, method, at, {}, watch, say, lookout)
            return loop.run()
        finally:
            journal.close()
    finally:
        bench.close()


def check_start(config: TrainConfig) -> None:
    """Check that a run could begin, by building its method on its device; only on one that is emulated.

    Raises:
        HwzoError: what the run would raise.
    """
    bench = open_bench(config, None, None)
    try:
        if bench.device.info.emulated:
            config = _filled(config, bench)
            begin = _placed(config, bench)
            _spent(config, bench, begin, method_named(config.method).build(config.settings, begin))
    finally:
        bench.close()


def _filled(config: TrainConfig, bench: Bench) -> TrainConfig:
    """With the budget and the batch that its method likes, where they aren't set."""
    entry = method_named(config.method)
    usual = {"budget": config.budget or entry.budget, "batch": config.batch or _usual_batch(entry, bench)}
    return config.model_copy(update=usual)


def _placed(config: TrainConfig, bench: Bench) -> Start:
    """The device with the parameters that the run begins with; ``config`` with its batch."""
    theta = _first_parameters(config, bench.device)
    bench.device.program(theta)
    return start_of(config, bench.task, bench.device, theta)


def _spent(config: TrainConfig, bench: Bench, begin: Start, method: Method) -> Spent:
    """What building the method took, after checking that the budget leaves a step.

    Raises:
        ConfigError: it doesn't.
    """
    spent = Spent(begin.evaluations, begin.commanded, bench.device.cost)
    if not Budget.parse(config.budget or method_named(config.method).budget).allows(spent, method.evaluations):
        needed = spent.evaluations + method.evaluations
        raise ConfigError(
            f"budget = {config.budget!r} allows no step: a step takes up to {method.evaluations} evaluations"
            + (f", and {spent.evaluations} went into calibration: {needed} at least" if spent.evaluations else ""),
            key="budget",
        )
    return spent


def _first_parameters(config: TrainConfig, device: Device) -> Array:
    """What the run begins with: learned weights, or a fresh draw."""
    if config.start is None:
        return fresh_parameters(device, config.seed)
    weights = load_weights(Path(config.start))
    check_fit(weights, device, config.start)
    return device.parameters.check(weights.theta)


def _usual_batch(entry: Entry, bench: Bench) -> int:
    """What the method likes, as far as the task has it and the device evaluates it at once."""
    room = bench.device.capabilities.max_batch
    return min(entry.batch or sys.maxsize, len(bench.task.train), room or sys.maxsize)
