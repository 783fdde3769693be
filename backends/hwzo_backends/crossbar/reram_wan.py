"""Resistive memory of the NeuRRAM chip (TiN/HfO2/TaOx/TiN, 130 nm).

Source:
    W. Wan et al., "A compute-in-memory chip based on resistive random-access memory", Nature 608, 504 (2022),
    doi:10.1038/s41586-022-04992-8: spread of the conductance around its target after write-verify.

The paper gives the spread as a figure. Two public digitisations of it exist and disagree (at 0, 20 and 39 uS: 0.35,
2.02, 1.17 against 1.05, 2.36, 1.67 uS): the polynomials of IBM's Analog Hardware Acceleration Kit, for 1 second, 1 day
and 2 days after programming, and CrossSim's, for 1 second. The default is ``aihwkit-1s``, because it is the one that
comes with the later times. ``?fit=crosssim-1s`` takes the other, ``?fit=aihwkit-1d`` or ``-2d`` an array that has
relaxed for so long (each replaces the noise of 1 second, it isn't added).
"""

from __future__ import annotations

import numpy as np

from hwzo.parameters import Array
from hwzo_backends.crossbar.preset import Curve, Preset

G_MAX = 40.0

_AIHWKIT: dict[str, tuple[float, ...]] = {
    # of r = g / 40 uS, constant term first; microsiemens
    "aihwkit-1s": (0.348, 16.030, -43.853, 45.393, -16.815),
    "aihwkit-1d": (0.701, 22.086, -50.773, 47.095, -16.458),
    "aihwkit-2d": (0.782, 20.274, -43.507, 37.062, -11.934),
}


def _aihwkit(coefficients: tuple[float, ...]) -> Curve:
    def sd(g: Array) -> Array:
        r = g / G_MAX
        total = np.full_like(r, coefficients[-1])
        for c in coefficients[-2::-1]:
            total = total * r + c
        return total

    return sd


def crosssim_programming_sd(g: Array) -> Array:
    """CrossSim's digitisation for 1 second, microsiemens; fitted for g up to 39.26 uS and held constant beyond."""
    h = np.minimum(g, 39.26)
    return ((1.536e-4 * h - 1.167e-2) * h + 2.374e-1) * h + 1.053


RERAM_WAN = Preset(
    name="reram-wan",
    summary="resistive memory of NeuRRAM (Wan 2022): programming noise, white read noise",
    g_min=1.0,
    g_max=G_MAX,
    fits={name: _aihwkit(c) for name, c in _AIHWKIT.items()} | {"crosssim-1s": crosssim_programming_sd},
    # Times and energies: assumed, order of magnitude only.
    t_sample=1e-6,
    t_write=10e-6,
    read_joules=1e-8,
    write_joules=1e-10,
    node_noise=0.1,
    read_noise=0.01,  # about 1 % of g_max, additive
    read_error=0.005,
)
