"""Readings of a calibration as they come, so that one that is killed goes on.

A folder beside the profile, ``profile.h5.part``: ``calibration.json`` says what is being calibrated and how, and each
measurement that is done is a file ``NN.npz`` of its raw readings, written aside and renamed. What was spent by then,
and an emulated device's whole state, are in the same file; so a resumed calibration of an emulated device ends with the
same readings. The measurement in flight is all that can be lost.
"""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwzo.errors import ConfigError, FileError
from hwzo.noise.setup import Raw

FORMAT = 1
_BOOK, _STATE = "_book", "_state"  # entries of a file that are no readings


@dataclass(frozen=True)
class Entry:
    """A measurement that is done.

    Args:
        name: of the measurement.
        readings: its raw readings.
        book: what was spent by then and the like; plain JSON.
        state: of an emulated device, or b"".
    """

    name: str
    readings: Raw
    book: Mapping[str, Any]
    state: bytes


class Journal:
    """One calibration's folder.

    Args:
        folder: it; made if it isn't there.
        about: what identifies the calibration; plain JSON.

    Raises:
        ConfigError: the folder is of another calibration; says what differs.
        FileError: it can't be used, or is damaged.
    """

    def __init__(self, folder: Path, about: Mapping[str, Any]) -> None:
        self.folder = folder
        described = {"format": FORMAT, **about}
        book = folder / "calibration.json"
        try:
            if book.exists() and any(folder.glob("*.npz")):  # one that measured nothing has nothing to lose
                self._check(json.loads(book.read_text(encoding="utf-8")), described)
            else:
                folder.mkdir(parents=True, exist_ok=True)
                _replace(book, json.dumps(described, indent=1).encode())
        except (OSError, ValueError) as error:
            if isinstance(error, ConfigError):
                raise
            raise FileError(f"{folder} can't be used: {error}; move it away to begin anew", key="output") from error

    def _check(self, before: object, now: Mapping[str, Any]) -> None:
        there: dict[str, Any] = before if isinstance(before, dict) else {}  # pyright: ignore[reportUnknownVariableType]
        for key, value in now.items():
            if there.get(key) != value:
                raise ConfigError(
                    f"{self.folder} holds an unfinished calibration with {key} = {there.get(key)!r}; this one has "
                    f"{value!r}; repeat its arguments to go on with it, or remove the folder to begin anew",
                    key=key,
                )

    def entries(self) -> list[Entry]:
        """What is done, in order.

        Raises:
            FileError: a file is damaged.
        """
        found: list[Entry] = []
        for path in sorted(self.folder.glob("*.npz")):
            try:
                with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
                    arrays: dict[str, NDArray[Any]] = dict(archive)
                book = json.loads(arrays.pop(_BOOK).tobytes())
                state = arrays.pop(_STATE).tobytes()
                found.append(Entry(str(book["measurement"]), arrays, book, state))
            except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
                raise FileError(
                    f"{path} is damaged ({error}); remove it and those after it, and that much is measured again",
                    key="output",
                ) from error
        return found

    def keep(self, entry: Entry) -> None:
        """Keep a measurement that is done.

        Raises:
            FileError: the disk is full, or the like.
        """
        number = len(list(self.folder.glob("*.npz")))
        book = json.dumps({**entry.book, "measurement": entry.name}).encode()
        aside = self.folder / ".new"
        try:
            with aside.open("wb") as file:
                arrays: dict[str, Any] = {
                    **entry.readings,
                    _BOOK: np.frombuffer(book, dtype=np.uint8),
                    _STATE: np.frombuffer(entry.state, dtype=np.uint8),
                }
                np.savez(file, **arrays)
                file.flush()
                os.fsync(file.fileno())
            aside.replace(self.folder / f"{number:02d}.npz")
        except OSError as error:
            raise FileError(f"{self.folder} can't be written: {error.strerror or error}", key="output") from error

    def discard(self) -> None:
        """The calibration is finished: its profile holds all this."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _replace(path: Path, content: bytes) -> None:
    aside = path.with_name(f".{path.name}")
    aside.write_bytes(content)
    aside.replace(path)
