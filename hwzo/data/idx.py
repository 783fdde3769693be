"""The idx format of MNIST and its kin: unsigned bytes with a big-endian header, usually gzipped.

Header: two zero bytes, the type (8 for unsigned bytes, the only one read here), the number of dimensions, then each
dimension as an unsigned 32-bit big-endian number; the values follow in row-major order. As described by LeCun, Cortes
and Burges on the page of the MNIST database.
"""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hwzo.errors import FileError

UNSIGNED_BYTE = 8


def read(path: Path) -> NDArray[np.uint8]:
    """The array in an idx file, gzipped or not.

    Raises:
        FileError: missing, unreadable, truncated, damaged, or not idx of unsigned bytes.
    """
    try:
        data = path.read_bytes()
        if data[:2] == b"\x1f\x8b":
            data = gzip.decompress(data)
    except FileNotFoundError:
        raise FileError(f"{path} doesn't exist") from None
    except (OSError, EOFError, zlib.error) as error:  # a wrong check sum is an OSError too
        raise FileError(f"{path} can't be read, it may be truncated or damaged: {error}") from error
    return parse(data, str(path))


def parse(data: bytes, name: str = "idx data") -> NDArray[np.uint8]:
    """The array in the bytes of an idx file; ``name`` is what errors call it.

    Raises:
        FileError: see `read`.
    """
    if len(data) < 4 or data[:2] != b"\0\0":
        raise FileError(f"{name} is not an idx file: it begins with {data[:4].hex() or 'nothing'}, not with 0000")
    kind, n_dimensions = data[2], data[3]
    if kind != UNSIGNED_BYTE:
        raise FileError(f"{name} holds idx type {kind:#04x}; only unsigned bytes (0x08) are read")
    if not 1 <= n_dimensions <= 8:
        raise FileError(f"{name} claims {n_dimensions} dimensions; 1 to 8 are read")
    start = 4 + 4 * n_dimensions
    if len(data) < start:
        raise FileError(f"{name} is truncated within its header")
    shape = tuple(int(n) for n in np.frombuffer(data, ">u4", n_dimensions, 4))
    if len(data) - start != math.prod(shape):
        raise FileError(
            f"{name} is truncated or damaged: shape {shape} needs {math.prod(shape)} values, "
            f"{len(data) - start} are there"
        )
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)
