"""``hwzo report``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from hwzo.cli.options import Json
from hwzo.cli.streams import emit
from hwzo.cli.terminal import show

NAME = "report"


def command(
    run: Annotated[
        Path, typer.Argument(metavar="RUN-or-file", help="A run's folder, or the file of a profile or a deployment.")
    ],
    out: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="The page. \\[default: RUN/report.html, or the file with .html for .h5]"),
    ] = None,
    json: Json = False,
) -> int:
    """Draw one self-contained page about a run, a device's noise profile, or a deployment."""
    what, draw = _kind(run)
    page = out if out is not None else run.with_suffix(".html") if run.suffix == ".h5" else run / "report.html"
    draw(run, page)
    if json:
        emit({what: str(run), "report": str(page)})
    else:
        show(str(page))
    return 0


def _kind(run: Path) -> tuple[str, Callable[[Path, Path], None]]:
    """What it is, and what draws its page."""
    if run.suffix != ".h5":
        from hwzo.report.page import write_run_page

        return "run", write_run_page
    from hwzo.deploy.deployment import is_deployment

    if is_deployment(run):
        from hwzo.report.deployment import write_deployment_page

        return "deployment", write_deployment_page
    from hwzo.report.profile_page import write_profile_page

    return "profile", write_profile_page
