"""One process at a time on one device: a lock, who holds it, and a device that lets go when it is closed."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hwzo.device import Device, EmulatedDevice, Update
from hwzo.errors import DeviceBusyError
from hwzo.parameters import Array
from hwzo.probes import Batch, Cost, Probes, Readings


class Lease:
    """The right to use something that only one process at a time may use.

    Args:
        lock: path of the lock file; who holds it is written beside it.
        what: for the message.

    Raises:
        DeviceBusyError: another process has it; says which.
        OSError: the folder can't be written.
    """

    def __init__(self, lock: Path, what: str) -> None:
        from filelock import FileLock, Timeout  # here, so that importing hwzo stays light

        holder = lock.with_name(lock.name + ".holder")
        self._lock = FileLock(lock)
        try:
            self._lock.acquire(timeout=0)  # pyright: ignore[reportUnknownMemberType]
        except Timeout:
            try:
                known = json.loads(holder.read_text())
                who = f"process {known['pid']} ({known['command']})"
            except (OSError, ValueError, KeyError, TypeError):
                who = "another process"
            raise DeviceBusyError(f"{what} is held by {who}; wait for it to end, or use another one") from None
        holder.write_text(json.dumps({"pid": os.getpid(), "command": " ".join(sys.argv)}))

    @classmethod
    def of_device(cls, name: str, url: str) -> Lease:
        """The lease of a device, by what its backend calls what can't be shared."""
        from platformdirs import user_runtime_path

        folder = user_runtime_path("hwzo", ensure_exists=True)
        return cls(folder / (re.sub(r"[^A-Za-z0-9.-]+", "_", name) + ".lock"), f"device {url!r}")

    def release(self) -> None:
        """Let others have it."""
        self._lock.release()


class LeasedDevice:
    """A `Device` that gives its lease back when it is closed.

    Args:
        device: the device itself.
        lease: what keeps others off it.
    """

    def __init__(self, device: Device, lease: Lease) -> None:
        self.device, self.lease = device, lease
        self.info, self.capabilities, self.parameters = device.info, device.capabilities, device.parameters

    def program(self, theta: Array, *, mask: NDArray[np.bool_] | None = None) -> Cost:
        """See `Device.program`."""
        return self.device.program(theta, mask=mask)

    def measure(self, probes: Probes, batch: Batch) -> Readings:
        """See `Device.measure`."""
        return self.device.measure(probes, batch)

    def apply(self, update: Update) -> Cost:
        """See `Device.apply`."""
        return self.device.apply(update)

    def read(self, repeats: int = 1) -> Array:
        """See `Device.read`."""
        return self.device.read(repeats)

    def close(self) -> None:
        """See `Device.close`."""
        try:
            self.device.close()
        finally:
            self.lease.release()


class LeasedEmulatedDevice(LeasedDevice):
    """The same for an `EmulatedDevice`."""

    device: EmulatedDevice

    def __init__(self, device: EmulatedDevice, lease: Lease) -> None:
        super().__init__(device, lease)

    def snapshot(self) -> bytes:
        """See `EmulatedDevice.snapshot`."""
        return self.device.snapshot()

    def restore(self, state: bytes) -> None:
        """See `EmulatedDevice.restore`."""
        self.device.restore(state)

    def advance(self, seconds: float) -> None:
        """See `EmulatedDevice.advance`."""
        self.device.advance(seconds)
