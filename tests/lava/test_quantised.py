import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwzo.errors import ConfigError
from hwzo_backends.lava.quantised import Grid

SEED = 7


def test_stochastic_rounding_has_no_bias():
    """Mean level over writes against theta; z-scores of 200 parameters, each beyond 4.5 with probability 7e-6: a false
    alarm in 1.4e-3 of all seeds, and this one is fixed."""
    grid = Grid(1 / 128, -128, 127, "stochastic", SEED)
    theta = np.random.default_rng(3).uniform(-0.9, 0.9, 200)
    writes = 4000
    levels = np.stack([grid.levels(theta, grid.dither(200, write)) for write in range(writes)])
    scaled = theta * 128
    fraction = scaled - np.floor(scaled)
    z = (levels.mean(axis=0) - scaled) / np.sqrt(fraction * (1 - fraction) / writes)
    assert np.abs(z).max() < 4.5
    # Bernoulli variance, all parameters together: relative sd of the sum of 800,000 squares is below .2%.
    spread = np.square(levels - scaled).mean()
    assert spread == pytest.approx((fraction * (1 - fraction)).mean(), rel=0.01)


def test_draws_of_two_writes_and_of_two_parameters_are_independent():
    """Correlation of 20,000 pairs has sd .0071; 4.5 of them are false once in 150,000."""
    grid = Grid(1.0, -10, 10, "stochastic", SEED)
    one, two = grid.dither(20_001, 5), grid.dither(20_001, 6)
    for a, b in ((one[1:], two[1:]), (one[1:], one[:-1]), (one[1:], grid.dither(20_001, 5 + 2**32)[1:])):
        assert abs(np.corrcoef(a, b)[0, 1]) < 0.032
    assert np.array_equal(one, grid.dither(20_001, 5))
    assert np.array_equal(one[:7], grid.dither(7, 5)), "a draw doesn't depend on how many there are"


@given(
    theta=st.floats(-0.7, 0.7),
    steps=st.integers(-30, 30),
    write=st.integers(0, 2**64 - 1),
    rounding=st.sampled_from(["nearest", "stochastic"]),
)
def test_a_displacement_by_whole_levels_is_what_the_device_gets(theta, steps, write, rounding):
    grid = Grid(1 / 128, -128, 127, rounding, SEED)
    dither = grid.dither(1, write)
    base = np.array([theta])
    moved = grid.levels(base + steps / 128, dither) - grid.levels(base, dither)
    # theta + steps / 128 is itself rounded to 53 bits: only a sum that hits a whole number by that may differ.
    edge = abs(theta * 128 + dither[0] - np.rint(theta * 128 + dither[0]))
    assert moved[0] == steps or edge < 1e-12


def test_nearest_is_nearest_and_keeps_to_the_range():
    grid = Grid(0.25, -2, 1)
    theta = np.array([-9.0, -0.5, -0.13, -0.12, 0.1, 0.13, 0.25, 9.0])
    assert grid.levels(theta).tolist() == [-2, -2, -1, 0, 0, 1, 1, 1]
    assert np.array_equal(grid.values(grid.levels(grid.values(np.arange(-2, 2)))), np.arange(-2, 2) * 0.25)


@pytest.mark.parametrize("rounding", ["nearest", "stochastic"])
def test_steps_below_a_level_add_up(rounding):
    """1,000 steps of a hundredth of a level: ten levels. A device without a master copy would never have moved."""
    grid = Grid(1 / 128, -128, 127, rounding, SEED)
    theta = np.zeros(300)
    for _ in range(1000):
        theta += 0.01 / 128
    held = grid.levels(theta, grid.dither(300, 1000))
    assert np.abs(held - 10).max() <= 1
    if rounding == "nearest":
        assert (held == 10).all()
    forgetful = np.zeros(1, dtype=np.int32)
    for _ in range(1000):
        forgetful = Grid(1 / 128, -128, 127).levels(forgetful / 128 + 0.01 / 128)
    assert forgetful == 0


def test_a_wandering_master_is_followed_without_bias():
    """Levels that are written again and again, a new draw each time, average to the mean of the targets."""
    grid = Grid(1.0, -128, 127, "stochastic", SEED)
    theta = np.linspace(-0.5, 0.5, 400)
    held = np.zeros((400, 400))
    for write in range(400):
        theta = theta + 0.003
        held[write] = grid.levels(theta, grid.dither(400, write)) - theta
    # 160,000 errors of variance at most 1/4, independent: sd of their mean at most .00125.
    assert abs(held.mean()) < 0.0057


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ((0.0, -1, 1), "above 0"),
        ((np.inf, -1, 1), "above 0"),
        ((1.0, 1, 1), "two at least"),
        ((1.0, -1, 1, "up"), "nearest or stochastic"),
        ((1.0, -1, 1, "nearest", -1), "64 bits"),
    ],
)
def test_a_grid_that_is_none(arguments, word):
    with pytest.raises(ConfigError, match=word):
        Grid(*arguments)
