"""Presets programmed by pulses, against the published constants.

Statistical checks use fixed seeds; bounds are five standard errors or p > 1e-6: false alarms below 1e-6 a check.
"""

import math

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import ks_2samp

from hwzo_backends.crossbar.pulsed_presets import PULSED

P_VALUE = 1e-6
N = 10_000

# dw_min, step up and down at w = 0 over dw_min, c2c over the step or a, bounds, write noise
PUBLISHED = {
    "pulsed-ideal": (0.0002, 1, 1, 0.3, -1, 1, 0),
    "gokmen-vlasov": (0.0016, 1, 1, 0.3, -1, 1, 0),
    "reram-es": (
        0.00135,
        1 + 1.18445 * math.exp(-2.5),
        (1 - 0.259359) * (1 + 0.081404 * math.exp(2.5)),
        5,
        -1,
        1,
        75,
    ),
    "reram-sb": (0.002, 1, 1, 3.75, -0.75, 1.25, 56),
    "ecram-li": (0.002, 1, 1, 0.3, -0.8276, 1.1724, 0),
    "ecram-mo": (2.8214e-4, 1, 1, 2, -0.8286, 1.1714, 0),
    "capacitor": (0.005, 1, 1, 0.3, -1, 1, 0),
    "reram-array-om": (0.0949, 1, 1, 0.4158, -1, 1, 1.4113),
    "reram-array-hfo2": (0.4622, 1, 1, 0.2174, -1, 1, 0.5841),
}
# step d2d (log for the arrays), up-down d2d, d2d of the lower and upper bound
SPREADS = {
    "pulsed-ideal": (0.3, 0, 0.3, 0.3),
    "gokmen-vlasov": (0.3, 0.01, 0.3, 0.3),
    "reram-es": (0.2, 0.05, 0.3, 0.3),
    "reram-sb": (0.3, 0.01, 0.4, 0.24),
    "ecram-li": (0.1, 0.01, 0.05, 0.05),
    "ecram-mo": (0.1, 0.01, 0.05, 0.05),
    "capacitor": (0.1, 0.06, 0.07, 0.07),
    "reram-array-om": (0.7829, 0.01, 0.5695, 0.3499),
    "reram-array-hfo2": (0.7125, 0.01, 0.5990, 0.4295),
}
DEVICES = {preset.name: preset.pulses for preset in PULSED}
all_presets = pytest.mark.parametrize("name", list(PUBLISHED))


def test_all_of_them_are_here():
    assert set(DEVICES) == set(PUBLISHED)
    assert len(PULSED) == len(DEVICES)


@pytest.mark.parametrize(
    ("name", "states"),
    [
        ("pulsed-ideal", 10_000),
        ("gokmen-vlasov", 1250),  # the paper: 1,200
        ("reram-es", 1481),
        ("reram-sb", 1000),
        ("ecram-li", 1000),  # the paper: up to 1,000
        ("ecram-mo", 7089),
        ("capacitor", 400),
        ("reram-array-om", 21),
        ("reram-array-hfo2", 4),
    ],
)
def test_number_of_states(name, states):
    assert round(DEVICES[name].states) == states


@all_presets
def test_first_pulse_of_the_mean_device(name):
    dw_min, up, down, c2c, low, high, write_noise = PUBLISHED[name]
    device = DEVICES[name]
    devices = device.draw(1, np.random.default_rng(0), d2d=0.0)
    n = 100_000
    many = devices.take(np.zeros(n, dtype=np.intp))
    np.testing.assert_allclose(many.bound[:, 0], [low, high])
    assert device.write_noise == write_noise
    assert many.reference[0] == pytest.approx(0, abs=1e-12)
    for upward, step in ((True, up), (False, -down)):
        w = np.zeros(n)
        device.send(w, np.ones(n, dtype=np.int64), upward, many, np.random.default_rng(1), 0.0)
        np.testing.assert_allclose(w, step * dw_min, rtol=1e-9)
        w[:] = 0
        device.send(w, np.ones(n, dtype=np.int64), upward, many, np.random.default_rng(2), 1.0)
        sd = c2c * abs(step) * dw_min
        assert w.mean() == pytest.approx(step * dw_min, abs=5 * sd / math.sqrt(n))
        assert w.std() == pytest.approx(sd, rel=5 / math.sqrt(2 * n))


