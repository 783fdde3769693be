"""A bundle: weights, their mapping, the device's profile and what the outputs should be, in one checked file.

A zip archive without compression, whose bytes depend on its content only:

====================  ==================================================================
manifest.json         hwzo's version, the device, and the sha256 and size of every part
weights.safetensors   as `hwzo.train.weights.Weights` writes it
probes.safetensors    inputs, outputs, and measured and spread if a device was asked
mapping.safetensors   arrays of the mapping, if there is one
profile.h5            the device's noise profile, if one was given
====================  ==================================================================
"""

from __future__ import annotations

import hashlib
import io
import json
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors

from hwzo.errors import ConfigError, FileError
from hwzo.network import Network
from hwzo.parameters import Array
from hwzo.train.tensors import safetensors_bytes, write_atomically
from hwzo.train.weights import Weights

FORMAT = 1
MANIFEST, WEIGHTS, PROBES, MAPPING, PROFILE = (
    "manifest.json",
    "weights.safetensors",
    "probes.safetensors",
    "mapping.safetensors",
    "profile.h5",
)
DATE = (1980, 1, 1, 0, 0, 0)
"""Of every part: the earliest that a zip archive knows."""
MOST_MANIFEST = 1 << 20
"""Bytes."""
SAME = 1e-9
"""How far outputs that are computed anew may be off, absolute and relative: machines add in different orders."""
DAMAGE = (EOFError, ValueError, RuntimeError, OverflowError, struct.error, zlib.error)
"""What zipfile raises on damaged archives, beside its own errors; a ``NotImplementedError`` is a ``RuntimeError``."""
Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class ProbeSet:
    """Samples, and what the network makes of them.

    Args:
        inputs: (samples, n_in), in [-1, 1], as the network takes them.
        outputs: (samples, n_out), of the float network, without noise.
        measured: (samples, n_out), mean outputs of the device that held the weights; None if it gave none.
        spread: (samples, n_out), standard deviation of a single evaluation's outputs on that device; None likewise.
    """

    inputs: Array
    outputs: Array
    measured: Array | None = None
    spread: Array | None = None

    @classmethod
    def of(
        cls, weights: Weights, inputs: Array, measured: Array | None = None, spread: Array | None = None
    ) -> ProbeSet:
        """With the outputs that the network computes for inputs (samples, n_in).

        Raises:
            ConfigError: the weights are of a device that is no network.
        """
        return cls(inputs, _outputs(weights, inputs), measured, spread)


@dataclass(frozen=True)
class Bundle:
    """What a bundle holds.

    Args:
        weights: of the network.
        probes: the probe set.
        mapping: arrays of `hwzo.deploy.mapping.Mapping`; empty if there is none.
        profile: bytes of profile.h5, or None.
        manifest: what manifest.json says.
    """

    weights: Weights
    probes: ProbeSet
    mapping: Arrays = field(default_factory=dict[str, NDArray[Any]])
    profile: bytes | None = field(default=None, repr=False)
    manifest: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def device(self) -> str:
        """URL of the device that it was made on; empty if there was none."""
        return str(cast("dict[str, Any]", self.manifest.get("device") or {}).get("url", ""))


def write_bundle(
    path: str | Path,
    weights: Weights,
    probes: ProbeSet,
    *,
    mapping: Arrays | None = None,
    profile: Path | bytes | None = None,
) -> Path:
    """Write a bundle, in one piece; the same content gives the same bytes.

    Args:
        path: the file.
        weights: of the network.
        probes: what its outputs are and should be, for a few samples; ``outputs`` are computed anew from the weights.
        mapping: arrays of the mapping that the weights are put into a device by.
        profile: the device's profile.h5, or its bytes.

    Raises:
        FileError: not writable, or the profile can't be read.
        ConfigError: the weights are of a device that is no network.
    """
    path = Path(path)
    probes = replace(probes, outputs=_outputs(weights, probes.inputs))
    parts = {WEIGHTS: _weights_bytes(weights), PROBES: _probe_bytes(probes)}
    if mapping:
        parts[MAPPING] = safetensors_bytes(mapping)
    if isinstance(profile, Path):
        try:
            profile = profile.read_bytes()
        except OSError as error:
            raise FileError(f"profile {profile} can't be read: {error.strerror or error}", key="profile") from error
    if profile is not None:
        parts[PROFILE] = profile
    manifest: dict[str, Any] = {
        "format": FORMAT,
        "hwzo": version("hwzo"),
        "device": {"url": weights.device, "emulated": weights.emulated},
        "task": weights.task,
        "layers": weights.layers,
        "activation": weights.activation,
        "parts": {name: {"sha256": _sha256(content), "bytes": len(content)} for name, content in parts.items()},
    }
    manifest["sha256"] = _sha256(_text(manifest))
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for name, content in {MANIFEST: _text(manifest), **parts}.items():
            info = zipfile.ZipInfo(name, DATE)
            info.external_attr, info.create_system = 0o644 << 16, 3
            archive.writestr(info, content)
    write_atomically(path, stream.getvalue())
    return path


