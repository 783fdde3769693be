"""Analogue filamentary resistive memory with a conductive metal oxide (CMO/HfOx), one transistor a cell, 130 nm.

Sources:
    D. F. Falcone et al., "All-in-one analog AI hardware: on-chip training and inference with
    conductive-metal-oxide/HfOx ReRAM devices", arXiv:2502.04524 (2025): programming noise and relaxation.
    D. Lombardo et al., "Read noise analysis in analog conductive-metal-oxide/HfOx ReRAM devices", Device Research
    Conference 2024: the 1/f noise of a read.
    The constants of the fits are those that IBM's Analog Hardware Acceleration Kit gives for these devices.

Conductances in microsiemens, 9 to 88.2, which no cell leaves; times in seconds. The fits of programming noise are for
the range about the target in which programming stops, 0.2 % (``accept-0.2``, the default; the kit too takes it, also
when asked for its own default of 2e-2) or 2 % of it (``accept-2``). Relaxation doesn't depend on the target: a shift of
-0.089 ln t and a spread of 0.412 + 0.042 ln t from t = 1 s on, added to what was programmed, as the kit does (for
``accept-0.2`` it hardly matters whether it is added or replaces). Its authors use the law up to ten years. The kit has
a single device a weight; here a weight is a pair of them.
"""

from __future__ import annotations

import numpy as np

from hwzo.parameters import Array
from hwzo_backends.crossbar.curves import polynomial
from hwzo_backends.crossbar.preset import Flicker, Preset, Relaxation

G_MIN, G_MAX = 9.0, 88.2


def relaxation_mean(g: Array, age: Array) -> Array:
    """Shift of the mean, microsiemens; whatever g is."""
    return -0.08900206 * np.log(age) + np.zeros_like(g)


def relaxation_sd(g: Array, age: Array) -> Array:
    """Spread that comes on top, microsiemens; whatever g is."""
    return 0.04201137 * np.log(age) + 0.41183342 + np.zeros_like(g)


def flicker_q(r: Array) -> Array:
    """Q of the 1/f law ``0.0277 log10(g) sqrt(ln((t + t_read) / (2 t_read)))``, which is g Q sqrt(...)."""
    g = np.maximum(r, G_MIN / G_MAX) * G_MAX
    return 0.0277316483 * np.log10(g) / g


RERAM_CMO = Preset(
    name="reram-cmo",
    summary="resistive memory with a conductive metal oxide (Falcone 2025): programming noise, relaxation, 1/f noise",
    g_min=G_MIN,
    g_max=G_MAX,
    limits=(G_MIN, G_MAX),
    fits={
        "accept-0.2": polynomial(0.00081107, 0.00106879),
        "accept-2": polynomial(0.0112185391, 0.01129027418),
    },
    t0=1.0,
    relaxation=Relaxation(relaxation_mean, relaxation_sd),
    flicker=Flicker(1e-6, flicker_q),
    t_sample=1e-6,  # the read time that the 1/f law was fitted for
    # Assumed, order of magnitude only: times and energies of programming, energy of a read, converters' noise.
    t_write=10e-6,
    read_joules=1e-8,
    write_joules=1e-10,
    node_noise=0.1,
    read_error=0.005,
)
