"""``hwzo replay``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hwzo.cli.options import Json
from hwzo.cli.streams import emit
from hwzo.cli.terminal import show
from hwzo.train.replay import replay

NAME = "replay"


def command(
    run: Annotated[Path, typer.Argument(help="A run's folder.")],
    out: Annotated[Path, typer.Option("-o", "--output", help="Where to write the weights.")],
    step: Annotated[int | None, typer.Option(help="After how many steps. \\[default: all]")] = None,
    json: Json = False,
) -> int:
    """Rebuild the weights of any step of a run from its journal, and say how."""
    rebuilt = replay(run, step)
    rebuilt.weights.save(out)
    if json:
        emit(
            {
                "run": rebuilt.run,
                "step": rebuilt.step,
                "weights": str(out),
                "how": rebuilt.how,
                "parameters_crc32": rebuilt.parameters_crc32,
            }
        )
        return 0
    text = f"{out}: step {rebuilt.step} of {run}, by {rebuilt.how}, CRC-32 {rebuilt.parameters_crc32:#010x}"
    show(text)
    return 0
