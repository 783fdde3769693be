"""Tensors of a ``.safetensors`` file that hwzo didn't write."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, deserialize, safe_open  # pyright: ignore[reportUnknownVariableType]

from hwzo.errors import FileError

KINDS = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "BF16": "<u2",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "<i1",
    "U8": "<u1",
    "BOOL": "<u1",
}
"""What is stored, as NumPy reads it."""


def is_ours(path: Path) -> bool:
    """Whether a file says that hwzo wrote it; False for one that can't be read."""
    try:
        with safe_open(path, framework="numpy") as file:  # pyright: ignore[reportUnknownVariableType]
            return "hwzo" in cast("dict[str, str]", file.metadata() or {})
    except (OSError, SafetensorError, ValueError):
        return False


def tensors_of(path: Path) -> dict[str, NDArray[Any]]:
    """Its tensors by name, in the order of the names.

    Raises:
        FileError: missing or damaged, or in a type of number that isn't read.
    """
    try:
        parts = cast("list[tuple[str, dict[str, Any]]]", deserialize(path.read_bytes()))
        return {name: _numbers(name, part) for name, part in sorted(parts, key=lambda each: each[0])}
    except (OSError, SafetensorError, ValueError, TypeError, KeyError) as error:
        raise FileError(f"safetensors file {path} is damaged, or can't be read: {error}") from error


def _numbers(name: str, part: dict[str, Any]) -> NDArray[Any]:
    kind = str(part["dtype"])
    if kind not in KINDS:
        raise ValueError(f"tensor {name!r} is stored as {kind}; {', '.join(KINDS)} are read")
    flat: NDArray[Any] = np.frombuffer(bytes(part["data"]), KINDS[kind])
    shape: list[int] = part["shape"]
    return (from_bfloat16(flat) if kind == "BF16" else flat).reshape(shape)


def from_bfloat16(halves: NDArray[Any]) -> NDArray[np.float32]:
    """Numbers of which the upper half is given, as uint16: NumPy has no such type."""
    whole = np.left_shift(halves.astype(np.uint32), 16)
    return np.frombuffer(whole.tobytes(), np.float32)
