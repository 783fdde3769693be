"""What a deployment has done so far, so that one that was cut off goes on.

``deployment.h5.part/journal.sqlite``, in WAL mode. Everything that touches the device is a step: its intent, with the
cells that it writes, is on disk before, its outcome after. What the host computes in between follows from the outcomes.
So a deployment that is started again with the same arguments does the same again, takes from the journal what was done,
and goes on where that ends.

The step that was cut off is the only doubt. An emulated device is put back as the last outcome left it, and the step is
taken again: it ends as it would have. What hardware holds can't be put back: its cells count as written, whether they
were or not, and are read instead.
"""

from __future__ import annotations

import contextlib
import io
import json
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from hwzo.device import Device, EmulatedDevice
from hwzo.errors import ConfigError, FileError
from hwzo.lease import Lease
from hwzo.probes import Cost
from hwzo.train.guard import GuardedDevice

FORMAT = 1
Arrays = Mapping[str, NDArray[Any]]
_DOUBTFUL = "_doubtful"


@dataclass(frozen=True)
class Outcome:
    """What came of a step.

    Args:
        arrays: what was read.
        cost: what the device counted for it.
    """

    arrays: Arrays
    cost: Cost = field(default_factory=Cost)

    @property
    def doubtful(self) -> bool:
        """Whether it was cut off, on a device that can't be put back: its cells may have been written, or not."""
        return _DOUBTFUL in self.arrays

    def number(self, name: str) -> float:
        """An array of one number."""
        return float(self.arrays[name])


class Steps:
    """Steps that nobody writes down; `Journal` does.

    Args:
        device: what they are done to; guarded, so that its costs add up.
    """

    def __init__(self, device: Device) -> None:
        self.device = device if isinstance(device, GuardedDevice) else GuardedDevice(device)

    def take(
        self,
        name: str,
        act: Callable[[], Arrays],
        *,
        cells: NDArray[np.bool_] | None = None,
        instead: Callable[[], Arrays] | None = None,
    ) -> Outcome:
        """Take a step.

        Args:
            name: what it is.
            act: does it.
            cells: (n,) those that it writes.
            instead: what is done if it was cut off, on a device that can't be put back; None: ``act`` again.
        """
        before = self.device.cost
        arrays = act()
        return Outcome(arrays, self.device.cost - before)

    @property
    def cuts(self) -> int:
        """How often the next step was begun already, and cut off, on a device that can't be put back."""
        return 0


