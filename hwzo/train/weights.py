"""Learned weights as a file: named tensors in safetensors, with what they are for in its metadata."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from hwzo.device import Device
from hwzo.errors import FileError
from hwzo.parameters import Array, ParameterSpec, TensorSpec
from hwzo.train.tensors import read_tensors, write_tensors

FORMAT = 1


@dataclass(frozen=True)
class Weights:
    """Parameters and what they belong to.

    Args:
        theta: (n_params,) float64, weight units.
        parameters: names, shapes and bounds.
        task: the task's name.
        layers, activation: the network; empty for a device that isn't one.
        window: range of the device's weights, weight units; None if it had no such thing.
        device: URL of the device they were learned on.
        emulated: whether that was an emulated one.
    """

    theta: Array
    parameters: ParameterSpec
    task: str
    layers: str
    activation: str
    window: float | None
    device: str
    emulated: bool

    @classmethod
    def learned(cls, theta: Array, device: Device, task: str) -> Weights:
        """Parameters (n_params,) as learned on a device for a task."""
        network = device.capabilities.network
        return cls(
            theta,
            device.parameters,
            task,
            network.label if network else "",
            network.activation if network else "",
            float(device.parameters.upper.max()) if network else None,
            device.info.url,
            device.info.emulated,
        )

    def save(self, path: str | Path) -> None:
        """Write them.

        Raises:
            FileError: not writable.
        """
        about = {
            "task": self.task,
            "split": "last 20% of permutation seed 0 is test, 16% before it validation, unless the task says otherwise",
            "layers": self.layers,
            "activation": self.activation,
            "window": self.window,
            "device": self.device,
            "emulated": self.emulated,
            "parameters": [asdict(tensor) for tensor in self.parameters.tensors],
        }
        write_tensors(Path(path), self.parameters.views(self.theta), format=FORMAT, about=about)

    @classmethod
    def load(cls, path: str | Path) -> Weights:
        """Read them back.

        Raises:
            FileError: missing, damaged, not made by hwzo, or of another format version.
        """
        tensors, about = read_tensors(Path(path), "weights file", format=FORMAT)
        try:
            spec = ParameterSpec(_TENSORS.validate_python(about["parameters"]))
            rest = {key: about[key] for key in ("task", "layers", "activation", "window", "device", "emulated")}
        except (KeyError, ValidationError) as error:
            raise FileError(f"weights file {path} is damaged: {error}") from error
        return cls(spec.flat(tensors), spec, **rest)


_TENSORS = TypeAdapter(tuple[TensorSpec, ...])
