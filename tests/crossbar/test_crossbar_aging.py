"""What cells of each preset do: spread at writing, drift, relaxation, read noise, I-V, temperature, wear.

Seen at the cells themselves. Statistical bounds are five standard errors: false alarms below 1e-6 a check.
"""

from dataclasses import replace

import numpy as np
import pytest

from hwzo_backends.crossbar.cells import Cells, Imperfections
from hwzo_backends.crossbar.generic import GENERIC, GENERIC_CUBIC
from hwzo_backends.crossbar.hermes import HERMES_1, HERMES_2
from hwzo_backends.crossbar.ideal import IDEAL
from hwzo_backends.crossbar.noise import CounterNoise
from hwzo_backends.crossbar.pcm import PCM
from hwzo_backends.crossbar.preset import presets
from hwzo_backends.crossbar.reram_cmo import RERAM_CMO
from hwzo_backends.crossbar.reram_wan import RERAM_WAN
from hwzo_backends.crossbar.rram_milo import RRAM_MILO
from hwzo_backends.crossbar.sonos import SONOS

N = 40_000
HOUR, DAY = 3600.0, 86400.0
MEAN = 5 / np.sqrt(N)  # of a mean, in units of the sd
SPREAD = 5 / np.sqrt(2 * N)  # of an sd, relative
ALL = slice(None)


def cells_of(preset, fit=None, *, n=N, window=1.0, seed=0, **changes):
    fits = preset.fits
    given = {"programming": 1.0, "drift": True, "flicker": 1.0, "d2d": 0.0, "stuck": 0.0} | changes
    curve = fits[fit] if fit else next(iter(fits.values()), None)
    return Cells(n, window, preset, Imperfections(curve, **given), CounterNoise(seed))


def written(preset, g, fit=None, **changes):
    """Cells whose g+ is programmed to ``g`` microsiemens at time 0, and the time at which that is done."""
    cells = cells_of(preset, fit, **changes)
    cells.write(ALL, np.full(len(cells.held), (g - preset.g_min) / cells.k), 0.0, 1)
    return cells, float(cells.written_at[0])


def aged(cells, now):
    cells.refresh(now)
    return cells.conductances[0]


UNPULSED = sorted(name for name, preset in presets().items() if preset.pulses is None and preset.fits)
FITS = [(name, fit) for name in UNPULSED for fit in presets()[name].fits]


@pytest.mark.parametrize(("name", "fit"), FITS)
@pytest.mark.parametrize("part", [0.45, 0.6, 0.9])
def test_spread_at_writing(name, fit, part):
    preset = presets()[name]
    g = preset.g_min + part * (preset.g_max - preset.g_min)
    cells, _ = written(preset, g, fit, drift=False)
    sd = preset.fits[fit](np.array([g]))[0]
    assert 4 * sd < min(g - preset.limits[0], preset.limits[1] - g)  # so far from the limits that none shows
    noise = (cells.programmed[0] - g) / sd
    assert abs(noise.mean()) < MEAN
    assert noise.std() == pytest.approx(1.0, abs=SPREAD)
    assert abs(np.mean(noise**3)) < 5 * np.sqrt(15 / N)  # and Gaussian
    assert np.mean(noise**4) == pytest.approx(3.0, abs=5 * np.sqrt(96 / N))


@pytest.mark.parametrize("preset", [PCM, HERMES_1, HERMES_2, GENERIC], ids=lambda preset: preset.name)
@pytest.mark.parametrize("seconds", [1.0, HOUR, DAY, 30 * DAY])
def test_drift_median_follows_the_power_law(preset, seconds):
    cells, start = written(preset, preset.g_max, programming=0.0, flicker=0.0)
    exponents = -np.log(aged(cells, start + seconds) / preset.g_max) / np.log((seconds + preset.t0) / preset.t0)
    mean, sd = preset.drift.mean(np.ones(1))[0], preset.drift.sd(np.ones(1))[0]
    # The median of |mean + sd xi|, from draws of another generator; its standard error is sqrt(pi/2) sd / sqrt(n).
    folded = np.median(np.abs(mean + sd * np.random.default_rng(1).standard_normal(1_000_000)))
    assert np.median(exponents) == pytest.approx(folded, abs=1.2533 * sd * (MEAN + 0.005) + 1e-5)


