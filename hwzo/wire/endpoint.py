"""The board's side of HZ1 in Python: sessions, window, kept replies, safe state. What commands do is a service's."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from hwzo.wire.errors import MalformedError
from hwzo.wire.frames import Frame, Splitter, burst, encoded
from hwzo.wire.messages import pack, unpack
from hwzo.wire.schema import (
    ANY_FIELD,
    BY_OP,
    CACHED_REPLY,
    LEAST_PAYLOAD,
    PROTOCOL,
    Cause,
    Command,
    Done,
    FrameType,
    Hello,
    HelloReply,
    Kind,
    Message,
    Nak,
    NoSession,
    OutOfRange,
    Request,
    SafeClear,
    SafeEnter,
    SafeTimeout,
    Status,
    schema_hash,
)


class RefusalError(Exception):
    """Raised by a service that can't do a command; it has changed nothing.

    Args:
        status: why.
        field: with E_RANGE: number of the field at fault, or `ANY_FIELD`.
    """

    def __init__(self, status: Status, field: int = ANY_FIELD) -> None:
        super().__init__(status.name)
        self.status, self.field = status, field


class Service(Protocol):
    """What the commands of an `Endpoint` do."""

    @property
    def step(self) -> int:
        """Of the training."""
        ...

    def run(self, request: Request[Any]) -> Message:
        """Do a command, once.

        Raises:
            RefusalError: it can't be done.
        """
        ...

    def make_safe(self) -> None:
        """Make the outputs safe."""
        ...


@dataclass(frozen=True)
class Identity:
    """What a board says of itself when it is greeted.

    Args:
        boot_id: another one after every start.
        cause: why it started.
        firmware: its version, (major, minor).
        window: most requests in flight, 1 to 128.
        max_payload: most bytes of payload, at least 64.
        max_parameters: most parameters of a network.
        schema: hash of the schema that it was built from.
    """

    boot_id: int
    cause: Cause = Cause.POWER_ON
    firmware: tuple[int, int] = (1, 0)
    window: int = 8
    max_payload: int = 1024
    max_parameters: int = 1 << 20
    schema: int = schema_hash()


class Endpoint:
    """A board, from its start on. Give `receive` what comes over the line, and send what it returns.

    Args:
        service: what the commands do.
        identity: what it says of itself.
        clock: seconds, going forward; for the safe state.
    """

    def __init__(self, service: Service, identity: Identity, clock: Callable[[], float] = time.monotonic) -> None:
        assert 1 <= identity.window <= 128
        assert identity.max_payload >= LEAST_PAYLOAD
        self.service = service
        self.identity = identity
        self.safe = False
        """True in the safe state."""
        self.frames = 0
        self.duplicates = 0
        self.gaps = 0
        self._clock = clock
        self._safe_after: float | None = None  # seconds without a frame
        self._heard = clock()
        self._splitter = Splitter(2 * identity.max_payload + 64)
        self._session = identity.boot_id & 0xFF  # so that a session of before the reset is hardly taken for the new one
        self._nonce: int | None = None
        self._agreed = False  # both sides speak of the same schema
        self._expected = 0
        self._complained = False
        self._kept: dict[int, bytes] = {}  # encoded reply, by seq

    @property
    def dropped(self) -> int:
        """Pieces between delimiters that were no frames."""
        return self._splitter.dropped

    def receive(self, data: bytes) -> bytes:
        """What the board says to some bytes off the line; may be nothing. Call it now and then with none, too."""
        if self._safe_after is not None and self._clock() - self._heard > self._safe_after:
            self._make_safe()
        frames = self._splitter.feed(data)
        if frames:
            self.frames += len(frames)
            self._heard = self._clock()
        answers = [answer for frame in frames if (answer := self._answer(frame)) is not None]
        return burst(answers) if answers else b""

    def _answer(self, frame: Frame) -> bytes | None:
        if frame.type != FrameType.REQUEST:
            return None
        if frame.op == 0x01:
            return self._greet(frame)
        if self._nonce is None or frame.session != self._session:
            return _reply(frame, Status.E_NOSESS, NoSession(self.identity.boot_id))
        behind = (self._expected - frame.seq) & 0xFFFF
        if behind == 0:
            answer = self._run(frame)
            self._kept[frame.seq] = answer
            self._kept.pop((frame.seq - self.identity.window) & 0xFFFF, None)
            self._expected = (frame.seq + 1) & 0xFFFF
            self._complained = False
            return answer
        if behind <= self.identity.window and frame.seq in self._kept:
            self.duplicates += 1
            command = BY_OP.get(frame.op)
            return self._run(frame) if command and command.kind is Kind.FETCH else self._kept[frame.seq]
        if self._complained:
            return None
        self._complained = True  # once a gap
        self.gaps += 1
        nak = Frame(FrameType.NAK, frame.session, frame.seq, frame.op, 0, pack(Nak(self._expected)))
        return encoded(nak)

    def _greet(self, frame: Frame) -> bytes | None:
        try:
            hello = unpack(Hello, frame.payload)
        except MalformedError:
            return _reply(frame, Status.E_LEN)
        if hello.nonce != self._nonce:
            self._nonce = hello.nonce
            self._session = self._session % 255 + 1
            self._expected = 0
            self._complained = False
            self._kept.clear()
            self._agreed = hello.protocol == PROTOCOL and hello.schema == self.identity.schema
        of = self.identity
        major, minor = of.firmware
        reply = HelloReply(
            *(hello.nonce, PROTOCOL, major, minor, of.schema, self._session, of.window, of.max_payload),
            *(of.max_parameters, of.boot_id, of.cause, self._expected, self.service.step),
        )
        return _reply(frame, Status.OK, reply)

    def _run(self, frame: Frame) -> bytes:
        command = BY_OP.get(frame.op)
        if not self._agreed:
            return _reply(frame, Status.E_VERSION)
        if command is None:
            return _reply(frame, Status.E_OP)
        try:
            request = unpack(command.request, frame.payload)
        except MalformedError:
            return _reply(frame, Status.E_LEN)
        if self.safe and command.guarded:
            return _reply(frame, Status.E_SAFE)
        try:
            reply = self._done(request)
        except RefusalError as refusal:
            named = refusal.status is Status.E_RANGE
            return _reply(frame, refusal.status, OutOfRange(refusal.field) if named else None)
        return _reply(frame, Status.OK, reply, command)

    def _done(self, request: Request[Any]) -> Message:
        """The safe state is the protocol's; all else is the service's."""
        if isinstance(request, SafeClear):
            self.safe = False
        elif isinstance(request, SafeEnter):
            self._make_safe()
        elif isinstance(request, SafeTimeout):
            self._safe_after = request.milliseconds / 1e3 if request.milliseconds else None
        else:
            return self.service.run(request)
        return Done()

    def _make_safe(self) -> None:
        if not self.safe:
            self.safe = True
            self.service.make_safe()


def _reply(frame: Frame, status: Status, message: Message | None = None, command: Command | None = None) -> bytes:
    payload = pack(message) if message is not None else b""
    if command is not None and command.kind is Kind.CACHED:
        assert len(payload) <= CACHED_REPLY, f"{command.name}: a reply of {len(payload)} bytes can't be kept"
    return encoded(Frame(FrameType.REPLY, frame.session, frame.seq, frame.op, status, payload))
