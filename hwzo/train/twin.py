"""A device beside its emulated twin, on the samples that it was calibrated with."""

from __future__ import annotations

import numpy as np
from threadpoolctl import threadpool_limits  # pyright: ignore[reportMissingTypeStubs]

from hwzo.device import Device
from hwzo.errors import ConfigError
from hwzo.noise.profile import Profile
from hwzo.noise.setup import Setup
from hwzo.noise.twin import Gap, gaps
from hwzo.registry import DeviceURL
from hwzo.say import Say
from hwzo.train.bench import fresh_parameters
from hwzo.train.guard import GuardedDevice
from hwzo.train.stand import open_stand


def twin_url(profile: Profile, seed: int = 0) -> str:
    """The device URL of a profile's twin.

    Raises:
        ConfigError: the profile was never saved.
    """
    if profile.path is None:
        raise ConfigError("a twin is opened from its profile's file: save the profile first", key="profile")
    return str(DeviceURL("crossbar", str(profile.path.resolve()), {"seed": str(seed)}))


def compare_with_twin(
    profile: Profile, device: str | Device, *, seed: int = 0, say: Say = lambda text: None
) -> tuple[str, list[Gap]]:
    """Take the same readings of a device and of the twin of its profile; see `hwzo.noise.twin.gaps`.

    Args:
        profile: of the device.
        device: a device URL, or an open device.
        seed: of what is programmed and commanded, and of the twin.
        say: is told what is measured.

    Returns:
        The twin's URL, and the gap of each distribution.

    Raises:
        ConfigError: the profile is of another device, or its device can't have a twin.
    """
    url = twin_url(profile, seed)
    manifest = profile.manifest
    ours = open_stand(device, manifest.task, manifest.seed)
    guard = ours.device
    try:
        profile.check_device(guard)
        other = open_stand(url, manifest.task, manifest.seed)
        try:
            theta = fresh_parameters(guard, seed)
            found = guard.emulation.snapshot() if guard.emulation is not None else None

            def setup(at: GuardedDevice) -> Setup:
                return Setup(at, ours.batch, theta, seed, wait=lambda seconds: None, clock=lambda: 0.0)

            with threadpool_limits(1), np.errstate(all="ignore"):
                compared = gaps(setup(guard), setup(other.device), told=lambda name: say(f"measuring: {name}"))
            if found is not None and guard.emulation is not None:
                guard.emulation.restore(found)
            else:
                guard.program(theta)
            return url, compared
        finally:
            other.close()
    finally:
        ours.close()
