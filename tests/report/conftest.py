"""Runs to draw pages of, each made once."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import hwzo


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """The folder of a finished run with these settings; to be copied before it is changed."""
    known: dict[str, Path] = {}

    def make(task: str, device: str, budget: str, **settings: object) -> Path:
        key = repr((task, device, budget, sorted(settings.items())))
        if key not in known:
            known[key] = tmp_path_factory.mktemp("runs") / "run"
            hwzo.train(task, device, run=known[key], budget=budget, **settings)
        return known[key]

    return make


@pytest.fixture
def nist(made: Callable[..., Path]) -> Path:
    """Letters on the noisy crossbar, by the nodes' own noise."""
    return made("nist7x7", "crossbar:pcm", "400 evaluations", validate_every=50)


@pytest.fixture
def loss_only(made: Callable[..., Path]) -> Path:
    """A device that gives a loss only, so no accuracy."""
    return made("xor", "crossbar:pcm?readback=loss", "200 evaluations", method="selection")


@pytest.fixture
def copied(tmp_path: Path) -> Callable[[Path], Path]:
    """A copy of a run, to be damaged."""
    return lambda run: Path(shutil.copytree(run, tmp_path / "copy"))
