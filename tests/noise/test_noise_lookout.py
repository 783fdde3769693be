"""Training that looks after its device: what it does about one that moved, and that looks change nothing else."""

import pytest

import hwzo
from hwzo.errors import ConfigError, FileError, VerificationError
from hwzo.noise import Profile
from hwzo.train.calibration import calibrate
from hwzo.train.journal import Journal
from hwzo.train.replay import replay

URL = "crossbar:pcm?layers=2-4-1&engine=numpy&seed=250&node_noise=0.1"
MOVED = URL.replace("node_noise=0.1", "node_noise=0.2")  # the same serial number
GIVEN = {"task": "xor", "budget": "400 evaluations", "check_every": 100, "batch": 4}


@pytest.fixture(scope="module")
def profile(tmp_path_factory):
    return calibrate(URL, tmp_path_factory.mktemp("lookout") / "p.h5", task="xor", seed=80)


def looks(run):
    journal = Journal(run / "journal.sqlite", read_only=True)
    try:
        return [detail for _, _, kind, detail in journal.events() if kind == "device check"]
    finally:
        journal.close()


def test_a_device_that_stays_is_left_alone(profile, tmp_path):
    """Each look has a false alarm once in 10,000."""
    result = hwzo.train(device=URL, profile=profile, on_drift="stop", run=tmp_path / "run", **GIVEN)
    found = looks(tmp_path / "run")
    assert len(found) >= 3
    assert all("none of" in text for text in found)
    assert 2 * result.steps < result.evaluations <= 400  # two readings a step; the rest went into looks


def test_a_device_that_moved_ends_the_run(profile, tmp_path):
    with pytest.raises(VerificationError, match=r"node_noise_sd/layer1 from 0\.1.* to 0\.2.*--resume") as raised:
        hwzo.train(device=MOVED, profile=profile, on_drift="stop", run=tmp_path / "run", **GIVEN)
    assert raised.value.exit_code == 5
    assert "moved: node_noise_sd/layer1" in looks(tmp_path / "run")[0]
    with pytest.raises(VerificationError):  # it goes on until it looks again
        hwzo.train(run=tmp_path / "run", resume=True)
    assert len(looks(tmp_path / "run")) == 2


@pytest.fixture(scope="module")
def quiet(tmp_path_factory):
    """Of 2,410 parameters with noise of .03."""
    cheap = frozenset({"loss", "read error", "parameters", "nodes"})
    return calibrate(OWN.format(0.03), tmp_path_factory.mktemp("own") / "p.h5", task="digits", seed=115, only=cheap)


OWN = "crossbar:ideal?layers=64-32-10&engine=numpy&sigma={}&seed=115"
SHORT = {"task": "digits", "budget": "150 evaluations", "check_every": 50}


def test_parameters_that_became_noisier_end_the_run(quiet, tmp_path):
    with pytest.raises(VerificationError, match=r"parameter_noise_sigma from 0\.03.* to 0\.035") as raised:
        hwzo.train(device=OWN.format(0.035), profile=quiet, on_drift="stop", run=tmp_path / "run", **SHORT)
    assert raised.value.exit_code == 5


def test_parameters_that_are_as_noisy_as_ever_do_not(quiet, tmp_path):
    """Each look has a false alarm once in 10,000."""
    hwzo.train(device=OWN.format(0.03), profile=quiet, on_drift="stop", run=tmp_path / "run", **SHORT)
    assert all("none of" in text for text in looks(tmp_path / "run"))


def test_a_device_that_moved_is_read_again(profile, tmp_path):
    result = hwzo.train(device=MOVED, profile=profile, on_drift="re-read", run=tmp_path / "run", **GIVEN)
    assert result.stopped == "budget"
    assert all(text.endswith("re-read") for text in looks(tmp_path / "run"))


def test_a_device_that_moved_is_calibrated_anew(profile, tmp_path):
    given = {**GIVEN, "budget": "1600 evaluations"}
    hwzo.train(device=MOVED, profile=profile, on_drift="re-calibrate", run=tmp_path / "run", **given)
    found = looks(tmp_path / "run")
    assert found[0].endswith("calibrated anew")
    assert all("none of" in text for text in found[1:])  # it is what its new profile says
    kept = sorted((tmp_path / "run").glob("profile-*.h5"))
    assert len(kept) == 2
    new = Profile.load(kept[1]).quantities["node_noise_sd/layer1"]
    assert 0.19 < new.value < 0.22  # what a read's own noise and the converter add is counted too


@pytest.mark.parametrize("reaction", ["re-read", "re-calibrate"])
def test_a_rerun_looks_where_the_run_did(profile, tmp_path, reaction):
    """Rebuilt from the start, looks included, the weights are the run's to the bit."""
    run = tmp_path / "run"
    result = hwzo.train(device=MOVED, profile=profile, on_drift=reaction, run=run, **GIVEN)
    for checkpoint in sorted((run / "checkpoints").glob("step-*"))[1:]:
        checkpoint.unlink()
    again = replay(run)
    assert again.how == "a rerun on the emulated device"
    assert again.parameters_crc32 == result.parameters_crc32


def test_bad_input(profile, tmp_path):
    with pytest.raises(ConfigError, match=r"on_drift = 'stop' compares the device with its profile: give one"):
        hwzo.train(device=URL, on_drift="stop", run=tmp_path / "a", **GIVEN)
    with pytest.raises(ConfigError, match="re-read"):
        hwzo.train(device=URL, profile=profile, on_drift="panic", run=tmp_path / "b", **GIVEN)
    with pytest.raises(ConfigError, match="serial 250"):
        hwzo.train(device=URL.replace("250", "251"), profile=profile, on_drift="stop", run=tmp_path / "c", **GIVEN)
    hwzo.train(device=URL, profile=profile, on_drift="stop", run=tmp_path / "d", **GIVEN)
    for kept in (tmp_path / "d").glob("profile-*.h5"):
        kept.unlink()
    with pytest.raises(FileError, match="put it back"):
        hwzo.train(run=tmp_path / "d", resume=True, budget="800 evaluations")