@pytest.mark.parametrize("fit", ["accept-0.2", "accept-2"])
@pytest.mark.parametrize("seconds", [0.0, HOUR, DAY, 30 * DAY])
def test_cmo_relaxes_on_top_of_what_was_programmed(fit, seconds):
    g = 40.0
    cells, start = written(RERAM_CMO, g, fit)
    log = np.log(seconds + 1.0)
    moved = aged(cells, start + seconds) - cells.programmed[0]
    sd = 0.04201137 * log + 0.41183342
    assert moved.mean() == pytest.approx(-0.08900206 * log, abs=sd * MEAN)
    assert moved.std() == pytest.approx(sd, rel=SPREAD)
    programmed = cells.programmed[0] - g
    assert abs(np.corrcoef(moved, programmed)[0, 1]) < 5 / np.sqrt(N)


def test_cmo_never_leaves_its_range():
    for g in (9.0, 88.2):
        cells, start = written(RERAM_CMO, g, "accept-2")
        for seconds in (0.0, 1e6):
            now = aged(cells, start + seconds)
            assert now.min() >= 9.0
            assert now.max() <= 88.2


@pytest.mark.parametrize("seconds", [0.0, DAY, 2 * DAY, 300 * DAY])
def test_wan_spread_is_replaced_not_added(seconds):
    g, r = 24.0, 0.6
    early = np.polyval([-16.815, 45.393, -43.853, 16.030, 0.348], r)
    day = np.polyval([-16.458, 47.095, -50.773, 22.086, 0.701], r)
    late = np.polyval([-11.934, 37.062, -43.507, 20.274, 0.782], r)
    sd = {0.0: early, DAY: day}.get(seconds, late)
    cells, start = written(RERAM_WAN, g)
    now = aged(cells, start + seconds)
    assert now.mean() == pytest.approx(g, abs=sd * MEAN)
    assert now.std() == pytest.approx(sd, rel=SPREAD)
    # Each cell goes its own way: what it was off by at writing has grown, and nothing else has come.
    np.testing.assert_allclose(now - g, (cells.programmed[0] - g) * sd / early, rtol=1e-4, atol=1e-5)


def test_wan_fits_of_one_time_hold_still():
    for fit in ("crosssim-1s", "aihwkit-1d", "aihwkit-2d"):
        cells, start = written(RERAM_WAN, 20.0, fit)
        np.testing.assert_array_equal(aged(cells, start + 30 * DAY), cells.programmed[0])
        assert cells.fresh_until == np.inf


@pytest.mark.parametrize("days", [0.0, 1.0, 2.5, 5.0])
def test_sonos_drifts_by_the_day(days):
    g = 8.0
    cells, start = written(SONOS, g)
    now = aged(cells, start + days * DAY - 20.0 * (days > 0))
    a = np.interp(days, range(6), [19.88665, 25.59102, 28.72753, 31.04318, 33.76214, 34.57909]) / 100
    b = np.interp(days, range(6), [176.3115, 186.85544, 193.56834, 198.90332, 204.77023, 207.34309]) / 100
    shift = SONOS.relaxation.mean(np.array([g]), np.array([days * DAY]))[0]
    sd = a * (1 - np.exp(-(g + shift) / b))
    assert now.mean() == pytest.approx(g + shift, abs=sd * (MEAN + 1e-3))
    assert now.std() == pytest.approx(sd, rel=SPREAD + 1e-3)


def test_each_pair_ages_from_its_own_writing():
    cells = cells_of(RERAM_CMO, n=1000, programming=0.0)
    cells.write(ALL, np.full(1000, 0.5), 0.0, 1)
    cells.write(np.arange(500), np.full(500, 0.5), DAY, 2)
    now = aged(cells, 2 * DAY)
    g = 9.0 + 0.5 * 79.2
    np.testing.assert_allclose(now[:500], g - 0.08900206 * np.log(DAY), atol=1e-4)
    np.testing.assert_allclose(now[500:], g - 0.08900206 * np.log(2 * DAY), atol=1e-4)


def test_relaxation_off_with_drift_off():
    cells, start = written(RERAM_CMO, 40.0, drift=False)
    np.testing.assert_array_equal(aged(cells, start + DAY), cells.programmed[0])


