"""``hwzo deploy``."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from hwzo.cli.options import Json
from hwzo.cli.picture import draw
from hwzo.cli.progress import bar
from hwzo.cli.signals import Signalled
from hwzo.cli.streams import emit
from hwzo.cli.terminal import say, show, table, with_error
from hwzo.deploy.closed_loop import MOST_WRITES, Progress, State
from hwzo.deploy.deploying import deploy
from hwzo.deploy.deployment import Deployment
from hwzo.deploy.dry_run import Plan, plan
from hwzo.deploy.endurance import PULSED
from hwzo.errors import CapabilityError, ConfigError, FileError, HwzoError, StoppedError, VerificationError

NAME = "deploy"


def command(
    source: Annotated[
        str | None,
        typer.Argument(
            metavar="[RUN-or-weights]",
            help="A run's folder, or a file: .safetensors, .pt, .onnx, .nir, a bundle's .zip.",
        ),
    ] = None,
    device: Annotated[str | None, typer.Option(help="Device URL. \\[default: the one they were learned on]")] = None,
    from_: Annotated[
        str | None, typer.Option("--from", metavar="URL", help="Take the weights that this device holds.")
    ] = None,
    task: Annotated[
        str | None, typer.Option(help="Whose samples count. \\[default: the task they were learned for]")
    ] = None,
    tolerance: Annotated[
        float | None,
        typer.Option(help="How near each cell must come, weight units. \\[default: 3 sd of what can't be helped]"),
    ] = None,
    touch_up: Annotated[
        str | None, typer.Option(metavar="BUDGET", help='Learn on the device afterwards, such as "2000 evaluations".')
    ] = None,
    profile: Annotated[Path | None, typer.Option(help="The device's noise profile, see hwzo calibrate.")] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="File of the deployment. \\[default: deployment.h5]")
    ] = None,
    bundle: Annotated[
        Path | None, typer.Option(help="Also write weights, mapping, profile and expected outputs into this .zip.")
    ] = None,
    clip: Annotated[bool, typer.Option("--clip", help="Move weights outside the window to its ends.")] = False,
    no_gains: Annotated[bool, typer.Option("--no-gains", help="Leave the columns' gains at 1.")] = False,
    no_orders: Annotated[bool, typer.Option("--no-orders", help="Leave hidden units in their order.")] = False,
    most_writes: Annotated[int, typer.Option(help="Writes that a cell may have to get right.")] = MOST_WRITES,
    layers: Annotated[
        str | None, typer.Option(help="The network, such as 64-32-10, where the file doesn't tell.")
    ] = None,
    activation: Annotated[str | None, typer.Option(help="Of the hidden layers, where the file doesn't tell.")] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace an output file of something else, or a bundle.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Of an emulated device, and of the touch-up.")] = 0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it would take; nothing is written.")] = False,
    json: Json = False,
) -> int:
    """Put learned weights into a device, verify cell by cell that they are there, and say what it gives."""
    target = output or Path("deployment.h5")
    if bundle is not None:
        _check_bundle(bundle, target, force)
    given = _given(source, from_, task)
    how: dict[str, Any] = {
        "task": task,
        "layers": layers,
        "activation": activation,
        "tolerance": tolerance,
        "profile": profile,
        "gains": not no_gains,
        "orders": not no_orders,
        "clip": clip,
        "most_writes": most_writes,
        "seed": seed,
        "say": say,
    }
    if dry_run:
        planned = plan(given, device, **how)
        if touch_up is not None:
            say(f"without the touch-up of {touch_up}, which comes on top")
        unused = [name for name, value in (("--output", output), ("--bundle", bundle), ("--force", force)) if value]
        if unused:
            say(f"a dry run writes no file: {', '.join(unused)} had no effect")
        if json:
            emit(planned.model_dump())
        else:
            _show_plan(planned)
        return 0
    with bar("deploying", _progress, quiet=json) as watch:
        try:
            done = deploy(given, device, output=target, touch_up=touch_up, force=force, watch=watch, **how)
        except Signalled as signalled:
            raise StoppedError(
                f"stopped; what was done is kept in {target}.part: the same command goes on", signalled.number
            ) from None
    unbundled = None if bundle is None else _bundle(done, bundle, profile)
    if unbundled is not None:
        bundle = None
    page = _draw(done)
    if json:
        files = {"page": None if page is None else str(page), "bundle": None if bundle is None else str(bundle)}
        emit(done.result.model_copy(update=files).model_dump())
    else:
        _show(done, page, bundle)
    # Not raised: the result is on standard output already, and nothing else may follow it there.
    if unbundled is not None:
        say(f"no bundle: {unbundled}; the deployment is done, and is kept in {done.path}", style="bold red")
    if not done.result.verified:
        say(_why_not(done), style="bold red")
        return VerificationError.exit_code
    return 0 if unbundled is None else unbundled.exit_code


def _given(source: str | None, from_: str | None, task: str | None) -> object:
    if (source is None) == (from_ is None):
        raise ConfigError("name what to deploy: a run's folder or a file of weights, or --from URL", key="source")
    if from_ is None:
        return source
    from hwzo.deploy.clone import clone

    return clone(from_, task=task or "", say=say).weights


def _check_bundle(path: Path, deployment: Path, force: bool) -> None:
    """Refuse a place where no bundle can be written, before anything else is."""
    if path.resolve() == deployment.resolve():
        raise ConfigError(f"bundle {path} is the deployment's own file; name another", key="bundle")
    if not path.parent.is_dir() or path.is_dir():
        raise FileError(
            f"bundle {path} can't be written: name a file in a folder that is there; nothing was deployed", key="bundle"
        )
    if path.exists() and not force:
        raise ConfigError(
            f"bundle {path} is there already; name another file, or replace it with --force; nothing was deployed",
            key="bundle",
        )


def _bundle(done: Deployment, path: Path, profile: Path | None) -> HwzoError | None:
    """Write the bundle; what is in its way is returned, for the deployment is done and whole."""
    from hwzo.deploy.bundle import ProbeSet, write_bundle

    if not done.probes:
        return CapabilityError(f"it would hold expected outputs, and {done.result.device} gives none")
    names = ("inputs", "outputs", "measured", "spread")
    probes = ProbeSet(*(done.probes[name] for name in names))
    try:
        write_bundle(path, done.weights, probes, mapping=done.mapping, profile=profile)
    except HwzoError as error:
        return error
    return None


def _draw(done: Deployment) -> Path | None:
    """The deployment's page."""
    if done.path is None:
        return None
    from hwzo.report.deployment import write_deployment_page

    return draw(done.path.with_suffix(".html"), partial(write_deployment_page, done.path))


