"""An array of pulsed devices: closed and open loop, counts, wear, decay, write noise, snapshots.

Statistical checks use fixed seeds; bounds are five standard errors: false alarms below 1e-6 a check.
"""

import math
from dataclasses import replace

import numpy as np
import pytest

from hwzo_backends.crossbar.noise import CounterNoise
from hwzo_backends.crossbar.pulsed_cells import PulsedCells, PulsedImperfections
from hwzo_backends.crossbar.pulsed_presets import (
    CAPACITOR,
    ECRAM_LI,
    GOKMEN_VLASOV,
    PULSED,
    RERAM_ARRAY_OM,
    RERAM_ES,
    RERAM_SB,
)

ALL = slice(None)
EXACT = PulsedImperfections(c2c=0.0, d2d=0.0)


def cells(preset, n=2000, *, window=1.0, seed=1, **imperfections):
    return PulsedCells(n, window, preset, PulsedImperfections(**imperfections), CounterNoise(seed))


def targets(n=2000, seed=2, window=1.0):
    return np.random.default_rng(seed).uniform(-0.5, 0.5, n) * window


def weights(array, now=0.0):
    array.refresh(now)
    return array.weights.copy()


@pytest.mark.parametrize("window", [1.0, 0.25, 3.0])
@pytest.mark.parametrize("preset", [GOKMEN_VLASOV, ECRAM_LI, RERAM_SB])
def test_without_noise_and_spread_closed_loop_ends_within_half_a_step(preset, window):
    array = cells(preset, window=window, c2c=0.0, d2d=0.0, verify=12)
    w = targets(window=window)
    array.write(ALL, w, 0.0, 0)
    device = preset.pulses
    step = device.dw_min * window / min(-device.w_min, device.w_max)
    assert np.abs(weights(array) - w).max() <= 0.5 * step * (1 + 1e-9)
    np.testing.assert_array_equal(array.held, w)


def test_closed_loop_takes_the_spread_between_devices_away():
    array, w = cells(ECRAM_LI), targets()
    sent = array.write(ALL, w, 0.0, 0)
    step = 0.002 / 0.8276
    assert np.abs(weights(array) - w).max() < 4 * step
    assert sent == array.pulses.sum()
    # about |w| / step pulses a cell, more upwards where steps shrink
    assert sent == pytest.approx(np.abs(w).sum() / step, rel=0.25)


def test_a_second_write_of_the_same_costs_little():
    array, w = cells(ECRAM_LI), targets()
    first = array.write(ALL, w, 0.0, 0)
    assert array.write(ALL, w, 0.0, 1) < 0.01 * first
    assert array.write(ALL, array.held, 0.0, 2) < 0.01 * first


def test_an_error_of_the_verifying_read_limits_the_accuracy():
    w = targets(10_000)
    exact, rough = cells(ECRAM_LI, 10_000), cells(ECRAM_LI, 10_000, read_error=0.02)
    for array in (exact, rough):
        array.write(ALL, w, 0.0, 0)
    fine, coarse = (weights(exact) - w).std(), (weights(rough) - w).std()
    assert fine < 0.002
    # A cell is right once a reading says so: off by less than one reading's error, by more than the last one's share.
    assert 0.005 < coarse < 0.02


def test_open_loop_is_right_on_average():
    n = 20_000
    array = cells(GOKMEN_VLASOV, n, verify=0, d2d=0.0)
    w = np.full(n, 0.4004)  # 250.25 steps
    sent = array.write(ALL, w, 0.0, 0)
    assert sent / n == pytest.approx(250.25, abs=5 * math.sqrt(0.25 * 0.75 / n))
    counts = np.unique(array.pulses)
    np.testing.assert_array_equal(counts, [250, 251])
    sd = 0.0016 * math.sqrt(0.25 * 0.75 + 250.25 * 0.3**2)
    got = weights(array)
    assert got.mean() == pytest.approx(0.4004, abs=5 * sd / math.sqrt(n))
    assert got.std() == pytest.approx(sd, rel=5 / math.sqrt(2 * n))


def test_open_loop_keeps_the_spread_between_devices():
    n = 20_000
    array = cells(GOKMEN_VLASOV, n, verify=0, c2c=0.0)
    array.write(ALL, np.full(n, 0.2), 0.0, 0)
    got = weights(array)
    # .2 times each device's gain 1 + .3 xi + .01 xi', cut at its bounds only far away
    assert np.median(got) == pytest.approx(0.2, abs=5 * 1.2533 * 0.06 / math.sqrt(n))
    assert got.std() == pytest.approx(0.2 * math.hypot(0.3, 0.01), rel=0.03)


