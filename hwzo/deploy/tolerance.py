"""How near a cell must come to its target, and how well a device can do it and tell it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwzo.device import Device
from hwzo.errors import CapabilityError, ConfigError
from hwzo.noise.profile import Profile
from hwzo.noise.read_error import resolution, unclipped, with_rounding
from hwzo.parameters import Array, ParameterSpec

DEVIATIONS = 3.0
"""The default tolerance, in standard deviations of what can't be helped: a normal law leaves 0.27% beyond it."""
MOST_REPEATS = 256
SUBSET = 64, 512
"""Cells that are written a few times to see what a write leaves: a quarter of all, but so many at least and at most."""
JUMP = 0.1
"""How far those cells are moved away in between, as a share of their range."""
EXACT = 1e-5
"""Of a device without any noise: the tolerance as a share of the range."""
SLACK = 0.95
"""A tolerance is refused below this part of what is reachable, which is a measured number itself."""


@dataclass(frozen=True)
class ReadError:
    """The error of one reading of one cell, weight units.

    Args:
        fresh: standard deviation of what is new in each repeat.
        kept: rms of what repeats don't average away: rounding that noise doesn't stir.
    """

    fresh: float
    kept: float

    def of_mean(self, repeats: int) -> float:
        """Rms error of a mean of so many reads."""
        return math.hypot(self.fresh / math.sqrt(repeats), self.kept)

    def repeats_below(self, error: float) -> int | None:
        """The fewest repeats whose mean has at most that rms error; None if even `MOST_REPEATS` don't."""
        if self.of_mean(MOST_REPEATS) > error:
            return None
        if self.fresh <= 0.0:
            return 1
        return max(1, math.ceil(self.fresh**2 / (error**2 - self.kept**2) - 1e-9)) if error > self.kept else None

    @classmethod
    def seen(cls, reads: Array) -> ReadError:
        """From reads (repeats, n) of one state."""
        reads = reads[:, unclipped(reads)]
        variance = float(np.var(reads, axis=0, ddof=1).mean())
        step = resolution(reads)
        return cls(math.sqrt(variance), math.sqrt(max(with_rounding(variance, step) - variance, 0.0)))

    @classmethod
    def of(cls, profile: Profile) -> ReadError | None:
        """As a calibration found it; None if it didn't look."""
        found, step = profile.quantities.get("read_error_sd"), profile.quantities.get("read_resolution")
        if found is None:
            return None
        total, q = found.value**2, 0.0 if step is None else step.value
        # An upper bound of rounding's share that stays, see `hwzo.noise.read_error.estimate`: every term of its sum
        # has at most the first one's exponential.
        own = max(total - q**2 / 12.0, 0.0)
        kept = min(total, q**2 / 12.0 * math.exp(-4.0 * math.pi**2 * own / q**2)) if q > 0.0 else 0.0
        return cls(math.sqrt(total - kept), math.sqrt(kept))


@dataclass(frozen=True)
class Tolerance:
    """How near is near enough, weight units of the device's cells.

    Args:
        value: a cell is right if what is read of it, a mean of ``repeats`` reads, is no further from its target.
        repeats: reads that are averaged.
        read_error: standard deviation of that mean.
        residual: standard deviation that a write leaves, and what else differs from look to look.
        verified_writes: whether the residual is what the device's own iterative programming leaves.
    """

    value: float
    repeats: int
    read_error: float
    residual: float
    verified_writes: bool = False

    @property
    def noise(self) -> float:
        """Standard deviation of what is read after a write, about where the write aimed."""
        return math.hypot(self.read_error, self.residual)


