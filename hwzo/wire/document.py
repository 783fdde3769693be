"""The part of the protocol's document that is made from the schema: its commands, fields and codes."""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntFlag
from typing import Any

from hwzo.wire.endpoint import Endpoint, Identity, RefusalError
from hwzo.wire.frames import burst, request_block
from hwzo.wire.messages import pack
from hwzo.wire.schema import (
    COMMANDS,
    ENUMERATIONS,
    EVENTS,
    PROTOCOL,
    Evaluate,
    Hello,
    Kind,
    LossReply,
    Message,
    Request,
    Status,
    Update,
    command_of,
    layout_of,
    schema_hash,
)

START = "<!-- made from hwzo/wire/schema.py by python -m hwzo.wire.generate -->"
EXAMPLE = "<!-- an exchange, made by the same command -->"
END = "<!-- end of what is made from the schema -->"


def rewritten(text: str) -> str:
    """The document with what lies behind its marks made anew."""
    for mark, lines in ((START, _lines()), (EXAMPLE, _example())):
        before, rest = text.split(mark)
        after = rest.split(END, 1)[1]
        text = f"{before}{mark}\n\n" + "\n".join(lines) + f"\n{END}{after}"
    return text


def _lines() -> Iterator[str]:
    yield f"The hash of this schema is `{schema_hash():08x}`."
    yield ""
    for command in COMMANDS:
        kind = "fetch" if command.kind is Kind.FETCH else "kept"
        guarded = ", refused in the safe state" if command.guarded else ""
        yield f"### {command.op:#04x} {command.name} ({kind}{guarded})"
        yield ""
        yield " ".join((command.request.__doc__ or "").split())
        yield ""
        yield from _table(("request", command.request), ("reply", command.reply))
    yield "### Events"
    yield ""
    for op, event in EVENTS.items():
        yield f"{op:#04x}: {(event.__doc__ or '').removeprefix('Event: ').strip()}"
        yield ""
        yield from _table(("payload", event))
    yield "### Codes"
    yield ""
    for enumeration in ENUMERATIONS:
        if enumeration is not Kind:
            flag = issubclass(enumeration, IntFlag)
            members = ", ".join(
                f"{member.value:#04x} {member.name}" if flag else f"{member.value} {member.name}"
                for member in enumeration
            )
            yield f"- {enumeration.__name__}: {members}"
    yield ""


def _table(*messages: tuple[str, type[Message]]) -> Iterator[str]:
    rows = [(side, field) for side, message in messages for field in layout_of(message)]
    if not rows:
        yield "No payload, either way."
    else:
        yield "| | field | type | |"
        yield "| --- | --- | --- | --- |"
        last = ""
        for side, field in rows:
            yield f"| {side if side != last else ''} | `{field.name}` | {field.layout} | {field.about} |"
            last = side
    yield ""


class _Board:
    """Answers the example."""

    step = 7

    def run(self, request: Request[Any]) -> Message:
        if isinstance(request, Evaluate) and request.t == self.step:
            return LossReply(150994)
        raise RefusalError(Status.E_RANGE, 0)

    def make_safe(self) -> None:
        pass


def _example() -> Iterator[str]:
    """A short conversation, in hexadecimal."""
    board = Endpoint(_Board(), Identity(0x0A0B0C0D, window=4, max_payload=64, max_parameters=400), clock=lambda: 0.0)

    def block(session: int, seq: int, request: Request[Any]) -> bytes:
        return request_block(session, seq, command_of(type(request)).op, pack(request))

    hello = block(0, 0, Hello(0x11223344, PROTOCOL, schema_hash()))
    session = (0x0A0B0C0D & 0xFF) + 1
    evaluate = block(session, 0, Evaluate(7, 2, -40, 0))
    turns = [
        ("HELLO with nonce 11223344", hello),
        ("EVALUATE at t = 7, k = 2, scale = -40: the loss is 150994 units of 2^-16, 2.304", evaluate),
        ("the same frame again, as if its answer had been lost: the same answer, and nothing is evaluated", evaluate),
        ("seq 2, where 1 is expected: a NAK that says so", block(session, 2, Evaluate(7, 3, 40, 0))),
        (
            "seq 1, an UPDATE at t = 8, which isn't the device's step: E_RANGE, field 0",
            block(session, 1, Update(8, ())),
        ),
        ("a frame of another session: E_NOSESS with the boot id", block(session + 1, 2, Evaluate(7, 3, 40, 0))),
    ]
    yield "```"
    for about, sent in turns:
        data = burst([sent])
        yield f"# {about}"
        yield f"host   {data.hex(' ')}"
        yield f"board  {board.receive(data).hex(' ')}"
    yield "```"
    yield ""
