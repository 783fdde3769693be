"""Runs that were cut short, whose files somebody moved, or that can only be read: nothing that was done is lost."""

import os
import shutil
import signal
import socket
import subprocess
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import hwzo
from hwzo.errors import ConfigError, DeviceError, FileError, StoppedError
from hwzo.report.material import gather
from hwzo.testing.faulty import FaultyDevice
from hwzo.train import loop
from hwzo.train.checkpoint import checkpoints
from hwzo.train.config import TrainConfig
from hwzo.train.folder import RunFolder
from hwzo.train.journal import Journal
from hwzo.train.replay import replay
from hwzo.train.start import start

PCM = "crossbar:pcm"


@pytest.fixture(scope="module")
def short(tmp_path_factory):
    """A finished run of 100 steps, and its folder; not to be changed."""
    path = tmp_path_factory.mktemp("short") / "run"
    return hwzo.train("xor", PCM, budget="200 evaluations", run=path), path


@pytest.fixture
def run(short, tmp_path):
    """A copy of it."""
    shutil.copytree(short[1], tmp_path / "run")
    return RunFolder(tmp_path / "run")


def contents(folder):
    """Every file of a run but the lock, which a start may touch."""
    return {
        str(path.relative_to(folder.path)): path.read_bytes()
        for path in sorted(folder.path.rglob("*"))
        if path.is_file() and not path.name.startswith(".lock")
    }


def crossbar():
    return hwzo.connect("crossbar:pcm?layers=2-2-1&window=3&seed=5")


# Continuations


def interrupted_after(evaluations):
    def watch(progress):
        if progress.at.spent.evaluations >= evaluations:
            os.kill(os.getpid(), signal.SIGINT)

    return watch


def test_an_interrupted_continuation_goes_on(short, run, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "WATCH_S", 0.0)
    shutil.copytree(short[1], tmp_path / "whole")
    whole = hwzo.train(run=tmp_path / "whole", resume=True, budget="400 evaluations")
    with pytest.raises(StoppedError):
        hwzo.train(run=run.path, resume=True, budget="400 evaluations", watch=interrupted_after(300))
    assert hwzo.load_run(run.path).result is None
    with pytest.raises(FileError, match="isn't finished"):  # the shorter run's weights are not taken for this one's
        hwzo.evaluate(run.path)
    result = hwzo.train(run=run.path, resume=True)
    assert result.evaluations == 400
    assert (result.parameters_crc32, result.test_accuracy) == (whole.parameters_crc32, whole.test_accuracy)


