"""A board that counts what it is made to do, and a line to it that loses, damages, repeats and delays, by a seed."""

from collections import deque

import numpy as np
import pytest

from hwzo.wire.endpoint import Endpoint, Identity, RefusalError
from hwzo.wire.schema import (
    Describe,
    DescribeReply,
    Done,
    Evaluate,
    LossReply,
    Read,
    Status,
    StepReply,
    Update,
    Values,
    Write,
)


class Recorder:
    """Keeps what it was made to do, in order; a loss is a number never given before, as new noise would be."""

    def __init__(self, receive_buffer=4096):
        self.done = []
        self.memory = [0] * 64
        self.step = 0
        self.safe = 0
        self.receive_buffer = receive_buffer

    def run(self, request):
        if isinstance(request, Describe):
            return DescribeReply(
                *(-32767, 32767, 1, 12, 10, 16, 0, 7, 3, 7, 3, 4, 512, 256, 8192, 8192, self.receive_buffer, 0, 0),
                "recorder",
            )
        if isinstance(request, Read):  # runs again when asked again
            return Values(tuple(self.memory[request.offset : request.offset + request.count]))
        if isinstance(request, Write):
            self.done.append(request)
            self.memory[request.offset : request.offset + len(request.values)] = request.values
            return Done()
        if isinstance(request, Evaluate):
            if request.t != self.step:
                raise RefusalError(Status.E_RANGE, 0)
            self.done.append(request)
            return LossReply(len(self.done))
        if isinstance(request, Update):
            if request.t != self.step:
                raise RefusalError(Status.E_RANGE, 0)
            self.done.append(request)
            self.step += 1
            return StepReply(self.step)
        raise RefusalError(Status.E_OP)

    def make_safe(self):
        self.safe += 1


class HostileLine:
    """A transport on virtual time to a recorder; it keeps the order of what it lets through.

    Rates are for each piece of bytes between two delimiters, `stall` for each burst; a replay is of one of the last 20.
    """

    description = "a hostile line"

    def __init__(self, seed=0, *, window=8, receive_buffer=4096, latency_s=1e-3, stall_s=0.7, **rates):
        unknown = set(rates) - {"drop", "flip", "cut", "duplicate", "replay", "noise", "stall"}
        assert not unknown, unknown
        self.rates = rates
        self.happened = dict.fromkeys(rates, 0)
        self.latency_s, self.stall_s = latency_s, stall_s
        self.rng = np.random.default_rng(seed)
        self.now = 0.0
        self.there, self.back = deque(), deque()
        self.old = {id(self.there): deque(maxlen=20), id(self.back): deque(maxlen=20)}
        self.service = Recorder(receive_buffer)
        self.window = window
        self.restart(boot_id=7)

    def restart(self, boot_id, **identity):
        """The board starts anew; its service stays, so that a test sees what it has done before."""
        self.endpoint = Endpoint(self.service, Identity(boot_id, window=self.window, **identity), clock=self.clock)

    def clock(self):
        return self.now

    def write(self, data):
        self._carry(self.there, data)

    def read(self, timeout_s):
        until = self.now + timeout_s
        while True:
            line = min((line for line in (self.there, self.back) if line), key=lambda line: line[0][0], default=None)
            if line is None or line[0][0] > until:
                self.now = until
                return b""
            at, data = line.popleft()
            self.now = max(self.now, at)
            if line is self.back:
                return data
            answer = self.endpoint.receive(data)
            if answer:
                self._carry(self.back, answer)

    def close(self):
        pass

    def _carry(self, line, data):
        at = self.now + self.latency_s
        if self._happens("stall"):
            at += self.stall_s
        if line:
            at = max(at, line[-1][0])
        old = self.old[id(line)]
        pieces = data.split(b"\0")
        out = []
        for piece in pieces:
            if piece:
                old.append(piece)
            if piece and self._happens("drop"):
                continue
            if piece and self._happens("flip"):
                place, bit = self.rng.integers(len(piece)), self.rng.integers(8)
                piece = piece[:place] + bytes([piece[place] ^ (1 << bit)]) + piece[place + 1 :]
            if piece and self._happens("cut"):
                place = self.rng.integers(len(piece))
                piece = piece[:place] + piece[place + 1 :]
            if piece and self._happens("noise"):
                out.append(self.rng.bytes(int(self.rng.integers(1, 20))))
            out.append(piece)
            if piece and self._happens("duplicate"):
                out.append(piece)
            if old and piece and self._happens("replay"):
                out.append(old[self.rng.integers(len(old))])
        line.append((at, b"\0".join(out)))

    def _happens(self, what):
        rate = self.rates.get(what, 0.0)
        happens = rate > 0 and self.rng.random() < rate
        if happens:
            self.happened[what] += 1
        return happens


@pytest.fixture
def hostile_line():
    """Makes a line to a fresh recorder; see `HostileLine`."""
    return HostileLine
