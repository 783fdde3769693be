"""Calibrating emulated devices whose noise is known."""

import math
import shutil

import numpy as np
import pytest

from hwzo import connect
from hwzo.errors import ConfigError, DeviceError, FileError, MeasurementError
from hwzo.noise import Profile, curvature, profile_file, step_response
from hwzo.noise.check import compare
from hwzo.noise.quantity import Quantity
from hwzo.testing.quadratic import QuadraticDevice
from hwzo.train import calibration, stand
from hwzo.train.calibration import calibrate, check
from hwzo_backends.crossbar.pcm import nandakumar_programming_sd

SMALL = "layers=12-8-4&engine=numpy&seed=200"


def within(q, truth, errors=4.5):
    """4.5 standard errors: a false alarm once in 100,000."""
    assert abs(q.value - truth) <= errors * max(q.standard_error, 1e-12), (q, truth)


@pytest.fixture(scope="module")
def noisy():
    url = f"crossbar:ideal?{SMALL}&sigma=0.03&node_noise=0.2&read_error=0.01&stuck=0.02&perturb=overlay"
    return calibrate(url, seed=11)


def test_what_options_say_comes_back(noisy):
    q = noisy.quantities
    within(q["parameter_noise_sigma"], 0.03)
    within(q["node_noise_sd/layer1"], 0.2)
    within(q["node_noise_sd/layer2"], 0.2)
    within(q["read_error_sd"], 0.01)
    within(q["adc_gain"], 1.0)
    within(q["adc_offset"], 0.0)
    within(q["common_mode_share"], 0.0)
    within(q["noise_slope"], 0.0)
    within(q["drift_exponent"], 0.0)
    assert q["programming_noise_sd"].low == 0.0  # writes are exact
    assert q["stuck_share"].low <= 1 - 0.98**2 <= q["stuck_share"].high
    assert all(quantity.low <= quantity.value <= quantity.high for quantity in q.values())
    assert set(noisy.manifest.left_out) == {"correlation_time", *step_response.NAMES}


def test_stuck_parameters_are_those_that_are():
    url = f"crossbar:pcm?{SMALL}&stuck=0.1"
    profile = calibrate(url, seed=12)
    cells = connect(url)._chip._cells
    np.testing.assert_array_equal(profile.curves["stuck"].values, cells._stuck.any(axis=0))


def test_an_exact_device_does_not_drift():
    """What rounding leaves is no drift: the interval holds 0."""
    drift = calibrate(f"crossbar:ideal?{SMALL}", seed=29, only=frozenset({"drift"})).quantities["drift_exponent"]
    assert drift.low <= 0.0 <= drift.high
    assert abs(drift.value) < 1e-9


def test_pcm_writes_as_published():
    """Programming noise of a pair, from Nandakumar's polynomial, a rest cell that is clipped at 0 included."""
    q = calibrate("crossbar:pcm?layers=32-32-8&engine=numpy&seed=201&flicker=0", seed=13).quantities
    w = np.linspace(-0.9, 0.9, 4001)
    active = nandakumar_programming_sd(25 * np.abs(w))
    # max(0, s xi): mean s / sqrt(2 pi), square s^2 / 2. Active cells near 0 are clipped too: 4% of them, left alone.
    rest = nandakumar_programming_sd(np.zeros(1)) * math.sqrt(0.5 - 0.5 / math.pi)
    expected = math.sqrt(float(np.mean(active**2 + rest**2))) / 25
    assert q["programming_noise_sd"].value == pytest.approx(expected, rel=0.03)
    assert q["programming_noise_sd/up"].value == pytest.approx(expected, rel=0.05)
    assert 0.045 < q["drift_exponent"].value < 0.07  # 0.049 for r above 0.2, more below


def test_a_loss_only_device_shows_its_loss_and_the_rest_is_named():
    profile = calibrate(f"crossbar:pcm?{SMALL}&readback=loss&perturb=overlay", seed=14)
    assert set(profile.quantities) == {
        "loss_noise_sd",
        "loss_noise_excess_kurtosis",
        "loss_rewrite_sd",
        "gradient_norm",
        "curvature_d2_rms",
        "curvature_d3_rms",
    }
    left = profile.manifest.left_out
    assert "'loss'" in left["parameter_noise_sigma"]
    assert {"read_error_sd", "programming_noise_sd", "drift_exponent", "stuck_share", "node_noise_sd"} <= set(left)


