"""Frames: what lies between two zero bytes on the wire. COBS keeps zeros out, CRC-32 keeps errors out.

::

    0x00 | COBS( version << 4 | type u8, session u8, seq u16, op u8, [status u8 in replies], payload, CRC-32 ) | 0x00

Consistent overhead byte stuffing: Cheshire and Baker, IEEE/ACM Trans. Networking 7, 159 (1999)
(https://doi.org/10.1109/90.769765).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from typing import NamedTuple
from zlib import crc32

from cobs import cobs  # pyright: ignore[reportMissingTypeStubs]

from hwzo.wire.schema import PROTOCOL, FrameType

DELIMITER = b"\x00"
REQUEST_OVERHEAD = 12
"""Bytes that a request takes beside its payload, both delimiters counted (payloads below 245 bytes)."""
REPLY_OVERHEAD = 13
"""The same of a reply."""

_encode: Callable[[bytes], bytes] = cobs.encode  # pyright: ignore[reportUnknownVariableType]
_decode: Callable[[bytes], bytes] = cobs.decode  # pyright: ignore[reportUnknownVariableType]
_HEAD = struct.Struct("<BBHB")
_REPLY_HEAD = struct.Struct("<BBHBB")
_CRC = struct.Struct("<I")
_RESIDUE = 0x2144DF1C  # what CRC-32 gives over any bytes followed by their own CRC-32, little-endian
_VERSION = PROTOCOL << 4
_REPLY = _VERSION | FrameType.REPLY
_TYPES = frozenset(_VERSION | kind for kind in FrameType)


class Frame(NamedTuple):
    """What a frame holds.

    Args:
        type: a `FrameType`.
        session: 0 to 255.
        seq: 0 to 65535.
        op: which command, or event.
        status: a `Status`; 0 in all but replies.
        payload: the message.
    """

    type: int
    session: int
    seq: int
    op: int
    status: int
    payload: bytes


def encoded(frame: Frame) -> bytes:
    """The bytes between the delimiters: none of them is 0."""
    kind, session, seq, op, status, payload = frame
    if kind == FrameType.REPLY:
        body = _REPLY_HEAD.pack(_REPLY, session, seq, op, status) + payload
    else:
        body = _HEAD.pack(_VERSION | kind, session, seq, op) + payload
    return _encode(body + _CRC.pack(crc32(body)))


def request_block(session: int, seq: int, op: int, payload: bytes) -> bytes:
    """`encoded` of a request."""
    body = _HEAD.pack(_VERSION, session, seq, op) + payload
    return _encode(body + _CRC.pack(crc32(body)))


def burst(blocks: Iterable[bytes]) -> bytes:
    """Encoded frames one after the other, delimited; neighbours share a delimiter."""
    return DELIMITER + DELIMITER.join(blocks) + DELIMITER


def decoded(block: bytes) -> Frame | None:
    """The frame in what lay between two delimiters; None if it isn't one."""
    try:
        body = _decode(block)
    except cobs.DecodeError:
        return None
    if len(body) < 9 or crc32(body) != _RESIDUE:
        return None
    head = body[0]
    if head == _REPLY:
        if len(body) < 10:
            return None
        _, session, seq, op, status = _REPLY_HEAD.unpack_from(body)
        return Frame(FrameType.REPLY, session, seq, op, status, body[6:-4])
    if head not in _TYPES:
        return None
    _, session, seq, op = _HEAD.unpack_from(body)
    return Frame(head & 0x0F, session, seq, op, 0, body[5:-4])


class Splitter:
    """Takes a stream of bytes apart into frames, whatever else is in it.

    Args:
        longest: most bytes between two delimiters; more can't be a frame, and are forgotten.
    """

    def __init__(self, longest: int = 70_000) -> None:
        self.longest = longest
        self.dropped = 0
        """Pieces between delimiters that were no frames."""
        self._open = b""
        self._skipping = False

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that are whole now."""
        pieces = (self._open + data).split(DELIMITER)
        self._open = pieces.pop()
        frames: list[Frame] = []
        for piece in pieces:
            if self._skipping:  # the end of what was too long, and was counted then
                self._skipping = False
                continue
            if not piece:
                continue
            frame = decoded(piece) if len(piece) <= self.longest else None
            if frame is None:
                self.dropped += 1
            else:
                frames.append(frame)
        if len(self._open) > self.longest:
            self.dropped += not self._skipping
            self._open, self._skipping = b"", True
        return frames
