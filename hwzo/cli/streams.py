"""Standard output holds results and nothing else, whatever is printed meanwhile; chatter never ends a command."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, redirect_stdout, suppress
from functools import wraps
from typing import ParamSpec, TextIO, TypeVar, cast

from hwzo.errors import HwzoError

P = ParamSpec("P")
T = TypeVar("T")

_kept: list[TextIO | None] = []  # standard output, while it is redirected


class OutputError(HwzoError):
    """A result could not be written to standard output.

    Args:
        message: what happened.
        left: True if whoever read it has left: there is nobody to tell.
    """

    def __init__(self, message: str, *, left: bool = False) -> None:
        super().__init__(message)
        self.left = left


class _Tolerant(io.TextIOBase):
    """A stream for chatter: what can't be written is left out."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    @property
    def encoding(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self._stream.encoding

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return self._stream.isatty()

    def fileno(self) -> int:
        return self._stream.fileno()

    def write(self, s: str, /) -> int:
        with suppress(OSError, ValueError):
            self._stream.write(s)
        return len(s)

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            self._stream.flush()


@contextmanager
def prepared() -> Generator[None]:
    """Within the block, any text may be written to both streams, also where one is closed or knows ASCII only."""
    for number in range(3):  # a file opened next would otherwise get the number of a closed stream, and its output
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a table or a curve that the terminal can't show is no failure
    before = cast("TextIO | None", sys.stderr)
    sys.stderr = _Tolerant(before if before is not None else io.StringIO())
    try:
        yield
    finally:
        if before is not None:
            settle(before)
        sys.stderr = before


@contextmanager
def results_apart() -> Generator[None]:
    """Within the block, only `write` and `emit` reach standard output; what others print goes to standard error."""
    _kept.append(sys.stdout)
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        _kept.pop()


def apart(command: Callable[P, T]) -> Callable[P, T]:
    """A command within `results_apart`."""

    @wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
        with results_apart():
            return command(*args, **kwargs)

    return wrapped


def results() -> TextIO | None:
    """Standard output; None if it was closed from the start."""
    return _kept[-1] if _kept else cast("TextIO | None", sys.stdout)


def write(text: str) -> None:
    """Text to standard output, at once.

    Raises:
        OutputError: it can't be written.
    """
    stream = results()
    if stream is None:
        raise OutputError("the result could not be written: standard output is closed")
    try:
        stream.write(text)
        stream.flush()
    except (OSError, ValueError) as error:
        settle(stream)
        left = isinstance(error, BrokenPipeError)
        raise OutputError(f"the result could not be written to standard output: {error}", left=left) from error


def emit(values: Mapping[str, object]) -> None:
    """One JSON object to standard output.

    Raises:
        OutputError: it can't be written.
    """
    write(json.dumps(values, allow_nan=False) + "\n")


def settle(stream: TextIO) -> bool:
    """Flush a stream; one that can't be written leads nowhere from then on, so that Python's last flush is quiet."""
    try:
        stream.flush()
    except (OSError, ValueError):
        with suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)
        return False
    return True
