"""``hwzo report``."""

from __future__ import annotations

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
        typer.Option("-o", "--output", help="The page. [default: RUN/report.html, or the file with .html for .h5]"),
    ] = None,
    json: Json = False,
) -> int:
    """Draw one self-contained page about a run, a device's noise profile, or a deployment."""
    if run.suffix == ".h5":
        from hwzo.deploy.deployment import is_deployment

        draw = _deployment if is_deployment(run) else _profile
        return draw(run, out if out is not None else run.with_suffix(".html"), json=json)
    from hwzo.report.page import write_run_page

    page = out if out is not None else run / "report.html"
    write_run_page(run, page)
    if json:
        emit({"run": str(run), "report": str(page)})
    else:
        show(str(page))
    return 0


def _profile(profile: Path, page: Path, *, json: bool) -> int:
    from hwzo.report.profile_page import write_profile_page

    write_profile_page(profile, page)
    if json:
        emit({"profile": str(profile), "report": str(page)})
    else:
        show(str(page))
    return 0


def _deployment(deployment: Path, page: Path, *, json: bool) -> int:
    from hwzo.report.deployment import write_deployment_page

    write_deployment_page(deployment, page)
    if json:
        emit({"deployment": str(deployment), "report": str(page)})
    else:
        show(str(page))
    return 0
