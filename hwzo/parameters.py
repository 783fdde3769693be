"""What a device's parameters are: names, shapes, bounds and resolution; flat and named views of one vector."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hwzo.errors import ConfigError

Array = NDArray[np.float64]


@dataclass(frozen=True)
class TensorSpec:
    """One named block of parameters.

    Args:
        name: such as ``"0.weight"``; unique within a device.
        shape: its shape; a weight matrix is (inputs, outputs), so that activations multiply from the left.
        lower, upper: the range the device can hold, in weight units.
        resolution: the smallest step the device can hold, in weight units; 0 if continuous.
        initial_sd: standard deviation that a fresh start draws these parameters with, in weight units.
    """

    name: str
    shape: tuple[int, ...]
    lower: float = -math.inf
    upper: float = math.inf
    resolution: float = 0.0
    initial_sd: float = 0.0

    def __post_init__(self) -> None:
        if not self.shape or any(n < 1 for n in self.shape):
            raise ConfigError(f"parameter {self.name!r} has shape {self.shape}; every side must be at least 1")
        if not self.lower < self.upper:
            raise ConfigError(
                f"parameter {self.name!r} has bounds [{self.lower}, {self.upper}]; lower must be below upper"
            )
        if not (self.resolution >= 0 and self.initial_sd >= 0):
            raise ConfigError(f"parameter {self.name!r}: resolution and initial_sd can't be negative")

    @property
    def size(self) -> int:
        """Number of parameters in this block."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class ParameterSpec:
    """All parameters of a device, in the order in which they lie in the flat vector.

    A parameter vector ``theta`` is a float64 array of shape (n_params,), in weight units; tensors follow
    each other in the order of ``tensors``, each in row-major order.
    """

    tensors: tuple[TensorSpec, ...]

    def __post_init__(self) -> None:
        if not self.tensors:
            raise ConfigError("a device needs at least one parameter")
        names = [tensor.name for tensor in self.tensors]
        if len(set(names)) != len(names):
            raise ConfigError(f"parameter names must differ, got {names}")

    @cached_property
    def size(self) -> int:
        """Number of parameters, n_params."""
        return sum(tensor.size for tensor in self.tensors)

    @cached_property
    def lower(self) -> Array:
        """Lower bounds, (n_params,) float64, weight units."""
        return np.concatenate([np.full(tensor.size, tensor.lower) for tensor in self.tensors])

    @cached_property
    def upper(self) -> Array:
        """Upper bounds, (n_params,) float64, weight units."""
        return np.concatenate([np.full(tensor.size, tensor.upper) for tensor in self.tensors])

    @cached_property
    def slices(self) -> Mapping[str, slice]:
        """Where each tensor lies in the flat vector."""
        edges = np.cumsum([0, *(tensor.size for tensor in self.tensors)])
        return {t.name: slice(int(a), int(b)) for t, a, b in zip(self.tensors, edges[:-1], edges[1:], strict=True)}

    def views(self, theta: Array) -> dict[str, Array]:
        """Named views of ``theta`` (n_params,), each of its tensor's shape; writing to one writes to theta."""
        return {tensor.name: theta[self.slices[tensor.name]].reshape(tensor.shape) for tensor in self.tensors}

    def flat(self, tensors: Mapping[str, Array]) -> Array:
        """The flat vector (n_params,) float64 of named arrays.

        Raises:
            ConfigError: a name is missing or unknown, or a shape differs.
        """
        expected = {tensor.name: tensor.shape for tensor in self.tensors}
        given = {name: tuple(np.shape(array)) for name, array in tensors.items()}
        if given != expected:
            raise ConfigError(f"parameters do not fit the device: got {given}, expected {expected}")
        return np.concatenate([np.asarray(tensors[t.name], dtype=np.float64).ravel() for t in self.tensors])

    def clip(self, theta: Array) -> Array:
        """``theta`` moved into the bounds, (n_params,) float64."""
        return np.minimum(np.maximum(theta, self.lower), self.upper)

    def inside(self, theta: Array, reach: Array | float) -> Array:
        """``theta`` moved off its bounds just so far that ``reach`` either way stays within them, (n_params,) float64.

        A displacement that a bound cuts off would show a part of the slope only. Where the bounds lie closer together
        than twice the reach, it is the middle between them.
        """
        margin = np.minimum(reach, 0.5 * (self.upper - self.lower))
        return np.minimum(np.maximum(theta, self.lower + margin), self.upper - margin)

    def check(self, theta: Array) -> Array:
        """``theta`` as float64, after checking that a device could hold it; call before any write.

        Raises:
            ConfigError: wrong shape, not finite, or out of bounds; names the parameter.
        """
        array = np.asarray(theta, dtype=np.float64)
        if array.shape != (self.size,):
            raise ConfigError(f"parameters have shape {array.shape}, the device needs ({self.size},)")
        fits = (array >= self.lower) & (array <= self.upper) & np.isfinite(array)
        if not fits.all():
            i = int(np.argmin(fits))
            name = self.name_of(i)
            if not np.isfinite(array[i]):
                raise ConfigError(f"parameter {name} is {array[i]}, not a finite number; nothing was written")
            raise ConfigError(
                f"parameter {name} = {array[i]:g} is outside [{self.lower[i]:g}, {self.upper[i]:g}]; "
                "nothing was written; clip it, or widen the device's window"
            )
        return array

    def name_of(self, index: int) -> str:
        """The name of one element of the flat vector, such as ``"0.weight[3, 5]"``."""
        for tensor in self.tensors:
            if index < tensor.size:
                return f"{tensor.name}[{', '.join(str(int(i)) for i in np.unravel_index(index, tensor.shape))}]"
            index -= tensor.size
        raise IndexError(index)

    def initial(self, rng: np.random.Generator) -> Array:
        """A fresh start: each tensor normal with its ``initial_sd``, clipped to the bounds; (n_params,)."""
        sd = np.concatenate([np.full(tensor.size, tensor.initial_sd) for tensor in self.tensors])
        return self.clip(sd * rng.standard_normal(self.size))


def parameters_crc32(theta: Array) -> int:
    """CRC-32 (zlib) of the parameters as little-endian float64: equal only if every bit is."""
    return zlib.crc32(np.ascontiguousarray(theta, dtype="<f8").tobytes())