def test_a_continuation_killed_before_it_began_is_the_old_run_unfinished(short, run, monkeypatch):
    def killed(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(RunFolder, "describe", killed)
    with pytest.raises(KeyboardInterrupt):
        hwzo.train(run=run.path, resume=True, budget="400 evaluations")
    monkeypatch.undo()
    result = hwzo.train(run=run.path, resume=True)
    same = ("steps", "parameters_crc32", "test_accuracy", "evaluations", "cell_writes")
    assert all(getattr(result, key) == getattr(short[0], key) for key in same)
    assert hwzo.train(run=run.path, resume=True, budget="400 evaluations").evaluations == 400


def test_a_rerun_that_is_slower_than_the_first_time_drops_no_step(tmp_path, monkeypatch):
    device = FaultyDevice(crossbar(), after=70)
    with pytest.raises(DeviceError):
        hwzo.train("xor", device, budget="60 s", run=tmp_path / "run")
    taken = len(hwzo.load_run(tmp_path / "run").curve["t"])
    assert taken > 20
    now = iter(np.arange(0, 1e6, 30.0))  # every look at the clock is half a minute later: three use the budget up
    monkeypatch.setattr(loop, "time", SimpleNamespace(perf_counter=lambda: float(next(now))))
    result = hwzo.train("xor", device, run=tmp_path / "run", resume=True)
    assert result.steps == taken
    assert result.stopped == "budget"
    monkeypatch.undo()
    again = replay(tmp_path / "run")
    assert (again.step, again.parameters_crc32) == (taken, result.parameters_crc32)


def test_a_rerun_that_ends_before_the_journal_says_so(tmp_path):
    """As when other library versions reach the target sooner, though no loss differs that a step read."""

    class Lucky(FaultyDevice):
        lucky = False

        def measure(self, probes, batch):
            readings = super().measure(probes, batch)
            if self.lucky and len(batch) == 4 and readings.outputs is not None:
                readings.outputs[0] = 4.0 * (batch.targets - 0.5)
            return readings

    device = Lucky(crossbar(), after=70)
    settings = {"target": 1.0, "budget": "300 evaluations", "batch": 3, "validate_every": 20}
    with pytest.raises(DeviceError):
        hwzo.train("xor", device, run=tmp_path / "run", **settings)
    before = hwzo.load_run(tmp_path / "run").curve["t"].size
    device.lucky = True
    said = []
    given = TrainConfig.build({**settings, "task": "xor"})
    result = start({}, config=given, device=device, run=tmp_path / "run", resume=True, say=said.append)
    known = hwzo.load_run(tmp_path / "run")
    assert result.stopped == "target"
    assert result.steps == known.curve["t"].size < before
    assert known.validations[-1].accuracy == 1.0  # the look that reached it is kept
    assert "rerun ended early" in [kind for _, _, kind, _ in known.events]
    assert any("dropped" in text for text in said)


def test_a_rerun_that_differs_is_said_to_the_user(tmp_path):
    class Upgraded(FaultyDevice):
        def measure(self, probes, batch):
            readings = super().measure(probes, batch)
            if self.measured > self.after:
                readings.losses[...] *= 1 + 1e-9
            return readings

    device = Upgraded(crossbar(), after=70)
    with pytest.raises(DeviceError):
        hwzo.train("xor", device, budget="200 evaluations", run=tmp_path / "run")
    said = []
    config = hwzo.load_run(tmp_path / "run").config
    start({}, config=config, device=device, run=tmp_path / "run", resume=True, say=said.append)
    assert any("came out otherwise" in text for text in said)


# Files that somebody moved


@pytest.mark.parametrize("resume", [False, True])
@pytest.mark.parametrize("gone", [["checkpoints"], ["checkpoints", "run.toml"], ["run.toml"]])
def test_a_run_that_lacks_files_is_never_begun_anew(run, gone, resume):
    for name in (*gone, "weights.safetensors"):
        path = run.path / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    before = contents(run)
    says = "100 steps" if "checkpoints" in gone else "step-000000000"
    with pytest.raises(ConfigError, match=says) as caught:
        hwzo.train("xor", PCM, budget="200 evaluations", run=run.path, resume=resume)
    assert caught.value.key == "run"
    assert caught.value.exit_code == 2
    assert contents(run) == before
    run.discard()
    assert contents(run) == before


def test_a_finished_run_without_its_checkpoints_is_said_to_be_one(run):
    shutil.rmtree(run.checkpoints)
    with pytest.raises(FileError, match=r"weights\.safetensors, of a run that can't go on without its checkpoints"):
        hwzo.train("xor", PCM, run=run.path)


def test_a_journal_that_can_not_be_read_is_not_replaced(tmp_path):
    folder = RunFolder(tmp_path / "run")
    folder.lock()
    folder.unlock()
    folder.journal.write_bytes(np.random.default_rng(0).bytes(8192))
    with pytest.raises(FileError, match="can't be read"):
        hwzo.train("xor", PCM, budget="4 evaluations", run=folder.path)
    assert folder.journal.stat().st_size == 8192


@pytest.mark.parametrize("described", [False, True])
def test_a_start_that_was_killed_is_begun_anew(tmp_path, described):
    folder = RunFolder(tmp_path / "run")
    folder.lock()
    folder.unlock()
    living = Journal(folder.journal, create=True)
    shutil.copytree(folder.path, tmp_path / "killed")  # with the -wal and -shm of a process that is gone
    living.close()
    if described:
        RunFolder(tmp_path / "killed").describe(TrainConfig.build({"task": "xor"}), {})
    assert (tmp_path / "killed" / "journal.sqlite-wal").stat().st_size > 0
    assert hwzo.train("xor", PCM, budget="4 evaluations", run=tmp_path / "killed").steps == 2


def test_a_journal_that_was_set_aside_is_nobodys_to_remove(tmp_path):
    (tmp_path / "journal.sqlite.old").write_bytes(b"of somebody")
    with pytest.raises(ConfigError, match=r"journal\.sqlite\.old"):
        hwzo.train("xor", PCM, budget="4 evaluations", run=tmp_path)
    assert (tmp_path / "journal.sqlite.old").read_bytes() == b"of somebody"


@pytest.mark.parametrize(
    ("name", "how"), [("journal.sqlite", "removed"), ("journal.sqlite", "replaced"), ("run.toml", "removed")]
)
def test_a_file_that_vanishes_during_the_run_is_noticed(tmp_path, monkeypatch, name, how):
    monkeypatch.setattr(loop, "WATCH_S", 0.0)
    monkeypatch.setattr(loop, "CHECKPOINT_S", 0.0)
    path, aside = tmp_path / "run" / name, tmp_path / "aside"

    def watch(progress):
        if progress.at.t == 20:
            path.rename(aside)
            if how == "replaced":
                shutil.copy(aside, path)

    with pytest.raises(FileError, match=name.replace(".", r"\.") + " was removed"):
        hwzo.train("xor", PCM, budget="200 evaluations", run=tmp_path / "run", watch=watch)
    folder = RunFolder(tmp_path / "run")
    assert checkpoints(folder.checkpoints)
    if name == "run.toml":
        aside.rename(path)
    else:
        for part in folder.path.glob("journal.sqlite*"):
            part.unlink()
    assert hwzo.train(run=folder.path, resume=True).evaluations == 200


# Runs that can only be read


@pytest.fixture
def read_only(tmp_path):
    """Makes a copy of a folder that can't be written."""
    made = []

    def make(path):
        place = tmp_path / "read-only"
        place.mkdir()
        if os.geteuid() != 0:
            shutil.copytree(path, place / "run")
            places = [place / "run", *(p for p in (place / "run").rglob("*") if p.is_dir())]
            for folder in places:
                folder.chmod(0o555)
                made.append(lambda folder=folder: folder.chmod(0o755))
            return place / "run"
        mounted = subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(place)], capture_output=True, check=False)
        if mounted.returncode:
            refuse = pytest.fail if os.environ.get("CI") else pytest.skip
            refuse("root may write anywhere, and can't mount a disk here")
        made.append(lambda: subprocess.run(["umount", str(place)], check=True))
        shutil.copytree(path, place / "run")
        subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
        return place / "run"

    yield make
    for undo in made:
        undo()


