"""What is made from the schema is up to date; the C header does what Python does; the document's example is right."""

import os
import re
import shutil
import struct
import subprocess
import zlib
from pathlib import Path

import pytest

from hwzo.wire.document import rewritten
from hwzo.wire.fields import List, Number
from hwzo.wire.header import header
from hwzo.wire.messages import bounds, pack
from hwzo.wire.schema import COMMANDS, Kind, canonical, layout_of, schema_hash

REPOSITORY = Path(__file__).parents[2]
HEADER = REPOSITORY / "firmware" / "core" / "hz1_messages.h"
DOCUMENT = REPOSITORY / "docs" / "hz1.md"
AGAIN = "run python -m hwzo.wire.generate"


def test_the_header_is_what_the_schema_gives():
    assert HEADER.read_text() == header(), AGAIN


def test_the_document_is_what_the_schema_gives():
    text = DOCUMENT.read_text()
    assert text == rewritten(text), AGAIN


def test_the_hash_is_that_of_the_lines_in_the_header():
    text = HEADER.read_text().split("/* The schema that both sides hash", 1)[1]
    lines = [line[3:] for line in text.splitlines()[1:] if line.startswith(" * ")]
    assert lines == list(canonical())
    assert zlib.crc32("\n".join(lines).encode()) == schema_hash()
    assert f"HZ_SCHEMA UINT32_C(0x{schema_hash():08x})" in HEADER.read_text()


def test_masks_of_ops():
    text = HEADER.read_text()
    for name, chosen in (("FETCH", lambda c: c.kind is Kind.FETCH), ("GUARDED", lambda c: c.guarded)):
        mask = int(re.search(rf"HZ_{name}_OPS UINT32_C\((0x[0-9a-f]+)\)", text)[1], 16)
        assert {op for op in range(32) if mask >> op & 1} == {c.op for c in COMMANDS if chosen(c)}


def unstuffed(block):
    """COBS the other way, byte by byte."""
    out, at = b"", 0
    while at < len(block):
        run = block[at + 1 : at + block[at]]
        assert len(run) == block[at] - 1
        out += run
        at += block[at]
        if block[at - len(run) - 1] < 255 and at < len(block):
            out += b"\0"
    return out


def test_the_example_says_what_is_said_about_it():
    example = DOCUMENT.read_text().split("## An exchange")[1]
    bodies = []
    for side, text in re.findall(r"^(host|board)  +([0-9a-f ]+)$", example, re.M):
        data = bytes.fromhex(text)
        assert data[0] == data[-1] == 0
        body = unstuffed(data[1:-1])
        assert zlib.crc32(body) == 0x2144DF1C
        bodies.append((side, body[:-4]))
    assert len(bodies) == 12
    hello, answer = bodies[0][1], bodies[1][1]
    assert struct.unpack("<BBHBIBI", hello) == (0x10, 0, 0, 1, 0x11223344, 1, schema_hash())
    fields = struct.unpack("<BBHBBIBBBIBBHIIBHI", answer)
    session = fields[10]
    assert fields == (
        *(0x11, 0, 0, 1, 0, 0x11223344, 1, 1, 0, schema_hash(), session, 4, 64, 400, 0x0A0B0C0D, 1, 0, 7),
    )
    assert struct.unpack("<BBHBIHhB", bodies[2][1]) == (0x10, session, 0, 0x0B, 7, 2, -40, 0)
    assert struct.unpack("<BBHBBI", bodies[3][1]) == (0x11, session, 0, 0x0B, 0, 150994)
    assert round(150994 / 2**16, 3) == 2.304
    assert bodies[4:6] == bodies[2:4]
    assert struct.unpack("<BBHBH", bodies[7][1]) == (0x13, session, 2, 0x0B, 1)
    assert struct.unpack("<BBHBI", bodies[8][1]) == (0x10, session, 1, 0x0C, 8)
    assert struct.unpack("<BBHBBB", bodies[9][1]) == (0x11, session, 1, 0x0C, 3, 0)
    assert bodies[10][1][1] == session + 1
    assert struct.unpack("<BBHBBI", bodies[11][1])[3:] == (0x0B, 4, 0x0A0B0C0D)