def test_weights_beyond_a_cells_own_bounds_cannot_be_reached():
    n = 20_000
    array = cells(GOKMEN_VLASOV, n, verify=12)
    array.write(ALL, np.full(n, 1.0), 0.0, 0)
    short = (weights(array) < 0.99).mean()  # b_max = 1 + .3 xi: nearly half of them
    expected = 0.5 * math.erfc(0.01 / 0.3 / math.sqrt(2))
    assert short == pytest.approx(expected, abs=5 * 0.5 / math.sqrt(n) + 0.002)


def test_some_cells_are_written_others_are_left_alone():
    array, w = cells(RERAM_ES), targets()
    array.write(ALL, w, 0.0, 0)
    before, pulses = weights(array), array.pulses.copy()
    at = np.arange(0, 2000, 3)
    sent = array.write(at, -w[at], 0.0, 1)
    after = weights(array)
    others = np.setdiff1d(np.arange(2000), at)
    np.testing.assert_array_equal(after[others], before[others])
    np.testing.assert_array_equal(array.pulses[others], pulses[others])
    assert sent == (array.pulses - pulses).sum()
    assert np.corrcoef(after[at], -w[at])[0, 1] > 0.8
    np.testing.assert_array_equal(array.held[at], -w[at])


def test_write_noise_is_drawn_anew_by_each_train_and_only_then():
    n = 20_000
    array = cells(RERAM_SB, n, verify=0, d2d=0.0)
    step = 0.002 / 0.75
    first = weights(array)
    assert first.std() == pytest.approx(56 * step, rel=5 / math.sqrt(2 * n))
    array.write(ALL, np.zeros(n), 0.0, 0)  # no pulse: nothing changes
    np.testing.assert_array_equal(weights(array), first)
    array.write(ALL, np.full(n, step), 0.0, 1)  # one pulse
    second = weights(array)
    assert abs(np.corrcoef(first, second)[0, 1]) < 5 / math.sqrt(n)
    assert second.std() == pytest.approx(math.hypot(56, 3.75) * step, rel=5 / math.sqrt(2 * n))
    np.testing.assert_array_equal(weights(array, 1e9), second)


def test_write_noise_does_not_add_up():
    """The next pulse starts from what is hidden beneath: after 100 trains the noise is that of one."""
    n = 5000
    preset = replace(GOKMEN_VLASOV, pulses=replace(GOKMEN_VLASOV.pulses, write_noise=20.0, c2c=0.0))
    array = cells(preset, n, verify=0, d2d=0.0)
    for event in range(100):
        array.write(ALL, np.full(n, 0.0016 * (event % 2 + 1)), 0.0, event)
    assert weights(array).std() == pytest.approx(20 * 0.0016, rel=5 / math.sqrt(2 * n))


def test_a_worn_cell_never_moves_again():
    array = cells(GOKMEN_VLASOV, 500, verify=0, endurance=100, c2c=0.0, d2d=0.0)
    array.write(ALL, np.full(500, 0.0016 * 250), 0.0, 0)
    np.testing.assert_allclose(weights(array), 0.0016 * 100, rtol=1e-9)
    np.testing.assert_array_equal(array.pulses, 250)
    for event, target in enumerate((-0.5, 0.3, 0.0), start=1):
        assert array.write(ALL, np.full(500, target), 0.0, event) > 0  # sent, counted, in vain
        np.testing.assert_allclose(weights(array), 0.0016 * 100, rtol=1e-9)


def test_stuck_cells_lie_at_their_bounds():
    n = 20_000
    array = cells(GOKMEN_VLASOV, n, stuck=0.1, d2d=0.0)
    for event, target in enumerate((0.5, -0.5)):
        array.write(ALL, np.full(n, target), 0.0, event)
        got = weights(array)
        for bound in (-1.0, 1.0):
            assert (np.abs(got - bound) < 1e-9).mean() == pytest.approx(0.05, abs=5 * math.sqrt(0.05 * 0.95 / n))
        assert (np.abs(got - target) < 0.01).mean() == pytest.approx(0.9, abs=5 * math.sqrt(0.09 / n))


def test_corrupt_devices_are_off_unless_asked_for():
    n = 20_000
    for corrupt, share in ((False, 0.0), (True, 0.1348)):
        array = cells(RERAM_ARRAY_OM, n, corrupt=corrupt)
        before = weights(array)
        array.write(ALL, np.full(n, 0.5), 0.0, 0)
        array.write(ALL, np.full(n, -0.5), 0.0, 1)
        still = weights(array) == before
        assert still.mean() == pytest.approx(share, abs=5 * math.sqrt(0.1348 / n))
        # their own weight is within .01 of 0; what is read is that less the reference
        reference = array._devices.reference  # pyright: ignore[reportPrivateUsage]
        assert (np.abs(before + reference)[still] <= 0.01 + 1e-12).all()


