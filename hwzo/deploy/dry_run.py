"""What a deployment would take, before anything is written."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict

from hwzo.data.task import Task
from hwzo.deploy.closed_loop import MOST_WRITES
from hwzo.deploy.mapping import choose_mapping
from hwzo.deploy.stand import Say, Settings, fitted, open_for, unclipped
from hwzo.deploy.stuck import StuckCells
from hwzo.deploy.tolerance import ReadError, Tolerance, choose_tolerance, look, look_writes, residual_of, subset
from hwzo.device import Device
from hwzo.noise.profile import Profile
from hwzo.parameters import Array
from hwzo.probes import Cost
from hwzo.train.guard import GuardedDevice

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
        stuck: cells that can't reach their targets, by the profile; None: not known.
        cell_writes: that writing, looking and correcting would take, as the device counts them; without a touch-up.
        device_seconds, joules: that these would take; None: nobody knows what a write takes on this device.
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

    Noise and stuck cells are known from a profile. Of an emulated device they are tried out, and what it takes, and
    the device is put back; of hardware without a profile they stay unknown.

    Raises:
        ConfigError, CapabilityError, DeviceError: as for deploying.
    """
    Settings(tolerance, None, gains, orders, clip, most_writes, seed).check()
    known = None if profile is None else Profile.load(profile)
    stand = open_for(source, device, task, seed, say, layers=layers, activation=activation)
    guard = stand.guard
    try:
        if known is not None:
            known.check_device(guard)
        keep_clear = orders and known is not None  # of stuck cells, which nobody knows of otherwise
        mapping, _ = choose_mapping(
            stand.weights.theta, guard, known, gains=gains, orders=keep_clear, measure=False, say=say
        )
        if not clip:
            mapping = mapping.with_gains(unclipped(mapping, stand.weights.theta))
        theta, clipped = fitted(stand.weights, mapping.bounds, clip=clip)
        targets = mapping.cells(theta)
        n = len(targets)
        stuck = None if known is None else StuckCells.of(known, guard.parameters)
        noise, unit, where = _noise(guard, known, targets, seed)
        chosen: Tolerance | None = None
        if noise is not None:
            read, residual = noise
            chosen = choose_tolerance(
                tolerance, read, residual, guard.parameters, verified_writes=guard.capabilities.verified_writes
            )
        beyond = math.erfc(chosen.value / chosen.noise / math.sqrt(2.0)) if chosen and chosen.noise > 0.0 else 0.0
        writes = n * (1.0 + min(beyond / max(1e-9, 1.0 - beyond), most_writes - 1.0))
        if known is None:
            writes += look_writes(guard) * int(subset(n, seed).sum())
        reads = guard.capabilities.read_cost * ((chosen.repeats if chosen else 1) * (1 + ROUNDS))
        cells_a_write = 1.0 if unit is None else unit.cell_writes / n
        return Plan(
            device=guard.info.url,
            emulated=guard.info.emulated,
            cells=n,
            clipped=clipped,
            stuck=None if stuck is None else int((stuck.misses(targets) > (chosen.value if chosen else 0.0)).sum()),
            cell_writes=round(writes * cells_a_write),
            device_seconds=None if unit is None else writes / n * unit.device_seconds + reads.device_seconds,
            joules=None if unit is None else writes / n * unit.joules + reads.joules,
            tolerance=None if chosen is None else chosen.value,
            repeats=None if chosen is None else chosen.repeats,
            rms_error=None if chosen is None else chosen.residual,
            known_from=where,
        )
    finally:
        stand.close()


def _noise(
    guard: GuardedDevice, profile: Profile | None, targets: Array, seed: int
) -> tuple[tuple[ReadError, float] | None, Cost | None, str]:
    """Error of reading and what a write leaves; what writing all cells once takes; and where that is known from."""
    read = None if profile is None else ReadError.of(profile)
    residual = None if profile is None else residual_of(profile)
    noise = None if read is None or residual is None else (read, residual)
    unit: Cost | None = None
    told = ["the profile"] if noise is not None else []
    emulation = guard.emulation
    if emulation is not None:
        found = emulation.snapshot()
        try:
            unit = guard.program(guard.parameters.clip(targets))
            if noise is None:
                noise = look(guard, targets, subset(len(targets), seed))
        finally:
            emulation.restore(found)
        told.append("a try on the emulated device, which was put back")
    elif profile is not None:
        spent = profile.manifest.spent
        writes = spent.get("cell_writes", 0.0)
        if writes > 0:  # an upper bound: what it measured is in it
            n = len(targets)
            unit = Cost(
                cell_writes=n,
                device_seconds=float(np.nan_to_num(spent.get("device_seconds", 0.0))) * n / writes,
                joules=float(np.nan_to_num(spent.get("joules", 0.0))) * n / writes,
            )
            told.append("what its calibration took, which is an upper bound")
    return noise, unit, "; ".join(told) or "nothing: calibrate the device, and name its profile with --profile"
