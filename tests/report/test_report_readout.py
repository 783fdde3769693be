"""The emulated read-out against what is known of the device, and against the run itself."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import hwzo
from hwzo.data.catalogue import load_task
from hwzo.errors import CapabilityError
from hwzo.network import Network, accuracy
from hwzo.report.material import gather
from hwzo.report.readout import PASSES, read_out
from hwzo.train import bench
from hwzo.train.run import load_run


def test_read_minus_target_has_the_declared_noise(made: Callable[..., Path]):
    """Five standard errors, 1 / sqrt(2 n) of log sd and sigma / sqrt(n) of the mean: one false alarm in 10^6."""
    run = load_run(made("nist7x7", "crossbar:ideal?sigma=0.03", "100 evaluations"))
    seen = read_out(run, run.checkpoint())
    assert seen.weights is not None
    n = seen.weights.size
    assert abs(math.log(float(seen.weights.std()) / 0.03)) < 5 / math.sqrt(2 * n)
    assert abs(float(seen.weights.mean())) < 5 * 0.03 / math.sqrt(n)


def test_a_device_without_noise_shows_none_and_is_the_network_itself(made: Callable[..., Path]):
    run = load_run(made("nist7x7", "crossbar:ideal", "300 evaluations", method="block", validate_every=1))
    at = run.checkpoint()
    seen = read_out(run, at)
    assert seen.nodes is not None
    assert seen.weights is not None
    assert seen.accuracies is not None
    assert seen.confusion is not None
    assert not any(np.any(layer) for layer in seen.nodes)
    assert not np.any(seen.weights)
    assert seen.losses.shape == (PASSES,)
    assert np.ptp(seen.losses) == 0
    # The last look was taken after the last step, on the same weights.
    assert seen.losses[0] == run.validations[-1].loss
    assert seen.accuracies[0] == run.validations[-1].accuracy

    batch, weights = load_task("nist7x7").batch("validation"), run.weights()
    outputs = Network.parse(weights.layers, weights.activation).forward(at.theta, batch.inputs)[-1]
    assert seen.accuracies[0] == accuracy(outputs, batch.targets, batch.loss)
    assert np.array_equal(seen.confusion.sum(axis=1), np.bincount(batch.targets, minlength=len(seen.confusion)))
    assert np.trace(seen.confusion) == round(seen.accuracies[0] * len(batch))


def test_reading_out_is_repeatable_and_leaves_the_run_alone(nist: Path):
    before = {path: path.read_bytes() for path in sorted(nist.rglob("*")) if path.is_file()}
    first, second = (gather(nist).readout for _ in range(2))
    assert first is not None
    assert second is not None
    assert np.array_equal(first.losses, second.losses)
    assert first.weights is not None
    assert second.weights is not None
    assert np.array_equal(first.weights, second.weights)
    assert {path: path.read_bytes() for path in sorted(nist.rglob("*")) if path.is_file()} == before


def test_the_readout_goes_on_from_the_runs_own_state(nist: Path):
    """The cells of the last checkpoint are read, not freshly programmed ones, whose programming noise is another draw.

    Independent draws correlate by 1 / sqrt(n); five of that is a false alarm in 10^6.
    """
    run = load_run(nist)
    at = run.checkpoint()
    seen = read_out(run, at)
    device = hwzo.connect(run.weights().device)
    device.program(at.theta)
    fresh = device.read()[0] - at.theta
    device.close()
    assert seen.weights is not None
    assert abs(np.corrcoef(seen.weights, fresh)[0, 1]) < 5 / math.sqrt(fresh.size)
    assert 0.5 < seen.weights.std() / fresh.std() < 2


def test_a_device_that_gives_a_loss_only_is_asked_for_no_more(loss_only: Path):
    seen = gather(loss_only).readout
    assert seen is not None
    assert seen.nodes is None
    assert seen.weights is None
    assert seen.accuracies is None
    assert seen.confusion is None
    assert seen.losses.std() > 0


@pytest.mark.parametrize("line", ["emulated = false\n", "", 'emulated = "true"\n'])
def test_hardware_is_never_opened(nist: Path, copied: Callable[[Path], Path], monkeypatch, line: str):
    run = copied(nist)
    toml = run / "run.toml"
    toml.write_text(toml.read_text().replace("emulated = true\n", line))
    monkeypatch.setattr(bench, "connect", lambda *args, **options: pytest.fail("a device was opened"))
    loaded = load_run(run)
    with pytest.raises(CapabilityError, match="hardware"):
        read_out(loaded, loaded.checkpoint())
