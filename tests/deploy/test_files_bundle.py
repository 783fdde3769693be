"""A bundle holds what was put in, in bytes that depend on nothing else; what was altered is named."""

from __future__ import annotations

import json
import re
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwzo.deploy.bundle import Bundle, ProbeSet, read_bundle, write_bundle
from hwzo.deploy.sources import load_source
from hwzo.errors import ConfigError, FileError
from hwzo.network import Network
from hwzo.train.weights import Weights

DEVICE = "crossbar:pcm?seed=3"


def weights_of(label: str = "6-5-3") -> Weights:
    network = Network.parse(label)
    spec = network.parameter_spec(1.0)
    theta = np.random.default_rng(110).uniform(-1, 1, spec.size)
    return Weights(theta, spec, "", network.label, "tanh", 1.0, DEVICE, emulated=True)


def written(path: Path, *, whole: bool = True) -> Path:
    weights, rng = weights_of(), np.random.default_rng(111)
    inputs = rng.uniform(-1, 1, (8, 6))
    if not whole:
        return write_bundle(path, weights, ProbeSet.of(weights, inputs))
    outputs = ProbeSet.of(weights, inputs).outputs
    probes = ProbeSet.of(weights, inputs, outputs + 0.01, np.full(outputs.shape, 0.02))
    mapping = {"gains": np.linspace(0.5, 2.0, 8), "order_0": np.array([4, 2, 0, 1, 3])}
    return write_bundle(path, weights, probes, mapping=mapping, profile=b"a profile")


def test_a_bundle_gives_back_what_was_put_in(tmp_path: Path):
    bundle = read_bundle(written(tmp_path / "x.zip"))
    weights = weights_of()
    np.testing.assert_array_equal(bundle.weights.theta, weights.theta)
    assert bundle.weights.parameters == weights.parameters
    np.testing.assert_array_equal(bundle.mapping["gains"], np.linspace(0.5, 2.0, 8))
    np.testing.assert_array_equal(bundle.mapping["order_0"], [4, 2, 0, 1, 3])
    assert bundle.mapping["order_0"].dtype == np.int64
    assert bundle.profile == b"a profile"
    assert (bundle.device, bundle.manifest["device"]["emulated"]) == (DEVICE, True)
    assert bundle.probes.measured is not None
    np.testing.assert_allclose(bundle.probes.measured - bundle.probes.outputs, 0.01, atol=1e-15)
    expected = Network.parse("6-5-3").forward(weights.theta, bundle.probes.inputs)[-1]
    np.testing.assert_array_equal(bundle.probes.outputs, expected)
    np.testing.assert_array_equal(load_source(tmp_path / "x.zip", task="xor").theta, weights.theta)


def test_a_bundle_of_the_least(tmp_path: Path):
    bundle = read_bundle(written(tmp_path / "x.zip", whole=False))
    assert isinstance(bundle, Bundle)
    assert (dict(bundle.mapping), bundle.profile, bundle.device) == ({}, None, DEVICE)
    assert bundle.probes.measured is None
    assert bundle.probes.spread is None


def test_the_same_content_gives_the_same_bytes(tmp_path: Path):
    first = written(tmp_path / "a.zip").read_bytes()
    for n in range(10):
        assert written(tmp_path / f"{n}.zip").read_bytes() == first
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert archive.namelist()[0] == "manifest.json"
        assert {info.date_time[0] for info in archive.infolist()} == {1980}
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}


def repacked(path: Path, changes: dict[str, bytes | None], *, honest: bool = False, twice: str = "") -> Path:
    """A bundle with other parts; ``honest`` gives them a manifest that fits."""
    import hashlib

    with zipfile.ZipFile(written(path)) as source:
        parts = {name: source.read(name) for name in source.namelist()}
    parts.update({name: content for name, content in changes.items() if content is not None})
    for name in [name for name, content in changes.items() if content is None]:
        del parts[name]
    if honest:
        manifest = json.loads(parts["manifest.json"])
        del manifest["sha256"]
        for name in manifest["parts"]:
            manifest["parts"][name]["sha256"] = hashlib.sha256(parts[name]).hexdigest()
        text = (json.dumps(manifest, indent=1, sort_keys=True) + "\n").encode()
        manifest["sha256"] = hashlib.sha256(text).hexdigest()
        parts["manifest.json"] = json.dumps(manifest).encode()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a name that is there twice
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in parts.items():
                archive.writestr(name, content)
            if twice:
                archive.writestr(twice, parts[twice])
    return path


PARTS = ["weights.safetensors", "probes.safetensors", "mapping.safetensors", "profile.h5"]


@pytest.mark.parametrize("part", PARTS)
def test_an_altered_part_is_named(part: str, tmp_path: Path):
    with zipfile.ZipFile(written(tmp_path / "x.zip")) as archive:
        content = bytearray(archive.read(part))
    content[-1] ^= 1
    with pytest.raises(FileError, match=f"altered: {part}") as caught:
        read_bundle(repacked(tmp_path / "x.zip", {part: bytes(content)}))
    assert caught.value.exit_code == 2
    with pytest.raises(FileError, match=f"altered: it has no {part}"):
        read_bundle(repacked(tmp_path / "x.zip", {part: None}))


