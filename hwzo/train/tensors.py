"""Named arrays in a safetensors file: written in one piece, with a description, and checked when read back."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from hwzo.errors import FileError

Tensors = Mapping[str, NDArray[Any]]


def write_tensors(path: Path, tensors: Tensors, *, format: int, about: Mapping[str, object]) -> None:
    """Write arrays of any shape and type, and what they are, which must be JSON.

    Raises:
        FileError: not writable.
    """
    solid = {name: np.ascontiguousarray(array) for name, array in tensors.items()}
    text = json.dumps(about)
    metadata = {"format": str(format), "crc32": str(_crc32(solid, text)), "hwzo": text}
    write_atomically(path, safetensors_bytes(solid, metadata))


def safetensors_bytes(tensors: Tensors, metadata: Mapping[str, str] | None = None) -> bytes:
    """A safetensors file: the same bytes for the same content, while the library writes metadata in no order at all."""
    content = save({name: np.ascontiguousarray(array) for name, array in tensors.items()}, dict(metadata or {}) or None)
    length = int.from_bytes(content[:8], "little")
    header = json.dumps(json.loads(content[8 : 8 + length]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + content[8 + length :]


def read_tensors(path: Path, what: str, *, format: int) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """The arrays and their description.

    Args:
        path: the file.
        what: what the caller takes it for, for the message.
        format: the format version that the caller reads.

    Raises:
        FileError: missing, damaged, not written by hwzo, or of another format version.
    """
    try:
        with safe_open(path, framework="numpy") as file:  # pyright: ignore[reportUnknownVariableType]
            metadata = cast("dict[str, str]", file.metadata() or {})
            if "hwzo" not in metadata:
                raise FileError(
                    f"{path} is a safetensors file, but was not written by hwzo: its description is missing"
                )
            found = metadata.get("format")
            if found != str(format):
                raise FileError(f"{what} {path} has format {found}, this version reads format {format}")
            names = cast("list[str]", file.keys())
            tensors: dict[str, NDArray[Any]] = {name: file.get_tensor(name) for name in names}
    except FileError:
        raise
    except (OSError, SafetensorError, ValueError, TypeError, KeyError) as error:
        raise FileError(f"{what} {path} is missing or damaged: {error}") from error
    if metadata.get("crc32") != str(_crc32(tensors, metadata["hwzo"])):
        raise FileError(f"{what} {path} is damaged: its checksum does not fit")
    try:
        return tensors, dict(json.loads(metadata["hwzo"]))
    except (ValueError, TypeError) as error:
        raise FileError(f"{what} {path} is damaged: {error}") from error


def _crc32(tensors: Tensors, about: str) -> int:
    crc = zlib.crc32(about.encode())
    for name in sorted(tensors):
        array = tensors[name]
        crc = zlib.crc32(array.tobytes(), zlib.crc32(f"{name} {array.dtype.str} {array.shape}".encode(), crc))
    return crc


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that at any moment it is either the old one or the new one, whole.

    Raises:
        FileError: it is no regular file, the disk is full, or the folder isn't writable; what was there before is
            still there. A symbolic link stays one; the file that it leads to is written.
    """
    file_itself = _regular(path)
    part = file_itself.with_name(f".{file_itself.name}.part")
    try:
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(file_itself)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        hint = "; make room, then go on with --resume" if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
        raise FileError(f"{path} could not be written: {error.strerror or error}{hint}") from error


def _regular(path: Path) -> Path:
    """The file that a path leads to, which must be a regular one, or none yet."""
    try:
        found = path.resolve()
        if found.is_dir():
            raise FileError(f"{str(path)!r} can't be written: it is a folder; name a file")
        if found.exists() and not found.is_file():
            raise FileError(f"{path} can't be written: it is a device, a pipe or a socket; name a file")
    except (OSError, RuntimeError, ValueError) as error:  # RuntimeError: links that lead to each other
        if isinstance(error, FileError):
            raise
        raise FileError(f"{path} could not be written: {getattr(error, 'strerror', None) or error}") from error
    return found
