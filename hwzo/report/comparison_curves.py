"""Accuracy against what it cost, of several methods: on a comparison's page and as a picture of its own."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hwzo.parameters import Array
from hwzo.report import drawing
from hwzo.train.run import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = (drawing.BLUE, drawing.ORANGE, drawing.GREEN, "#cc79a7", "#56b4e9", "#e69f00", drawing.INK)
"""Okabe and Ito's; each comes back dashed, then dotted."""
DASHES = ("-", (0, (4, 2)), (0, (1, 1.5)))
COSTS = (
    ("evaluations", "evaluations"),
    ("cell_writes", "cell writes"),
    ("device_seconds", "device seconds"),
    ("joules", "joules"),
)
POINTS = 64
STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "hwzo",
    "font.size": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.linewidth": 0.7,
    "axes.edgecolor": drawing.MUTED,
    "xtick.color": drawing.MUTED,
    "ytick.color": drawing.MUTED,
    "xtick.labelcolor": drawing.INK,
    "ytick.labelcolor": drawing.INK,
    "grid.color": drawing.LINE,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
}
WIDE = 20.0
"""Ratio of costs above which their axis is logarithmic."""


@dataclass(frozen=True)
class Curve:
    """Validation accuracy of one cell, a mean over seeds on common points of a cost.

    Args:
        method: whose.
        place: of the method among all that are compared, from 0: its colour, the same on every device.
        cost: (n,) what was spent before each point.
        accuracy: (n,) mean.
        error: (n,) standard error of that mean; 0 with one seed.
    """

    method: str
    place: int
    cost: Array
    accuracy: Array
    error: Array


def averaged(method: str, runs: Sequence[Run], key: str, place: int = 0) -> Curve:
    """Accuracy against a cost: of each run what its last look at that cost said, then the mean over the runs.

    The points go from where all runs have looked for the second time to where the first one ends, equally far apart by
    their logarithm.
    """
    costs, seen = list[Array](), list[Array]()
    for run in runs:
        looks = run.validations
        costs.append(spent(run, key))
        seen.append(np.array([look.accuracy or 0.0 for look in looks]))
    first, last = max(float(cost[0]) for cost in costs), min(float(cost[-1]) for cost in costs)
    second = max(float(cost[min(1, len(cost) - 1)]) for cost in costs)
    points: Array = np.geomspace(second, last, POINTS) if 0.0 < second < last else np.linspace(first, last, POINTS)
    values = np.array(
        [right[np.searchsorted(cost, points, side="right") - 1] for cost, right in zip(costs, seen, strict=True)]
    )
    error = values.std(axis=0, ddof=1) / np.sqrt(len(runs)) if len(runs) > 1 else np.zeros(POINTS)
    return Curve(method, place, points, values.mean(axis=0), error)


def spent(run: Run, key: str) -> Array:
    """What a run had spent before each look (looks,); of seconds and joules without calibration and first writing."""
    looks = run.validations
    if key in ("evaluations", "cell_writes"):
        return np.array([float(getattr(look, key)) for look in looks])
    so_far = np.concatenate([[0.0], run.curve[key]])
    return np.array([so_far[min(look.t, len(so_far) - 1)] for look in looks])


def plot_curves(axes: Axes, curves: Sequence[Curve], name: str) -> None:
    """A line a method, with a band of one standard error; a cost that spans decades is drawn by its logarithm."""
    for curve in curves:
        colour, dashes = COLOURS[curve.place % len(COLOURS)], DASHES[curve.place // len(COLOURS) % len(DASHES)]
        low, high = curve.accuracy - curve.error, curve.accuracy + curve.error
        axes.fill_between(curve.cost, low, high, color=colour, alpha=0.18, linewidth=0)
        axes.plot(curve.cost, curve.accuracy, color=colour, linestyle=dashes, label=curve.method, linewidth=1.4)
    axes.set_ylim(top=min(1.02, axes.get_ylim()[1]))
    drawing.label_axes(axes, name, "fraction told right")
    least, most = min(curve.cost[0] for curve in curves), max(curve.cost[-1] for curve in curves)
    if 0.0 < WIDE * least < most:
        from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter

        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(numticks=8))
        axes.xaxis.set_major_formatter(EngFormatter(sep="\u2009"))
        axes.xaxis.set_minor_formatter(NullFormatter())


def comparison_picture(title: str, by_cost: Sequence[tuple[str, Sequence[Curve]]]) -> str:
    """An SVG of its own: a drawing for each cost, and one legend.

    Args:
        title: above it.
        by_cost: the cost's name, and a curve for each method.

    Raises:
        ConfigError: matplotlib is missing.
    """
    drawing.require_matplotlib()
    from matplotlib import style
    from matplotlib.figure import Figure

    rows = -(-len(by_cost) // 2)
    height = 0.95 + 2.6 * rows
    with style.context(["default", STYLE]):
        figure = Figure(figsize=(8.6, height), facecolor="white", layout="constrained")
        grid = figure.subplots(rows, 2 if len(by_cost) > 1 else 1, sharey=True, squeeze=False)
        places: list[Axes] = [axes for row in grid for axes in row]
        for axes, (name, curves) in zip(places, by_cost, strict=False):
            plot_curves(axes, curves, name)
            if axes not in places[::2]:
                axes.set_ylabel("")
        for axes in places[len(by_cost) :]:
            axes.set_axis_off()
        handles, labels = places[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=min(4, len(labels)))
        figure.suptitle(title, fontsize=10.5, fontweight="bold", x=0.01, ha="left")
        stream = io.StringIO()
        figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None}, facecolor="white")
    return re.sub(r' d="[^"]*"', _rounded, stream.getvalue())


def _rounded(path: re.Match[str]) -> str:
    """A path with tenths of its units, a quarter of a pixel at most, in half the characters."""
    return re.sub(r"(\.\d)\d+", r"\1", path.group())
