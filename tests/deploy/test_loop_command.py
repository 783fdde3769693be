"""hwzo deploy, as typed."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hwzo.cli.main import main
from hwzo.data.catalogue import load_task
from hwzo.deploy import bundle
from hwzo.deploy.deploying import deploy
from hwzo.deploy.deployment import Deployment
from hwzo.errors import FileError
from hwzo.network import Network
from hwzo.train.weights import Weights

LAYERS = "49-4-4"
IDEAL = f"crossbar:ideal?layers={LAYERS}&seed=1&engine=numpy"
PCM = f"crossbar:pcm?layers={LAYERS}&seed=1&engine=numpy"
KEYS = {
    "device",
    "emulated",
    "cells",
    "cells_within_tolerance",
    "cell_writes",
    "verified",
    "accuracy_before",
    "accuracy",
}
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def hwzo(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run a command in this process, in a folder of its own: (exit code, standard output, standard error)."""
    monkeypatch.chdir(tmp_path)
    # A page takes seconds to draw; one test draws it.
    monkeypatch.setattr("hwzo.cli.picture.find_spec", lambda name: None)  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType]

    def run(*words: str) -> tuple[int, str, str]:
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(list(words))
        out, err = capfd.readouterr()
        assert "Traceback" not in out + err
        assert isinstance(ended.value.code, int)
        return ended.value.code, out, err

    return run


@pytest.fixture
def weights(tmp_path: Path) -> str:
    """A file of weights of the letters' task."""
    task, network = load_task("nist7x7"), Network.parse(LAYERS)
    spec, batch = network.parameter_spec(1.0), task.batch("train")
    theta = spec.initial(np.random.default_rng(10))
    for _ in range(100):
        theta = spec.clip(theta - 0.3 * network.gradient(theta, batch.inputs, batch.targets, batch.loss)[1])
    Weights(theta, spec, "nist7x7", LAYERS, "tanh", 1.0, IDEAL, True).save(tmp_path / "w.safetensors")
    return "w.safetensors"


def test_one_object_with_what_scripts_rely_on(hwzo: Run, weights: str, tmp_path: Path) -> None:
    code, out, err = hwzo("deploy", weights, "--device", PCM, "--json")
    assert code == 0, err
    assert out.count("\n") == 1
    told = json.loads(out)
    assert set(told) >= KEYS
    assert told["verified"] is True
    assert told["emulated"] is True
    assert (tmp_path / "deployment.h5").is_file()


def test_a_table_for_people(hwzo: Run, weights: str) -> None:
    code, out, err = hwzo("deploy", weights, "-o", "mine.h5")  # on the device that they were learned on
    assert code == 0, err
    for text in ("verified", "emulated", "within the tolerance", "test accuracy", "cell writes", "the limit is"):
        assert text in out
    assert "tolerance" in err
    code, out, err = hwzo("deploy", weights, "--device", PCM, "-o", "mine.h5")
    assert code == 2
    assert "--force" in err
    code, out, err = hwzo("deploy", weights, "--device", PCM, "-o", "mine.h5", "--force")
    assert code == 0, err


def test_what_is_not_verified_exits_with_5_and_says_why(hwzo: Run, weights: str) -> None:
    # Open loop, with the published spread of the steps' sizes, and one write: most cells miss.
    url = f"crossbar:ecram-li?layers={LAYERS}&seed=1&engine=numpy&verify=0"
    code, out, err = hwzo("deploy", weights, "--device", url, "--most-writes", "5", "--tolerance", "0.01", "--json")
    assert code == 5
    assert json.loads(out)["verified"] is False
    assert "not verified" in err
    assert "used up their 5 writes, or the rounds" in err


def test_a_dry_run_writes_nothing(hwzo: Run, weights: str, tmp_path: Path) -> None:
    code, out, err = hwzo("deploy", weights, "--device", PCM, "--dry-run", "--json")
    assert code == 0, err
    told = json.loads(out)
    assert told["dry_run"] is True
    assert told["cell_writes"] > 0
    assert not list(tmp_path.glob("deployment*"))
    code, out, err = hwzo("deploy", weights, "--device", PCM, "--dry-run")
    assert code == 0
    assert "would take" in out
    assert "no effect" not in err
    code, _, err = hwzo("deploy", weights, "--device", PCM, "--dry-run", "-o", "d.h5", "--bundle", "b.zip", "--force")
    assert code == 0
    assert "--output, --bundle, --force had no effect" in err
    assert {path.name for path in tmp_path.iterdir()} == {weights}


