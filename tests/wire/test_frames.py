"""Frames: round trips, published COBS examples, HELLO to the byte, and errors that never get through."""

import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwzo.wire.frames import REPLY_OVERHEAD, REQUEST_OVERHEAD, Frame, Splitter, burst, decoded, encoded, request_block
from hwzo.wire.schema import FrameType

FRAMES = st.builds(
    Frame,
    st.sampled_from(list(FrameType)),
    st.integers(0, 255),
    st.integers(0, 65535),
    st.integers(0, 255),
    st.just(0),
    st.one_of(st.binary(max_size=600), st.lists(st.sampled_from([0, 1, 255]), max_size=600).map(bytes)),
)
EXAMPLES = [
    Frame(FrameType.REQUEST, 5, 300, 0x0B, 0, struct.pack("<IHhB", 7, 0, -40, 0)),
    Frame(FrameType.REPLY, 5, 300, 0x0B, 0, struct.pack("<I", 123456)),
    Frame(FrameType.REPLY, 255, 65535, 0x05, 7, b""),
    Frame(FrameType.NAK, 1, 2, 3, 0, struct.pack("<H", 1)),
    Frame(FrameType.REQUEST, 0, 0, 0x02, 0, b""),
    Frame(FrameType.REQUEST, 9, 9, 0x05, 0, bytes(range(256)) + bytes(8) + b"\xff" * 300),
]


def stuffed(data):
    """COBS written down anew: each run of bytes up to a zero as a count and the bytes; 255 counts 254 and no zero."""
    out = b""
    *runs, last = data.split(b"\0")
    for run in runs:
        while len(run) >= 254:
            out, run = out + b"\xff" + run[:254], run[254:]
        out += bytes([len(run) + 1]) + run
    while len(last) > 254:  # behind the last byte no zero is meant, so that 254 bytes fit
        out, last = out + b"\xff" + last[:254], last[254:]
    return out + bytes([len(last) + 1]) + last


@given(FRAMES)
def test_round_trip(frame):
    block = encoded(frame)
    assert 0 not in block
    assert decoded(block) == frame


@given(FRAMES)
def test_the_bytes_are_those_of_an_independent_encoder(frame):
    status = bytes([frame.status]) if frame.type == FrameType.REPLY else b""
    body = struct.pack("<BBHB", 0x10 | frame.type, frame.session, frame.seq, frame.op) + status + frame.payload
    body += zlib.crc32(body).to_bytes(4, "little")
    assert encoded(frame) == stuffed(body)
    if frame.type == FrameType.REQUEST:
        assert request_block(frame.session, frame.seq, frame.op, frame.payload) == encoded(frame)


def test_hello_to_the_byte():
    # The request: 10 | session 0 | seq 0 | op 01 | nonce 11223344 | protocol 1 | schema a1b2c3d4, then its CRC-32.
    body = bytes.fromhex("10 00 0000 01 44332211 01 d4c3b2a1")
    assert zlib.crc32(body) == 0x30C2A1A8
    request = request_block(0, 0, 1, bytes.fromhex("44332211 01 d4c3b2a1"))
    assert burst([request]).hex(" ") == "00 02 10 01 01 0f 01 44 33 22 11 01 d4 c3 b2 a1 a8 a1 c2 30 00"
    assert decoded(request) == Frame(0, 0, 0, 1, 0, bytes.fromhex("44332211 01 d4c3b2a1"))


@given(st.lists(FRAMES, max_size=8), st.lists(st.integers(1, 50), min_size=1, max_size=40))
def test_a_stream_cut_anywhere_gives_the_same_frames(frames, cuts):
    stream = burst([encoded(frame) for frame in frames])
    splitter, found, at, turn = Splitter(), [], 0, 0
    while at < len(stream):
        cut = cuts[turn % len(cuts)]
        found += splitter.feed(stream[at : at + cut])
        at, turn = at + cut, turn + 1
    assert found == frames
    assert splitter.dropped == 0


