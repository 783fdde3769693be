"""The tolerance: what it is by default, how often is read for it, and what is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest

import hwzo
from hwzo.deploy.tolerance import (
    MOST_REPEATS,
    ReadError,
    choose_tolerance,
    look,
    look_writes,
    residual_of,
    subset,
)
from hwzo.errors import ConfigError
from hwzo.parameters import ParameterSpec, TensorSpec

SPEC = ParameterSpec((TensorSpec("w", (4, 4), -1.0, 1.0),))
CASES = [(False, 0.02, 0.01), (True, 0.02, 0.01), (True, 0.01, 0.03)]


@pytest.mark.parametrize(("verified", "read", "residual"), CASES)
def test_by_default_it_is_three_standard_deviations_of_what_can_not_be_helped(
    verified: bool, read: float, residual: float
) -> None:
    chosen = choose_tolerance(None, ReadError(read, 0.0), residual, SPEC, verified_writes=verified)
    averaged = read / math.sqrt(chosen.repeats)
    assert chosen.read_error == pytest.approx(averaged)
    assert averaged <= 0.5 * residual
    assert chosen.value == pytest.approx(3.0 * math.hypot(averaged, residual), rel=1e-2)


@pytest.mark.parametrize("value", [0.02, 0.05, 0.3])
def test_reads_are_averaged_until_their_error_is_a_third_of_it(value: float) -> None:
    chosen = choose_tolerance(value, ReadError(0.03, 0.0), 0.05, SPEC, verified_writes=False)
    assert chosen.value == value
    assert chosen.read_error <= value / 3.0
    if chosen.repeats > 1:
        assert 0.03 / math.sqrt(chosen.repeats - 1) > value / 3.0


@pytest.mark.parametrize("verified", [False, True])
def test_one_that_is_tighter_than_can_be_verified_is_refused_and_says_what_can(verified: bool) -> None:
    read, residual = ReadError(0.03, 0.001), 0.02
    least = math.hypot(0.03 / math.sqrt(MOST_REPEATS), 0.001)
    reachable = 3.0 * (math.hypot(least, residual) if verified else least)
    with pytest.raises(ConfigError, match=f"reachable is {reachable:.3g}") as caught:
        choose_tolerance(0.5 * reachable, read, residual, SPEC, verified_writes=verified)
    assert caught.value.key == "tolerance"
    assert choose_tolerance(1.01 * reachable, read, residual, SPEC, verified_writes=verified).value == 1.01 * reachable


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf, True])
def test_numbers_that_are_no_tolerance_are_refused(value: float) -> None:
    with pytest.raises(ConfigError, match="tolerance"):
        choose_tolerance(value, ReadError(0.0, 0.0), 0.0, SPEC, verified_writes=False)


def test_steps_of_the_device_are_allowed_for() -> None:
    spec = ParameterSpec((TensorSpec("w", (4,), -1.0, 1.0, resolution=0.1),))
    assert choose_tolerance(None, ReadError(0.0, 0.0), 0.0, spec, verified_writes=False).value >= 0.05


def test_rounding_that_noise_does_not_stir_is_not_averaged_away() -> None:
    """A converter's step q with no noise before it leaves q / sqrt(12) in any mean (dither theory)."""
    rng = np.random.default_rng(0)
    values, step = rng.uniform(-1, 1, 2000), 0.05
    reads = np.rint(np.tile(values, (8, 1)) / step) * step
    error = ReadError.seen(reads)
    assert error.of_mean(10_000) == pytest.approx(step / math.sqrt(12), rel=0.05)
    stirred = ReadError.seen(np.rint((values + 0.05 * rng.standard_normal((8, 2000))) / step) * step)
    # 14,000 degrees of freedom: 4 standard errors are 2.4%
    assert stirred.of_mean(1) == pytest.approx(math.hypot(0.05, step / math.sqrt(12)), rel=0.03)
    assert stirred.of_mean(10_000) < 0.1 * step


def test_a_look_finds_what_a_write_leaves() -> None:
    """512 cells: the residual's standard error is 1/sqrt(2 512) = 3.1%; four of them fail for 6e-5 of all seeds. The
    emulated noise is that of `sigma`, Gaussian and new at each look, whose size is what was asked for."""
    device = hwzo.connect("crossbar:ideal?sigma=0.04&read_error=0.01&adc_bits=0&engine=numpy&seed=3")
    n = device.parameters.size
    where = subset(n, 1)
    read, residual = look(device, np.random.default_rng(1).uniform(-0.5, 0.5, n), where)
    assert where.sum() == 512
    assert residual == pytest.approx(0.04, rel=4 * 0.031)
    assert read.of_mean(1) == pytest.approx(0.01, rel=0.07)  # 3,584 degrees of freedom: 4 standard errors are 4.7%
    device.close()


def test_a_verified_write_is_looked_at_twice() -> None:
    pcm = hwzo.connect("crossbar:pcm?engine=numpy&seed=3&layers=8-4-2")
    pulsed = hwzo.connect("crossbar:ecram-li?engine=numpy&seed=3&layers=8-4-2")
    assert look_writes(pcm) == 2
    assert look_writes(pulsed) == 3
    where = np.zeros(pcm.parameters.size, dtype=np.bool_)
    where[:5] = True
    held = pcm.read(1)
    look(pcm, np.full(len(where), 0.5), where)
    after = pcm.read(4).mean(axis=0)
    assert (np.abs(after[where] - 0.5) < 0.3).all()
    assert (np.abs(after[~where] - held[0][~where]) < 0.1).all()  # nothing else was written
    pcm.close()
    pulsed.close()


def test_a_profile_that_did_not_look_tells_nothing() -> None:
    from hwzo.noise.profile import Profile

    empty = Profile.__new__(Profile)
    object.__setattr__(empty, "quantities", {})
    assert residual_of(empty) is None
    assert ReadError.of(empty) is None
