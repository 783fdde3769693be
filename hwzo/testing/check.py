"""What a conformance check is, how one runs, and what comes out: a result, never a traceback and never a hang."""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from hwzo.alarm import Alarm, TooLateError
from hwzo.device import Device
from hwzo.errors import DeviceError, HwzoError
from hwzo.parameters import Array
from hwzo.probes import Batch, Probes, Readback, Readings

OpenDevice = Callable[[], Device]
Status = Literal["passed", "failed", "skipped"]

ALPHA = 5e-6
"""Probability that one statistical check fails a device that is correct. There are fewer than 20 of them, so that a
correct device fails the whole kit with probability below 1e-4."""
AVERAGED = 4
"""Evaluations whose mean stands for the loss after one write: reads are cheaper than writes."""


class BreachError(Exception):
    """The device doesn't keep the contract; the message says how."""


class SkipError(Exception):
    """The check doesn't apply to this device, or can't tell; the message says why."""


@dataclass(frozen=True)
class Result:
    """What one check found.

    Args:
        name: of the check.
        status: passed, failed, or skipped because it doesn't apply or can't tell.
        detail: what was seen; the reason if it failed or was skipped.
        false_alarm: probability that a correct device fails this check; 0 if nothing in it is left to chance.
        seconds: wall time it took.
    """

    name: str
    status: Status
    detail: str
    false_alarm: float
    seconds: float


@dataclass(frozen=True)
class Check:
    """One thing that the contract asks of a device.

    Args:
        name: a few words, unique.
        function: works on a `Bench`; returns what it saw, raises `BreachError` or `SkipError`. Anything else that it
            raises is a failure of the device as well.
        false_alarm: probability that it fails a correct device.
    """

    name: str
    function: Callable[[Bench], str]
    false_alarm: float = 0.0


def check(name: str, *, false_alarm: float = 0.0) -> Callable[[Callable[[Bench], str]], Check]:
    """Make a function a `Check`."""
    return lambda function: Check(name, function, false_alarm)


def require(condition: bool, message: str) -> None:
    """Fail the running check with ``message`` unless ``condition`` holds."""
    if not condition:
        raise BreachError(message)


def needs(condition: bool, reason: str) -> None:
    """Skip the running check with ``reason`` unless ``condition`` holds."""
    if not condition:
        raise SkipError(reason)


def refuses(call: Callable[[], object], error: type[Exception], what: str) -> None:
    """Fail the running check unless ``call`` raises ``error``; ``what`` says what was asked."""
    try:
        call()
    except error:
        return
    except Exception as other:
        raise BreachError(f"{what}: raised {type(other).__name__} ({other}), expected {error.__name__}") from other
    raise BreachError(f"{what}: was accepted, expected {error.__name__}")


class Bench:
    """What a check works with: a way to open the device, a batch for it, and random numbers of its own.

    Args:
        open_device: opens the device anew, each time it is called.
        seed: of the check's random numbers.
        batch: what the device is evaluated on; default: see `default_batch`.
        name: of the check, so that each has its own random numbers.
        by_url: whether ``open_device`` opens a device URL, so that ``info.url`` must open as well.
    """

    def __init__(
        self,
        open_device: OpenDevice,
        *,
        seed: int = 0,
        batch: Batch | None = None,
        name: str = "",
        by_url: bool = False,
    ) -> None:
        self._open_device, self._seed, self._batch = open_device, seed, batch
        self.rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
        self.by_url = by_url
        self._device: Device | None = None

    @property
    def device(self) -> Device:
        """The device; opened at first use."""
        return self._device if self._device is not None else self.reopen()

    def reopen(self) -> Device:
        """Close the device if it is open, and open it anew."""
        self.close()
        self._device = self._open_device()
        return self._device

    def close(self) -> None:
        """Close the device if it is open."""
        device, self._device = self._device, None
        if device is not None:
            device.close()

    @property
    def batch(self) -> Batch:
        """The batch that all measurements of this check use."""
        if self._batch is None:
            self._batch = default_batch(self.device, self._seed)
        return self._batch

    def points(self, count: int) -> list[Array]:
        """Parameters (n_params,) that differ in each element: a fresh start, moved a little, within bounds."""
        spec, unit = self.device.parameters, self.unit
        return [
            spec.clip(spec.initial(self.rng) + 0.05 * unit * self.rng.uniform(-1, 1, spec.size)) for _ in range(count)
        ]

    @property
    def unit(self) -> Array:
        """How large each parameter is, (n_params,) weight units: the width of its bounds, or of its fresh start."""
        spec = self.device.parameters
        starts = np.concatenate([np.full(t.size, 4 * t.initial_sd or 1.0) for t in spec.tensors])
        span = spec.upper - spec.lower
        return np.where(np.isfinite(span), span, starts)

    def measure(self, repeats: int = 1, want: Readback = "loss") -> Readings:
        """Plain evaluations of the batch."""
        return self.device.measure(Probes.plain(repeats, want=want), self.batch)

    def loss(self) -> float:
        """The mean loss of a few plain evaluations."""
        return float(self.ask(Probes.plain(AVERAGED)).mean())

    def ask(self, probes: Probes) -> Array:
        """The losses (K,) of K probes, in as few calls as the device takes."""
        most, total = self.device.capabilities.max_probes, len(probes)
        parts = [probes.part(start, min(start + most, total)) for start in range(0, total, most)]
        return np.concatenate([self.device.measure(part, self.batch).losses for part in parts])


