"""Temporal and continual tasks: the series against the equation's own solutions, splits that share nothing."""

import numpy as np
import pytest

import hwzo
from hwzo.data import load_task
from hwzo.data.mackey_glass import SPACING, STEPS, mackey_glass, series
from hwzo.data.permuted import permuted_digits
from hwzo.errors import ConfigError


def test_the_first_delay_of_the_series_is_the_linear_equations_solution():
    """While the delayed value is the history's, dx/dt = c - gamma x: x = c/gamma + (x0 - c/gamma) exp(-gamma t)."""
    c = 0.2 * 1.2 / (1 + 1.2**10)
    t = np.arange(18)
    np.testing.assert_allclose(series(18), c / 0.1 + (1.2 - c / 0.1) * np.exp(-0.1 * t), rtol=1e-9)


def test_the_second_delay_is_the_integral_over_the_first():
    """x(t) = x(17) e^-gamma(t-17) + integral of f(x(s-17)) e^-gamma(t-s) ds, by quadrature of the exact first part."""
    c = 0.2 * 1.2 / (1 + 1.2**10)

    def first(t):
        return c / 0.1 + (1.2 - c / 0.1) * np.exp(-0.1 * t)

    s = np.linspace(17.0, 30.0, 130_001)
    delayed = first(s - 17.0)
    driven = 0.2 * delayed / (1 + delayed**10) * np.exp(-0.1 * (30.0 - s))
    integral = float(((driven[1:] + driven[:-1]) / 2).sum() * (s[1] - s[0]))
    assert series(31)[30] == pytest.approx(first(17.0) * np.exp(-1.3) + integral, rel=1e-4)


def test_the_series_is_bounded_and_does_not_repeat():
    x = series(2000)[500:]
    assert 0.1 < x.min() < 0.5
    assert 1.2 < x.max() < 1.5
    windows = np.lib.stride_tricks.sliding_window_view(x, 50)
    assert np.abs(windows[200:] - windows[0]).max(axis=1).min() > 1e-3


def test_windows_hold_what_came_before_their_target():
    """The next window's newest value is this one's target, one spacing later; splits share no value."""
    task = mackey_glass()
    np.testing.assert_array_equal(task.train.inputs[SPACING:, -1], task.train.targets[:-SPACING, 0])
    splits = (task.train, task.validation, task.test)
    seen = [set(np.concatenate([split.inputs.ravel(), split.targets.ravel()])) for split in splits]
    assert sum(map(len, seen)) == len(set().union(*seen))
    assert task.network.label == f"{STEPS}x1-16r-1"


def test_prediction_needs_more_than_the_last_value():
    """Neither the last value nor the best linear prediction do what a small network should."""
    task = mackey_glass()
    x, y = task.train.inputs, task.train.targets[:, 0]
    variance = y.var()
    assert np.square(x[:, -1] - y).mean() > 0.3 * variance
    design = np.column_stack([x, np.ones(len(x))])
    weights, *_ = np.linalg.lstsq(design, y, rcond=None)
    assert np.square(design @ weights - y).mean() > 0.01 * variance


def test_copies_want_the_bits_and_not_the_distractors():
    task = load_task("copy")
    steps = task.train.inputs.reshape(-1, 6, 2)
    np.testing.assert_array_equal((steps[:, :3, 0] + 1) / 2, task.train.targets)
    assert set(steps[:, :3, 1].ravel()) == {1.0}
    assert set(steps[:, 3:, 1].ravel()) == {-1.0}
    assert np.abs(steps[:, 3:, 0]).max() < 1.0
    assert task.network.label == "6x2-32r-3"


def test_permuted_digits_are_the_digits_pixel_for_pixel():
    pytest.importorskip("sklearn")
    plain, one, two = load_task("digits"), load_task("permuted-digits-1"), load_task("permuted-digits-2")
    for split in ("train", "validation", "test"):
        first, second = getattr(plain, split), getattr(one, split)
        np.testing.assert_array_equal(np.sort(first.inputs, axis=1), np.sort(second.inputs, axis=1))
        np.testing.assert_array_equal(first.targets, second.targets)
    assert not np.array_equal(one.train.inputs, two.train.inputs)
    with pytest.raises(ConfigError, match="1 to 9"):
        permuted_digits(0)


@pytest.mark.parametrize(("task", "bar"), [("mackey-glass", 0.07), ("copy", 0.1)])
def test_a_vanilla_recurrent_network_learns_in_place(tmp_path, task, bar):
    """By node perturbation on the noisy crossbar; a constant guess has a loss of about 0.11 and 0.25."""
    given = {"method": "node-perturbation", "budget": "600 evaluations", "batch": 64, "validate_every": 300}
    result = hwzo.train(task, "crossbar:pcm", run=tmp_path / "run", **given)
    assert result.loss < bar
