"""The error tree of hwzo, and the exit code that a command ends with for each branch.

::

    HwzoError                       1   (a defect of ours, when raised bare)
    ├── ConfigError                 2   an argument, a key of a configuration, a URL value
    │   └── FileError               2   a file that is missing, unreadable, damaged or of another format
    ├── DeviceError                 3   a device that is absent, busy, lost or silent
    │   ├── DeviceBusyError         3   another process holds it
    │   ├── DeviceTimeoutError      3   it did not answer in time
    │   └── MeasurementError        3   it answered, but not with a number
    ├── CapabilityError             4   the device can't do what was asked; names what would work
    ├── VerificationError           5   a verification or a stated target failed
    └── StoppedError              130   Ctrl-C (SIGTERM: 143); the run is whole and can go on

Every message says what happened, where, what was expected, and what to try.
"""

from __future__ import annotations


class HwzoError(Exception):
    """Root of everything that hwzo raises on purpose."""

    exit_code: int = 1


class ConfigError(HwzoError, ValueError):
    """An argument, configuration key or URL value is not usable.

    Args:
        message: what happened, what is allowed, what to try.
        key: the configuration key, URL option or argument at fault, if there is one.
    """

    exit_code = 2

    def __init__(self, message: str, *, key: str | None = None) -> None:
        super().__init__(message)
        self.key = key


class FileError(ConfigError):
    """A file or run folder is missing, unreadable, damaged, or of a format that isn't known."""


class DeviceError(HwzoError):
    """The device is absent, lost, or failed in a way that ends the measurement."""

    exit_code = 3


class DeviceBusyError(DeviceError):
    """Another process holds the device; the message says which."""


class DeviceTimeoutError(DeviceError):
    """The device didn't answer within its timeout."""


class MeasurementError(DeviceError):
    """The device answered with something that isn't a measurement: NaN, infinity, a wrong shape."""


class CapabilityError(HwzoError):
    """The device can't do what was asked of it; the message names what would work."""

    exit_code = 4


class VerificationError(HwzoError):
    """A verification failed, or a stated target was not reached."""

    exit_code = 5


class StoppedError(HwzoError):
    """Ctrl-C or SIGTERM ended a run after the step in flight.

    Args:
        message: how to go on.
        signal_number: which signal; the exit code is 128 plus it.
    """

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal_number