def test_derivatives_of_a_quadratic():
    """Loss 1/2 sum h w^2 shifted: gradient h (w - o), and z'Hz = sum h for signs z, with no third derivative."""
    device = QuadraticDevice(40, seed=15, loss_sd=1e-4)
    profile = calibrate(device, seed=15)
    theta = device.parameters.initial(np.random.default_rng(np.random.SeedSequence([15, 3])))
    gradient = device.curvature * (theta - device.optimum)
    q = profile.quantities
    within(q["gradient_norm"], float(np.linalg.norm(gradient)))
    assert q["curvature_d2_rms"].value == pytest.approx(float(device.curvature.sum()), rel=0.02)
    assert q["curvature_d3_rms"].low == 0.0
    within(q["loss_noise_sd"], 1e-4)


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler for the virtual board")
def test_a_board_measures_what_its_url_says():
    """A device of another kind, whose bare read after a write lacks the noise of an evaluation."""
    url = "board:posix?layers=16-12-6&node_noise=0.05&read_noise=0.01&programming=0.02&seed=4"
    q = calibrate(url, seed=60, only=frozenset({"programming", "nodes"}), share=0.5).quantities
    within(q["parameter_noise_sigma"], 0.01)
    within(q["programming_noise_sd"], 0.02)
    within(q["node_noise_sd/layer1"], 0.05)
    within(q["node_noise_sd/layer2"], 0.05)


def test_retained_noise_of_a_black_box():
    device = QuadraticDevice(300, seed=16, parameter_noise="retained", sigma=0.05, readback="weights", read_sd=0.01)
    q = calibrate(device, seed=16).quantities
    within(q["programming_noise_sd"], 0.05)
    within(q["read_error_sd"], 0.01)
    assert q["parameter_noise_sigma"].low == 0.0


def test_the_device_is_left_as_it_was():
    device = connect(f"crossbar:pcm?{SMALL}")
    device.program(np.full(device.parameters.size, 0.25))
    before = device.snapshot()
    calibrate(device, seed=17)
    assert device.snapshot() == before


def test_a_device_that_does_not_close_takes_no_finished_calibration_along(tmp_path, monkeypatch, caplog):
    def opened(*args, **options):
        device = connect(*args, **options)

        def close():
            raise DeviceError("the port is gone")

        device.close = close
        return device

    monkeypatch.setattr(stand, "connect", opened)
    target = tmp_path / "profile.h5"
    profile = calibrate(f"crossbar:ideal?{SMALL}", target, seed=17, only=frozenset({"loss"}))
    assert Profile.load(target).quantities == profile.quantities
    assert "the port is gone" in caplog.text


class Hardware:
    """A device without a state to save, as hardware is."""

    def __init__(self, device):
        self.device = device
        self.info, self.parameters = device.info, device.parameters
        object.__setattr__(device.capabilities, "snapshot", False)
        self.capabilities = device.capabilities

    def program(self, theta, *, mask=None):
        return self.device.program(theta, mask=mask)

    def measure(self, probes, batch):
        return self.device.measure(probes, batch)

    def apply(self, update):
        return self.device.apply(update)

    def read(self, repeats=1):
        return self.device.read(repeats)

    def close(self):
        self.device.close()


@pytest.fixture
def quick(monkeypatch):
    """Nobody waits for drift."""
    monkeypatch.setattr("hwzo.noise.drift.WAITED_AGES", (0.01, 0.02, 0.04))


def test_hardware_is_programmed_back_to_what_it_was_read_to_hold(quick):
    device = Hardware(connect(f"crossbar:ideal?{SMALL}&read_error=0.001"))
    held = np.random.default_rng(18).uniform(-0.8, 0.8, device.parameters.size)
    device.program(held)
    profile = calibrate(device, seed=18)
    assert "drift_exponent" in profile.quantities
    np.testing.assert_allclose(device.read(1)[0], held, atol=0.01)


def test_hardware_that_gives_a_loss_only_says_what_it_holds_now(quick):
    profile = calibrate(Hardware(QuadraticDevice(5, seed=19, loss_sd=0.1)), seed=19)
    assert any("start parameters" in warning for warning in profile.manifest.warnings)


def test_a_dead_device_is_told_of():
    device = connect(f"crossbar:ideal?{SMALL}")
    device.program = lambda theta, mask=None: type(device).program(device, np.zeros_like(theta))
    with pytest.raises(MeasurementError, match=r"whatever is programmed.*seems dead"):
        calibrate(device, seed=20)


