"""Messages to payloads and back, by the schema."""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import cache
from itertools import chain
from operator import attrgetter
from typing import Any, TypeVar

from hwzo.errors import ConfigError
from hwzo.wire.errors import MalformedError, short
from hwzo.wire.fields import CODES, List, Number, Text
from hwzo.wire.schema import Message, layout_of

M = TypeVar("M", bound=Message)


def pack(message: Message) -> bytes:
    """The payload that says ``message``.

    Raises:
        ConfigError: a field is no number that it could hold; names the field.
    """
    try:
        return _codec(type(message)).pack(message)
    except (struct.error, TypeError, ValueError, AttributeError) as error:
        raise ConfigError(_fault(message) or f"{message}: {error}") from error


def unpack(message: type[M], payload: bytes) -> M:
    """The message that ``payload`` says.

    Raises:
        MalformedError: the payload hasn't the length that the message has.
    """
    try:
        return _codec(message).unpack(payload)
    except (struct.error, ValueError, IndexError) as error:
        raise MalformedError(f"{message.__name__}: {len(payload)} bytes aren't one ({error})") from error


class _Codec:
    """How one kind of message is packed: first its numbers, then lists and text."""

    def __init__(self, message: type[Any]) -> None:
        layout = layout_of(message)
        numbers = [field for field in layout if isinstance(field.layout, Number)]
        assert layout[: len(numbers)] == tuple(numbers), f"{message.__name__}: numbers go before lists"
        self._message = message
        self._tails = layout[len(numbers) :]
        self._head = struct.Struct("<" + "".join(CODES[str(field.layout)] for field in numbers))
        names = [field.name for field in numbers]
        self._numbers: Callable[[Any], tuple[int, ...]]
        if len(names) > 1:
            self._numbers = attrgetter(*names)
        elif names:
            only: Callable[[Any], int] = attrgetter(names[0])
            self._numbers = lambda message: (only(message),)
        else:
            self._numbers = lambda message: ()

    def pack(self, message: Message) -> bytes:
        head = self._head.pack(*self._numbers(message))
        if not self._tails:
            return head
        return head + b"".join(_pack_tail(field.layout, getattr(message, field.name)) for field in self._tails)

    def unpack(self, payload: bytes) -> Any:  # noqa: ANN401  (the class it was made for)
        if not self._tails:
            return self._message(*self._head.unpack(payload))
        values: list[Any] = [*self._head.unpack_from(payload)]
        rest = payload[self._head.size :]
        for field in self._tails:
            value, rest = _unpack_tail(field.layout, rest)
            values.append(value)
        return self._message(*values)


@cache
def _codec(message: type[Message]) -> _Codec:
    return _Codec(message)


def _pack_tail(layout: Number | List | Text, value: Any) -> bytes:  # noqa: ANN401  (text, numbers or rows)
    if isinstance(layout, Text):
        return value.encode("ascii")
    assert isinstance(layout, List)
    count = struct.pack("B", len(value)) if layout.counted else b""
    width = len(layout.columns)
    if width == 1:
        return count + struct.pack(f"<{len(value)}{layout.code}", *value)
    if any(len(row) != width for row in value):
        raise ValueError(f"each row has {width} numbers")
    return count + struct.pack("<" + layout.code * len(value), *chain.from_iterable(value))


def _unpack_tail(layout: Number | List | Text, rest: bytes) -> tuple[Any, bytes]:
    """The value, and the bytes after it."""
    if isinstance(layout, Text):
        return rest.decode("ascii"), b""
    assert isinstance(layout, List)
    if layout.counted:
        end = 1 + rest[0] * layout.size
        if len(rest) < end:
            raise ValueError(f"{rest[0]} rows of {layout.size} bytes don't fit in {len(rest) - 1} bytes")
        rows, rest = rest[1:end], rest[end:]
    else:
        rows, rest = rest, b""
    if len(layout.columns) > 1:
        return tuple(struct.iter_unpack("<" + layout.code, rows)), rest
    count, odd = divmod(len(rows), layout.size)
    if odd:
        raise ValueError(f"{len(rows)} bytes aren't whole numbers of {layout.size} bytes")
    return struct.unpack(f"<{count}{layout.code}", rows), rest


def _fault(message: Message) -> str | None:
    """Which field can't be packed, and what is allowed there."""
    for field in layout_of(type(message)):
        value, layout = getattr(message, field.name), field.layout
        where = f"{type(message).__name__}: {field.name}={short(value)}"
        if isinstance(layout, Number):
            low, high = bounds(layout.kind)
            if not isinstance(value, int) or not low <= value <= high:
                return f"{where} must be a whole number, {low} to {high} ({field.about})"
            continue
        try:
            _pack_tail(layout, value)
        except (struct.error, TypeError, ValueError, AttributeError):
            if isinstance(layout, Text):
                return f"{where} must be ASCII text"
            ranges = ", ".join(
                f"{name} {bounds(kind)[0]} to {bounds(kind)[1]}".strip() for name, kind in layout.columns
            )
            most = ", at most 255 of them" if layout.counted else ""
            return f"{where} must be a sequence of whole numbers ({ranges}){most}: {field.about}"
    return None


def bounds(kind: str) -> tuple[int, int]:
    """Least and largest number of a kind such as ``"i16"``."""
    bits = int(kind[1:])
    return (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if kind[0] == "i" else (0, (1 << bits) - 1)
