"""Resistive memory of the NeuRRAM chip (TiN/HfO2/TaOx/TiN, 130 nm).

Source:
    W. Wan et al., "A compute-in-memory chip based on resistive random-access memory", Nature 608, 504 (2022),
    doi:10.1038/s41586-022-04992-8: spread of the conductance around its target after write-verify.

The paper gives the spread as a figure. Two public digitisations of it exist and disagree (at 0, 20 and 39 uS: 0.35,
2.02, 1.17 against 1.05, 2.36, 1.67 uS): the polynomials of IBM's Analog Hardware Acceleration Kit, for 1 second, 1 day
and 2 days after programming, and CrossSim's, for 1 second. The default is ``aihwkit-1s``, because it is the one that
comes with the later times: with it, and drift=on, the spread around the target grows with the age of the cell, linear
in ln t between 1 s, 1 d and 2 d and constant after that; it replaces the noise of 1 second and isn't added to it.
``?fit=crosssim-1s`` takes the other digitisation, ``?fit=aihwkit-1d`` or ``-2d`` an array that has relaxed for so long
already; each is known at that one time only, and doesn't change. Conductances in microsiemens, up to 40.
"""

from __future__ import annotations

import numpy as np

from hwzo.parameters import Array
from hwzo_backends.crossbar.curves import between, held, polynomial
from hwzo_backends.crossbar.preset import Preset, Relaxation

G_MAX = 40.0
DAY = 86400.0

AIHWKIT = {
    "aihwkit-1s": polynomial(0.348, 16.030, -43.853, 45.393, -16.815, scale=G_MAX),
    "aihwkit-1d": polynomial(0.701, 22.086, -50.773, 47.095, -16.458, scale=G_MAX),
    "aihwkit-2d": polynomial(0.782, 20.274, -43.507, 37.062, -11.934, scale=G_MAX),
}

crosssim_programming_sd = held(polynomial(1.053, 2.374e-1, -1.167e-2, 1.536e-4), 0.0, 39.26)
"""CrossSim's digitisation for 1 second, microsiemens; fitted for g up to 39.26 uS and held constant beyond."""


def relaxation_mean(g: Array, age: Array) -> Array:
    """None is published: the mean stays."""
    return np.zeros(np.broadcast_shapes(np.shape(g), np.shape(age)))


RERAM_WAN = Preset(
    name="reram-wan",
    summary="resistive memory of NeuRRAM (Wan 2022): programming noise, relaxation, white read noise",
    g_min=1.0,
    g_max=G_MAX,
    fits={**AIHWKIT, "crosssim-1s": crosssim_programming_sd},
    t0=1.0,
    relaxation=Relaxation(
        relaxation_mean,
        between((1.0, DAY, 2 * DAY), tuple(AIHWKIT.values()), logarithm=True),
        replaces="aihwkit-1s",
    ),
    # Times and energies: assumed, order of magnitude only.
    t_sample=1e-6,
    t_write=10e-6,
    read_joules=1e-8,
    write_joules=1e-10,
    node_noise=0.1,
    read_noise=0.01,  # about 1 % of g_max, additive
    read_error=0.005,
)
