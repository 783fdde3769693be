"""Programming noise, drift, device-to-device spread, stuck cells, seen through the device's own read-back.

Statistical bounds are five standard errors: false alarms below 1e-6 a check.
"""

import numpy as np
import pytest

from hwzo.probes import Batch, Probes
from hwzo.registry import connect

WIDE = "layers=199-100"  # 20,000 parameters
EXACT_READ = "read_error=0&adc_bits=0"


def filled(device, value):
    return np.full(device.parameters.size, value)


def test_pcm_programming_noise_of_a_pair():
    device = connect(f"crossbar:pcm?{WIDE}&{EXACT_READ}&flicker=0&drift=off&seed=1")
    device.program(filled(device, 0.5))
    weights = device.read()[0]
    n = len(weights)
    # g+ = 12.5 + .9527 xi; g- = max(0, .26348 xi): a half-normal's mean and variance.
    sd_minus = 0.26348 * np.sqrt(0.5 - 0.5 / np.pi)
    sd = np.hypot(0.9527, sd_minus) / 25
    mean = 0.5 - 0.26348 / np.sqrt(2 * np.pi) / 25
    assert weights.mean() == pytest.approx(mean, abs=5 * sd / np.sqrt(n))
    assert weights.std() == pytest.approx(sd, rel=5 / np.sqrt(2 * n))


def test_wan_programming_noise_of_a_pair():
    device = connect(f"crossbar:reram-wan?{WIDE}&{EXACT_READ}&fit=crosssim-1s&seed=2")
    device.program(filled(device, 19 / 39))  # g+ = 20, g- = 1
    weights = device.read()[0]
    variance = 2.36272**2 + (1.053 + 0.2374 - 0.01167 + 1.536e-4) ** 2
    # g- is clipped at 0 for a fifth of the cells; its variance is then that of a clipped normal.
    rng = np.random.default_rng(0)
    clipped = np.maximum(0, 1 + np.sqrt(variance - 2.36272**2) * rng.standard_normal(2_000_000)).var()
    sd = np.sqrt(2.36272**2 + clipped) / 39
    assert weights.std() == pytest.approx(sd, rel=5 / np.sqrt(2 * len(weights)) + 0.002)


def test_programming_noise_is_retained_until_the_next_write():
    device = connect(f"crossbar:pcm?{EXACT_READ}&flicker=0&drift=off&seed=3")
    theta = filled(device, 0.25)
    device.program(theta)
    first = device.read()[0]
    device.advance(1e6)
    np.testing.assert_array_equal(device.read()[0], first)
    mask = np.arange(len(theta)) % 2 == 0
    device.program(theta, mask=mask)
    second = device.read()[0]
    assert (second[mask] != first[mask]).all()
    np.testing.assert_array_equal(second[~mask], first[~mask])
    assert abs(np.corrcoef(first[mask], second[mask])[0, 1]) < 5 / np.sqrt(mask.sum())
    assert device.capabilities.parameter_noise == "retained"


def test_programming_factor_scales_the_noise():
    noise = {}
    for factor in ("0.5", "1"):
        device = connect(f"crossbar:pcm?{EXACT_READ}&flicker=0&drift=off&programming={factor}&seed=4")
        device.program(filled(device, 1.0))
        # Both cells' draws are the same numbers; g- is clipped at 0, which scales too.
        noise[factor] = device.read()[0] - 1.0
    np.testing.assert_allclose(noise["1"], 2 * noise["0.5"], rtol=1e-9)


def test_drift_follows_the_power_law():
    device = connect(f"crossbar:pcm?{WIDE}&{EXACT_READ}&flicker=0&programming=0&seed=5")
    device.program(filled(device, 1.0))
    start = device.read()[0]
    np.testing.assert_allclose(start, 1.0, rtol=1e-4)
    origin = device.clock
    exponents = []
    for seconds in (1e3, 1e4, 1e6):
        device.advance(origin + seconds - device.clock)
        log_time = np.log((seconds + 20) / 20)
        weights = device.read()[0]
        exponents.append(-np.log(weights) / log_time)
        # E[T^-nu] for nu normal with mean .049 and sd .008 (r = 1)
        mean = np.exp(-0.049 * log_time + 0.5 * (0.008 * log_time) ** 2)
        error = 0.008 * log_time * mean / np.sqrt(len(weights))
        assert weights.mean() == pytest.approx(mean, abs=5 * error)
    np.testing.assert_allclose(exponents[0], exponents[2], rtol=1e-4)  # one exponent a cell, kept
    assert exponents[0].std() == pytest.approx(0.008, rel=5 / np.sqrt(2 * len(weights)))


def test_drift_begins_with_each_cells_own_writing():
    device = connect(f"crossbar:pcm?{EXACT_READ}&flicker=0&programming=0&seed=6")
    theta = filled(device, 1.0)
    device.program(theta)
    device.advance(1e5)
    mask = np.arange(len(theta)) < 100
    device.program(theta, mask=mask)
    weights = device.read()[0]
    np.testing.assert_allclose(weights[mask], 1.0, rtol=1e-4)
    assert (weights[~mask] < 0.85).all()


