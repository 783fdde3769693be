"""The C header of the firmware, made from the schema."""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import IntFlag

from hwzo.wire.fields import List, Number, Text
from hwzo.wire.schema import (
    ANY_FIELD,
    CACHED_REPLY,
    COMMANDS,
    ENUMERATIONS,
    EVENTS,
    LEAST_PAYLOAD,
    PROTOCOL,
    Command,
    Kind,
    Message,
    Status,
    canonical,
    layout_of,
    schema_hash,
)

_TYPES = {
    "u8": "uint8_t",
    "i8": "int8_t",
    "u16": "uint16_t",
    "i16": "int16_t",
    "u32": "uint32_t",
    "i32": "int32_t",
    "u64": "uint64_t",
}

_OPENING = """\
/* HZ1: what goes over the wire. Made from hwzo/wire/schema.py by python -m hwzo.wire.generate; not to be edited.
 *
 * For every command NAME: HZ_OP_NAME; struct hz_name_request, with hz_name_request_unpack, which gives HZ_STATUS_OK or
 * HZ_STATUS_E_LEN; struct hz_name_reply, with hz_name_reply_pack, which writes HZ_NAME_REPLY_SIZE bytes. A list is a
 * pointer into the payload and a number of rows; the rows of a reply are put behind what hz_name_reply_pack wrote.
 * HZ_NAME_FIELD_X is the number by which an E_RANGE names field x. What has no fields has no struct.
 */"""

_NUMBERS = """\
/* Little-endian numbers at any address. */
static inline uint8_t hz_get_u8(const uint8_t *p) { return p[0]; }
static inline uint16_t hz_get_u16(const uint8_t *p) { return (uint16_t)(p[0] | (uint16_t)((uint16_t)p[1] << 8)); }
static inline uint32_t hz_get_u32(const uint8_t *p) { return hz_get_u16(p) | ((uint32_t)hz_get_u16(p + 2) << 16); }
static inline uint64_t hz_get_u64(const uint8_t *p) { return hz_get_u32(p) | ((uint64_t)hz_get_u32(p + 4) << 32); }
/* The conversions to signed types keep the bits: gcc and clang say so, and C23 asks it of everyone. */
static inline int8_t hz_get_i8(const uint8_t *p) { return (int8_t)p[0]; }
static inline int16_t hz_get_i16(const uint8_t *p) { return (int16_t)hz_get_u16(p); }
static inline int32_t hz_get_i32(const uint8_t *p) { return (int32_t)hz_get_u32(p); }
static inline void hz_put_u8(uint8_t *p, uint8_t v) { p[0] = v; }
static inline void hz_put_u16(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
}
static inline void hz_put_u32(uint8_t *p, uint32_t v)
{
    hz_put_u16(p, (uint16_t)v);
    hz_put_u16(p + 2, (uint16_t)(v >> 16));
}
static inline void hz_put_u64(uint8_t *p, uint64_t v)
{
    hz_put_u32(p, (uint32_t)v);
    hz_put_u32(p + 4, (uint32_t)(v >> 32));
}
static inline void hz_put_i8(uint8_t *p, int8_t v) { p[0] = (uint8_t)v; }
static inline void hz_put_i16(uint8_t *p, int16_t v) { hz_put_u16(p, (uint16_t)v); }
static inline void hz_put_i32(uint8_t *p, int32_t v) { hz_put_u32(p, (uint32_t)v); }"""


def header() -> str:
    """The text of the header."""
    return "\n".join(_header()) + "\n"


def _header() -> Iterator[str]:
    yield from _OPENING.splitlines()
    yield "#ifndef HZ1_MESSAGES_H"
    yield "#define HZ1_MESSAGES_H"
    yield ""
    yield "#include <stdint.h>"
    yield ""
    yield f"#define HZ_PROTOCOL {PROTOCOL}"
    yield f"#define HZ_SCHEMA UINT32_C(0x{schema_hash():08x})"
    yield f"#define HZ_CACHED_REPLY {CACHED_REPLY} /* most payload of a reply that is kept for a resend */"
    yield f"#define HZ_LEAST_PAYLOAD {LEAST_PAYLOAD} /* what every board takes and gives */"
    yield f"#define HZ_ANY_FIELD {ANY_FIELD} /* in an E_RANGE: something else has to come first */"
    for enumeration in ENUMERATIONS:
        if enumeration is Kind:
            continue  # the masks below say it
        yield ""
        yield f"/* {enumeration.__name__}: {(enumeration.__doc__ or '').strip()} */"
        prefix = "HZ_" + re.sub(r"(?<=[a-z])(?=[A-Z])", "_", enumeration.__name__).upper()
        form = "0x{:02x}" if issubclass(enumeration, IntFlag) else "{}"
        for member in enumeration:
            yield f"#define {prefix}_{member.name} {form.format(member.value)}"
    yield ""
    for command in COMMANDS:
        yield f"#define HZ_OP_{command.name} 0x{command.op:02x}"
    for op, event in EVENTS.items():
        yield f"#define HZ_EVENT_{_upper(event)} 0x{op:02x}"
    yield ""
    yield "/* Bit op is set if the command may run again when it arrives again; of all others, the reply is kept. */"
    yield f"#define HZ_FETCH_OPS UINT32_C(0x{_mask([c for c in COMMANDS if c.kind is Kind.FETCH]):08x})"
    yield "/* Bit op is set if the command is answered E_SAFE in the safe state. */"
    yield f"#define HZ_GUARDED_OPS UINT32_C(0x{_mask([c for c in COMMANDS if c.guarded]):08x})"
    yield ""
    yield from _NUMBERS.splitlines()
    for command in COMMANDS:
        name = command.name.lower()
        yield ""
        yield f"/* {command.name}: {_first_line(command.request)} */"
        yield from _field_numbers(command)
        yield from _struct(f"{name}_request", command.request)
        yield from _unpack(f"{name}_request", command.request)
        yield from _struct(f"{name}_reply", command.reply, lists=False)
        yield from _pack(f"{name}_reply", command.reply)
    yield ""
    yield "/* The schema that both sides hash: CRC-32 of these lines joined by newlines."
    yield from (" * " + line for line in canonical())
    yield " */"
    yield ""
    yield "#endif"


