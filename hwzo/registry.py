"""Device URLs, and the backends that open them: ``connect("crossbar:pcm?seed=1")``.

A backend is found through the entry-point group ``hwzo.backends``; its name is the URL's scheme. A distribution of
yours that declares ``mychip = "my_package:BACKEND"`` there is listed by ``hwzo devices`` and opened by ``mychip:...``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from typing import Protocol, TypeVar, cast, runtime_checkable
from urllib.parse import quote, unquote

from hwzo.alarm import Alarm, TooLateError
from hwzo.device import Capabilities, Device, DeviceInfo, EmulatedDevice
from hwzo.errors import ConfigError, DeviceError, DeviceTimeoutError, HwzoError
from hwzo.lease import Lease, LeasedDevice, LeasedEmulatedDevice
from hwzo.network import Network
from hwzo.parameters import ParameterSpec

GROUP = "hwzo.backends"
OPEN_S = 60.0
"""A backend that takes longer to open a device, or to list what there is, is given up."""
DEVICE_MEMBERS = ("info", "capabilities", "parameters", "program", "measure", "apply", "read", "close")
EMULATED_MEMBERS = ("snapshot", "restore", "advance")

T = TypeVar("T")


@dataclass(frozen=True)
class DeviceURL:
    """``scheme:target?option=value&...`` taken apart.

    Args:
        scheme: the backend's name.
        target: what comes between the colon and the question mark: a preset, a port, a file.
        options: the query, each key once.
    """

    scheme: str
    target: str = ""
    options: Mapping[str, str] = field(default_factory=dict[str, str])

    @classmethod
    def parse(cls, url: str) -> DeviceURL:
        """Take a URL apart.

        Raises:
            ConfigError: no scheme, an option without a value, or one given twice.
        """
        match = re.fullmatch(r"([A-Za-z][A-Za-z0-9_+-]*):([^?]*)(?:\?(.*))?", url.strip())
        if match is None:
            raise ConfigError(
                f"device URL {url!r} is not of the form scheme:target?option=value, such as crossbar:pcm?seed=1",
                key="device",
            )
        scheme, target, query = match.groups()
        options: dict[str, str] = {}
        for pair in query.split("&") if query else ():
            key, equals, value = (unquote(part) for part in pair.partition("="))  # a + is a +, as in 1e+3
            if not (key and equals):
                raise ConfigError(
                    f"device URL {url!r}: options must be of the form option=value&option=value", key="device"
                )
            if key in options:
                raise ConfigError(f"device URL {url!r}: option {key!r} is given twice", key=key)
            options[key] = value
        return cls(scheme.lower(), unquote(target), options)

    def __str__(self) -> str:
        query = "&".join(f"{quote(k)}={quote(v, safe=':/.,+-')}" for k, v in self.options.items())
        return f"{self.scheme}:{quote(self.target, safe=':/.,+-@~')}" + (f"?{query}" if query else "")

    def with_defaults(self, **options: str) -> DeviceURL:
        """The same URL, with these options where it doesn't set them itself."""
        return DeviceURL(self.scheme, self.target, {**options, **self.options})


@dataclass(frozen=True)
class Listing:
    """One line of ``hwzo devices``.

    Args:
        url: opens the device.
        emulated: whether hardware is involved.
        available: whether opening it now would work.
        reason: what it is, or why it isn't available and what would make it so.
    """

    url: str
    emulated: bool
    available: bool
    reason: str


@runtime_checkable
class Backend(Protocol):
    """What the entry point names: opens the devices of one scheme."""

    def open(self, url: DeviceURL, *, network: Network | None, window: float | None, seed: int | None) -> Device:
        """Open the device.

        Args:
            url: as the user typed it.
            network: the network that the task suggests; a device that has its own ignores it.
            window: the weight range that the task suggests, weight units; likewise.
            seed: for an emulated device whose URL sets none.

        Raises:
            ConfigError: a target or option is unknown or out of range; lists what is allowed.
            DeviceError: the device is absent or lost.
        """
        ...

    def listings(self) -> Sequence[Listing]:
        """What is plugged in or can be emulated."""
        ...

    def lock_name(self, url: DeviceURL) -> str | None:
        """A name for what one process at a time may hold, such as a port; None if any number may open it."""
        ...


def backends() -> dict[str, EntryPoint]:
    """Entry points of all installed backends, by scheme."""
    return {point.name.lower(): point for point in entry_points(group=GROUP)}


