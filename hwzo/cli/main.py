"""``hwzo``: how the commands begin and end. Light: what is heavy is loaded when a signal would be answered already."""

from __future__ import annotations

import signal
import sys
import traceback
from typing import Protocol, cast

from hwzo.cli.signals import Signalled, answered
from hwzo.cli.streams import OutputError, emit, prepared, settle
from hwzo.errors import ConfigError, FileError, HwzoError, StoppedError

INTERRUPTED = 128 + signal.SIGINT


class _UsageError(Protocol):
    def show(self) -> None: ...
    def format_message(self) -> str: ...


def main(arguments: list[str] | None = None) -> None:
    """Run a command and exit with its code; a traceback is shown only with ``--debug``."""
    words = sys.argv[1:] if arguments is None else arguments
    try:
        with prepared(), answered():
            code = _ended(words)
            if sys.stdout is not None and not settle(sys.stdout):  # pyright: ignore[reportUnnecessaryComparison]
                code = code or 1
    except Signalled as again:  # a second one, while the first was being told of
        code = 128 + again.number
    sys.exit(code)


def _ended(words: list[str]) -> int:
    """The exit code of a command, after saying what went wrong."""
    debug, as_json = "--debug" in words, "--json" in words
    try:
        return _run([word for word in words if word != "--debug"])
    except (Exception, Signalled, SystemExit) as error:
        if debug:
            traceback.print_exc()
        if isinstance(error, SystemExit) and error.code:
            return error.code if isinstance(error.code, int) else 1
        if isinstance(error, OutputError):
            if not error.left:
                sys.stderr.write(f"{error}\n")
            return error.exit_code
        kind, message, code = _told(error)
        try:
            _show(error, message)
            if as_json:
                emit({"error": {"type": kind, "message": message, "exit_code": code}})
        except OutputError as unwritten:
            if not unwritten.left:
                sys.stderr.write(f"{unwritten}\n")
        return code


def _run(words: list[str]) -> int:
    from typer import Abort

    from hwzo.cli.app import app

    try:
        code = app(words, prog_name="hwzo", standalone_mode=False)
    except (Abort, KeyboardInterrupt):
        raise Signalled(signal.SIGINT) from None
    if code == INTERRUPTED:  # what Typer makes of a KeyboardInterrupt
        raise Signalled(signal.SIGINT)
    return code if isinstance(code, int) else 0


def _told(error: BaseException) -> tuple[str, str, int]:
    """(type, message, exit code) of an error, as a user is told of it."""
    if isinstance(error, Signalled):
        text = "interrupted" if error.number == signal.SIGINT else f"ended by {signal.Signals(error.number).name}"
        return StoppedError.__name__, text, 128 + error.number
    if isinstance(error, HwzoError):
        return type(error).__name__, str(error), error.exit_code
    if _is_usage(error):
        return ConfigError.__name__, cast(_UsageError, error).format_message(), 2
    if isinstance(error, OSError):  # a file, a folder or a disk of the user's
        where = "" if error.filename is None else f"{error.filename}: "
        return FileError.__name__, f"{where}{error.strerror or error}", 2
    return type(error).__name__, f"defect in hwzo: {type(error).__name__}: {error} (--debug shows where)", 1


def _show(error: BaseException, message: str) -> None:
    if _is_usage(error):
        cast(_UsageError, error).show()
    elif isinstance(error, Signalled):
        sys.stderr.write(f"{message}\n")  # perhaps before there is anything that knows colours
    else:
        from hwzo.cli.terminal import say

        say(message, style="bold red")


def _is_usage(error: BaseException) -> bool:
    app = sys.modules.get("hwzo.cli.app")
    return app is not None and isinstance(error, getattr(app, "USAGE_ERROR", ()))
