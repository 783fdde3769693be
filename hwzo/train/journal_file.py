"""The journal's file: how it is read without being changed, what is in one that is in the way, and whether it is gone.

An SQLite file in WAL mode is up to three: itself, ``-wal`` with what was written last, ``-shm`` with an index of that.
"""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

from hwzo.errors import FileError

PARTS = ("", "-wal", "-shm", "-journal")
_SMALLEST_PAGE = 512  # bytes: a file shorter than that holds nothing yet
_WAL_HEADER = 32  # bytes


def parts(path: Path) -> list[Path]:
    """The files that a journal may consist of, there or not."""
    return [path.with_name(path.name + part) for part in PARTS]


def open_to_read(path: Path) -> sqlite3.Connection:
    """A connection that changes nothing, on a read-only disk or in a folder of somebody else's, too.

    Raises:
        FileError: what was written last can't be read without writing beside it; says what to do.
        sqlite3.Error: it can't be read.
    """
    wal = path.with_name(path.name + "-wal")
    if wal.exists():  # somebody is writing, or was killed
        try:
            return _connected(path, "mode=ro")
        except sqlite3.OperationalError as error:
            if "unable to open" not in str(error):
                raise
            if _size(wal) > _WAL_HEADER:
                raise FileError(
                    f"journal {path} can't be read where it is: its last steps are in {wal.name}, and the index of "
                    "that can't be made in this folder; copy the run to a folder that can be written"
                ) from error
    return _connected(path, "immutable=1")  # not ro: that would leave an empty -wal and -shm behind


def identity(path: Path) -> tuple[int, int] | None:
    """What tells this file from another one of the same name; None if it isn't there."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def content(path: Path) -> str:
    """What a journal holds that must not be lost, in words; empty if nothing, as after a start that was killed."""
    main, wal, *_ = parts(path)
    if _size(main) < _SMALLEST_PAGE and _size(wal) <= _WAL_HEADER:
        return ""
    try:
        with contextlib.closing(_connected(path, "mode=rw")) as db:
            counts = {table: _rows(db, table) for table in ("steps", "validations", "events")}
    except sqlite3.Error as error:
        return f"{path.name}, which can't be read ({error})"
    if not any(counts.values()):
        return ""
    return f"{path.name} with " + ", ".join(f"{number} {table}" for table, number in counts.items() if number)


def _connected(path: Path, how: str) -> sqlite3.Connection:
    db = sqlite3.connect(f"{path.absolute().as_uri()}?{how}", uri=True, isolation_level=None, timeout=5.0)
    try:
        db.execute("SELECT count(*) FROM sqlite_master").fetchone()  # until then, nothing was opened
    except sqlite3.Error:
        db.close()
        raise
    return db


def _rows(db: sqlite3.Connection, table: str) -> int:
    there = db.execute("SELECT count(*) FROM sqlite_master WHERE name = ?", (table,)).fetchone()[0]
    return int(db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]) if there else 0


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
