"""The board's side, frame by frame, as docs/hz1.md lays it down."""

from itertools import pairwise

import pytest

from hwzo.wire.endpoint import Endpoint, Identity
from hwzo.wire.frames import Frame, Splitter, burst, request_block
from hwzo.wire.messages import pack, unpack
from hwzo.wire.schema import (
    PROTOCOL,
    Evaluate,
    FrameType,
    Hello,
    HelloReply,
    LossReply,
    Nak,
    NoSession,
    OutOfRange,
    Read,
    Status,
    Values,
    Write,
    command_of,
    schema_hash,
)


class Talk:
    """Frames to an endpoint, and what it answers."""

    def __init__(self, line):
        self.endpoint, self.service = line.endpoint, line.service
        self.splitter = Splitter()
        self.session = 0

    def send(self, session, seq, op, payload=b""):
        return self.splitter.feed(self.endpoint.receive(burst([request_block(session, seq, op, payload)])))

    def say(self, seq, message, session=None):
        of = self.session if session is None else session
        return self.send(of, seq, command_of(type(message)).op, pack(message))

    def hello(self, nonce, schema=None):
        (frame,) = self.say(0, Hello(nonce, PROTOCOL, schema_hash() if schema is None else schema), session=0)
        assert frame[:5] == (FrameType.REPLY, 0, 0, 1, Status.OK)
        reply = unpack(HelloReply, frame.payload)
        self.session = reply.session
        return reply


@pytest.fixture
def talk(hostile_line):
    return Talk(hostile_line(window=4))


def test_no_command_before_hello(talk):
    (frame,) = talk.say(0, Write(0, (1,)), session=3)
    assert frame[:5] == (FrameType.REPLY, 3, 0, 5, Status.E_NOSESS)
    assert unpack(NoSession, frame.payload).boot_id == 7
    assert talk.service.done == []


def test_sessions(talk):
    first = talk.hello(1)
    assert first.session != 0
    assert first.nonce == 1
    assert talk.say(first.next_seq, Write(0, (1,)))[0].status == Status.OK
    again = talk.hello(1)
    assert again.session == first.session
    assert again.next_seq == (first.next_seq + 1) & 0xFFFF
    second = talk.hello(2)
    assert second.session not in (0, first.session)
    (frame,) = talk.say(1, Write(0, (1,)), session=first.session)
    assert frame.status == Status.E_NOSESS
    assert len(talk.service.done) == 1
    # What the first session kept is gone: seq 0 is new.
    assert talk.say(second.next_seq, Write(0, (1,)))[0].status == Status.OK
    assert len(talk.service.done) == 2


def test_session_zero_is_never_given(talk):
    sessions = [talk.hello(nonce).session for nonce in range(600)]
    assert set(sessions) == set(range(1, 256))
    assert all(a != b for a, b in pairwise(sessions))


def test_the_window(talk):
    talk.hello(1)
    replies = [talk.say(seq, Evaluate(0, 0, 1, 0))[0] for seq in range(10)]
    assert [unpack(LossReply, frame.payload).loss for frame in replies] == list(range(1, 11))
    for seq in (6, 7, 8, 9, 6):  # the last four: the same bytes again, and nothing runs
        assert talk.say(seq, Evaluate(0, 0, 1, 0)) == [replies[seq]]
    assert talk.endpoint.duplicates == 5
    assert len(talk.service.done) == 10
    (nak,) = talk.say(5, Evaluate(0, 0, 1, 0))  # older: once a gap
    assert (nak.type, nak.session, unpack(Nak, nak.payload).expected) == (FrameType.NAK, talk.session, 10)
    assert talk.say(12, Evaluate(0, 0, 1, 0)) == []
    assert talk.say(11, Evaluate(0, 0, 1, 0)) == []
    assert talk.say(10, Evaluate(0, 0, 1, 0))[0].status == Status.OK
    assert unpack(Nak, talk.say(13, Evaluate(0, 0, 1, 0))[0].payload).expected == 11  # a new gap
    assert len(talk.service.done) == 11
    assert talk.endpoint.gaps == 2


def test_nothing_is_kept_from_before_the_first_command(talk):
    talk.hello(1)
    (nak,) = talk.say(0xFFFF, Write(0, (1,)))
    assert nak.type == FrameType.NAK
    assert talk.service.done == []


def test_a_fetch_runs_again(talk):
    talk.hello(1)
    assert unpack(Values, talk.say(0, Read(0, 1))[0].payload).values == (0,)
    talk.service.memory[0] = 5
    assert unpack(Values, talk.say(0, Read(0, 1))[0].payload).values == (5,)


def test_refusals_use_their_seq_and_are_kept(talk):
    talk.hello(1)
    refused = [
        talk.send(talk.session, 0, 0x1F)[0],
        talk.send(talk.session, 1, 0x0B, bytes(8))[0],
        talk.say(2, Evaluate(9, 0, 1, 0))[0],
    ]
    assert [frame.status for frame in refused] == [Status.E_OP, Status.E_LEN, Status.E_RANGE]
    assert unpack(OutOfRange, refused[2].payload).field == 0
    assert talk.say(2, Evaluate(9, 0, 1, 0)) == [refused[2]]
    assert talk.send(talk.session, 1, 0x0B, bytes(8)) == [refused[1]]
    assert talk.say(3, Evaluate(0, 0, 1, 0))[0].status == Status.OK


def test_a_host_of_another_schema_is_answered_and_refused(talk):
    reply = talk.hello(1, schema=0)
    assert reply.schema == schema_hash()
    assert talk.say(0, Write(0, (1,)))[0].status == Status.E_VERSION
    assert talk.service.done == []


def test_a_hello_of_another_length(talk):
    (frame,) = talk.send(0, 0, 1, b"123")
    assert frame.status == Status.E_LEN


def test_replies_events_and_naks_from_the_host_are_ignored(talk):
    talk.hello(1)
    for kind in (FrameType.REPLY, FrameType.EVENT, FrameType.NAK):
        assert talk.endpoint._answer(Frame(kind, talk.session, 0, 5, 0, b"")) is None


def test_the_safe_state_by_timeout_counts_well_formed_frames_only(hostile_line):
    now = [0.0]
    service = hostile_line().service
    endpoint = Endpoint(service, Identity(7), clock=lambda: now[0])
    talk = Talk(hostile_line())
    talk.endpoint = endpoint
    talk.hello(1)
    talk.send(talk.session, 0, 0x12, (1000).to_bytes(4, "little"))
    for _ in range(9):
        now[0] += 0.3
        endpoint.receive(b"\x00garbage\x00")
    assert endpoint.safe
    assert service.safe == 1
    assert talk.say(1, Write(0, (1,)))[0].status == Status.E_SAFE
