"""Charge-trapping memory (SONOS, 40 nm) below threshold: spread at writing, daily drift, read noise.

Source:
    V. Agrawal et al., "Subthreshold operation of SONOS analog memory to enable accurate low-power neural network
    inference", IEDM 2022, doi:10.1109/IEDM45625.2022.10019564: statistics of 128,000 cells; variability (Fig. 10a),
    mean drift (Fig. 10b), read noise (Fig. 11b). The constants of the fits are CrossSim's.

The laws are of the cell's current I in nA at the one voltage that it is read with. What stands for a conductance here
is that current over 0.1 V, so that 1 uS is 100 nA; only ratios matter. Weights are mapped on 0 to 16 uS, 1600 nA: the
laws hold up to 3200 nA, and to 1800 nA once the cells drift. Spread around the drifted mean is A (1 - exp(-I / B)), at
writing and 1 to 5 days later; the mean moves by a polynomial of degree 10, each day another one. Between days, A, B and
the shift are linear in time; after five days they are held, since extrapolated polynomials would go astray. The
published digits of those polynomials leave them about 1 nA uncertain at the upper end.
"""

from __future__ import annotations

import numpy as np

from hwzo.parameters import Array
from hwzo_backends.crossbar.curves import between, constant, polynomial, saturating
from hwzo_backends.crossbar.preset import Curve, Preset, Relaxation

NA_PER_US = 100.0  # current at the assumed 0.1 V
DAY = 86400.0

SPREAD = (  # A (nA) and B (nA) at writing and after 1 to 5 days
    (19.88665, 176.3115),
    (25.59102, 186.85544),
    (28.72753, 193.56834),
    (31.04318, 198.90332),
    (33.76214, 204.77023),
    (34.57909, 207.34309),
)

_SHIFT = """
1.72684e-01 5.72552e-02 -6.85715e-04 3.50271e-06 -9.37682e-09 1.40575e-11 -1.19803e-14 5.41293e-18 -8.85448e-22
-1.66869e-25 5.95180e-29
2.50712e-01 6.62195e-02 -6.83218e-04 2.99442e-06 -6.78255e-09 7.70482e-12 -3.04983e-15 -2.15919e-18 2.94617e-21
-1.23359e-24 1.85329e-28
-1.75300e-02 9.76883e-02 -9.63791e-04 4.55551e-06 -1.22391e-08 1.93786e-11 -1.85899e-14 1.07659e-17 -3.58211e-21
5.96785e-25 -3.30410e-29
4.03338e-02 1.03111e-01 -1.04740e-03 4.83961e-06 -1.28132e-08 1.99484e-11 -1.85139e-14 1.00008e-17 -2.84944e-21
3.01008e-25 1.18747e-29
3.19927e-01 1.06596e-01 -1.04054e-03 4.50290e-06 -1.10352e-08 1.56477e-11 -1.27592e-14 5.45513e-18 -7.26841e-22
-2.43893e-25 7.14608e-29
"""
SHIFT = np.array(_SHIFT.split(), dtype=np.float64).reshape(5, 11).tolist()
"""Of the mean (nA) after 1 to 5 days: coefficients of powers 0 to 10 of I (nA)."""

_TIMES = [day * DAY for day in range(6)]


def _per_microsiemens(law: Curve) -> Curve:
    """A law of nA in nA as one of microsiemens in microsiemens."""
    return lambda g: law(g * NA_PER_US) / NA_PER_US


def _shift(coefficients: list[float]) -> Curve:
    law = _per_microsiemens(polynomial(*coefficients))
    # Double precision: the terms of these polynomials cancel to a thousandth of themselves.
    return lambda g: law(g.astype(np.float64))


relaxation_mean = between(_TIMES, [constant(0.0), *map(_shift, SHIFT)], logarithm=False)


def relaxation_sd(g: Array, age: Array) -> Array:
    """Spread around the drifted mean of cells programmed to g, microsiemens."""
    a, b = (np.interp(age, _TIMES, column) for column in zip(*SPREAD, strict=True))
    current = np.maximum(g + relaxation_mean(g, age), 0.0) * NA_PER_US
    return a * -np.expm1(-current / b) / NA_PER_US


SONOS = Preset(
    name="sonos",
    summary="charge-trapping memory (Agrawal 2022): programming noise, daily drift, read noise that grows with current",
    g_min=0.0,
    g_max=16.0,
    fits={"agrawal": _per_microsiemens(saturating(*SPREAD[0]))},
    t0=20.0,  # assumed; the law hardly changes within a minute
    relaxation=Relaxation(relaxation_mean, relaxation_sd, replaces="agrawal"),
    read_sd=_per_microsiemens(saturating(12.58037, 215.36557)),
    # Assumed, order of magnitude only: times, energies and converters' noise.
    t_sample=1e-6,
    t_write=1e-3,  # tunnelling takes milliseconds
    read_joules=1e-9,
    write_joules=1e-10,
    node_noise=0.1,
    read_error=0.005,
)
