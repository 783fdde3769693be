"""Checkpoints, weights and run folders as files: nothing is lost, damage is said, other formats are refused by name."""

import json
import os
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

from hwzo.errors import DeviceBusyError, FileError
from hwzo.network import Network
from hwzo.probes import Cost
from hwzo.train.budget import Spent
from hwzo.train.checkpoint import Checkpoint, checkpoints
from hwzo.train.config import TrainConfig
from hwzo.train.folder import RunFolder
from hwzo.train.tensors import write_atomically
from hwzo.train.weights import Weights

SPEC = Network((3, 4, 2)).parameter_spec(window=1.5)


def checkpoint(t=7):
    rng = np.random.default_rng(t)
    return Checkpoint(
        t,
        rng.standard_normal(20),
        {"m": rng.standard_normal(20), "t": np.array([3.0])},
        Spent(14, 0, Cost(1, 2, 3, 0.25, 1e-9), 0.125),
        {"probe_size": 0.1},
        0.5,
        1.25,
        None,
        bytes(range(256)),
    )


def weights():
    theta = SPEC.initial(np.random.default_rng(0))
    return Weights(theta, SPEC, "xor", "3-4-2", "tanh", 1.5, "crossbar:pcm?seed=1", emulated=True)


def assert_same(a, b):
    np.testing.assert_array_equal(a.theta, b.theta)
    assert a.state.keys() == b.state.keys()
    for name, array in a.state.items():
        np.testing.assert_array_equal(array, b.state[name])
    blank = {"theta": None, "state": None}
    assert replace(a, **blank) == replace(b, **blank)


def test_a_checkpoint_comes_back_as_it_was(tmp_path):
    path = checkpoint().save(tmp_path)
    assert path.name == "step-000000007.safetensors"
    assert_same(Checkpoint.load(path), checkpoint())


def test_weights_come_back_as_they_were(tmp_path):
    weights().save(tmp_path / "w.safetensors")
    back = Weights.load(tmp_path / "w.safetensors")
    np.testing.assert_array_equal(back.theta, weights().theta)
    assert replace(back, theta=None) == replace(weights(), theta=None)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    return checkpoint().save(folder).read_bytes()


@given(st.data())
def test_one_bit_anywhere_in_a_checkpoint_is_seen(whole, tmp_path_factory, data):
    at, bit = data.draw(st.integers(0, len(whole) - 1)), data.draw(st.integers(0, 7))
    damaged = bytearray(whole)
    damaged[at] ^= 1 << bit
    path = tmp_path_factory.mktemp("one") / "step-000000007.safetensors"
    path.write_bytes(damaged)
    with pytest.raises(FileError, match="step-000000007"):
        Checkpoint.load(path)


@given(st.floats(0, 0.9999))
def test_a_truncated_checkpoint_is_seen(whole, tmp_path_factory, share):
    path = tmp_path_factory.mktemp("cut") / "step-000000007.safetensors"
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(FileError, match="step-000000007"):
        Checkpoint.load(path)


@pytest.mark.parametrize("version", ["0", "2"])
@pytest.mark.parametrize("load", [Checkpoint.load, Weights.load])
def test_another_format_is_refused_by_name(tmp_path, load, version):
    save_file({"theta": np.zeros(3)}, tmp_path / "f", {"format": version, "crc32": "0", "hwzo": "{}"})
    with pytest.raises(FileError, match=f"has format {version}, this version reads format 1"):
        load(tmp_path / "f")


def test_somebody_elses_safetensors_file_is_told_apart(tmp_path):
    save_file({"layer": np.zeros((2, 2), dtype=np.float16)}, tmp_path / "f")
    with pytest.raises(FileError, match="not written by hwzo"):
        Weights.load(tmp_path / "f")


@pytest.mark.parametrize("load", [Checkpoint.load, Weights.load])
def test_what_is_missing_or_no_file_is_said(tmp_path, load):
    for path in (tmp_path / "nosuch", tmp_path):
        with pytest.raises(FileError, match="missing or damaged"):
            load(path)