@all_presets
def test_spread_between_devices(name):
    """Against the drawing rules written out a device at a time, with another generator."""
    step_d2d, up_down_d2d, low_d2d, high_d2d = SPREADS[name]
    dw_min, *_, low, high, _ = PUBLISHED[name]
    down_gain = 1 - 0.259359 if name == "reram-es" else 1.0
    lognormal = name.startswith("reram-array")
    twin = np.random.default_rng(3)
    rows = []
    for _ in range(N):
        xi = twin.standard_normal(4)
        top, bottom = high * (1 + high_d2d * xi[0]), low * (1 + low_d2d * xi[1])
        if bottom > top:
            top, bottom = bottom, top
        gain = math.exp(step_d2d * xi[2]) if lognormal else 1 + step_d2d * xi[2]
        r = up_down_d2d * xi[3]
        rows.append((abs(gain - (1 - down_gain) - r) * dw_min, abs(gain + r) * dw_min, -abs(bottom), abs(top)))
    expected = np.array(rows).T
    devices = DEVICES[name].draw(N, np.random.default_rng(4))
    got = np.concatenate([devices.scale, devices.bound])
    for a, b in zip(got, expected, strict=True):
        assert ks_2samp(a, b).pvalue > P_VALUE
    # the two directions of a device differ by up_down_d2d only
    difference = (devices.scale[1] - devices.scale[0]) / dw_min
    if up_down_d2d:
        positive = devices.scale.min(axis=0) > 0.1 * dw_min  # none that was turned around
        assert np.median(difference[positive]) == pytest.approx(1 - down_gain, abs=10 * up_down_d2d / math.sqrt(N))
        assert difference[positive].std() == pytest.approx(2 * up_down_d2d, rel=5 / math.sqrt(N))
    else:
        np.testing.assert_allclose(difference, 0, atol=1e-12)


@all_presets
def test_steps_at_the_bounds(name):
    """Steps of the mean device towards and at the bounds, over dw_min."""
    expected = {  # up at the upper bound, down at the lower
        "pulsed-ideal": (1, 1),
        "gokmen-vlasov": (1, 1),
        "reram-es": (1 + 1.18445 * math.exp(-5), (1 - 0.259359) * (1 + 0.081404)),
        "reram-sb": (0, 0),
        "ecram-li": (1 - 0.1153, 1 - 0.5085),
        "ecram-mo": (1 - 0.4152, 1 - 0.7342),
        "capacitor": (0.95, 0.95),
        "reram-array-om": (0, 0),
        "reram-array-hfo2": (0, 0),
    }[name]
    device = DEVICES[name]
    devices = device.draw(1, np.random.default_rng(0), d2d=0.0)
    low, high = devices.bound
    assert device.law.step(high, True, devices)[0] / device.dw_min == pytest.approx(expected[0], abs=1e-9)
    assert -device.law.step(low, False, devices)[0] / device.dw_min == pytest.approx(expected[1], abs=1e-9)


@pytest.mark.parametrize("name", ["reram-sb", "ecram-li", "ecram-mo", "capacitor", "reram-array-om"])
def test_symmetry_point_of_the_mean_device_is_zero(name):
    devices = DEVICES[name].draw(1, np.random.default_rng(0), d2d=0.0)
    assert devices.symmetry_point()[0] == pytest.approx(0, abs=1e-12)


def test_symmetry_point_of_reram_es():
    """Root of the published step difference; alternating pulses end there."""

    def difference(w):
        z = -0.5 * w - 0.5
        return 1 + 1.18445 * math.exp(5 * z) - (1 - 0.259359) * (1 + 0.081404 * math.exp(-5 * z))

    root = brentq(difference, -1, 1)
    assert -0.5 < root < 0
    device = DEVICES["reram-es"]
    devices = device.draw(3, np.random.default_rng(0), d2d=0.0)
    w = np.array([-0.9, 0.0, 0.9])
    for _ in range(4000):
        w = w + device.law.step(w, True, devices)
        w = w + device.law.step(w, False, devices)
    np.testing.assert_allclose(w, root, atol=2 * device.dw_min)


@pytest.mark.parametrize("name", ["ecram-li", "ecram-mo", "capacitor"])
def test_spread_of_the_linear_slopes(name):
    gamma = {"ecram-li": (0.1153, 0.5085), "ecram-mo": (0.4152, 0.7342), "capacitor": (0.05, 0.05)}[name]
    sd = {"ecram-li": 0.05, "ecram-mo": 0.05, "capacitor": 0.01}[name]
    low, high = PUBLISHED[name][4:6]
    devices = DEVICES[name].draw(N, np.random.default_rng(5))
    rng = np.random.default_rng(6)
    for got, mean in ((devices.slope[1] * high, gamma[0]), (devices.slope[0] * low, gamma[1])):
        assert ks_2samp(got, np.abs(mean + sd * rng.standard_normal(N))).pvalue > P_VALUE


@pytest.mark.parametrize("name", ["reram-array-om", "reram-array-hfo2"])
def test_array_devices_are_read_from_their_symmetry_point(name):
    devices = DEVICES[name].draw(N, np.random.default_rng(7))
    error = devices.reference - devices.symmetry_point()
    assert error.std() == pytest.approx(0.05, rel=5 / math.sqrt(2 * N))
    assert error.mean() == pytest.approx(0, abs=5 * 0.05 / math.sqrt(N))


def test_capacitor_lifetimes():
    lifetime = DEVICES["capacitor"].draw(N, np.random.default_rng(8)).lifetime
    assert np.median(lifetime) == pytest.approx(1.0, abs=5 * 0.3 * 1.2533 / math.sqrt(N))
    assert lifetime.std() == pytest.approx(0.3, rel=5 / math.sqrt(2 * N) + 0.01)
    assert all(
        not len(DEVICES[name].draw(2, np.random.default_rng(0)).lifetime) for name in DEVICES if name != "capacitor"
    )


def test_corrupt_shares_are_the_measured_ones():
    assert DEVICES["reram-array-om"].corrupt == 0.1348
    assert DEVICES["reram-array-hfo2"].corrupt == 0.0977
