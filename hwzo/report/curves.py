"""Learning curves: loss and accuracy against what they cost."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from hwzo.parameters import Array
from hwzo.report import drawing
from hwzo.report.markup import Markup, element, figures, paragraph, section
from hwzo.report.material import Material
from hwzo.report.quantity import count, share_error
from hwzo.train.journal import Validation

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def learning_curves(material: Material) -> Markup:
    """Training loss, validation loss and accuracy against evaluations and against cell writes."""
    run = material.run
    steps, looks = run.curve["loss"].size, run.validations
    if not steps and not looks:
        return section("Learning curves", paragraph("No step is finished yet, so there is nothing to draw."))
    drawn: list[Markup] = []
    notes: list[str] = []
    for key, name in (("evaluations", "evaluations"), ("cell_writes", "cell writes")):
        at = np.array([getattr(look, key) for look in looks], np.float64)
        # The curve counts steps; what calibration and the first programming took comes before them.
        before = float(at[0]) if at.size and looks[0].t == 0 else 0.0
        if key == "cell_writes" and not run.curve[key].any():
            first = f"; the {count(before)} before it programmed the start" if before else ""
            notes.append(f"Training wrote no cell{first}, so nothing is drawn against writes.")
            continue
        drawn.append(_loss(material, run.curve[key] + before, at, name))
        if any(look.accuracy is not None for look in looks):
            drawn.append(_accuracy(material, at, name))
    if looks and looks[0].accuracy is None:
        notes.append("The device gives a loss only, so there is no accuracy to draw.")
    return section("Learning curves", figures(*drawn), paragraph(_how_drawn(steps, looks)), *map(paragraph, notes))


def _how_drawn(steps: int, looks: Sequence[Validation]) -> str:
    in_a_band = "in a band from their 10th to 90th percentile"
    training = f"Training: the mean of each step's loss readings, {count(steps)} steps"
    if steps > drawing.LONGEST:
        training += f", drawn as means of about {steps / drawing.BINS:.0f} steps {in_a_band}"
    validation = f"Validation: {count(len(looks))} looks of one noisy pass each"
    if len(looks) > drawing.LONGEST:
        validation += f", drawn as means of about {len(looks) / drawing.BINS:.0f} looks {in_a_band}"
    elif any(look.accuracy is not None for look in looks):
        validation += "; the band of the accuracy is ± one binomial standard error"
    return f"{training}. {validation}."


def _loss(material: Material, trained: Array, at: Array, name: str) -> Markup:
    training = material.run.curve["loss"]
    validation = np.array([look.loss for look in material.run.validations], np.float64)

    def plot(axes: Axes) -> None:
        if training.size:
            drawing.curve(axes, trained, training, label="training", colour=drawing.BLUE)
        if validation.size:
            drawing.curve(axes, at, validation, label="validation", colour=drawing.ORANGE, dots=True)
        drawing.log_if_wide(axes, np.concatenate([training, validation]))
        drawing.label_axes(axes, name, "loss")
        axes.legend(loc="best")

    svg = drawing.draw("Loss", plot, alt=f"Training and validation loss against {name}", tag=material.kind)
    return element("figure", svg)


def _accuracy(material: Material, at: Array, name: str) -> Markup:
    looks, result = material.run.validations, material.run.result
    p = np.array([math.nan if look.accuracy is None else look.accuracy for look in looks])
    error = np.array([share_error(look.accuracy or 0.0, look.samples) for look in looks])

    def plot(axes: Axes) -> None:
        if result is not None:
            axes.axhline(
                result.target,
                color=drawing.MUTED,
                linewidth=1,
                linestyle=(0, (4, 2)),
                label=f"target {result.target:g}",
            )
        drawing.curve(axes, at, p, label="validation", colour=drawing.ORANGE, error=error, dots=True)
        axes.set_ylim(top=min(1.02, axes.get_ylim()[1]))
        drawing.label_axes(axes, name, "fraction told right")
        axes.legend(loc="lower right")

    svg = drawing.draw("Validation accuracy", plot, alt=f"Validation accuracy against {name}", tag=material.kind)
    return element("figure", svg)
