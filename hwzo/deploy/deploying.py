"""Putting learned weights into a device: map, program and verify, touch up, prove."""

from __future__ import annotations

import time
import zlib
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits  # pyright: ignore[reportMissingTypeStubs]

from hwzo.data.task import Task
from hwzo.deploy import probe_set
from hwzo.deploy.closed_loop import MOST_WRITES, State, Watch, Written
from hwzo.deploy.deployment import Deployment
from hwzo.deploy.endurance import check_enough, endured, spare_pulses
from hwzo.deploy.journal import Journal
from hwzo.deploy.mapped import MappedDevice
from hwzo.deploy.mapping import Mapping
from hwzo.deploy.preparing import find_tolerance, first_mapping, reordered
from hwzo.deploy.result import Result
from hwzo.deploy.stand import Settings, Stand, TouchUp, fitted, open_for
from hwzo.deploy.tolerance import Tolerance
from hwzo.deploy.touch_up import touched_up
from hwzo.deploy.work import Work
from hwzo.deploy.worth import accuracy_on, outputs_on_probes, validated, warn_if_far_below
from hwzo.device import Device
from hwzo.errors import CapabilityError, ConfigError, FileError
from hwzo.noise.profile import DeviceRecord, Profile
from hwzo.parameters import Array, parameters_crc32
from hwzo.say import Say
from hwzo.train.weights import Weights

SHARE = 0.99
"""Of the cells that aren't stuck, so many must be within the tolerance."""


def deploy(
    source: object,
    device: str | Device | None = None,
    *,
    output: Path = Path("deployment.h5"),
    task: str | Task | None = None,
    layers: str | None = None,
    activation: str | None = None,
    tolerance: float | None = None,
    touch_up: str | TouchUp | None = None,
    profile: Path | None = None,
    gains: bool = True,
    orders: bool = True,
    clip: bool = False,
    most_writes: int = MOST_WRITES,
    seed: int = 0,
    force: bool = False,
    watch: Watch | None = None,
    say: Say = lambda text: None,
) -> Deployment:
    """Put learned weights into a device and prove that they are there.

    What was done is kept beside the output as it goes, ``deployment.h5.part``: a deployment that was cut off goes on
    when it is called again with the same arguments.

    Args:
        source: a run's folder, a file of weights, or an object: see `hwzo.deploy.sources.load_source`.
        device: a device URL, or an open device, which stays open and mapped, holding the weights; None: the one that
            they were learned on.
        output: the deployment's file; its page is beside it, as ``.html``.
        task: whose samples it is measured and touched up on; None: the one that the weights were learned for.
        layers, activation: of the network, where the source doesn't tell.
        tolerance: how near each cell must come, weight units of the device; None: three standard deviations of averaged
            read error and what a write leaves.
        touch_up: a budget such as ``"2000 evaluations"`` that is spent on learning on the device; None: none.
        profile: of the device, see `hwzo.calibrate`: its noise needs not be measured then.
        gains, orders, clip, most_writes, seed: see `Settings`.
        force: whether an output file of something else may be replaced.
        watch, say: are shown progress, and told what a user should know.

    Raises:
        ConfigError: weights of another architecture, outside the window, a tolerance that can't be verified; an output
            file of another device or of other weights; nothing was written.
        CapabilityError: the device doesn't read back its weights.
        DeviceError: the device failed; the journal is kept.
    """
    if isinstance(touch_up, str):
        touch_up = TouchUp(touch_up, seed=seed)
    settings = Settings(tolerance, touch_up, gains, orders, clip, most_writes, seed).check()
    _check_output(output)
    known = None if profile is None else Profile.load(profile)
    stand = open_for(source, device, task, seed, say, layers=layers, activation=activation)
    try:
        _check_replaced(stand, output, force, say)
        with threadpool_limits(1):
            return _deployed(stand, settings, known, output, watch, say)
    finally:
        stand.close()