def test_a_bundle_is_deployed_elsewhere(hwzo: Run, weights: str) -> None:
    code, out, err = hwzo("deploy", weights, "--device", PCM, "--bundle", "b.zip", "--json")
    assert code == 0, err
    assert json.loads(out)["bundle"] == "b.zip"
    code, _, err = hwzo("deploy", weights, "--device", PCM, "--bundle", "b.zip", "--json")
    assert code == 2
    assert "b.zip is there already" in err
    code, out, err = hwzo("deploy", "b.zip", "--device", PCM.replace("seed=1", "seed=2"), "-o", "other.h5", "--json")
    assert code == 0, err
    assert json.loads(out)["verified"] is True


@pytest.mark.parametrize("place", ["nofolder/b.zip", ".", "mine.h5"])
def test_without_a_place_for_the_bundle_nothing_is_deployed(
    hwzo: Run, weights: str, place: str, tmp_path: Path
) -> None:
    words = ("--device", PCM, "-o", "mine.h5", "--bundle", place, "--force", "--json")
    code, out, err = hwzo("deploy", weights, *words)
    assert code == 2
    assert f"bundle {place}" in err
    assert json.loads(out)["error"]["exit_code"] == 2
    assert {path.name for path in tmp_path.iterdir()} == {weights}
    assert hwzo("deploy", weights, *words, "--dry-run")[0] == 2


@pytest.mark.parametrize(("way", "exit_code", "says"), [("disk", 2, "the disk is full"), ("outputs", 4, "gives none")])
def test_a_bundle_that_fails_takes_nothing_from_the_deployment(
    hwzo: Run, weights: str, way: str, exit_code: int, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, content: bytes) -> None:
        raise FileError("the disk is full")

    def silent(*args: Any, **kwargs: Any) -> Deployment:
        return replace(deploy(*args, **kwargs), probes={})

    if way == "disk":
        monkeypatch.setattr(bundle, "write_atomically", full)
    else:
        monkeypatch.setattr("hwzo.cli.deploy.deploy", silent)
    code, out, err = hwzo("deploy", weights, "--device", PCM, "--bundle", "b.zip", "--json")
    assert code == exit_code
    assert out.count("\n") == 1
    told = json.loads(out)
    assert told["verified"] is True
    assert told["bundle"] is None
    assert "no bundle" in err
    assert says in err
    assert Deployment.load("deployment.h5").result.verified


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        ((), 2, "name what to deploy"),
        (("w.safetensors", "--from", IDEAL), 2, "name what to deploy"),
        (("none.safetensors",), 2, "none.safetensors"),
        (("w.safetensors", "--tolerance", "-1"), 2, "tolerance"),
        (("w.safetensors", "--most-writes", "0"), 2, "most_writes"),
        (("w.safetensors", "--device", "crossbar:nothing"), 2, "nothing"),
        (("w.safetensors", "--device", f"{IDEAL}&readback=loss"), 4, "readback=weights"),
        (("w.safetensors", "--profile", "none.h5"), 2, "none.h5"),
        (("w.safetensors", "--device", PCM, "--tolerance", "0.0001"), 2, "reachable is"),
        (("w.safetensors", "--device", IDEAL.replace("49-4-4", "49-5-4")), 2, "49-5-4"),
        (("w.safetensors", "--touch-up", "much"), 2, "much"),
    ],
)
def test_bad_input(hwzo: Run, weights: str, words: tuple[str, ...], code: int, told: str) -> None:
    ended, out, err = hwzo("deploy", *words, "--json")
    assert ended == code
    assert told in err
    error = json.loads(out)["error"]
    assert error["exit_code"] == code


def test_the_page_shows_every_layer(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    from hwzo.cli.report import command

    network = Network.parse("6-4")  # one layer: a page takes a second a drawing
    spec = network.parameter_spec(1.0)
    theta = spec.initial(np.random.default_rng(1))
    url = "crossbar:pcm?layers=6-4&seed=1&engine=numpy&stuck=0.1"
    deploy(Weights(theta, spec, "", "6-4", "tanh", 1.0, url, True), url, output=tmp_path / "d.h5")
    page = tmp_path / "d.html"
    assert command(tmp_path / "d.h5", None, json=False) == 0
    text = page.read_text(encoding="utf-8")
    assert text.count("<svg") == 2 + 4  # errors and writes; target, error, writes and state of the layer
    assert "emulated" in text
    assert "What the mapping bought" in text
    for outside in ("<script", "http://", "https://"):
        assert outside not in text.replace("http://www.w3.org", "")
