"""Advice from profiles made by hand, so that each rule is seen alone; and that training takes it."""

import math

import numpy as np
import pytest

import hwzo
from hwzo.errors import ConfigError
from hwzo.noise import Curve, Profile, Quantity
from hwzo.noise.advice import advise
from hwzo.noise.profile import DeviceRecord, Manifest
from hwzo.testing.quadratic import QuadraticDevice
from hwzo.train.advised import advised
from hwzo.train.calibration import calibrate
from hwzo.train.config import TrainConfig
from hwzo.train.folder import RunFolder
from hwzo.train.start import start

URL = "crossbar:ideal?layers=2-4-1&engine=numpy&sigma=0.05&seed=220"


def q(value, unit="1", error=None):
    error = 0.02 * value if error is None else error
    return Quantity.mean(value, error, unit, 100)


def profile(quantities, curves=None, n=1000, **device):
    some = {"parameter_noise": "per-evaluation", "sigma": 0.1, "readback": "weights", **device}
    record = DeviceRecord.of(QuadraticDevice(n, seed=1, loss_sd=0.1, **some))
    return Profile(Manifest(device=record, hwzo="0"), quantities, curves or {})


BASE = {
    "loss_noise_sd": q(0.02),
    "gradient_norm": q(1.0),
    "curvature_d2_rms": q(4.0),
    "parameter_noise_sigma": q(0.015),
    "read_error_sd": q(0.01),
}


LARGE = {**BASE, "loss_noise_sd": q(0.016)}  # most of it is read back


def test_large_enough_noise_explores_alone():
    """s^2 = .016^2, of which (sigma |g|)^2 = .015^2 is read back: q = sqrt(.000031) / .015 = .37."""
    advice = advise(profile({**BASE, "loss_noise_sd": q(0.016)}))
    assert advice["exploration"].value == "intrinsic-weight"
    assert "q = 0.37" in advice["exploration"].reason
    assert advice["estimator"].value == "least-squares"  # 8 readings for 1,000 parameters
    assert advice["probes"].value == 8
    assert "scale" not in advice
    expected = 0.9 * 1000 * (1 + 0.371**2) * (1 + (2 / 3) ** 2)
    assert advice["expected_evaluations"].value == float(f"{expected:.1g}")


def test_too_small_noise_is_added_to():
    """By the c* rule: (8 s^2)^(1/4) / sqrt(D2), s what isn't read back of the loss noise."""
    advice = advise(profile({**BASE, "parameter_noise_sigma": q(0.001)}))
    assert advice["exploration"].value == "mixed"
    assert advice["scale"].value == pytest.approx((8 * (0.02**2 - 0.001**2)) ** 0.25 / 2.0, rel=0.01)
    assert advice["probes"].value == 8
    bare = {name: quantity for name, quantity in BASE.items() if name != "curvature_d2_rms"}
    advice = advise(profile({**bare, "parameter_noise_sigma": q(0.001)}))
    assert advice["scale"].value == pytest.approx(0.04, rel=0.01)  # s / |g| / 0.5: q falls to .5
    commandless = advise(profile({**BASE, "parameter_noise_sigma": q(0.001)}, laws=frozenset()))
    assert commandless["exploration"].value == "intrinsic-weight"
    assert commandless["probes"].value == 32  # q = 20


def test_what_may_be_read_back_is_not_added_to():
    """The gradient is known to 30%: all of the loss noise may be what sigma makes of it."""
    unsure = {**BASE, "gradient_norm": q(1.0, error=0.3), "parameter_noise_sigma": q(0.015)}
    assert advise(profile(unsure))["exploration"].value == "intrinsic-weight"


@pytest.mark.parametrize(
    ("awkward", "estimator"),
    [
        ({"common_mode_share": q(0.3)}, "least-squares"),
        ({"common_mode_share": q(0.05, error=0.05)}, None),  # it may be none
        ({"noise_slope": q(1.0)}, "difference"),
        ({"noise_slope": q(0.1)}, None),
    ],
)
def test_noise_that_is_awkward(awkward, estimator):
    """A displacement is added to it; where parameters are few, the noise chooses the estimator."""
    few = advise(profile({**LARGE, **awkward}, n=40))
    assert few["estimator"].value == (estimator or "block")
    many = advise(profile({**LARGE, **awkward}))
    assert many["estimator"].value == "least-squares"
    for advice in (few, many):
        assert advice["exploration"].value == ("intrinsic-weight" if estimator is None else "mixed")
        assert ("scale" in advice) == (estimator is not None)
        if estimator is not None:
            assert "awkward" in advice["exploration"].reason
            assert advice["scale"].value >= 0.015  # the noise's own size
    bound = advise(profile({**LARGE, **awkward}, laws=frozenset()))
    assert bound["exploration"].value == "intrinsic-weight"


def test_unequal_parameters_are_awkward():
    rng = np.random.default_rng(2)
    own = 0.015 * np.exp(rng.standard_normal(40))
    each = Curve(own, "weight", 128, 0.05 * own)
    advice = advise(profile(LARGE, {"parameter_noise_sigma_each": each}, n=40))
    assert (advice["exploration"].value, advice["estimator"].value) == ("mixed", "least-squares")
    # Equal parameters, measured with an error as large as half of them, aren't unequal.
    noisy = Curve(0.015 * np.abs(1 + 0.3 * rng.standard_normal(40)), "weight", 8, np.full(40, 0.0045))
    advice = advise(profile(LARGE, {"parameter_noise_sigma_each": noisy}, n=40))
    assert (advice["exploration"].value, advice["estimator"].value) == ("intrinsic-weight", "block")


