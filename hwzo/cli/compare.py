"""``hwzo compare``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hwzo.cli.options import Json
from hwzo.cli.picture import draw
from hwzo.cli.streams import emit
from hwzo.cli.terminal import say, show, table, with_error

if TYPE_CHECKING:
    from hwzo.train.standing import Standing

NAME = "compare"


def command(
    config: Annotated[Path, typer.Argument(metavar="CONFIG.toml", help="What is compared, in TOML.")],
    run: Annotated[
        Path | None,
        typer.Option(help="Folder of the runs, gone on with if it is there. \\[default: runs/compare-CONFIG]"),
    ] = None,
    processes: Annotated[int | None, typer.Option(min=1, help="Runs at a time. \\[default: one a core]")] = None,
    json: Json = False,
) -> int:
    """Methods x devices x seeds, one table and one page."""
    from hwzo.report.comparison import write_comparison_page
    from hwzo.train.compare import compare, cores
    from hwzo.train.comparison import Comparison
    from hwzo.train.standing import standings

    comparison = Comparison.load(config)
    if processes is not None:
        comparison = comparison.model_copy(update={"processes": processes})
    folder = run if run is not None else Path("runs") / f"compare-{config.stem}"
    tuning = "" if comparison.tuning is None else f", after {comparison.tuning.runs} runs of tuning each"
    say(
        f"methods x devices x seeds: {len(comparison.methods)} x {len(comparison.devices)} x {len(comparison.seeds)}, "
        f"{comparison.budget} a run{tuning}, {comparison.processes or cores()} at a time; in {folder}"
    )
    outcomes = compare(comparison, folder, say)
    rows = standings(outcomes, comparison.task)
    page = draw(folder / "report.html", lambda page: write_comparison_page(comparison, outcomes, rows, page))
    if json:
        emit({"run": str(folder), "report": None if page is None else str(page), "table": [row.row() for row in rows]})
        return 0
    columns = (
        *("method", "device", "test accuracy", "n", "below best", "p", "validation loss", "to target"),
        *("evaluations", "cell writes", "device s", "J"),
    )
    lines = [
        (
            row.method,
            row.device,
            None if row.accuracy is None else with_error(row.accuracy, row.accuracy_standard_error),
            row.seeds,
            _below(row),
            None if row.p is None else float(f"{row.p:.2g}"),
            row.loss,
            None if row.evaluations_to_target is None else round(row.evaluations_to_target),
            round(row.evaluations or 0),
            round(row.cell_writes or 0),
            row.device_seconds,
            row.joules,
        )
        for row in rows
        if row.left_out is None
    ]
    table(f"{comparison.task}, {comparison.budget} a run", columns, lines)
    for row in rows:
        if row.left_out is not None:
            say(f"{row.method} on {row.device} was left out: {row.left_out}")
    show(f"runs: {folder}")
    if page is not None:
        show(f"picture: {page}, and its curves alone in {page.with_suffix('.svg')}")
    return 0


def _below(row: Standing) -> str | None:
    if row.below_best is None:
        return None
    return "best" if row.below_best == 0 else with_error(-row.below_best, row.below_best_standard_error)
