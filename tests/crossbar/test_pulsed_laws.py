"""Step laws of pulsed devices against closed forms and a pulse-by-pulse twin in plain Python.

Statistical checks use fixed seeds; bounds are five standard errors or p > 1e-6: false alarms below 1e-6 a check.
"""

import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ks_2samp, norm

from hwzo.errors import ConfigError
from hwzo_backends.crossbar.pulses import PulseDevice
from hwzo_backends.crossbar.steps import ConstantStep, Devices, ExponentialStep, LinearStep, SoftBounds

P_VALUE = 1e-6


def same(n, device):
    """n devices without spread."""
    return device.draw(n, np.random.default_rng(0), d2d=0.0)


def after(device, counts, *, up=True, start=0.0, c2c=1.0, seed=0):
    """Weights of devices without spread after so many pulses each, in the order given (descending)."""
    w = np.full(len(counts), start)
    device.send(w, np.asarray(counts), up, same(len(counts), device), np.random.default_rng(seed), c2c)
    return w


COUNTS = np.array([1500, 700, 60, 60, 2, 1, 0])


def test_constant_steps_add_up_to_the_bound():
    device = PulseDevice(ConstantStep(), 0.001, w_min=-0.8, w_max=1.1)
    np.testing.assert_allclose(after(device, COUNTS), np.minimum(0.001 * COUNTS, 1.1), rtol=1e-12)
    np.testing.assert_allclose(after(device, COUNTS, up=False), np.maximum(-0.001 * COUNTS, -0.8), rtol=1e-12)


@pytest.mark.parametrize(("up", "a", "b"), [(True, 0.004, 1.25), (False, 0.004, -0.75)])
def test_soft_bounds_follow_the_exponential_response(up, a, b):
    # w(p) = B (1 - exp(-alpha p)), alpha = -ln(1 - a / |b|)
    device = PulseDevice(SoftBounds(), a, w_min=-0.75, w_max=1.25)
    alpha = -math.log1p(-a / abs(b))
    np.testing.assert_allclose(after(device, COUNTS, up=up), b * (1 - np.exp(-alpha * COUNTS)), rtol=1e-10)


def test_linear_steps_follow_the_geometric_response():
    # dw/dp = a (1 - gamma w / w_max): exponential approach to w_max / gamma, cut off at the bound
    device = PulseDevice(LinearStep(0.4, 0.7), 0.002, w_min=-0.8, w_max=1.2)
    up = 1.2 / 0.4 * (1 - (1 - 0.002 * 0.4 / 1.2) ** COUNTS)
    down = -0.8 / 0.7 * (1 - (1 - 0.002 * 0.7 / 0.8) ** COUNTS)
    np.testing.assert_allclose(after(device, COUNTS), np.minimum(up, 1.2), rtol=1e-10)
    np.testing.assert_allclose(after(device, COUNTS, up=False), np.maximum(down, -0.8), rtol=1e-10)


@pytest.mark.parametrize("up", [True, False])
def test_exponential_steps_pulse_by_pulse(up):
    law = ExponentialStep(a_up=0.3, a_down=-0.2, gamma_up=2.0, gamma_down=3.0, a=0.6, b=0.1)
    device = PulseDevice(law, 0.002, w_min=-0.9, w_max=1.0, up_down=0.25)
    expected = []
    for count in COUNTS.tolist():
        w = 0.2
        for _ in range(count):
            z = 2 * 0.6 * w / 1.9 + 0.1
            if up:
                w += 0.002 * max(1 - 0.3 * math.exp(2.0 * z), 0)
            else:
                w -= 0.002 * 0.75 * max(1 + 0.2 * math.exp(-3.0 * z), 0)
            w = min(max(w, -0.9), 1.0)
        expected.append(w)
    np.testing.assert_allclose(after(device, COUNTS, up=up, start=0.2), expected, rtol=1e-10)


def test_an_exponential_step_never_goes_backwards():
    device = PulseDevice(ExponentialStep(1.0, 1.0, 3.0, 3.0, 1.0, 0.0), 0.01)
    w = np.linspace(-1, 1, 101)
    devices = same(101, device)
    up, down = device.law.step(w, True, devices), device.law.step(w, False, devices)
    assert (up >= 0).all()
    assert (down <= 0).all()
    assert (up[w >= 0] == 0).all()  # 1 - exp(3 w) < 0
    assert (up[w < -0.01] > 0).all()


@settings(deadline=None, max_examples=50)
@given(
    up=st.floats(1e-3, 5e-3),
    down=st.floats(1e-3, 5e-3),
    low=st.floats(-1.5, -0.5),
    high=st.floats(0.5, 1.5),
    share=st.floats(0.0, 1.0),
)
def test_alternating_pulses_lead_to_the_symmetry_point(up, down, low, high, share):
    bound = np.array([[low], [high]])
    devices = Devices(np.array([[down], [up]]), bound, 1 / bound, np.zeros(1), np.zeros(0))
    law = SoftBounds()
    w = np.array([low + share * (high - low)])
    for _ in range(6000):
        w = w + law.step(w, True, devices)
        w = w + law.step(w, False, devices)
    point = devices.symmetry_point()
    assert low < point[0] < high
    assert law.step(point, True, devices)[0] == pytest.approx(-law.step(point, False, devices)[0], rel=1e-9)
    assert w[0] == pytest.approx(point[0], abs=2 * max(up, down))  # the pair itself moves by about a step


