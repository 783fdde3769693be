"""Between parameters of the contract (float64, weight units) and what Dense and LIF hold (registers)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwzo.network import Network
from hwzo.parameters import Array, ParameterSpec
from hwzo_backends.lava.options import LEVELS, REGISTER, Options
from hwzo_backends.lava.quantised import Grid, Rounding

FINEST = 2.0**-16
"""Grid of registers in float precision: sums of them are exact in any order, so that every mode gets the same one."""


@dataclass(frozen=True)
class Registers:
    """Weights and biases of a network.

    Fixed precision: a level is a 128th of the window; levels go from -128 to 127, and a register holds twice a level.
    Parameters may be anything from -window to window, whatever the precision, so that those of one device are allowed
    on another; those within a level of the upper end are held one level below it. Biases have the same levels, with an
    exponent by which one adds in each step what a spike through an equal weight does. Float precision: registers are
    the same without the rounding.

    Args:
        network: what the parameters mean.
        window: weight units.
        fixed: whether registers are whole.
        rounding: how parameters between two levels are rounded.
        seed: of stochastic rounding.
    """

    network: Network
    window: float
    fixed: bool
    rounding: Rounding = "nearest"
    seed: int = 0

    @classmethod
    def by(cls, options: Options) -> Registers:
        """Those of a device."""
        return cls(options.network, options.window, options.precision == "fixed", options.rounding, options.seed)

    @cached_property
    def _grid(self) -> Grid:
        return Grid(self.window / LEVELS, -LEVELS, LEVELS - 1, self.rounding, self.seed)

    def spec(self) -> ParameterSpec:
        """The parameters, their bounds and their grid, weight units."""
        plain = self.network.parameter_spec(self.window)
        if not self.fixed:
            return plain
        level = self._grid.resolution
        return ParameterSpec(tuple(replace(tensor, resolution=level) for tensor in plain.tensors))

    def dither(self, write: int) -> Array:
        """What parameters (n_params,) are rounded by as of a write: nothing, unless rounding is stochastic."""
        if not self.fixed or self.rounding == "nearest":
            return np.zeros(0)
        return self._grid.dither(self.spec().size, write)

    def of(self, theta: Array, dither: Array | None = None) -> NDArray[Any]:
        """Registers of parameters (..., n_params): int16 in fixed precision, else float64.

        What lies outside the levels is held at the last one. Without a dither, the nearest.
        """
        if self.fixed:
            levels = self._grid.levels(theta, dither if dither is not None and len(dither) else None)
            return (levels * 2).astype(np.int16)
        return np.rint(theta * (REGISTER / self.window / FINEST)) * FINEST

    def parameters(self, registers: NDArray[Any]) -> Array:
        """Parameters (..., n_params), weight units, that registers stand for."""
        return np.asarray(registers, dtype=np.float64) * (self.window / REGISTER)
