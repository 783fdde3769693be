"""Calibrating a device, and checking whether it is still what its profile says."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import cast

import numpy as np
from threadpoolctl import threadpool_limits  # pyright: ignore[reportMissingTypeStubs]

from hwzo.data.task import Task
from hwzo.device import Device
from hwzo.errors import ConfigError, DeviceError, FileError
from hwzo.noise.analysis import analyse
from hwzo.noise.check import CHECKED, SHARE, Comparison, compare
from hwzo.noise.journal import Journal
from hwzo.noise.measurements import Measurement, measurements
from hwzo.noise.profile import DeviceRecord, Manifest, Profile
from hwzo.say import Say
from hwzo.train.budget import Budget
from hwzo.train.campaign import Campaign, Progress, Watch
from hwzo.train.guard import GuardedDevice
from hwzo.train.stand import open_stand

HOTTEST_K = 2000.0
"""Above this nothing that computes is solid: a temperature is mistyped."""

__all__ = ["Progress", "Watch", "calibrate", "check"]


def calibrate(
    device: str | Device,
    output: Path | None = None,
    *,
    task: str | Task | None = None,
    budget: str | None = None,
    seed: int = 0,
    date: str | None = None,
    temperature_k: float | None = None,
    only: frozenset[str] | None = None,
    share: float = 1.0,
    against: Profile | None = None,
    watch: Watch | None = None,
    say: Say = lambda text: None,
) -> Profile:
    """Measure a device's noise.

    Args:
        device: a device URL, or an open device, which stays open.
        output: the profile's file; readings are kept beside it as they come, and a calibration that was killed goes on
            when it is called again with the same arguments. None: nothing is written.
        task: whose samples are evaluated, and whose network and window a device takes on; None: random samples.
        budget: see `Budget.parse`; None: what the measurements take.
        seed: of what is programmed and commanded, and of an emulated device whose URL sets none.
        date: when this is, for the profile.
        temperature_k: of the device, for the profile; above 0 and up to `HOTTEST_K`.
        only: names of measurements, and those they need; None: all.
        share: factor on how often each measurement is repeated.
        against: a profile that must be of this device.
        watch, say: are shown progress, and told what a user should know.

    Raises:
        ConfigError: arguments that can't be used, or a budget that allows nothing.
        DeviceError: the device is absent, lost, or dead.
        FileError: the profile can't be written, or its readings are damaged.
    """
    limits = Budget.parse(budget) if budget is not None else None
    if temperature_k is not None and not 0.0 < temperature_k <= HOTTEST_K:
        raise ConfigError(
            f"temperature = {temperature_k:g}: should be in kelvin, above 0 and up to {HOTTEST_K:g}; room temperature "
            "is about 295",
            key="temperature",
        )
    if isinstance(seed, bool) or not 0 <= seed < 2**32:
        raise ConfigError(f"seed={seed!r}: should be a whole number from 0 to 4294967295", key="seed")
    if output is not None and output.is_dir():
        raise ConfigError(f"output = {str(output)!r} is a folder; name a file, such as profile.h5", key="output")
    with ExitStack() as last:
        journal = None
        if output is not None:
            journal = Journal(output)
            last.callback(journal.close)
        stand = open_stand(device, task, seed)
        last.callback(stand.close)
        guard = stand.device
        if against is not None:
            against.check_device(guard)
        about = {
            "device": DeviceRecord.of(guard).model_dump(mode="json"),
            "task": stand.task,
            "budget": budget,
            "seed": seed,
        }
        if journal is not None:
            journal.describe(about)
        with _going_on(journal, say), threadpool_limits(1), np.errstate(all="ignore"):
            campaign = Campaign(stand, seed, limits, journal, watch, say)
            readings = campaign.run(_chosen(guard, only), share)
        manifest = Manifest(
            device=DeviceRecord.of(guard),
            hwzo=version("hwzo"),
            date=date,
            temperature_k=temperature_k,
            seed=seed,
            task=stand.task,
            budget=budget,
            spent=campaign.tally.account,
            rounds=campaign.rounds,
            left_out=campaign.left_out,
            warnings=tuple(campaign.warnings),
        )
        profile = Profile.made(manifest, analyse(readings, guard.capabilities.network), readings)
        if output is not None:
            try:
                profile = replace(profile, path=profile.save(output))
            except FileError as error:
                kept = f"what was measured is kept in {output}.part: make room, or make the folder writable"
                raise FileError(f"{error}; {kept}; then the same command writes it", key="output") from error
        if journal is not None:
            journal.discard()
        return profile


@contextmanager
def _going_on(journal: Journal | None, say: Say) -> Generator[None]:
    """Tell how a calibration goes on after its device failed: by the same command, unlike a run."""
    try:
        yield
    except DeviceError as error:
        error.args = tuple(
            arg.replace("go on with --resume", "try again") if isinstance(arg, str) else arg
            for arg in cast("tuple[object, ...]", error.args)
        )
        if journal is not None and (done := [entry.name for entry in journal.entries()]):
            say(f"what was measured is kept in {journal.folder}: {', '.join(done)}; the same command goes on after it")
        raise


def _chosen(guard: GuardedDevice, only: frozenset[str] | None) -> list[Measurement]:
    every = measurements(guard)
    if only is None:
        return every
    needed = only | {name for measurement in every if measurement.name in only for name in measurement.needs}
    return [measurement for measurement in every if measurement.name in needed]


def check(
    device: str | Device,
    profile: Profile,
    output: Path | None = None,
    *,
    budget: str | None = None,
    date: str | None = None,
    watch: Watch | None = None,
    say: Say = lambda text: None,
) -> tuple[Profile, list[Comparison]]:
    """Measure a part of a profile again, at the same parameters and on the same samples, and compare.

    Args:
        device: a device URL, or an open device.
        profile: what it was.
        output: where the new, smaller profile is written; None: nowhere.
        budget, date, watch, say: see `calibrate`.

    Returns:
        The new profile, and a comparison of every quantity that both have.

    Raises:
        ConfigError: the profile is of another device, or of another shape, shows both; or nothing can be compared.
    """
    manifest = profile.manifest
    now = calibrate(
        device,
        output,
        task=manifest.task,
        budget=budget,
        seed=manifest.seed,
        date=date,
        temperature_k=manifest.temperature_k,
        only=CHECKED,
        share=SHARE,
        against=profile,
        watch=watch,
        say=say,
    )
    compared = compare(profile.quantities, now.quantities)
    if not compared:
        raise ConfigError(
            f"nothing of profile {profile.path} could be compared: it holds {_named(profile)}, and this check measured "
            f"{_named(now)}; give a larger budget, or calibrate again",
            key="budget" if budget is not None else "check",
        )
    return now, compared


def _named(profile: Profile) -> str:
    return ", ".join(profile.quantities) or "no quantity"
