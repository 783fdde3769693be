"""What stands between a run and its device: adds up costs, refuses numbers that aren't, and ends a call that hangs."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
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
            thread of a Unix process only; elsewhere the backend's own timeout stands alone. An alarm that somebody else
            had set goes on afterwards.
    """

    def __init__(self, device: Device, timeout_s: float | None = None) -> None:
        self.device = device
        self.info: DeviceInfo = device.info
        self.capabilities: Capabilities = device.capabilities
        self.parameters: ParameterSpec = device.parameters
        self.timeout_s = timeout_s or self.capabilities.timeout_s
        self.cost = Cost()
        self._alarm = threading.current_thread() is threading.main_thread() and hasattr(signal, "setitimer")
        self._watching = False
        self._handler = signal.signal(signal.SIGALRM, self._too_late) if self._alarm else None

    def program(self, theta: Array, *, mask: NDArray[np.bool_] | None = None) -> Cost:
        """See `Device.program`."""
        theta = self.parameters.check(theta)
        with self._watched("program"):
            return self._count(self.device.program(theta, mask=mask))

    def measure(self, probes: Probes, batch: Batch) -> Readings:
        """See `Device.measure`; more probes than the device takes in one call go out in several.

        Raises:
            MeasurementError: what came back isn't readings, isn't finite, or is too little.
        """
        most, k = self.capabilities.max_probes, len(probes)
        if k <= most:
            return self._measured(probes, batch)
        return _joined([self._measured(probes.part(start, min(start + most, k)), batch) for start in range(0, k, most)])

    def _measured(self, probes: Probes, batch: Batch) -> Readings:
        with self._watched("measure"):
            readings = self.device.measure(probes, batch)
            losses = np.asarray(readings.losses, dtype=np.float64)
            self._count(readings.cost)
        if losses is not readings.losses:
            readings = replace(readings, losses=losses)
        if losses.shape != (len(probes),):
            raise MeasurementError(
                f"{self.info} returned losses of shape {losses.shape} for {len(probes)} probes; expected one each"
            )
        arrays: list[Array | None] = [losses, readings.realised, *(readings.nodes or (readings.outputs,))]
        for array in arrays:
            if array is not None:
                self._check_finite(array)
        return readings

    def apply(self, update: Update) -> Cost:
        """See `Device.apply`."""
        with self._watched("apply"):
            return self._count(self.device.apply(update))

    def read(self, repeats: int = 1) -> Array:
        """See `Device.read`."""
        with self._watched("read"):
            values = np.asarray(self.device.read(repeats), dtype=np.float64)
        self._count(self.capabilities.read_cost * repeats)
        if values.shape != (repeats, self.parameters.size):
            raise MeasurementError(
                f"{self.info} read back an array of shape {values.shape}, expected {(repeats, self.parameters.size)}"
            )
        self._check_finite(values)
        return values

    def close(self) -> None:
        """See `Device.close`."""
        with self._watched("close"):
            self.device.close()
        self.release()

    def release(self) -> None:
        """Give SIGALRM back, without closing the device; calls are no longer timed."""
        if self._alarm:
            self._alarm = False
            signal.signal(signal.SIGALRM, self._handler if self._handler is not None else signal.SIG_DFL)

    @property
    def gives_outputs(self) -> bool:
        """True if outputs come back, from which an accuracy can be told; a black box may read back weights without."""
        can = self.capabilities
        return can.reads_back("outputs") and (can.network is not None or can.readback != "weights")

    @property
    def emulation(self) -> EmulatedDevice | None:
        """The device as an emulated one, if its state can be saved."""
        return self.device if self.capabilities.snapshot and isinstance(self.device, EmulatedDevice) else None

    def _check_finite(self, array: Array) -> None:
        # The sum of squares is finite only if every term is (an overflow aside: 1e154 is no measurement either).
        if not math.isfinite(np.vdot(array, array)):
            bad = int(np.count_nonzero(~(np.abs(array) < 1e150)))
            raise MeasurementError(
                f"{self.info} returned {bad} of {array.size} values that are not finite numbers; nothing was "
                "learned from them; check the device, then go on with --resume"
            )

    def _count(self, cost: Cost) -> Cost:
        self.cost = self.cost + cost
        return cost

    def _too_late(self, number: int, frame: FrameType | None) -> None:
        if not self._watching:  # somebody else's alarm, between two calls
            if callable(self._handler):
                self._handler(number, frame)
            return
        raise DeviceTimeoutError(
            f"{self.info} did not answer within {self.timeout_s:g} s; check the link, or allow more with "
            "--set timeout_s=SECONDS"
        )

    @contextmanager
    def _watched(self, call: str) -> Generator[None]:
        timed, begun, left, interval = self._alarm, 0.0, 0.0, 0.0
        if timed:
            begun, self._watching = time.monotonic(), True
            left, interval = signal.setitimer(signal.ITIMER_REAL, self.timeout_s)
        try:
            yield
        except (HwzoError, KeyboardInterrupt):
            raise
        except Exception as error:  # a backend may fail in any way; the user must learn where
            raise DeviceError(f"{self.info} failed in {call}: {type(error).__name__}: {error}") from error
        finally:
            if timed:
                signal.setitimer(signal.ITIMER_REAL, 0)
                self._watching = False
                if left:
                    signal.setitimer(signal.ITIMER_REAL, max(1e-3, left - (time.monotonic() - begun)), interval)


def _joined(parts: list[Readings]) -> Readings:
    first = parts[0]
    cost = first.cost
    for part in parts[1:]:
        cost = cost + part.cost

    def along_probes(arrays: list[Array | None]) -> Array | None:
        there = [array for array in arrays if array is not None]
        return np.concatenate(there) if len(there) == len(parts) else None

    nodes = [part.nodes for part in parts if part.nodes is not None]
    return Readings(
        np.concatenate([part.losses for part in parts]),
        along_probes([part.outputs for part in parts]),
        tuple(np.concatenate(layer) for layer in zip(*nodes, strict=True)) if len(nodes) == len(parts) else None,
        along_probes([part.realised for part in parts]),
        cost,
    )
