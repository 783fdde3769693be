"""Presets that are programmed by pulses.

Constants in device units (see `hwzo_backends.crossbar.steps`), as fitted to the measurements of the sources by IBM's
Analog Hardware Acceleration Kit (Rasch et al., AICAS 2021, doi:10.1109/AICAS51828.2021.9458494), whose names are
dw_min, dw_min_dtod, dw_min_std (c2c), write_noise_std. Noise of a pulse is relative to a (add) or to the step (mult).

    preset             law     dw_min    d2d    c2c         write noise  bounds       their d2d    up_down (d2d)
    pulsed-ideal       const   .0002     .3     .3          0            -1, 1        .3, .3       0 (0)
    gokmen-vlasov      const   .0016     .3     .3          0            -1, 1        .3, .3       0 (.01)
    reram-es           exp     .00135    .2     5 mult      75           -1, 1        .3, .3       .259359 (.05)
    reram-sb           soft    .002      .3     3.75 add    56           -.75, 1.25   .4, .24      0 (.01)
    ecram-li           linear  .002      .1     .3 mult     0            -.8276,      .05, .05     0 (.01)
                                                                         1.1724
    ecram-mo           linear  .00028214 .1     2 mult      0            -.8286,      .05, .05     0 (.01)
                                                                         1.1714
    capacitor          linear  .005      .1     .3 add      0            -1, 1        .07, .07     0 (.06)
    reram-array-om     soft    .0949     .7829* .4158 add   1.4113       -1, 1        .5695, .3499 0 (.01)
    reram-array-hfo2   soft    .4622     .7125* .2174 add   .5841        -1, 1        .5990, .4295 0 (.01)

    * sd of the logarithm.  reram-es: gamma 5 and 5, A+ -1.18445, A- -.081404, a = b = -.5.
    gamma up, down (d2d): ecram-li .1153, .5085 (.05); ecram-mo .4152, .7342 (.05); capacitor .05, .05 (.01).
    capacitor: lifetime 10^6 cycles (d2d .3). Arrays: each device's symmetry point subtracted with an error of .05;
    13.48 % (om) and 9.77 % (hfo2) of the measured devices didn't move (off unless ``corrupt``).

Sources and limits:
    gokmen-vlasov: T. Gokmen, Y. Vlasov, Front. Neurosci. 10, 333 (2016), doi:10.3389/fnins.2016.00333. A specification
        of what a device should be, not a measurement; scaled to -1..1, about 1,200 states (1,250 here).
    pulsed-ideal: the same with eight times the states and no asymmetry; M. J. Rasch, T. Gokmen, W. Haensch,
        "Training large-scale ANNs on simulated resistive crossbar arrays", arXiv:1906.02698. There is no such device.
    reram-es, reram-sb: one device of N. Gong et al., "Signal and noise extraction from analog memory elements for
        neuromorphic computing", Nat. Commun. 9, 2102 (2018), doi:10.1038/s41467-018-04485-1; the spreads are assumed.
        reram-sb is the looser fit, shifted so that its symmetry point is 0.
    ecram-li: J. Tang et al., "ECRAM as scalable synaptic cell for high-speed, low-power neuromorphic computing", IEDM
        2018, doi:10.1109/IEDM.2018.8614551; shifted so that its symmetry point is 0; the spreads are assumed.
    ecram-mo: S. Kim et al., "Metal-oxide based, CMOS-compatible ECRAM for deep learning accelerator", IEDM 2019,
        doi:10.1109/IEDM19573.2019.8993463; likewise.
    capacitor: Y. Li et al., "Capacitor-based cross-point array for analog neural network with record symmetry and
        linearity", VLSI Technology 2018, doi:10.1109/VLSIT.2018.8510648. The lifetime is assumed, in cycles of the
        device (samples); one is taken as 1 us here, so 1 s. A large network that is written cell by cell forgets
        meanwhile: such an array is meant to be written in parallel.
    reram-array-om (optimised material), -hfo2 (baseline): arrays of N. Gong, M. J. Rasch et al., "Deep learning
        acceleration in 14nm CMOS compatible ReRAM array: device, material and algorithm co-optimization", IEDM 2022,
        doi:10.1109/IEDM45625.2022.10019569. Bounds adjusted by compliance, as there. About 21 and 4 steps from bound
        to bound: a weight can't be set closer than that.

Step laws hold for the pulses of the source (its voltage and duration) between the bounds; retention beyond the
capacitor's, temperature and read noise aren't in these sources. Conductances, times and energies are assumed, of the
right order of magnitude only, except where a source is named; t_write and write_joules are those of one pulse.
"""

from __future__ import annotations

from hwzo_backends.crossbar.preset import Preset
from hwzo_backends.crossbar.pulses import PulseDevice
from hwzo_backends.crossbar.steps import ConstantStep, ExponentialStep, LinearStep, SoftBounds


def _preset(
    name: str,
    summary: str,
    device: PulseDevice,
    *,
    g_min: float,
    g_max: float,
    t_write: float,
    write_joules: float,
    bits: int = 8,
    node_noise: float = 0.1,
    read_error: float = 0.005,
) -> Preset:
    return Preset(
        name=name,
        summary=summary,
        g_min=g_min,
        g_max=g_max,
        t_sample=1e-6,
        t_write=t_write,
        read_joules=1e-8,
        write_joules=write_joules,
        bits=bits,
        node_noise=node_noise,
        read_error=read_error,
        pulses=device,
    )


