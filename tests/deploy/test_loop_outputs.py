"""Whether a device computes what its weights say."""

from __future__ import annotations

import numpy as np
import pytest

from hwzo.deploy.probe_set import Agreement, compare_outputs
from hwzo.network import Network
from hwzo.parameters import Array

NETWORK = Network.parse("12-16-5")
RNG = np.random.default_rng(0)
THETA: Array = RNG.normal(0.0, 0.5, NETWORK.parameter_spec().size)
INPUTS: Array = RNG.uniform(-1.0, 1.0, (64, 12))
NONE: Array = np.zeros(THETA.size)
SD = 0.02


def compared(theta: Array, *, passes: int = 5, noise: float = 0.05, failed: Array = NONE, seed: int = 1) -> Agreement:
    """Of a device that holds ``theta`` and has node noise at its outputs, where THETA shall be."""
    rng = np.random.default_rng(seed)
    outputs = NETWORK.forward(theta, INPUTS)[-1]
    seen = outputs + noise * rng.standard_normal((passes, *outputs.shape))
    return compare_outputs(NETWORK, THETA, theta, failed, np.full(THETA.size, SD), INPUTS, seen, 0)


@pytest.mark.parametrize("seed", range(20))
def test_weights_within_what_was_verified_agree(seed: int) -> None:
    """Allowed is three times what such weights differ by on average: that none of 20 draws goes beyond follows from
    the spread of that rms, well below a third of it; seeds are fixed."""
    drawn = THETA + SD * np.random.default_rng([seed, 5]).standard_normal(THETA.size)
    assert compared(drawn, seed=seed).agree


def test_what_is_explained_grows_with_the_noise_of_the_passes() -> None:
    assert compared(THETA, noise=2.0).allowed > 3.0 * 2.0 / np.sqrt(5) * 0.9
    assert compared(THETA, noise=2.0).agree


def test_units_in_another_order_do_not_agree() -> None:
    swapped = np.array(THETA)
    block = NETWORK.blocks(swapped)[0]
    block[:] = np.roll(np.array(block), 1, axis=1)
    assert not compared(swapped).agree


def test_cells_known_to_be_stuck_are_no_surprise() -> None:
    stuck = np.array(THETA)
    stuck[[3, 40, 199]] = 2.0
    failed = np.array(NONE)
    failed[[3, 40, 199]] = 1.0
    assert not compared(stuck).agree
    assert compared(stuck, failed=failed).agree


def test_outputs_at_the_end_of_their_converter_agree_as_far_as_they_are_given() -> None:
    end = 1.0
    outputs = NETWORK.forward(THETA, INPUTS)[-1]
    assert (np.abs(outputs) > end).mean() > 0.3
    seen = np.clip(np.repeat(outputs[None], 5, axis=0), -end, end)
    found = compare_outputs(NETWORK, THETA, THETA, NONE, np.full(THETA.size, SD), INPUTS, seen, 0)
    assert found.difference == pytest.approx(0.0, abs=1e-12)
    upside_down = compare_outputs(NETWORK, THETA, THETA, NONE, np.full(THETA.size, SD), INPUTS, -seen, 0)
    assert not upside_down.agree
