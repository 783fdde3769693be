"""Exploration by programming: candidates that the host makes are written into the device one after the other.

It needs nothing of a device but that it can be programmed and gives a loss, and costs the writes of each candidate.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hwzo.device import Device
from hwzo.parameters import Array, ParameterSpec
from hwzo.probes import Batch, Probes

ONE = Probes.plain()


@dataclass(frozen=True)
class ProgrammedExploration:
    """Loss readings of candidates.

    Args:
        parameters: of the device, whose bounds and grid the candidates are brought to.
    """

    parameters: ParameterSpec

    def placed(self, candidates: Array) -> Array:
        """Candidates (N, n_params) as the device can hold them: in bounds, and on the grid of what has one."""
        spec = self.parameters
        if self._resolution is None:
            return np.minimum(np.maximum(candidates, spec.lower), spec.upper)
        where, step = self._resolution
        rounded = np.array(candidates)
        rounded[:, where] = np.round(rounded[:, where] / step) * step
        return np.minimum(np.maximum(rounded, spec.lower), spec.upper)

    def measure(self, device: Device, held: Array, candidates: Array, batch: Batch) -> Array:
        """One loss reading of each candidate, (N,).

        Args:
            device: holds ``held`` (n_params,) before, and the last candidate afterwards.
            held: what is already there isn't written again: a rewritten cell would draw new noise.
            candidates: (N, n_params), as `placed` gives them.
            batch: the same for all.
        """
        losses = np.empty(len(candidates))
        for index, candidate in enumerate(candidates):
            program(device, held, candidate)
            held = candidate
            losses[index] = device.measure(ONE, batch).losses[0]
        return losses

    @cached_property
    def _resolution(self) -> tuple[NDArray[np.bool_], Array] | None:
        """Which parameters have a grid, and its step for each of those; None if none has."""
        step: Array = np.concatenate([np.full(tensor.size, tensor.resolution) for tensor in self.parameters.tensors])
        where = step > 0
        return (where, step[where]) if where.any() else None


def pairs(parameters: ParameterSpec, theta: Array, displacements: Array) -> Array:
    """Candidates (2K, n_params) in pairs, ``displacements`` (K, n_params) to either side of theta.

    Where a bound would cut one of the two off, both lie inwards of theta, as far from each other as elsewhere.
    """
    centres = parameters.inside(theta, np.abs(displacements))
    candidates = np.empty((2 * len(displacements), theta.size))
    candidates[0::2], candidates[1::2] = centres + displacements, centres - displacements
    return candidates


def program(device: Device, held: Array, target: Array) -> None:
    """Write ``target`` into a device that holds ``held``, (n_params,) each, where they differ."""
    moved = target != held
    if moved.any():
        device.program(target, mask=moved)
