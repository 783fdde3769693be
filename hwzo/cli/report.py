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
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run's folder.")],
    out: Annotated[Path | None, typer.Option("-o", "--output", help="The page. [default: RUN/report.html]")] = None,
    json: Json = False,
) -> int:
    """Draw one self-contained page about a run."""
    from hwzo.report.page import write_run_page

    page = out if out is not None else run / "report.html"
    write_run_page(run, page)
    if json:
        emit({"run": str(run), "report": str(page)})
    else:
        show(str(page))
    return 0
