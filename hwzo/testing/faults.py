"""A bad cable between a host and a board: it drops, flips, duplicates, delays and replays bytes, and comes unplugged.

For makers of boards, and of hosts, that speak HZ1 (docs/hz1.md) or anything else over a serial line. The host connects
to the cable instead of the board::

    from hwzo.testing.faults import Cable, Rates

    with Cable("/dev/ttyACM0", Rates(drop=0.002, flip=0.002), seed=1, link="/tmp/board") as cable:
        device = hwzo.connect(cable.url + "?layers=49-4-4")     # serial:/tmp/board
        ...
        cable.unplug()                                          # the host's port is gone
        cable.plug()                                            # back: another terminal behind the same link
        print(cable.happened)                                   # how often each fault happened

What happens to a byte follows from the seed, the direction and how many bytes went before it that way, not from when
they came or how they were grouped: with the same bytes, the same faults. Order is kept; a delayed byte holds up those
behind it, as a buffer does.
"""

from __future__ import annotations

import os
import select
import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType

import numpy as np

from hwzo.errors import ConfigError, DeviceError
from hwzo.testing.ends import BoardEnd, HostEnd, SocketEnd, TerminalEnd

REPLAYED = 128
"""Most bytes that one replay repeats: enough for a few short frames."""
REMEMBERED = 512
"""A replay begins at most so many bytes back."""
LOOK_S = 0.2
CHUNK = 65536


@dataclass(frozen=True)
class Rates:
    """Probability that a fault happens at a byte, of each kind, each way.

    Args:
        drop: the byte is lost.
        flip: one of its bits, any, is inverted.
        duplicate: it comes twice.
        replay: behind it, up to 128 of the last 512 bytes come again.
        delay: it, and what follows, comes ``delay_s`` later.
        delay_s: seconds.

    Raises:
        ConfigError: a rate below 0, or their sum above 1; a time below 0.
    """

    drop: float = 0.0
    flip: float = 0.0
    duplicate: float = 0.0
    replay: float = 0.0
    delay: float = 0.0
    delay_s: float = 0.01

    def __post_init__(self) -> None:
        for key, value in asdict(self).items():
            if not 0.0 <= value < float("inf"):
                raise ConfigError(f"{key}={value} must be a number, at least 0", key=key)
        if sum(self.by_kind.values()) > 1.0:
            raise ConfigError(f"the rates of faults add up to {sum(self.by_kind.values()):g}, which is more than 1")

    @property
    def by_kind(self) -> dict[str, float]:
        """Probabilities by kind of fault."""
        rates = asdict(self)
        del rates["delay_s"]
        return rates


class Faults:
    """What a bad cable does to a stream of bytes, one way.

    Args:
        rates: how often.
        seed: of everything that is random.
        way: number of the direction, so that the two differ.
    """

    def __init__(self, rates: Rates, seed: int = 0, way: int = 0) -> None:
        self.happened = dict.fromkeys(rates.by_kind, 0)
        """How often each kind of fault happened."""
        self.carried = 0
        """How many bytes came in."""
        self._kinds = tuple(rates.by_kind)
        self._edges = np.cumsum([*rates.by_kind.values()])
        # Two generators: one number a byte of the first, however the bytes are grouped; the second for what happens.
        self._which, self._how = (np.random.default_rng([seed, way, use]) for use in (0, 1))
        self._past = b""

    def pieces(self, data: bytes) -> list[tuple[bool, bytes]]:
        """What comes out for ``data``, in order: (held up before it, bytes)."""
        draws = np.searchsorted(self._edges, self._which.random(len(data)), side="right")
        out: list[tuple[bool, bytearray]] = [(False, bytearray())]
        start = 0
        for at in np.flatnonzero(draws < len(self._kinds)).tolist():
            out[-1][1].extend(data[start:at])
            self._do(self._kinds[draws[at]], data, at, out)
            start = at + 1
        out[-1][1].extend(data[start:])
        self._past = (self._past + data)[-REMEMBERED:]
        self.carried += len(data)
        return [(held, bytes(piece)) for held, piece in out if held or piece]

    def _do(self, kind: str, data: bytes, at: int, out: list[tuple[bool, bytearray]]) -> None:
        self.happened[kind] += 1
        byte = data[at]
        if kind == "delay":
            out.append((True, bytearray()))
        if kind == "flip":
            byte ^= 1 << int(self._how.integers(8))
        if kind != "drop":
            out[-1][1].append(byte)
        if kind == "duplicate":
            out[-1][1].append(byte)
        if kind == "replay":
            past = (self._past + data[: at + 1])[-REMEMBERED:]
            begin, length = int(self._how.integers(len(past))), int(self._how.integers(1, REPLAYED + 1))
            out[-1][1].extend(past[begin : begin + length])


class _Way:
    """One direction of a cable: what is on its way, and when it may come out."""

    def __init__(self, faults: Faults, delay_s: float) -> None:
        self.faults, self._delay_s = faults, delay_s
        self._queue: deque[tuple[float, bytes]] = deque()

    def put(self, data: bytes, now: float) -> None:
        due = max(now, self._queue[-1][0]) if self._queue else now
        for held, piece in self.faults.pieces(data):
            due += self._delay_s if held else 0.0
            self._queue.append((due, piece))

    def clear(self) -> None:
        self._queue.clear()

    def wait(self, now: float) -> float:
        """Seconds until something may come out."""
        return max(0.0, self._queue[0][0] - now) if self._queue else LOOK_S

    def deliver(self, end: int, now: float) -> bool:
        """Write what may come out; False if there is no room for it at the moment."""
        while self._queue and self._queue[0][0] <= now:
            due, piece = self._queue[0]
            try:
                sent = os.write(end, piece)
            except BlockingIOError:
                return False
            if sent < len(piece):
                self._queue[0] = (due, piece[sent:])
                return False
            self._queue.popleft()
        return True