def test_a_capacitor_forgets_exponentially():
    array = cells(CAPACITOR, d2d=0.0)
    array.write(ALL, targets(), 10.0, 0)
    start = weights(array, 10.0)
    for age in (0.3, 1.0, 4.0):
        np.testing.assert_allclose(weights(array, 10.0 + age), start * math.exp(-age), rtol=1e-9)
    half = np.arange(1000)
    array.write(half, targets()[:1000], 11.0, 1)
    later = weights(array, 11.0)
    assert np.abs(later[half] - targets()[:1000]).max() < 0.01
    np.testing.assert_allclose(later[1000:], start[1000:] * math.exp(-1.0), rtol=1e-9)


def test_other_devices_keep_what_they_hold():
    for preset in PULSED:
        if preset is not CAPACITOR:
            array = cells(preset, 100)
            array.write(ALL, targets(100), 0.0, 0)
            np.testing.assert_array_equal(weights(array, 1e9), weights(array, 0.0))


@pytest.mark.parametrize("preset", PULSED, ids=lambda preset: preset.name)
def test_conductances_make_the_weights(preset):
    array = cells(preset, 500, window=0.7)
    array.write(ALL, targets(500), 0.0, 0)
    got = weights(array)
    np.testing.assert_allclose((array.conductances[0] - array.conductances[1]) / array.k, got, atol=1e-12)
    assert (array.conductances >= preset.g_min).all()
    assert array.k == pytest.approx((preset.g_max - preset.g_min) / 0.7)
    np.testing.assert_array_equal(array.flicker_sd, np.zeros(500))
    assert array.white_variance is None


@pytest.mark.parametrize("preset", [RERAM_ES, CAPACITOR, RERAM_ARRAY_OM], ids=lambda preset: preset.name)
def test_a_restored_array_goes_on_as_the_first_would_have(preset):
    first, other = cells(preset, read_error=0.01), cells(preset, read_error=0.01)
    first.write(ALL, targets(), 0.1, 0)
    first.refresh(0.2)
    other.restore(first.state())
    for array in (first, other):
        array.write(np.arange(50, 900), targets()[50:900] + 0.1, 0.3, 1)
        array.refresh(0.4)
    for name, value in first.state().items():
        np.testing.assert_array_equal(other.state()[name], value, err_msg=name)


def test_a_state_is_not_changed_by_what_is_written_later():
    array = cells(RERAM_ES)
    state = array.state()
    kept = {name: value.copy() for name, value in state.items()}
    array.write(ALL, targets(), 0.0, 0)
    array.refresh(0.0)
    for name, value in kept.items():
        np.testing.assert_array_equal(state[name], value, err_msg=name)


def test_devices_follow_from_the_seed_and_draws_from_the_event():
    a, b, c = cells(RERAM_ES), cells(RERAM_ES), cells(RERAM_ES, seed=9)
    for array in (a, b, c):
        array.write(ALL, targets(), 0.0, 7)
    np.testing.assert_array_equal(weights(a), weights(b))
    assert (weights(a) != weights(c)).mean() > 0.99
    d = cells(RERAM_ES)
    d.write(ALL, targets(), 0.0, 8)
    # Cells that happened to read right from the start get no pulse, whatever the event.
    assert (weights(a) != weights(d)).mean() > 0.8


def test_a_preset_without_pulses_is_refused():
    with pytest.raises(ValueError, match="pulses"):
        cells(replace(RERAM_ES, pulses=None))


def test_wires_and_read_noise_and_heat():
    w = targets(100)
    plain = cells(ECRAM_LI, 100)
    plain.write(ALL, w, 0.0, 0)
    straight = weights(plain)
    factors = np.linspace(0.5, 1.0, 200).reshape(2, 100)
    array = cells(ECRAM_LI, 100, attenuate=lambda g: factors, read_noise=0.01)
    array.write(ALL, w, 0.0, 0)
    got = weights(array)
    np.testing.assert_allclose(array.conductances, plain.conductances * factors)
    np.testing.assert_allclose(got, (array.conductances[0] - array.conductances[1]) / array.k)
    sd = 0.01 * ECRAM_LI.g_max / array.k
    np.testing.assert_allclose(array.white_variance, sd**2 * (factors**2).sum(axis=0))
    hot = cells(ECRAM_LI, 100, temperature_k=330.0)
    hot.write(ALL, w, 0.0, 0)
    arrhenius = math.exp(-0.1 / 8.617333e-5 * (1 / 330 - 1 / 300))
    np.testing.assert_allclose(weights(hot), straight * arrhenius, rtol=1e-6)