def test_read_noise_of_sonos_grows_with_its_current():
    for g, other in ((8.0, 0.0), (0.5, 0.0)):
        cells, start = written(SONOS, g, programming=0.0, drift=False)
        cells.refresh(start)
        per_cell = [0.1258037 * (1 - np.exp(-x / 2.1536557)) for x in (g, other)]
        np.testing.assert_allclose(cells.white_variance, sum(s**2 for s in per_cell) / cells.k**2, rtol=1e-9)


def test_read_noise_option_is_a_fraction_of_g_max_for_both_cells():
    cells, start = written(RERAM_WAN, 20.0, read_noise=0.01)
    cells.refresh(start)
    np.testing.assert_allclose(cells.white_variance, 2 * (0.01 * 40 / cells.k) ** 2)
    cells, start = written(RERAM_WAN, 20.0)
    cells.refresh(start)
    assert cells.white_variance is None


@pytest.mark.parametrize("preset", [RRAM_MILO, GENERIC_CUBIC], ids=lambda preset: preset.name)
def test_currents_of_a_pair_from_its_three_coefficients(preset):
    cells = cells_of(preset, n=50, window=2.0)
    weights = np.linspace(-2.0, 2.0, 50)
    cells.write(ALL, weights, 0.0, 1)
    cells.refresh(1.0)
    g, k, v = cells.conductances, cells.k, preset.iv.v_read
    for x in (-1.0, -0.4, 0.3, 1.0):
        volts = x * v  # a negative input is a negative voltage, on both cells
        current = g * volts + preset.iv.second(g) * volts**2 + preset.iv.third(g) * volts**3
        y = (current[0] - current[1]) / (k * v)
        ours = cells.weights * x + cells.second * x**2 + cells.third * x**3
        np.testing.assert_allclose(ours, y, rtol=1e-12, atol=1e-15)
    flat = cells_of(preset, n=50, iv=False)
    flat.write(ALL, weights / 2, 0.0, 1)
    flat.refresh(1.0)
    assert flat.second is None
    assert flat.third is None


def test_arrhenius():
    kelvin, k_b = 330.0, 8.617333262e-5
    inverse = 1 / kelvin - 1 / 300
    hot, start = written(PCM, 20.0, temperature_k=kelvin, n=1000)
    cool, _ = written(replace(PCM, conductance_ev=0.0), 20.0, n=1000)
    # The same draws. Conductances grow by exp(-E/k (1/T - 1/T0)), 1.4214 at 330 K and .1 eV; so does the clock's pace.
    larger = np.exp(-0.1 / k_b * inverse)
    assert larger == pytest.approx(1.4214, abs=1e-4)
    faster = np.exp(-0.1 / k_b * inverse)
    np.testing.assert_allclose(aged(hot, start + HOUR), aged(cool, start + faster * HOUR) * larger, rtol=1e-5)
    cold, start = written(PCM, 20.0, temperature_k=250.0, n=1000)
    assert (aged(cold, start) < cold.programmed[0]).all()
    still, start = written(replace(RERAM_CMO, conductance_ev=0.0), 40.0, temperature_k=400.0, n=1000)
    quick, _ = written(RERAM_CMO, 40.0, n=1000)
    pace = np.exp(-0.1 / k_b * (1 / 400 - 1 / 300))
    np.testing.assert_allclose(aged(still, start + HOUR), aged(quick, start + pace * HOUR), rtol=1e-5)


def test_flicker_follows_the_conductance_that_is_left():
    cells, start = written(PCM, 25.0, programming=0.0, n=1000)
    for seconds in (0.0, DAY):
        g = aged(cells, start + seconds)
        np.testing.assert_allclose(cells.flicker_sd, 0.0088 * g / cells.k, rtol=1e-5)