class Journal(Steps):
    """One deployment's steps.

    Args:
        folder: made if it isn't there.
        about: what identifies the deployment; plain JSON.
        device: an emulated one is put back as the last outcome left it.

    Raises:
        ConfigError: the folder is of another deployment; says what differs.
        DeviceBusyError: another process is at it.
        FileError: it can't be used, or is damaged.
    """

    def __init__(self, folder: Path, about: Mapping[str, Any], device: GuardedDevice) -> None:
        super().__init__(device)
        self.folder = folder
        self._at = 0
        self._db: sqlite3.Connection | None = None
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lease = Lease(folder / ".lock", f"deployment {folder}")
        except OSError as error:
            raise FileError(f"{folder} can't be used: {error.strerror or error}", key="output") from error
        try:
            self._open(about)
        except BaseException:
            self.close()
            raise

    def _open(self, about: Mapping[str, Any]) -> None:
        try:
            self._db = sqlite3.connect(self.folder / "journal.sqlite", isolation_level=None)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.executescript(
                "CREATE TABLE IF NOT EXISTS about (key TEXT PRIMARY KEY, value TEXT NOT NULL);"
                "CREATE TABLE IF NOT EXISTS steps (n INTEGER PRIMARY KEY, name TEXT NOT NULL, cells BLOB, arrays BLOB,"
                " cost TEXT, cuts INTEGER NOT NULL DEFAULT 0);"
                "CREATE TABLE IF NOT EXISTS state (n INTEGER PRIMARY KEY CHECK (n = 0), bytes BLOB NOT NULL);"
            )
            self._check({"format": FORMAT, **about})
            rows = self._db.execute("SELECT name, arrays, cost, cuts FROM steps ORDER BY n").fetchall()
            kept = self._db.execute("SELECT bytes FROM state").fetchone()
            self._done = [(str(name), _outcome(arrays, cost)) for name, arrays, cost, _ in rows if arrays is not None]
            self._cut = bool(rows) and rows[-1][1] is None
            self._cuts = int(rows[-1][3]) + 1 if self._cut and self.device.emulation is None else 0
        except (sqlite3.Error, ValueError, KeyError, TypeError, EOFError) as error:
            if isinstance(error, ConfigError):
                raise
            raise self._unusable(error) from error
        self._emulated = self.device.emulation
        if self._emulated is not None:
            if kept is not None:
                self._emulated.restore(kept[0])
            else:
                self._keep_state(self._emulated)

    def _check(self, now: Mapping[str, Any]) -> None:
        db = self._connection
        before = {str(key): json.loads(value) for key, value in db.execute("SELECT key, value FROM about")}
        if not before:
            with db:
                db.execute("BEGIN")
                db.executemany("INSERT INTO about VALUES (?, ?)", [(k, json.dumps(v)) for k, v in now.items()])
            return
        for key, value in json.loads(json.dumps(dict(now))).items():
            if before.get(key) != value:
                raise ConfigError(
                    f"{self.folder} holds an unfinished deployment with {key} = {_short(before.get(key))}; this one "
                    f"has {_short(value)}; repeat its arguments to go on with it, or remove the folder to begin anew",
                    key=key,
                )

    @property
    def _connection(self) -> sqlite3.Connection:
        if self._db is None:
            raise FileError(f"{self.folder} is closed")
        return self._db

    @property
    def cuts(self) -> int:
        """See `Steps.cuts`."""
        return self._cuts if self._at == len(self._done) else 0

    @property
    def resumed(self) -> bool:
        """Whether there is something to go on with."""
        return bool(self._done) or self._cut

    @property
    def last(self) -> str:
        """The name of the last step that was done before; "" if there is none."""
        return self._done[-1][0] if self._done else ""

    def take(
        self,
        name: str,
        act: Callable[[], Arrays],
        *,
        cells: NDArray[np.bool_] | None = None,
        instead: Callable[[], Arrays] | None = None,
    ) -> Outcome:
        """Take a step, or recall what came of it; see `Steps.take`.

        Raises:
            FileError: it did another step here before; or the disk is full, or the like.
        """
        at, self._at = self._at, self._at + 1
        if at < len(self._done):
            known, outcome = self._done[at]
            if known != name:
                raise FileError(
                    f"{self.folder} holds an unfinished deployment that did {known!r} where this one does {name!r}; "
                    "repeat its arguments, with the version of hwzo that began, or remove the folder to begin anew",
                    key="output",
                )
            return outcome
        cuts = self._cuts if at == len(self._done) else 0
        packed = None if cells is None else np.packbits(cells).tobytes()
        self._write(
            "INSERT OR REPLACE INTO steps (n, name, cells, cuts) VALUES (?, ?, ?, ?)",
            (at, name, packed, cuts),
        )
        before = self.device.cost
        arrays = dict((instead if cuts and instead is not None else act)())
        if cuts and instead is not None:
            arrays[_DOUBTFUL] = np.array(True)
        outcome = Outcome(arrays, self.device.cost - before)
        self._write(
            "UPDATE steps SET arrays = ?, cost = ? WHERE n = ?",
            (_packed(arrays), json.dumps(asdict(outcome.cost)), at),
            self._emulated.snapshot() if self._emulated is not None else None,
        )
        return outcome

    def forget(self, name: str) -> None:
        """Forget the last step of that name and those after it, which came to nothing.

        Raises:
            FileError: the disk is full, or the like.
        """
        self._write("DELETE FROM steps WHERE n >= (SELECT max(n) FROM steps WHERE name = ?)", (name,))

    def _keep_state(self, emulated: EmulatedDevice) -> None:
        self._write("SELECT 1", (), emulated.snapshot())

    def _write(self, statement: str, values: tuple[Any, ...], state: bytes | None = None) -> None:
        try:
            with self._connection as db:
                db.execute("BEGIN")
                db.execute(statement, values)
                if state is not None:
                    db.execute("INSERT OR REPLACE INTO state VALUES (0, ?)", (state,))
        except sqlite3.Error as error:
            raise self._unusable(error) from error

    def _unusable(self, error: Exception) -> FileError:
        return FileError(
            f"{self.folder} can't be used: {error}; make room if the disk is full, and the same command goes on; or "
            "remove the folder to begin anew",
            key="output",
        )

    def close(self) -> None:
        """Let go of it; it stays, to go on with."""
        if self._db is not None:
            with contextlib.suppress(sqlite3.Error):
                self._db.close()
            self._db = None
        self._lease.release()

    def discard(self) -> None:
        """The deployment is finished: its file holds all this."""
        self.close()
        with contextlib.suppress(OSError):
            for path in self.folder.iterdir():
                if path.name.startswith(("journal.sqlite", ".lock")):
                    path.unlink(missing_ok=True)
            self.folder.rmdir()


def _packed(arrays: Arrays) -> bytes:
    file = io.BytesIO()
    np.savez(file, **cast(Any, dict(arrays)))
    return file.getvalue()


def _outcome(arrays: bytes, cost: str) -> Outcome:
    with np.load(io.BytesIO(arrays), allow_pickle=False) as archive:
        return Outcome(dict(archive), Cost(**json.loads(cost)))


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) < 200 else text[:200] + " ..."
