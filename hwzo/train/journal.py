"""The run's journal: an SQLite file in WAL mode, one row a step, written before and after the device is touched.

A step's intent is durable before the device sees it. Its outcome becomes durable together with the next intent, in one
transaction, so that a step costs one commit; a kill between the two loses at most the step in flight. Arrays are stored
as little-endian blobs: losses, scales and coefficients float64, counters int64, gradients float32. Each finished step
carries a CRC-32 of its row, since SQLite itself does not notice a flipped bit in a value.
"""

from __future__ import annotations

import contextlib
import sqlite3
import struct
import time
import zlib
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hwzo.errors import FileError
from hwzo.methods.method import Outcome, Record
from hwzo.probes import Cost
from hwzo.tape import Call
from hwzo.train.journal_file import identity, open_to_read

Part = Literal["start", "check", "look", "step", "test"]

FORMAT = 1
_LAST_SECOND = 253402300800  # Unix time of the year 10000, before which all that ever happened did
_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE steps (
    t INTEGER PRIMARY KEY,
    done INTEGER NOT NULL,
    evaluations INTEGER, commanded INTEGER, rate REAL, progress REAL, loss REAL,
    reads INTEGER, cell_writes INTEGER, bytes INTEGER, device_seconds REAL, joules REAL,
    losses BLOB, counters BLOB, scales BLOB, coefficients BLOB, gradient BLOB,
    crc32 INTEGER, time REAL NOT NULL
);
CREATE TABLE validations (
    t INTEGER PRIMARY KEY, evaluations INTEGER, cell_writes INTEGER, loss REAL, accuracy REAL, samples INTEGER
);
CREATE TABLE events (time REAL NOT NULL, t INTEGER, kind TEXT NOT NULL, detail TEXT NOT NULL);
"""
_CALLS = """
CREATE TABLE IF NOT EXISTS calls (
    t INTEGER, part TEXT, n INTEGER, request TEXT NOT NULL, cost TEXT NOT NULL, answer BLOB NOT NULL,
    PRIMARY KEY (t, part, n)
);
"""  # journals of before have none; sorted by its key, it is in the order of time: check, look, step, test
_CALL = "INSERT OR REPLACE INTO calls VALUES (?, ?, ?, ?, ?, ?)"
_NUMBERS = struct.Struct("<qqqdddqqqdd")  # t, then evaluations to joules
_OUTCOME = f"INSERT OR REPLACE INTO steps VALUES ({', '.join('?' * 19)})"
_INTENT = "INSERT OR REPLACE INTO steps (t, done, time) VALUES (?, 0, ?)"
_BOTH = f"{_OUTCOME}, (?, 0{', NULL' * 16}, ?)"


@dataclass(frozen=True)
class Validation:
    """A look at the validation split.

    Args:
        t: steps taken before it.
        evaluations, cell_writes: spent on training before it.
        loss: mean loss.
        accuracy: fraction right; None where the device gives a loss only.
        samples: how many samples it was read on.
    """

    t: int
    evaluations: int
    cell_writes: int
    loss: float
    accuracy: float | None
    samples: int


class Journal:
    """An open journal.

    Args:
        path: ``journal.sqlite``; made if absent and ``create``.
        create: make a new one; otherwise it must exist.
        read_only: only look at it; it is left as it is, on a read-only disk, too.

    Raises:
        FileError: missing, damaged, of another format, or not writable.
    """

    def __init__(self, path: Path, *, create: bool = False, read_only: bool = False) -> None:
        self.path = path
        self._calls: list[tuple[int, str, int, str, str, bytes]] = []
        self._outcome: tuple[object, ...] | None = None  # of the last step, until the next intent goes out with it
        if not create and identity(path) is None:
            raise FileError(f"journal {path} does not exist; is {path.parent} a run's folder?")
        try:
            with self._explained():
                self._db = open_to_read(path) if read_only else sqlite3.connect(path, isolation_level=None, timeout=5.0)
                if not read_only:
                    self._db.execute("PRAGMA journal_mode = WAL")
                    self._db.execute("PRAGMA synchronous = NORMAL")  # no fsync a step; stays whole after a power cut
                if create:
                    self._db.executescript(f"BEGIN; {_SCHEMA} COMMIT;")
                    self.remember("format", str(FORMAT))
                if not read_only:
                    self._db.executescript(_CALLS)
                found = self.recall("format")
            if found != str(FORMAT):
                raise FileError(f"journal {path} has format {found}, this version reads format {FORMAT}")
        except FileError:
            if hasattr(self, "_db"):
                self._db.close()
            raise
        self._file = identity(path)

    def check_in_place(self) -> None:
        """Look whether the file is still the one that was opened.

        Raises:
            FileError: somebody removed or replaced it; what is written from then on would be lost.
        """
        if identity(self.path) != self._file:
            raise FileError(
                f"journal {self.path} was removed or replaced while the run went on: the steps in it are lost; the "
                "last checkpoint is whole, and --resume goes on from it"
            )

    def intend(self, t: int) -> None:
        """Say that step t is about to touch the device; makes this and all before it durable."""
        outcome, self._outcome = self._outcome, None
        with self._explained(), self._together():
            if outcome is None:
                self._db.execute(_INTENT, (t, time.time()))
            else:  # one statement, hence one transaction, for both: half the time of two
                self._db.execute(_BOTH, (*outcome, t, time.time()))

    def record(self, t: int, outcome: Outcome, cost: Cost, progress: float, *, keep_gradient: bool) -> None:
        """Say what came of step t; durable with the next intent or ``commit``."""
        seen = outcome.evidence
        gradient = outcome.gradient if keep_gradient else None
        numbers = (
            len(seen.losses),
            seen.commanded,
            outcome.rate,
            progress,
            float(seen.losses.sum()) / len(seen.losses),
            cost.reads,
            cost.cell_writes,
            cost.bytes,
            cost.device_seconds,
            cost.joules,
        )
        blobs = (
            seen.losses.tobytes(),
            seen.counters.tobytes(),
            seen.scales.tobytes(),
            None if outcome.coefficients is None else outcome.coefficients.tobytes(),
            None if gradient is None else gradient.tobytes(),
        )
        with self._explained():
            self._outcome = (t, 1, *numbers, *blobs, _crc32(t, numbers, blobs), time.time())

    def forget(self, start: int) -> None:
        """Drop all steps from step ``start`` on, and the looks after it; durable at once."""
        self._outcome = None
        self._calls.clear()
        with self._explained():
            self._db.execute("DELETE FROM steps WHERE t >= ?", (start,))
            self._db.execute("DELETE FROM validations WHERE t > ?", (start,))  # the look at t came before step t
            self._db.execute("DELETE FROM calls WHERE t > ?", (start,))
            self._db.execute("DELETE FROM calls WHERE t = ? AND part NOT IN ('check', 'look')", (start,))

    def forget_result(self) -> None:
        """Drop the result, of a run that goes on; durable at once."""
        with self._explained():
            self._db.execute("DELETE FROM meta WHERE key = 'result'")
            self._db.execute("DELETE FROM calls WHERE part = 'test'")

    def validated(self, validation: Validation) -> None:
        """Keep a look at the validation split, and all before it; durable at once."""
        v = validation
        row = (v.t, v.evaluations, v.cell_writes, v.loss, v.accuracy, v.samples)
        self.commit()
        with self._explained():
            self._db.execute("INSERT OR REPLACE INTO validations VALUES (?, ?, ?, ?, ?, ?)", row)

    def heard(self, t: int, part: Part, calls: Sequence[Call]) -> None:
        """Keep what the device was asked and answered; durable with the next intent or ``commit``.

        Args:
            t: steps taken before it; -1 before the first look.
            part: of the run.
            calls: all of that part, in order.
        """
        self._calls += [(t, part, n, *call.packed()) for n, call in enumerate(calls)]

    def event(self, t: int, kind: str, detail: str) -> None:
        """Keep something that happened; durable at once."""
        self.commit()
        with self._explained():
            self._db.execute("INSERT INTO events VALUES (?, ?, ?, ?)", (time.time(), t, kind, detail))

    def remember(self, key: str, value: str) -> None:
        """Keep a value for the whole run; durable at once."""
        with self._explained():
            self._db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    def commit(self) -> None:
        """Make all so far durable."""
        outcome, self._outcome = self._outcome, None
        with self._explained(), self._together():
            if outcome is not None:
                self._db.execute(_OUTCOME, outcome)

    def recall(self, key: str) -> str | None:
        """A value kept for the whole run."""
        row = self._one("SELECT value FROM meta WHERE key = ?", (key,))
        return None if row is None else str(row[0])

    def last_done(self) -> int | None:
        """The last step whose outcome is known; None if there is none."""
        row = self._one("SELECT max(t) FROM steps WHERE done = 1", ())
        return row[0] if row is not None and isinstance(row[0], int) else None

    def check(self) -> None:
        """Look whether the file is whole, before it is relied on.

        Raises:
            FileError: it isn't; names the last good step.
        """
        with self._explained():
            found = self._db.execute("PRAGMA quick_check(1)").fetchone()
            if found != ("ok",):
                raise sqlite3.DatabaseError(str(found[0]) if found else "it can't be checked")
            previous: int | None = None
            for t, _, _ in self._rows(0, None):
                if previous is not None and t != previous + 1:
                    raise sqlite3.DatabaseError(f"step {previous + 1} is missing")
                previous = t

    def records(self, start: int = 0, stop: int | None = None) -> Iterator[Record]:
        """Finished steps from start up to, not including, stop.

        Raises:
            FileError: a step is damaged; names the last good one.
        """
        with self._explained():
            wanted = start
            for t, numbers, blobs in self._rows(start, stop):
                if t != wanted:
                    raise sqlite3.DatabaseError(f"step {wanted} is missing")
                wanted = t + 1
                losses, counters, scales, coefficients, gradient = blobs
                yield Record(
                    t,
                    np.frombuffer(losses, "<f8"),
                    np.frombuffer(counters, "<i8"),
                    np.frombuffer(scales, "<f8"),
                    numbers[2],
                    None if gradient is None else np.frombuffer(gradient, "<f4"),
                    None if coefficients is None else np.frombuffer(coefficients, "<f8"),
                    numbers[3],
                )

    def costs(self, start: int = 0) -> Iterator[tuple[int, int, Cost]]:
        """(evaluations, commanded probes, cost) of finished steps from start."""
        with self._explained():
            for _, numbers, _ in self._rows(start, None):
                yield numbers[0], numbers[1], Cost(*numbers[5:])

    def _rows(self, start: int, stop: int | None) -> Iterator[tuple[int, tuple[Any, ...], tuple[Any, ...]]]:
        """(t, numbers, blobs) of finished steps, each checked against its CRC-32."""
        query = """SELECT t, evaluations, commanded, rate, progress, loss, reads, cell_writes, bytes, device_seconds,
        joules, losses, counters, scales, coefficients, gradient, crc32
        FROM steps WHERE done = 1 AND t >= ? AND t < ? ORDER BY t"""
        for t, *row, crc in self._db.execute(query, (start, 2**62 if stop is None else stop)):
            numbers, blobs = tuple(row[:10]), tuple(row[10:])
            try:
                whole = crc == _crc32(t, numbers, blobs)
            except (TypeError, struct.error):  # not even the types are right
                whole = False
            if not whole:
                raise sqlite3.DatabaseError(f"the checksum of step {t} does not fit")
            yield t, numbers, blobs

    def curve(self) -> dict[str, NDArray[np.float64]]:
        """Per finished step: t, loss, evaluations, cell_writes, device_seconds, joules, the last four added up."""
        query = "SELECT t, loss, evaluations, cell_writes, device_seconds, joules FROM steps WHERE done = 1 ORDER BY t"
        with self._explained():
            rows: NDArray[np.float64] = np.array(self._db.execute(query).fetchall(), dtype=np.float64).reshape(-1, 6)
            if not np.isfinite(rows).all():  # NULL reads as NaN
                raise sqlite3.DatabaseError("a step lacks numbers")
        names = ("t", "loss", "evaluations", "cell_writes", "device_seconds", "joules")
        curve = {name: rows[:, column] for column, name in enumerate(names)}
        return curve | {name: np.cumsum(curve[name]) for name in names[2:]}

    def validations(self) -> list[Validation]:
        """All looks at the validation split, in order."""
        with self._explained():
            return [_validation(row) for row in self._db.execute("SELECT * FROM validations ORDER BY t")]

    def events(self) -> list[tuple[float, int, str, str]]:
        """(time, t, kind, detail) of everything that happened."""
        with self._explained():
            rows = self._db.execute("SELECT time, t, kind, detail FROM events ORDER BY rowid").fetchall()
            for when, t, kind, detail in rows:
                words = isinstance(kind, str) and isinstance(detail, str)
                if not (isinstance(when, float) and 0 <= when < _LAST_SECOND and isinstance(t, int) and words):
                    raise sqlite3.DatabaseError(f"an event of step {t!r} is none: {(when, kind, detail)!r}")
            return rows

    def close(self) -> None:
        """Make all so far durable, if the disk allows, and let go of the file."""
        try:
            self.commit()
        finally:
            self._db.close()

    def _one(self, query: str, values: tuple[object, ...]) -> tuple[object, ...] | None:
        with self._explained():
            return self._db.execute(query, values).fetchone()

    @contextlib.contextmanager
    def _together(self) -> Generator[None]:
        """One transaction of what is done here and the calls that were kept; without calls, none is begun."""
        calls, self._calls = self._calls, []
        if not calls:
            yield
            return
        self._db.execute("BEGIN")
        try:
            self._db.executemany(_CALL, calls)
            yield
            self._db.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                self._db.execute("ROLLBACK")
            raise

    @contextlib.contextmanager
    def _explained(self) -> Generator[None]:
        try:
            yield
        except FileError:
            raise
        except (sqlite3.Error, TypeError, ValueError, OverflowError, struct.error) as error:
            text = str(error)  # the last four: columns that don't hold numbers, or numbers that don't fit
            db = getattr(self, "_db", None)
            if db is not None and db.in_transaction:
                with contextlib.suppress(sqlite3.Error):
                    db.execute("ROLLBACK")
            if "full" in text or "disk I/O" in text:
                message = f"journal {self.path} could not be written: {text}; make room, then go on with --resume"
            elif any(reason in text for reason in ("readonly", "unable to open", "locked")):
                message = f"journal {self.path} can't be used: {text}"
            else:
                message = f"journal {self.path} is damaged or can't be used: {text}; {self._last_good()}"
            raise FileError(message) from error

    def _last_good(self) -> str:
        """How far a damaged journal can be read, for the message."""
        last: int | None = None
        with contextlib.suppress(sqlite3.Error, AttributeError):  # AttributeError: it couldn't even be opened
            for t, _, _ in self._rows(0, None):
                if last is not None and t != last + 1:
                    break
                last = t
        return "no step in it can be read" if last is None else f"its last good step is {last}"


def _validation(row: tuple[Any, ...]) -> Validation:
    t, evaluations, cell_writes, loss, accuracy, samples = row
    whole = all(isinstance(value, int) for value in (t, evaluations, cell_writes, samples))
    if not (whole and isinstance(loss, float) and (accuracy is None or isinstance(accuracy, float))):
        raise sqlite3.DatabaseError(f"the look after {t!r} steps is none: {row!r}")
    return Validation(*row)


def _crc32(t: int, numbers: Sequence[Any], blobs: Sequence[bytes | None]) -> int:
    crc = zlib.crc32(_NUMBERS.pack(t, *numbers))
    for blob in blobs:
        crc = zlib.crc32(blob or b"", crc)
    return crc
