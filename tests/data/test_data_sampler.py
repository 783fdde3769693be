"""Sampler: epochs without replacement, end to end, whatever order steps are asked in."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwzo.data import Sampler, sampler
from hwzo.errors import ConfigError
from hwzo.probes import Batch


def numbered(n: int) -> Batch:
    """A split whose samples carry their own number, in inputs and targets alike."""
    return Batch(np.arange(n, dtype=np.float64)[:, None] / 64, np.arange(n, dtype=np.int64))


@st.composite
def splits_and_sizes(draw):
    n = draw(st.integers(2, 60))
    return n, draw(st.integers(1, n - 1)), draw(st.integers(0, 2**64 - 1))


@given(splits_and_sizes(), st.integers(16, 4096))
@settings(deadline=None)
def test_minibatches_laid_end_to_end_are_the_epochs_permutations(case, run_bytes):
    n, size, seed = case
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sampler, "RUN_BYTES", run_bytes)  # where runs are cut must not matter
        drawn = Sampler(numbered(n), size, seed)
    steps = -(-4 * n // size)
    batches = [drawn.at(step) for step in range(steps)]
    assert {len(batch) for batch in batches} == {size}
    line = np.concatenate([batch.targets for batch in batches])[: 4 * n].reshape(4, n)
    assert np.array_equal(np.sort(line, axis=1), np.tile(np.arange(n), (4, 1)))
    assert np.array_equal(line, [drawn.order(epoch) for epoch in range(4)])
    for batch in batches:
        assert np.array_equal(batch.inputs[:, 0] * 64, batch.targets)


@given(splits_and_sizes(), st.lists(st.integers(0, 10_000), min_size=1, max_size=20))
@settings(deadline=None)
def test_a_step_is_the_same_whatever_was_asked_before(case, steps):
    n, size, seed = case
    shared = Sampler(numbered(n), size, seed)
    for step in steps:
        assert np.array_equal(shared.at(step).targets, Sampler(numbered(n), size, seed).at(step).targets)


def test_the_order_does_not_depend_on_the_minibatch_size():
    five, seven = Sampler(numbered(35), 5, 3), Sampler(numbered(35), 7, 3)
    line = [np.concatenate([s.at(k).targets for k in range(70 // s.size)]) for s in (five, seven)]
    assert np.array_equal(*line)


def test_seeds_and_epochs_give_different_orders():
    # Two independent permutations of 100 agree with probability 1/100!, so a false alarm can't be seen.
    orders = [tuple(Sampler(numbered(100), 10, seed).order(epoch)) for seed in (0, 1, 2**32, 5) for epoch in range(5)]
    assert len(set(orders)) == len(orders)


def test_positions_are_uniform():
    """Chi-square on where sample 0 stands: 19 degrees of freedom, false-alarm rate 1e-4 (critical value 50.8)."""
    drawn = Sampler(numbered(20), 5, 11)
    places = [int(np.flatnonzero(drawn.order(epoch) == 0)[0]) for epoch in range(4000)]
    counts = np.bincount(places, minlength=20)
    assert ((counts - 200.0) ** 2 / 200.0).sum() < 50.8


def test_the_whole_split_is_left_in_order():
    whole = numbered(8)
    assert Sampler(whole, 8, 1).at(123) is whole


@pytest.mark.parametrize(("size", "seed", "key"), [(0, 0, "batch"), (9, 0, "batch"), (-1, 0, "batch"), (4, -1, "seed")])
def test_bad_arguments_name_their_key(size, seed, key):
    with pytest.raises(ConfigError) as caught:
        Sampler(numbered(8), size, seed)
    assert caught.value.key == key
    if key == "batch":
        assert "8" in str(caught.value)


def test_a_minibatch_costs_microseconds():
    split = Batch(np.zeros((1149, 64)), np.zeros(1149, dtype=np.int64))
    drawn = Sampler(split, 128, 0)
    drawn.at(0)
    best = min(_seconds(drawn, 1000) for _ in range(5)) / 1000
    assert best < 100e-6  # about 10 us on an old core; the bar leaves room for a busy machine


def _seconds(drawn: Sampler, steps: int) -> float:
    start = time.perf_counter()
    for step in range(steps):
        drawn.at(step)
    return time.perf_counter() - start
