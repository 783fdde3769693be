"""A device whose writes are counted, cell by cell."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hwzo.device import Update
from hwzo.parameters import Array
from hwzo.probes import Batch, Cost, Probes, Readings
from hwzo.train.guard import GuardedDevice


class Counted:
    """A device of which is counted how often each cell is written; only what a look at its noise needs.

    Args:
        device: does the work.
    """

    def __init__(self, device: GuardedDevice) -> None:
        self.device = device
        self.info, self.capabilities, self.parameters = device.info, device.capabilities, device.parameters
        self.writes: NDArray[np.int64] = np.zeros(device.parameters.size, dtype=np.int64)

    def program(self, theta: Array, *, mask: NDArray[np.bool_] | None = None) -> Cost:
        """See `Device.program`."""
        self.writes += 1 if mask is None else mask
        return self.device.program(theta, mask=mask)

    def measure(self, probes: Probes, batch: Batch) -> Readings:
        """See `Device.measure`."""
        return self.device.measure(probes, batch)

    def apply(self, update: Update) -> Cost:
        """See `Device.apply`."""
        self.writes += update.step != 0
        return self.device.apply(update)

    def read(self, repeats: int = 1) -> Array:
        """See `Device.read`."""
        return self.device.read(repeats)

    def close(self) -> None:
        """Not ours to close."""
