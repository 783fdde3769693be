"""Resistive memory (HfO2 with one transistor a cell) programmed to many levels, and its nonlinear I-V curve.

Source:
    V. Milo et al., "Optimized programming algorithms for multilevel RRAM in hardware neural networks", IRPS 2021,
    doi:10.1109/IRPS46558.2021.9405119: spread after programming (Fig. 4, algorithm IGVVA-100), I-V curves (Fig. 1).
    The constants of the fits are CrossSim's.

Conductances in microsiemens, 50 to 225. The I-V curve ``I = G V + NL2 V^2 + NL3 V^3`` (ampere, volt, siemens) was
measured for |V| <= 0.5 V and four conductances from 62.5 to 110 uS; CrossSim's fit of NL2 and NL3 against x = log10 G
adds a fifth point, 225 uS, at which it takes the cell as linear: trust it less above 110 uS. Outside of 50 to 225 uS,
where noise may carry a cell, both are held at their values there. The source has no drift and no read noise.
"""

from __future__ import annotations

import numpy as np

from hwzo.parameters import Array
from hwzo_backends.crossbar.curves import held, polynomial
from hwzo_backends.crossbar.preset import IV, Curve, Preset

G_MIN, G_MAX = 50.0, 225.0


def _of_log10_siemens(*coefficients: float) -> Curve:
    """A polynomial of x = log10(g in siemens) in ampere, as microsiemens (times a power of a volt) of g in uS."""
    law = polynomial(*coefficients)

    def curve(g: Array) -> Array:
        return 1e6 * law(np.log10(g) - 6.0)

    return held(curve, G_MIN, G_MAX)


second = _of_log10_siemens(0.007063, 0.005711, 0.001541, 0.0001388)
third = _of_log10_siemens(1.2968e-3, 6.7919e-4, 8.8710e-5)

RRAM_MILO = Preset(
    name="rram-milo",
    summary="resistive memory (Milo 2021): programming noise, nonlinear current-voltage curve",
    g_min=G_MIN,
    g_max=G_MAX,
    fits={"igvva-100": polynomial(4.782321, -0.009107)},
    iv=IV(0.2, second, third),  # assumed: 0.2 V at full scale; the fit reaches to 0.5 V
    # Assumed, order of magnitude only: times, energies and converters' noise.
    t_sample=1e-6,
    t_write=10e-6,
    read_joules=1e-8,
    write_joules=1e-10,
    node_noise=0.1,
    read_error=0.005,
)