def test_a_saturated_converter_is_told_of():
    profile = calibrate(f"crossbar:ideal?{SMALL}&adc_bits=8&adc_max=0.6&node_noise=0.05", seed=21)
    assert any("saturates" in warning for warning in profile.manifest.warnings)
    assert profile.quantities["adc_saturated_share"].value > 0.05
    fine = calibrate(f"crossbar:ideal?{SMALL}&adc_bits=8&adc_max=8&node_noise=0.05", seed=21)
    assert fine.quantities["adc_saturated_share"].value == 0.0
    assert fine.quantities["adc_step"].value == pytest.approx(8 / 127)


def test_a_small_budget_lists_what_was_left_out(tmp_path):
    profile = calibrate(f"crossbar:pcm?{SMALL}", budget="60 evaluations", seed=22)
    assert profile.manifest.spent["evaluations"] <= 60
    assert any("lack of budget" in warning for warning in profile.manifest.warnings)
    assert "60 evaluations" in profile.manifest.left_out["gradient_norm"]
    assert "32 are needed" in profile.manifest.left_out["gradient_norm"]
    few = calibrate(f"crossbar:pcm?{SMALL}", budget="3000 writes", seed=22)
    assert few.manifest.spent["cell_writes"] <= 3000
    output = tmp_path / "p.h5"
    with pytest.raises(ConfigError, match=r"too small .* loss_noise_sd, .* at least 560 writes"):  # four of 140
        calibrate(f"crossbar:pcm?{SMALL}", output, budget="1 write")
    with pytest.raises(ConfigError, match=r"too small .* loss_noise_sd, .* at least 14 evaluations"):  # 3 * 2 + 8
        calibrate(f"crossbar:pcm?{SMALL}", output, budget="3 evaluations")
    calibrate(f"crossbar:pcm?{SMALL}", output, budget="20 evaluations")  # there is nothing to go on with


def test_what_was_killed_goes_on(tmp_path, monkeypatch):
    """Killed at every measurement in turn and resumed, an emulated device gives the same readings."""
    url = f"crossbar:pcm?{SMALL}"
    whole = calibrate(url, tmp_path / "whole.h5", seed=23)
    target = tmp_path / "profile.h5"
    resumed, tries = None, 0
    take = calibration.Journal.keep

    def die(journal, entry):
        take(journal, entry)
        raise KeyboardInterrupt

    while resumed is None:
        tries += 1
        with monkeypatch.context() as patch:
            if tries < 6:
                patch.setattr(calibration.Journal, "keep", die)
                with pytest.raises(KeyboardInterrupt):
                    calibrate(url, target, seed=23)
                continue
            resumed = calibrate(url, target, seed=23)
    assert not target.with_name("profile.h5.part").exists()
    assert resumed.quantities == whole.quantities
    for name, arrays in whole.readings.items():
        for key, array in arrays.items():
            np.testing.assert_array_equal(resumed.readings[name][key], array)
    for key in ("evaluations", "reads", "cell_writes"):
        assert resumed.manifest.spent[key] == whole.manifest.spent[key]


def test_a_second_calibration_into_a_file_is_refused(tmp_path, monkeypatch):
    """Before it opens the device."""
    target = tmp_path / "profile.h5"
    first = calibration.Journal(target)
    with monkeypatch.context() as patch:
        patch.setattr(calibration, "open_stand", lambda *_: pytest.fail("the device was opened"))
        with pytest.raises(FileError, match=r"another calibration is writing .*profile\.h5"):
            calibrate(f"crossbar:pcm?{SMALL}", target, seed=26)
    first.close()
    assert not list(tmp_path.iterdir())  # nothing was measured: nothing is left
    calibrate(f"crossbar:pcm?{SMALL}", target, seed=26, only=frozenset({"loss"}))
    assert [path.name for path in tmp_path.iterdir()] == ["profile.h5"]


def test_a_failing_device_goes_on_by_the_same_command(tmp_path, monkeypatch):
    def fail(setup, rounds):
        raise MeasurementError("gone; check the device, then go on with --resume")

    monkeypatch.setattr(curvature, "take", fail)
    told = []
    with pytest.raises(MeasurementError, match="gone; check the device, then try again"):
        calibrate(f"crossbar:pcm?{SMALL}", tmp_path / "p.h5", seed=27, say=told.append)
    assert "the same command goes on" in told[-1]
    monkeypatch.undo()
    calibrate(f"crossbar:pcm?{SMALL}", tmp_path / "p.h5", seed=27)


