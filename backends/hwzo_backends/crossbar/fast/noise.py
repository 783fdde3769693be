"""The device's noise from the fast lanes: a source in place of `CounterNoise`, with other numbers of the same laws."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwzo_backends.crossbar.fast.compiler import U, W
from hwzo_backends.crossbar.fast.random import LANES, fill_normals, fill_uniforms, seed_lanes
from hwzo_backends.crossbar.noise import Stream


class FastDraws:
    """The draws of one event, in order. Each call starts at the lanes' next row of numbers.

    Args:
        seed, stream, event: whose.
    """

    def __init__(self, seed: int, stream: int, event: int) -> None:
        self._lanes: NDArray[np.uint32] = np.empty(4 * LANES, dtype=np.uint32)
        seed_lanes(W(seed), U(stream), W(event), self._lanes)

    def standard_normal(self, size: Any = None, dtype: Any = np.float64, out: Any = None) -> Any:  # noqa: ANN401
        """Standard normal numbers, at most 6.66 in magnitude, of float32's resolution in either type.

        Args:
            size: shape; None for a single number, or for that of ``out``.
            dtype: float64 or float32, where ``out`` isn't given.
            out: C-contiguous array to fill, of either type.

        Raises:
            TypeError: another type.
            ValueError: ``out`` isn't contiguous, or of another shape than ``size``.
        """
        if out is None:
            numbers = np.empty(() if size is None else size, dtype=np.float32)
            if np.dtype(dtype).name not in ("float64", "float32"):
                raise TypeError(f"normal numbers come as float64 or float32, not {np.dtype(dtype)}")
            fill_normals(self._lanes, numbers.reshape(-1))
            wanted = numbers.astype(dtype, copy=False)
            return wanted[()] if size is None else wanted
        if not out.flags.c_contiguous or (size is not None and np.empty(size, dtype=np.bool_).shape != out.shape):
            raise ValueError("out must be C-contiguous and of the shape asked for")
        if out.dtype == np.float32:
            fill_normals(self._lanes, out.reshape(-1))
        elif out.dtype == np.float64:
            out[...] = self.standard_normal(out.shape, np.float32)
        else:
            raise TypeError(f"normal numbers come as float64 or float32, not {out.dtype}")
        return out

    def random(self, size: Any = None) -> Any:  # noqa: ANN401
        """Uniform numbers of [0, 1), float64, multiples of 2^-32."""
        numbers = np.empty(() if size is None else size)
        fill_uniforms(self._lanes, numbers.reshape(-1))
        return numbers[()] if size is None else numbers


class FastNoise:
    """Random numbers addressed by (stream, event); see `hwzo_backends.crossbar.noise.NoiseSource`.

    Args:
        seed: of the device, 0 to 2^64 - 1.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def at(self, stream: Stream, event: int) -> FastDraws:
        """The draws of one event: a pure function of seed, stream, event and what was drawn before in it."""
        return FastDraws(self.seed, stream, event)
