"""Convolution and recurrence through a whole run: train, files, evaluation, page."""

import re

import numpy as np
import pytest

import hwzo
from hwzo.data import Task
from hwzo.errors import ConfigError
from hwzo.network import accuracy
from hwzo.report.page import write_run_page

NETWORKS = {"convolution": "6x6x1-4c5p1-p2-2", "recurrence": "6x6-19r-2"}  # 25 rows each: 5x5 of what?


def bars():
    """Images of 6x6 with a noisy bar, upright or lying: generated."""
    rng = np.random.default_rng(0)
    images, classes = 0.2 * rng.standard_normal((400, 6, 6)), np.arange(400) % 2
    for image, upright in zip(images, classes, strict=True):
        (image.T if upright else image)[rng.integers(6)] += 0.7
    return Task.from_arrays("bars", np.clip(images, -1, 1).reshape(400, 36), classes, layers=(36, 8, 2))


@pytest.fixture(scope="module", params=NETWORKS)
def trained(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / request.param
    layers, budget = (
        NETWORKS[request.param],
        "3000 evaluations" if request.param == "recurrence" else "1000 evaluations",
    )
    return layers, hwzo.train(bars(), "crossbar:pcm", run=path, layers=layers, budget=budget), path


def test_it_learns_and_its_files_name_the_network(trained):
    """Of 80 test images a guess gets more than 58 right with a chance of 2e-5."""
    layers, result, path = trained
    assert result.test_accuracy * 80 > 58
    run = hwzo.load_run(path)
    assert run.description["device"]["layers"] == layers
    assert run.weights().layers == layers
    assert f"layers={layers}" in run.weights().device


def test_evaluate_agrees_with_the_network_in_float64(trained):
    layers, _, path = trained
    seen = hwzo.evaluate(path, "crossbar:ideal?dac_bits=0&adc_bits=0", task=bars(), repeats=1)
    test = bars().test
    outputs = hwzo.Network.parse(layers).forward(hwzo.load_run(path).weights().theta, test.inputs)[-1]
    assert seen.accuracy == accuracy(outputs, test.targets, "cross-entropy")


def test_weights_that_only_look_alike_are_refused(trained):
    layers, _, path = trained
    other = {"6x6x1-4c5p1-p2-2": "6x6x1-4c5p1-a2-2", "6x6-19r-2": "25-19-2"}[layers]
    with pytest.raises(ConfigError, match="are for the network") as caught:
        hwzo.evaluate(path, f"crossbar:ideal?layers={other}", task=bars(), repeats=1)
    assert caught.value.key == "layers"


def test_a_page_shows_kernels_but_no_image_of_states(trained, tmp_path):
    layers, _, path = trained
    write_run_page(path, tmp_path / "page.html")
    words = re.sub("<[^>]*>", " ", (tmp_path / "page.html").read_text(encoding="utf-8"))
    assert layers in words
    assert ("Incoming weights of all 4 units before training" in words) == ("c5" in layers)


def test_inputs_that_do_not_fit_are_refused():
    with pytest.raises(ConfigError, match="36 inputs") as caught:
        hwzo.train(bars(), "crossbar:pcm", layers="5x6x1-4c3-2", budget="10 evaluations")
    assert caught.value.key == "layers"


def test_a_task_may_suggest_any_network():
    task = bars()
    other = Task.from_arrays("bars", task.test.inputs, task.test.targets, layers="6x6x1-4c3-2", activation="relu")
    assert other.network == hwzo.Network.parse("6x6x1-4c3-2", "relu")
