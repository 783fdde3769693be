"""Weights on the steps that a device can hold."""

from __future__ import annotations

import numpy as np

from hwzo.deploy.layout import Mapping
from hwzo.noise.setup import on_grid
from hwzo.parameters import Array


def quantised(mapping: Mapping, theta: Array) -> Array:
    """The weights (n,) that the cells stand for when those of ``theta`` (n,) are clipped and rounded to their steps."""
    return mapping.weights(on_grid(mapping.parameters, mapping.cells(theta)))


def rounding_errors(mapping: Mapping, theta: Array) -> tuple[float, float] | None:
    """Rms errors of the weights, rounded to the steps towards 0 and to the nearest; None for cells without steps.

    Weights that the window clips are left out.
    """
    spec = mapping.parameters
    steps = np.concatenate([np.full(tensor.size, tensor.resolution) for tensor in spec.tensors])
    cells = mapping.cells(theta)
    inside = (cells > spec.lower) & (cells < spec.upper) & (steps > 0)
    if not inside.any():
        return None
    units, scale = cells[inside] / steps[inside], steps[inside] * mapping.gain_of_cells[inside]
    rms = [float(np.sqrt(np.mean(np.square((whole - units) * scale)))) for whole in (np.trunc(units), np.rint(units))]
    return rms[0], rms[1]
