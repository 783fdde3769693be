"""Which samples are for training, validation and test: fixed once for all runs, so that figures can be compared.

The order is one permutation, ``numpy.random.default_rng(0).permutation(n)``. Its last 20% are test, the 16% before them
validation, both rounded up; the rest is for training. Hyper-parameters only ever see validation.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hwzo.errors import ConfigError

SEED = 0
TEST_PERCENT = 20
VALIDATION_PERCENT = 16


class Indices(NamedTuple):
    """Numbers of the samples in each split, each an int64 array."""

    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    test: NDArray[np.int64]


def permutation(n: int) -> NDArray[np.int64]:
    """The fixed order of n samples, (n,) int64."""
    return np.random.default_rng(SEED).permutation(n).astype(np.int64, copy=False)


def three_way(n: int) -> Indices:
    """Split n samples: 64% to train, 16% to validate, 20% to test.

    Raises:
        ConfigError: fewer than three samples, so that a split would be empty.
    """
    if n < 3:
        raise ConfigError(f"{n} samples can't be split into train, validation and test; at least 3 are needed")
    n_test = _percent(n, TEST_PERCENT)
    n_validation = _percent(n, VALIDATION_PERCENT)
    order = permutation(n)
    n_train = n - n_validation - n_test
    return Indices(order[:n_train], order[n_train : n - n_test], order[n - n_test :])


def two_way(n: int, n_validation: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(train, validation) of n samples whose test set is a separate one: the last n_validation are for validation."""
    order = permutation(n)
    return order[: n - n_validation], order[n - n_validation :]


def _percent(n: int, percent: int) -> int:
    return -(-n * percent // 100)  # rounded up, in whole numbers: 0.16 * n may miss an exact result by one bit