def default_batch(device: Device, seed: int) -> Batch:
    """Samples that fit the device.

    A device with a network gets 32 random samples of the right width, in [-1, 1]. They resemble each other and share
    one target, because random samples with random targets leave a loss that hardly answers to the parameters. A black
    box gets four samples of one feature, class 0 and loss "cross-entropy".
    """
    rng, network = np.random.default_rng([seed, 1]), device.capabilities.network
    if network is None:
        return Batch(rng.uniform(-1, 1, (4, 1)), np.zeros(4, dtype=np.int64))
    size, outputs = 32, network.layers[-1]
    common = rng.uniform(-0.7, 0.7, network.layers[0])
    inputs = common + rng.uniform(-0.3, 0.3, (size, network.layers[0]))
    if outputs == 1:
        return Batch(inputs, np.ones((size, 1)), "squared-error")
    return Batch(inputs, np.full(size, rng.integers(outputs)), "cross-entropy")


def run_check(
    check: Check,
    open_device: OpenDevice,
    *,
    seed: int = 0,
    batch: Batch | None = None,
    time_limit_s: float = 120.0,
    by_url: bool = False,
) -> Result:
    """Run one check on a device of its own, closed afterwards.

    Args:
        check: one of `hwzo.testing.conformance.CHECKS`.
        open_device, seed, batch, by_url: see `Bench`.
        time_limit_s: a check that takes longer failed; kept in a process's main thread only.
    """
    start = time.monotonic()
    bench = Bench(open_device, seed=seed, batch=batch, name=check.name, by_url=by_url)
    status: Status = "passed"
    alarm = Alarm()
    try:
        try:
            detail = alarm.within(time_limit_s, lambda: check.function(bench))
        except (Exception, SystemExit, TooLateError) as error:
            status = "skipped" if isinstance(error, SkipError) else "failed"
            detail = _reason(error, time_limit_s)
        try:
            alarm.within(time_limit_s, bench.close)
        except (Exception, SystemExit, TooLateError) as error:
            if status != "failed":
                status, detail = "failed", f"close: {_reason(error, time_limit_s)}"
    finally:
        alarm.release()
    return Result(check.name, status, detail, check.false_alarm, time.monotonic() - start)


def _reason(error: BaseException, time_limit_s: float) -> str:
    if isinstance(error, BreachError | SkipError):
        return str(error)
    if isinstance(error, TooLateError):
        return f"no answer within {time_limit_s:g} s"
    return f"{type(error).__name__}: {error}"


def opener(factory: OpenDevice) -> OpenDevice:
    """``factory``, with whatever else it raises turned into a `DeviceError` that says so."""

    def open_device() -> Device:
        try:
            return factory()
        except HwzoError:
            raise
        except (Exception, SystemExit) as error:
            raise DeviceError(f"the device could not be opened: {type(error).__name__}: {error}") from error

    return open_device
