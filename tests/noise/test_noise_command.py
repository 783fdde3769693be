"""hwzo calibrate, as typed."""

import json

import pytest

from hwzo.cli.main import main

URL = "crossbar:pcm?layers=8-6-4&engine=numpy&seed=210"


@pytest.fixture
def hwzo(capfd, monkeypatch, tmp_path):
    """Run a command in this process, in a folder of its own: (exit code, standard output, standard error)."""
    monkeypatch.chdir(tmp_path)

    def run(*words):
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(list(words))
        out, err = capfd.readouterr()
        assert "Traceback" not in out + err
        return ended.value.code, out, err

    return run


def test_calibrate_then_check(hwzo):
    code, out, err = hwzo("calibrate", "--device", URL, "--json")
    assert code == 0, err
    told = json.loads(out)
    assert {"device", "emulated", "profile", "quantities", "advice", "left_out"} <= set(told)
    assert told["emulated"] is True
    assert told["profile"] == "profile.h5"
    assert {"value", "standard_error", "unit", "n"} <= set(told["quantities"]["parameter_noise_sigma"])
    assert all(set(line) == {"name", "reason"} for line in told["left_out"])
    code, out, err = hwzo("calibrate", "--device", URL, "--check", "profile.h5")
    assert code == 0, err
    assert "0 of" in out
    code, out, _ = hwzo("calibrate", "--device", f"{URL}&node_noise=0.2", "--check", "profile.h5", "--json")
    assert code == 5
    assert "node_noise_sd/layer1" in {line["name"] for line in json.loads(out)["moved"]}
    code, _, err = hwzo("calibrate", "--device", f"{URL[:-1]}1", "--check", "profile.h5")
    assert code == 2
    assert "serial 210" in err
    assert "serial 211" in err


def test_a_table_and_what_is_left_out(hwzo, tmp_path):
    code, out, err = hwzo("calibrate", "--device", f"{URL}&readback=loss", "-o", "mine.h5")
    assert code == 0, err
    assert (tmp_path / "mine.h5").is_file()
    assert not (tmp_path / "mine.h5.part").exists()
    assert "loss_noise_sd" in out
    assert "left out" in out
    assert "emulated" in out


def test_a_check_tells_what_it_left_out(hwzo):
    hwzo("calibrate", "--device", URL, "-o", "p.h5")
    code, out, err = hwzo("calibrate", "--device", URL, "--check", "p.h5", "--budget", "16 evaluations")
    assert code == 0, err
    assert "warning: only" in err
    assert "node_noise_sd/layer1" in err
    code, out, err = hwzo("calibrate", "--device", URL, "--check", "p.h5", "--budget", "16 evaluations", "--json")
    told = json.loads(out)
    assert "parameter_noise_sigma" in told["not_compared"]
    assert told["compared"] >= 1
    code, _, err = hwzo("calibrate", "--device", URL, "--check", "p.h5", "--budget", "3 evaluations")
    assert code == 2
    assert "too small" in err


@pytest.mark.parametrize(("key", "value"), [("task", "xor"), ("seed", "0"), ("temperature", "300")])
def test_a_check_takes_the_profile_s_own(hwzo, key, value):
    code, _, err = hwzo("calibrate", "--device", URL, "--check", "none.h5", f"--{key}", value)
    assert code == 2
    assert f"--{key} goes without --check" in err


@pytest.mark.parametrize("temperature", ["nan", "-5", "0", "inf"])
def test_a_temperature_is_in_kelvin(hwzo, temperature, tmp_path):
    code, _, err = hwzo("calibrate", "--device", URL, f"--temperature={temperature}")
    assert code == 2
    assert "kelvin" in err
    assert not list(tmp_path.glob("profile.h5*"))


def test_bad_input(hwzo, tmp_path):
    (tmp_path / "bad.h5").write_text("no profile")
    for words in (
        ("--device", URL, "--budget", "lots"),
        ("--device", URL, "--check", "none.h5"),
        ("--device", URL, "--check", "bad.h5"),
        ("--device", "crossbar:nothing"),
    ):
        assert hwzo("calibrate", *words)[0] == 2
