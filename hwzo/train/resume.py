"""Going on with a run: from its last checkpoint where the device is emulated, from its records where it is not."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import cast

from hwzo.data.task import Task
from hwzo.device import Device
from hwzo.errors import ConfigError, FileError
from hwzo.methods.method import Record
from hwzo.say import Say
from hwzo.train.bench import Bench, about, open_bench, rebuilt, start_of
from hwzo.train.budget import Budget
from hwzo.train.checkpoint import Checkpoint
from hwzo.train.config import TrainConfig
from hwzo.train.folder import RunFolder
from hwzo.train.journal import Journal
from hwzo.train.lookout import lookout_of
from hwzo.train.loop import Loop, Watch
from hwzo.train.result import Result


def go_on(
    folder: RunFolder,
    given: Mapping[str, object],
    task: Task | None,
    device: Device | None,
    watch: Watch | None,
    say: Say,
) -> Result:
    """Go on with the run in a folder; what was given must agree with it, but for a larger budget.

    Raises:
        ConfigError: it doesn't, or the device is another one.
        HwzoError: see `hwzo.errors`.
    """
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
                folder.describe(config, about(bench, loop.method, at.measured))
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
    method = rebuilt(config, start_of(config, bench.task, guard, at.theta, at.measured), at.measured)
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
            at.looked(look.evaluations, look.loss, look.accuracy, config.watched)
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