def test_a_loss_alone_is_commanded_by_the_c_star_rule():
    none = {"parameter_noise": "none", "sigma": 0.0, "readback": "loss"}
    advice = advise(profile({key: BASE[key] for key in ("loss_noise_sd", "gradient_norm", "curvature_d2_rms")}, **none))
    assert advice["exploration"].value == "commanded"
    assert advice["scale"].value == pytest.approx((8 * 0.02**2) ** 0.25 / math.sqrt(4.0), rel=0.01)


def test_what_was_not_measured_is_not_guessed():
    """14 evaluations measure the loss alone; that the device has noise of its own nobody knows then."""
    few = calibrate(URL, budget="14 evaluations", seed=41)
    advice = advise(few)
    assert set(advice) == {"exploration"}
    assert advice["exploration"].value == "auto"
    assert "parameter_noise_sigma wasn't measured" in advice["exploration"].reason
    assert "at least 0 are needed" not in " ".join(few.manifest.left_out.values())
    assert TrainConfig.build(advised({"task": "xor"}, few)).exploration == "auto"


def test_a_loss_alone_without_directions_is_selected_on():
    none = {"parameter_noise": "none", "sigma": 0.0, "readback": "loss", "laws": frozenset()}
    assert advise(profile({"loss_noise_sd": q(0.02)}, **none))["exploration"].value == "selection"


def test_nodes_come_first():
    assert advise(calibrate(f"{URL}&node_noise=0.1", seed=40))["exploration"].value == "intrinsic-node"


def test_what_the_user_sets_stays():
    told = []
    measured = calibrate(URL, task="xor", seed=41)
    chosen = advised({"probes": 16, "rate": 0.03}, measured, say=told.append)
    assert chosen["device"] == measured.manifest.device.url
    assert chosen["task"] == "xor"
    assert chosen["exploration"] == "intrinsic-weight"
    assert (chosen["probes"], chosen["rate"]) == (16, 0.03)
    assert any("stays at 16" in line for line in told)
    spsa = advised({"method": "spsa"}, measured, say=told.append)
    assert set(spsa) == {"method", "device", "task"}
    with pytest.raises(ConfigError, match="serial 220"):
        advised({"device": URL.replace("220", "221")}, measured)


def test_training_takes_a_profile(tmp_path):
    calibrate(URL, tmp_path / "p.h5", task="xor", seed=42)
    run = hwzo.train(profile=tmp_path / "p.h5", budget="80 evaluations", run=tmp_path / "run")
    assert run.exploration == "intrinsic-weight"
    assert run.task == "xor"
    assert "sigma=0.05" in run.device
    assert hwzo.load_run(tmp_path / "run").config.estimator == "block"


def quiet_device():
    """Own noise that is small beside the noise of the loss; what a batch holds, it ignores."""
    return QuadraticDevice(
        60, seed=3, loss_sd=0.02, parameter_noise="per-evaluation", sigma=0.0005, readback="weights", read_sd=1e-4
    )


def test_a_run_without_a_profile_calibrates_shortly(tmp_path):
    """What that takes counts in the budget, what it chose is in the run's configuration, and the run can go on."""
    told = []
    given = {"task": "xor", "device": "quadratic:n60", "batch": 4, "budget": "3000 evaluations"}
    result = start({}, config=TrainConfig.build(given), device=quiet_device(), run=tmp_path / "run", say=told.append)
    assert result.exploration == "mixed"
    short = RunFolder(tmp_path / "run").description()["method"]["measured"]
    assert short["parameter_noise_sigma"] == pytest.approx(0.0005, rel=0.1)
    assert result.evaluations == 97 + 8 * result.steps
    assert any("97 evaluations of the budget" in line for line in told)
    for name in ("exploration mixed", "scale", "estimator block", "probes 8"):
        assert any(line.startswith(f"calibrated: {name}") for line in told), name
    config = RunFolder(tmp_path / "run").config()
    assert (config.exploration, config.estimator, config.probes) == ("mixed", "block", 8)
    assert config.scale is not None
    assert config.scale > 0.005
    more = hwzo.train(device=quiet_device(), run=tmp_path / "run", resume=True, budget="3400 evaluations")
    assert more.exploration == "mixed"
    assert more.steps > result.steps


def test_a_small_budget_is_not_spent_on_calibrating(tmp_path):
    told = []
    given = {"task": "xor", "device": "quadratic:n60", "batch": 4, "budget": "400 evaluations"}
    result = start({}, config=TrainConfig.build(given), device=quiet_device(), run=tmp_path / "run", say=told.append)
    assert result.exploration == "intrinsic-weight"
    assert result.evaluations == 8 * result.steps
    assert any("97 evaluations" in line and "more than 5% of the budget" in line for line in told)


def test_what_is_set_is_not_calibrated_for(tmp_path):
    given = {"task": "xor", "device": "quadratic:n60", "batch": 4, "exploration": "intrinsic-weight"}
    config = TrainConfig.build({**given, "budget": "3000 evaluations"})
    result = start(given, config=config, device=quiet_device(), run=tmp_path / "run")
    assert result.exploration == "intrinsic-weight"
    assert result.evaluations == 8 * result.steps
