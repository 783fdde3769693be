"""One self-contained HTML page about a comparison: the table, and accuracy against what it cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from hwzo.report import drawing
from hwzo.report.comparison_curves import COSTS, Curve, averaged, comparison_picture, plot_curves
from hwzo.report.document import check_page, document
from hwzo.report.markup import Markup, element, facts, figures, paragraph, section, table
from hwzo.report.quantity import amount, count, with_error
from hwzo.train.comparison import Comparison, Outcome
from hwzo.train.run import Run, load_run
from hwzo.train.standing import Standing
from hwzo.train.tensors import write_atomically

if TYPE_CHECKING:
    from matplotlib.axes import Axes


LEGEND_COLUMNS = 3


@dataclass(frozen=True)
class Curves:
    """A device's curves.

    Args:
        by_cost: a curve a method, under the name of each cost that all methods have; none where only a loss is read.
        lost: runs without a curve, whose journal is gone.
    """

    by_cost: list[tuple[str, list[Curve]]]
    lost: int


def write_comparison_page(
    comparison: Comparison, outcomes: Sequence[Outcome], rows: Sequence[Standing], page: Path
) -> None:
    """Draw the page of a comparison that was run, and beside it, ``.svg``, the curves of its first device alone.

    Args:
        comparison: what was compared.
        outcomes: what came of it; their runs are read for the curves.
        rows: how they stand, see `hwzo.train.standing.standings`.
        page: the HTML file; what was there before is replaced in one piece.

    Raises:
        ConfigError: matplotlib is missing; says how to install it.
        FileError: a run is damaged, or the page can't be written.
    """
    check_page(page)
    curves = {device: curves_of(device, rows, outcomes) for device in comparison.devices}
    write_atomically(page, comparison_page(comparison, rows, curves).encode())
    device = comparison.devices[0]
    if drawn := curves[device].by_cost:
        kind = _kind(device, rows)
        title = f"{comparison.task} on {device} ({kind}), mean of {len(comparison.seeds)} seeds ± standard error"
        write_atomically(page.with_suffix(".svg"), comparison_picture(title, drawn).encode())


def comparison_page(comparison: Comparison, rows: Sequence[Standing], curves: Mapping[str, Curves]) -> str:
    """The page as text; ``curves`` are by device."""
    title = f"{comparison.task}, methods side by side, hwzo"
    body = [_headline(comparison, rows)]
    for device in comparison.devices:
        here = [row for row in rows if row.device == device]
        body.append(
            section(
                device,
                _table(here, tuned=comparison.tuning is not None),
                *_left_out(here),
                *_drawn(curves[device], _kind(device, rows)),
            )
        )
    body.append(_how(comparison))
    return document(title, body, f"Made by hwzo {version('hwzo')}.")


def _headline(comparison: Comparison, rows: Sequence[Standing]) -> Markup:
    kinds = {row.emulated for row in rows if row.emulated is not None}
    kind = "emulated" if kinds == {True} else "hardware" if kinds == {False} else "emulated and hardware"
    badge = element("span", kind.upper(), class_=f"badge {'emulated' if True in kinds else 'hardware'}")
    lead = paragraph(
        f"Each method with {comparison.budget} a run, seeds {', '.join(map(str, comparison.seeds))}. ",
        "No hardware was involved: the devices are emulated in software." if kinds == {True} else "",
    )
    return element("header", element("h1", f"{comparison.task}, methods side by side ", badge), lead)


def _table(rows: Sequence[Standing], *, tuned: bool) -> Markup:
    target = next((row.target for row in rows if row.target is not None), None)
    header = [
        "method",
        f"test accuracy (n = {max(row.seeds for row in rows)})",
        "below the best",
        "p",
        f"evaluations to {target:g}" if target is not None else "evaluations to target",
        "evaluations",
        "cell writes",
        "device time",
        "energy",
        *(["settings found"] if tuned else []),
    ]
    return table(header, [_line(row)[: len(header)] for row in rows if row.left_out is None])


def _line(row: Standing) -> tuple[object, ...]:
    accuracy = f"none; loss {row.loss:.4g}" if row.loss is not None else "none"
    if row.accuracy is not None:
        accuracy = with_error(row.accuracy, row.accuracy_standard_error or 0.0, 2)
    below = "-"
    if row.below_best is not None:
        below = (
            "best" if row.below_best == 0.0 else with_error(-row.below_best, row.below_best_standard_error or 0.0, 2)
        )
    costs = ((row.cell_writes, ""), (row.device_seconds, "s"), (row.joules, "J"))
    to_target = "-" if row.evaluations_to_target is None else count(row.evaluations_to_target)
    return (
        row.method,
        accuracy,
        below,
        "-" if row.p is None else f"{row.p:.2g}",
        f"{to_target} ({row.reached} of {row.seeds})",
        count(row.evaluations or 0.0),
        *(_unbroken(amount(value or 0.0, unit)) for value, unit in costs),
        ", ".join(f"{key} = {value:.3g}" for key, value in row.settings.items()) or "its own",
    )


def _unbroken(text: str) -> str:
    """In one line, however narrow a column is."""
    return text.strip().replace(" ", "\u00a0")


def _left_out(rows: Sequence[Standing]) -> list[Markup]:
    return [paragraph(element("b", row.method), f" was left out: {row.left_out}") for row in rows if row.left_out]


def _kind(device: str, rows: Sequence[Standing]) -> str:
    """A device's badge."""
    return "emulated" if any(row.emulated for row in rows if row.device == device) else "hardware"


