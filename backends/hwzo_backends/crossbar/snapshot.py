"""The state of an emulated crossbar as bytes: a checksum and a npz archive of numbers, no pickle."""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwzo.errors import FileError

FORMAT = 3
_MAGIC = b"hwzo-crossbar\0"


def pack(arrays: dict[str, Any], url: str) -> bytes:
    """Arrays of numbers, and the URL of the device that they are the state of, as bytes."""
    identity = json.dumps({"format": FORMAT, "url": url}).encode()
    archive = io.BytesIO()
    np.savez(archive, identity=np.frombuffer(identity, dtype=np.uint8), **arrays)
    payload = archive.getvalue()
    return _MAGIC + zlib.crc32(payload).to_bytes(4, "little") + payload


def unpack(state: bytes, url: str) -> dict[str, NDArray[Any]]:
    """What ``pack`` was given.

    Raises:
        FileError: the bytes are damaged, of another format, or of a device with another URL.
    """
    head = len(_MAGIC)
    if not state.startswith(_MAGIC):
        raise FileError("this is not the state of an emulated crossbar")
    payload = state[head + 4 :]
    if zlib.crc32(payload) != int.from_bytes(state[head : head + 4], "little"):
        raise FileError("the state of the emulated crossbar is damaged: its checksum doesn't fit")
    try:
        with np.load(io.BytesIO(payload), allow_pickle=False) as archive:
            arrays: dict[str, NDArray[Any]] = dict(archive)
        identity = json.loads(arrays.pop("identity").tobytes())
        version, owner = identity["format"], identity["url"]
    except (ValueError, KeyError, TypeError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise FileError(f"the state of the emulated crossbar can't be read: {error}") from error
    if version != FORMAT:
        raise FileError(f"the state has format {version}, this version of hwzo reads {FORMAT}")
    if owner != url:
        raise FileError(f"the state belongs to another device: {owner}, this one is {url}")
    return arrays
