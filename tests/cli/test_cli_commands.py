"""What each command prints, for people and as JSON."""

import json
import re
import zlib

import numpy as np
import pytest
from safetensors.numpy import load_file

from hwzo.cli.picture import draw
from hwzo.errors import FileError
from hwzo.train.weights import Weights
from hwzo_backends.crossbar.device import CrossbarDevice


@pytest.fixture
def run(hwzo, tmp_path):
    """A finished run, made by the command."""
    done = hwzo("train", "--json", "--task", "xor", "--budget", "60 evaluations", "--run", "run")
    assert done.code == 0
    return tmp_path / "run", done.json


@pytest.mark.parametrize(
    ("words", "key", "says"),
    [
        (("--set", "buget=3"), "buget", "did you mean 'budget'"),
        (("--set", "nosuch=3"), "nosuch", "allowed are"),
        (("--set", "nosuch"), "nosuch", "KEY=VALUE"),
        (("--set", "probes=0"), "probes", "greater than or equal to 1"),
        (("--set", "probes=many"), "probes", "'many'"),
        (("--set", "batch=5"), "batch", "1 to 4"),
        (("--set", "layers=3-2-1"), "layers", "2 inputs"),
        (("--set", "layers=2-2-2-2-2-1"), "layers", "6 layers for 4 training samples"),
        (("--set", "layers=2-two-1"), "layers", "64-32-10"),
        (("--set", "activation=swish"), "activation", "tanh"),
        (("--budget", "-5 evaluations"), "budget", "above 0"),
        (("--budget", "5 parsecs"), "budget", "20000 evaluations"),
        (("--seed", "-1"), "seed", "greater than or equal to 0"),
        (("--target", "95"), "target", "less than or equal to 1"),
        (("--method", "magic"), "method", "intrinsic"),
        (("--task", "nosuch"), "task", "digits"),
        (("--task", "nosuch.py:make"), "task", "doesn't exist"),
        (("--device", "crossbar"), "device", "scheme:target"),
        (("--device", "nosuch:x"), "device", "crossbar"),
        (("--device", "crossbar:nosuch"), "nosuch", "pcm"),
        (("--device", "crossbar:pcm?windw=1"), "windw", "'window'"),
        (("--device", "crossbar:pcm?sigma=-1"), "sigma", "greater than or equal to 0"),
        (("--device", "crossbar:pcm?sigma"), "device", "option=value"),
        (("--device", "crossbar:pcm?seed=1&seed=2"), "seed", "twice"),
        (("--resume",), "run", "--run DIR"),
        (("nosuch.toml",), "nosuch.toml", "can't be read"),
        (("bad.toml",), "bad.toml", "not TOML"),
        (("wrong.toml",), "seed", "valid integer"),
        (("unknown.toml",), "sede", "did you mean 'seed'"),
    ],
)
def test_bad_input_exits_2_and_names_the_key(hwzo, tmp_path, words, key, says):
    (tmp_path / "bad.toml").write_text("seed = = 3\n")
    (tmp_path / "wrong.toml").write_text('seed = "three"\n')
    (tmp_path / "unknown.toml").write_text("sede = 3\n")
    task = () if "--task" in words else ("--task", "xor")
    done = hwzo("train", "--json", *task, *words)
    assert done.code == 2
    error = done.json["error"]
    assert error["exit_code"] == 2
    assert key in error["message"]
    assert says in error["message"]
    assert "".join(error["message"].split()) in "".join(done.err.split())  # nothing is said to programs only
    assert not any((tmp_path / "runs").glob("*"))  # and no empty run is left behind


def test_train_for_people(hwzo, tmp_path):
    done = hwzo("train", "--task", "xor", "--budget", "60 evaluations")
    assert done.code == 0
    for words in ("evaluations", "test accuracy, read on the device", "cell writes", "(emulated)", "run: runs"):
        assert words in done.out
    (run,) = (tmp_path / "runs").iterdir()
    assert str(run.relative_to(tmp_path)) in done.out


def test_train_writes_ascii_where_nothing_else_goes(process, ended, monkeypatch):
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    done = ended(process("train", "--task", "xor", "--budget", "20 evaluations"))
    assert done.code == 0, done.err


def test_print_config_is_a_configuration(hwzo, tmp_path):
    words = ("train", "--task", "xor", "--set", "probes=3", "--set", "device=crossbar:ideal?sigma=1e-2", "--seed", "7")
    printed = hwzo(*words, "--print-config")
    assert printed.code == 0
    (tmp_path / "again.toml").write_text(printed.out)
    assert hwzo("train", "again.toml", "--print-config").out == printed.out
    assert hwzo(*words, "--print-config", "--json").json["device"] == "crossbar:ideal?sigma=1e-2"
    assert not (tmp_path / "runs").exists()


