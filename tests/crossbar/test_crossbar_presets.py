"""The presets against the vectors published with their formulas."""

import numpy as np
import pytest

from hwzo_backends.crossbar.generic import GENERIC, GENERIC_CUBIC
from hwzo_backends.crossbar.hermes import HERMES_1, HERMES_2
from hwzo_backends.crossbar.pcm import PCM, drift_mean, drift_sd, flicker_q
from hwzo_backends.crossbar.preset import find_preset, presets
from hwzo_backends.crossbar.reram_cmo import RERAM_CMO
from hwzo_backends.crossbar.reram_wan import RERAM_WAN
from hwzo_backends.crossbar.rram_milo import RRAM_MILO
from hwzo_backends.crossbar.sonos import SONOS

DAY = 86400.0


def at(curve, *values):
    return curve(np.array(values))


def test_pcm_programming_sd_at_five_conductances():
    g = np.array([0.0, 5.0, 12.5, 20.0, 25.0])
    np.testing.assert_allclose(PCM.fits["nandakumar"](g), [0.2635, 0.6096, 0.9527, 1.0847, 1.0554], atol=5e-5)
    np.testing.assert_allclose(PCM.fits["joshi"](g), [0.2864, 0.6210, 0.9553, 1.0885, 1.0655], atol=5e-5)


def test_pcm_flicker_law_after_an_hour():
    assert PCM.flicker is not None
    t, t_read = 3620.0, PCM.flicker.t_read
    law = flicker_q(np.array([1.0, 0.5])) * np.sqrt(np.log((t + t_read) / (2 * t_read)))
    np.testing.assert_allclose(law, [0.0419, 0.0658], atol=5e-5)


def test_pcm_flicker_is_capped_at_low_conductance():
    np.testing.assert_array_equal(flicker_q(np.array([0.0, 1e-12, 1e-4])), [0.2, 0.2, 0.2])


@pytest.mark.parametrize(
    ("r", "mean", "sd"),
    [
        (1.0, 0.049, 0.008),  # -0.0155 ln 1 + 0.0244 and -0.0059, below their lower bounds
        (0.1, 0.0155 * np.log(10) + 0.0244, 0.0125 * np.log(10) - 0.0059),
        (1e-3, 0.1, 0.045),  # above their upper bounds
        (0.0, 0.1, 0.045),
    ],
)
def test_pcm_drift_exponent(r, mean, sd):
    assert drift_mean(np.array([r]))[0] == pytest.approx(mean, abs=1e-12)
    assert drift_sd(np.array([r]))[0] == pytest.approx(sd, abs=1e-12)


def test_wan_digitisations_as_published():
    g = np.array([0.0, 20.0, 39.0])
    np.testing.assert_allclose(RERAM_WAN.fits["aihwkit-1s"](g), [0.35, 2.02, 1.17], atol=5e-3)
    np.testing.assert_allclose(RERAM_WAN.fits["crosssim-1s"](g), [1.05, 2.36, 1.67], atol=5e-3)


@pytest.mark.parametrize(
    ("fit", "coefficients"),
    [
        ("aihwkit-1s", (0.348, 16.030, -43.853, 45.393, -16.815)),
        ("aihwkit-1d", (0.701, 22.086, -50.773, 47.095, -16.458)),
        ("aihwkit-2d", (0.782, 20.274, -43.507, 37.062, -11.934)),
    ],
)
def test_wan_polynomials_are_of_conductance_over_40(fit, coefficients):
    g = np.linspace(0.0, 40.0, 9)
    expected = np.polynomial.Polynomial(coefficients)(g / 40.0)
    np.testing.assert_allclose(RERAM_WAN.fits[fit](g), expected, rtol=1e-12)


def test_programming_noise_is_never_negative_in_range():
    for preset in presets().values():
        g = np.linspace(preset.g_min, preset.g_max, 1001)
        for name, sd in preset.fits.items():
            # Subthreshold SONOS without current has no spread either.
            assert (sd(g)[g > 0] > 0).all(), (preset.name, name)
            assert (sd(g) >= 0).all(), (preset.name, name)


@pytest.mark.parametrize(("name", "preset"), sorted(presets().items()))
def test_every_preset_makes_sense_and_is_found_by_its_name(name, preset):
    preset.check()
    assert find_preset(name).target == name == preset.name
    assert preset.summary


def test_every_device_of_the_list_is_there():
    measured = {"pcm", "hermes-1", "hermes-2", "reram-wan", "reram-cmo", "rram-milo", "sonos", "generic", "ideal"}
    assert measured < set(presets())


def test_hermes_programming_sd_by_hand():
    # Ends of the polynomials: their first coefficient, and the sum of all.
    np.testing.assert_allclose(at(HERMES_1.fits["aihwkit"], 0.0, 10.35), [0.15781817, 1.00756712], atol=1e-8)
    np.testing.assert_allclose(at(HERMES_2.fits["aihwkit"], 0.0, 20.7), [0.16603222, 1.09269857], atol=1e-8)
    # Halfway: 0.15781817 + 1.16221958 - 0.54077710 + 0.08605227; 0.16603222 + 2.35903234 - 2.12025313 + 0.58620177.
    assert at(HERMES_1.fits["aihwkit"], 5.175)[0] == pytest.approx(0.8653129250, abs=1e-8)
    assert at(HERMES_2.fits["aihwkit"], 10.35)[0] == pytest.approx(0.9910132038, abs=1e-8)


