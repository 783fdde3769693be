"""Phase-change memory: a million-device array of doped Ge2Sb2Te5 mushroom cells in 90 nm.

Sources:
    S. R. Nandakumar et al., "Phase-change memory models for deep learning training and inference", ICECS 2019,
    doi:10.1109/ICECS46596.2019.8964852 (formulas and constants).
    V. Joshi et al., "Accurate deep neural network inference using computational phase-change memory", Nat. Commun. 11,
    2473 (2020), doi:10.1038/s41467-020-16108-9 (an independent fit of the same programming noise).

Conductances in microsiemens, r = g / g_max with g_max = 25, times in seconds. Programming noise is what remains after
the sources' iterative programming; drift and 1/f noise start at t0 = 20 s after it.
"""

from __future__ import annotations

import numpy as np

from hwzo.parameters import Array
from hwzo_backends.crossbar.preset import Drift, Flicker, Preset

G_MAX = 25.0


def nandakumar_programming_sd(g: Array) -> Array:
    """Standard deviation of the programmed conductance around its target g (uS), Nandakumar et al. 2019."""
    r = g / G_MAX
    return 0.26348 + r * (1.9650 - 1.1731 * r)


def joshi_programming_sd(g: Array) -> Array:
    """The same from Joshi et al. 2020, as fitted for CrossSim; within 2 % of the other except near g = 0 (9 %)."""
    return 0.28638599 + g * (0.07585724 - 0.00178767 * g)


def drift_mean(r: Array) -> Array:
    """Mean drift exponent."""
    return np.clip(-0.0155 * np.log(np.maximum(r, 1e-9)) + 0.0244, 0.049, 0.1)


def drift_sd(r: Array) -> Array:
    """Spread of the drift exponent between cells."""
    return np.clip(-0.0125 * np.log(np.maximum(r, 1e-9)) - 0.0059, 0.008, 0.045)


def flicker_q(r: Array) -> Array:
    """Q of the 1/f law, from the conductance as programmed."""
    # Below r = 1e-9 the cap of 0.2 holds anyway; the power of 0 would be slow.
    return np.minimum(0.0088 / np.maximum(np.maximum(r, 1e-9) ** 0.65, 1e-3), 0.2)


PCM = Preset(
    name="pcm",
    summary="phase-change memory (Nandakumar 2019, Joshi 2020): programming noise, drift, 1/f noise",
    g_min=0.0,
    g_max=G_MAX,
    fits={"nandakumar": nandakumar_programming_sd, "joshi": joshi_programming_sd},
    t0=20.0,
    drift=Drift(drift_mean, drift_sd),
    flicker=Flicker(250e-9, flicker_q),
    t_sample=250e-9,  # the read time that the 1/f law was fitted for
    # Assumed, order of magnitude: ten program-and-verify pulses of 100 ns, 10 pJ each, a cell.
    t_write=1e-6,
    write_joules=1e-10,
    # 2 x 256 x 256 operations at 9.76 TOPS/W: Le Gallo et al., Nat. Electron. 6, 680 (2023), another PCM array of this
    # size; order of magnitude for a full 256 x 256 tile.
    read_joules=13e-9,
    node_noise=0.1,
    read_error=0.005,
)
