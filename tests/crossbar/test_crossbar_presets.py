"""The presets against the vectors published with their formulas."""

import numpy as np
import pytest

from hwzo_backends.crossbar.pcm import PCM, drift_mean, drift_sd, flicker_q
from hwzo_backends.crossbar.preset import presets
from hwzo_backends.crossbar.reram_wan import RERAM_WAN


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
