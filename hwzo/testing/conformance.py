"""The conformance kit: does a device keep the contract, by what it declares of itself?

Each check opens the device anew and programs it; a device that must not be written is not to be tested with it.
Statistical checks state their false-alarm rate: a correct device fails the whole kit with probability below 1e-4.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from hwzo.alarm import Alarm, TooLateError
from hwzo.device import Device, DeviceInfo
from hwzo.errors import DeviceError
from hwzo.network import Network
from hwzo.probes import Batch
from hwzo.registry import connect
from hwzo.testing import (
    checks_description,
    checks_gains,
    checks_measuring,
    checks_reading,
    checks_state,
    checks_writing,
)
from hwzo.testing.check import Check, OpenDevice, Result, Status, opener, run_check

CHECKS: tuple[Check, ...] = (
    *checks_description.CHECKS,
    *checks_writing.CHECKS,
    *checks_measuring.CHECKS,
    *checks_reading.CHECKS,
    *checks_gains.CHECKS,
    *checks_state.CHECKS,
)
"""All checks, in the order in which they run."""

SUGGESTED_NETWORK = Network((12, 8, 4))
"""What a device that takes its network from the task is opened with, where its URL sets none."""


@dataclass(frozen=True)
class Report:
    """What the kit found.

    Args:
        device: the device's URL, as it says itself.
        emulated: whether hardware was involved.
        seed: of the kit's random numbers.
        results: one a check, in order.
    """

    device: str
    emulated: bool
    seed: int
    results: tuple[Result, ...]

    @property
    def checks(self) -> int:
        """Number of checks."""
        return len(self.results)

    @property
    def passed(self) -> int:
        """How many passed."""
        return self._count("passed")

    @property
    def failed(self) -> int:
        """How many failed."""
        return self._count("failed")

    @property
    def skipped(self) -> int:
        """How many don't apply to this device, or can't tell."""
        return self._count("skipped")

    @property
    def failures(self) -> list[dict[str, str]]:
        """Name and reason of each check that failed."""
        return [{"name": r.name, "reason": r.detail} for r in self.results if r.status == "failed"]

    @property
    def false_alarm(self) -> float:
        """Probability, at most, that a correct device fails any of the checks that ran."""
        return sum(result.false_alarm for result in self.results if result.status != "skipped")

    def as_dict(self) -> dict[str, Any]:
        """The keys of ``hwzo conformance --json``, and the results one by one."""
        return {
            "device": self.device,
            "emulated": self.emulated,
            "checks": self.checks,
            "passed": self.passed,
            "failed": self.failed,
            "skipped": self.skipped,
            "failures": self.failures,
            "false_alarm": self.false_alarm,
            "results": [
                {"name": r.name, "status": r.status, "detail": r.detail, "false_alarm": r.false_alarm}
                for r in self.results
            ],
        }

    def _count(self, status: Status) -> int:
        return sum(result.status == status for result in self.results)


def url_opener(url: str, *, seed: int = 0) -> OpenDevice:
    """Opens the device behind ``url``; where the URL leaves them open, with a small network and ``seed``."""
    return lambda: connect(url, network=SUGGESTED_NETWORK, window=1.0, seed=seed)


def run_conformance(
    url_or_factory: str | Callable[[], Device],
    *,
    seed: int = 0,
    batch: Batch | None = None,
    time_limit_s: float = 120.0,
) -> Report:
    """Run every check on a device.

    Args:
        url_or_factory: a device URL, or what opens the device; called once a check and more, alike each time.
        seed: of the kit's own random numbers, and of an emulated device whose URL sets none.
        batch: what the device is evaluated on; default: `hwzo.testing.check.default_batch`, 32 samples of the right
            width for a device with a network, four samples of one feature for a black box.
        time_limit_s: a check that takes longer failed; kept in a process's main thread only.

    Returns:
        The report; a check that raises, whatever it raises, is a failure in it.

    Raises:
        ConfigError: the URL is unknown or an option of it is.
        DeviceError: the device can't be opened.
    """
    by_url = isinstance(url_or_factory, str)
    open_device = url_opener(url_or_factory, seed=seed) if isinstance(url_or_factory, str) else opener(url_or_factory)
    device = open_device()
    described = device.info
    if not isinstance(described, DeviceInfo):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise DeviceError(f"info is a {type(described).__name__}, not a DeviceInfo: that is no device")
    alarm = Alarm()
    try:
        with suppress(Exception, SystemExit, TooLateError):  # a close that fails is for the checks to tell
            alarm.within(time_limit_s, device.close)
    finally:
        alarm.release()
    results = tuple(
        run_check(check, open_device, seed=seed, batch=batch, time_limit_s=time_limit_s, by_url=by_url)
        for check in CHECKS
    )
    return Report(described.url, described.emulated, seed, results)
