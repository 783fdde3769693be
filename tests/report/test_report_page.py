"""The page as a reader and a browser find it."""

import sqlite3
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

import hwzo
from hwzo.data.task import Task
from hwzo.errors import FileError
from hwzo.report.material import gather
from hwzo.report.page import write_run_page
from hwzo.testing.quadratic import QuadraticDevice
from hwzo.train import bench
from hwzo.train.checkpoint import checkpoints

VOID = {"meta", "br", "img", "link", "input", "hr"}


class Page(HTMLParser):
    """The text, tags and attributes of a page; checks that every element is closed."""

    def __init__(self, path: Path):
        super().__init__(convert_charrefs=True)
        self.source = path.read_text(encoding="utf-8")
        self.tags: list[str] = []
        self.references: list[str] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(self.source)
        self.close()
        assert self.open == []
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]):
        self.tags.append(tag)
        self.references += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href", "data")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str):
        assert self.open.pop() == tag

    def handle_data(self, data: str):
        if self.open and self.open[-1] != "style":
            self.words.append(data)


def drawn(run: Path, tmp_path: Path) -> Page:
    write_run_page(run, tmp_path / "page.html")
    return Page(tmp_path / "page.html")


def unfinish(run: Path) -> None:
    """As a run is that was killed: without its result and weights."""
    with sqlite3.connect(run / "journal.sqlite") as journal:
        journal.execute("DELETE FROM meta WHERE key = 'result'")
    journal.close()
    (run / "weights.safetensors").unlink()


def test_a_finished_run(nist: Path, tmp_path: Path):
    page, result = drawn(nist, tmp_path), hwzo.load_run(nist).result
    assert result is not None
    assert result.test_accuracy is not None
    assert "EMULATED" in page.words
    assert "HARDWARE" not in page.words
    assert "UNFINISHED" not in page.words
    assert f"{result.test_accuracy:.4f}" in page.text
    assert f"n = {result.test_samples} samples" in page.text
    for number in (result.evaluations, result.cell_writes, result.steps):
        assert f"{number:,}" in page.words or any(word.startswith(f"{number:,},") for word in page.words)
    assert str(result.parameters_crc32) in page.text
    for title in ("Learning curves", "Noise by layer", "Weights before and after", "Confusion matrix", "Events"):
        assert title in page.words
    assert "made for this page" in page.text
    assert page.tags.count("svg") >= 4 + 4 + 4 + 1


def test_the_page_stands_alone_and_is_small(nist: Path, tmp_path: Path):
    page = drawn(nist, tmp_path)
    assert {"script", "link", "iframe", "object", "img"}.isdisjoint(page.tags)
    assert all(reference.startswith(("#", "data:image/png;base64,")) for reference in page.references)
    assert "@import" not in page.source
    assert len(page.source) < 1_000_000


def test_the_same_run_gives_the_same_bytes(nist: Path, tmp_path: Path):
    assert drawn(nist, tmp_path).source == drawn(nist, tmp_path).source


def test_a_device_that_gives_a_loss_only(loss_only: Path, tmp_path: Path):
    page = drawn(loss_only, tmp_path)
    assert "The device gives a loss only, so there is no accuracy to draw." in page.text
    assert "There is none: the device gives a loss only." in page.text
    assert "its noise shows in the loss alone" in page.text


def test_a_killed_run_is_counted_from_its_journal(nist: Path, tmp_path: Path, copied: Callable[[Path], Path]):
    run = copied(nist)
    result = hwzo.load_run(run).result
    assert result is not None
    unfinish(run)
    for path in checkpoints(run / "checkpoints")[1:]:
        path.unlink()
    spent = gather(run).spent
    counted = (spent.evaluations, spent.commanded_probes, spent.cost.cell_writes)
    assert counted == (result.evaluations, result.commanded_probes, result.cell_writes)
    assert spent.cost.device_seconds == pytest.approx(result.device_seconds)
    page = drawn(run, tmp_path)
    assert "UNFINISHED" in page.words
    assert "Its test split has not been read." in page.text
    assert "no checkpoint after its first one" in page.text


