"""What stands between a run and its device: adds up costs, refuses numbers that aren't, and ends a call that hangs."""

from __future__ import annotations

import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType

import numpy as np
from numpy.typing import NDArray

from hwzo.device import Capabilities, Device, DeviceInfo, EmulatedDevice, Update
from hwzo.errors import DeviceError, DeviceTimeoutError, HwzoError, MeasurementError
from hwzo.parameters import Array, ParameterSpec
from hwzo.probes import Batch, Cost, Probes, Readings


class GuardedDevice:
    """A `Device` around another.

    Args:
        device: the one that does the work.
        timeout_s: the longest a call may take; None: as its capabilities say. Kept by SIGALRM, hence in the main
            thread of a Unix process only; elsewhere the backend's own timeout stands alone.
    """

    def __init__(self, device: Device, timeout_s: float | None = None) -> None:
        self.device = device
        self.info: DeviceInfo = device.info
        self.capabilities: Capabilities = device.capabilities
        self.parameters: ParameterSpec = device.parameters
        self.timeout_s = timeout_s or self.capabilities.timeout_s
        self.cost = Cost()
        self._alarm = threading.current_thread() is threading.main_thread() and hasattr(signal, "setitimer")
        if self._alarm:
            signal.signal(signal.SIGALRM, self._too_late)

    def program(self, theta: Array, *, mask: NDArray[np.bool_] | None = None) -> Cost:
        """See `Device.program`."""
        theta = self.parameters.check(theta)
        with self._watched("program"):
            return self._count(self.device.program(theta, mask=mask))

    def measure(self, probes: Probes, batch: Batch) -> Readings:
        """See `Device.measure`.

        Raises:
            MeasurementError: a loss isn't finite, or there are too few.
        """
        with self._watched("measure"):
            readings = self.device.measure(probes, batch)
        self._count(readings.cost)
        losses = readings.losses
        if losses.shape != (len(probes),):
            raise MeasurementError(
                f"{self.info} returned losses of shape {losses.shape} for {len(probes)} probes; expected one each"
            )
        arrays: list[Array | None] = [losses, readings.realised, *(readings.nodes or (readings.outputs,))]
        for array in arrays:
            # A sum is finite only if every term is (an overflow aside, which is no measurement either).
            if array is not None and not np.isfinite(np.sum(array)):
                bad = int(array.size - np.count_nonzero(np.isfinite(array)))
                raise MeasurementError(
                    f"{self.info} returned {bad} of {array.size} values that are not finite numbers; nothing was "
                    "learned from them; check the device, then go on with --resume"
                )
        return readings

    def apply(self, update: Update) -> Cost:
        """See `Device.apply`."""
        with self._watched("apply"):
            return self._count(self.device.apply(update))

    def read(self, repeats: int = 1) -> Array:
        """See `Device.read`."""
        with self._watched("read"):
            values = self.device.read(repeats)
        self._count(self.capabilities.read_cost * repeats)
        return values

    def close(self) -> None:
        """See `Device.close`."""
        with self._watched("close"):
            self.device.close()

    @property
    def emulation(self) -> EmulatedDevice | None:
        """The device as an emulated one, if its state can be saved."""
        return self.device if self.capabilities.snapshot and isinstance(self.device, EmulatedDevice) else None

    def _count(self, cost: Cost) -> Cost:
        self.cost = self.cost + cost
        return cost

    def _too_late(self, number: int, frame: FrameType | None) -> None:
        raise DeviceTimeoutError(
            f"{self.info} did not answer within {self.timeout_s:g} s; check the link, or allow more with "
            "--set timeout_s=SECONDS"
        )

    @contextmanager
    def _watched(self, call: str) -> Generator[None]:
        if self._alarm:
            signal.setitimer(signal.ITIMER_REAL, self.timeout_s)
        try:
            yield
        except (HwzoError, KeyboardInterrupt):
            raise
        except Exception as error:  # a backend may fail in any way; the user must learn where
            raise DeviceError(f"{self.info} failed in {call}: {type(error).__name__}: {error}") from error
        finally:
            if self._alarm:
                signal.setitimer(signal.ITIMER_REAL, 0)
