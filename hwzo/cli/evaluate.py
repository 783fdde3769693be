"""``hwzo evaluate``."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hwzo.cli.options import Json
from hwzo.cli.progress import bar
from hwzo.cli.streams import emit
from hwzo.cli.terminal import say, show, table, with_error
from hwzo.deploy.evaluation import evaluate
from hwzo.errors import ConfigError

if TYPE_CHECKING:
    from hwzo.deploy.drift_evaluation import AgedAccuracy, Aging
    from hwzo.train.evaluate import Evaluation, Watch

NAME = "evaluate"


def command(
    weights: Annotated[
        Path,
        typer.Argument(
            metavar="RUN-or-weights", help="A run's folder, a deployment (.h5), a bundle (.zip), or a file of weights."
        ),
    ],
    device: Annotated[str | None, typer.Option(help="Device URL. \\[default: the one they were learned on]")] = None,
    task: Annotated[str | None, typer.Option(help="Task. \\[default: the one they were learned for]")] = None,
    repeats: Annotated[int, typer.Option(help="How often to program the weights and read the test split.")] = 10,
    at: Annotated[
        str | None,
        typer.Option(
            "--at", metavar="AGES", help='Ages since programming, such as "1 s,1 h,1 d,30 d"; emulated devices only.'
        ),
    ] = None,
    compensation: Annotated[
        str | None,
        typer.Option(
            "--compensate", help="At each age: off, global, layer (gains), or refresh (rewrites). \\[default: layer]"
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="A page with the picture, accuracy against age.")
    ] = None,
    json: Json = False,
) -> int:
    """Program learned weights into a device and read its accuracy, mean and standard error; or what becomes of it."""
    if at is None and (compensation is not None or output is not None):
        key = "compensate" if compensation is not None else "output"
        raise ConfigError(f"--{key} goes with --at, which says at which ages", key=key)
    if at is not None:
        return _aging(weights, device, task, repeats, at, compensation or "layer", output, json=json)
    with _watched(quiet=json) as watch:
        result = evaluate(weights, device, task=task, repeats=repeats, watch=watch, say=say)
    if json:
        emit(result.model_dump())
        return 0
    rows = [
        ("device", _device(result)),
        ("test samples", result.samples),
        ("accuracy", f"{_mean(result)} (n = {result.repeats}, programmed anew each time)"),
        ("loss", result.loss),
    ]
    table(f"{result.task}, {weights}", ("", ""), rows)
    return 0


@contextmanager
def _watched(*, quiet: bool) -> Generator[Watch]:
    with bar("programming and reading", _progress, quiet=quiet, remaining=True) as watch:
        yield (lambda done, of: None) if watch is None else (lambda done, of: watch((done, of)))


def _progress(seen: tuple[int, int]) -> tuple[float, str]:
    done, of = seen
    return done / of, f"{done}/{of}"


def _aging(
    source: Path,
    device: str | None,
    task: str | None,
    repeats: int,
    at: str,
    compensation: str,
    output: Path | None,
    *,
    json: bool,
) -> int:
    from hwzo.deploy.drift_ages import age_label
    from hwzo.deploy.drift_evaluation import evaluate_at

    if output is not None:
        from hwzo.report.document import check_page

        check_page(output)
    with _watched(quiet=json) as watch:
        aging = evaluate_at(
            source,
            device,
            at=at,
            compensation=compensation,  # pyright: ignore[reportArgumentType]  (checked there)
            task=task,
            repeats=repeats,
            watch=watch,
            say=say,
        )
    if output is not None:
        from hwzo.report.aging import write_aging_page

        write_aging_page(aging, str(source), output)
    if json:
        emit({**aging.model_dump(), "page": None if output is None else str(output)})
        return 0
    done = {"off": (), "refresh": ("refreshed", "cells")}.get(compensation, (f"compensated, {compensation}", "gains"))
    rows: list[tuple[object, ...]] = []
    for point in aging.points:
        without = with_error(point.accuracy_without, point.accuracy_without_standard_error)
        gains = " ".join(f"{factor:.3f}" for factor in point.factors)
        last = f"{point.cells_written:,.0f}" if compensation == "refresh" else gains
        rows.append((age_label(point.seconds), without, *((_mean(point), last) if done else ()), point.loss))
    title = f"{aging.task}, {source}, {aging.samples} test samples, programmed {repeats} times"
    show(_device(aging))
    table(title, ("age", "as it is" if done else "accuracy", *done, "loss"), rows)
    if output is not None:
        show(f"page: {output}")
    return 0


def _mean(result: Evaluation | AgedAccuracy) -> str:
    return with_error(result.accuracy, result.accuracy_standard_error)


def _device(result: Evaluation | Aging) -> str:
    return f"{result.device} ({'emulated' if result.emulated else 'hardware'})"
