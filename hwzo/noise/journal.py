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

from hwzo.errors import ConfigError, DeviceBusyError, FileError
from hwzo.lease import Lease
from hwzo.noise.profile_file import reason
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
    """One calibration's folder, which no other process may use meanwhile.

    Args:
        output: the profile that the calibration is to write; the folder is made beside it if it isn't there.

    Raises:
        FileError: another calibration is writing it, or the folder can't be used.
    """

    def __init__(self, output: Path) -> None:
        self.folder = folder = output.with_name(output.name + ".part")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lease = Lease(folder / ".lock", f"profile {output}")
        except DeviceBusyError as error:
            raise FileError(
                f"another calibration is writing {output}: {str(error).partition(';')[0]}; wait for it to end, or name "
                "another file with -o",
                key="output",
            ) from None
        except OSError as error:
            raise FileError(
                f"profile {output} can't be written there: {reason(error)}; nothing was measured; name a file in a "
                "folder that you can write, with -o",
                key="output",
            ) from error

    def describe(self, about: Mapping[str, Any]) -> None:
        """Begin, or go on if there is something to go on with.

        Args:
            about: what identifies the calibration; plain JSON.

        Raises:
            ConfigError: the folder is of another calibration; says what differs.
            FileError: it can't be used, or is damaged.
        """
        folder = self.folder
        described = {"format": FORMAT, **about}
        book = folder / "calibration.json"
        try:
            if book.exists() and any(folder.glob("*.npz")):  # one that measured nothing has nothing to lose
                self._check(json.loads(book.read_text(encoding="utf-8")), described)
            else:
                _replace(book, json.dumps(described, indent=1).encode())
        except (OSError, ValueError) as error:
            if isinstance(error, ConfigError):
                raise
            told = reason(error) if isinstance(error, OSError) else error
            raise FileError(f"{folder} can't be used: {told}; move it away to begin anew", key="output") from error

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
            raise FileError(
                f"{self.folder} can't be written: {reason(error)}; {number} measurements are kept there, and "
                f"{entry.name!r} is lost; make room, or make it writable: then the same command goes on",
                key="output",
            ) from error

    def discard(self) -> None:
        """The calibration is finished: its profile holds all this."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def close(self) -> None:
        """Let others write the profile; a folder in which nothing is kept goes."""
        if not any(self.folder.glob("*.npz")):  # before the lock is given back: later it may be another's
            self.discard()
        self._lease.release()


def _replace(path: Path, content: bytes) -> None:
    aside = path.with_name(f".{path.name}")
    aside.write_bytes(content)
    aside.replace(path)
