"""``hwzo twin``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hwzo.cli.options import DeviceOption, Json
from hwzo.cli.streams import emit
from hwzo.cli.terminal import say, show, table, with_error
from hwzo.errors import ConfigError
from hwzo.noise.profile import Profile
from hwzo.noise.twin import ALPHA, Gap
from hwzo.train.twin import compare_with_twin
from hwzo.train.twin_training import SEEDS, Stretch, train_with_twin

NAME = "twin"


def command(
    profile: Annotated[Path, typer.Argument(metavar="PROFILE", help="Of the device, see hwzo calibrate.")],
    device: DeviceOption,
    seed: Annotated[int, typer.Option(help="Of what is programmed and commanded, and of the twin.")] = 0,
    train: Annotated[
        str | None,
        typer.Option(metavar="BUDGET", help='Also train both, each run for such as "2000 evaluations".'),
    ] = None,
    seeds: Annotated[int | None, typer.Option(help=f"Pairs of runs that --train does. \\[default: {SEEDS}]")] = None,
    json: Json = False,
) -> int:
    """Compare a device with its emulated twin, crossbar:PROFILE: the same probes on both."""

    if train is None and seeds is not None:
        raise ConfigError("--seeds goes with --train, which says for how long each run learns", key="seeds")
    pairs = SEEDS if seeds is None else seeds

    def told(text: str) -> None:
        if not json:
            say(text)

    measured = Profile.load(profile)
    twin, gaps = compare_with_twin(measured, device, seed=seed, say=told)
    learned = [] if train is None else train_with_twin(measured, device, budget=train, seeds=pairs, seed=seed, say=told)
    record = measured.manifest.device
    differing = [gap for gap in gaps if gap.differs]
    if json:
        emit(
            {
                "device": record.url,
                "emulated": record.emulated,
                "profile": str(profile),
                "twin": twin,
                "gaps": [_told(gap) for gap in gaps],
                **({"training": [_learned(stretch) for stretch in learned]} if train is not None else {}),
                "differs": len(differing),
                "false_alarm_rate": ALPHA,
            }
        )
        return 0
    rows = [
        (
            gap.name,
            f"{gap.device[0]:.4g}, sd {gap.device[1]:.4g}",
            f"{gap.twin[0]:.4g}, sd {gap.twin[1]:.4g}",
            gap.unit,
            f"{gap.statistic:.3f}",
            f"{gap.p:.2g}",
            gap.n,
            _mark(gap.differs),
        )
        for gap in gaps
    ]
    kind = "emulated" if record.emulated else "hardware"
    columns = ("distribution of", "device", "twin", "unit", "KS distance", "p", "n", "")
    table(f"{record.url} ({kind}) and {twin} (emulated)", columns, rows)
    show(
        f"{len(differing)} of {len(gaps)} differ; of a device and a perfect twin any does with probability {ALPHA:g} "
        "(Kolmogorov-Smirnov, Holm)"
    )
    if learned:
        rows = [
            (
                s.name,
                *(with_error(*mean) for mean in (s.device, s.twin)),
                f"{s.p:.2g}",
                _mark(s.differs),
            )
            for s in learned
        ]
        table(f"trained on {measured.manifest.task}, {pairs} pairs", ("mean of", "device", "twin", "p", ""), rows)
        many = sum(stretch.differs for stretch in learned)
        show(f"{many} of {len(learned)} differ; of a device and a perfect twin any does with probability {ALPHA:g}")
    return 0


def _mark(differs: bool) -> str:
    return "differs" if differs else ""


def _learned(stretch: Stretch) -> dict[str, object]:
    return {
        "name": stretch.name,
        "device_mean": stretch.device[0],
        "device_standard_error": stretch.device[1],
        "twin_mean": stretch.twin[0],
        "twin_standard_error": stretch.twin[1],
        "p": stretch.p,
        "differs": stretch.differs,
    }


def _told(gap: Gap) -> dict[str, object]:
    return {
        "name": gap.name,
        "device_mean": gap.device[0],
        "device_sd": gap.device[1],
        "twin_mean": gap.twin[0],
        "twin_sd": gap.twin[1],
        "unit": gap.unit,
        "ks": gap.statistic,
        "p": gap.p,
        "n": gap.n,
        "differs": gap.differs,
    }