class Cable:
    """A bad cable; a context manager. It works in a thread of its own.

    Args:
        board: the board's port, ``socket://HOST:PORT``, or either as a ``serial:`` URL.
        rates: of faults, both ways.
        seed: of the faults.
        link: a path that leads to the host's terminal, whichever it is; made, and removed with the cable. None: the
            terminal's own path, another one each time it is plugged in.
        tcp: ``HOST:PORT`` where the host connects instead of at a terminal; port 0 takes a free one and keeps it.
        baud: rate of the board's port.

    Raises:
        ConfigError: rates, an address or a link that can't be.
        DeviceError: the board can't be reached, or no terminal or port be had.
    """

    def __init__(
        self,
        board: str,
        rates: Rates | None = None,
        *,
        seed: int = 0,
        link: str | Path | None = None,
        tcp: str | None = None,
        baud: int = 115200,
    ) -> None:
        rates = rates if rates is not None else Rates()
        if link is not None and tcp is not None:
            raise ConfigError("a cable ends at a terminal, with a link, or at a TCP port", key="tcp")
        self.error: str | None = None
        """Why the cable gave up, if the board's end is gone."""
        self._there, self._back = (_Way(Faults(rates, seed, way), rates.delay_s) for way in (0, 1))
        self._lock = threading.RLock()
        self._board = BoardEnd(board, baud)
        try:
            self._host: HostEnd = TerminalEnd(None if link is None else Path(link)) if tcp is None else SocketEnd(tcp)
        except BaseException:
            self._board.close()
            raise
        self._woken, self._waker = os.pipe()
        self._stopped = self._closed = False
        self._thread = threading.Thread(target=self._carry, name="cable", daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """What `hwzo.connect` takes: the link, if there is one."""
        return self._host.url

    @property
    def port(self) -> str:
        """What the host opens: a path, or ``socket://HOST:PORT``."""
        return self._host.url.removeprefix("serial:")

    @property
    def happened(self) -> dict[str, int]:
        """How often each kind of fault has happened, both ways."""
        there, back = self._there.faults.happened, self._back.faults.happened
        return {kind: there[kind] + back[kind] for kind in there}

    @property
    def carried(self) -> int:
        """Bytes that came in, both ways."""
        return self._there.faults.carried + self._back.faults.carried

    @property
    def plugged(self) -> bool:
        """True if the host's end is there."""
        return self._host.there

    def unplug(self) -> None:
        """Pull the plug at the host's end: its port is gone, and so is what was on its way."""
        with self._lock:
            self._host.unplug()
            self._there.clear()
            self._back.clear()
        self._wake()

    def plug(self) -> None:
        """Plug it in again: another terminal behind the same link, or the same TCP port.

        Raises:
            DeviceError: the cable is closed, the board is gone, or no terminal or port can be had.
        """
        with self._lock:
            if self._stopped:
                raise DeviceError(self.error or "the cable is closed; make another one")
            self._host.plug()
        self._wake()

    def close(self) -> None:
        """Take the cable away; closing twice is fine."""
        if not self._closed:
            self._closed = self._stopped = True
            self._wake()
            self._thread.join()
            self._host.close()
            self._board.close()
            os.close(self._woken)
            os.close(self._waker)

    def __enter__(self) -> Cable:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _wake(self) -> None:
        with suppress(OSError):
            os.write(self._waker, b"!")

    def _carry(self) -> None:
        full: set[int] = set()  # ends that took no more
        while not self._stopped:
            with self._lock:
                host, board, now = self._host.descriptor, self._board.descriptor, time.monotonic()
                wait_s = min(self._there.wait(now), self._back.wait(now))
            poll = select.poll()
            poll.register(self._woken, select.POLLIN)
            for end in (board, host):
                if end is not None:
                    poll.register(end, select.POLLIN | (select.POLLOUT if end in full else 0))
            ready = dict(poll.poll(LOOK_S * 1e3 if full else 1e3 * wait_s + (0.5 if wait_s else 0)))
            if self._woken in ready:
                os.read(self._woken, CHUNK)
            with self._lock:
                if self._host.descriptor != host:  # somebody pulled the plug meanwhile
                    full.clear()
                    continue
                full = self._exchange(host, board, ready)

    def _exchange(self, host: int | None, board: int, ready: dict[int, int]) -> set[int]:
        """Take what is ready, give what is due; the ends that took no more."""
        full: set[int] = set()
        now = time.monotonic()
        try:
            if board in ready:
                data = _read(board)
                if self._host.connected:
                    self._back.put(data, now)
        except OSError as error:
            self._give_up(error)
            return full
        if host is not None and host in ready and ready[host] != select.POLLOUT:
            try:
                if self._host.connected:
                    self._there.put(_read(host), now)
                else:
                    self._host.accept()
            except OSError:  # the host left a connection; a terminal never says so
                self._host.left()
                self._back.clear()
        for way, end in ((self._there, board), (self._back, self._host.descriptor if self._host.connected else None)):
            if end is None:
                continue
            try:
                if not way.deliver(end, now):
                    full.add(end)
            except OSError as error:
                if end == board:
                    self._give_up(error)
                else:
                    self._host.left()
        return full

    def _give_up(self, error: OSError) -> None:
        self.error = f"the board's end of the cable is gone: {error.strerror or error}"
        self._host.unplug()
        self._stopped = True


def _read(end: int) -> bytes:
    """What has arrived.

    Raises:
        OSError: the other end is gone.
    """
    try:
        data = os.read(end, CHUNK)
    except BlockingIOError:
        return b""
    if not data:
        raise ConnectionResetError("closed")
    return data
