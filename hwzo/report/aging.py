"""One self-contained HTML page about a device that ages: accuracy against the time since programming."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hwzo.deploy.drift_ages import age_label
from hwzo.deploy.drift_evaluation import AgedAccuracy, Aging
from hwzo.parameters import Array
from hwzo.report import drawing
from hwzo.report.document import check_page, document
from hwzo.report.markup import Markup, element, facts, figures, paragraph, section, table
from hwzo.report.quantity import with_error
from hwzo.train.tensors import write_atomically

if TYPE_CHECKING:
    from matplotlib.axes import Axes

EARLIEST = 1.0
"""Seconds at which an age of less is drawn: the axis is logarithmic."""
NAMES = {
    "off": "as it is",
    "global": "compensated by one gain for all layers",
    "layer": "compensated by a gain for each layer",
    "refresh": "cells beyond the tolerance written again",
}


def write_aging_page(aging: Aging, source: str, page: Path) -> None:
    """Draw the page of an evaluation at several ages.

    Raises:
        ConfigError: matplotlib is missing; says how to install it.
        FileError: the page can't be written.
    """
    check_page(page)
    write_atomically(page, aging_page(aging, source).encode())


def aging_page(aging: Aging, source: str) -> str:
    """The page as text; ``source`` names the weights."""
    title = f"{aging.task} on {aging.device}, from {age_label(aging.points[0].seconds)} on, hwzo"
    kind = "emulated" if aging.emulated else "hardware"
    badge = element("span", kind.upper(), class_=f"badge {kind}")
    lead = paragraph(
        f"{source} was programmed {aging.repeats} times and read at each age: {aging.samples} test samples of "
        f"{aging.task}. ",
        "No hardware was involved: the device, and its time, are emulated in software." if aging.emulated else "",
    )
    body = (
        element("header", element("h1", f"{aging.task}, as the device ages ", badge), lead),
        section("Accuracy", figures(_picture(aging, kind)), _table(aging)),
        section("How it was made", facts(_how(aging))),
    )
    return document(title, body, f"Made by hwzo {version('hwzo')}.")


def _picture(aging: Aging, kind: str) -> Markup:
    ages: Array = np.maximum([point.seconds for point in aging.points], EARLIEST)
    lines = [("as it is", drawing.ORANGE, "accuracy_without")]
    if aging.compensate != "off":
        lines.append((NAMES[aging.compensate], drawing.BLUE, "accuracy"))

    def plot(axes: Axes) -> None:
        axes.set_xscale("log")
        for name, colour, key in lines:
            mean: Array = np.array([getattr(point, key) for point in aging.points], dtype=np.float64)
            error: Array = np.array(
                [getattr(point, f"{key}_standard_error") or 0.0 for point in aging.points], dtype=np.float64
            )
            axes.fill_between(ages, mean - error, mean + error, color=colour, alpha=0.18, linewidth=0)
            axes.plot(ages, mean, color=colour, marker="o", markersize=3.5, label=name)
        axes.set_xticks(ages.tolist(), [age_label(point.seconds) for point in aging.points])
        axes.minorticks_off()
        drawing.label_axes(axes, "time since programming", "fraction told right")
        axes.legend(loc="lower left", fontsize=8)

    alt = "Test accuracy against time since programming, a line with compensation and one without"
    return element("figure", drawing.draw("Accuracy against age", plot, alt=alt, tag=kind, height=3.4))


def _table(aging: Aging) -> Markup:
    extra = {"off": (), "refresh": (NAMES["refresh"], "cells written")}.get(
        aging.compensate, (NAMES[aging.compensate], "gains since programming, a layer each")
    )
    return table(("age", "as it is", *extra, "loss"), [_line(aging, point) for point in aging.points])


def _line(aging: Aging, point: AgedAccuracy) -> tuple[object, ...]:
    without = with_error(point.accuracy_without, point.accuracy_without_standard_error or 0.0, 2)
    extra: tuple[object, ...] = ()
    if aging.compensate != "off":
        done = (
            f"{point.cells_written:,.0f}"
            if aging.compensate == "refresh"
            else ", ".join(f"{factor:.3f}" for factor in point.factors)
        )
        extra = (with_error(point.accuracy, point.accuracy_standard_error or 0.0, 2), done)
    return (age_label(point.seconds), without, *extra, f"{point.loss:.4g}")


def _how(aging: Aging) -> list[tuple[str, str]]:
    spread = "bands and errors are standard errors of the mean over the programmings; the split's size is not in them"
    return [
        ("Age", "seconds on the device's clock since the end of programming, reads included"),
        ("Accuracy", f"of one pass over the test split at each age, mean of {aging.repeats}; {spread}"),
        ("Kept", NAMES[aging.compensate] + ", done anew at each age"),
    ]
