"""``hwzo runs``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hwzo.cli.options import Json
from hwzo.cli.streams import emit
from hwzo.cli.terminal import say, table
from hwzo.errors import ConfigError, FileError
from hwzo.train.run import load_run

NAME = "runs"


def command(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where to look.")] = Path("runs"), json: Json = False
) -> int:
    """List the runs in a folder, a line each."""
    if not folder.is_dir():
        raise FileError(f"{folder} is not a folder; hwzo train makes runs/")
    rows: list[dict[str, object]] = []
    for path in sorted(folder.iterdir()):
        try:
            if not (path / "run.toml").is_file():
                continue
            run = load_run(path)
        except (ConfigError, OSError) as error:  # such as a folder that may not be entered
            rows.append({"run": str(path), "state": "damaged", "reason": str(error)})
            continue
        steps = len(run.curve["t"])
        row: dict[str, object] = {"run": str(path), "state": "finished" if run.result else "unfinished", "steps": steps}
        row |= {
            "task": run.config.task,
            "method": run.config.method,
            "device": run.config.device,
            "seed": run.config.seed,
        }
        if run.result is not None:
            result = run.result
            row |= {
                "evaluations": result.evaluations,
                "test_accuracy": result.test_accuracy,
                "emulated": result.emulated,
            }
        rows.append(row)
    if json:
        emit({"runs": rows})
        return 0
    if not rows:
        say(f"no runs in {folder}")
    keys = ("run", "state", "task", "method", "device", "seed", "steps", "evaluations", "test_accuracy")
    table(str(folder), keys, [[row.get(key) for key in keys] for row in rows])
    for row in rows:
        if "reason" in row:
            say(str(row["reason"]))
    return 0
