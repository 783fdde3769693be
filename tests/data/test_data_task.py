"""Task: what it holds, and that unusable data are refused by name."""

from dataclasses import replace

import numpy as np
import pytest

from hwzo.data import Split, Task
from hwzo.errors import ConfigError
from hwzo.network import Network

N = 50
RNG = np.random.default_rng(7)
INPUTS = RNG.uniform(-1, 1, (N, 3))
CLASSES = np.arange(N) % 2


def test_from_arrays_keeps_every_sample_once_and_its_target_with_it():
    task = Task.from_arrays("mine", INPUTS, CLASSES, layers=(3, 4, 2))
    assert [len(task.train), len(task.validation), len(task.test)] == [32, 8, 10]
    order = np.random.default_rng(0).permutation(N)
    assert np.array_equal(np.concatenate([task.train.inputs, task.validation.inputs, task.test.inputs]), INPUTS[order])
    found = np.concatenate([task.train.targets, task.validation.targets, task.test.targets])
    assert np.array_equal(found, CLASSES[order])
    assert task.train.inputs.dtype == np.float64
    assert found.dtype == np.int64


def test_batches_are_the_splits():
    task = Task.from_arrays("mine", INPUTS, CLASSES, layers=(3, 4, 2))
    for name in ("train", "validation", "test"):
        batch = task.batch(name)
        assert batch.inputs is getattr(task, name).inputs
        assert batch.loss == "cross-entropy"
    with pytest.raises(ConfigError, match="train, validation, test") as caught:
        task.batch("dev")  # pyright: ignore[reportArgumentType]
    assert caught.value.key == "split"


def test_plain_lists_and_other_types_are_taken():
    task = Task.from_arrays("mine", INPUTS.astype(np.float32).tolist(), CLASSES.astype(float), layers=[3, 2])
    assert task.train.targets.dtype == np.int64
    assert np.allclose(task.train.inputs, INPUTS[np.random.default_rng(0).permutation(N)][:32], atol=1e-7)


def test_one_column_of_regression_targets_may_be_flat():
    task = Task.from_arrays("mine", INPUTS, INPUTS[:, 0], layers=(3, 1), loss="squared-error")
    assert np.array_equal(task.test.targets, task.test.inputs[:, :1])


def test_another_network_is_checked_again():
    task = Task.from_arrays("mine", INPUTS, CLASSES, layers=(3, 4, 2))
    assert replace(task, network=Network((3, 9, 2), "relu")).network.label == "3-9-2"
    with pytest.raises(ConfigError, match="let the first layer be 3") as caught:
        replace(task, network=Network((4, 2)))
    assert caught.value.key == "layers"


def with_value(array, value):
    changed = np.array(array, dtype=np.float64)
    changed.flat[0] = value
    return changed


@pytest.mark.parametrize(
    ("changes", "key", "says"),
    [
        ({"inputs": with_value(INPUTS, np.nan)}, "inputs", "NaN"),
        ({"inputs": with_value(INPUTS, np.inf)}, "inputs", "infinity"),
        ({"inputs": INPUTS * 255}, "inputs", r"outside \[-1, 1\].*dividing by"),
        ({"inputs": INPUTS[:, 0]}, "inputs", "reshape"),
        ({"inputs": INPUTS.reshape(N, 3, 1)}, "inputs", "reshape"),
        ({"inputs": np.full((N, 3), "a")}, "inputs", "not numbers"),
        ({"inputs": INPUTS + 1j}, "inputs", "complex"),
        ({"inputs": [[0.0, 1.0, 0.0], [1.0]] * 25}, "inputs", "don't make an array|not numbers"),
        ({"inputs": INPUTS[:, :2]}, "layers", "let the first layer be 2"),
        ({"targets": CLASSES + 1}, "layers", "classes 0 to 1"),
        ({"targets": CLASSES - 1}, "targets", "from 0"),
        ({"targets": CLASSES + 0.5}, "targets", "whole class numbers"),
        ({"targets": np.eye(2)[CLASSES]}, "targets", r"class numbers \(n,\)"),
        ({"targets": CLASSES[:-1]}, "targets", "one row for each sample"),
        ({"targets": 3}, "targets", "one row for each sample"),
        ({"targets": with_value(CLASSES, np.nan)}, "targets", "NaN"),
        ({"targets": INPUTS, "loss": "squared-error"}, "layers", "let the last layer be 3"),
        ({"targets": CLASSES, "loss": "squared-error"}, "targets", r"not \(n, 2\)"),
        ({"loss": "hinge"}, "loss", "cross-entropy, squared-error"),
        ({"window": 0.0}, "window", "positive"),
        ({"window": np.inf}, "window", "finite"),
        ({"window": np.nan}, "window", "finite"),
        ({"class_names": ("a", "b", "c")}, "class_names", "3 class_names for 2 outputs"),
        ({"layers": (3,)}, "layers", "two layers"),
        ({"activation": "swish"}, "activation", "tanh"),
    ],
)
def test_unusable_data_are_refused_and_the_key_named(changes, key, says):
    good = {"inputs": INPUTS, "targets": CLASSES, "layers": (3, 4, 2)}
    with pytest.raises(ConfigError, match=says) as caught:
        Task.from_arrays("mine", **{**good, **changes})
    assert caught.value.key == key


def test_an_empty_or_uneven_split_is_refused():
    good = Split(INPUTS, CLASSES)
    empty, uneven = Split(INPUTS[:0], CLASSES[:0]), Split(INPUTS, CLASSES[:-1])
    with pytest.raises(ConfigError, match="validation split"):
        Task("mine", Network((3, 2)), good, empty, good)
    with pytest.raises(ConfigError, match="50 inputs but 49 targets"):
        Task("mine", Network((3, 2)), good, good, uneven)