def test_a_configuration_file_and_options_on_top(hwzo, tmp_path):
    (tmp_path / "c.toml").write_text('task = "xor"\nbudget = "60 evaluations"\nmethod = "block"\nprobes = 4\n')
    result = hwzo("train", "c.toml", "--json", "--set", "probes=5", "--set", "scale=0.1", "--seed", "3").json
    assert (result["method"], result["seed"], result["steps"]) == ("block", 3, 12)


def test_evaluate(hwzo, run):
    path, result = run
    done = hwzo("evaluate", path, "--json", "--repeats", "5")
    assert done.code == 0
    assert done.json.keys() >= {"device", "emulated", "accuracy", "accuracy_standard_error", "repeats", "loss"}
    assert done.json["device"] == result["device"]
    assert done.json["repeats"] == 5
    people = hwzo("evaluate", path / "weights.safetensors")
    assert "+-" in people.out
    assert "(n = 10, programmed anew each time)" in people.out


def test_evaluate_refuses_what_does_not_fit(hwzo, run, tmp_path):
    path, _ = run
    other = hwzo("evaluate", path, "--device", "crossbar:ideal?layers=2-3-1", "--json")
    assert other.code == 2
    assert "2-2-1, 9 weights" in other.err
    assert "2-3-1, 13 weights" in other.err
    weights = Weights.load(path / "weights.safetensors")
    weights.theta[0] = np.nan
    weights.save(tmp_path / "nan.safetensors")
    refused = hwzo("evaluate", "nan.safetensors", "--json")
    assert refused.code == 2
    assert "0.weight[0, 0] is nan" in refused.err
    assert hwzo("evaluate", "nosuch.safetensors").code == 2
    assert hwzo("evaluate", path, "--repeats", "0").code == 2
    assert hwzo("evaluate", path, "--device", "crossbar:ideal?readback=loss").code == 4


@pytest.mark.parametrize(
    ("name", "told"),
    [("train", "[default: intrinsic]"), ("deploy", "[default: deployment.h5]"), ("twin", "[default: 8]")],
)
def test_help_tells_what_is_taken_if_nothing_is_given(hwzo, name, told, monkeypatch):
    monkeypatch.setenv("COLUMNS", "150")
    assert told in hwzo(name, "--help").out


def test_twin_takes_a_number_of_pairs_only_with_training(hwzo):
    done = hwzo("twin", "none.h5", "--device", "crossbar:pcm", "--seeds", "4", "--json")
    assert done.code == 2
    assert "--seeds goes with --train" in done.json["error"]["message"]


def test_replay(hwzo, run, tmp_path):
    path, result = run
    done = hwzo("replay", path, "-o", "w.safetensors", "--json")
    assert done.code == 0
    assert done.json["parameters_crc32"] == result["parameters_crc32"]
    assert done.json.keys() >= {"run", "step", "weights", "parameters_crc32"}
    tensors = load_file(tmp_path / "w.safetensors")
    theta = np.concatenate([tensors[name].ravel() for name in ("0.weight", "0.bias", "1.weight", "1.bias")])
    assert zlib.crc32(theta.astype("<f8").tobytes()) == result["parameters_crc32"]
    people = hwzo("replay", path, "--step", "0", "-o", "start.safetensors")
    assert "rerun on the emulated device" in people.out
    assert hwzo("evaluate", "start.safetensors", "--json").code == 0
    assert hwzo("replay", path, "--step", "31", "-o", "x.safetensors").code == 2
    assert hwzo("replay", path, "-o", "nosuch/x.safetensors").code == 2
    assert hwzo("replay", "nosuch", "-o", "x.safetensors").code == 2


def test_runs_with_a_damaged_one_among_them(hwzo, tmp_path):
    for name in ("a", "b", "c", "d"):
        hwzo("train", "--task", "xor", "--budget", "20 evaluations", "--run", f"runs/{name}")
    (tmp_path / "runs" / "b" / "journal.sqlite").write_bytes(b"not a database, but as long as one" * 100)
    (tmp_path / "runs" / "c" / "run.toml").write_text("format = 7\n")
    (tmp_path / "runs" / "no run").mkdir()
    (tmp_path / "runs" / "file").touch()
    done = hwzo("runs", "--json")
    assert done.code == 0
    rows = {row["run"]: row for row in done.json["runs"]}
    assert [rows[f"runs/{name}"]["state"] for name in "abcd"] == ["finished", "damaged", "damaged", "finished"]
    assert len(rows) == 4
    assert "journal" in rows["runs/b"]["reason"]
    assert "format 7" in rows["runs/c"]["reason"]
    assert rows["runs/a"]["evaluations"] == 20
    people = hwzo("runs", "runs")
    assert people.code == 0
    assert "damaged" in people.out
    assert "has format 7" in people.err


