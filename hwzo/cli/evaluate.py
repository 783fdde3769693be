"""``hwzo evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hwzo.cli.options import Json
from hwzo.cli.streams import emit
from hwzo.cli.terminal import table
from hwzo.train.evaluate import evaluate

NAME = "evaluate"


def command(
    weights: Annotated[Path, typer.Argument(metavar="RUN-or-weights", help="A run's folder, or a .safetensors file.")],
    device: Annotated[str | None, typer.Option(help="Device URL. [default: the one they were learned on]")] = None,
    task: Annotated[str | None, typer.Option(help="Task. [default: the one they were learned for]")] = None,
    repeats: Annotated[int, typer.Option(help="How often to program the weights and read the test split.")] = 10,
    json: Json = False,
) -> int:
    """Program learned weights into a device and read its accuracy, mean and standard error."""
    result = evaluate(weights, device, task=task, repeats=repeats)
    if json:
        emit(result.model_dump())
        return 0
    error = "" if result.accuracy_standard_error is None else f" +- {result.accuracy_standard_error:.4f}"
    rows = [
        ("device", f"{result.device} ({'emulated' if result.emulated else 'hardware'})"),
        ("test samples", result.samples),
        ("accuracy", f"{result.accuracy:.4f}{error} (n = {result.repeats}, programmed anew each time)"),
        ("loss", result.loss),
    ]
    table(f"{result.task}, {weights}", ("", ""), rows)
    return 0
