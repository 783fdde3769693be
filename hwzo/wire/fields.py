"""How fields lie in a payload: little-endian numbers, lists of them, and text; types that messages are written with."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Annotated

CODES = {"u8": "B", "i8": "b", "u16": "H", "i16": "h", "u32": "I", "i32": "i", "u64": "Q"}
"""The `struct` code of each kind of number."""


@dataclass(frozen=True)
class Number:
    """One number.

    Args:
        kind: such as ``"u16"``; a key of `CODES`.
    """

    kind: str

    def __str__(self) -> str:
        return self.kind

    @property
    def size(self) -> int:
        """In bytes."""
        return struct.calcsize("<" + CODES[self.kind])


@dataclass(frozen=True)
class List:
    """Rows of numbers, one after the other.

    Args:
        columns: (name, kind) of the numbers of a row; a list of one column holds numbers, of several it holds tuples.
        counted: True if a u8 with the number of rows goes before; otherwise they take the rest of the payload.
    """

    columns: tuple[tuple[str, str], ...]
    counted: bool = False

    def __str__(self) -> str:
        row = ", ".join(f"{name} {kind}" if name else kind for name, kind in self.columns)
        return f"{'u8 count, then ' if self.counted else ''}[{row}]..."

    @property
    def code(self) -> str:
        """The `struct` code of one row."""
        return "".join(CODES[kind] for _, kind in self.columns)

    @property
    def size(self) -> int:
        """Of one row, in bytes."""
        return struct.calcsize("<" + self.code)


@dataclass(frozen=True)
class Text:
    """ASCII, in the rest of the payload."""

    def __str__(self) -> str:
        return "text..."


U8 = Annotated[int, Number("u8")]
U16 = Annotated[int, Number("u16")]
I16 = Annotated[int, Number("i16")]
U32 = Annotated[int, Number("u32")]
U64 = Annotated[int, Number("u64")]
I8s = Annotated[tuple[int, ...], List((("", "i8"),))]
I16s = Annotated[tuple[int, ...], List((("", "i16"),))]
U16s = Annotated[tuple[int, ...], List((("", "u16"),))]
U32s = Annotated[tuple[int, ...], List((("", "u32"),))]
String = Annotated[str, Text()]
