"""A run's folder: what lies where in it, and the lock that keeps a second process out."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import cast

import tomlkit

from hwzo.errors import ConfigError, FileError
from hwzo.lease import Lease
from hwzo.train.checkpoint import Checkpoint, checkpoints
from hwzo.train.config import TrainConfig, read_toml
from hwzo.train.journal_file import content, parts
from hwzo.train.tensors import write_atomically

FORMAT = 1
LOCK = ".lock"
KEPT = 3  # checkpoints besides the first


@dataclass
class RunFolder:
    """The folder of one run.

    Args:
        path: the folder.
    """

    path: Path
    _lease: Lease | None = field(default=None, repr=False)

    @classmethod
    def fresh(cls, parent: Path, task: str, method: str) -> RunFolder:
        """A new folder under ``parent``, named by time, task and method.

        Raises:
            FileError: it can't be made.
        """
        stem = f"{datetime.now():%Y%m%d-%H%M%S}-{Path(task.split(':')[0]).stem}-{method}"
        for number in range(1000):
            path = parent / (stem if number == 0 else f"{stem}-{number}")
            try:
                path.mkdir(parents=True)
            except FileExistsError:
                continue
            except OSError as error:
                raise FileError(f"run folder {path} can't be made: {error.strerror or error}") from error
            return cls(path)
        raise FileError(f"no free name for a run folder like {parent / stem}")

    @property
    def toml(self) -> Path:
        """The resolved configuration, versions and device description."""
        return self.path / "run.toml"

    @property
    def journal(self) -> Path:
        """The journal."""
        return self.path / "journal.sqlite"

    @property
    def checkpoints(self) -> Path:
        """The folder of checkpoints."""
        return self.path / "checkpoints"

    @property
    def weights(self) -> Path:
        """The final weights."""
        return self.path / "weights.safetensors"

    @property
    def started(self) -> bool:
        """True if there is a run in it to go on with."""
        return self.toml.is_file() and bool(checkpoints(self.checkpoints))

    def lock(self) -> None:
        """Keep other processes from running in this folder.

        Raises:
            DeviceBusyError: one is; says which.
            FileError: the folder can't be written.
        """
        try:
            self.checkpoints.mkdir(parents=True, exist_ok=True)
            self._lease = Lease(self.path / LOCK, f"run {self.path}")
        except OSError as error:
            raise FileError(f"run folder {self.path} can't be written: {error.strerror or error}") from error

    def unlock(self) -> None:
        """Let others in again."""
        if self._lease is not None:
            self._lease.release()
            self._lease = None

    @property
    def foreign(self) -> list[str]:
        """Names in the folder that no start of a run leaves there when it is killed before it is ``started``."""
        names = sorted(path.name for path in self.path.iterdir()) if self.path.is_dir() else []
        ours = (LOCK, f"{LOCK}.holder", "checkpoints", "run.toml", ".run.toml.part")
        journal = [path.name for path in parts(self.journal)]
        kept = [f"checkpoints/{path.name}" for path in checkpoints(self.checkpoints)]
        return [name for name in names if name not in ours and name not in journal] + kept

    @property
    def lacks(self) -> str:
        """What a run that isn't ``started`` lacks to go on, in words; empty if there is nothing of a run."""
        described, kept = self.toml.is_file(), bool(checkpoints(self.checkpoints))
        if not (described or kept or self.journal.exists()):
            return ""
        return " and ".join(["run.toml"] * (not described) + ["checkpoints"] * (not kept))

    def clear(self) -> None:
        """Make room for a new journal: remove one that holds nothing, as of a start that was killed.

        Raises:
            FileError: it holds something, which is then left there, or can't be removed.
        """
        found = content(self.journal)
        if found:
            raise FileError(
                f"run = {str(self.path)!r} holds {found}, of a run that can't go on without its {self.lacks}; nothing "
                "was changed: put back what is missing, or name another folder",
                key="run",
            )
        try:
            for path in parts(self.journal):
                path.unlink(missing_ok=True)
        except OSError as error:
            raise FileError(f"{self.journal} can't be replaced: {error.strerror or error}") from error

    def forget_weights(self) -> None:
        """Remove the final weights of a run that goes on; replay gives them again.

        Raises:
            FileError: they can't be removed.
        """
        try:
            self.weights.unlink(missing_ok=True)
        except OSError as error:
            raise FileError(f"{self.weights} can't be removed: {error.strerror or error}") from error

    def check_in_place(self) -> None:
        """Look whether the run's description is still there.

        Raises:
            FileError: it isn't, and without it the run can't go on.
        """
        if not self.toml.is_file():
            raise FileError(
                f"{self.toml} was removed while the run went on; put it back, then go on with --resume: "
                "without it nothing says what run this is"
            )

    def discard(self) -> None:
        """Remove what a start left that came to nothing, and the folder, if that was all there was in it."""
        with contextlib.suppress(OSError, FileError):
            self.clear()
            for path in self.checkpoints.glob(".*.part"):
                path.unlink()
            for name in ("run.toml", ".run.toml.part", f"{LOCK}.holder", LOCK):
                (self.path / name).unlink(missing_ok=True)
            self.checkpoints.rmdir()
            self.path.rmdir()

    def describe(self, config: TrainConfig, about: Mapping[str, Mapping[str, object]]) -> None:
        """Write run.toml: the resolved configuration, and tables about versions, device, task and method."""
        document = {"format": FORMAT, "config": config.model_dump(exclude_none=True), **about}
        write_atomically(self.toml, tomlkit.dumps(document).encode())

    def description(self) -> dict[str, object]:
        """What run.toml says.

        Raises:
            FileError: missing, damaged or of another format.
        """
        try:
            there = self.toml.is_file()
        except OSError as error:
            raise FileError(f"run {self.path} can't be looked at: {error.strerror or error}") from error
        if not there:
            raise FileError(f"{self.path} is not a run's folder: it has no run.toml")
        values = read_toml(self.toml)
        if values.get("format") != FORMAT:
            raise FileError(f"{self.toml} has format {values.get('format')!r}, this version reads format {FORMAT}")
        return values

    def config(self) -> TrainConfig:
        """The configuration of the run.

        Raises:
            FileError: run.toml is missing or damaged.
        """
        values = self.description()
        config = values.get("config")
        for table in ("config", "method"):  # the first and the last
            if not isinstance(values.get(table), dict):
                raise FileError(
                    f"{self.toml} has no table [{table}]; it is damaged: put a whole one back, or remove the folder to "
                    "begin anew"
                )
        try:
            return TrainConfig.build(cast("dict[str, object]", config))
        except ConfigError as error:
            raise FileError(f"{self.toml} is damaged: {error}") from error

    def device_url(self) -> str:
        """URL of the device that the run was made on, every option resolved.

        Raises:
            FileError: run.toml is missing or damaged.
        """
        table = self.description().get("device")
        url = cast("dict[str, object]", table).get("url") if isinstance(table, dict) else None
        if not isinstance(url, str):
            raise FileError(f"{self.toml} names no device URL; it is damaged")
        return url

    def keep(self, checkpoint: Checkpoint) -> None:
        """Save a checkpoint, and remove those that are no longer needed: all but the first and the last few."""
        checkpoint.save(self.checkpoints)
        for part in self.checkpoints.glob(".*.part"):  # of a save that was killed
            part.unlink()
        for old in checkpoints(self.checkpoints)[1:-KEPT]:
            old.unlink()

    def latest(self, before: int | None = None) -> tuple[Checkpoint, list[str]]:
        """The last whole checkpoint (at or before a step), and what is to be said of damaged ones after it.

        Raises:
            FileError: none is whole.
        """
        damaged: list[str] = []
        for path in reversed(checkpoints(self.checkpoints)):
            try:
                checkpoint = Checkpoint.load(path)
            except FileError as error:
                damaged.append(str(error))
                continue
            if before is None or checkpoint.t <= before:
                return checkpoint, damaged
        raise FileError(f"no whole checkpoint in {self.checkpoints}: {'; '.join(damaged) or 'there is none'}")