def test_a_file_is_the_old_one_or_the_new_one(tmp_path):
    path = tmp_path / "file"
    write_atomically(path, b"old")
    with pytest.raises(FileError, match="could not be written"):
        write_atomically(tmp_path / "nosuch" / "file", b"new")
    assert path.read_bytes() == b"old"
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_the_first_and_the_last_few_checkpoints_are_kept(tmp_path):
    folder = RunFolder(tmp_path)
    folder.checkpoints.mkdir()
    (folder.checkpoints / ".step-000000003.safetensors.part").write_bytes(b"of a save that was killed")
    for t in range(0, 50, 5):
        folder.keep(checkpoint(t))
    assert [Checkpoint.load(path).t for path in checkpoints(folder.checkpoints)] == [0, 35, 40, 45]
    assert len(list(folder.checkpoints.iterdir())) == 4


def test_the_last_whole_checkpoint_is_found_and_the_damaged_are_named(tmp_path):
    folder = RunFolder(tmp_path)
    folder.checkpoints.mkdir()
    for t in (0, 5, 10, 15):
        folder.keep(checkpoint(t))
    for t in (10, 15):
        path = folder.checkpoints / f"step-{t:09d}.safetensors"
        path.write_bytes(path.read_bytes()[:-1])
    found, damaged = folder.latest()
    assert found.t == 5
    assert [name in text for name, text in zip(("step-000000015", "step-000000010"), damaged, strict=True)] == [
        True
    ] * 2
    assert folder.latest(4)[0].t == 0
    for path in checkpoints(folder.checkpoints):
        path.write_bytes(b"")
    with pytest.raises(FileError, match="no whole checkpoint"):
        folder.latest()


def test_run_toml_holds_the_configuration(tmp_path):
    folder = RunFolder(tmp_path)
    config = TrainConfig.build({"task": "xor", "probes": 3})
    folder.describe(config, {"device": {"url": "crossbar:pcm"}, "method": {"exploration": "commanded"}})
    assert folder.config() == config
    assert folder.device_url() == "crossbar:pcm"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("format = 2\n", "has format 2, this version reads format 1"),
        ("x = 1\n", "has format None"),
        ("format = 1\n", r"no table \[config\]"),
        ("format = 1\n[config]\n", r"no table \[method\]; it is damaged"),  # cut off
        ("format = 1\n[config]\nnosuch = 3\n[method]\n", "damaged.*nosuch"),
        ("format = 1\n[config\n", "not TOML"),
    ],
)
def test_a_run_toml_that_is_none_is_said(tmp_path, content, says):
    (tmp_path / "run.toml").write_text(content)
    with pytest.raises(FileError, match=says):
        RunFolder(tmp_path).config()


def test_a_folder_without_run_toml_is_no_run(tmp_path):
    with pytest.raises(FileError, match="not a run's folder"):
        RunFolder(tmp_path).config()


def test_a_device_url_that_is_missing_is_said(tmp_path):
    (tmp_path / "run.toml").write_text("format = 1\n[device]\nurl = 3\n")
    with pytest.raises(FileError, match="device URL"):
        RunFolder(tmp_path).device_url()


def test_fresh_folders_do_not_collide(tmp_path):
    made = [RunFolder.fresh(tmp_path / "runs", "dir/task.py:make", "spsa").path for _ in range(5)]
    assert len(set(made)) == 5
    assert all(path.is_dir() and "-task-spsa" in path.name for path in made)


def test_a_second_user_of_a_folder_is_told_the_process(tmp_path):
    first, second = RunFolder(tmp_path), RunFolder(tmp_path)
    first.lock()
    with pytest.raises(DeviceBusyError, match=f"process {os.getpid()}"):
        second.lock()
    holder = next(tmp_path.glob("*.holder"))
    holder.write_text(json.dumps([1]))
    with pytest.raises(DeviceBusyError, match="another process"):
        second.lock()
    first.unlock()
    second.lock()
    second.unlock()


def test_only_what_a_start_left_is_discarded(tmp_path):
    folder = RunFolder(tmp_path / "run")
    folder.lock()
    folder.discard()
    folder.unlock()
    assert not folder.path.exists()
    folder.lock()
    (folder.path / "thesis.tex").write_text("mine")
    folder.discard()
    folder.unlock()
    assert [p.name for p in folder.path.iterdir()] == ["thesis.tex"]
    assert folder.foreign == ["thesis.tex"]
