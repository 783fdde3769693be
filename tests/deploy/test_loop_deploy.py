"""Deploying as a whole, from Python: what it gives, what it keeps, what it refuses."""

from __future__ import annotations

import errno
import inspect
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py  # pyright: ignore[reportMissingTypeStubs]
import numpy as np
import pytest

import hwzo
from hwzo.data.catalogue import load_task
from hwzo.deploy import deployment as files
from hwzo.deploy import stand
from hwzo.deploy.bundle import ProbeSet, write_bundle
from hwzo.deploy.closed_loop import State
from hwzo.deploy.deploying import deploy
from hwzo.deploy.deployment import Deployment
from hwzo.deploy.dry_run import plan
from hwzo.deploy.stand import TouchUp
from hwzo.errors import CapabilityError, ConfigError, DeviceError, FileError
from hwzo.network import Network, accuracy
from hwzo.parameters import Array
from hwzo.probes import Batch, Probes, Readings
from hwzo.testing.faulty import FaultyDevice
from hwzo.train.weights import Weights

LAYERS = "49-4-4"
IDEAL = f"crossbar:ideal?layers={LAYERS}&seed=1&engine=numpy"
PCM = f"crossbar:pcm?layers={LAYERS}&seed=1&engine=numpy"


@pytest.fixture(scope="module")
def learned() -> Weights:
    """Weights of the letters' task, learned by backpropagation on the host, within [-1, 1]."""
    task, network = load_task("nist7x7"), Network.parse(LAYERS)
    spec = network.parameter_spec(1.0)
    theta = spec.initial(np.random.default_rng(10))
    batch = task.batch("train")
    for _ in range(300):
        theta = spec.clip(theta - 0.3 * network.gradient(theta, batch.inputs, batch.targets, batch.loss)[1])
    return Weights(theta, spec, "nist7x7", LAYERS, "tanh", 1.0, IDEAL, True)


def test_on_an_ideal_device_the_weights_are_there_and_the_accuracy_is_the_network_s(
    learned: Weights, tmp_path: Path
) -> None:
    done = deploy(learned, IDEAL, output=tmp_path / "d.h5", gains=False)
    result, task, network = done.result, load_task("nist7x7"), Network.parse(LAYERS)
    assert result.verified
    assert result.cells == result.cells_within_tolerance == result.ok == learned.theta.size
    np.testing.assert_allclose(done.written.reached, learned.theta, atol=result.tolerance)
    batch = task.batch("test")
    expected = accuracy(network.forward(learned.theta, batch.inputs)[-1], batch.targets, batch.loss)
    assert result.accuracy == pytest.approx(float(expected), abs=1e-9)
    assert result.accuracy_before == result.accuracy
    assert result.outputs_difference is not None
    assert result.outputs_difference < 1e-3
    # Written once, and three times where it was looked at what a write leaves.
    assert set(done.written.writes.tolist()) == {1, 4}
    assert not (tmp_path / "d.h5.part").exists()


