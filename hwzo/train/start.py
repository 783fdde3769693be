"""Starting a run, and going on with one."""

from __future__ import annotations

import platform
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import cast

import numpy as np
from threadpoolctl import threadpool_limits  # pyright: ignore[reportMissingTypeStubs]

from hwzo.data.task import Task
from hwzo.device import Device
from hwzo.errors import CapabilityError, ConfigError, FileError
from hwzo.methods.method import Method, Record, Start
from hwzo.methods.registry import Entry, method_named
from hwzo.noise.profile import Profile
from hwzo.parameters import Array
from hwzo.tape import Call
from hwzo.train.advised import advised_at_start
from hwzo.train.bench import Bench, first_batch, fresh_parameters, key_of, open_bench, settings_of
from hwzo.train.budget import Budget, Spent
from hwzo.train.checkpoint import Checkpoint
from hwzo.train.config import TrainConfig
from hwzo.train.evaluate import check_fit, load_weights
from hwzo.train.folder import RunFolder
from hwzo.train.journal import Journal
from hwzo.train.lookout import lookout_of
from hwzo.train.loop import DEFAULT_TARGET, Loop, Say, Watch
from hwzo.train.recorded import description, recorded
from hwzo.train.result import Result


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
                return _resume(folder, given, task, device, watch, say)
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
    entry = method_named(config.method)
    bench = open_bench(config, task, device)
    try:
        guard = bench.device
        config = config.model_copy(
            update={
                "task": bench.task.name if task is not None else config.task,
                "device": guard.info.url if device is not None else config.device,
                "budget": config.budget or entry.budget,
                "batch": config.batch or _usual_batch(entry, bench),
            }
        )
        if config.target is not None and not guard.gives_outputs:
            raise CapabilityError(
                f"target = {config.target}: {guard.info} gives a loss only, no accuracy; leave the target out"
            )
        calls: list[Call] = []
        if recorded(config, guard):
            guard.heard = calls.append
        theta = _first_parameters(config, guard)
        guard.program(theta)
        begin = Start(guard, theta, first_batch(config, bench.task), key_of(config))
        told: list[str] = []
        settings = config.settings if profile is not None else advised_at_start(config, begin, told.append)
        method = entry.build(settings, begin)
        guard.heard = None
        config = config.model_copy(update={**settings.keep(("exploration",)).given, **begin.settings.given})
        spent = Spent(begin.evaluations, begin.commanded, guard.cost)
        if not Budget.parse(config.budget or entry.budget).allows(spent, method.evaluations):
            raise ConfigError(
                f"budget = {config.budget!r} allows no step: a step takes up to {method.evaluations} evaluations"
                + (f", and {spent.evaluations} went into calibration" if spent.evaluations else ""),
                key="budget",
            )
        snapshot = b"" if guard.emulation is None else guard.emulation.snapshot()
        at = Checkpoint(0, theta, method.begin(theta.size), spent, begin.measured, snapshot=snapshot)
        journal = Journal(folder.journal, create=True)
        try:
            folder.describe(config, _about(bench, method, begin.measured))
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


def _resume(
    folder: RunFolder,
    given: Mapping[str, object],
    task: Task | None,
    device: Device | None,
    watch: Watch | None,
    say: Say,
) -> Result:
    stored = folder.config()
    config = _agreed(stored, given, folder.path)
    at, damaged = folder.latest()
    for text in damaged:
        say(f"{text}; going on from step {at.t}")
    journal = _journal(folder, at)
    try:
        finished = journal.recall("result")
        for text in damaged:
            journal.event(at.t, "damaged checkpoint", text)
        if finished is not None and config == stored:
            say(f"run {folder.path} is finished; this is its result again")
            return Result.recalled(finished, folder.path)
        bench = open_bench(config, task, device, folder.device_url())
        try:
            loop = _continued(folder, config, journal, bench, at, watch, say)
            if config != stored:
                text = (
                    f"budget {stored.budget} raised to {config.budget}: a rate that falls with it steps up again, so "
                    "the result is not that of one long run; the test split is read once more at the end"
                )
                say(text)
                journal.event(at.t, "budget raised", text)
                # In this order: killed in between, it is an unfinished run of the old budget, and ends as that did.
                journal.forget_result()
                folder.forget_weights()
                folder.describe(config, _about(bench, loop.method, at.measured))
            return loop.run()
        finally:
            bench.close()
    finally:
        journal.close()