def _deployed(
    stand: Stand, settings: Settings, profile: Profile | None, output: Path, watch: Watch | None, say: Say
) -> Deployment:
    """Deploy, journalled."""
    guard = stand.guard
    told: list[str] = []
    settings = endured(settings, guard, told)
    check(stand, settings, profile)
    journal = Journal(output.with_name(output.name + ".part"), _about(stand, settings, profile), guard)
    work = Work(stand, settings, profile, output, journal, watch, say)
    try:
        for text in told:
            work.say(text)
        if journal.resumed:
            work.say(f"going on with {journal.folder}" + (f", after {journal.last}" if journal.last else ""))
        deployment = carried_out(work).save(output)
        journal.discard()
        work.show("done", 1.0, deployment.result.cells - deployment.result.cells_within_tolerance)
        return deployment
    except ConfigError as error:
        if not (work.verified or isinstance(error, FileError)):  # refused: there is nothing to go on with
            journal.discard()
        raise
    finally:
        journal.close()


def carried_out(work: Work) -> Deployment:
    """All steps of a deployment, and what they came to."""
    began = time.monotonic()
    guard, task = work.guard, work.task
    mapping = first_mapping(work)
    theta, clipped = fitted(work.weights, mapping.bounds, clip=work.settings.clip)
    if clipped:
        work.say(f"{clipped} of {work.n} weights lay outside what the device can hold, and were clipped")
    targets = mapping.cells(theta)
    tolerance = find_tolerance(work, targets)
    device = MappedDevice(guard, mapping)  # sets the gains
    work.show("writing", 0.05)
    plain = work.verify(targets, tolerance, phase="writing", held=None, first=targets, most_rounds=0)
    spare_pulses(work)
    accuracy_before, _ = accuracy_on(work, "test", device, "accuracy before")
    validated(work, "written once", device)

    once = work.verify(targets, tolerance, phase="verifying", held=plain.asked, first=plain.asked, most_rounds=1)
    mapping, stuck = reordered(work, theta, mapping, once, tolerance)
    targets = mapping.cells(theta)
    first = once.asked if work.held is once.asked else targets  # cells may have been moved to an end of the range
    written = work.verify(targets, tolerance, phase="verifying", held=work.held, first=first, stuck=stuck)
    device = MappedDevice(guard, mapping, written.asked - targets, written.asked)
    validated(work, "verified", device)
    work.verified = True

    run = None
    how = work.settings.touch_up
    if how is not None and task is not None:
        before = work.cost.cell_writes
        theta, run = touched_up(work, theta, device, how, task)
        work.touch_up_writes = work.cost.cell_writes - before
        targets = guard.parameters.clip(mapping.cells(theta))
        held = device.held
        assert held is not None  # all cells were written
        written = work.verify(
            targets, tolerance, phase="verifying again", held=held, first=held, stuck=~written.healthy
        )
        device = MappedDevice(guard, mapping, written.asked - targets, written.asked)

    agreement = outputs_on_probes(work, theta, device, written, targets, tolerance)
    accuracy, error = accuracy_on(work, "test", device, "accuracy")
    warn_if_far_below(work, theta)
    result = _result(work, written, targets, tolerance, agreement).model_copy(
        update={
            "accuracy_before": accuracy_before,
            "accuracy": accuracy,
            "accuracy_standard_error": error,
            "clipped": clipped,
            "touch_up": None if run is None else str(run),
            "wall_seconds": time.monotonic() - began,
        }
    )
    probes = {} if agreement is None else agreement.arrays
    snapshot = b"" if guard.emulation is None else guard.emulation.snapshot()
    return Deployment(
        _weights(work, theta, mapping),
        mapping.arrays(),
        targets,
        written,
        tolerance,
        _manifest(work),
        result,
        probes,
        snapshot,
    )


def _result(
    work: Work, written: Written, targets: Array, tolerance: Tolerance, agreement: probe_set.Agreement | None
) -> Result:
    """What the cells came to; accuracies are still to be told."""
    within, healthy = written.within(targets, tolerance), written.healthy
    right = bool(healthy.any()) and int(within[healthy].sum()) >= SHARE * int(healthy.sum())
    return Result(
        device=work.guard.info.url,
        emulated=work.guard.info.emulated,
        cells=work.n,
        cells_within_tolerance=int(within.sum()),
        cell_writes=work.cost.cell_writes,
        touch_up_writes=work.touch_up_writes,
        verified=right and (agreement is None or agreement.agree),
        accuracy_before=None,
        accuracy=None,
        accuracy_standard_error=None,
        passes=probe_set.PASSES,
        task=None if work.task is None else work.task.name,
        tolerance=tolerance.value,
        ok=written.count(State.OK),
        compensated=written.count(State.COMPENSATED),
        stuck=written.count(State.STUCK),
        unreachable=written.count(State.UNREACHABLE),
        over_budget=written.count(State.OVER_BUDGET),
        clipped=0,
        outputs_agree=None if agreement is None else agreement.agree,
        outputs_difference=None if agreement is None else agreement.difference,
        outputs_noise=None if agreement is None else agreement.noise,
        outputs_allowed=None if agreement is None else agreement.allowed,
        outputs_judged_by=None if agreement is None else "accuracy" if agreement.by_accuracy else "outputs",
        device_seconds=work.cost.device_seconds,
        joules=work.cost.joules,
        wall_seconds=0.0,
        most_writes_of_a_cell=int(written.writes.max()),
        touch_up=None,
        deployment=str(work.output),
    )


