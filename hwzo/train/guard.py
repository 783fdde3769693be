"""What stands between a run and its device: adds up costs, refuses numbers that aren't, and ends a call that hangs."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from operator import index
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from hwzo import tape
from hwzo.alarm import Alarm, TooLateError
from hwzo.device import Capabilities, Device, DeviceInfo, EmulatedDevice, GainedDevice, LinkedDevice, Update
from hwzo.errors import DeviceError, DeviceTimeoutError, HwzoError, MeasurementError
from hwzo.parameters import Array, ParameterSpec
from hwzo.probes import Batch, Cost, Probes, Readings

_log = logging.getLogger(__name__)

T = TypeVar("T")

CLOSE_S = 10.0
"""A device gets at least so long to close."""
MOST = 2**63
"""Costs stay below it: what a journal's integers hold."""
_FLOAT64 = np.dtype(np.float64)


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
        self.heard: Callable[[tape.Call], None] | None = None
        """Is told of each call and its answer, while somebody wants to keep them."""
        self._linked = device if isinstance(device, LinkedDevice) else None
        self._closed = False
        self._alarm = Alarm()

    def program(self, theta: Array, *, mask: NDArray[np.bool_] | None = None) -> Cost:
        """See `Device.program`."""
        theta = self.parameters.check(theta)
        cost = self._count(self._ask("program", lambda: self.device.program(theta, mask=mask)))
        if self.heard is not None:
            self.heard(tape.Call(tape.programming(theta, mask), cost))
        return cost

    def measure(self, probes: Probes, batch: Batch) -> Readings:
        """See `Device.measure`; more probes than the device takes in one call go out in several.

        Raises:
            MeasurementError: what came back isn't what was asked for, of the right shapes, real and finite.
        """
        most, k = self.capabilities.max_probes, len(probes)
        if k <= most:
            return self._measure(probes, batch)
        return _joined([self._measure(probes.part(start, min(start + most, k)), batch) for start in range(0, k, most)])

    def _measure(self, probes: Probes, batch: Batch) -> Readings:
        given = self._ask("measure", lambda: self.device.measure(probes, batch))
        if not isinstance(given, Readings):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise MeasurementError(f"{self.info} answered measure with a {type(given).__name__}, not with Readings")
        cost = self._count(given.cost)
        k, n = len(probes), len(batch)
        layers = () if self.capabilities.network is None else self.capabilities.network.layers[1:]
        losses = self._numbers("losses", given.losses, (k,))
        outputs, nodes, realised = given.outputs, given.nodes, given.realised
        if nodes is not None:
            if not isinstance(nodes, tuple | list) or (layers and len(nodes) != len(layers)):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise MeasurementError(f"{self.info} returned nodes that are not one array for each layer")
            units = layers or (None,) * len(nodes)
            nodes = tuple(
                self._numbers(f"nodes of layer {at}", layer, (k, n, unit))
                for at, (layer, unit) in enumerate(zip(nodes, units, strict=True))
            )
        if outputs is not None:
            if nodes and given.nodes is not None and outputs is given.nodes[-1]:
                outputs = nodes[-1]  # checked a moment ago
            else:
                outputs = self._numbers("outputs", outputs, (k, n, layers[-1] if layers else None))
        if realised is not None:
            realised = self._numbers("realised parameters", realised, (k, self.parameters.size))
        want = probes.want
        if want != "loss" and (outputs if want == "outputs" else nodes if want == "nodes" else realised) is None:
            raise MeasurementError(f"{self.info} was asked for {want}, which it declares, and returned none")
        readings = Readings(losses, outputs, nodes, realised, cost)
        if self.heard is not None:
            self.heard(tape.Call(tape.measuring(probes, batch), cost, tape.answered(readings)))
        return readings

    def apply(self, update: Update) -> Cost:
        """See `Device.apply`."""
        cost = self._count(self._ask("apply", lambda: self.device.apply(update)))
        if self.heard is not None:
            self.heard(tape.Call(tape.applying(update), cost))
        return cost

    def read(self, repeats: int = 1) -> Array:
        """See `Device.read`."""
        values = self._ask("read", lambda: self.device.read(repeats))
        cost = self._count(self.capabilities.read_cost, repeats)
        weights = self._numbers("parameters read back", values, (repeats, self.parameters.size))
        if self.heard is not None:
            self.heard(tape.Call(tape.reading(repeats), cost, {"weights": weights}))
        return weights

    def close(self) -> None:
        """See `Device.close`; the device itself is closed once only."""
        try:
            if not self._closed:
                self._closed = True
                self._ask("close", lambda: self.device.close(), max(CLOSE_S, self.timeout_s))
        finally:
            self.release()

    def leave(self, *, ours: bool) -> None:
        """End the work with the device: close it if it was opened for that, and give SIGALRM back.

        One that doesn't close well is told of and hides nothing.
        """
        try:
            if ours:
                self.close()
        except HwzoError as error:  # the work is done, or failed for a reason that matters more
            _log.warning("%s; look after the device, what was measured before is kept", error)
        finally:
            self.release()

    def snapshot(self) -> bytes:
        """See `EmulatedDevice.snapshot`."""
        state = self._ask("snapshot", lambda: cast(EmulatedDevice, self.device).snapshot())
        if not isinstance(state, bytes):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise DeviceError(f"{self.info} gave a snapshot that is a {type(state).__name__}, not bytes")
        return state

    def restore(self, state: bytes) -> None:
        """See `EmulatedDevice.restore`."""
        self._ask("restore", lambda: cast(EmulatedDevice, self.device).restore(state))

    def advance(self, seconds: float) -> None:
        """See `EmulatedDevice.advance`."""
        self._ask("advance", lambda: cast(EmulatedDevice, self.device).advance(seconds))

    @property
    def gains(self) -> Array:
        """See `GainedDevice.gains`."""
        return self._ask("gains", lambda: cast(GainedDevice, self.device).gains)

    def set_gains(self, gains: Array) -> None:
        """See `GainedDevice.set_gains`."""
        self._ask("set_gains", lambda: cast(GainedDevice, self.device).set_gains(gains))

    def link_report(self) -> str:
        """See `LinkedDevice.link_report`; empty for a device that isn't one."""
        linked = self._linked
        return self._ask("link_report", linked.link_report) if linked is not None else ""

    def link_events(self) -> list[str]:
        """See `LinkedDevice.link_events`; none for a device that isn't one."""
        return [] if self._linked is None else self._linked.link_events()

    def release(self) -> None:
        """Give SIGALRM back, without closing the device; calls are no longer timed."""
        self._alarm.release()

    @property
    def gives_outputs(self) -> bool:
        """True if outputs come back, from which an accuracy can be told; a black box may read back weights without."""
        can = self.capabilities
        return can.reads_back("outputs") and (can.network is not None or can.readback != "weights")

    @property
    def emulation(self) -> EmulatedDevice | None:
        """The device as an emulated one, guarded, if its state can be saved."""
        there = all(callable(getattr(self.device, name, None)) for name in ("snapshot", "restore", "advance"))
        return self if self.capabilities.snapshot and there else None

    def _numbers(self, what: str, given: object, shape: tuple[int | None, ...]) -> Array:
        """An answer as real, finite float64 of a shape, in which None stands for any length."""
        if not (isinstance(given, np.ndarray) and given.dtype is _FLOAT64 and given.shape == shape):
            given = self._converted(what, cast(object, given), shape)
        # The sum of squares is finite only if every term is (an overflow aside: 1e154 is no measurement either).
        numbers = cast(Array, given)
        if not math.isfinite(np.vdot(numbers, numbers)):
            bad = int(np.count_nonzero(~(np.abs(numbers) < 1e150)))
            raise MeasurementError(
                f"{self.info} returned {bad} of {numbers.size} values that are not finite numbers; nothing was "
                "learned from them; check the device, then go on with --resume"
            )
        return numbers

    def _converted(self, what: str, given: object, shape: tuple[int | None, ...]) -> Array:
        try:
            array = cast(NDArray[Any], given) if isinstance(given, np.ndarray) else np.asarray(given)
        except (TypeError, ValueError) as error:  # rows of different lengths
            raise MeasurementError(f"{self.info} returned {what} that make no array: {error}") from None
        if array.dtype.kind not in "fiub":
            raise MeasurementError(f"{self.info} returned {what} of type {array.dtype}; real numbers were expected")
        if array.shape != shape and (
            array.ndim != len(shape) or any(n is not None and n != m for n, m in zip(shape, array.shape, strict=True))
        ):
            expected = str(tuple("any" if n is None else n for n in shape)).replace("'", "")
            raise MeasurementError(f"{self.info} returned {what} of shape {array.shape}; expected {expected}")
        return np.asarray(array, dtype=np.float64)

    def _count(self, given: Cost, times: int = 1) -> Cost:
        """The cost in Python's own numbers, after it was added up."""
        try:
            cost = Cost(
                index(given.reads) * times,
                index(given.cell_writes) * times,
                index(given.bytes) * times,
                float(given.device_seconds) * times,
                float(given.joules) * times,
            )
        except (AttributeError, TypeError, ValueError, OverflowError):
            raise MeasurementError(
                f"{self.info} gave {given!r} as its cost; reads, cell_writes and bytes must be whole numbers, "
                "device_seconds and joules real ones"
            ) from None
        total = self.cost + cost
        if not (
            0 <= cost.reads <= total.reads < MOST
            and 0 <= cost.cell_writes <= total.cell_writes < MOST
            and 0 <= cost.bytes <= total.bytes < MOST
            and 0 <= cost.device_seconds <= total.device_seconds < math.inf
            and 0 <= cost.joules <= total.joules < math.inf
        ):
            raise MeasurementError(
                f"{self.info} gave {given!r} as its cost; every entry must be finite, at least 0 and below 2**63"
            )
        self.cost = total
        return cost

    def _ask(self, call: str, function: Callable[[], T], limit_s: float | None = None) -> T:
        """What the device answers; whatever it raises, and its silence, become errors that say where."""
        limit = self.timeout_s if limit_s is None else limit_s
        try:
            return self._alarm.within(limit, function)
        except HwzoError:
            raise
        except TooLateError:
            raise DeviceTimeoutError(
                f"{self.info} did not answer {call} within {limit:g} s; check the link, or allow more with "
                "--set timeout_s=SECONDS"
            ) from None
        except (Exception, SystemExit) as error:  # a backend may fail in any way, or even try to end the program
            raise DeviceError(f"{self.info} failed in {call}: {type(error).__name__}: {error}") from error


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
