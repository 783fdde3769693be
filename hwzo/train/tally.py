"""What a calibration has spent, what there is budget left for, and the device through which it is counted."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwzo.device import Update
from hwzo.noise.measurements import Measurement
from hwzo.parameters import Array
from hwzo.probes import Batch, Cost, Probes, Readings
from hwzo.train.budget import Budget, Spent
from hwzo.train.guard import GuardedDevice


class Tally:
    """Adds up what is asked of a device.

    Args:
        device: what it is asked of.
        budget: limits; None: none.
    """

    def __init__(self, device: GuardedDevice, budget: Budget | None) -> None:
        self._device, self._budget = device, budget
        self._spent = Spent()
        self._cost_before = Cost()  # of sessions before this one
        self._seconds_before = 0.0
        self._began = time.monotonic()
        self._program_writes = 0  # of one program of all parameters, the most seen

    @property
    def spent(self) -> Spent:
        """By now."""
        self._spent.cost = self._cost_before + self._device.cost
        self._spent.wall_seconds = self._seconds_before + time.monotonic() - self._began
        return self._spent

    def evaluated(self, probes: Probes) -> None:
        """Count loss readings."""
        self._spent.evaluations += len(probes)
        self._spent.commanded_probes += int(np.count_nonzero(probes.scales))

    def programmed(self, writes: int) -> None:
        """Learn what a program of all parameters takes."""
        self._program_writes = max(self._program_writes, writes)

    def refused(self, measurement: Measurement, rounds: int) -> str:
        """Why the budget doesn't allow so many rounds; "" if it does."""
        if self._budget is None:
            return ""
        spent = self.spent
        for unit, limit in self._budget.limits.items():
            left = limit - spent.of(unit)
            match unit:
                case "evaluations":
                    need = float(measurement.evaluations(rounds))
                case "writes":
                    writes = self._program_writes or 2 * self._device.parameters.size
                    need = float(measurement.programs(rounds) * writes)
                case "seconds":
                    need = measurement.waits
                case _:
                    need = 0.0
            if left <= 0:
                return (
                    f"the budget of {limit:g} {unit} is spent; at least {need:.4g} are needed"
                    if need
                    else f"the budget of {limit:g} {unit} is spent"
                )
            if need > left:
                return f"the budget of {limit:g} {unit} has {left:.4g} left; at least {need:.4g} are needed"
        return ""

    @property
    def account(self) -> dict[str, float]:
        """What was spent, by name, for a profile."""
        spent = self.spent
        return {
            "evaluations": spent.evaluations,
            "commanded_probes": spent.commanded_probes,
            "reads": spent.cost.reads,
            "cell_writes": spent.cost.cell_writes,
            "device_seconds": spent.cost.device_seconds,
            "joules": spent.cost.joules,
            "wall_seconds": spent.wall_seconds,
        }

    @property
    def state(self) -> dict[str, Any]:
        """All of it, as plain JSON."""
        return {"spent": self.account, "bytes": self.spent.cost.bytes, "program_writes": self._program_writes}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from there; the device counts from 0 again."""
        spent = state["spent"]
        self._spent.evaluations, self._spent.commanded_probes = (
            int(spent["evaluations"]),
            int(spent["commanded_probes"]),
        )
        self._cost_before = Cost(
            int(spent["reads"]),
            int(spent["cell_writes"]),
            int(state["bytes"]),
            float(spent["device_seconds"]),
            float(spent["joules"]),
        )
        self._seconds_before = float(spent["wall_seconds"])
        self._program_writes = int(state["program_writes"])


class CountedDevice:
    """The device as measurements see it."""

    def __init__(self, device: GuardedDevice, tally: Tally) -> None:
        self._device, self._tally = device, tally
        self.info, self.capabilities, self.parameters = device.info, device.capabilities, device.parameters

    def program(self, theta: Array, *, mask: NDArray[np.bool_] | None = None) -> Cost:
        """See `hwzo.device.Device.program`."""
        cost = self._device.program(theta, mask=mask)
        self._tally.programmed(cost.cell_writes)
        return cost

    def measure(self, probes: Probes, batch: Batch) -> Readings:
        """See `hwzo.device.Device.measure`."""
        readings = self._device.measure(probes, batch)
        self._tally.evaluated(probes)
        return readings

    def apply(self, update: Update) -> Cost:
        """See `hwzo.device.Device.apply`."""
        return self._device.apply(update)

    def read(self, repeats: int = 1) -> Array:
        """See `hwzo.device.Device.read`."""
        return self._device.read(repeats)

    def close(self) -> None:
        """Not theirs to close."""
