"""Write tables.h: the tables of the board's arithmetic, by the formulas in docs/firmware-arithmetic.md."""

from __future__ import annotations

import math
import sys
from pathlib import Path

INTERVALS = 64


def tanh_table() -> list[int]:
    """tanh at the middle of each eighth node unit, in 1/127, up to the first entry that is 127."""
    table: list[int] = []
    while not table or table[-1] < 127:
        table.append(round(127 * math.tanh((8 * len(table) + 3.5) / 1024)))
    return table


def power_table() -> list[int]:
    """2^-(i/64) in units of 2^-15, i = 0 to 64."""
    return [round(32768 * 2 ** (-i / INTERVALS)) for i in range(INTERVALS + 1)]


def log_table() -> list[int]:
    """ln(1 + i/64) in units of 2^-16 nat, i = 0 to 64."""
    return [round(65536 * math.log1p(i / INTERVALS)) for i in range(INTERVALS + 1)]


def crc_table() -> list[int]:
    """CRC-32 (IEEE 802.3, reflected) of each half byte."""
    table: list[int] = []
    for value in range(16):
        for _ in range(4):
            value = value >> 1 ^ (0xEDB88320 if value & 1 else 0)
        table.append(value)
    return table


def array(kind: str, name: str, values: list[int], suffix: str = "") -> str:
    """A C array of ``values``, in lines of at most 120 characters."""
    lines, line = [], "   "
    for value in values:
        word = f" {value}{suffix},"
        if len(line) + len(word) > 118:
            lines.append(line)
            line = "   "
        line += word
    lines.append(line)
    body = "\n".join(lines)
    return f"static const {kind} {name}[{len(values)}] HZ_ROM = {{\n{body}\n}};\n"


def tables(guard: str, *arrays: str) -> str:
    """The text of a header of tables."""
    note = "/* Written by make_tables.py; formulas in docs/firmware-arithmetic.md. Include in one C file only. */"
    return f'{note}\n#ifndef {guard}\n#define {guard}\n\n#include "rom.h"\n\n' + "\n".join(arrays) + "\n#endif\n"


def headers() -> dict[str, str]:
    """Name and text of every generated header."""
    return {
        "table_tanh.h": tables("HZ_TABLE_TANH_H", array("uint8_t", "tanh_table", tanh_table())),
        "table_loss.h": tables(
            "HZ_TABLE_LOSS_H",
            array("uint16_t", "power_table", power_table()),
            array("uint16_t", "log_table", log_table()),
        ),
        "table_crc.h": tables("HZ_TABLE_CRC_H", array("uint32_t", "crc_table", crc_table(), "UL")),
    }


def main() -> int:
    """Write the headers beside this file."""
    for name, text in headers().items():
        (Path(__file__).parent / name).write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
