"""The two ends of a `hwzo.testing.faults.Cable`: at the board, and at the host, where the plug is."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from hwzo.errors import ConfigError, DeviceError


class BoardEnd:
    """Connected to the board.

    Args:
        board: a port's path, or ``socket://HOST:PORT``, with or without ``serial:`` before it.
        baud: rate of a port.

    Raises:
        ConfigError: an address that is none, or a rate that the port can't do.
        DeviceError: the board can't be reached.
    """

    def __init__(self, board: str, baud: int) -> None:
        where = board.removeprefix("serial:").partition("?")[0]
        if where.startswith("socket:"):
            host, port = address_of(where.removeprefix("socket:").removeprefix("//"))
            try:
                connection = socket.create_connection((host, port), timeout=5.0)
            except OSError as error:
                raise DeviceError(f"{where}: no connection ({error}); is the board running there?") from error
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.setblocking(False)
            self._end = connection
        else:
            import serial  # here, so that importing this stays light

            try:
                self._end = serial.Serial(where, baud, timeout=0, exclusive=True)
            except (OSError, ValueError) as error:
                raise DeviceError(f"{where} can't be opened as a serial port: {error}") from error
            os.set_blocking(self._end.fileno(), False)
        self.descriptor = self._end.fileno()

    def close(self) -> None:
        """Let go of the board; closing twice is fine."""
        with suppress(Exception):  # an unplugged port can't be tidied up
            self._end.close()


class HostEnd(Protocol):
    """Where the host connects."""

    @property
    def url(self) -> str:
        """What `hwzo.connect` takes."""
        ...

    @property
    def there(self) -> bool:
        """True if it is plugged in."""
        ...

    @property
    def connected(self) -> bool:
        """True if bytes can be given to the host."""
        ...

    @property
    def descriptor(self) -> int | None:
        """What is ready when the host has sent something, or comes; None if unplugged."""
        ...

    def accept(self) -> None:
        """Let the host in who has come."""
        ...

    def left(self) -> None:
        """The host has gone."""
        ...

    def unplug(self) -> None:
        """Take it away."""
        ...

    def plug(self) -> None:
        """Put it there again.

        Raises:
            DeviceError: that can't be done.
        """
        ...

    def close(self) -> None:
        """Take it away for good."""
        ...


class TerminalEnd:
    """A pseudo-terminal, another one each time that it is plugged in.

    Args:
        link: leads to it; None for none.

    Raises:
        ConfigError: there is something else at the link's path.
        DeviceError: no terminal can be had.
    """

    def __init__(self, link: Path | None) -> None:
        if link is not None and link.exists() and not link.is_symlink():
            raise ConfigError(f"link={str(link)!r}: there is something that isn't a link", key="link")
        self._link = link
        self._ends: tuple[int, int] | None = None
        self._path = ""
        self._next = _terminal()
        self.plug()

    @property
    def url(self) -> str:
        """See `HostEnd.url`."""
        return f"serial:{self._link or self._path}"

    @property
    def there(self) -> bool:
        """See `HostEnd.there`."""
        return self._ends is not None

    @property
    def connected(self) -> bool:
        """See `HostEnd.connected`: a terminal doesn't tell whether somebody has opened it."""
        return self._ends is not None

    @property
    def descriptor(self) -> int | None:
        """See `HostEnd.descriptor`."""
        return None if self._ends is None else self._ends[0]

    def accept(self) -> None:
        """Nobody has to be let in."""

    def left(self) -> None:
        """See `HostEnd.left`; a host leaves the terminal where it is."""

    def unplug(self) -> None:
        """See `HostEnd.unplug`."""
        if self._ends is not None:
            self._next = _terminal()  # while the old one is there, so that it is another one
            self._unlink()
            _close(self._ends)
            self._ends = None

    def plug(self) -> None:
        """See `HostEnd.plug`."""
        if self._ends is not None:
            return
        self._path = os.ttyname(self._next[1])
        if self._link is not None:
            part = self._link.with_name(f".{self._link.name}.part")
            try:
                part.unlink(missing_ok=True)
                part.symlink_to(self._path)
                part.replace(self._link)
            except OSError as error:
                raise DeviceError(f"link={str(self._link)!r} can't be made: {error.strerror}") from error
        self._ends = self._next

    def close(self) -> None:
        """See `HostEnd.close`."""
        if self._ends is not None:
            self._unlink()
            _close(self._ends)
        else:
            _close(self._next)
        self._ends = None

    def _unlink(self) -> None:
        if self._link is not None:
            self._link.unlink(missing_ok=True)


class SocketEnd:
    """A TCP port; one host at a time.

    Args:
        address: ``HOST:PORT``; port 0 takes a free one, and keeps it.

    Raises:
        ConfigError: the address is none.
        DeviceError: nobody can listen there.
    """

    def __init__(self, address: str) -> None:
        self._address = address_of(address)
        self._listener: socket.socket | None = None
        self._host: socket.socket | None = None
        self.plug()

    @property
    def url(self) -> str:
        """See `HostEnd.url`."""
        host, port = self._address
        return f"serial:socket://{host}:{port}"

    @property
    def there(self) -> bool:
        """See `HostEnd.there`."""
        return self._listener is not None

    @property
    def connected(self) -> bool:
        """See `HostEnd.connected`."""
        return self._host is not None

    @property
    def descriptor(self) -> int | None:
        """See `HostEnd.descriptor`."""
        end = self._host or self._listener
        return None if end is None else end.fileno()

    def accept(self) -> None:
        """See `HostEnd.accept`."""
        if self._listener is not None:
            with suppress(OSError):  # it may have gone again
                self._host, _ = self._listener.accept()
                self._host.setblocking(False)
                self._host.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def left(self) -> None:
        """See `HostEnd.left`."""
        if self._host is not None:
            self._host.close()
            self._host = None

    def unplug(self) -> None:
        """See `HostEnd.unplug`."""
        self.left()
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def plug(self) -> None:
        """See `HostEnd.plug`."""
        if self._listener is None:
            try:
                self._listener = socket.create_server(self._address)
            except (OSError, UnicodeError) as error:
                raise DeviceError(f"can't listen at {self._address[0]}:{self._address[1]}: {error}") from error
            self._listener.setblocking(False)
            self._address = self._address[0], int(self._listener.getsockname()[1])

    def close(self) -> None:
        """See `HostEnd.close`."""
        self.unplug()


def address_of(text: str) -> tuple[str, int]:
    """Host and port.

    Raises:
        ConfigError: it isn't HOST:PORT.
    """
    host, _, port = text.rpartition(":")
    if not (host and port.isdecimal() and int(port) < 65536):
        raise ConfigError(f"{text!r} is not of the form HOST:PORT, such as localhost:5000", key="tcp")
    return host.strip("[]"), int(port)


def _terminal() -> tuple[int, int]:
    import tty  # not on every system; here only where one is opened

    try:
        master, slave = os.openpty()
    except OSError as error:
        raise DeviceError(f"no pseudo-terminal can be had: {error.strerror or error}") from error
    tty.setraw(slave)
    os.set_blocking(master, False)
    return master, slave


def _close(ends: tuple[int, int]) -> None:
    for end in ends:
        os.close(end)
