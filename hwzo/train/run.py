"""A run that is there to be looked at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hwzo.train.checkpoint import Checkpoint
from hwzo.train.config import TrainConfig
from hwzo.train.folder import RunFolder
from hwzo.train.journal import Journal, Validation
from hwzo.train.result import Result
from hwzo.train.weights import Weights


@dataclass(frozen=True)
class Run:
    """One run.

    Args:
        path: its folder.
        config: its resolved configuration.
        description: all of run.toml.
        result: what it came to; None if it isn't finished.
        curve: per step: t, loss, and evaluations, cell_writes, device_seconds, joules added up, each (steps,).
        validations: looks at the validation split.
        events: (time, step, kind, detail).
    """

    path: Path
    config: TrainConfig
    description: Mapping[str, object] = field(repr=False)
    result: Result | None
    curve: Mapping[str, NDArray[np.float64]] = field(repr=False)
    validations: tuple[Validation, ...] = field(repr=False)
    events: tuple[tuple[float, int, str, str], ...] = field(repr=False)

    def checkpoint(self, t: int | None = None) -> Checkpoint:
        """The last whole checkpoint, or the last at or before step t."""
        return RunFolder(self.path).latest(t)[0]

    def weights(self) -> Weights:
        """The final weights.

        Raises:
            FileError: the run isn't finished.
        """
        return Weights.load(RunFolder(self.path).weights)


def load_run(path: str | Path) -> Run:
    """Look at a run's folder, without changing it.

    Raises:
        FileError: it isn't a run's folder, or is damaged; names the file.
    """
    folder = RunFolder(Path(path))
    description, config = folder.description(), folder.config()
    journal = Journal(folder.journal, read_only=True)
    try:
        result = journal.recall("result")
        return Run(
            folder.path,
            config,
            description,
            None if result is None else Result.recalled(result, folder.path),
            journal.curve(),
            tuple(journal.validations()),
            tuple(journal.events()),
        )
    finally:
        journal.close()