def _why_not(done: Deployment) -> str:
    result = done.result
    healthy = result.cells - result.stuck
    right = result.cells_within_tolerance
    told = f"not verified: {right} of {healthy} cells that aren't stuck are within the tolerance, 99% are needed"
    if result.outputs_agree is False:
        told += f"; outputs differ by {result.outputs_difference:.3g}, the limit is {result.outputs_allowed:.3g}"
    if result.over_budget:
        most = done.manifest["settings"]["most_writes"]
        told += f"; {result.over_budget} used up their {most} writes, or the rounds"
        bears = done.manifest.get("endurance", 0)
        if bears and bears <= most:
            told += f": cells bear no more (endurance={bears}); try a device that does, or name a profile (--profile)"
    if result.unreachable:
        told += f"; {result.unreachable} targets lie beyond what their cells reach"
    return told


def _show(done: Deployment, page: Path | None, bundle: Path | None) -> None:
    result = done.result
    kind = "emulated" if result.emulated else "hardware"
    states = ", ".join(
        f"{number:,} {name}"
        for name, number in (
            ("ok", result.ok),
            ("compensated by their partners", result.compensated),
            ("stuck", result.stuck),
            ("unreachable", result.unreachable),
            (State.OVER_BUDGET.label, result.over_budget),
        )
        if number
    )
    rows: list[tuple[str, object]] = [
        ("device", f"{result.device} ({kind})"),
        ("verified", result.verified),
        ("cells", f"{result.cells:,}: {states}"),
        ("within the tolerance", f"{result.cells_within_tolerance:,}, of {result.tolerance:.4g} weight units"),
        *_writes(done),
        ("device seconds", result.device_seconds),
        ("joules", result.joules),
    ]
    if result.clipped:
        rows.append(("weights clipped", f"{result.clipped:,}"))
    if result.outputs_difference is not None:
        rows.append(
            (
                "outputs on the probe set",
                f"off by {result.outputs_difference:.3g} (rms)"
                + ("" if result.outputs_noise is None else f"; noise explains {result.outputs_noise:.3g}")
                + f"; the limit is {result.outputs_allowed:.3g}"
                + ("; accuracy was compared instead" if result.outputs_judged_by == "accuracy" else ""),
            )
        )
    for stage in done.manifest["validation"]:
        rows.append((f"validation accuracy, {stage['stage']}", with_error(stage["accuracy"], stage["standard_error"])))
    if result.accuracy is not None:
        rows.append((f"test accuracy, written once ({result.task})", f"{result.accuracy_before:.4f}"))
        told = f"{with_error(result.accuracy, result.accuracy_standard_error)} ({result.passes} passes)"
        rows.append((f"test accuracy ({result.task})", told))
    table(f"deployment {done.path}", ("", ""), rows)
    if done.manifest["bought"]:
        parts = [(part["name"], part["what"], part["before"], part["after"]) for part in done.manifest["bought"]]
        table("what the mapping bought", ("part", "what", "without", "with"), parts)
    if result.touch_up is not None:
        show(f"touch-up: {result.touch_up}")
    if bundle is not None:
        show(f"bundle: {bundle}")
    if page is not None:
        show(f"picture: {page}")


def _writes(done: Deployment) -> list[tuple[str, object]]:
    """Cell writes, by what took them."""
    result = done.result
    own = result.cell_writes - result.touch_up_writes
    written = int(done.written.writes.sum())
    told = f"{own:,}; a cell was written {result.most_writes_of_a_cell} times at most"
    if written and own > PULSED * written:
        told += f", each in {own / written:.0f} operations on average, such as pulses"
    rows: list[tuple[str, object]] = [("cell writes, program and verify", told)]
    if result.touch_up_writes:
        rows.append(("cell writes, touch-up", f"{result.touch_up_writes:,}"))
    return rows


def _show_plan(planned: Plan) -> None:
    kind = "emulated" if planned.emulated else "hardware"
    unknown = "unknown without a profile"
    rows = [
        ("cells", planned.cells),
        ("clipped", planned.clipped),
        ("stuck", unknown if planned.stuck is None else planned.stuck),
        ("cell writes", planned.cell_writes),
        ("device seconds", planned.device_seconds),
        ("joules", planned.joules),
        ("tolerance, weight units", unknown if planned.tolerance is None else planned.tolerance),
        ("reads averaged", planned.repeats),
        ("rms error expected, weight units", unknown if planned.rms_error is None else planned.rms_error),
        ("known from", planned.known_from),
    ]
    table(f"a deployment on {planned.device} ({kind}) would take", ("", ""), rows)


def _progress(progress: Progress) -> tuple[float, str]:
    beyond = "" if progress.beyond is None else f"{progress.beyond:,} beyond  "
    return progress.share, f"{progress.phase}  {beyond}{progress.cost.cell_writes:.3g} writes"