def test_runs_where_there_are_none(hwzo, tmp_path):
    assert hwzo("runs").code == 2
    (tmp_path / "runs").mkdir()
    assert hwzo("runs", "--json").json == {"runs": []}
    assert "no runs" in hwzo("runs").err


def test_devices(hwzo):
    rows = hwzo("devices", "--json").json["devices"]
    assert {"crossbar:ideal", "crossbar:pcm", "crossbar:reram-wan"} <= {row["url"] for row in rows}
    for row in rows:
        assert set(row) == {"url", "backend", "emulated", "available", "reason"}
        assert row["reason"]
    assert "emulated" in hwzo("devices").out


def test_a_page_that_cannot_be_drawn_is_said_and_ends_nothing(monkeypatch, tmp_path, capfd):
    def damaged(page):
        raise FileError("its journal is damaged")

    monkeypatch.setattr("hwzo.cli.picture.find_spec", lambda name: name)
    assert draw(tmp_path / "page.html", damaged) is None
    assert capfd.readouterr().err == "no picture: its journal is damaged\n"
    assert draw(tmp_path / "page.html", lambda page: None) == tmp_path / "page.html"
    monkeypatch.setattr("hwzo.cli.picture.find_spec", lambda name: None)
    assert draw(tmp_path / "page.html", damaged) is None
    assert 'pip install "hwzo[viz]"' in capfd.readouterr().err


def test_doctor(hwzo, monkeypatch):
    monkeypatch.setattr("hwzo.cli.doctor.find_spec", lambda name: None)
    checks = {check["name"]: check for check in hwzo("doctor", "--json").json["checks"]}
    assert all(set(check) == {"name", "ok", "detail", "install"} for check in checks.values())
    assert checks["python"]["ok"]
    assert checks["backend crossbar"]["ok"]
    assert not checks["sklearn"]["ok"]
    assert checks["sklearn"]["install"] == 'pip install "hwzo[data]"'
    assert all(bool(check["install"]) != check["ok"] for check in checks.values())
    assert hwzo("doctor").code == 0
    assert hwzo("doctor", "--install", "teapot").code == 2


def test_conformance(hwzo):
    done = hwzo("conformance", "--device", "crossbar:ideal?layers=3-2-2", "--json")
    assert done.code == 0
    assert done.json.keys() >= {"device", "checks", "passed", "failed", "skipped", "failures"}
    assert done.json["passed"] + done.json["skipped"] == done.json["checks"] > 10
    assert (done.json["failed"], done.json["failures"]) == (0, [])
    assert hwzo("conformance", "--device", "crossbar:nosuch", "--json").code == 2
    assert hwzo("conformance", "--device", "nosuch:x").code == 2


def test_conformance_of_a_device_that_fails_exits_5(hwzo, monkeypatch):
    monkeypatch.setattr(CrossbarDevice, "read", lambda self, repeats=1: np.zeros((repeats, self.parameters.size)))
    done = hwzo("conformance", "--device", "crossbar:ideal?layers=3-2-2", "--json")
    assert done.code == 5
    assert done.json["failed"] == len(done.json["failures"]) > 0
    assert set(done.json["failures"][0]) == {"name", "reason"}


def test_report(hwzo, run):
    path, _ = run
    done = hwzo("report", path, "--json")
    assert done.code == 0
    assert (path / "report.html").read_text(encoding="utf-8").startswith("<!doctype html")
    assert hwzo("report", "nosuch").code == 2


@pytest.mark.parametrize("command", ["devices", "doctor", "runs"])
def test_no_colour_where_none_is_wanted(hwzo, monkeypatch, tmp_path, command):
    (tmp_path / "runs").mkdir()
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert re.search(r"\x1b\[[349]\d", hwzo(command).out) is None


def test_json_is_all_there_is_on_standard_output(hwzo, run):
    path, _ = run
    for words in (("evaluate", path), ("replay", path, "-o", "w"), ("runs", "."), ("devices",), ("doctor",)):
        assert isinstance(json.loads(hwzo(*words, "--json").out), dict)
