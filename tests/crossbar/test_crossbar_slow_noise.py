"""1/f and telegraph noise against their laws.

Statistical bounds are five standard errors (false alarms: below 1e-6 a check), widened by the stated discretisation.
"""

import numpy as np
import pytest

from hwzo_backends.crossbar.noise import CounterNoise
from hwzo_backends.crossbar.slow_noise import FlickerBands, Telegraph

T_READ, T0 = 250e-9, 20.0
ALL = slice(None)


def law(t):
    """Variance in units of (Q g)^2."""
    return np.log((t + T_READ) / (2 * T_READ))


def test_band_variances_add_up_to_the_law():
    tau = FlickerBands(1, T_READ, T0, CounterNoise(0)).tau
    for t in np.geomspace(1e-3, 1e8, 200):
        total = -np.log(10) * np.expm1(-2 * t / tau).sum()
        assert total == pytest.approx(law(t), rel=0.01)


@pytest.mark.parametrize("duration", [1e-9, 64e-6, 1e-3])
@pytest.mark.parametrize("write_seconds", [0.0, 5e-3])
def test_flicker_variance_at_t0_and_after_an_hour(duration, write_seconds):
    n = 20_000
    bands = FlickerBands(n, T_READ, T0, CounterNoise(1))
    clock = write_seconds
    bands.restart(ALL, clock, write_seconds, 0)
    clock += 1e-2  # long enough for the bands that are left to `move`, nothing to the others
    tolerance = 5 * np.sqrt(2 / n) + 0.01
    white = bands.n_white(duration) * np.log(10)
    assert bands.move(clock, duration, 0).var() + white == pytest.approx(law(T0), rel=tolerance)
    for event in range(1, 11):  # in ten steps or in one: an exact transition
        clock += 360.0
        values = bands.move(clock, duration, event)
    assert values.var() + white == pytest.approx(law(T0 + 3600), rel=tolerance)
    assert values.mean() == pytest.approx(0.0, abs=5 * np.sqrt(law(T0 + 3600) / n))


def test_flicker_has_a_one_over_f_spectrum():
    n, steps, dt = 200, 4096, 1e-3
    bands = FlickerBands(n, T_READ, T0, CounterNoise(2))
    bands.restart(ALL, 0.0, 0.0, 0)
    trace = np.array([bands.move(i * dt, 1e-4, i) for i in range(steps)], dtype=np.float64)
    spectrum = np.abs(np.fft.rfft((trace - trace.mean(axis=0)) * np.hanning(steps)[:, None], axis=0)) ** 2
    frequency = np.fft.rfftfreq(steps, dt)
    inside = (frequency > 2.0) & (frequency < 60.0)  # well inside the window, below the folding of faster bands
    slope = np.polyfit(np.log(frequency[inside]), np.log(spectrum.mean(axis=1)[inside]), 1)[0]
    # Standard error of the fit is about .006; a decade's ripple and folding bend it by less than .06.
    assert slope == pytest.approx(-1.0, abs=0.1)


def test_flicker_keeps_a_memory():
    """Read twice within a microsecond, all but the fastest bands agree; after an hour, only the slowest do."""
    n = 20_000
    bands = FlickerBands(n, T_READ, T0, CounterNoise(3))
    bands.restart(ALL, 0.0, 0.0, 0)
    first = bands.move(1e-3, 1e-9, 0).astype(np.float64)
    soon = bands.move(1e-3 + 1e-6, 1e-9, 1).astype(np.float64)
    late = bands.move(3600.0, 1e-9, 2).astype(np.float64)
    assert np.corrcoef(first, soon)[0, 1] > 0.97
    # What survives an hour: sum over bands of (variance at t0) exp(-3600 / tau).
    kept = (-np.log(10) * np.expm1(-2 * T0 / bands.tau) * np.exp(-3600 / bands.tau)).sum()
    expected = kept / np.sqrt(law(T0) * law(T0 + 3600))
    assert np.corrcoef(first, late)[0, 1] == pytest.approx(expected, abs=5 / np.sqrt(n) + 0.005)


def test_restarting_some_pairs_leaves_the_others():
    bands = FlickerBands(1000, T_READ, T0, CounterNoise(4))
    bands.restart(ALL, 0.0, 0.0, 0)
    before = bands.values.copy()
    some = np.arange(0, 1000, 3)
    bands.restart(some, 1.0, 1e-6 * len(some), 1)
    changed = (bands.values != before).any(axis=0)
    np.testing.assert_array_equal(np.flatnonzero(changed), some)


def test_telegraph_autocorrelation_is_exponential():
    n, tau, amplitude = 40_000, 0.01, 0.2
    telegraph = Telegraph(n, amplitude, 1.0, tau, CounterNoise(5))
    start = telegraph.move(0.0, 0).copy()
    np.testing.assert_allclose(np.unique(start), [-amplitude / 2, amplitude / 2])
    clock = 0.0
    for event, lag in enumerate([0.002, 0.005, 0.01, 0.03], start=1):
        # Steps of different lengths: transitions must be exact over any.
        clock = lag
        now = telegraph.move(clock, event)
        correlation = (start * now).mean() / (amplitude / 2) ** 2
        assert correlation == pytest.approx(np.exp(-lag / tau), abs=5 / np.sqrt(n))


def test_telegraph_affects_its_fraction_of_the_cells():
    n, fraction = 40_000, 0.1
    telegraph = Telegraph(n, 0.1, fraction, 1.0, CounterNoise(6))
    share = np.count_nonzero(telegraph.move(1.0, 0)) / n
    assert share == pytest.approx(fraction, abs=5 * np.sqrt(fraction * (1 - fraction) / n))