def choose_tolerance(
    value: float | None, read: ReadError, residual: float, parameters: ParameterSpec, *, verified_writes: bool
) -> Tolerance:
    """The tolerance, and how often is read for it: by default three standard deviations of what can't be helped.

    The averaged read error is kept below a third of the tolerance. Where a write ends with the device's own iterative
    programming, a tolerance below three standard deviations is refused: meeting it would be picking noise, not
    shrinking it.

    Args:
        value: as the user wants it, weight units; None: the default.
        read: error of reading.
        residual: standard deviation that a write leaves, weight units.
        parameters: the device's, whose steps and ranges count.
        verified_writes: see `hwzo.device.Capabilities`.

    Raises:
        ConfigError: tighter than the device can verify; says what is reachable.
    """
    step = max((tensor.resolution for tensor in parameters.tensors), default=0.0)
    low, high = parameters.lower, parameters.upper
    wide = float(np.max((high - low)[np.isfinite(high - low)], initial=0.0)) or 1.0
    floor = EXACT * wide + 0.5 * step

    def least(repeats: int) -> float:
        own = math.hypot(read.of_mean(repeats), residual) if verified_writes else read.of_mean(repeats)
        return DEVIATIONS * own + 0.5 * step

    if value is None:
        # Averaged until it adds little to the residual; where there is no residual, as far as is cheap.
        repeats = (read.repeats_below(0.5 * residual) if residual > 0.0 else 16 if read.fresh > 0.0 else 1) or 64
        repeats = min(repeats, 64)
        value = DEVIATIONS * math.hypot(read.of_mean(repeats), residual) + floor
        return Tolerance(value, repeats, read.of_mean(repeats), residual, verified_writes)
    if isinstance(value, bool) or not (math.isfinite(value) and value > 0.0):
        raise ConfigError(f"tolerance = {value!r} must be above 0 and finite, in weight units", key="tolerance")
    reachable = least(MOST_REPEATS)
    if value < SLACK * reachable:
        why = (
            f"a write leaves {residual:.3g}, after the device's own verification, and {MOST_REPEATS} reads "
            f"{read.of_mean(MOST_REPEATS):.3g}"
            if verified_writes
            else f"a mean of {MOST_REPEATS} reads has an error of {read.of_mean(MOST_REPEATS):.3g}"
        )
        raise ConfigError(
            f"tolerance = {value:g} is tighter than this device can verify: {why} (standard deviations, weight units"
            + (f", steps of {step:.3g}" if step else "")
            + f"); reachable is {reachable:.3g}, three of them; take that or more, or leave the tolerance out",
            key="tolerance",
        )
    repeats = read.repeats_below(value / DEVIATIONS) or MOST_REPEATS
    while verified_writes and repeats < MOST_REPEATS and value < least(repeats):
        repeats += 1
    return Tolerance(value, repeats, read.of_mean(repeats), residual, verified_writes)


def residual_of(profile: Profile) -> float | None:
    """What a write leaves and what else differs from look to look, as a calibration found it, weight units; None if
    it didn't look."""
    programming = profile.quantities.get("programming_noise_sd")
    own = profile.quantities.get("parameter_noise_sigma")
    if programming is None:
        return None
    return math.hypot(programming.value, 0.0 if own is None else own.value)


def subset(n: int, seed: int) -> NDArray[np.bool_]:
    """(n,) the cells that are written a few times to see what a write leaves."""
    where = np.zeros(n, dtype=np.bool_)
    where[
        np.random.default_rng([seed, 7]).choice(n, size=min(n, max(SUBSET[0], min(n // 4, SUBSET[1]))), replace=False)
    ] = True
    return where


def look_writes(device: Device) -> int:
    """How often `look` writes a cell."""
    return 2 if device.capabilities.verified_writes else 3


def look(device: Device, targets: Array, where: NDArray[np.bool_], reads: int = 8) -> tuple[ReadError, float]:
    """Measure the error of reading, and what a write leaves: writes the cells ``where`` `look_writes` times.

    They are written to their targets twice: what the two visits differ by is noise of writing, and of anything else
    that is new at each look; what is wrong in the same way at both is not, since it can be corrected. In between they
    are moved away, unless a write is verified by the device: cells programmed by pulses wouldn't get any otherwise.

    Args:
        device: reads back its weights.
        targets: (n,) weight units.
        where: (n,) the cells.
        reads: at each visit.

    Returns:
        The error of one reading, and the residual, weight units.

    Raises:
        CapabilityError: the device doesn't read back its weights.
    """
    if not device.capabilities.reads_back("weights"):
        raise CapabilityError(f"{device.info} doesn't read back its weights")
    spec = device.parameters
    low, high = np.maximum(spec.lower, -1e6), np.minimum(spec.upper, 1e6)
    inward = np.where(targets > 0.5 * (low + high), -1.0, 1.0)
    away = spec.clip(targets + JUMP * np.minimum(high - low, 2.0 * np.maximum(1.0, np.abs(targets))) * inward)
    visits: list[Array] = []
    for asked in (targets, targets) if look_writes(device) == 2 else (targets, away, targets):
        device.program(asked, mask=where)
        visits.append(device.read(reads)[:, where])
    read = ReadError.seen(visits[0])
    apart = visits[-1].mean(axis=0) - visits[0].mean(axis=0)
    square = 0.5 * float(np.square(apart).mean()) - read.fresh**2 / reads
    return read, math.sqrt(max(square, 0.0))
