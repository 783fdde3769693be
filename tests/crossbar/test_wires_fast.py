"""The approximation of IR drop against the exact solve, and the wires of a whole device."""

from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hwzo.errors import ConfigError
from hwzo_backends.crossbar.nodal import effective_conductances
from hwzo_backends.crossbar.wires import Wires, approximate_conductances, attenuation

OHMS = st.floats(0.0, 1e4)
TILES = st.tuples(st.integers(1, 6), st.integers(1, 6)).flatmap(
    lambda shape: arrays(np.float64, shape, elements=st.floats(0.0, 1e-3, allow_subnormal=False))
)


class Layer(NamedTuple):
    rows: tuple[tuple[int, int], ...]
    columns: tuple[tuple[int, int], ...]


def tile(shape, kind, g_max, seed=0):
    """Conductances in siemens: uniform, or the positive members of pairs that hold normal weights."""
    rng = np.random.default_rng(seed)
    if kind == "dense":
        return rng.uniform(0.0, g_max, shape)
    return np.clip(rng.standard_normal(shape) / 3, 0.0, 1.0) * g_max


@settings(deadline=None)
@given(TILES, OHMS)
def test_exact_where_only_rows_or_only_columns_resist(g, ohm):
    for wires in ((ohm, 0.0), (0.0, ohm)):
        exact = effective_conductances(g, *wires)
        np.testing.assert_allclose(g * attenuation(g, *wires), exact, rtol=1e-8, atol=1e-18)
        np.testing.assert_allclose(approximate_conductances(g, *wires), exact, rtol=1e-8, atol=1e-18)


@settings(deadline=None)
@given(TILES, OHMS, OHMS, st.floats(1.0, 10.0))
def test_attenuation_lies_between_0_and_1_and_falls_with_every_resistor(g, r_row, r_column, factor):
    here = attenuation(g, r_row, r_column)
    assert (here >= 0.0).all()
    assert (here <= 1.0).all()
    rounding = 1e-12
    assert (attenuation(factor * g, r_row, r_column) <= here + rounding).all()
    assert (attenuation(g, factor * r_row, r_column) <= here + rounding).all()
    assert (attenuation(g, r_row, factor * r_column) <= here + rounding).all()


def test_first_order_is_the_sum_of_drops():
    """T = G (1 - R - C), from the definition, cell by cell."""
    g = tile((5, 7), "dense", 1e-4)
    r_row, r_column = 1e-3, 2e-3
    drop = np.zeros_like(g)
    for i, j in np.ndindex(*g.shape):
        drop[i, j] = r_row * sum(g[i, other] * (min(j, other) + 1) for other in range(7))
        drop[i, j] += r_column * sum(g[other, j] * (5 - max(i, other)) for other in range(5))
    np.testing.assert_allclose(1.0 - attenuation(g, r_row, r_column), drop, rtol=1e-4)


def test_second_order_of_equal_cells():
    """Of equal cells all orders are summed: the error of a small drop is of third order in it."""
    g = np.full((12, 12), 1e-4)
    drops, errors = [], []
    for ohm in (0.1, 0.2):
        exact = effective_conductances(g, ohm, ohm)
        drops.append(np.abs(g - exact).max())
        errors.append(np.abs(approximate_conductances(g, ohm, ohm) - exact).max())
    assert errors[0] < 0.05 * drops[0] ** 2 / 1e-4
    assert errors[1] / errors[0] > 6.0


@pytest.mark.parametrize("kind", ["dense", "weights"])
@pytest.mark.parametrize("shape", [(16, 16), (64, 64), (128, 32), (32, 128)])
@pytest.mark.parametrize(("g_max", "ohm"), [(25e-6, 0.35), (25e-6, 5.0), (200e-6, 0.35), (200e-6, 5.0)])
def test_error_is_within_what_is_documented(kind, shape, g_max, ohm):
    g = tile(shape, kind, g_max)
    exact = effective_conductances(g, ohm, ohm)
    error = approximate_conductances(g, ohm, ohm) - exact
    assert np.sqrt(np.mean(error**2)) < 0.02 * np.sqrt(np.mean((g - exact) ** 2))
    assert np.abs(error).max() < 0.03 * np.abs(g - exact).max()


