"""A device and its twin trained side by side."""

import json

import numpy as np
import pytest

from hwzo.cli.main import main
from hwzo.errors import ConfigError
from hwzo.train.calibration import calibrate
from hwzo.train.twin_training import compared, train_with_twin

URL = "crossbar:pcm?layers=64-10&engine=numpy&seed=230"


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    return calibrate(URL, tmp_path_factory.mktemp("twin") / "pcm.h5", task="digits", seed=56)


def test_a_device_and_its_twin_learn_alike(measured, capsys):
    """Said to differ once in 100 times if they do not."""
    words = ["twin", str(measured.path), "--device", URL, "--train", "200 evaluations", "--seeds", "4"]
    with pytest.raises(SystemExit) as ended:
        main([*words, "--seed", "110", "--json"])
    assert ended.value.code == 0
    told = json.loads(capsys.readouterr().out)["training"]
    assert len(told) == 9
    assert not any(line["differs"] for line in told)
    assert told[-1]["name"] == "test accuracy"
    assert told[7]["device_mean"] < told[0]["device_mean"]  # it learns


def test_learning_that_differs_is_found_and_seldom_any_else():
    """Of 2,000 devices that learn like their twins more than 38 alarm once in 10,000 runs, at 1% each."""
    rng = np.random.default_rng(111)
    names = [str(at) for at in range(9)]
    alarms = 0
    for _ in range(2000):
        alarms += any(s.differs for s in compared(names, rng.normal(size=(8, 9)), rng.normal(size=(8, 9))))
    assert alarms <= 38
    found = compared(names, rng.normal(size=(8, 9)) + 9.0 * np.eye(9)[2], rng.normal(size=(8, 9)))
    assert [stretch.name for stretch in found if stretch.differs] == ["2"]


def test_bad_input(measured, tmp_path):
    with pytest.raises(ConfigError, match="3 to 1000"):
        train_with_twin(measured, URL, budget="100 evaluations", seeds=2)
    with pytest.raises(ConfigError, match="in evaluations"):
        train_with_twin(measured, URL, budget="2 min")
    with pytest.raises(ConfigError, match="too small"):
        train_with_twin(measured, URL, budget="4 evaluations")
    bare = calibrate(URL, tmp_path / "p.h5", only=frozenset({"loss"}))
    with pytest.raises(ConfigError, match="--task"):
        train_with_twin(bare, URL, budget="100 evaluations")
