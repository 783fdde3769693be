"""Where hosts find an `Endpoint` that lives in this process: at a pseudo-terminal, or at a TCP port."""

from __future__ import annotations

import os
import select
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Protocol

from hwzo.errors import ConfigError, DeviceError
from hwzo.wire.endpoint import Endpoint

LOOK_S = 0.05
"""How often an endpoint is told that time goes by, for its safe state."""
PATIENCE_S = 1.0
"""How long an answer waits for a host that reads nothing, before it is lost."""


class Server(Protocol):
    """A place where a host finds an endpoint; a context manager that leaves nothing behind."""

    @property
    def url(self) -> str:
        """What `hwzo.connect` takes."""
        ...

    def run(self, stopped: Callable[[], bool] = lambda: False) -> None:
        """Answer, until ``stopped``, which is asked a few times a second."""
        ...

    def __enter__(self) -> Server: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class TerminalServer:
    """An endpoint at a pseudo-terminal, which is there from the start and gone when this is closed.

    Args:
        endpoint: who answers.

    Raises:
        DeviceError: no terminal can be had.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        import tty  # not on every system; here only where one is opened

        self._endpoint = endpoint
        try:
            self._ends = os.openpty()
        except OSError as error:
            raise DeviceError(f"no pseudo-terminal can be had: {error.strerror or error}") from error
        master, slave = self._ends  # the second stays open, so that a host may come and go
        tty.setraw(slave)
        os.set_blocking(master, False)
        self.port = os.ttyname(slave)
        """Path of the terminal."""
        self.url = f"serial:{self.port}"
        self._closed = False

    def run(self, stopped: Callable[[], bool] = lambda: False) -> None:
        """See `Server.run`."""
        _answer(self._ends[0], self._endpoint, stopped)

    def close(self) -> None:
        """Take the terminal away; closing twice is fine."""
        if not self._closed:
            self._closed = True
            for end in self._ends:
                os.close(end)

    def __enter__(self) -> TerminalServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class SocketServer:
    """An endpoint at a TCP port; one host at a time, others wait their turn.

    Args:
        endpoint: who answers.
        address: ``HOST:PORT``; port 0 takes a free one.

    Raises:
        ConfigError: the address is none.
        DeviceError: nobody can listen there.
    """

    def __init__(self, endpoint: Endpoint, address: str) -> None:
        self._endpoint = endpoint
        host, colon, port = address.rpartition(":")
        if not (colon and host and port.isdecimal() and int(port) < 65536):
            raise ConfigError(f"{address!r} is not of the form HOST:PORT, such as localhost:5000", key="tcp")
        try:
            self._listener = socket.create_server((host.strip("[]"), int(port)))
        except (OSError, UnicodeError) as error:
            raise DeviceError(f"can't listen at {address}: {error}") from error
        self.url = f"serial:socket://{host}:{self._listener.getsockname()[1]}"

    def run(self, stopped: Callable[[], bool] = lambda: False) -> None:
        """See `Server.run`."""
        self._listener.settimeout(LOOK_S)
        while not stopped():
            try:
                connection, _ = self._listener.accept()
            except TimeoutError:
                self._endpoint.receive(b"")
                continue
            with connection:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # 44 ms a round trip without
                connection.setblocking(False)
                with suppress(OSError):  # a host may leave in any way
                    _answer(connection.fileno(), self._endpoint, stopped)

    def close(self) -> None:
        """Listen no more; closing twice is fine."""
        self._listener.close()

    def __enter__(self) -> SocketServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _answer(end: int, endpoint: Endpoint, stopped: Callable[[], bool]) -> None:
    """Give an endpoint what arrives at a descriptor, and send its answers, until stopped or the other end is closed."""
    readable = select.poll()
    readable.register(end, select.POLLIN)
    while not stopped():
        if not readable.poll(LOOK_S * 1e3):
            _send(end, endpoint.receive(b""))
            continue
        try:
            data = os.read(end, 65536)
        except BlockingIOError:
            continue
        if not data:
            return
        _send(end, endpoint.receive(data))


def _send(end: int, data: bytes) -> None:
    rest, deadline = memoryview(data), time.monotonic() + PATIENCE_S
    writable = select.poll()
    writable.register(end, select.POLLOUT)
    while rest and time.monotonic() < deadline:
        try:
            rest = rest[os.write(end, rest) :]
        except BlockingIOError:
            writable.poll(LOOK_S * 1e3)
