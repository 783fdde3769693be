"""Boards for tests: a compiled one, and one in memory to which anything may happen at any command."""

import contextlib
import os
from dataclasses import replace

import pytest

import hwzo
from hwzo import firmware
from hwzo.errors import DeviceError
from hwzo.registry import DeviceURL
from hwzo.wire.endpoint import Endpoint
from hwzo.wire.schema import Cause
from hwzo.wire.transport import MemoryTransport
from hwzo_backends.serial.device import BoardDevice
from hwzo_backends.serial.options import PortOptions
from hwzo_backends.serial.twin_service import Build, TwinService, identity


@pytest.fixture
def posix():
    """Opens virtual posix boards by their URL's options, and closes them."""
    board = firmware.BOARDS["posix"]
    lacking = firmware.missing((*board.to_build, *board.to_run))
    if lacking:
        reason = f"needs Debian's {' '.join(sorted({each.package for each in lacking}))}"
        assert not os.environ.get("CI"), reason
        pytest.skip(reason)
    devices = []

    def connect(query="", **suggestions):
        device = hwzo.connect("board:posix" + (f"?{query}" if query else ""), **suggestions)
        devices.append(device)
        return device

    yield connect
    for device in devices:
        with contextlib.suppress(DeviceError):  # a board that a test has killed
            device.close()


class Watched:
    """A twin's service that keeps what it was made to do."""

    def __init__(self, build):
        self.twin, self.done = TwinService(build), []

    @property
    def step(self):
        return self.twin.step

    def run(self, request):
        reply = self.twin.run(request)
        self.done.append(request)
        return reply

    def make_safe(self):
        self.done.append("safe")
        self.twin.make_safe()


class EventfulLine:
    """A line to a board in memory; ``events`` maps the number of a burst from the host, from 1, to what happens then.

    - ``reset``: the board starts anew before it reads the burst; ``reset after``: once it has run it, its answer lost.
    - ``mute``: neither this burst nor any other is answered until it is opened anew.
    - ``gone``: the line breaks; ``gone N``: and can't be opened N times.
    - ``stolen``: somebody else's HELLO comes first.
    """

    virtual = True
    serial = ""

    def __init__(self, build=None, events=None):
        self.build = build or Build(receive_buffer=1)  # a burst is a command
        self.events = dict(events or {})
        self.bursts = self.boots = self.opened = self.refused = 0
        self.services = []
        self.closed = self.muted = self.broken = False
        self.boot()

    def boot(self):
        self.boots += 1
        self.service = Watched(self.build)
        self.services.append(self.service)
        told = replace(identity(100 + self.boots, self.build), cause=Cause.WATCHDOG)
        self.endpoint = Endpoint(self.service, told)

    @property
    def done(self):
        """What all boots together did, in order."""
        return [request for service in self.services for request in service.done]

    def open(self):
        if self.refused:
            self.refused -= 1
            raise DeviceError("no such port")
        self.opened += 1
        self.muted = self.broken = False
        return MemoryTransport(self._answer)

    def close(self):
        self.closed = True

    def _answer(self, data):
        self.bursts += 1
        event, _, detail = self.events.pop(self.bursts, "").partition(" ")
        if event == "mute":
            self.muted = True
        if event == "gone":
            self.refused, self.broken = int(detail or 0), True
        if self.broken:
            raise DeviceError("the line is gone; was it unplugged?")
        if self.muted:
            return b""
        if event == "reset" and detail == "after":
            self.endpoint.receive(data)
            self.boot()
            return b""
        if event == "reset":
            self.boot()
        if event == "stolen":
            self.endpoint.receive(STRANGER)
        return self.endpoint.receive(data)


def _stranger():
    from hwzo.wire.frames import burst, request_block
    from hwzo.wire.messages import pack
    from hwzo.wire.schema import PROTOCOL, Hello, schema_hash

    return burst([request_block(0, 0, 1, pack(Hello(0xDEAD, PROTOCOL, schema_hash())))])


STRANGER = _stranger()


@pytest.fixture
def eventful():
    """Makes a device over an `EventfulLine`: (device, line)."""
    devices = []

    def make(events=None, build=None, **options):
        line = EventfulLine(build, events)
        chosen = {"layers": "5-4-3", "timeout_s": 0.3, "reconnect_s": 2.0, **options}
        device = BoardDevice(line, PortOptions(**chosen), DeviceURL.parse("serial:memory"))
        devices.append((device, line))
        return device, line

    yield make
    for device, line in devices:
        line.events.clear()
        with contextlib.suppress(DeviceError):
            device.close()
