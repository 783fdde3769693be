"""``hwzo train``."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from hwzo.cli.options import Json
from hwzo.cli.picture import draw
from hwzo.cli.progress import bar
from hwzo.cli.streams import emit, write
from hwzo.cli.terminal import say, show, sparkline, table
from hwzo.errors import VerificationError
from hwzo.noise.profile import Profile
from hwzo.train.advised import advised
from hwzo.train.config import TrainConfig
from hwzo.train.folder import RunFolder
from hwzo.train.loop import Progress
from hwzo.train.result import Result
from hwzo.train.run import load_run
from hwzo.train.start import start

NAME = "train"


def command(
    config: Annotated[Path | None, typer.Argument(help="Configuration in TOML; the options below come on top.")] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Set any key; repeatable.")
    ] = None,
    print_config: Annotated[bool, typer.Option("--print-config", help="Print the configuration and stop.")] = False,
    target: Annotated[float | None, typer.Option(help="Validation accuracy to stop at; a miss exits with 5.")] = None,
    device: Annotated[str | None, typer.Option(help="Device URL. \\[default: crossbar:pcm]")] = None,
    method: Annotated[str | None, typer.Option(help="Method. \\[default: intrinsic]")] = None,
    task: Annotated[str | None, typer.Option(help="Task, or file.py:function. \\[default: digits]")] = None,
    budget: Annotated[str | None, typer.Option(help='Such as "20000 evaluations", "10 min" or "1e6 writes".')] = None,
    seed: Annotated[int | None, typer.Option(help="Of learning and data order. \\[default: 0]")] = None,
    profile: Annotated[
        Path | None, typer.Option(help="A device's profile, see hwzo calibrate: it chooses what isn't set.")
    ] = None,
    run: Annotated[Path | None, typer.Option(help="Folder of the run. \\[default: a new one under runs/]")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in that folder.")] = False,
    json: Json = False,
) -> int:
    """Train a device in place; without arguments, digits on the emulated PCM crossbar by its own noise."""
    options = {"target": target, "device": device, "method": method, "task": task, "budget": budget, "seed": seed}
    resolved = TrainConfig.load(config, set_ or [], options)
    known = None if profile is None else Profile.load(profile)
    if known is not None:
        chosen = {key: getattr(resolved, key) for key in resolved.model_fields_set}
        resolved = TrainConfig.build(advised(chosen, known, say=say))
    if print_config:
        if json:
            emit(resolved.model_dump())
        else:
            write(resolved.to_toml())
        return 0
    given = {key: getattr(resolved, key) for key in resolved.model_fields_set}
    with bar("training", _progress, quiet=json, remaining=True) as watch:
        result = start(given, config=resolved, run=run, resume=resume, profile=known, watch=watch, say=say)
    page = _draw(Path(result.run))
    if json:
        emit(result.model_dump())
    else:
        _show(result, page)
    if given.get("target") is not None and not result.target_reached:
        # Not raised: the result is on standard output already, and nothing else may follow it there.
        say(f"target {result.target:g} was not reached: validation {result.validation_accuracy}", style="bold red")
        return VerificationError.exit_code
    return 0


def _progress(progress: Progress) -> tuple[float, str]:
    at = progress.at
    accuracy = "" if at.validation_accuracy is None else f"validation {at.validation_accuracy:.3f}  "
    cost = at.spent.cost
    numbers = (
        f"loss {progress.loss:.3f}  {accuracy}{at.spent.evaluations:,} evaluations  "
        f"{cost.cell_writes:.3g} writes  {cost.device_seconds:.3g} device s"
    )
    return progress.share, numbers


def _draw(run: Path) -> Path | None:
    """The run's page."""
    from hwzo.report.page import write_run_page

    folder = RunFolder(run)
    page = folder.path / "report.html"
    if page.is_file() and page.stat().st_mtime >= folder.weights.stat().st_mtime:  # else it is of a shorter run
        return page
    return draw(page, partial(write_run_page, run))


def _show(result: Result, page: Path | None) -> None:
    kind = "emulated" if result.emulated else "hardware"
    reached = f"after {result.evaluations_to_target:,} evaluations" if result.target_reached else "not reached"
    test = "-" if result.test_accuracy is None else f"{result.test_accuracy:.4f} ({result.test_samples} samples)"
    rows = [
        ("device", f"{result.device} ({kind})"),
        ("exploration", f"{result.exploration}: {result.reason}"),
        ("test accuracy, read on the device", test),
        ("validation accuracy", result.validation_accuracy),
        (f"{result.target:.0%} validation", reached),
        ("parameters", result.n_parameters),
        ("evaluations", result.evaluations),
        ("commanded probes", result.commanded_probes),
        ("cell writes", result.cell_writes),
        ("device seconds", result.device_seconds),
        ("joules", result.joules),
        ("training took", f"{result.wall_seconds:.1f} s"),
    ]
    table(f"{result.task}, {result.method}, seed {result.seed}", ("", ""), rows)
    looks = [v.accuracy for v in load_run(result.run).validations if v.accuracy is not None]
    if looks:
        show(f"validation {looks[0]:.2f} {sparkline(looks)} {looks[-1]:.2f}")
    show(f"run: {result.run}")
    if page is not None:
        show(f"picture: {page}")