def test_hermes_drift_and_flicker_in_both_branches():
    r = (1e-6, 0.05, 0.2, 1.0)
    mean = [0.13, 0.0387 * np.log(20) - 0.0182, 0.0736 - 0.0126 * 0.2 - 0.0436 * 0.04, 0.0736 - 0.0126 - 0.0436]
    one = [0.04, 0.0120 * np.log(20) - 0.0023, 0.0120 * np.log(5) - 0.0023, 0.0104 + 0.0116 - 0.0165]
    two = [0.04, 0.0117 * np.log(20) - 0.0057, 0.0117 * np.log(5) - 0.0057, 0.0073 + 0.0093 - 0.0118]
    q_one = [0.04, 0.0078 * np.log(20) + 0.0038, 0.0088 + 0.01536 - 0.005408 + 0.0005312, 0.0168]
    q_two = [0.04, 0.0117 * np.log(20) - 0.0069, 0.0123 + 0.00422 - 0.00112 + 0.0000552, 0.0123]
    for preset, sd, q in ((HERMES_1, one, q_one), (HERMES_2, two, q_two)):
        np.testing.assert_allclose(at(preset.drift.mean, *r), mean, atol=1e-12)
        np.testing.assert_allclose(at(preset.drift.sd, *r), sd, atol=1e-12)
        np.testing.assert_allclose(at(preset.flicker.q, *r), q, atol=1e-12)
    assert (HERMES_1.g_max, HERMES_1.t0, HERMES_2.g_max, HERMES_2.t0) == (10.35, 200.0, 20.7, 300.0)


def test_hermes_branches_meet_within_a_hundredth():
    """The fits of low and high conductances were made apart; a slip of a digit would tear them further."""
    for preset in (HERMES_1, HERMES_2):
        for curve in (preset.drift.mean, preset.drift.sd, preset.flicker.q):
            r = np.linspace(0.001, 1.0, 4000)
            assert np.abs(np.diff(curve(r))).max() < 0.01


def test_wan_spread_between_the_measured_times_is_linear_in_ln_t():
    law = RERAM_WAN.relaxation
    g = np.array([10.0, 20.0, 40.0])
    second, day, days = (RERAM_WAN.fits[f"aihwkit-{time}"](g) for time in ("1s", "1d", "2d"))
    for age, expected in ((1.0, second), (DAY, day), (2 * DAY, days), (1e-3, second), (30 * DAY, days)):
        np.testing.assert_allclose(law.sd(g, np.array([age])), expected, rtol=1e-12)
    hour = second + (day - second) * np.log(3600) / np.log(86400)
    np.testing.assert_allclose(law.sd(g, np.array([3600.0])), hour, rtol=1e-12)
    ages = np.array([1.0, 3600.0, DAY])  # an age for each cell
    np.testing.assert_allclose(law.sd(g, ages), [second[0], hour[1], day[2]], rtol=1e-12)
    assert not law.mean(g, ages).any()


def test_cmo_vectors():
    np.testing.assert_allclose(at(RERAM_CMO.fits["accept-0.2"], 9.0, 88.2), [0.01043018, 0.09507835], atol=1e-8)
    np.testing.assert_allclose(at(RERAM_CMO.fits["accept-2"], 9.0, 88.2), [0.1128310067, 1.0070207217], atol=1e-8)
    law, g = RERAM_CMO.relaxation, np.array([9.0, 88.2])
    for age, shift, spread in ((1.0, 0.0, 0.41183342), (np.e, -0.08900206, 0.45384479), (DAY, -1.011664, 0.889366)):
        np.testing.assert_allclose(law.mean(g, np.array([age])), shift, atol=1e-4)
        np.testing.assert_allclose(law.sd(g, np.array([age])), spread, atol=1e-4)


def test_cmo_read_noise_is_the_general_law_of_flicker():
    """K log10(g) sqrt(ln((t + 1 us) / 2 us)) with K = .0277316483, as g Q(g / g_max) sqrt(...)."""
    g, law = np.array([9.0, 20.0, 88.2]), RERAM_CMO.flicker
    for t in (1.0, 3600.0):
        published = 0.0277316483 * np.log10(g) * np.sqrt(np.log((t + 1e-6) / 2e-6))
        ours = g * law.q(g / RERAM_CMO.g_max) * np.sqrt(np.log((t + law.t_read) / (2 * law.t_read)))
        np.testing.assert_allclose(ours, published, rtol=1e-12)
    # log10(50) = 1.69897; ln(3600 / 2e-6) = 21.3111: sd .2175 uS after an hour
    assert 50 * at(law.q, 50 / 88.2)[0] * np.sqrt(21.3111) == pytest.approx(0.21750, abs=1e-5)


