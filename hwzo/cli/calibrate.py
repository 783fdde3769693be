"""``hwzo calibrate``."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated

import typer

from hwzo.cli.options import DeviceOption, Json
from hwzo.cli.progress import bar
from hwzo.cli.signals import Signalled
from hwzo.cli.streams import emit
from hwzo.cli.terminal import say, show, table
from hwzo.errors import ConfigError, StoppedError, VerificationError
from hwzo.noise.advice import advise
from hwzo.noise.check import ALPHA, Comparison, not_compared
from hwzo.noise.profile import Profile
from hwzo.noise.quantity import Quantity
from hwzo.train.calibration import Progress, Watch, calibrate, check

NAME = "calibrate"


def command(
    device: DeviceOption,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="File of the profile. \\[default: profile.h5; none with --check]"),
    ] = None,
    task: Annotated[
        str | None, typer.Option(help="Task whose samples are evaluated. \\[default: random samples]")
    ] = None,
    budget: Annotated[str | None, typer.Option(help='Such as "500 evaluations", "2 min" or "1e6 writes".')] = None,
    seed: Annotated[int | None, typer.Option(help="Of what is programmed and commanded. \\[default: 0]")] = None,
    temperature: Annotated[float | None, typer.Option(help="Of the device, kelvin, above 0, for the record.")] = None,
    check_: Annotated[
        Path | None, typer.Option("--check", metavar="PROFILE", help="Measure again, and exit with 5 if it moved.")
    ] = None,
    json: Json = False,
) -> int:
    """Measure a device's noise, with error bars, and keep it as a profile."""
    if check_ is not None:
        for key, value in (("task", task), ("seed", seed), ("temperature", temperature)):
            if value is not None:
                raise ConfigError(f"--{key} goes without --check, which takes the profile's", key=key)
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    with bar("calibrating", _progress, quiet=json) as watch:
        if check_ is not None:
            return _check(check_, device, output, budget, now, watch, json=json)
        target = output or Path("profile.h5")
        try:
            profile = calibrate(
                device,
                target,
                task=task,
                budget=budget,
                seed=seed or 0,
                date=now,
                temperature_k=temperature,
                watch=watch,
                say=say,
            )
        except Signalled as signalled:
            raise StoppedError(
                f"stopped; what was measured is kept in {target}.part: the same command goes on",
                signalled.number,
            ) from None
    if json:
        emit(_told(profile))
    else:
        _show(profile)
    return 0


def _check(
    path: Path, device: str, output: Path | None, budget: str | None, now: str, watch: Watch | None, *, json: bool
) -> int:
    before = Profile.load(path)
    profile, compared = check(device, before, output, budget=budget, date=now, watch=watch, say=say)
    moved = [comparison for comparison in compared if comparison.moved]
    missing = not_compared(before.quantities, profile.manifest.left_out)
    if json:
        emit(
            {
                **_told(profile),
                "false_alarm_rate": ALPHA,
                "compared": len(compared),
                "not_compared": missing,
                "moved": [_line(comparison) for comparison in moved],
            }
        )
    else:
        rows = [
            (c.name, _value(c.before), _value(c.now), f"{c.standard_errors:.1f}", "moved" if c.moved else "")
            for c in compared
        ]
        title = f"{path}, of {before.manifest.date or 'an unknown day'}, against {profile.manifest.device.url}"
        table(title, ("quantity", "then", "now", "standard errors apart", ""), rows)
        show(
            f"{len(moved)} of {len(compared)} moved; a device that hasn't changed shows any with probability {ALPHA:g}"
        )
    if missing and not json:
        say(
            f"warning: only {len(compared)} of {len(compared) + len(missing)} quantities were compared; left out: "
            f"{', '.join(missing)}; a larger budget compares them too",
            style="bold yellow",
        )
    return VerificationError.exit_code if moved else 0


def _line(comparison: Comparison) -> dict[str, object]:
    apart = comparison.standard_errors
    return {
        "name": comparison.name,
        "before": comparison.before.value,
        "now": comparison.now.value,
        "unit": comparison.now.unit,
        "standard_errors": apart if apart < float("inf") else None,
        "p": comparison.p,
    }


def _told(profile: Profile) -> dict[str, object]:
    manifest = profile.manifest
    return {
        "device": manifest.device.url,
        "emulated": manifest.device.emulated,
        "profile": None if profile.path is None else str(profile.path),
        "quantities": {
            name: {
                "value": q.value,
                "standard_error": q.standard_error,
                "unit": q.unit,
                "n": q.n,
                "low": q.low,
                "high": q.high,
            }
            for name, q in profile.quantities.items()
        },
        "advice": {name: {"value": a.value, "reason": a.reason} for name, a in advise(profile).items()},
        "left_out": [{"name": name, "reason": reason} for name, reason in manifest.left_out.items()],
        "warnings": list(manifest.warnings),
        **{key: manifest.spent[key] for key in ("evaluations", "cell_writes", "device_seconds", "wall_seconds")},
    }


def _show(profile: Profile) -> None:
    manifest = profile.manifest
    kind = "emulated" if manifest.device.emulated else "hardware"
    rows = [(name, _value(q), _interval(q), _unit(q), q.n) for name, q in profile.quantities.items()]
    table(f"{manifest.device.url} ({kind})", ("quantity", "value", "95% interval", "unit", "n"), rows)
    if manifest.left_out:
        table("left out", ("quantity", "why"), list(manifest.left_out.items()))
    rows = [(name, a.value, a.reason) for name, a in advise(profile).items()]
    table("advice for hwzo train --profile", ("setting", "value", "why"), rows)
    for warning in manifest.warnings:
        say(f"warning: {warning}", style="bold yellow")
    spent = manifest.spent
    show(
        f"{int(spent['evaluations']):,} evaluations, {int(spent['cell_writes']):,} cell writes, "
        f"{spent['wall_seconds']:.1f} s"
    )
    show(f"profile: {profile.path}")


def _value(q: Quantity) -> str:
    """A value to the digits that its error leaves."""
    if q.standard_error is None or q.standard_error == 0.0:
        return f"{q.value:.5g}"
    places = max(0, 1 - _magnitude(q.standard_error))
    if places > 7:
        return f"{q.value:.3g} +- {q.standard_error:.2g}"
    return f"{q.value:.{places}f} +- {q.standard_error:.{places}f}"


def _magnitude(value: float) -> int:
    return int(f"{value:e}".partition("e")[2])


def _interval(q: Quantity) -> str:
    return "" if q.standard_error is None else f"{q.low:.4g} to {q.high:.4g}"


def _unit(q: Quantity) -> str:
    return "" if q.unit == "1" else q.unit


def _progress(progress: Progress) -> tuple[float, str]:
    spent = progress.spent
    numbers = f"{progress.measuring}  {spent.evaluations:,} evaluations  {spent.cost.cell_writes:.3g} writes"
    return progress.share, numbers