def _drawn(curves: Curves, kind: str) -> list[Markup]:
    if not curves.by_cost:
        return [paragraph("There is no accuracy to draw: a loss is all that comes back.")]
    note = "Mean over the seeds of validation accuracy; bands are ± one standard error of that mean, over the seeds."
    if curves.lost:
        note += f" Runs without a curve, whose journal is gone, and which are in the table only: {curves.lost}."
    return [figures(*(_picture(each, name, kind) for name, each in curves.by_cost)), paragraph(note)]


def curves_of(device: str, rows: Sequence[Standing], outcomes: Sequence[Outcome]) -> Curves:
    """A device's curves, of its runs, which are read for it; those that have lost their curve are passed over.

    Args:
        device: which.
        rows: of the comparison, device by device and the most accurate first, as in the legend; the first device's
            order gives the colours, which are the methods' own on all devices.
        outcomes: of the comparison.

    Raises:
        FileError: a run is damaged.
    """
    runs = _runs(device, outcomes)
    lost = sum(not run.validations for made in runs.values() for run in made)
    told = {method: [run for run in made if run.validations] for method, made in runs.items()}
    told = {
        method: made
        for method, made in told.items()
        if made and all(look.accuracy is not None for run in made for look in run.validations)
    }
    places = {method: place for place, method in enumerate(dict.fromkeys(row.method for row in rows))}
    methods = [row.method for row in rows if row.device == device and row.method in told]
    drawn: list[tuple[str, list[Curve]]] = []
    for key, name in COSTS:
        curves = [averaged(method, told[method], key, places[method]) for method in methods]
        if curves and all(curve.cost[-1] > curve.cost[0] for curve in curves):
            drawn.append((name, curves))
    return Curves(drawn, lost)


def _runs(device: str, outcomes: Sequence[Outcome]) -> dict[str, list[Run]]:
    """A device's runs, by method."""
    return {
        outcome.cell.method: [load_run(result.run) for result in outcome.results.values()]
        for outcome in outcomes
        if outcome.cell.device == device and outcome.left_out is None
    }


def _picture(curves: Sequence[Curve], name: str, kind: str) -> Markup:
    def plot(axes: Axes) -> None:
        plot_curves(axes, curves, name)
        below = -0.45 / 2.6  # what the axis and its name take, in heights of the axes
        axes.legend(loc="upper center", bbox_to_anchor=(0.46, below), ncols=LEGEND_COLUMNS, fontsize=8)

    left, right, bottom, top = drawing.MARGINS
    room = 0.12 + 0.17 * -(-len(curves) // LEGEND_COLUMNS)
    margins = (left, right, bottom + room, top)
    alt, height = f"Validation accuracy against {name}, a line a method", 2.6 + bottom + room + top
    return element(
        "figure", drawing.draw(f"Accuracy against {name}", plot, alt=alt, tag=kind, height=height, margins=margins)
    )


def _how(comparison: Comparison) -> Markup:
    tuning = comparison.tuning
    how = "Every method ran with its own settings; nothing was tuned."
    if tuning is not None:
        how = (
            f"For each method on each device {tuning.runs} settings were tried, its own among them, with seeds "
            f"{', '.join(map(str, tuning.seeds))} and the same budget a run; the best on validation was taken."
        )
    rows = [
        ("Settings", how),
        ("Test accuracy", "read once at the end of each run, on the device; mean ± standard error over the seeds"),
        ("Below the best", "mean ± standard error of the differences from the best method, seed by seed"),
        ("p", "of no difference, by Student's t of the paired differences; not corrected for the number of methods"),
        ("Evaluations", "minibatch loss readings for training and calibration; validation and test are not among them"),
    ]
    return section("How it was made", facts(rows))