def test_total_flicker_through_the_device():
    """sd of one reading: Q sqrt(ln(t / (2 t_read))), Q = .0088 at r = 1, from bands that stand still and white ones."""
    device = connect(f"crossbar:pcm?{WIDE}&{EXACT_READ}&drift=off&programming=0&seed=7")
    device.program(filled(device, 1.0))
    n = device.parameters.size
    for seconds in (0.0, 3600.0):
        device.advance(seconds)
        # A read takes 50 microseconds: the fastest band is white to it, and is not in what is latched.
        variance = device.read()[0].var() + 0.0088**2 * np.log(10)
        law = 0.0088**2 * np.log((20 + seconds) / 500e-9)
        assert variance == pytest.approx(law, rel=5 * np.sqrt(2 / n) + 0.01)


def test_device_to_device_gain_stays():
    device = connect(f"crossbar:ideal?{WIDE}&d2d=0.05&seed=8")
    device.program(filled(device, 0.5))
    gains = device.read()[0] / 0.5
    assert gains.mean() == pytest.approx(1.0, abs=5 * 0.05 / np.sqrt(len(gains)))
    assert gains.std() == pytest.approx(0.05, rel=5 / np.sqrt(2 * len(gains)))
    device.program(filled(device, -0.5))
    opposite = device.read()[0] / -0.5
    assert abs(np.corrcoef(gains, opposite)[0, 1]) < 5 / np.sqrt(len(gains))  # the other cell of the pair
    device.program(filled(device, 0.5))
    np.testing.assert_array_equal(device.read()[0] / 0.5, gains)


def test_stuck_cells_ignore_writes():
    device = connect(f"crossbar:ideal?{WIDE}&stuck=0.1&seed=9")
    n = device.parameters.size
    device.program(filled(device, 0.3))
    first = device.read()[0]
    device.program(filled(device, 0.6))
    second = device.read()[0]
    # A pair moves by .3 if its g+ is free.
    moved = np.isclose(second - first, 0.3)
    assert moved.mean() == pytest.approx(0.9, abs=5 * np.sqrt(0.09 / n))
    assert (moved | (second == first)).all()
    # Of the cells, half are stuck at g_min, half at g_max: g+ at 0 or 1 while g- is 0 or 1.
    assert (second[~moved] <= 1.0).all()
    np.testing.assert_allclose(np.unique(second[~moved].round(12)), [-1.0, 0.0, 1.0])
    device.program(filled(device, 0.0))
    weights = device.read()[0]
    assert (weights == 1).mean() == pytest.approx(0.05 * 0.95, abs=5 * np.sqrt(0.05 / n))
    assert (weights == -1).mean() == pytest.approx(0.05 * 0.95, abs=5 * np.sqrt(0.05 / n))


def test_telegraph_noise_moves_weights_between_evaluations():
    device = connect(f"crossbar:ideal?{WIDE}&telegraph=0.2&telegraph_fraction=1&telegraph_tau=1e-3&seed=10")
    device.program(filled(device, 1.0))
    levels = device.read()[0]
    np.testing.assert_allclose(np.unique(levels.round(12)), [0.9, 1.1])
    device.advance(1e-3)
    later = device.read()[0]
    correlation = ((levels - 1) * (later - 1)).mean() / 0.01
    elapsed = 1e-3 + device.capabilities.read_cost.device_seconds
    assert correlation == pytest.approx(np.exp(-elapsed / 1e-3), abs=5 / np.sqrt(len(levels)))


def test_sigma_is_drawn_anew_for_each_evaluation_and_not_clipped():
    device = connect(f"crossbar:ideal?{WIDE}&sigma=0.03&seed=11")
    device.program(filled(device, 1.0))
    batch = Batch(np.zeros((2, 199)), np.zeros(2, dtype=np.int64))
    realised = device.measure(Probes.plain(2, want="weights"), batch).realised
    assert realised is not None
    n = realised.shape[1]
    for row in realised:
        assert row.mean() == pytest.approx(1.0, abs=5 * 0.03 / np.sqrt(n))
        assert row.std() == pytest.approx(0.03, rel=5 / np.sqrt(2 * n))
    assert abs(np.corrcoef(realised)[0, 1]) < 5 / np.sqrt(n)
    np.testing.assert_array_equal(device.read(), realised[1:])  # latched
    assert device.capabilities.parameter_noise == "per-evaluation"


def test_read_back_has_its_error_and_its_converter():
    device = connect("crossbar:ideal?sigma=0.03&read_error=0.01&window=2&seed=12")
    device.program(filled(device, 0.5))
    readings = device.read(200)
    n = readings.shape[1]
    spread = readings.std(axis=0, ddof=1)
    assert np.sqrt((spread**2).mean()) == pytest.approx(0.01, rel=5 / np.sqrt(2 * 199 * n))
    assert readings.mean(axis=0).std() == pytest.approx(0.03, rel=5 / np.sqrt(2 * n) + 0.001)
    coarse = connect("crossbar:ideal?adc_bits=8&window=2&seed=12")
    coarse.program(coarse.parameters.initial(np.random.default_rng(0)))
    lsb = 2 * 1.25 / 127
    steps = coarse.read()[0] / lsb
    np.testing.assert_allclose(steps, np.rint(steps), atol=1e-9)