def looks_the_same(path, steps, crc32):
    known = hwzo.load_run(path)
    assert known.curve["t"].size == steps
    assert gather(path).steps == steps
    again = replay(path)
    return (again.step, again.parameters_crc32) == (steps, crc32)


def test_a_finished_run_can_be_read_where_nothing_can_be_written(short, read_only):
    result, path = short
    assert looks_the_same(read_only(path), result.steps, result.parameters_crc32)


def killed_copy(tmp_path):
    """A run as a kill leaves it: its last steps not in the journal's main file yet."""
    with pytest.raises(DeviceError):
        hwzo.train("xor", FaultyDevice(crossbar(), after=50), budget="300 evaluations", run=tmp_path / "run")
    journal = Journal(tmp_path / "run" / "journal.sqlite")
    at = replay(tmp_path / "run")
    journal.event(at.step, "nothing", "but it is in the -wal")
    shutil.copytree(tmp_path / "run", tmp_path / "killed")
    journal.close()
    assert (tmp_path / "killed" / "journal.sqlite-wal").stat().st_size > 0
    return tmp_path / "killed", at


def test_a_killed_run_can_be_read_where_nothing_can_be_written(tmp_path, read_only):
    killed, at = killed_copy(tmp_path)
    path = read_only(killed)
    assert looks_the_same(path, at.step, at.parameters_crc32)
    assert hwzo.load_run(path).events[-1][2] == "nothing"