def test_a_full_disk_says_what_is_kept(tmp_path, monkeypatch):
    def full(path, mode):
        raise OSError("Unable to synchronously create file (unable to open file: errno = 28, error message = 'No')")

    monkeypatch.setattr(profile_file, "_open", full)
    with pytest.raises(FileError, match=r"No space left on device; what was measured is kept in .*p\.h5\.part"):
        calibrate(f"crossbar:pcm?{SMALL}", tmp_path / "p.h5", seed=28)
    monkeypatch.undo()
    told = []
    calibrate(f"crossbar:pcm?{SMALL}", tmp_path / "p.h5", seed=28, say=told.append)
    assert "going on after" in told[0]


def test_another_calibration_is_not_gone_on_with(tmp_path, monkeypatch):
    url, target = f"crossbar:pcm?{SMALL}", tmp_path / "profile.h5"
    with monkeypatch.context() as patch:
        patch.setattr(calibration, "analyse", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            calibrate(url, target, seed=24)
    with pytest.raises(ConfigError, match=r"unfinished calibration with seed = 24; this one has 25"):
        calibrate(url, target, seed=25)
    entry = target.with_name("profile.h5.part") / "02.npz"
    entry.write_bytes(entry.read_bytes()[:-200])
    with pytest.raises(FileError, match=r"02\.npz is damaged"):
        calibrate(url, target, seed=24)


def test_a_check_finds_nothing_where_nothing_moved(tmp_path):
    url = f"crossbar:pcm?{SMALL}"
    device = connect(url)
    profile = calibrate(device, seed=26)
    device.program(np.zeros(device.parameters.size))  # other noise from here on
    _, compared = check(device, profile)
    assert not [c.name for c in compared if c.moved]
    assert len(compared) > 10


def test_a_check_finds_what_moved():
    profile = calibrate(f"crossbar:ideal?{SMALL}&node_noise=0.1&read_error=0.01", seed=27)
    changed = connect(f"crossbar:ideal?{SMALL}&node_noise=0.13&read_error=0.01")
    _, compared = check(changed, profile)
    moved = {c.name: c for c in compared if c.moved}
    assert {"node_noise_sd/layer1", "node_noise_sd/layer2"} <= set(moved)
    assert moved["node_noise_sd/layer1"].standard_errors > 5
    assert "read_error_sd" not in moved


def test_false_alarms_of_a_check():
    """2,000 checks of 10 quantities that haven't moved: at 1% more than 42 alarms would come once in 10^5 runs."""
    rng = np.random.default_rng(28)

    def spreads(k):
        chi = rng.chisquare(30, (k, 10)) / 30
        return [
            {str(i): Quantity.spread(0.04 * v, "loss", 31, dof=30) for i, v in enumerate(row)} for row in chi.tolist()
        ]

    pairs = zip(spreads(2000), spreads(2000), strict=True)
    assert sum(any(c.moved for c in compare(a, b)) for a, b in pairs) <= 42


def test_a_profile_of_another_device_is_refused():
    profile = calibrate(f"crossbar:ideal?{SMALL}", seed=29)
    with pytest.raises(ConfigError, match=r"serial 200 .*serial 201"):
        check("crossbar:ideal?layers=12-8-4&seed=201&engine=numpy", profile)
    with pytest.raises(ConfigError, match=r"140 parameters, layers 12-8-4.*137, layers 12-9-2"):
        check("crossbar:ideal?layers=12-9-2&seed=200&engine=numpy", profile)


def test_the_readings_can_be_analysed_again(noisy):
    from hwzo.noise.analysis import analyse

    assert analyse(noisy.readings, noisy.manifest.device.network).quantities == noisy.quantities


@pytest.mark.parametrize("kwargs", [{"seed": -1}, {"budget": "many"}, {"task": "no-such-task"}])
def test_bad_arguments(kwargs):
    with pytest.raises(ConfigError):
        calibrate(f"crossbar:ideal?{SMALL}", **kwargs)


def test_a_folder_is_no_profile(tmp_path):
    with pytest.raises(ConfigError, match="is a folder"):
        calibrate(f"crossbar:ideal?{SMALL}", tmp_path)


def test_profile_is_what_load_gives(tmp_path):
    profile = calibrate(f"crossbar:pcm?{SMALL}", tmp_path / "p.h5", seed=30, date="2030-01-01T00:00:00+00:00")
    loaded = Profile.load(tmp_path / "p.h5")
    assert loaded.quantities == profile.quantities
    assert loaded.manifest == profile.manifest