PULSED_IDEAL = _preset(
    "pulsed-ideal",
    "constant steps, 10,000 states, no asymmetry (Rasch 2019); exact converters",
    PulseDevice(ConstantStep(), 0.0002, dw_min_d2d=0.3, w_min_d2d=0.3, w_max_d2d=0.3, c2c=0.3),
    g_min=0.0,
    g_max=1.0,
    t_write=1e-8,
    write_joules=1e-14,
    bits=0,
    node_noise=0.0,
    read_error=0.0,
)

GOKMEN_VLASOV = _preset(
    "gokmen-vlasov",
    "the specification of Gokmen & Vlasov 2016: constant steps, 1,250 states",
    PulseDevice(ConstantStep(), 0.0016, dw_min_d2d=0.3, up_down_d2d=0.01, w_min_d2d=0.3, w_max_d2d=0.3, c2c=0.3),
    g_min=0.01,  # tens of megaohms, for large arrays; the range is assumed
    g_max=0.08,
    t_write=1e-8,
    write_joules=1e-14,
)

RERAM_ES = _preset(
    "reram-es",
    "resistive memory (Gong 2018), exponential steps: asymmetric, noise of many steps a pulse",
    PulseDevice(
        ExponentialStep(a_up=-1.18445, a_down=-0.081404, gamma_up=5.0, gamma_down=5.0, a=-0.5, b=-0.5),
        0.00135,
        dw_min_d2d=0.2,
        up_down=0.259359,
        up_down_d2d=0.05,
        w_min_d2d=0.3,
        w_max_d2d=0.3,
        c2c=5.0,
        additive=False,
        write_noise=75.0,
    ),
    g_min=1.0,
    g_max=50.0,
    t_write=1e-7,
    write_joules=1e-12,
)

RERAM_SB = _preset(
    "reram-sb",
    "resistive memory (Gong 2018), soft bounds: the looser fit, with its symmetry point at 0",
    PulseDevice(
        SoftBounds(),
        0.002,
        w_min=-0.75,
        w_max=1.25,
        dw_min_d2d=0.3,
        up_down_d2d=0.01,
        w_min_d2d=0.3 / 0.75,
        w_max_d2d=0.3 / 1.25,
        c2c=3.75,
        write_noise=56.0,
    ),
    g_min=1.0,
    g_max=50.0,
    t_write=1e-7,
    write_joules=1e-12,
)

ECRAM_LI = _preset(
    "ecram-li",
    "lithium ECRAM (Tang 2018): linear steps, 1,000 states, little noise",
    PulseDevice(
        LinearStep(0.1153, 0.5085, 0.05),
        0.002,
        w_min=-0.8276,
        w_max=1.1724,
        dw_min_d2d=0.1,
        up_down_d2d=0.01,
        w_min_d2d=0.05,
        w_max_d2d=0.05,
        c2c=0.3,
        additive=False,
    ),
    g_min=0.01,
    g_max=0.1,
    t_write=1e-7,
    write_joules=1e-14,
)

ECRAM_MO = _preset(
    "ecram-mo",
    "metal-oxide ECRAM (Kim 2019): linear steps, 7,000 states",
    PulseDevice(
        LinearStep(0.4152, 0.7342, 0.05),
        2.8214e-4,
        w_min=-0.8286,
        w_max=1.1714,
        dw_min_d2d=0.1,
        up_down_d2d=0.01,
        w_min_d2d=0.05,
        w_max_d2d=0.05,
        c2c=2.0,
        additive=False,
    ),
    g_min=0.1,
    g_max=1.0,
    t_write=1e-7,
    write_joules=1e-14,
)

CAPACITOR = _preset(
    "capacitor",
    "capacitor cell (Li 2018): nearly constant steps, 400 states, forgets in about 1 s",
    PulseDevice(
        LinearStep(0.05, 0.05, 0.01),
        0.005,
        dw_min_d2d=0.1,
        up_down_d2d=0.06,
        w_min_d2d=0.07,
        w_max_d2d=0.07,
        c2c=0.3,
        lifetime=1.0,
        lifetime_d2d=0.3,
    ),
    g_min=0.1,
    g_max=10.0,
    t_write=50e-9,  # pulse width of the source's measurement
    write_joules=1e-14,
)

RERAM_ARRAY_OM = _preset(
    "reram-array-om",
    "resistive memory array (Gong & Rasch 2022), optimised material: soft bounds, 21 states",
    PulseDevice(
        SoftBounds(),
        0.0949,
        dw_min_d2d=0.7829,
        lognormal=True,
        up_down_d2d=0.01,
        w_min_d2d=0.5695,
        w_max_d2d=0.3499,
        c2c=0.4158,
        write_noise=1.4113,
        centred=True,
        reference_sd=0.05,
        corrupt=0.1348,
    ),
    g_min=1.0,
    g_max=50.0,
    t_write=1e-7,
    write_joules=1e-12,
)

RERAM_ARRAY_HFO2 = _preset(
    "reram-array-hfo2",
    "resistive memory array (Gong & Rasch 2022), baseline HfO2: soft bounds, 4 states",
    PulseDevice(
        SoftBounds(),
        0.4622,
        dw_min_d2d=0.7125,
        lognormal=True,
        up_down_d2d=0.01,
        w_min_d2d=0.5990,
        w_max_d2d=0.4295,
        c2c=0.2174,
        write_noise=0.5841,
        centred=True,
        reference_sd=0.05,
        corrupt=0.0977,
    ),
    g_min=1.0,
    g_max=50.0,
    t_write=1e-7,
    write_joules=1e-12,
)

PULSED = (
    PULSED_IDEAL,
    GOKMEN_VLASOV,
    RERAM_ES,
    RERAM_SB,
    ECRAM_LI,
    ECRAM_MO,
    CAPACITOR,
    RERAM_ARRAY_OM,
    RERAM_ARRAY_HFO2,
)
"""All of them."""