@pytest.mark.parametrize(
    ("changes", "twice", "says"),
    [
        ({"../evil": b"x"}, "", r"a part '\.\./evil'"),
        ({"/etc/passwd": b"x"}, "", "a part '/etc/passwd'"),
        ({"extra.txt": b"x"}, "", "a part 'extra.txt'"),
        ({}, "profile.h5", "it has profile.h5 twice"),
        ({"manifest.json": None}, "", "no bundle of hwzo"),
        ({"manifest.json": b"{}"}, "", "manifest.json"),
        ({"manifest.json": b"[" * 100_000}, "", "manifest.json"),
        ({"manifest.json": b'{"sha256": "", "format": 9}'}, "", "format 9.*reads format 1"),
        ({"manifest.json": b'{"sha256": "", "format": 1}'}, "", "manifest.json"),
    ],
)
def test_archives_that_are_no_whole_bundle(changes: dict[str, bytes | None], twice: str, says: str, tmp_path: Path):
    with pytest.raises(FileError, match=says):
        read_bundle(repacked(tmp_path / "x.zip", changes, twice=twice))


def test_a_changed_manifest_is_told(tmp_path: Path):
    with zipfile.ZipFile(written(tmp_path / "x.zip")) as archive:
        text = archive.read("manifest.json").replace(b"crossbar:pcm", b"crossbar:pcx")
    with pytest.raises(FileError, match=r"manifest\.json doesn't fit its own sha256"):
        read_bundle(repacked(tmp_path / "x.zip", {"manifest.json": text}))


def test_weights_that_make_other_outputs_are_told(tmp_path: Path):
    other = Weights(**{**vars(weights_of()), "theta": weights_of().theta * 0.5})
    other.save(tmp_path / "w.safetensors")
    changes: dict[str, bytes | None] = {"weights.safetensors": (tmp_path / "w.safetensors").read_bytes()}
    with pytest.raises(FileError, match="other outputs on its probe set"):
        read_bundle(repacked(tmp_path / "x.zip", changes, honest=True))
    assert read_bundle(repacked(tmp_path / "x.zip", {}, honest=True)).device == DEVICE


def test_a_part_that_unpacks_to_more_than_the_archive_is_refused(tmp_path: Path):
    with zipfile.ZipFile(path := tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("manifest.json", b"{}" + b" " * 50_000_000)
    assert path.stat().st_size < 100_000
    with pytest.raises(FileError, match=r"manifest\.json is compressed"):
        read_bundle(path)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 255), st.booleans())
def test_one_wrong_byte_or_a_cut_is_noticed_or_makes_no_difference(at: int, xor: int, cut: bool):
    content = bytearray(_WHOLE)
    at %= len(content)
    content[at] ^= xor
    path = Path(_SCRATCH) / "x.zip"
    path.write_bytes(content[:at] if cut else content)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        told, theta = str(path), weights_of().theta
        try:
            theta = read_bundle(path).weights.theta
        except FileError as error:
            told = str(error)
    assert str(path) in told
    np.testing.assert_array_equal(theta, weights_of().theta)


def test_what_cannot_be_written_or_has_no_outputs(tmp_path: Path):
    weights = weights_of()
    probes = ProbeSet.of(weights, np.zeros((2, 6)))
    with pytest.raises(FileError, match="nowhere"):
        write_bundle(tmp_path / "nowhere" / "x.zip", weights, probes)
    with pytest.raises(FileError, match=r"none\.h5 can't be read"):
        write_bundle(tmp_path / "x.zip", weights, probes, profile=tmp_path / "none.h5")
    black_box = Weights(weights.theta, weights.parameters, "", "", "", None, "mine:1", emulated=False)
    with pytest.raises(ConfigError, match="no network"):
        ProbeSet.of(black_box, np.zeros((2, 6)))


def test_the_page_on_weights_does_what_it_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    page = (Path(__file__).parents[2] / "docs" / "weights.md").read_text()
    monkeypatch.chdir(tmp_path)
    for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        exec(compile(block, "weights.md", "exec"), {"__name__": "page"})
    assert {path.suffix for path in tmp_path.iterdir()} == {".safetensors", ".onnx", ".nir", ".zip"}
    for path in tmp_path.iterdir():
        load_source(path)


_SCRATCH, _WHOLE = "", b""


@pytest.fixture(autouse=True, scope="module")
def _scratch(tmp_path_factory: pytest.TempPathFactory):  # pyright: ignore[reportUnusedFunction]
    global _SCRATCH, _WHOLE
    folder = tmp_path_factory.mktemp("bundles")
    _SCRATCH, _WHOLE = str(folder), written(folder / "whole.zip").read_bytes()
