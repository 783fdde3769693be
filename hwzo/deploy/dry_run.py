"""What a deployment would take, before anything is written."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path
from typing import cast

import numpy as np
from pydantic import BaseModel, ConfigDict

from hwzo.data.task import Task
from hwzo.deploy.closed_loop import MOST_WRITES
from hwzo.deploy.deploying import carried_out, check
from hwzo.deploy.endurance import endured
from hwzo.deploy.journal import Journal
from hwzo.deploy.mapping import choose_mapping
from hwzo.deploy.stand import Settings, Stand, fitted, open_for
from hwzo.deploy.stuck import StuckCells
from hwzo.deploy.tolerance import ReadError, Tolerance, choose_tolerance, look_writes, residual_of, subset
from hwzo.deploy.work import Work
from hwzo.device import Device, EmulatedDevice, GainedDevice
from hwzo.noise.profile import Profile
from hwzo.probes import Cost
from hwzo.say import Say

ROUNDS = 4
"""Of correcting, that a deployment usually takes: each reads all cells."""


class Plan(BaseModel):
    """What ``hwzo deploy --dry-run --json`` prints.

    Args:
        device: URL.
        emulated: True if no hardware is involved.
        dry_run: True.
        cells: how many there are.
        clipped: weights that would have to be moved into what the device can hold.
        stuck: cells that can't reach their targets; None: not known.
        cell_writes: that writing, looking and correcting would take, as the device counts them; without a touch-up.
        device_seconds, joules: that these and their readings would take, and, where it was tried out, the passes for
            accuracies, too; None: nobody knows what a write takes on this device.
        tolerance: weight units of the device; None: the noise isn't known without a profile.
        repeats: reads that would be averaged; None likewise.
        rms_error: that cells are expected to be left with, weight units of the device; None likewise.
        known_from: where noise and costs are taken from.
    """

    model_config = ConfigDict(frozen=True)

    device: str
    emulated: bool
    dry_run: bool = True
    cells: int
    clipped: int
    stuck: int | None
    cell_writes: int
    device_seconds: float | None
    joules: float | None
    tolerance: float | None
    repeats: int | None
    rms_error: float | None
    known_from: str


def plan(
    source: object,
    device: str | Device | None = None,
    *,
    task: str | Task | None = None,
    layers: str | None = None,
    activation: str | None = None,
    tolerance: float | None = None,
    profile: Path | None = None,
    gains: bool = True,
    orders: bool = True,
    clip: bool = False,
    most_writes: int = MOST_WRITES,
    seed: int = 0,
    say: Say = lambda text: None,
) -> Plan:
    """Predict what `hwzo.deploy.deploying.deploy` with the same arguments would take, without writing.

    On an emulated device all is tried out but the touch-up, and the device is put back. Of hardware, noise and stuck
    cells are known from a profile; without one they stay unknown.

    Raises:
        ConfigError, CapabilityError, DeviceError: as for deploying.
    """
    settings = Settings(tolerance, None, gains, orders, clip, most_writes, seed).check()
    known = None if profile is None else Profile.load(profile)
    stand = open_for(source, device, task, seed, say, layers=layers, activation=activation)
    try:
        told: list[str] = []
        settings = endured(settings, stand.guard, told)
        for text in told:
            say(text)
        check(stand, settings, known)
        emulation = stand.guard.emulation
        if emulation is not None:
            return _tried(stand, settings, known, emulation)
        return _predicted(stand, settings, known, say)
    finally:
        stand.close()


def _tried(stand: Stand, settings: Settings, profile: Profile | None, emulation: EmulatedDevice) -> Plan:
    """By deploying, and putting the device back as it was."""
    guard = stand.guard
    gained = cast(GainedDevice, guard) if guard.capabilities.output_gains else None
    before, gains = emulation.snapshot(), None if gained is None else gained.gains
    try:
        with tempfile.TemporaryDirectory() as folder:
            journal = Journal(Path(folder) / "steps", {}, guard)
            try:
                output = Path(folder) / "deployment.h5"
                done = carried_out(Work(stand, settings, profile, output, journal, None, lambda text: None))
            finally:
                journal.close()
    finally:
        emulation.restore(before)
        if gained is not None and gains is not None:
            gained.set_gains(gains)
    result = done.result
    return Plan(
        device=result.device,
        emulated=result.emulated,
        cells=result.cells,
        clipped=result.clipped,
        stuck=result.stuck,
        cell_writes=result.cell_writes,
        device_seconds=result.device_seconds,
        joules=result.joules,
        tolerance=result.tolerance,
        repeats=done.tolerance.repeats,
        rms_error=done.tolerance.residual,
        known_from="a try on the emulated device, which was put back",
    )


def _predicted(stand: Stand, settings: Settings, profile: Profile | None, say: Say) -> Plan:
    """From the profile; nothing is written."""
    guard, theta = stand.guard, stand.weights.theta
    mapping, _ = choose_mapping(
        theta,
        guard,
        profile,
        gains=settings.gains,
        orders=settings.orders and profile is not None,  # nobody knows of stuck cells otherwise
        clip=False,
        measure=False,
        say=say,
    )
    theta, clipped = fitted(stand.weights, mapping.bounds, clip=settings.clip)
    targets = mapping.cells(theta)
    n = len(targets)
    stuck = None if profile is None else StuckCells.of(profile, guard.parameters)
    read = None if profile is None else ReadError.of(profile)
    residual = None if profile is None else residual_of(profile)
    chosen: Tolerance | None = None
    told: list[str] = []
    if read is not None and residual is not None:
        verified = guard.capabilities.verified_writes
        chosen = choose_tolerance(settings.tolerance, read, residual, guard.parameters, verified_writes=verified)
        told.append("the profile")
    beyond = math.erfc(chosen.value / chosen.noise / math.sqrt(2.0)) if chosen and chosen.noise > 0.0 else 0.0
    writes = n * (1.0 + min(beyond / max(1e-9, 1.0 - beyond), settings.most_writes - 1.0))
    if chosen is None:
        writes += look_writes(guard) * int(subset(n, settings.seed).sum())
    reads = guard.capabilities.read_cost * ((chosen.repeats if chosen else 1) * (1 + ROUNDS))
    unit = None if profile is None else _unit(profile, n)
    if unit is not None:
        told.append("what its calibration took, which is an upper bound; passes for accuracies are left out")
    return Plan(
        device=guard.info.url,
        emulated=guard.info.emulated,
        cells=n,
        clipped=clipped,
        stuck=None if stuck is None else int((stuck.misses(targets) > (chosen.value if chosen else 0.0)).sum()),
        cell_writes=round(writes),
        device_seconds=None if unit is None else writes / n * unit.device_seconds + reads.device_seconds,
        joules=None if unit is None else writes / n * unit.joules + reads.joules,
        tolerance=None if chosen is None else chosen.value,
        repeats=None if chosen is None else chosen.repeats,
        rms_error=None if chosen is None else chosen.residual,
        known_from="; ".join(told) or "nothing: calibrate the device, and name its profile with --profile",
    )


def _unit(profile: Profile, n: int) -> Cost | None:
    """What writing ``n`` cells once takes, as its calibration spent it; an upper bound: what it measured is in it."""
    spent = profile.manifest.spent
    writes = spent.get("cell_writes", 0.0)
    if writes <= 0:
        return None
    seconds, joules = (float(np.nan_to_num(spent.get(name, 0.0))) * n / writes for name in ("device_seconds", "joules"))
    return Cost(cell_writes=n, device_seconds=seconds, joules=joules)