@given(st.lists(st.one_of(FRAMES, st.binary(max_size=80)), max_size=12))
def test_garbage_between_delimiters_costs_no_frame(pieces):
    stream = b"".join(b"\0" + (encoded(p) if isinstance(p, Frame) else p) + b"\0" for p in pieces)
    splitter = Splitter()
    # Random bytes with a fitting CRC: 2^-32 each.
    assert splitter.feed(stream) == [p for p in pieces if isinstance(p, Frame)]
    assert splitter.dropped == sum(
        len([part for part in p.split(b"\0") if part]) for p in pieces if not isinstance(p, Frame)
    )


def test_what_is_too_long_is_forgotten_and_the_next_frame_is_found():
    splitter = Splitter(longest=100)
    for _ in range(1000):
        assert splitter.feed(b"\x55" * 64) == []
    assert splitter.dropped == 1
    assert splitter.feed(b"\x55\0" + encoded(EXAMPLES[0]) + b"\0") == [EXAMPLES[0]]
    assert splitter.feed(b"\x55" * 101 + b"\0" + encoded(EXAMPLES[1]) + b"\0") == [EXAMPLES[1]]
    assert splitter.dropped == 2


@pytest.mark.parametrize("frame", EXAMPLES)
def test_no_single_flipped_bit_gets_through(frame):
    block = encoded(frame)
    for place in range(len(block)):
        for bit in range(8):
            damaged = bytearray(block)
            damaged[place] ^= 1 << bit
            splitter = Splitter()
            assert splitter.feed(b"\0" + damaged + b"\0") == []
            assert splitter.dropped >= 1


@pytest.mark.parametrize("frame", EXAMPLES)
def test_no_truncated_frame_gets_through(frame):
    block = encoded(frame)
    for length in range(len(block)):
        assert decoded(block[:length]) is None
        assert decoded(block[len(block) - length :]) is None if length else True
    for place in range(len(block)):
        assert decoded(block[:place] + block[place + 1 :]) is None


@pytest.mark.parametrize("frame", EXAMPLES[:5])
def test_two_flipped_bits_do_not_get_through(frame):
    # In the frame as it is before stuffing, where CRC-32's distance holds: every pair of bits.
    status = bytes([frame.status]) if frame.type == FrameType.REPLY else b""
    body = struct.pack("<BBHB", 0x10 | frame.type, frame.session, frame.seq, frame.op) + status + frame.payload
    body = bytearray(body + zlib.crc32(body).to_bytes(4, "little"))
    assert decoded(stuffed(bytes(body))) == frame
    bits = 8 * len(body)
    for first in range(bits):
        body[first >> 3] ^= 1 << (first & 7)
        for second in range(first + 1, bits):
            body[second >> 3] ^= 1 << (second & 7)
            assert decoded(stuffed(bytes(body))) is None
            body[second >> 3] ^= 1 << (second & 7)
        body[first >> 3] ^= 1 << (first & 7)


def test_overheads():
    assert len(burst([request_block(1, 2, 3, b"ab")])) == REQUEST_OVERHEAD + 2
    assert len(burst([encoded(Frame(1, 1, 2, 3, 0, b"ab"))])) == REPLY_OVERHEAD + 2


@pytest.mark.parametrize("head", [0x00, 0x14, 0x20, 0x21, 0xF0])
def test_other_versions_and_types_are_no_frames(head):
    body = bytes([head, 1, 0, 0, 2, 0])
    assert decoded(stuffed(body + zlib.crc32(body).to_bytes(4, "little"))) is None


@pytest.mark.parametrize("size", range(9))
def test_too_short_with_a_fitting_crc(size):
    body = b"\x11\0\0\0\0\0\0\0"[: max(0, size - 4)]
    assert decoded(stuffed(body + zlib.crc32(body).to_bytes(4, "little"))) is None
