"""Tensors of a ``.safetensors`` file that hwzo didn't write."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from hwzo.errors import FileError

BFLOAT16 = "BF16"


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
        FileError: missing or damaged, or in a type of number that NumPy doesn't have.
    """
    try:
        with safe_open(path, framework="numpy") as file:  # pyright: ignore[reportUnknownVariableType]
            names = sorted(cast("list[str]", file.keys()))
            return {name: _numbers(file, name) for name in names}
    except (OSError, SafetensorError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise FileError(f"safetensors file {path} is damaged, or can't be read: {error}") from error


def _numbers(file: Any, name: str) -> NDArray[Any]:  # noqa: ANN401
    kind = file.get_slice(name).get_dtype()
    if kind == BFLOAT16:
        raise TypeError(f"tensor {name!r} is in bfloat16, which NumPy doesn't have; save it as float32")
    return np.asarray(file.get_tensor(name))
