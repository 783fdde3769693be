"""Directions against the wire's bit layout, the laws' moments, and the promise that any order gives the same rows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwzo.directions import DENSITY, STREAMS, Directions, directions, second_moment
from hwzo.errors import ConfigError
from hwzo.parameters import ParameterSpec, TensorSpec
from hwzo.philox import philox4x32

KEY = 0x1234_5678_9ABC_DEF0
SPEC = ParameterSpec((TensorSpec("w", (7, 5)), TensorSpec("b", (5,)), TensorSpec("v", (5, 30)), TensorSpec("c", (30,))))
LAWS = tuple(STREAMS)
law_names = st.sampled_from(LAWS)
counter = st.integers(0, 2**32 - 1)


def flat_spec(n):
    return ParameterSpec((TensorSpec("w", (n,)),))


def bits(n, key, step, k, stream):
    """The wire's own words: bit i is out[(i >> 5) & 3] >> (i & 31) & 1 of block i >> 7."""
    blocks = [
        philox4x32(np.array([b, step, k, stream], dtype=np.uint32), key).tolist() for b in range((n + 127) // 128)
    ]
    return np.array([blocks[i >> 7][(i >> 5) & 3] >> (i & 31) & 1 for i in range(n)])


@given(counter, counter, st.integers(0, 2**64 - 1), st.integers(1, 300))
def test_rademacher_is_the_bits_of_the_wire(step, k, key, n):
    row = directions("rademacher", flat_spec(n), key=key, step=step, counters=np.array([k]))
    assert row.shape == (1, n)
    assert np.array_equal(row[0], 2.0 * bits(n, key, step, k, 0) - 1.0)


def test_rank1_takes_u_then_v_of_each_matrix_in_order():
    drawn = 2.0 * bits(7 + 5 + 5 + 5 + 30 + 30, KEY, 3, 9, 1) - 1.0
    u, v, b, s, t, c = np.split(drawn, np.cumsum([7, 5, 5, 5, 30]))
    expected = np.concatenate([np.outer(u, v).ravel(), b, np.outer(s, t).ravel(), c])
    row = directions("rank1-sign", SPEC, key=KEY, step=3, counters=np.array([9]))[0]
    assert np.array_equal(row, expected)


def test_a_tensor_that_is_no_matrix_gets_plain_signs():
    spec = ParameterSpec((TensorSpec("kernel", (2, 3, 4)),))
    row = directions("rank1-sign", spec, key=KEY, step=0, counters=np.array([1]))[0]
    assert np.array_equal(row, 2.0 * bits(24, KEY, 0, 1, 1) - 1.0)


def test_gaussian_rank1_matrices_have_rank_one():
    row = directions("gaussian-rank1", SPEC, key=KEY, step=0, counters=np.arange(3))[2]
    for name in ("w", "v"):
        singular = np.linalg.svd(SPEC.views(row)[name], compute_uv=False)
        assert singular[1] < 1e-12 * singular[0]


@given(law_names, st.integers(0, 2**32 - 1), st.lists(counter, min_size=1, max_size=6), st.data())
def test_any_order_and_any_shard_gives_the_same_rows(law, step, counters, data):
    whole = directions(law, SPEC, key=KEY, step=step, counters=np.array(counters))
    order = data.draw(st.permutations(range(len(counters))))
    shuffled = directions(law, SPEC, key=KEY, step=step, counters=np.array(counters)[list(order)])
    assert np.array_equal(shuffled, whole[list(order)])
    cut = data.draw(st.integers(0, len(counters)))
    parts = [
        directions(law, SPEC, key=KEY, step=step, counters=np.array(part, dtype=np.int64))
        for part in (counters[:cut], counters[cut:])
    ]
    assert np.array_equal(np.concatenate(parts), whole)


@given(
    law_names,
    st.lists(st.tuples(st.integers(0, 200), st.sampled_from([(0,), (0, 1), (5, 5, 2)])), min_size=1, max_size=8),
)
def test_generated_ahead_equals_the_function_wherever_one_jumps(law, calls):
    ahead = Directions(law, SPEC, KEY)
    for start, counters in calls:
        for step in (start, start + 1, start + 2, start + 1):
            expected = directions(law, SPEC, key=KEY, step=step, counters=np.array(counters))
            assert np.array_equal(ahead.at(step, np.array(counters)), expected)


def test_generated_ahead_through_the_end_of_several_runs():
    ahead = Directions("rademacher", SPEC, KEY)
    counters = np.arange(2)
    for step in range(3 * Directions.AHEAD_STEPS):
        expected = directions("rademacher", SPEC, key=KEY, step=step, counters=counters)
        assert np.array_equal(ahead.at(step, counters), expected)
    last = 2**32 - 1
    ahead.at(last - 1, counters)
    assert np.array_equal(
        ahead.at(last, counters), directions("rademacher", SPEC, key=KEY, step=last, counters=counters)
    )


def test_generated_ahead_cannot_be_spoilt_by_the_caller():
    rows = Directions("rademacher", SPEC, KEY).at(0, np.arange(1))
    with pytest.raises(ValueError, match="read-only"):
        rows *= 2.0


def test_a_callers_later_change_of_its_counters_is_noticed():
    ahead, counters = Directions("rademacher", SPEC, KEY), np.array([4])
    ahead.at(0, counters)
    counters[0] = 5
    assert np.array_equal(ahead.at(0, counters), directions("rademacher", SPEC, key=KEY, step=0, counters=counters))


@pytest.mark.parametrize("n", [1, 2, 5, 64, 100])
def test_walsh_rows_are_a_complete_orthogonal_set(n):
    size = 1 << (n - 1).bit_length()
    rows = directions("walsh", flat_spec(n), key=KEY, step=7, counters=np.arange(size))
    assert np.array_equal(rows.T @ rows, size * np.eye(n))
    gradient = np.random.default_rng(0).standard_normal(n)
    assert np.allclose(rows.T @ (rows @ gradient) / size, gradient, rtol=0, atol=1e-12)
    other = directions("walsh", flat_spec(n), key=KEY, step=8, counters=np.arange(size))
    assert n < 5 or not np.array_equal(rows, other)


@given(counter, counter, st.integers(1, 100))
def test_walsh_is_the_kronecker_power_with_rows_and_signs_drawn(step, k, n):
    """Row (k XOR mask) of a power of [[1, 1], [1, -1]]: signs from counter 0's bits, mask from counter 1's word 0."""
    hadamard = np.ones((1, 1))
    while len(hadamard) < n:
        hadamard = np.kron(hadamard, [[1, 1], [1, -1]])
    mask = int(philox4x32(np.array([0, step, 1, 4], dtype=np.uint32), KEY)[0])
    expected = hadamard[(k ^ mask) % len(hadamard), :n] * (2.0 * bits(n, KEY, step, 0, 4) - 1.0)
    assert np.array_equal(directions("walsh", flat_spec(n), key=KEY, step=step, counters=np.array([k]))[0], expected)


def test_walsh_finds_sqrt_k_over_p_of_any_gradient():
    """E cos^2 = K/P exactly over the step's signs; 300 steps, within 4 standard errors (false alarms 6e-5)."""
    n, k = 64, 16
    gradient = np.arange(1.0, n + 1)
    squares = []
    for step in range(300):
        rows = directions("walsh", flat_spec(n), key=KEY, step=step, counters=np.arange(k))
        estimate = rows.T @ (rows @ gradient)
        squares.append((estimate @ gradient) ** 2 / (estimate @ estimate) / (gradient @ gradient))
    assert abs(np.mean(squares) - k / n) < 4 * np.std(squares) / np.sqrt(len(squares))


def test_coordinate_goes_round():
    rows = directions("coordinate", flat_spec(4), key=0, step=0, counters=np.array([0, 3, 4, 2**32 - 1]))
    assert np.array_equal(rows, np.eye(4)[[0, 3, 0, 3]])


def test_sparse_values():
    rows = directions("sparse", SPEC, key=KEY, step=0, counters=np.arange(100))
    assert set(np.unique(rows)) == {-1.0, 0.0, 1.0}


@pytest.mark.parametrize("law", LAWS)
def test_moments(law):
    """E z = 0 (coordinate: not), E z_i^2 = second_moment, and different elements uncorrelated.

    4,400 rows (20 cycles of coordinates), each within 4.5 standard errors: false-alarm rate 7e-6 a check.
    """
    rows = directions(law, SPEC, key=KEY, step=0, counters=np.arange(20 * SPEC.size))
    count = len(rows)
    power = second_moment(law, SPEC)
    weight = np.random.default_rng(1).standard_normal((2, SPEC.size))
    product = (rows @ weight[0]) * (rows @ weight[1])  # E = power * weight[0] . weight[1] if E z z^T = power * I
    error = np.std(product) / np.sqrt(count)
    assert abs(product.mean() - power * weight[0] @ weight[1]) < 4.5 * error
    squares = np.square(rows).mean(axis=1)
    assert abs(squares.mean() - power) <= 4.5 * squares.std() / np.sqrt(count) + 1e-12
    if law != "coordinate":
        means = rows @ weight[0]
        assert abs(means.mean()) < 4.5 * means.std() / np.sqrt(count)


def test_second_moments_as_stated():
    assert second_moment("coordinate", flat_spec(8)) == 1 / 8
    assert second_moment("sparse", SPEC) == DENSITY
    assert all(second_moment(law, SPEC) == 1.0 for law in LAWS if law not in ("coordinate", "sparse"))


def test_streams_steps_counters_and_keys_give_different_bits():
    at = {"key": KEY, "step": 1, "counters": np.array([1])}
    base = directions("rademacher", flat_spec(128), **at)
    for change in ({"key": KEY + 1}, {"key": KEY + 2**32}, {"step": 2}, {"counters": np.array([2])}):
        other = directions("rademacher", flat_spec(128), **{**at, **change})
        assert 30 < np.count_nonzero(other != base) < 98  # binomial(128, 1/2): 6 standard deviations
    assert len(set(STREAMS.values())) == len(STREAMS)


@pytest.mark.parametrize(
    ("law", "key", "step", "counters", "said"),
    [
        ("uniform", 0, 0, [0], "rademacher, rank1-sign"),
        ("rademacher", -1, 0, [0], "64 bits"),
        ("rademacher", 0, -1, [0], "step must be"),
        ("rademacher", 0, 2**32, [0], "step must be"),
        ("rademacher", 0, 0, [2**32], "counters must be"),
        ("rademacher", 0, 0, [0.5], "whole numbers"),
        ("rademacher", 0, 0, [[0]], "whole numbers"),
    ],
)
def test_what_is_out_of_range_is_named(law, key, step, counters, said):
    with pytest.raises(ConfigError, match=said):
        directions(law, SPEC, key=key, step=step, counters=np.array(counters))


def test_no_probes_no_rows():
    for law in LAWS:
        assert directions(law, SPEC, key=0, step=0, counters=np.empty(0, dtype=np.int64)).shape == (0, SPEC.size)
