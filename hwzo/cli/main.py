"""``hwzo``: the commands, and how they end."""

from __future__ import annotations

import io
import signal
import sys
import threading
import traceback
from importlib.metadata import version as distribution_version
from types import FrameType
from typing import Annotated, Protocol, cast

import typer

from hwzo.cli import conformance, devices, doctor, evaluate, replay, report, runs, train
from hwzo.cli.terminal import emit, say
from hwzo.errors import HwzoError, StoppedError

INTERRUPTED = 130

app = typer.Typer(
    name="hwzo",
    help="Train noisy neuromorphic hardware in place, with its own noise as the exploration.",
    invoke_without_command=False,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(epilog="Each command takes --json; --debug shows the traceback of an error.")
def options(
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.", is_eager=True)] = False,
) -> None:
    """Train noisy neuromorphic hardware in place, with its own noise as the exploration."""
    if version:
        sys.stdout.write(f"hwzo {distribution_version('hwzo')}\n")
        raise typer.Exit


for module in (train, evaluate, devices, doctor, replay, report, runs, conformance):
    app.command(name=module.NAME)(module.command)


class _UsageError(Protocol):
    def show(self) -> None: ...
    def format_message(self) -> str: ...


# Typer stands on click, or since 0.2x on a copy of it inside itself; this is the base of its errors in either case.
_CLICK_ERROR = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")


def main(arguments: list[str] | None = None) -> None:
    """Run a command and exit with its code; a traceback is shown only with ``--debug``."""
    words = sys.argv[1:] if arguments is None else arguments
    debug, as_json = "--debug" in words, "--json" in words
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _terminated)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a table or a curve that the terminal can't show is no failure
    words = [word for word in words if word != "--debug"]
    try:
        code = app(words, prog_name="hwzo", standalone_mode=False)
        if code == INTERRUPTED:  # what Typer makes of Ctrl-C
            raise KeyboardInterrupt
        sys.exit(code if isinstance(code, int) else 0)
    except HwzoError as error:
        if debug:
            traceback.print_exc()
        _fail(error, str(error), error.exit_code, as_json)
    except (typer.Abort, KeyboardInterrupt) as error:
        _fail(error, "interrupted", INTERRUPTED, as_json)
    except BrokenPipeError:
        sys.stderr.close()  # whoever read our output has left; there is nobody to tell
        sys.exit(1)
    except Exception as error:
        if isinstance(error, _CLICK_ERROR):
            usage = cast(_UsageError, error)
            usage.show()
            if as_json:
                emit({"error": {"type": "ConfigError", "message": usage.format_message(), "exit_code": 2}})
            sys.exit(2)
        if debug:  # a defect of ours: say so, and keep the traceback for --debug
            traceback.print_exc()
        text = f"defect in hwzo: {type(error).__name__}: {error} (--debug shows where)"
        _fail(error, text, 1, as_json)


def _terminated(number: int, frame: FrameType | None) -> None:
    raise StoppedError("ended by SIGTERM", number)


def _fail(error: BaseException, message: str, code: int, as_json: bool) -> None:
    say(message, style="bold red")
    if as_json:
        emit({"error": {"type": type(error).__name__, "message": message, "exit_code": code}})
    sys.exit(code)
