"""The part of the protocol's document that is made from the schema: its commands, fields and codes."""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntFlag

from hwzo.wire.schema import COMMANDS, ENUMERATIONS, EVENTS, Kind, Message, layout_of, schema_hash

START = "<!-- made from hwzo/wire/schema.py by python -m hwzo.wire.generate -->"
END = "<!-- end of what is made from the schema -->"


def rewritten(text: str) -> str:
    """The document with what lies between its two marks made anew."""
    before, rest = text.split(START)
    _, after = rest.split(END)
    return f"{before}{START}\n\n" + "\n".join(_lines()) + f"\n{END}{after}"


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