def test_what_can_not_be_read_without_writing_is_said_and_not_left_out(tmp_path, read_only):
    killed, _ = killed_copy(tmp_path)
    (killed / "journal.sqlite-shm").unlink()
    with pytest.raises(FileError, match="copy the run to a folder that can be written"):
        hwzo.load_run(read_only(killed))


def test_looking_at_a_run_changes_nothing(short, run):
    result, _ = short
    before = {str(path): path.stat().st_mtime_ns for path in run.path.rglob("*")} | contents(run)
    assert looks_the_same(run.path, result.steps, result.parameters_crc32)
    assert {str(path): path.stat().st_mtime_ns for path in run.path.rglob("*")} | contents(run) == before


def test_a_run_is_read_while_it_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "WATCH_S", 0.0)
    seen = []
    folder = tmp_path / "a run? 100% #1"
    hwzo.train(
        "xor",
        PCM,
        budget="40 evaluations",
        run=folder,
        watch=lambda progress: seen.append((progress.at.t, hwzo.load_run(folder).curve["t"].size)),
    )
    assert [(t - 1 <= steps <= t) for t, steps in seen] == [True] * 20


# Names that are none


def test_a_name_that_is_too_long_is_said(tmp_path):
    path = tmp_path / ("n" * 300)
    for look in (
        lambda: hwzo.train("xor", PCM, run=path),
        lambda: hwzo.load_run(path),
        lambda: hwzo.evaluate(path),
        lambda: replay(path),
    ):
        with pytest.raises(FileError, match="n" * 300):
            look()


@pytest.mark.parametrize("name", ["", "."])
def test_no_name_is_not_the_current_folder(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="run = ") as caught:
        hwzo.train("xor", PCM, run=name)
    assert caught.value.key == "run"
    assert list(tmp_path.iterdir()) == []


def test_a_run_in_the_current_folder_goes_on(run, short, monkeypatch):
    monkeypatch.chdir(run.path)
    assert hwzo.train(run=".", resume=True) == short[0]


@pytest.mark.parametrize("repeats", [0, 100_001, 10**12])
def test_repeats_are_bounded(short, repeats):
    with pytest.raises(ConfigError, match="from 1 to 100000") as caught:
        hwzo.evaluate(short[1], repeats=repeats)
    assert caught.value.key == "repeats"


# Outputs that are no files


@pytest.mark.parametrize("target", [".", "", "/", "/dev/null"])
def test_what_is_no_file_is_not_written(short, target, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = Path("/dev/null").stat().st_mode
    with pytest.raises(FileError, match="can't be written"):
        hwzo.load_run(short[1]).weights().save(Path(target))
    assert Path("/dev/null").stat().st_mode == before
    assert list(tmp_path.iterdir()) == []


def test_a_link_stays_a_link_and_a_pipe_a_pipe(short, tmp_path):
    weights = hwzo.load_run(short[1]).weights()
    (tmp_path / "file").write_bytes(b"old")
    (tmp_path / "link").symlink_to("file")
    weights.save(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_bytes() != b"old"
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        for name in ("pipe", "socket"):
            with pytest.raises(FileError, match=name):
                weights.save(tmp_path / name)
    for name, other in (("a", "b"), ("b", "a")):
        (tmp_path / name).symlink_to(other)
    with pytest.raises(FileError):
        weights.save(tmp_path / "a")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "file", "link", "pipe", "socket"]