def test_milo_vectors():
    np.testing.assert_allclose(at(RRAM_MILO.fits["igvva-100"], 50.0, 225.0), [4.326971, 2.733246], atol=1e-6)
    g = np.array([62.5, 76.2, 93.9, 110.0, 225.0])
    x = np.log10(g * 1e-6)
    np.testing.assert_allclose(
        RRAM_MILO.iv.second(g), 1e6 * np.polyval([0.0001388, 0.001541, 0.005711, 0.007063], x), rtol=1e-9
    )
    np.testing.assert_allclose(RRAM_MILO.iv.third(g), 1e6 * np.polyval([8.8710e-5, 6.7919e-4, 1.2968e-3], x), rtol=1e-9)
    # Made to be linear at 225 uS: what is left is the rounding of the published digits.
    assert abs(at(RRAM_MILO.iv.second, 225.0)[0]) < 4
    # Beyond the range of the fit its ends hold, also where there is no current at all.
    np.testing.assert_array_equal(at(RRAM_MILO.iv.second, 0.0, 300.0), at(RRAM_MILO.iv.second, 50.0, 225.0))


def test_sonos_vectors():
    sd = SONOS.fits["agrawal"]  # 1 uS is 100 nA
    np.testing.assert_allclose(
        at(sd, 0.0, 1.763115, 16.0), np.array([0.0, 19.88665 * (1 - np.exp(-1)), 19.8844]) / 100, atol=1e-6
    )
    np.testing.assert_allclose(at(SONOS.read_sd, 2.1536557), 12.58037 * (1 - np.exp(-1)) / 100, rtol=1e-9)


# Coefficients of I^0, I^1, I^2, ... in nA after a day, and after five.
SONOS_1D = np.polynomial.Polynomial(
    np.fromstring(
        "1.72684e-01 5.72552e-02 -6.85715e-04 3.50271e-06 -9.37682e-09 1.40575e-11 "
        "-1.19803e-14 5.41293e-18 -8.85448e-22 -1.66869e-25 5.95180e-29",
        sep=" ",
    )
)
SONOS_5D = np.polynomial.Polynomial(
    np.fromstring(
        "3.19927e-01 1.06596e-01 -1.04054e-03 4.50290e-06 -1.10352e-08 1.56477e-11 "
        "-1.27592e-14 5.45513e-18 -7.26841e-22 -2.43893e-25 7.14608e-29",
        sep=" ",
    )
)


def test_sonos_drift_by_day():
    law, current = SONOS.relaxation, np.array([0.0, 100.0, 800.0, 1600.0])
    g = current / 100
    for days, shift, a, b in (
        (0.0, np.zeros(4), 19.88665, 176.3115),
        (1.0, SONOS_1D(current), 25.59102, 186.85544),
        (0.5, SONOS_1D(current) / 2, (19.88665 + 25.59102) / 2, (176.3115 + 186.85544) / 2),
        (5.0, SONOS_5D(current), 34.57909, 207.34309),
        (50.0, SONOS_5D(current), 34.57909, 207.34309),  # held
    ):
        age = np.array([days * DAY])
        np.testing.assert_allclose(law.mean(g, age) * 100, shift, atol=1e-9)
        spread = a * (1 - np.exp(-np.maximum(current + shift, 0) / b))
        np.testing.assert_allclose(law.sd(g, age) * 100, spread, atol=1e-9)
    # The polynomials are smooth and small: no term of theirs has a slip in its exponent.
    shifts = law.mean(np.linspace(0, 16, 200), np.array([3 * DAY])) * 100
    assert np.abs(shifts).max() < 50
    assert np.abs(np.diff(shifts)).max() < 1.0


def test_generic_is_the_same_at_every_state():
    g = np.linspace(0.0, 25.0, 7)
    np.testing.assert_array_equal(GENERIC.fits["constant"](g), 0.2)
    np.testing.assert_array_equal(GENERIC.drift.mean(g / 25), 0.1)
    np.testing.assert_array_equal(GENERIC.drift.sd(g / 25), 0.05)
    np.testing.assert_allclose(g * GENERIC.flicker.q(g / 25), g / 25, rtol=1e-15)  # rho = 1 uS
    volts = 0.5
    current = g * volts + GENERIC_CUBIC.iv.second(g) * volts**2 + GENERIC_CUBIC.iv.third(g) * volts**3
    np.testing.assert_allclose(current, g * (volts - 0.25 * volts**3), rtol=1e-15)


@pytest.mark.parametrize(("name", "preset"), sorted(presets().items()))
def test_single_precision_is_enough_for_every_curve(name, preset):
    g = np.linspace(max(preset.g_min, 1e-3), preset.g_max, 501)
    curves = [(curve, g) for curve in preset.fits.values()]
    if preset.drift is not None:
        curves += [(preset.drift.mean, g / preset.g_max), (preset.drift.sd, g / preset.g_max)]
    if preset.flicker is not None:
        curves += [(preset.flicker.q, g / preset.g_max)]
    for curve, x in curves:
        # A branch may be taken on the other side of its threshold, one point at most.
        far = ~np.isclose(curve(x.astype(np.float32)), curve(x), rtol=2e-5)
        assert far.sum() <= 1, name