def _mask(commands: list[Command]) -> int:
    return sum(1 << command.op for command in commands)


def _upper(message: type[Message]) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", message.__name__).upper()


def _first_line(message: type[Message]) -> str:
    return (message.__doc__ or "").strip().splitlines()[0]


def _field_numbers(command: Command) -> Iterator[str]:
    for number, field in enumerate(layout_of(command.request)):
        yield f"#define HZ_{command.name}_FIELD_{field.name.upper()} {number}"


def _struct(name: str, message: type[Message], *, lists: bool = True) -> Iterator[str]:
    numbers = [field for field in layout_of(message) if lists or isinstance(field.layout, Number)]
    if not numbers:
        return  # C has no empty structs
    yield f"struct hz_{name} {{"
    for field in numbers:
        if isinstance(field.layout, Number):
            yield f"    {_TYPES[field.layout.kind]} {field.name}; /* {field.about} */"
        else:
            row = "characters" if isinstance(field.layout, Text) else f"rows of {_row(field.layout)}"
            yield f"    const uint8_t *{field.name}; /* {row}; {field.about} */"
            yield f"    uint16_t n_{field.name};"
    yield "};"


def _row(layout: List) -> str:
    return ", ".join(f"{kind} {name}".strip() for name, kind in layout.columns)


def _unpack(name: str, message: type[Message]) -> Iterator[str]:
    layout = layout_of(message)
    ok, bad = f"HZ_STATUS_{Status.OK.name}", f"HZ_STATUS_{Status.E_LEN.name}"
    if not layout:
        yield f"static inline uint8_t hz_{name}_unpack(uint16_t length) {{ return length == 0 ? {ok} : {bad}; }}"
        return
    yield f"static inline uint8_t hz_{name}_unpack(const uint8_t *p, uint16_t length, struct hz_{name} *m)"
    yield "{"
    at, pointer = 0, "p"
    fixed = sum(field.layout.size for field in layout if isinstance(field.layout, Number))
    lists = [field.layout for field in layout if isinstance(field.layout, List)]
    counted = sum(rows.counted for rows in lists)
    yield f"    if (length {'<' if lists else '!='} {fixed + counted}) return {bad};"
    for field in layout:
        if isinstance(field.layout, Number):
            where = f"{pointer} + {at}" if at else pointer
            yield f"    m->{field.name} = hz_get_{field.layout.kind}({where});"
            at += field.layout.size
            continue
        assert isinstance(field.layout, List)
        if at:
            yield f"    p += {at};"
            yield f"    length = (uint16_t)(length - {at});"
            at = 0
        size = field.layout.size
        if field.layout.counted:
            yield f"    m->n_{field.name} = p[0];"
            yield f"    if (length < 1 + {size} * m->n_{field.name}) return {bad};"
            yield f"    m->{field.name} = p + 1;"
            yield f"    p += 1 + {size} * m->n_{field.name};"
            yield f"    length = (uint16_t)(length - 1 - {size} * m->n_{field.name});"
        else:
            if size > 1:
                yield f"    if (length % {size} != 0) return {bad};"
            yield f"    m->{field.name} = p;"
            yield f"    m->n_{field.name} = {f'(uint16_t)(length / {size})' if size > 1 else 'length'};"
    yield f"    return {ok};"
    yield "}"


def _pack(name: str, message: type[Message]) -> Iterator[str]:
    numbers = [(field.name, field.layout) for field in layout_of(message) if isinstance(field.layout, Number)]
    yield f"#define HZ_{name.upper()}_SIZE {sum(layout.size for _, layout in numbers)}"
    if not numbers:
        return
    yield f"static inline void hz_{name}_pack(uint8_t *p, const struct hz_{name} *m)"
    yield "{"
    at = 0
    for field, layout in numbers:
        yield f"    hz_put_{layout.kind}({f'p + {at}' if at else 'p'}, m->{field});"
        at += layout.size
    yield "}"
