"""The commands, put together."""

from __future__ import annotations

from importlib.metadata import version as distribution_version
from typing import Annotated

import typer

from hwzo.cli import (
    calibrate,
    compare,
    conformance,
    deploy,
    devices,
    doctor,
    evaluate,
    firmware,
    replay,
    report,
    runs,
    serve,
    train,
    twin,
)
from hwzo.cli.streams import apart, write

app = typer.Typer(
    name="hwzo",
    help="Train noisy neuromorphic hardware in place, with its own noise as the exploration.",
    invoke_without_command=False,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

# Typer stands on click, or since 0.2x on a copy of it inside itself; this is the base of its errors in either case.
USAGE_ERROR = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")


def _version(wanted: bool) -> None:
    if wanted:
        write(f"hwzo {distribution_version('hwzo')}\n")
        raise typer.Exit


@app.callback(epilog="Each command takes --json; --debug shows the traceback of an error.")
def options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and stop.", is_eager=True, callback=_version)
    ] = False,
) -> None:
    """Train noisy neuromorphic hardware in place, with its own noise as the exploration."""


for module in (
    train,
    calibrate,
    twin,
    compare,
    deploy,
    evaluate,
    devices,
    doctor,
    replay,
    report,
    runs,
    conformance,
    serve,
):
    app.command(name=module.NAME)(apart(module.command))
app.add_typer(firmware.group)
