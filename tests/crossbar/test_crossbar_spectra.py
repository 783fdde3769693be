"""Spectra of noise with a memory, by Welch's method: 1/f over decades, and the Lorentzian of telegraph noise.

Bounds are five standard errors of averaged periodograms (false alarms: below 1e-6 a check), widened as stated.
"""

import numpy as np
import pytest
from scipy.signal import welch

from hwzo.registry import connect
from hwzo_backends.crossbar.noise import CounterNoise
from hwzo_backends.crossbar.slow_noise import FlickerBands, Telegraph

ALL = slice(None)


@pytest.mark.parametrize(("dt", "t_read", "t0"), [(1e-4, 250e-9, 20.0), (1.0, 250e-9, 20.0), (0.01, 1e-6, 1.0)])
def test_flicker_periodogram_falls_as_one_over_f_over_two_decades(dt, t_read, t0):
    """Slope of log S against log f from .003 to .1 of the sampling rate: -1 within .07.

    200 traces of 7 overlapping segments leave the slope a standard error of .004. A ripple, since there is one band a
    decade, and bands that fold back from beyond the sampling rate bend it by less than .05.
    """
    n, steps = 200, 8192
    bands = FlickerBands(n, t_read, t0, CounterNoise(1))
    bands.restart(ALL, 0.0, 0.0, 0)
    begin = 1e3 * steps * dt  # so old that the slowest bands that matter here have begun
    trace = np.array([bands.move(begin + i * dt, dt / 2, i) for i in range(steps)], dtype=np.float64)
    frequency, spectrum = welch(trace, 1 / dt, nperseg=2048, axis=0)
    power = spectrum.mean(axis=1)
    inside = (frequency * dt > 0.003) & (frequency * dt < 0.1)
    slope = np.polyfit(np.log(frequency[inside]), np.log(power[inside]), 1)[0]
    assert slope == pytest.approx(-1.0, abs=0.07)
    # And its height: variance ln(10) a decade of frequency, S = 1 / f.
    height = np.exp(np.mean(np.log(power[inside] * frequency[inside])))
    assert height == pytest.approx(1.0, abs=0.1)


def test_flicker_periodogram_of_the_sum_of_its_lorentzians():
    """Against the exact spectrum of sampled Ornstein-Uhlenbeck processes, point by point over two decades."""
    n, steps, dt, segment = 200, 8192, 0.01, 1024
    bands = FlickerBands(n, 250e-9, 20.0, CounterNoise(2))
    bands.restart(ALL, 0.0, 0.0, 0)
    begin = 1e6
    trace = np.array([bands.move(begin + i * dt, dt / 2, i) for i in range(steps)], dtype=np.float64)
    frequency, spectrum = welch(trace, 1 / dt, nperseg=segment, axis=0)
    inside = slice(8, -2)  # the window spreads the first points, the last is one-sided
    tau = bands.tau[bands.n_white(dt / 2) :]
    decay = np.exp(-dt / tau)[:, None]
    phase = np.cos(2 * np.pi * frequency[inside] * dt)
    law = (2 * dt * np.log(10) * (1 - decay**2) / (1 - 2 * decay * phase + decay**2)).sum(axis=0)
    ratio = spectrum.mean(axis=1)[inside] / law
    # 15 overlapping segments of 200 traces are worth about 9 each; a band that stands still for 1/64 of its time
    # constant is right to 2 %.
    error = 1 / np.sqrt(9 * n)
    assert np.abs(ratio - 1).max() < 5 * error + 0.03
    assert ratio.mean() == pytest.approx(1.0, abs=5 * error / np.sqrt(100) + 0.02)


def test_telegraph_periodogram_is_a_lorentzian_with_its_corner():
    """S = 4 s^2 tau / (1 + (2 pi f tau)^2), s = a/2: the corner is 1 / (2 pi tau), 15.9 Hz for tau = 10 ms."""
    n, tau, amplitude, dt, steps, segment = 400, 0.01, 0.2, 5e-4, 8192, 1024
    telegraph = Telegraph(n, amplitude, 1.0, tau, CounterNoise(3))
    trace = np.array([telegraph.move(i * dt, i).copy() for i in range(steps)])
    frequency, spectrum = welch(trace, 1 / dt, nperseg=segment, axis=0)
    power = spectrum.mean(axis=1)
    error = 1 / np.sqrt(9 * n)
    law = 4 * (amplitude / 2) ** 2 * tau / (1 + (2 * np.pi * frequency * tau) ** 2)
    low = slice(3, 100)  # 6 to 200 Hz, far below the sampling rate of 2 kHz: folding adds less than 4 %
    assert np.abs(power[low] / law[low] - 1).max() < 5 * error + 0.05
    # 1 / S is a straight line of f^2; where it is twice its value at 0 is the corner.
    slope, offset = np.polyfit(frequency[3:40] ** 2, 1 / power[3:40], 1, w=power[3:40])
    assert np.sqrt(offset / slope) == pytest.approx(1 / (2 * np.pi * tau), rel=0.05)


def test_variance_grows_by_ln_10_a_decade_of_age():
    n = 20_000
    bands = FlickerBands(n, 250e-9, 20.0, CounterNoise(4))
    bands.restart(ALL, 0.0, 0.0, 0)
    variances = [bands.move(20 * 10.0**decade - 20 + 1e-3, 1e-9, decade).var() for decade in range(5)]
    error = np.array([np.sqrt(2 / n) * variance for variance in variances])
    growth = np.diff(variances)
    assert (np.abs(growth - np.log(10)) < 5 * np.hypot(error[1:], error[:-1]) + 0.03).all()


@pytest.mark.parametrize("preset", ["pcm", "hermes-1", "hermes-2"])
def test_drift_through_the_device_from_a_second_to_a_year(preset):
    url = f"crossbar:{preset}?layers=199-20&read_error=0&adc_bits=0&flicker=0&programming=0&seed=5"
    device = connect(url)
    device.program(np.ones(device.parameters.size))
    t0 = {"pcm": 20.0, "hermes-1": 200.0, "hermes-2": 300.0}[preset]
    mean, sd = {"pcm": (0.049, 0.008), "hermes-1": (0.0174, 0.0055), "hermes-2": (0.0174, 0.0048)}[preset]
    n, elapsed = device.parameters.size, 0.0
    for seconds in (1.0, 3600.0, 86400.0, 30 * 86400.0, 365 * 86400.0):
        device.advance(seconds - elapsed)
        elapsed = seconds
        exponent = -np.log(np.median(device.read()[0])) / np.log((seconds + t0) / t0)
        # Writing and reading take milliseconds, of which the exponent after one second feels a little.
        assert exponent == pytest.approx(mean, abs=5 * 1.2533 * sd / np.sqrt(n) + 0.03 * mean / seconds + 1e-5)
