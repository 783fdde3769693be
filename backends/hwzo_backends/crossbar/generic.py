"""Cells without a device behind them: noise that doesn't depend on the state, and a cubic current-voltage curve.

``generic`` has the forms and defaults of the state-independent model of IBM's Analog Hardware Acceleration Kit
(M. J. Rasch et al., AICAS 2021, doi:10.1109/AICAS51828.2021.9458494): programming noise 0.2 uS; drift exponents
|0.1 + 0.05 xi|; 1/f noise of rho g / g_max sqrt(ln((t + t_read) / (2 t_read))) with rho = 1 uS. The options
``programming`` and ``flicker`` are factors on the first and the last. The kit's text rectifies an exponent drawn below
0, its program takes the absolute value; so does this: one in 44 is drawn there.

``generic-cubic`` is ``generic`` with CrossSim's cubic curve ``I = g (V - V^3 / 4)``, V in volts.

Everything is assumed: no measurement is behind it, and no range of validity.
"""

from __future__ import annotations

from dataclasses import replace

from hwzo.parameters import Array
from hwzo_backends.crossbar.curves import constant
from hwzo_backends.crossbar.preset import IV, Drift, Flicker, Preset

G_MAX = 25.0

GENERIC = Preset(
    name="generic",
    summary="state-independent noise of no particular device: programming noise, drift, 1/f noise",
    g_min=0.0,
    g_max=G_MAX,
    fits={"constant": constant(0.2)},
    t0=20.0,
    drift=Drift(constant(0.1), constant(0.05)),
    flicker=Flicker(250e-9, constant(1.0 / G_MAX)),
    t_sample=250e-9,
    t_write=1e-6,
    read_joules=13e-9,
    write_joules=1e-10,
    node_noise=0.1,
    read_error=0.005,
)


def cubic_iv(v_read: float, curvature: float = 0.25) -> IV:
    """``I = g (V - curvature V^3)``, ``v_read`` volts at full scale."""

    def third(g: Array) -> Array:
        return -curvature * g

    return IV(v_read, lambda g: 0.0 * g, third)


GENERIC_CUBIC = replace(
    GENERIC,
    name="generic-cubic",
    summary="generic, with a cubic current-voltage curve",
    iv=cubic_iv(0.5),  # 6 % less current at full scale than a linear cell
)