def test_the_symmetry_point_of_linear_steps():
    device = PulseDevice(LinearStep(0.1, 0.5), 0.002, up_down=0.1, w_min=-0.8, w_max=1.2)
    devices = same(1, device)
    point = devices.symmetry_point()
    # a (1 - .1 w / 1.2) = .9 a (1 + .5 w / .8)
    assert point[0] == pytest.approx(0.1 / (0.1 / 1.2 + 0.9 * 0.5 / 0.8), rel=1e-12)


def test_a_train_at_once_is_a_train_one_by_one():
    """Constant steps far from the bounds are one normal number; the same law with slope 0 goes pulse by pulse."""
    n, count = 20_000, 40
    wide = {"w_min": -10.0, "w_max": 10.0, "c2c": 0.8}
    at_once = after(PulseDevice(ConstantStep(), 0.01, **wide), np.full(n, count), seed=1)
    one_by_one = after(PulseDevice(LinearStep(0.0, 0.0), 0.01, **wide), np.full(n, count), seed=2)
    assert ks_2samp(at_once, one_by_one).pvalue > P_VALUE
    scaled = (at_once - 0.4) / (0.008 * math.sqrt(count))
    assert ks_2samp(scaled, norm.rvs(size=n, random_state=np.random.default_rng(3))).pvalue > P_VALUE


def test_constant_steps_near_a_bound_are_reflected_pulse_by_pulse():
    n, count, a, c2c = 20_000, 30, 0.01, 2.0
    device = PulseDevice(ConstantStep(), a, c2c=c2c)
    fast = after(device, np.full(n, count), start=0.9, seed=4)
    rng = np.random.default_rng(5)
    slow = np.full(n, 0.9)
    for _ in range(count):
        slow = np.clip(slow + a * (1 + c2c * rng.standard_normal(n)), -1, 1)
    assert (fast == 1).mean() == pytest.approx((slow == 1).mean(), abs=5 * math.sqrt(0.5 / n))
    assert ks_2samp(fast, slow).pvalue > P_VALUE


@pytest.mark.parametrize("additive", [True, False])
@pytest.mark.parametrize("up", [True, False])
def test_noise_of_one_pulse(additive, up):
    n, a, c2c, start = 40_000, 0.002, 3.0, 0.5
    device = PulseDevice(SoftBounds(), a, c2c=c2c, additive=additive)
    w = after(device, np.ones(n, dtype=int), up=up, start=start, seed=6)
    mean = a * (1 - start) if up else -a * (1 + start)
    sd = c2c * (a if additive else abs(mean))
    assert (w - start).mean() == pytest.approx(mean, abs=5 * sd / math.sqrt(n))
    assert w.std() == pytest.approx(sd, rel=5 / math.sqrt(2 * n))


def test_noise_of_many_pulses_of_soft_bounds_pulse_by_pulse():
    """A scalar twin with its own generator, noise so strong that the bounds clip."""
    n, count, a, c2c = 3000, 80, 0.02, 4.0
    device = PulseDevice(SoftBounds(), a, w_min=-0.75, w_max=1.25, c2c=c2c)
    fast = after(device, np.full(n, count), seed=7)
    twin = random.Random(8)
    slow = []
    for _ in range(n):
        w = 0.0
        for _ in range(count):
            w += a * (1 - w / 1.25 + c2c * twin.gauss(0, 1))
            w = min(max(w, -0.75), 1.25)
        slow.append(w)
    assert ks_2samp(fast, slow).pvalue > P_VALUE


def test_factor_zero_takes_all_noise_and_spread_away():
    device = PulseDevice(SoftBounds(), 0.01, dw_min_d2d=0.3, w_max_d2d=0.3, w_min_d2d=0.3, up_down_d2d=0.1, c2c=2.0)
    w = after(device, np.full(50, 20), c2c=0.0)
    np.testing.assert_allclose(w, 1 - 0.99**20, rtol=1e-12)


def test_lifetimes_are_positive():
    device = PulseDevice(ConstantStep(), 0.01, lifetime=1.0, lifetime_d2d=1.0)
    assert (device.draw(10_000, np.random.default_rng(0)).lifetime > 0).all()


@pytest.mark.parametrize(
    ("wrong", "key"),
    [
        ({"dw_min": 0.0}, "dw_min"),
        ({"dw_min": math.nan}, "dw_min"),
        ({"dw_min": -0.1}, "dw_min"),
        ({"dw_min": "small"}, "dw_min"),
        ({"dw_min": 1e-8}, "dw_min"),  # 2e8 states
        ({"dw_min": 0.1, "w_min": 0.5}, "w_min"),
        ({"dw_min": 0.1, "w_max": -1.0}, "w_max"),
        ({"dw_min": 0.1, "c2c": -1.0}, "c2c"),
        ({"dw_min": 0.1, "write_noise": math.inf}, "write_noise"),
        ({"dw_min": 0.1, "up_down": 2.0}, "up_down"),
        ({"dw_min": 0.1, "corrupt": 1.5}, "corrupt"),
        ({"dw_min": 0.1, "lifetime": -1.0}, "lifetime"),
    ],
)
def test_numbers_that_make_no_sense_are_refused_by_name(wrong, key):
    with pytest.raises(ConfigError, match=key) as refused:
        PulseDevice(SoftBounds(), **wrong)
    assert refused.value.key == key
