"""Watching a device while it is trained on: the cheap part of its calibration again, now and then.

What was calibrated is a device's noise at known parameters, on known samples. So these are written, measured, and
compared with the profile; then training goes on where it was. A device that moved is re-read, calibrated anew, or left.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from hwzo.data.task import Task
from hwzo.errors import ConfigError, FileError
from hwzo.noise.analysis import analyse
from hwzo.noise.check import Comparison, compare
from hwzo.noise.measurements import Measurement, measurements
from hwzo.noise.profile import DeviceRecord, Manifest, Profile
from hwzo.probes import Batch
from hwzo.train.bench import Bench
from hwzo.train.campaign import Campaign
from hwzo.train.config import Reaction, TrainConfig
from hwzo.train.folder import RunFolder
from hwzo.train.guard import GuardedDevice
from hwzo.train.stand import Stand, samples_of

CHEAP = frozenset({"loss", "read error", "parameters", "nodes"})
"""Measurements that are repeated: they take two or three writes of all parameters, and no waiting."""
SHARE = 0.25
"""How often, of the usual."""
ALPHA = 1e-4
"""Chance that a look at a device which hasn't changed finds anything moved: of 100 looks, any does once in 100 runs."""


@dataclass(frozen=True)
class Sight:
    """What a look found.

    Args:
        compared: each quantity, then and now.
        evaluations, commanded: loss readings that it took.
    """

    compared: list[Comparison]
    evaluations: int
    commanded: int

    @property
    def moved(self) -> list[Comparison]:
        """What isn't what it was."""
        return [comparison for comparison in self.compared if comparison.moved]

    def __str__(self) -> str:
        if not self.moved:
            return f"none of {len(self.compared)} quantities moved"
        told = [
            f"{c.name} from {c.before.value:.3g} to {c.now.value:.3g} ({c.standard_errors:.2g} standard errors)"
            for c in self.moved
        ]
        return f"{len(self.moved)} of {len(self.compared)} quantities moved: {', '.join(told)}"


@dataclass
class Lookout:
    """Looks after one run's device.

    Args:
        profile: what the device was when it was calibrated.
        batch: the samples of then.
        reaction: to a device that moved.
        every: evaluations between two looks.
        stopped: the device moved, and the reaction is to stop.
    """

    profile: Profile
    batch: Batch
    reaction: Reaction
    every: int
    stopped: bool = False
    _looked: int | None = field(default=None, repr=False)

    @classmethod
    def of(
        cls, profile: Profile, device: GuardedDevice, reaction: Reaction, every: int, task: Task, name: str
    ) -> Lookout:
        """For a run of ``task``, called ``name``, on a device.

        Raises:
            ConfigError: the profile is of another device, or holds nothing to compare with.
        """
        profile.check_device(device)
        manifest = profile.manifest
        given = task if manifest.task == name else None
        made = cls(profile, samples_of(device, given or manifest.task, manifest.seed), reaction, every)
        if not any(measurement.name in profile.manifest.rounds for measurement in made._measurements(device)):
            raise ConfigError(
                f"on_drift = {reaction!r}: profile {profile.path} holds none of the measurements that are repeated, "
                f"{', '.join(sorted(CHEAP))}; calibrate with a larger budget",
                key="on_drift",
            )
        return made

    def due(self, evaluations: int) -> bool:
        """Whether it is time for a look, after so many evaluations; the first call begins to count."""
        before, self._looked = self._looked, evaluations
        return before is not None and evaluations // self.every > before // self.every

    def look(self, device: GuardedDevice) -> Sight:
        """Measure; the device then holds the profile's start parameters.

        Raises:
            DeviceError: the device failed, or is dead.
        """
        campaign = self._campaign(device)
        with np.errstate(all="ignore"):
            readings = campaign.run(self._measurements(device), SHARE, leave=False)
        found = analyse(readings, device.capabilities.network)
        compared = compare(self.profile.quantities, found.quantities, alpha=ALPHA)
        spent = campaign.tally.spent
        self.stopped = self.reaction == "stop" and any(comparison.moved for comparison in compared)
        return Sight(compared, spent.evaluations, spent.commanded_probes)

    def calibrate(self, device: GuardedDevice) -> tuple[int, int]:
        """A new profile of the device as it is now, drift left out; (evaluations, how many were commanded)."""
        manifest = self.profile.manifest
        campaign = self._campaign(device)
        chosen = [measurement for measurement in measurements(device) if measurement.name in manifest.rounds]
        with np.errstate(all="ignore"):
            readings = campaign.run([m for m in chosen if m.name != "drift"], leave=False)
        fresh = Manifest(
            device=DeviceRecord.of(device),
            hwzo=manifest.hwzo,
            temperature_k=manifest.temperature_k,
            seed=manifest.seed,
            task=manifest.task,
            spent=campaign.tally.account,
            rounds=campaign.rounds,
            left_out={**campaign.left_out, "drift_exponent": "it isn't waited for while a run goes on"},
            warnings=tuple(campaign.warnings),
        )
        self.profile = Profile.made(fresh, analyse(readings, device.capabilities.network), readings)
        spent = campaign.tally.spent
        return spent.evaluations, spent.commanded_probes

    # --- the run's folder ---

    def save(self, folder: Path, t: int) -> None:
        """Keep the profile with which looks after step t compare."""
        path = folder / f"profile-{t:09d}.h5"
        self.profile = replace(self.profile, path=self.profile.save(path))

    @staticmethod
    def profile_of(folder: Path, t: int) -> Profile:
        """The profile that a run compared with at step t.

        Raises:
            FileError: it is gone, or damaged.
        """
        paths = [path for path in sorted(folder.glob("profile-*.h5")) if path.stem <= f"profile-{t:09d}"]
        if not paths:
            raise FileError(
                f"run {folder} watches its device, and its profile {folder / f'profile-{0:09d}.h5'} is gone; put it "
                "back: without it there is nothing to compare with"
            )
        return Profile.load(paths[-1])

    # --- what is measured ---

    def _campaign(self, device: GuardedDevice) -> Campaign:
        manifest = self.profile.manifest
        return Campaign(Stand(device, self.batch, manifest.task, ours=False), manifest.seed, None)

    def _measurements(self, device: GuardedDevice) -> list[Measurement]:
        taken = self.profile.manifest.rounds
        return [m for m in measurements(device) if m.name in CHEAP and m.name in taken]


def lookout_of(
    config: TrainConfig, folder: RunFolder, bench: Bench, t: int, profile: Profile | None = None
) -> Lookout | None:
    """That of a run, if it has one: with the profile given, or with the one that it compared with at step t.

    Raises:
        ConfigError: the profile is of another device.
        FileError: the run's profile is gone, or damaged.
    """
    if config.on_drift is None:
        return None
    known = Lookout.profile_of(folder.path, t) if profile is None else profile
    return Lookout.of(known, bench.device, config.on_drift, config.check_every, bench.task, config.task)