def c_program():
    """Unpacks each line of ``op length hex`` as a request, and prints its numbers, or ``length``."""
    yield '#include "hz1_messages.h"\n#include <stdio.h>\n#include <inttypes.h>\n'
    yield "int main(void) { unsigned op, length; static uint8_t p[2000];"
    yield 'while (scanf("%x %u", &op, &length) == 2) {'
    yield "for (unsigned i = 0; i < length; i++) {"
    yield 'unsigned b; if (scanf("%2x", &b) != 1) return 1; p[i] = (uint8_t)b; }'
    yield "switch (op) {"
    for command in COMMANDS:
        name = f"hz_{command.name.lower()}_request"
        yield f"case HZ_OP_{command.name}: {{"
        fields = layout_of(command.request)
        if fields:
            yield f'struct {name} m; if ({name}_unpack(p, (uint16_t)length, &m)) {{ puts("length"); break; }}'
        else:
            yield f'if ({name}_unpack((uint16_t)length)) {{ puts("length"); break; }}'
        for field in fields:
            if isinstance(field.layout, Number):
                yield f'printf("%lld ", (long long)m.{field.name});'
                continue
            yield f"for (unsigned r = 0; r < m.n_{field.name}; r++) {{"
            yield f"const uint8_t *q = m.{field.name} + r * {field.layout.size}u;"
            at = 0
            for _, kind in field.layout.columns:
                yield f'printf("%lld ", (long long)hz_get_{kind}(q + {at}));'
                at += Number(kind).size
            yield "}"
        yield 'puts(""); break; }'
    yield "} } return 0; }"


def reply_program():
    """Prints the bytes of every reply whose number i is 1000003 (i + 1), cut to its size."""
    yield '#include "hz1_messages.h"\n#include <stdio.h>\n'
    yield "int main(void) { static uint8_t p[100];"
    for command in COMMANDS:
        name = f"hz_{command.name.lower()}_reply"
        numbers = [field for field in layout_of(command.reply) if isinstance(field.layout, Number)]
        if numbers:
            kinds = {"u": "uint", "i": "int"}
            values = ", ".join(
                f"({kinds[f.layout.kind[0]]}{f.layout.kind[1:]}_t){1000003 * (i + 1)}" for i, f in enumerate(numbers)
            )
            yield f"{{ struct {name} m = {{ {values} }}; {name}_pack(p, &m); }}"
        yield f'printf("{command.name} ");'
        yield f'for (int i = 0; i < {name.upper()}_SIZE; i++) {{ printf("%02x", p[i]); }} puts("");'
    yield "return 0; }"


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """Compiles a program with every warning an error, and runs it."""
    gcc = shutil.which("gcc")
    if gcc is None:
        if os.environ.get("CI"):
            pytest.fail("gcc is missing; apt-get install gcc")
        pytest.skip("needs gcc")
    folder = tmp_path_factory.mktemp("c")

    def run(lines, stdin=""):
        source = folder / "program.c"
        source.write_text("\n".join(lines))
        warnings = ["-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Wsign-conversion", "-Werror", "-std=c99"]
        sanitizers = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
        command = [gcc, *warnings, *sanitizers, f"-I{HEADER.parent}", str(source), "-o", str(folder / "program")]
        subprocess.run(command, check=True)
        return subprocess.run([folder / "program"], input=stdin, capture_output=True, text=True, check=True).stdout

    return run


def test_c_unpacks_what_python_packs(compiled):
    sent, expected = [], []
    for command in COMMANDS:
        fields = layout_of(command.request)
        for extreme in range(3):  # least, largest, in between
            values = []
            for field in fields:
                columns = (
                    [field.layout.kind] if isinstance(field.layout, Number) else [k for _, k in field.layout.columns]
                )
                row = tuple((*bounds(kind), 77)[extreme] for kind in columns)
                one = row[0] if len(row) == 1 else row
                values.append(one if isinstance(field.layout, Number) else (one,) * (3 * extreme))
            payload = pack(command.request(*values))
            sent.append((command.op, payload))
            flat = []
            for field, value in zip(fields, values, strict=True):
                several = isinstance(field.layout, List) and len(field.layout.columns) > 1
                rows = [value] if isinstance(field.layout, Number) else value
                flat += [n for row in rows for n in (row if several else (row,))]
            # The program prints signed 64-bit numbers.
            expected.append("".join(f"{n - 2**64 if n >= 2**63 else n} " for n in flat))
            if fields and payload:
                sent.append((command.op, payload[:-1]))
                alone = isinstance(fields[-1].layout, List) and fields[-1].layout.size == 1 and values[-1]
                expected.append("".join(f"{n} " for n in flat[:-1]) if alone else "length")
    stdin = "".join(f"{op:x} {len(payload)} {payload.hex()}\n" for op, payload in sent)
    assert compiled(c_program(), stdin).splitlines() == expected


def test_c_packs_replies_as_python_does(compiled):
    expected = []
    for command in COMMANDS:
        numbers = [field for field in layout_of(command.reply) if isinstance(field.layout, Number)]
        data = b"".join(
            (1000003 * (i + 1) % 256**f.layout.size).to_bytes(f.layout.size, "little") for i, f in enumerate(numbers)
        )
        expected.append(f"{command.name} {data.hex()}")
    lines = [line.rstrip() for line in compiled(reply_program()).splitlines()]
    assert lines == [line.rstrip() for line in expected]