def test_tiles_of_a_stack_do_not_touch_each_other():
    stack = np.stack([tile((6, 4), "dense", 1e-4, seed) for seed in range(3)])
    for function in (attenuation, approximate_conductances):
        together = function(stack, 2.0, 3.0)
        for one, alone in zip(together, stack, strict=True):
            np.testing.assert_array_equal(one, function(alone, 2.0, 3.0))


def test_wires_that_pass_nothing_give_numbers():
    g = np.full((300, 300), 1e-3)
    assert np.isfinite(approximate_conductances(g, 1e6, 1e6)).all()


LAYERS = (
    Layer(((0, 8), (8, 11)), ((0, 5), (5, 7))),
    Layer(((0, 8),), ((0, 3),)),
)
N = 11 * 7 + 8 * 3


def pairs(n_slices, rest=0.0, seed=0):
    """Microsiemens (2, slices * N): weights of either sign on top of what every cell has at rest."""
    weights = 60.0 * np.random.default_rng(seed).standard_normal(n_slices * N)
    return np.stack([np.maximum(weights, 0.0), np.maximum(-weights, 0.0)]) + rest


@pytest.mark.parametrize("n_slices", [1, 3])
@pytest.mark.parametrize("rest", [0.0, 2.0])
@pytest.mark.parametrize("method", ["fast", "exact"])
def test_pairs_hold_the_weights_that_their_tiles_pass(method, n_slices, rest):
    """Cut by hand: each tile of each layer and slice, and each member of the pairs, is a crossbar of its own."""
    g = pairs(n_slices, rest)
    ohm = (3.0, 5.0)
    factors = Wires(LAYERS, n_slices, *ohm, 1e-6, method).effective(g)
    assert factors.shape == g.shape
    assert factors.min() > 0.0
    assert factors.max() <= 1.0
    expected = np.empty_like(g)
    for member, index in np.ndindex(2, n_slices):
        first = index * N
        for layer in LAYERS:
            n_rows, n_columns = layer.rows[-1][1], layer.columns[-1][1]
            last = first + n_rows * n_columns
            block = g[member, first:last].reshape(n_rows, n_columns)
            out = expected[member, first:last].reshape(n_rows, n_columns)
            for r0, r1 in layer.rows:
                for c0, c1 in layer.columns:
                    out[r0:r1, c0:c1] = 1e6 * effective_conductances(1e-6 * block[r0:r1, c0:c1], *ohm)
            first = last
    passed = g * factors
    drop = np.abs((g - expected)[0] - (g - expected)[1]).max()
    error = np.abs((passed[0] - passed[1]) - (expected[0] - expected[1])).max()
    assert error < (1e-9 if method == "exact" else 0.01 * drop)


def test_ideal_wires_are_left_alone():
    for method in ("fast", "exact"):
        np.testing.assert_allclose(Wires(LAYERS, 1, 0.0, 0.0, 1e-6, method).effective(pairs(1)), 1.0, rtol=1e-12)


def test_cells_without_conductance_are_left_alone():
    for method in ("fast", "exact"):
        np.testing.assert_array_equal(Wires(LAYERS, 1, 1.0, 1.0, 1e-6, method).effective(np.zeros((2, N))), 1.0)


def test_an_exact_solve_that_takes_too_long_is_refused():
    tiles = Layer(tuple((i, i + 256) for i in range(0, 2304, 256)), ((0, 256),))
    with pytest.raises(ConfigError, match="ir_drop=fast") as refused:
        Wires([tiles], 1, 1.0, 1.0, 1e-6, "exact")
    assert refused.value.key == "ir_drop"
    Wires([tiles], 1, 1.0, 1.0, 1e-6, "fast")
    Wires([Layer(tiles.rows[:8], tiles.columns)], 1, 1.0, 1.0, 1e-6, "exact")


def test_a_negative_resistance_is_refused():
    with pytest.raises(ConfigError, match="0 ohm or more") as refused:
        Wires(LAYERS, 1, -1.0, 1.0, 1e-6, "fast")
    assert refused.value.key == "wire_ohm"
