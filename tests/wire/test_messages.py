"""Messages: round trips at the limits of every field, the bytes against `struct`, and what can't be packed."""

import re
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwzo.errors import ConfigError
from hwzo.wire.errors import MalformedError
from hwzo.wire.fields import CODES, List, Number, Text
from hwzo.wire.messages import bounds, pack, unpack
from hwzo.wire.schema import (
    CACHED_REPLY,
    COMMANDS,
    EVENTS,
    LEAST_PAYLOAD,
    DescribeReply,
    Evaluate,
    HelloReply,
    Kind,
    Nak,
    NoSession,
    OutOfRange,
    SetNetwork,
    Step,
    Values,
    Write,
    layout_of,
)

MESSAGES = sorted(
    {*(c.request for c in COMMANDS), *(c.reply for c in COMMANDS), *EVENTS.values(), NoSession, OutOfRange, Nak},
    key=lambda message: message.__name__,
)


def numbers(kind):
    low, high = bounds(kind)
    return st.one_of(st.sampled_from([low, high, 0]), st.integers(low, high))


def value_of(layout):
    if isinstance(layout, Number):
        return numbers(layout.kind)
    if isinstance(layout, Text):
        return st.text(st.characters(max_codepoint=127), max_size=24)
    columns = [numbers(kind) for _, kind in layout.columns]
    row = columns[0] if len(columns) == 1 else st.tuples(*columns)
    return st.lists(row, max_size=20).map(tuple)


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.__name__)
def test_round_trip(message):
    @settings(max_examples=60)
    @given(st.tuples(*(value_of(field.layout) for field in layout_of(message))))
    def check(values):
        sent = message(*values)
        assert unpack(message, pack(sent)) == sent

    check()


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.__name__)
def test_the_limits_of_every_number(message):
    fields = layout_of(message)
    zero = {f.name: 0 if isinstance(f.layout, Number) else "" if isinstance(f.layout, Text) else () for f in fields}
    for field in fields:
        if not isinstance(field.layout, Number):
            continue
        low, high = bounds(field.layout.kind)
        assert struct.calcsize("<" + CODES[field.layout.kind]) * 8 == (high - low).bit_length()
        for value in (low, high):
            assert getattr(unpack(message, pack(message(**{**zero, field.name: value}))), field.name) == value
        for value in (low - 1, high + 1, 0.5, None, "1"):
            with pytest.raises(ConfigError, match=re.escape(f"{field.name}=")):
                pack(message(**{**zero, field.name: value}))


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.__name__)
def test_another_length_is_malformed(message):
    # A message of numbers only takes one length; one with a list takes no part of a row, and no part of its numbers.
    fields = layout_of(message)
    size = sum(f.layout.size for f in fields if isinstance(f.layout, Number))
    if all(isinstance(f.layout, Number) for f in fields):
        for length in {0, size - 1, size + 1, 2 * size} - {size, -1}:
            with pytest.raises(MalformedError):
                unpack(message, bytes(length))
    elif size:
        with pytest.raises(MalformedError):
            unpack(message, bytes(size - 1))
    last = fields[-1].layout if fields else None
    if isinstance(last, List) and last.size > 1:
        with pytest.raises(MalformedError):
            unpack(message, bytes(size + sum(getattr(f.layout, "counted", False) for f in fields) + last.size - 1))


def test_bytes_by_hand():
    assert pack(Evaluate(0x01020304, 0x0506, -2, 3)).hex() == "04030201" + "0605" + "feff" + "03"
    assert pack(Write(70000, (1, -1, 32767))).hex() == "70110100" + "0100" + "ffff" + "ff7f"
    assert pack(SetNetwork(1, -4096, 4096, (49, 4, 4))).hex() == "01" + "00f0" + "0010" + "3100" + "0400" + "0400"
    # t, one pair, then two evaluations to the end.
    step = Step(5, ((1, -3),), ((0, 40), (0, -40)))
    assert pack(step).hex() == "05000000" + "01" + "0100fdff" + "00002800" + "0000d8ff"
    assert unpack(Step, pack(step)) == step


def test_a_list_that_promises_more_than_it_has():
    with pytest.raises(MalformedError):
        unpack(Step, bytes.fromhex("05000000" + "02" + "0100fdff"))


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (Write(0, (1, 99_999)), r"values=.*\(-32768 to 32767\)"),
        (Write(0, 5), "values=5 must be a sequence"),
        (Step(0, ((1,),), ()), "pairs=.*k 0 to 65535, coefficient -32768 to 32767.* at most 255"),
        (Step(0, ((1, 2),) * 256, ()), "pairs=.* at most 255"),
        (DescribeReply(*[0] * 19, "µ"), "model=.* ASCII"),
    ],
)
def test_lists_and_text_that_cannot_be_packed(message, text):
    with pytest.raises(ConfigError, match=text):
        pack(message)


def test_what_every_board_must_take_is_enough():
    for command in COMMANDS:
        fields = layout_of(command.request)
        assert sum(f.layout.size for f in fields if isinstance(f.layout, Number)) <= LEAST_PAYLOAD
    assert len(pack(DescribeReply(*[0] * 19, "x" * 24))) <= LEAST_PAYLOAD
    assert len(pack(HelloReply(*[0] * 13))) == 30


def test_replies_that_are_kept_are_short():
    for command in COMMANDS:
        if command.kind is Kind.CACHED:
            lists = [f.layout for f in layout_of(command.reply) if not isinstance(f.layout, Number)]
            size = sum(f.layout.size for f in layout_of(command.reply) if isinstance(f.layout, Number))
            assert size + sum(4 * layout.size for layout in lists) <= CACHED_REPLY  # a step has 4 losses at most
            assert command.reply is not Values


def test_ops_and_events_are_told_apart_by_one_number():
    assert len({command.op for command in COMMANDS}) == len(COMMANDS)
    assert all(0 < command.op < 32 for command in COMMANDS)  # masks of 32 bits in the header
    assert len({command.request for command in COMMANDS}) == len(COMMANDS)