def _journal(folder: RunFolder, at: Checkpoint) -> Journal:
    """The run's journal, checked; a new one, if somebody moved the damaged one away."""
    try:
        journal = Journal(folder.journal, create=not folder.journal.exists())
        try:
            journal.check()
        except FileError:
            journal.close()
            raise
        return journal
    except FileError as error:
        raise FileError(
            f"{error}; the checkpoint of step {at.t} is whole: move {folder.journal.name}* out of the folder, and "
            "--resume goes on from it"
        ) from error


def _continued(
    folder: RunFolder,
    config: TrainConfig,
    journal: Journal,
    bench: Bench,
    at: Checkpoint,
    watch: Watch | None,
    say: Say,
) -> Loop:
    """A loop that stands where the run did: from the last checkpoint if emulated, from the records if not."""
    guard = bench.device
    if guard.parameters.size != at.theta.size:
        raise ConfigError(
            f"{guard.info} has {guard.parameters.size} parameters, run {folder.path} has {at.theta.size}", key="device"
        )
    _same_device(folder, guard)
    batch = first_batch(config, bench.task)
    method = method_named(config.method).build(
        settings_of(config, at.measured), Start(guard, at.theta, batch, key_of(config), dict(at.measured))
    )
    rerun: dict[int, Record] = {}
    if guard.emulation is not None:
        guard.emulation.restore(at.snapshot)
        rerun = {record.t: record for record in journal.records(at.t)}
        say(f"going on from step {at.t}; {len(rerun)} steps after it are rerun and compared with the journal")
    else:
        for evaluations, commanded, cost in journal.costs(at.t):
            at.spent.add(evaluations, commanded, cost)
        for record in journal.records(at.t):
            at.theta, at.state = method.replay(at.theta, at.state, record)
            at.t = record.t + 1
        for look in journal.validations():
            at.validation_loss, at.validation_accuracy = look.loss, look.accuracy
            if (
                at.evaluations_to_target is None
                and look.accuracy is not None
                and look.accuracy >= (config.target or DEFAULT_TARGET)
            ):
                at.evaluations_to_target = look.evaluations
        guard.program(at.theta)  # its cells may have moved since; what is programmed is counted
        at.spent.add(0, 0, guard.cost)
        folder.keep(at)
        say(f"going on from step {at.t}, rebuilt from the journal and programmed again")
    journal.event(at.t, "resumed", f"{len(rerun)} steps to rerun")
    lookout = lookout_of(config, folder, bench, at.t)
    return Loop(config, folder, journal, bench.task, guard, method, at, rerun, watch, say, lookout)


def _same_device(folder: RunFolder, device: Device) -> None:
    """What was learned by one device's noise and ranges isn't another's.

    Raises:
        ConfigError: the device is another one than the run's, as far as they say.
    """
    table = folder.description().get("device")
    was = cast("dict[str, object]", table) if isinstance(table, dict) else {}
    for key, now in (("model", device.info.model), ("serial", device.info.serial)):
        before = was.get(key)
        if before and str(before).strip("0") not in ("", "none") and before != now:
            raise ConfigError(
                f"run {folder.path} is of {was.get('model')}, serial {was.get('serial')}, and here is {device.info}; "
                "put that device back, or train this one anew; "
                f"`hwzo replay {folder.path} -o w.safetensors` keeps what was learned",
                key="device",
            )


def _agreed(stored: TrainConfig, given: Mapping[str, object], path: Path) -> TrainConfig:
    """The stored configuration with a new budget, after checking that all else that was given is the same."""
    for key, value in given.items():
        before = getattr(stored, key, None)
        if key != "budget" and value is not None and before != value:
            raise ConfigError(
                f"{key} = {value!r} differs from run {path}, which has {before!r}; leave it out, or start a new run",
                key=key,
            )
    if given.get("budget") is None:
        return stored
    config = TrainConfig.build({**stored.model_dump(exclude_none=True), "budget": given["budget"]})
    old, new = (Budget.parse(each.budget or "1 evaluation").limits for each in (stored, config))
    if new == old:
        return stored
    if any(limit < old.get(unit, 0) for unit, limit in new.items()):
        raise ConfigError(
            f"budget = {config.budget!r} is less than the {stored.budget!r} of run {path}; a larger one continues it",
            key="budget",
        )
    return config


def _about(bench: Bench, method: Method, measured: Mapping[str, float]) -> dict[str, Mapping[str, object]]:
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
