"""Phase-change memory of the HERMES Project Chip: doped Ge2Sb2Te5 mushroom cells on 14 nm CMOS.

Sources:
    M. Le Gallo et al., "A 64-core mixed-signal in-memory compute chip based on phase-change memory for deep neural
    network inference", Nat. Electron. 6, 680 (2023), doi:10.1038/s41928-023-01010-1.
    R. Khaddam-Aljameh et al., "HERMES-Core: a 1.59-TOPS/mm2 PCM on 14-nm CMOS in-memory compute core using 300-ps/LSB
    linearized CCO-based ADCs", IEEE J. Solid-State Circuits (2022), IEEE Xplore 9696185.
    A. Vasilopoulos et al., "Exploiting the state dependency of conductance variations in memristive devices for
    accurate in-memory computing", IEEE Trans. Electron Devices (2023), IEEE Xplore 10281389: how two devices are
    programmed.
    The constants of the fits are those that IBM's Analog Hardware Acceleration Kit gives for this chip.

``hermes-1``: one device a cell, g_max = 10.35 uS, in use from 200 s after programming. ``hermes-2``: two devices in
parallel a cell, 20.7 uS, from 300 s; both hold the same conductance, which drifts somewhat more than on the chip. Drift
and 1/f noise follow the laws of `pcm`, at the temperature of the chip's characterisation; r = g / g_max.
"""

from __future__ import annotations

from hwzo_backends.crossbar.curves import logarithmic, piecewise, polynomial
from hwzo_backends.crossbar.preset import Drift, Flicker, Preset

T_READ = 512e-9  # of the 1/f law, seconds
# 2 x 256 x 256 operations at 9.76 TOPS/W: Le Gallo et al. 2023; for a full 256 x 256 tile.
READ_JOULES = 13e-9

drift_mean = piecewise(
    0.0945, logarithmic(-0.0387, -0.0182, 0.072, 0.13), polynomial(0.0736, -0.0126, -0.0436)
)  # of both

HERMES_1 = Preset(
    name="hermes-1",
    summary="phase-change memory of HERMES (Le Gallo 2023), one device a cell: programming noise, drift, 1/f noise",
    g_min=0.0,
    g_max=10.35,
    fits={"aihwkit": polynomial(0.15781817, 2.32443916, -2.16310839, 0.68841818, scale=10.35)},
    t0=200.0,
    drift=Drift(
        drift_mean,
        piecewise(0.3039, logarithmic(-0.0120, -0.0023, 0.0124, 0.04), polynomial(0.0104, 0.0116, -0.0165)),
    ),
    flicker=Flicker(
        T_READ,
        piecewise(0.1591, logarithmic(-0.0078, 0.0038, 0.0179, 0.04), polynomial(0.0088, 0.0768, -0.1352, 0.0664)),
    ),
    t_sample=T_READ,
    # Assumed, order of magnitude: ten program-and-verify pulses of 100 ns, 10 pJ each, a device.
    t_write=1e-6,
    write_joules=1e-10,
    read_joules=READ_JOULES,
    node_noise=0.1,  # assumed, like read_error: the same as the preset pcm
    read_error=0.005,
)

HERMES_2 = Preset(
    name="hermes-2",
    summary="phase-change memory of HERMES (Le Gallo 2023), two devices a cell: programming noise, drift, 1/f noise",
    g_min=0.0,
    g_max=20.7,
    fits={"aihwkit": polynomial(0.16603222, 4.71806468, -8.48101252, 4.68961419, scale=20.7)},
    t0=300.0,
    drift=Drift(
        drift_mean,
        piecewise(0.3055, logarithmic(-0.0117, -0.0057, 0.0091, 0.04), polynomial(0.0073, 0.0093, -0.0118)),
    ),
    flicker=Flicker(
        T_READ,
        piecewise(0.16, logarithmic(-0.0117, -0.0069, 0.015, 0.04), polynomial(0.0123, 0.0211, -0.0280, 0.0069)),
    ),
    t_sample=T_READ,
    t_write=2e-6,  # assumed: twice that of one device
    write_joules=2e-10,
    read_joules=READ_JOULES,
    node_noise=0.1,
    read_error=0.005,
)
