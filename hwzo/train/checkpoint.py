"""Checkpoints: everything that a run is at one step, in one safetensors file written in one piece."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from pydantic import ConfigDict, TypeAdapter, ValidationError

from hwzo.errors import FileError
from hwzo.methods.method import State
from hwzo.parameters import Array
from hwzo.train.budget import Spent
from hwzo.train.tensors import read_tensors, write_tensors

FORMAT = 1


@dataclass
class Checkpoint:
    """A run before step t: where it stands in memory, and what is saved of it.

    Args:
        t: the next step.
        theta: (n_params,) float64, weight units, the targets on the device.
        state: the method's arrays.
        spent: so far.
        measured: quantities that the method was built from.
        validation_accuracy, validation_loss: the last ones, None before the first.
        evaluations_to_target: when the target was first reached, None if it wasn't.
        snapshot: the emulated device's whole state; empty for hardware.
    """

    __pydantic_config__ = ConfigDict(arbitrary_types_allowed=True)

    t: int
    theta: Array
    state: State
    spent: Spent
    measured: dict[str, float] = field(default_factory=dict[str, float])
    validation_accuracy: float | None = None
    validation_loss: float | None = None
    evaluations_to_target: int | None = None
    snapshot: bytes = b""

    def looked(self, evaluations: int, loss: float, accuracy: float | None, target: float) -> None:
        """Keep a look at the validation data, taken after so many evaluations, and if it was the first at a target."""
        self.validation_loss, self.validation_accuracy = loss, accuracy
        if self.evaluations_to_target is None and accuracy is not None and accuracy >= target:
            self.evaluations_to_target = evaluations

    def save(self, folder: Path) -> Path:
        """Write ``step-T.safetensors``, in one piece.

        Raises:
            FileError: the disk is full or not writable.
        """
        tensors = {"theta": self.theta, "snapshot": np.frombuffer(self.snapshot, np.uint8)}
        about = {
            "t": self.t,
            "spent": asdict(self.spent),
            "measured": self.measured,
            "validation_accuracy": self.validation_accuracy,
            "validation_loss": self.validation_loss,
            "evaluations_to_target": self.evaluations_to_target,
        }
        path = folder / f"step-{self.t:09d}.safetensors"
        write_tensors(path, tensors | {f"state.{k}": v for k, v in self.state.items()}, format=FORMAT, about=about)
        return path

    @classmethod
    def load(cls, path: Path) -> Checkpoint:
        """Read one back.

        Raises:
            FileError: missing, damaged, or of another format version.
        """
        tensors, about = read_tensors(path, "checkpoint", format=FORMAT)
        try:
            theta, snapshot = tensors.pop("theta"), tensors.pop("snapshot").tobytes()
            state = {name.removeprefix("state."): array for name, array in tensors.items()}
            return _ADAPTER.validate_python({**about, "theta": theta, "snapshot": snapshot, "state": state})
        except (KeyError, ValidationError) as error:
            raise FileError(f"checkpoint {path} is damaged: {error}") from error


_ADAPTER = TypeAdapter(Checkpoint)


def checkpoints(folder: Path) -> list[Path]:
    """The checkpoint files of a run, oldest first."""
    return sorted(folder.glob("step-*.safetensors"))
