"""A device that fails on purpose at a chosen measurement, to test what stands around a device."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Literal, cast

import numpy as np
from numpy.typing import NDArray

from hwzo.device import Capabilities, Device, DeviceInfo, EmulatedDevice, GainedDevice, Update
from hwzo.errors import ConfigError, DeviceError
from hwzo.parameters import Array, ParameterSpec
from hwzo.probes import Batch, Cost, Probes, Readings

Fault = Literal["nan", "raise", "hang"]


class FaultyDevice:
    """Delegates everything to a real device, and fails at its ``after``-th call of ``measure`` (the first is 1).

    The calls before and after that one are the device's own, so that a run can be resumed on the same object.

    Args:
        device: does the work.
        after: which call fails.
        fault: ``"nan"``: the losses are NaN; ``"raise"``: ``error`` is raised before the device is asked; ``"hang"``:
            sleeps ``hang_s`` seconds, then answers.
        error: what ``"raise"`` raises; default a `DeviceError`. An `OSError` stands for a pulled plug.
        hang_s: how long ``"hang"`` sleeps; default ten times the device's declared timeout.

    Raises:
        ConfigError: ``after`` below 1.
    """

    def __init__(
        self,
        device: Device,
        *,
        after: int,
        fault: Fault = "raise",
        error: Exception | None = None,
        hang_s: float | None = None,
    ) -> None:
        if after < 1:
            raise ConfigError(f"after={after}: the first measurement is 1", key="after")
        self.device, self.after, self.fault = device, after, fault
        self.error = error if error is not None else DeviceError(f"the device was lost at measurement {after}")
        self.hang_s = hang_s if hang_s is not None else 10 * device.capabilities.timeout_s
        self.measured = 0
        """How many times ``measure`` was called."""

    @property
    def info(self) -> DeviceInfo:
        """The device's own."""
        return self.device.info

    @property
    def capabilities(self) -> Capabilities:
        """The device's own."""
        return self.device.capabilities

    @property
    def parameters(self) -> ParameterSpec:
        """The device's own."""
        return self.device.parameters

    def program(self, theta: Array, *, mask: NDArray[np.bool_] | None = None) -> Cost:
        """As the device does."""
        return self.device.program(theta, mask=mask)

    def measure(self, probes: Probes, batch: Batch) -> Readings:
        """As the device does, but for the one call that fails."""
        self.measured += 1
        if self.measured != self.after:
            return self.device.measure(probes, batch)
        if self.fault == "raise":
            raise self.error
        if self.fault == "hang":
            time.sleep(self.hang_s)
            return self.device.measure(probes, batch)
        readings = self.device.measure(probes, batch)
        return replace(readings, losses=np.full_like(readings.losses, np.nan))

    def apply(self, update: Update) -> Cost:
        """As the device does."""
        return self.device.apply(update)

    def read(self, repeats: int = 1) -> Array:
        """As the device does."""
        return self.device.read(repeats)

    @property
    def gains(self) -> Array:
        """The device's own, if it has any."""
        return cast(GainedDevice, self.device).gains

    def set_gains(self, gains: Array) -> None:
        """As the device does, if it has gains."""
        cast(GainedDevice, self.device).set_gains(gains)

    def close(self) -> None:
        """As the device does."""
        self.device.close()

    def snapshot(self) -> bytes:
        """As the device does, if it is emulated."""
        return cast(EmulatedDevice, self.device).snapshot()

    def restore(self, state: bytes) -> None:
        """As the device does, if it is emulated; the count of measurements goes on."""
        cast(EmulatedDevice, self.device).restore(state)

    def advance(self, seconds: float) -> None:
        """As the device does, if it is emulated."""
        cast(EmulatedDevice, self.device).advance(seconds)