def read_bundle(path: str | Path) -> Bundle:
    """Read a bundle, after checking every part against its sha256.

    Raises:
        FileError: missing, no bundle, of another format version, or altered; names the part. Also if the network here
            computes other outputs than the bundle has, as another version of hwzo could.
    """
    path = Path(path)
    parts = _parts(path)
    manifest = _manifest(path, parts.pop(MANIFEST))
    listed = cast("dict[str, Any]", manifest["parts"])
    for name in sorted({*listed, *parts}):
        if name not in parts:
            raise FileError(f"bundle {path} was altered: it has no {name}", key="source")
        if name not in listed or _sha256(parts[name]) != listed[name]["sha256"]:
            raise FileError(f"bundle {path} was altered: {name} is not what its manifest says", key="source")
    try:
        arrays = load_tensors(parts[PROBES])
        probes = ProbeSet(arrays["inputs"], arrays["outputs"], arrays.get("measured"), arrays.get("spread"))
        weights = _weights(parts[WEIGHTS])
        mapping = load_tensors(parts[MAPPING]) if MAPPING in parts else {}
        outputs = _outputs(weights, probes.inputs)
    except FileError as error:
        raise FileError(f"bundle {path}: {error}", key="source") from error
    except (SafetensorError, KeyError, ValueError, TypeError) as error:
        raise FileError(f"bundle {path} is damaged: {error}", key="source") from error
    if outputs.shape != probes.outputs.shape or not np.allclose(outputs, probes.outputs, rtol=SAME, atol=SAME):
        raise FileError(
            f"bundle {path}: its weights make other outputs on its probe set than hwzo {manifest.get('hwzo')} wrote "
            f"there; this is hwzo {version('hwzo')}",
            key="source",
        )
    return Bundle(weights, probes, mapping, parts.get(PROFILE), manifest)


def _parts(path: Path) -> dict[str, bytes]:
    """The bytes of every part; none is larger than the file, and together they aren't either."""
    try:
        size = path.stat().st_size
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            names = [entry.filename for entry in entries]
            if MANIFEST not in names:
                raise FileError(f"{path} is a zip archive, but no bundle of hwzo: it has no {MANIFEST}", key="source")
            for name in names:
                if name not in (MANIFEST, WEIGHTS, PROBES, MAPPING, PROFILE):
                    raise FileError(
                        f"bundle {path} was altered: it has a part {name[:80]!r}, which none has", key="source"
                    )
                if names.count(name) > 1:
                    raise FileError(f"bundle {path} was altered: it has {name} twice", key="source")
            for entry in entries:
                if entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1:
                    raise FileError(
                        f"bundle {path} was altered: {entry.filename} is compressed or encrypted", key="source"
                    )
            if sum(entry.file_size for entry in entries) > size:
                raise FileError(f"bundle {path} was altered: its parts are larger than itself", key="source")
            return {entry.filename: _part(archive, entry, path) for entry in entries}
    except FileError:
        raise
    except OSError as error:
        raise FileError(f"bundle {path} can't be read: {error.strerror or error}", key="source") from error
    except (zipfile.BadZipFile, *DAMAGE) as error:
        raise FileError(f"{path} is damaged, or no bundle: {error}", key="source") from error


def _part(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, path: Path) -> bytes:
    try:
        return archive.read(entry)
    except (zipfile.BadZipFile, *DAMAGE) as error:  # its CRC-32, most of all
        raise FileError(f"bundle {path} was altered or damaged: {entry.filename}: {error}", key="source") from error


def _manifest(path: Path, content: bytes) -> dict[str, Any]:
    try:
        if len(content) > MOST_MANIFEST:
            raise ValueError(f"{len(content):,} bytes")
        manifest: dict[str, Any] = dict(json.loads(content))
        stated = manifest.pop("sha256")
        if manifest["format"] != FORMAT:
            raise FileError(
                f"bundle {path} has format {manifest['format']!r}, this version reads format {FORMAT}", key="source"
            )
        if stated != _sha256(_text(manifest)):
            raise FileError(f"bundle {path} was altered: {MANIFEST} doesn't fit its own sha256", key="source")
        if not all(isinstance(each["sha256"], str) for each in manifest["parts"].values()):
            raise ValueError("a sha256 is missing")
    except FileError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise FileError(f"bundle {path} was altered or damaged: {MANIFEST}: {error}", key="source") from error
    for name in (WEIGHTS, PROBES):
        if name not in manifest["parts"]:
            raise FileError(f"bundle {path} was altered: its manifest names no {name}", key="source")
    return manifest


def _probe_bytes(probes: ProbeSet) -> bytes:
    arrays = {name: value for name, value in vars(probes).items() if value is not None}
    return safetensors_bytes(arrays)


def _weights_bytes(weights: Weights) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / WEIGHTS
        weights.save(path)
        return path.read_bytes()


def _weights(content: bytes) -> Weights:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / WEIGHTS
        path.write_bytes(content)
        return Weights.load(path)


def _outputs(weights: Weights, inputs: Array) -> Array:
    """Of the float network, (samples, n_out)."""
    if not weights.layers:
        raise ConfigError("these weights are of a device that is no network: it has no outputs to compare")
    return Network.parse(weights.layers, weights.activation).forward(weights.theta, inputs)[-1]


def _text(manifest: Mapping[str, Any]) -> bytes:
    return (json.dumps(manifest, indent=1, sort_keys=True) + "\n").encode()


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