def _weights(work: Work, theta: Array, mapping: Mapping) -> Weights:
    learned = Weights.learned(theta, work.guard, work.weights.task or (work.task.name if work.task else ""))
    return replace(learned, parameters=mapping.bounds, window=work.weights.window or learned.window)


# --- before it begins ---


def _check_output(output: Path) -> None:
    if output.is_dir():
        raise ConfigError(f"output = {str(output)!r} is a folder; name a file, such as deployment.h5", key="output")
    if output.suffix == ".html" or output == Path():
        raise ConfigError(
            f"output = {str(output)!r} is a name for its page, or none; name a file, such as deployment.h5",
            key="output",
        )
    if not output.parent.is_dir():
        raise FileError(f"output = {str(output)!r}: there is no folder {output.parent}", key="output")


def _check_replaced(stand: Stand, output: Path, force: bool, say: Say) -> None:
    """Refuse to replace a file of anything but the same weights on the same device."""
    if force or not output.exists():
        return
    try:
        before = Deployment.load(output)
        source = before.manifest.get("source", {}).get("crc32")
        if before.result.device != stand.guard.info.url:
            what = f"is a deployment on another device, {before.result.device}"
        elif source != parameters_crc32(stand.weights.theta):
            what = "is a deployment of other weights"
        else:
            say(f"{output} is of the same weights on the same device, and will be replaced")
            return
    except FileError:
        what = "is there already, and is no deployment that can be read"
    raise ConfigError(
        f"output {output} {what}; name another file with --output, or replace it with --force; nothing was written",
        key="output",
    )


def check(stand: Stand, settings: Settings, profile: Profile | None) -> None:
    """What can be refused before anything is written.

    Raises:
        ConfigError, CapabilityError: why it can't be done.
    """
    guard = stand.guard
    if profile is not None:
        profile.check_device(guard)
    if not (settings.gains and guard.capabilities.output_gains):
        fitted(stand.weights, guard.parameters, clip=settings.clip)
    check_enough(settings, guard, profile)
    if settings.touch_up is None:
        return
    if stand.task is None:
        raise ConfigError(
            "a touch-up learns from samples, and these weights don't say of which task; name it with --task", key="task"
        )
    if not guard.gives_outputs:
        raise CapabilityError(
            f"{guard.info} gives no outputs: what a touch-up does to the accuracy couldn't be seen; leave it out"
        )


def _about(stand: Stand, settings: Settings, profile: Profile | None) -> dict[str, Any]:
    """What identifies a deployment that goes on."""
    path = None if profile is None else profile.path
    whole = asdict(settings)
    del whole["touch_up"]  # which comes last, and may be changed until it has begun
    return {
        "device": DeviceRecord.of(stand.guard).model_dump(mode="json"),
        "source": {"crc32": parameters_crc32(stand.weights.theta), "layers": stand.weights.layers},
        "task": None if stand.task is None else stand.task.name,
        "profile": None if path is None else zlib.crc32(path.read_bytes()),
        **whole,
    }


def _manifest(work: Work) -> dict[str, Any]:
    return {
        "hwzo": version("hwzo"),
        "device": DeviceRecord.of(work.guard).model_dump(mode="json"),
        "endurance": work.guard.capabilities.endurance,
        "settings": asdict(work.settings),
        "source": {"crc32": parameters_crc32(work.weights.theta)},
        "learned_on": {"device": work.weights.device, "emulated": work.weights.emulated},
        "profile": None if work.profile is None else str(work.profile.path),
        "bought": [asdict(part) for part in work.bought],
        "validation": work.validation,
        "told": work.told,
    }
