"""What a run came to: the keys that scripts rely on."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from hwzo.errors import FileError
from hwzo.methods.settings import Exploration


class Result(BaseModel):
    """A finished run, as ``hwzo train --json`` prints it.

    Args:
        run: its folder.
        device: URL that opens the device again.
        emulated: True if no hardware was involved.
        task, method: by name.
        exploration: where displacements came from.
        reason: why, on this device.
        n_parameters: of the device.
        seed: of learning and data order.
        steps: taken.
        evaluations: minibatch loss readings for training and calibration; validation and test are not among them.
        commanded_probes: how many of them had a commanded displacement.
        cell_writes, device_seconds, joules: what training and calibration cost the device.
        wall_seconds: training on the host's clock, over all sessions of the run.
        loss: mean loss of the last look at the validation split.
        validation_accuracy: of that look; None on a device that gives a loss only.
        test_accuracy: read once on the device, at the end; None on a device that gives a loss only.
        test_samples: what it was read on.
        target: validation accuracy that ``target_reached`` and ``evaluations_to_target`` are about.
        target_reached: whether it was reached.
        evaluations_to_target: after how many evaluations, None if it wasn't.
        parameters_crc32: CRC-32 of the final targets as little-endian float64.
        stopped: what ended it.
    """

    model_config = ConfigDict(frozen=True)

    @classmethod
    def recalled(cls, text: str, path: Path) -> Result:
        """From what the run in ``path`` remembers of it.

        Raises:
            FileError: that is damaged.
        """
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            raise FileError(f"the result that run {path} keeps in its journal is damaged: {error}") from error

    run: str
    device: str
    emulated: bool
    task: str
    method: str
    exploration: Exploration
    reason: str
    n_parameters: int
    seed: int
    steps: int
    evaluations: int
    commanded_probes: int
    cell_writes: int
    device_seconds: float
    joules: float
    wall_seconds: float
    loss: float | None
    validation_accuracy: float | None
    test_accuracy: float | None
    test_samples: int
    target: float
    target_reached: bool
    evaluations_to_target: int | None
    parameters_crc32: int
    stopped: str