def test_a_run_without_a_step(nist: Path, tmp_path: Path, copied: Callable[[Path], Path]):
    run = copied(nist)
    unfinish(run)
    with sqlite3.connect(run / "journal.sqlite") as journal:
        for table in ("steps", "validations", "events"):
            journal.execute(f"DELETE FROM {table}")
    journal.close()
    for path in checkpoints(run / "checkpoints")[1:]:
        path.unlink()
    page = drawn(run, tmp_path)
    assert "No step is finished yet" in page.text
    assert "no stop, no resumption, no failure" in page.text


def test_damaged_checkpoints_are_said_and_the_rest_is_drawn(nist: Path, tmp_path: Path, copied: Callable[[Path], Path]):
    run = copied(nist)
    for path in checkpoints(run / "checkpoints"):
        path.write_bytes(path.read_bytes()[:-20])
    page = drawn(run, tmp_path)
    assert "no whole checkpoint" in page.text
    assert "Not measured for this page: no checkpoint is whole." in page.text
    assert "Learning curves" in page.words


@pytest.mark.parametrize("name", ["run.toml", "journal.sqlite"])
def test_a_damaged_run_is_refused(nist: Path, tmp_path: Path, copied: Callable[[Path], Path], name: str):
    run = copied(nist)
    (run / name).write_bytes(b"\x00 not what it was \xff" * 400)
    with pytest.raises(FileError, match=name.replace(".", r"\.")):
        write_run_page(run, tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()


def test_what_is_no_run_is_refused(tmp_path: Path):
    with pytest.raises(FileError, match=r"run\.toml"):
        write_run_page(tmp_path, tmp_path / "page.html")


def test_a_page_that_cannot_be_written_leaves_the_old_one(nist: Path, tmp_path: Path):
    with pytest.raises(FileError, match="no folder"):
        write_run_page(nist, tmp_path / "nowhere" / "page.html")
    (tmp_path / "file").write_text("old")
    with pytest.raises(FileError, match="no folder"):
        write_run_page(nist, tmp_path / "file" / "page.html")
    with pytest.raises(FileError, match="is a folder"):
        write_run_page(nist, tmp_path)
    write_run_page(nist, tmp_path / "file")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"]
    assert (tmp_path / "file").read_text().startswith("<!doctype html>")


def test_nothing_from_a_file_becomes_markup(nist: Path, tmp_path: Path, copied: Callable[[Path], Path]):
    evil = "</style></svg><script>alert(1)</script><img src=http://x.invalid/>"
    run = copied(nist)
    with sqlite3.connect(run / "journal.sqlite") as journal:
        journal.execute("INSERT INTO events VALUES (0, 1, ?, ?)", (evil, evil))
    journal.close()
    toml = run / "run.toml"
    text = toml.read_text()
    for key in ("reason", "source", "model", "hwzo", "task"):
        text = "\n".join(f'{key} = "{evil}"' if line.startswith(f"{key} =") else line for line in text.splitlines())
    toml.write_text(text)
    page = drawn(run, tmp_path)
    assert page.text.count("alert(1)") >= 6
    assert "script" not in page.tags
    assert "img" not in page.tags
    assert all(reference.startswith(("#", "data:image/png;base64,")) for reference in page.references)


class Chip(QuadraticDevice):
    """Passes for hardware: cannot be saved, and must not be opened again."""

    @property
    def info(self):
        return replace(super().info, url="chip:1", model="chip", emulated=False)

    @property
    def capabilities(self):
        return replace(super().capabilities, snapshot=False)


def test_a_run_on_hardware(tmp_path: Path, monkeypatch):
    inputs = np.zeros((20, 2))
    task = Task.from_arrays("nothing", inputs, np.zeros((20, 1)), layers=(2, 1), loss="squared-error")
    hwzo.train(task, Chip(6, loss_sd=0.01), run=tmp_path / "run", budget="200 evaluations", method="block")
    monkeypatch.setattr(bench, "connect", lambda *args, **options: pytest.fail("a device was opened"))
    page = drawn(tmp_path / "run", tmp_path)
    assert "HARDWARE" in page.words
    assert "EMULATED" not in page.words
    assert page.words.count("emulated") == 1  # the key in run.toml, whose value is "no"
    assert "Not measured for this page: the run was made on hardware, which a page never touches." in page.text