def test_a_device_that_does_not_close_takes_no_finished_deployment_along(
    learned: Weights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def opened(*args: Any, **options: Any) -> Any:
        device: Any = hwzo.connect(*args, **options)

        def close() -> None:
            raise DeviceError("the port is gone")

        device.close = close
        return device

    monkeypatch.setattr(stand, "connect", opened)
    done = deploy(learned, IDEAL, output=tmp_path / "d.h5", gains=False)
    assert Deployment.load(tmp_path / "d.h5").result == done.result
    assert "the port is gone" in caplog.text


def test_stuck_cells_are_compensated_and_the_accuracy_comes_back(learned: Weights, tmp_path: Path) -> None:
    done = deploy(learned, f"{PCM}&stuck=0.08", output=tmp_path / "d.h5")
    result = done.result
    assert result.verified
    assert result.compensated > 0
    assert result.accuracy is not None
    assert result.accuracy_before is not None
    # 8% of cells: what a plain write loses is by far more than noise; seeds are fixed.
    assert result.accuracy > result.accuracy_before + 0.02
    assert result.most_writes_of_a_cell <= 10
    assert {part["name"] for part in done.manifest["bought"]} >= {"gains", "orders"}
    assert [stage["stage"] for stage in done.manifest["validation"]] == ["written once", "verified"]


def test_the_file_gives_back_what_was_saved_and_the_device_as_it_was(learned: Weights, tmp_path: Path) -> None:
    done = deploy(learned, f"{PCM}&stuck=0.05", output=tmp_path / "d.h5")
    loaded = Deployment.load(tmp_path / "d.h5")
    for name in ("asked", "reached", "reached_error", "writes", "state"):
        np.testing.assert_array_equal(getattr(loaded.written, name), getattr(done.written, name))
    np.testing.assert_array_equal(loaded.targets, done.targets)
    np.testing.assert_array_equal(loaded.weights.theta, learned.theta)
    assert loaded.result == done.result
    assert loaded.tolerance == done.tolerance
    assert set(loaded.mapping) == set(done.mapping)
    device = loaded.open()
    try:
        # What is read stands for the network's weights, within what was verified: gains and orders are undone.
        again = device.mapping.cells(device.read(16).mean(axis=0))
        fine = loaded.written.state <= State.COMPENSATED
        assert (np.abs(again - loaded.targets)[fine] < 1.3 * loaded.tolerance.value).all()
        device.program(loaded.weights.theta)  # all is there already
        np.testing.assert_array_equal(device.held, loaded.written.asked)
    finally:
        device.close()
    with h5py.File(tmp_path / "d.h5") as file:
        cells: Any = file["cells"]
        assert cells["reached"].attrs["unit"] == "weight"
        assert "4 writes or rounds used up" in cells["state"].attrs["about"]
        assert cells["writes"].shape == learned.theta.shape


def test_a_damaged_file_is_refused(learned: Weights, tmp_path: Path) -> None:
    path = tmp_path / "d.h5"
    deploy(learned, IDEAL, output=path)
    with h5py.File(path, "r+") as file:
        cells: Any = file["cells"]
        cells["asked"][3] += 0.25
    with pytest.raises(FileError, match="checksum"):
        Deployment.load(path)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(FileError, match="damaged"):
        Deployment.load(path)
    with pytest.raises(FileError, match="hwzo deploy"):
        Deployment.load(tmp_path / "none.h5")
    with h5py.File(path, "w") as file:
        file.attrs["format"] = 1
    with pytest.raises(FileError, match="no deployment"):
        Deployment.load(path)


def test_weights_outside_the_window_are_clipped_only_if_asked(learned: Weights, tmp_path: Path) -> None:
    narrow = f"{IDEAL}&window=0.5"
    out = int((np.abs(learned.theta) > 0.5).sum())
    assert out > 0
    with pytest.raises(ConfigError, match=f"{out} of {learned.theta.size} weights.*--clip"):
        deploy(learned, narrow, output=tmp_path / "a.h5", gains=False)
    done = deploy(learned, narrow, output=tmp_path / "b.h5", gains=False, clip=True)
    assert done.result.clipped == out
    np.testing.assert_allclose(done.weights.theta, np.clip(learned.theta, -0.5, 0.5))
    fits = deploy(learned, narrow, output=tmp_path / "c.h5")  # with gains all have room
    assert fits.result.clipped == 0
    assert fits.result.verified
    assert (np.abs(fits.targets) <= 0.5).all()
    np.testing.assert_array_equal(fits.weights.theta, learned.theta)


def test_the_light_entry_takes_the_same_arguments() -> None:
    assert list(inspect.signature(hwzo.deploy).parameters) == list(inspect.signature(deploy).parameters)


def test_what_can_not_be_done_is_refused(learned: Weights, tmp_path: Path) -> None:
    output = tmp_path / "d.h5"
    with pytest.raises(ConfigError, match=r"of 49-4-4, 220 weights.*is 49-5-4, 274 weights"):
        deploy(learned, IDEAL.replace("49-4-4", "49-5-4"), output=output)
    with pytest.raises(CapabilityError, match="readback=weights"):
        deploy(learned, f"{IDEAL}&readback=nodes", output=output)
    with pytest.raises(ConfigError, match="reachable is"):
        deploy(learned, PCM, output=output, tolerance=1e-3)
    with pytest.raises(ConfigError, match="is a folder"):
        deploy(learned, IDEAL, output=tmp_path)
    with pytest.raises(ConfigError, match="its page"):
        deploy(learned, IDEAL, output=tmp_path / "d.html")
    with pytest.raises(FileError, match="there is no folder"):
        deploy(learned, IDEAL, output=tmp_path / "none" / "d.h5")
    with pytest.raises(ConfigError, match="--task"):
        deploy(replace(learned, task=""), IDEAL, output=output, touch_up="100 evaluations")
    with pytest.raises(ConfigError, match=r"2 inputs.*49-4-4"):
        deploy(replace(learned, task="xor"), IDEAL, output=output)
    with pytest.raises(ConfigError, match="evaluations"):
        deploy(learned, IDEAL, output=output, touch_up="a lot")
    with pytest.raises(ConfigError, match="most_writes"):
        deploy(learned, IDEAL, output=output, most_writes=0)
    spoilt = replace(learned, theta=np.where(np.arange(learned.theta.size) == 7, np.nan, learned.theta))
    with pytest.raises(ConfigError, match="not finite"):
        deploy(spoilt, IDEAL, output=output)
    assert list(tmp_path.iterdir()) == []  # what was refused leaves nothing behind that would be in the way


def test_a_profile_saves_the_looks(learned: Weights, tmp_path: Path) -> None:
    profile = tmp_path / "p.h5"
    hwzo.calibrate(PCM, profile, budget="40 evaluations")
    done = deploy(learned, PCM, output=tmp_path / "d.h5", profile=profile)
    assert done.result.verified
    assert np.median(done.written.writes) == 1
    with pytest.raises(ConfigError, match="serial"):
        deploy(learned, PCM.replace("seed=1", "seed=2"), output=tmp_path / "e.h5", profile=profile)


def test_a_dry_run_leaves_the_device_as_it_was_and_predicts(learned: Weights, tmp_path: Path) -> None:
    device: Any = hwzo.connect(PCM)
    before = device.snapshot()
    planned = plan(learned, device)
    assert device.snapshot() == before
    done = deploy(learned, device, output=tmp_path / "d.h5")
    # Put back, the same device has the same noise again.
    for name in ("tolerance", "cell_writes", "joules", "device_seconds"):
        assert getattr(planned, name) == pytest.approx(getattr(done.result, name), rel=1e-9)
    device.close()


def test_only_weights_that_have_no_room_are_clipped(learned: Weights, tmp_path: Path) -> None:
    large = replace(learned, theta=50.0 * learned.theta, window=50.0)
    done = deploy(large, PCM, output=tmp_path / "d.h5", clip=True)
    assert done.result.clipped == 0  # gains have room for all
    np.testing.assert_array_equal(done.weights.theta, large.theta)


def test_a_full_disk_at_the_end_costs_nothing_but_the_file(
    learned: Weights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "d.h5"

    def full(path: Path, mode: str) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(files, "_open", full)
        with pytest.raises(FileError, match=r"No space left.*same command"):
            deploy(learned, PCM, output=output)

    class ReadOnly(FaultyDevice):
        """Everything was done already."""

        def program(self, theta: Array, *, mask: Any = None) -> Any:
            raise AssertionError("written again")

    assert deploy(learned, ReadOnly(hwzo.connect(PCM), after=1), output=output).result.verified


def test_cells_that_wear_out_are_not_written_beyond_what_they_bear(learned: Weights, tmp_path: Path) -> None:
    told: list[str] = []
    done = deploy(learned, f"{PCM}&stuck=0.1&endurance=7", output=tmp_path / "d.h5", say=told.append)
    assert done.written.writes.max() <= 7
    assert any("bear 7 writes" in text for text in told)


def test_pulses_are_spared_where_cells_bear_few(learned: Weights, tmp_path: Path) -> None:
    told: list[str] = []
    url = f"crossbar:ecram-li?layers={LAYERS}&seed=1&engine=numpy&endurance=3000"
    done = deploy(learned, url, output=tmp_path / "d.h5", say=told.append)
    pulses = done.result.cell_writes / done.written.writes.sum()
    assert pulses > 10
    assert done.written.writes.max() * pulses <= 1.5 * 3000  # an average: some cells take more
    assert done.result.accuracy is not None
    assert done.result.accuracy_before is not None
    assert done.result.accuracy >= done.result.accuracy_before - 0.02


def test_with_few_writes_the_weights_stay_where_they_were_put(learned: Weights, tmp_path: Path) -> None:
    """Looking for stuck cells and moving units would take the last writes of some, and lose what they hold."""
    told: list[str] = []
    url = f"{PCM}&stuck=0.05&endurance=4"
    done = deploy(learned, url, output=tmp_path / "d.h5", say=told.append)
    assert done.written.writes.max() <= 4
    assert done.result.accuracy is not None
    assert done.result.accuracy_before is not None
    assert done.result.accuracy >= done.result.accuracy_before - 0.02
    assert any("units keep their order" in text for text in told)
    assert not any(name.startswith("order") for name in done.mapping)


def test_cells_that_bear_too_few_writes_are_left_alone(learned: Weights, tmp_path: Path) -> None:
    device: Any = hwzo.connect(f"{PCM}&endurance=2")
    before = device.snapshot()
    with pytest.raises(ConfigError, match=r"bear 2 writes \(endurance\).*nothing was written.*--profile"):
        deploy(learned, device, output=tmp_path / "d.h5")
    with pytest.raises(ConfigError, match=r"bear 2 writes"):
        plan(learned, device)
    assert device.snapshot() == before
    device.close()
    with pytest.raises(ConfigError, match=r"bear 500 writes.*at most 489 evaluations"):
        deploy(learned, f"{PCM}&endurance=500", output=tmp_path / "d.h5", touch_up="2000 evaluations")
    with pytest.raises(ConfigError, match=r"most_writes = 2; without a profile"):
        deploy(learned, PCM, output=tmp_path / "d.h5", most_writes=2)
    assert list(tmp_path.iterdir()) == []


class Spiking(FaultyDevice):
    """Computes something else than the network says, which tells classes apart as well."""

    info = property(lambda self: replace(self.device.info, model="stub:spiking"))  # pyright: ignore
    wrong = False

    def measure(self, probes: Probes, batch: Batch) -> Readings:
        readings = self.device.measure(probes, batch)
        if readings.outputs is None:
            return readings
        outputs = readings.outputs[..., ::-1] if self.wrong else readings.outputs
        return replace(readings, outputs=1.0 + 3.0 * outputs, nodes=None)


class Miswired(Spiking):
    """Gives its outputs in another order."""

    wrong = True


@pytest.mark.parametrize(
    ("kind", "learned_on", "verified"),
    [(Spiking, "stub:spiking?seed=3", True), (Miswired, "stub:spiking?seed=3", False), (Spiking, IDEAL, False)],
)
def test_where_the_network_is_only_approximate_accuracy_counts(
    learned: Weights, tmp_path: Path, kind: type[Spiking], learned_on: str, verified: bool
) -> None:
    told: list[str] = []
    device = kind(hwzo.connect(IDEAL), after=10**6)
    weights = replace(learned, device=learned_on)
    done = deploy(weights, device, output=tmp_path / "d.h5", gains=False, say=told.append)
    assert done.result.cells_within_tolerance == done.result.cells
    assert done.result.verified is verified
    assert done.result.outputs_judged_by == ("accuracy" if verified else "outputs")
    assert any("differ from the network's" in text and "the limit is" in text for text in told)


def test_lost_accuracy_is_said(learned: Weights, tmp_path: Path) -> None:
    told: list[str] = []
    deploy(learned, f"{PCM}&stuck=0.4", output=tmp_path / "d.h5", orders=False, say=told.append)
    assert any("warning: validation accuracy is" in text for text in told)
    told.clear()
    deploy(learned, IDEAL, output=tmp_path / "e.h5", say=told.append)
    assert not any("warning" in text for text in told)


def test_a_file_of_something_else_is_not_replaced(learned: Weights, tmp_path: Path) -> None:
    output = tmp_path / "d.h5"
    deploy(learned, IDEAL, output=output)
    told: list[str] = []
    deploy(learned, IDEAL, output=output, say=told.append)
    assert any("will be replaced" in text for text in told)
    before = output.read_bytes()
    with pytest.raises(ConfigError, match=r"on another device.*--force"):
        deploy(learned, IDEAL.replace("seed=1", "seed=2"), output=output)
    other = replace(learned, theta=0.5 * learned.theta)
    with pytest.raises(ConfigError, match=r"of other weights.*--force"):
        deploy(other, IDEAL, output=output)
    assert output.read_bytes() == before
    deploy(other, IDEAL, output=output, force=True)
    np.testing.assert_array_equal(Deployment.load(output).weights.theta, other.theta)
    output.write_text("my thesis")
    with pytest.raises(ConfigError, match="is no deployment"):
        deploy(learned, IDEAL, output=output)
    assert output.read_text() == "my thesis"


def test_a_bundle_brings_its_own_probe_set_and_does_without_its_task(learned: Weights, tmp_path: Path) -> None:
    inputs = np.random.default_rng(5).uniform(-1.0, 1.0, (7, 49))
    bundle, told = tmp_path / "b.zip", list[str]()
    weights = replace(learned, task=str(tmp_path / "gone.py:mine"))
    write_bundle(bundle, weights, ProbeSet.of(weights, inputs))
    done = deploy(bundle, IDEAL, output=tmp_path / "d.h5", say=told.append)
    np.testing.assert_array_equal(done.probes["inputs"], inputs)
    assert done.result.verified
    assert done.result.outputs_agree
    assert done.result.accuracy is None
    assert any("task can't be loaded" in text and "--task" in text for text in told)
    named = deploy(bundle, IDEAL, output=tmp_path / "e.h5", task="nist7x7")
    assert named.result.accuracy is not None
    with pytest.raises(ConfigError, match=r"gone\.py"):
        deploy(weights, IDEAL, output=tmp_path / "f.h5")


def test_a_touch_up_learns_on_the_device_and_goes_on_when_it_is_cut_off(learned: Weights, tmp_path: Path) -> None:
    url, how = f"{PCM}&stuck=0.05", TouchUp("60 evaluations", seed=3)
    whole = deploy(learned, url, output=tmp_path / "whole.h5", touch_up=how)
    assert whole.result.touch_up == str(tmp_path / "whole-touch-up")
    assert 0 < whole.result.touch_up_writes < whole.result.cell_writes
    assert not any("no run" in text for text in whole.manifest["told"])
    assert hwzo.load_run(tmp_path / "whole-touch-up").result is not None
    assert [stage["stage"] for stage in whole.manifest["validation"]] == ["written once", "verified", "touched up"]
    assert whole.result.verified
    assert 0 < np.abs(whole.weights.theta - learned.theta).max() < 0.5
    (tmp_path / "cut").mkdir()
    for after in (20, 33):
        output = tmp_path / "cut" / f"{after}.h5"
        with pytest.raises(DeviceError, match="lost"):
            deploy(learned, FaultyDevice(hwzo.connect(url), after=after), output=output, touch_up=how)
        done = deploy(learned, url, output=output, touch_up=how)
        assert np.array_equal(done.weights.theta, whole.weights.theta)
        assert np.array_equal(done.written.reached, whole.written.reached)
        assert done.snapshot == whole.snapshot


def test_another_touch_up_goes_on_with_what_was_verified(learned: Weights, tmp_path: Path) -> None:
    output = tmp_path / "d.h5"
    with pytest.raises(ConfigError, match=r"allows no step.*without one"):
        deploy(learned, PCM, output=output, touch_up="1 evaluation")
    told: list[str] = []
    done = deploy(learned, PCM, output=output, touch_up="60 evaluations", say=told.append)
    assert any("going on" in text for text in told)
    assert done.result.touch_up is not None
    assert {path.name for path in tmp_path.iterdir()} == {"d.h5", Path(done.result.touch_up).name}


def test_a_touch_up_that_does_harm_is_put_back(learned: Weights, tmp_path: Path) -> None:
    how = TouchUp("100 evaluations", rate=3.0)
    done = deploy(learned, PCM, output=tmp_path / "d.h5", touch_up=how)
    stages = {stage["stage"]: stage["accuracy"] for stage in done.manifest["validation"]}
    assert stages["touched up"] < stages["verified"] - 0.1
    assert any("put back" in text for text in done.manifest["told"])
    assert stages["put back"] > stages["touched up"] + 0.1
    assert not any("warning" in text for text in done.manifest["told"])  # what counts is what is there in the end
    np.testing.assert_array_equal(done.weights.theta, learned.theta)
    assert done.result.verified
