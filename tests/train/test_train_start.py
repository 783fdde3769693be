"""A run that begins with learned weights instead of a fresh draw."""

import numpy as np
import pytest

import hwzo
from hwzo.errors import ConfigError, FileError

SMALL = {"method": "spsa", "budget": "100 evaluations"}


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "first"
    hwzo.train("xor", "crossbar:ideal", run=path, **SMALL)
    return path


@pytest.mark.parametrize("of", ["run", "file"])
def test_it_begins_with_them(learned, tmp_path, of):
    start = learned if of == "run" else learned / "weights.safetensors"
    hwzo.train("xor", "crossbar:ideal", run=tmp_path / "second", start=str(start), seed=5, **SMALL)
    first, second = hwzo.load_run(learned), hwzo.load_run(tmp_path / "second")
    assert np.array_equal(second.checkpoint(0).theta, first.weights().theta)


def test_it_resumes_without_the_first_run(learned, tmp_path):
    start = tmp_path / "start.safetensors"
    hwzo.load_run(learned).weights().save(start)
    hwzo.train("xor", "crossbar:ideal", run=tmp_path / "second", start=str(start), **SMALL)
    start.unlink()
    more = hwzo.train(run=tmp_path / "second", resume=True, budget="140 evaluations")
    assert more.evaluations == 140


def test_weights_of_another_network_are_refused_and_both_are_shown(learned, tmp_path):
    with pytest.raises(ConfigError, match="2-2-1, 9 weights; the device is 4-8-1, 49 weights"):
        hwzo.train("parity-4", "crossbar:ideal", run=tmp_path / "second", start=str(learned), **SMALL)


def test_none_there(tmp_path):
    with pytest.raises(FileError, match="does not exist"):
        hwzo.train("xor", "crossbar:ideal", run=tmp_path / "second", start=str(tmp_path / "no"), **SMALL)
