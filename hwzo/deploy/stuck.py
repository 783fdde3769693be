"""Cells that don't go where they are written: how far each weight can still reach."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwzo.device import Device
from hwzo.noise.profile import Profile
from hwzo.noise.setup import on_grid, ranges
from hwzo.noise.stuck_cells import MISS
from hwzo.parameters import Array, ParameterSpec


@dataclass(frozen=True, eq=False)
class StuckCells:
    """What each pair of cells can still reach.

    In a differential pair one stuck cell leaves half of the range: its partner does the rest.

    Args:
        lowest, highest: (n,) ends of that range, in the device's weight units, cell by cell.
        stuck: (n,) True where either end was missed by more than a quarter of the whole range.
    """

    lowest: Array
    highest: Array
    stuck: NDArray[np.bool_]

    @classmethod
    def seen(cls, parameters: ParameterSpec, ends: Array, reached: Array) -> StuckCells:
        """From two ends (2, n) that were written, lower first, and what was read back there (2, n)."""
        missed = np.abs(reached - ends) > MISS * 0.5 * (ends[1] - ends[0])
        lowest = np.where(missed[0], reached[0], parameters.lower)
        highest = np.where(missed[1], reached[1], parameters.upper)
        return cls(np.minimum(lowest, highest), np.maximum(lowest, highest), missed.any(axis=0))

    @classmethod
    def of(cls, profile: Profile, parameters: ParameterSpec) -> StuckCells | None:
        """As a calibration of the device with those parameters saw it; None if it didn't look."""
        raw = profile.readings.get("ends")
        if raw is None or raw["ends"].shape != (2, parameters.size):
            return None
        return cls.seen(parameters, *(np.asarray(raw[name], dtype=np.float64) for name in ("ends", "reached")))

    @classmethod
    def measured(cls, device: Device, reads: int = 4) -> StuckCells:
        """Measured now: writes two ends of the range into every cell, and reads them back so many times.

        Raises:
            CapabilityError: the device doesn't read back its weights.
        """
        spec = device.parameters
        ends = np.stack([on_grid(spec, end) for end in ranges(spec)])
        reached: list[Array] = []
        for end in ends:
            device.program(end)
            reached.append(device.read(reads).mean(axis=0))
        return cls.seen(spec, ends, np.stack(reached))

    def misses(self, cells: Array) -> Array:
        """How far (n,) each of ``cells`` (n,) lies from what its pair can reach."""
        return np.abs(cells - np.minimum(np.maximum(cells, self.lowest), self.highest))
