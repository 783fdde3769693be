"""Messages between hwzo and Lava's worker: a line of JSON and raw arrays, in one stretch of bytes. No pickle.

::

    8 bytes   length of all that follows, little-endian
    4 bytes   length of the JSON
    JSON      the message's own words, and name, dtype and shape of each array
    arrays    one after the other in row-major order, each from a multiple of 8 bytes on

Both sides read this file, each with its own Python and NumPy; it needs nothing else.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = Mapping[str, NDArray[Any]]

HEAD = struct.Struct("<Q")
_WORDS = struct.Struct("<I")
_ARRAYS = "arrays"
LARGEST = 1 << 34
"""A message that claims to be longer is none of ours."""


def pack(words: Mapping[str, Any], arrays: Arrays | None = None) -> bytearray:
    """A message as bytes, its length in front."""
    given: dict[str, NDArray[Any]] = {name: np.ascontiguousarray(array) for name, array in (arrays or {}).items()}
    listed: list[tuple[str, str, tuple[int, ...]]] = [(name, a.dtype.str, a.shape) for name, a in given.items()]
    told = json.dumps({**words, _ARRAYS: listed}).encode()
    places: list[tuple[int, NDArray[Any]]] = []
    end = HEAD.size + _WORDS.size + len(told)
    for array in given.values():
        start = -(-end // 8) * 8
        places.append((start, array))
        end = start + array.nbytes
    message = bytearray(end)
    HEAD.pack_into(message, 0, end - HEAD.size)
    _WORDS.pack_into(message, HEAD.size, len(told))
    message[HEAD.size + _WORDS.size : HEAD.size + _WORDS.size + len(told)] = told
    for start, array in places:
        if array.nbytes:
            message[start : start + array.nbytes] = array.reshape(-1).view(np.uint8).data
    return message


def unpack(message: bytes | bytearray | memoryview) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """What `pack` was given, from a whole message; the arrays are views of it.

    Raises:
        ValueError: that is no message.
    """
    try:
        (length,) = HEAD.unpack_from(message, 0)
        (told,) = _WORDS.unpack_from(message, HEAD.size)
        end = HEAD.size + _WORDS.size + told
        if length != len(message) - HEAD.size or end > len(message):
            raise ValueError(f"a message of {len(message)} bytes says that {length} follow")
        words: dict[str, Any] = json.loads(bytes(message[HEAD.size + _WORDS.size : end]))
        arrays: dict[str, NDArray[Any]] = {}
        for name, kind, shape in words.pop(_ARRAYS):
            dtype = np.dtype(kind)
            if dtype.hasobject:
                raise ValueError(f"array {name!r} is of {kind}, which isn't numbers")
            count = math.prod(shape)
            start = -(-end // 8) * 8
            arrays[name] = np.frombuffer(message, dtype, count, start).reshape(shape)
            end = start + count * dtype.itemsize
    except (struct.error, KeyError, TypeError, AttributeError, UnicodeDecodeError) as error:
        raise ValueError(f"this is no message: {error}") from error
    return words, arrays
