"""A device's noise profile: what was measured, how well it is known, of which device, and the readings behind it.

How it is kept in a file, see `hwzo.noise.profile_file`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hwzo.device import Device, ParameterNoise
from hwzo.errors import ConfigError
from hwzo.network import Network
from hwzo.noise.profile_file import Contents, damaged, read_contents, write_contents
from hwzo.noise.quantity import Curve, Findings, Quantity
from hwzo.noise.setup import Raw
from hwzo.probes import Law, Readback


class TensorRecord(BaseModel):
    """One block of parameters, as in `hwzo.parameters.TensorSpec`; a bound of None is none."""

    model_config = ConfigDict(frozen=True)

    name: str
    shape: tuple[int, ...]
    lower: float | None
    upper: float | None
    resolution: float


class DeviceRecord(BaseModel):
    """Whose profile it is."""

    model_config = ConfigDict(frozen=True)

    url: str
    model: str
    serial: str
    firmware: str
    emulated: bool
    n_parameters: int
    tensors: tuple[TensorRecord, ...]
    layers: str = ""
    activation: str = ""
    readback: Readback
    laws: tuple[Law, ...]
    probe_writes: bool
    node_noise: bool
    parameter_noise: ParameterNoise

    @classmethod
    def of(cls, device: Device) -> DeviceRecord:
        """That of an open device."""
        info, can = device.info, device.capabilities
        return cls(
            url=info.url,
            model=info.model,
            serial=info.serial,
            firmware=info.firmware,
            emulated=info.emulated,
            n_parameters=device.parameters.size,
            tensors=tuple(
                TensorRecord(
                    name=t.name,
                    shape=t.shape,
                    lower=t.lower if math.isfinite(t.lower) else None,
                    upper=t.upper if math.isfinite(t.upper) else None,
                    resolution=t.resolution,
                )
                for t in device.parameters.tensors
            ),
            layers=can.network.label if can.network is not None else "",
            activation=can.network.activation if can.network is not None else "",
            readback=can.readback,
            laws=tuple(sorted(can.laws)),
            probe_writes=can.probe_writes,
            node_noise=can.node_noise,
            parameter_noise=can.parameter_noise,
        )

    @property
    def network(self) -> Network | None:
        """The device's network, if it is one."""
        return Network.parse(self.layers, self.activation) if self.layers else None


class Manifest(BaseModel):
    """Everything in a profile that isn't an array.

    Args:
        device: whose it is.
        hwzo: version that measured.
        date: when, as ISO 8601 text; None if nobody said.
        temperature_k: of the device, kelvin; None if unknown.
        seed: of what was programmed and commanded.
        task: whose samples were evaluated; None: made-up ones.
        budget: as given; None for none.
        spent: evaluations, reads, cell_writes, device_seconds, joules, wall_seconds.
        rounds: how many rounds each measurement took.
        left_out: why a quantity isn't there, by its name.
        warnings: a sentence each.
    """

    model_config = ConfigDict(frozen=True)

    device: DeviceRecord
    hwzo: str
    date: str | None = None
    temperature_k: float | None = None
    seed: int = 0
    task: str | None = None
    budget: str | None = None
    spent: dict[str, float] = Field(default_factory=dict)
    rounds: dict[str, int] = Field(default_factory=dict)
    left_out: dict[str, str] = Field(default_factory=dict)
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Profile:
    """What a calibration found.

    Args:
        manifest: everything that isn't an array.
        quantities: numbers by name, see docs/calibrate.md.
        curves: arrays by name.
        readings: raw readings, of each measurement by its name.
        path: where it was loaded from or saved to.
    """

    manifest: Manifest
    quantities: Mapping[str, Quantity]
    curves: Mapping[str, Curve] = field(default_factory=dict[str, Curve], repr=False)
    readings: Mapping[str, Raw] = field(default_factory=dict[str, Raw], repr=False)
    path: Path | None = None

    @classmethod
    def made(cls, manifest: Manifest, findings: Findings, readings: Mapping[str, Raw]) -> Profile:
        """Of what a calibration found; reasons and warnings of both are put together."""
        whole = manifest.model_copy(
            update={
                "left_out": {**manifest.left_out, **findings.left_out},
                "warnings": (*manifest.warnings, *findings.warnings),
            }
        )
        return cls(whole, findings.quantities, findings.curves, readings)

    def check_device(self, device: Device) -> None:
        """Check that this is the profile of that device.

        Raises:
            ConfigError: of another device, or of another shape; shows both.
        """
        mine, its = self.manifest.device, DeviceRecord.of(device)
        where = f"profile {self.path}" if self.path is not None else "the profile"
        if (mine.model, mine.serial) != (its.model, its.serial):
            raise ConfigError(
                f"{where} is of {mine.model}, serial {mine.serial} ({mine.url}); the device is {its.model}, serial "
                f"{its.serial} ({its.url}); calibrate this one, or name the other",
                key="profile",
            )
        if mine.tensors != its.tensors:
            raise ConfigError(
                f"{where} is of {mine.n_parameters} parameters, {_shape(mine)}; the device has {its.n_parameters}, "
                f"{_shape(its)}; calibrate it with the network that it shall be used with",
                key="profile",
            )

    # --- the file ---

    def save(self, path: str | Path) -> Path:
        """Write it, in one piece.

        Raises:
            FileError: it can't be written.
        """
        target = Path(path)
        text = self.manifest.model_dump_json()
        write_contents(target, Contents(text, self.quantities, self.curves, self.readings))
        return target

    @classmethod
    def load(cls, path: str | Path) -> Profile:
        """Read it.

        Raises:
            FileError: missing, unreadable, damaged, not a profile, or of another version.
        """
        source = Path(path)
        contents = read_contents(source)
        try:
            manifest = Manifest.model_validate_json(contents.manifest)
        except ValidationError as error:
            raise damaged(source, error) from error
        return cls(manifest, contents.quantities, contents.curves, contents.readings, source)


def _shape(record: DeviceRecord) -> str:
    bounds = sorted({(t.lower, t.upper) for t in record.tensors}, key=str)
    ranges = ", ".join(f"[{low}, {high}]" for low, high in bounds)
    return f"layers {record.layers or 'unknown'}, in {ranges}"
