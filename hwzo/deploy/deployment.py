"""A deployment: what was put into a device, where, and how near it came; as a value and as a file.

``deployment.h5`` is plain HDF5, for any viewer::

    /                     attributes: format, manifest (JSON), crc32
    /weights/NAME         of the network, weight units
    /cells/NAME           (n,) each, in the device's order: target, asked, reached, reached_error, writes, state,
                          within; attributes unit, and about, which names the states
    /mapping/NAME         gains, and orders where there are any
    /probes/NAME          inputs, outputs of the network, measured ones and their spread
    /device/snapshot      of an emulated device, its whole state as the deployment left it

Device's weight units differ from the network's by the gains.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from hwzo.deploy.closed_loop import State, Written
from hwzo.deploy.mapped import MappedDevice
from hwzo.deploy.mapping import Mapping as CellMapping
from hwzo.deploy.result import Result
from hwzo.deploy.tolerance import Tolerance
from hwzo.device import Device
from hwzo.errors import ConfigError, FileError
from hwzo.network import Network
from hwzo.parameters import Array, ParameterSpec, TensorSpec
from hwzo.probes import Cost
from hwzo.registry import connect
from hwzo.train.weights import Weights

FORMAT = 1
_TENSORS = TypeAdapter(tuple[TensorSpec, ...])


@dataclass(frozen=True)
class Deployment:
    """Weights in a device.

    Args:
        weights: of the network, as they shall be there; those that a touch-up learned, if there was one. ``device`` is
            the one that holds them.
        mapping: arrays of the mapping, see `hwzo.deploy.mapping.Mapping.from_arrays`.
        targets: (n,) what the cells shall hold, weight units of the device.
        written: what they were asked for, reached, and how.
        tolerance: that counted.
        manifest: identity of the device, settings, what parts of the mapping bought, accuracies; plain JSON.
        result: what it came to.
        probes: ``inputs``, ``outputs`` of the float network, ``measured`` mean outputs of the device and their
            ``spread`` over passes; empty if it gave none.
        snapshot: the whole state of an emulated device as the deployment left it; b"" of hardware.
        path: where it was loaded from or saved to.
    """

    weights: Weights
    mapping: Mapping[str, NDArray[Any]]
    targets: Array
    written: Written
    tolerance: Tolerance
    manifest: Mapping[str, Any]
    result: Result
    probes: Mapping[str, Array] = field(default_factory=dict[str, Array], repr=False)
    snapshot: bytes = field(default=b"", repr=False)
    path: Path | None = None

    @property
    def corrections(self) -> Array:
        """(n,) what the cells are asked for beyond their targets, weight units of the device."""
        return np.asarray(self.written.asked - self.targets)

    @property
    def network(self) -> Network | None:
        """What the weights mean."""
        return Network.parse(self.weights.layers, self.weights.activation) if self.weights.layers else None

    def on(self, device: Device) -> MappedDevice:
        """A device that holds this deployment, to be spoken to in the network's weights; its gains are set.

        Raises:
            ConfigError: a device of another shape.
        """
        mapping = CellMapping.from_arrays(device, self.mapping)
        return MappedDevice(device, mapping, self.corrections, self.written.asked)

    def open(self) -> MappedDevice:
        """Open the device again, as `on`; an emulated one is put back as the deployment left it.

        Raises:
            DeviceError: it can't be opened.
        """
        device = connect(self.weights.device, network=self.network, window=self.weights.window)
        try:
            if self.snapshot:
                cast(Any, device).restore(self.snapshot)
            return self.on(device)
        except BaseException:
            device.close()
            raise

    # --- the file ---

    def save(self, path: str | Path) -> Deployment:
        """Write it, in one piece: aside, then renamed. Returns it with its path.

        Raises:
            FileError: it can't be written.
        """
        target = Path(path)
        aside = target.with_name(f".{target.name}.{os.getpid()}")
        try:
            try:
                with _open(aside, "w") as file:
                    self._put(file)
                aside.replace(target)
            finally:
                aside.unlink(missing_ok=True)
        except OSError as error:
            raise FileError(
                f"deployment {target} can't be written: {error.strerror or error}; the device holds what it shall: the "
                "same command writes the file, once there is room",
                key="output",
            ) from error
        return replace(self, path=target)

    def _put(self, file: Any) -> None:  # noqa: ANN401  (h5py has no types)
        weights = self.weights
        about = {
            "task": weights.task,
            "layers": weights.layers,
            "activation": weights.activation,
            "window": weights.window,
            "device": weights.device,
            "emulated": weights.emulated,
            "parameters": [asdict(tensor) for tensor in weights.parameters.tensors],
        }
        manifest = {
            **self.manifest,
            "weights": about,
            "tolerance": asdict(self.tolerance),
            "cost": asdict(self.written.cost),
            "result": self.result.model_dump(),
        }
        file.attrs["format"] = FORMAT
        file.attrs["manifest"] = json.dumps(manifest)
        for name, array in weights.parameters.views(weights.theta).items():
            file.create_dataset(f"weights/{name}", data=array).attrs["unit"] = "weight"
        written = self.written
        for name, (array, unit, told) in {
            "target": (self.targets, "weight", "what the cell shall hold"),
            "asked": (written.asked, "weight", "what it was last asked to hold"),
            "reached": (written.reached, "weight", f"what was read of it, mean of {self.tolerance.repeats} reads"),
            "reached_error": (written.reached_error, "weight", "standard error of that"),
            "writes": (written.writes, "1", "how often it was written by program and verify"),
            "state": (written.state, "1", ", ".join(f"{state.value} {state.label}" for state in State)),
            "within": (
                written.within(self.targets, self.tolerance).astype(np.uint8),
                "1",
                f"1 where reached is within {self.tolerance.value:g} of target",
            ),
        }.items():
            file.create_dataset(f"cells/{name}", data=array).attrs.update(unit=unit, about=told)
        for name, array in self.mapping.items():
            file.create_dataset(f"mapping/{name}", data=array)
        for name, array in self.probes.items():
            file.create_dataset(f"probes/{name}", data=array)
        if self.snapshot:
            file.create_dataset("device/snapshot", data=np.frombuffer(self.snapshot, dtype=np.uint8))
        file.attrs["crc32"] = _crc32(file)

    @classmethod
    def load(cls, path: str | Path) -> Deployment:
        """Read it.

        Raises:
            FileError: missing, unreadable, damaged, not a deployment, or of another version.
        """
        source = Path(path)
        if not source.is_file():
            raise FileError(
                f"deployment {source} doesn't exist; `hwzo deploy RUN --device URL --output {source}` makes one"
            )
        try:
            with _open(source, "r") as file:
                version, text = file.attrs.get("format"), file.attrs.get("manifest")
                if version is None or text is None or "cells" not in file:
                    raise FileError(f"{source} is HDF5, but no deployment of hwzo")
                if int(version) != FORMAT:
                    raise FileError(
                        f"deployment {source} has format {int(version)}, this version of hwzo reads {FORMAT}; deploy "
                        "again, or use the version that made it"
                    )
                if int(file.attrs.get("crc32", -1)) != _crc32(file):
                    raise FileError(f"deployment {source} is damaged: its checksum doesn't fit; deploy again")
                return replace(cls._of(file, json.loads(str(text))), path=source)
        except ConfigError:
            raise
        except (OSError, KeyError, ValueError, TypeError, RuntimeError, ValidationError) as error:
            told = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise FileError(f"deployment {source} is damaged or no HDF5 file: {told}") from error

    @classmethod
    def _of(cls, file: Any, manifest: dict[str, Any]) -> Deployment:  # noqa: ANN401
        about = manifest.pop("weights")
        tolerance, cost = Tolerance(**manifest.pop("tolerance")), Cost(**manifest.pop("cost"))
        spec = ParameterSpec(_TENSORS.validate_python(about.pop("parameters")))
        tensors = {name: np.asarray(dataset[()], dtype=np.float64) for name, dataset in file["weights"].items()}
        cells = {name: np.asarray(dataset[()]) for name, dataset in file["cells"].items()}
        written = Written(
            cells["asked"], cells["reached"], cells["reached_error"], cells["writes"], cells["state"], cost
        )
        mapping = {name: np.asarray(dataset[()]) for name, dataset in file["mapping"].items()}
        probes = {name: np.asarray(dataset[()]) for name, dataset in file.get("probes", {}).items()}
        snapshot = np.asarray(file["device/snapshot"][()]).tobytes() if "device/snapshot" in file else b""
        result = Result.model_validate(manifest.pop("result"))
        weights = Weights(spec.flat(tensors), spec, **about)
        return cls(weights, mapping, cells["target"], written, tolerance, manifest, result, probes, snapshot)


def is_deployment(path: Path) -> bool:
    """Whether a file is HDF5 with cells in it; what is damaged, missing or anything else isn't."""
    try:
        with _open(path, "r") as file:
            return "cells" in file and "manifest" in file.attrs
    except OSError:
        return False


def _open(path: Path, mode: str) -> Any:  # noqa: ANN401
    import h5py  # pyright: ignore[reportMissingTypeStubs]

    return cast(Any, h5py).File(path, mode)


def _crc32(file: Any) -> int:  # noqa: ANN401
    """Of the manifest and of every dataset with its attributes."""
    found: dict[str, Any] = {}

    def visit(name: str, item: Any) -> None:  # noqa: ANN401
        if hasattr(item, "shape"):
            found[name] = item

    file.visititems(visit)
    total = zlib.crc32(str(file.attrs["manifest"]).encode())
    for name in sorted(found):
        attributes = "".join(f"{key}={found[name].attrs[key]!s};" for key in sorted(found[name].attrs))
        total = zlib.crc32(f"{name};{attributes}".encode(), total)
        total = zlib.crc32(np.ascontiguousarray(found[name][()]).tobytes(), total)
    return total