def test_worn_out_pairs_keep_what_they_hold():
    cells = cells_of(PCM, n=6, endurance=3)
    cells.write(ALL, np.zeros(6), 0.0, 0)  # what makes the chip wears nothing
    assert not cells.writes.any()
    for event in (1, 2):
        cells.write(ALL, np.full(6, 0.1), 0.0, event)
    assert cells.write(np.array([1, 4]), np.full(2, 0.2), 0.0, 3) == 4
    before, at = cells.programmed.copy(), cells.written_at.copy()
    assert cells.write(ALL, np.full(6, 0.9), 1.0, 4) == 12  # pulsed and paid for all the same
    worn = np.array([False, True, False, False, True, False])
    np.testing.assert_array_equal(cells.programmed[:, worn], before[:, worn])
    np.testing.assert_array_equal(cells.written_at[worn], at[worn])
    assert (cells.programmed[0, ~worn] > 15).all()
    assert (cells.written_at[~worn] > 1.0).all()
    np.testing.assert_array_equal(cells.held, 0.9)
    cells.write(ALL, np.zeros(6), 2.0, 5)  # now all are
    cells.refresh(2.0)
    assert (cells.weights[~worn] > 0.5).all()


def test_writing_takes_time_for_each_cell():
    cells = cells_of(RERAM_CMO, n=10)
    assert cells.write(np.array([2, 5]), np.array([0.1, -0.2]), 7.0, 1) == 4
    np.testing.assert_allclose(cells.written_at[[2, 5]], 7.0 + 4 * RERAM_CMO.t_write)


def test_wires_attenuate_currents_and_their_noise():
    factor = np.linspace(0.5, 1.0, 20).reshape(2, 10)
    weights = np.linspace(-1, 1, 10)
    preset = replace(SONOS, iv=GENERIC_CUBIC.iv)
    plain, wired = (
        cells_of(preset, n=10, programming=0.0, read_noise=0.02, attenuate=attenuate)
        for attenuate in (None, lambda g: factor)
    )
    for cells in (plain, wired):
        cells.write(ALL, weights, 0.0, 1)
        cells.refresh(1.0)
    np.testing.assert_allclose(wired.conductances, plain.conductances * factor)
    sd = 0.1258037 * (1 - np.exp(-plain.conductances / 2.1536557))
    variance = ((sd**2 + (0.02 * 16) ** 2) * factor**2).sum(axis=0) / plain.k**2
    np.testing.assert_allclose(wired.white_variance, variance)
    third = preset.iv.third(plain.conductances) * factor * preset.iv.v_read**2 / plain.k
    np.testing.assert_allclose(wired.third, third[0] - third[1])


def test_stuck_cells_neither_relax_nor_drift():
    for preset in (RERAM_CMO, PCM, SONOS):
        cells, start = written(preset, preset.g_max / 2, stuck=0.5, n=1000)
        now = aged(cells, start + DAY)
        assert 0.2 < np.isin(now, (preset.g_min, preset.g_max)).mean() < 0.8


@pytest.mark.parametrize("preset", [PCM, RERAM_CMO, RERAM_WAN, SONOS, RRAM_MILO, IDEAL], ids=lambda p: p.name)
def test_what_is_restored_goes_on_as_before(preset):
    def moved_on(cells):
        cells.write(np.array([1, 3]), np.array([0.2, -0.3]), 50.0, 2)
        cells.refresh(60.0)
        cells.refresh(DAY)
        return cells.state()

    first = cells_of(preset, n=8, read_noise=0.01, stuck=0.2, d2d=0.1, endurance=5)
    first.write(ALL, np.linspace(-1, 1, 8), 0.0, 1)
    first.refresh(10.0)
    state = {name: np.array(array) for name, array in first.state().items()}
    second = cells_of(preset, n=8, read_noise=0.01, stuck=0.2, d2d=0.1, endurance=5)
    second.restore(state)
    one, other = moved_on(first), moved_on(second)
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], other[name])


def test_refreshing_is_put_off_while_nothing_would_change():
    cells, start = written(PCM, 25.0, programming=0.0, n=10)
    cells.refresh(start)
    first = cells.conductances
    assert start < cells.fresh_until < start + 20.0 / 4000
    cells.refresh(cells.fresh_until)
    assert cells.conductances is first
    later = aged(cells, start + DAY)
    assert (later < first[0]).all()
    # A day later a second is nothing: conductances within nu / 4096.
    assert cells.fresh_until > start + DAY + 20
    stale = later.copy()
    exact = cells_of(PCM, n=10, programming=0.0)
    exact.restore(cells.state() | {"fresh_until": np.array(-np.inf)})
    np.testing.assert_allclose(stale, aged(exact, cells.fresh_until), rtol=0.1 / 4096)
    still, start = written(IDEAL, 1.0, n=10)
    still.refresh(start)
    assert still.fresh_until == np.inf