def load(point: EntryPoint) -> Backend:
    """The backend behind an entry point.

    Raises:
        DeviceError: it can't be imported, or isn't a backend; names the distribution.
    """
    origin = f"backend {point.name!r} ({point.value}, from {point.dist.name if point.dist else 'an unknown package'})"
    try:
        backend = point.load()
    except (
        Exception,
        SystemExit,
    ) as error:  # a stranger's import may fail in any way; the user must learn whose it was
        raise DeviceError(f"{origin} could not be imported: {type(error).__name__}: {error}") from error
    if not isinstance(backend, Backend):
        raise DeviceError(f"{origin} is a {type(backend).__name__} without open, listings and lock_name")
    return backend


def connect(
    url: str, *, network: Network | None = None, window: float | None = None, seed: int | None = None
) -> Device:
    """Open the device behind a URL.

    Args:
        url: such as ``"crossbar:pcm?layers=64-32-10&seed=1"``.
        network, window, seed: suggestions for what the URL leaves open, see `Backend.open`.

    Raises:
        ConfigError: the URL, its scheme or an option is unknown.
        DeviceBusyError: another process holds the device; says which.
        DeviceTimeoutError: its backend didn't open it within `OPEN_S`.
        DeviceError: the device is absent, or its backend can't be loaded, fails, or opens something else.
    """
    parsed = DeviceURL.parse(url)
    known = backends()
    if parsed.scheme not in known:
        raise ConfigError(
            f"no backend for device URL {url!r}; installed: {', '.join(sorted(known)) or 'none'}",
            key="device",
        )
    backend = load(known[parsed.scheme])
    with _blamed(parsed.scheme, "lock_name"):
        name = backend.lock_name(parsed)
    if name is None:
        return _opened(backend, parsed, network, window, seed)
    if not isinstance(name, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise DeviceError(f"backend {parsed.scheme!r} gave {name!r} as its lock_name; it must be text or None")
    lease = Lease.of_device(name, url)
    try:
        device = _opened(backend, parsed, network, window, seed)
        emulated = not _lacking(device, EMULATED_MEMBERS)
        return LeasedEmulatedDevice(cast(EmulatedDevice, device), lease) if emulated else LeasedDevice(device, lease)
    except BaseException:
        lease.release()
        raise


def listings() -> list[tuple[str, Listing]]:
    """(backend, line) for everything that any installed backend offers; a broken backend is a line too."""
    lines: list[tuple[str, Listing]] = []
    for name, point in sorted(backends().items()):
        try:
            backend = load(point)
            with _blamed(name, "listings"):
                offered = _in_time(name, "listings", lambda backend=backend: list(backend.listings()))
            strange = [type(line).__name__ for line in offered if not isinstance(line, Listing)]  # pyright: ignore[reportUnnecessaryIsInstance]
            if strange:
                raise DeviceError(f"backend {name!r} listed a {strange[0]}, not a Listing")
            lines += [(name, line) for line in offered]
        except HwzoError as error:
            lines.append((name, Listing(f"{name}:", emulated=False, available=False, reason=str(error))))
    return lines


def _opened(
    backend: Backend, url: DeviceURL, network: Network | None, window: float | None, seed: int | None
) -> Device:
    with _blamed(url.scheme, "open"):
        device = _in_time(url.scheme, "open", lambda: backend.open(url, network=network, window=window, seed=seed))
        missing = _lacking(device, DEVICE_MEMBERS)
        if missing:
            raise DeviceError(
                f"backend {url.scheme!r} opened a {type(device).__name__}, which is no device: it lacks "
                f"{', '.join(missing)}"
            )
        for name, kind in (("info", DeviceInfo), ("capabilities", Capabilities), ("parameters", ParameterSpec)):
            if not isinstance(getattr(device, name), kind):
                raise DeviceError(
                    f"backend {url.scheme!r} opened a device whose {name} is a {type(getattr(device, name)).__name__}, "
                    f"not a {kind.__name__}"
                )
    return device


def _lacking(device: object, names: Sequence[str]) -> list[str]:
    # Not isinstance: from Python 3.12 on a protocol looks past __getattr__, by which a wrapper may well answer.
    return [name for name in names if not hasattr(device, name)]


def _in_time(scheme: str, call: str, function: Callable[[], T]) -> T:
    alarm = Alarm()
    try:
        return alarm.within(OPEN_S, function)
    except TooLateError:
        raise DeviceTimeoutError(f"backend {scheme!r} did not answer {call} within {OPEN_S:g} s") from None
    finally:
        alarm.release()


@contextmanager
def _blamed(scheme: str, call: str) -> Generator[None]:
    """Whatever a backend raises becomes an error that says whose it was."""
    try:
        yield
    except HwzoError:
        raise
    except (Exception, SystemExit) as error:
        raise DeviceError(f"backend {scheme!r} failed in {call}: {type(error).__name__}: {error}") from error
