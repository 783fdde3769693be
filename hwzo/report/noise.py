"""What the emulated device still tells: its noise by layer, and which classes it takes for which."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from hwzo.parameters import Array
from hwzo.report import drawing
from hwzo.report.markup import Markup, facts, figure, figures, paragraph, section, table
from hwzo.report.material import Material
from hwzo.report.quantity import count, deviation, mean, spread
from hwzo.report.readout import Readout

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_TAG = "emulated, made for this page"
_MANY = 50
"""From so many values on, a histogram has a normal law beside it."""


def noise(material: Material) -> Markup:
    """What the device's noise does to weights, nodes and loss, by layer."""
    seen = material.readout
    if seen is None:
        return section("Noise by layer", paragraph(f"Not measured for this page: {material.why_not}."))
    made = paragraph(
        "Emulated, and made for this page: the emulated device was put back as the last checkpoint kept it, and read "
        f"on {count(seen.samples)} validation samples while its weights were left alone. None of this is part of the "
        "run."
    )
    drawn: list[Markup] = []
    still: list[str] = []
    for title, values, x in _samples(material, seen):
        if np.ptp(values) > 0:
            drawn.append(_histogram(title, values, x))
        else:
            still.append(f"{title} (all {count(values.size)} differences are {values[0]:g})")
    same = paragraph(f"Without any spread, so not drawn: {', '.join(still)}.") if still else ""
    passes = count(seen.losses.size)
    rows: list[tuple[object, object]] = [(f"Loss of a pass, {passes} passes", spread(seen.losses))]
    if seen.accuracies is not None:
        rows.append((f"Accuracy of a pass, {passes} passes", spread(seen.accuracies)))
    return section("Noise by layer", made, figures(*drawn), same, *_numbers(material, seen), facts(rows))


def _samples(material: Material, seen: Readout) -> list[tuple[str, Array, str]]:
    """(title, values (n,), what they are) of each histogram."""
    samples: list[tuple[str, Array, str]] = []
    if seen.weights is not None:
        x = "read − target (weight units)"
        samples += [(f"Weights, {layer.name}", seen.weights[layer.part], x) for layer in material.layers]
    for i, layer in enumerate(seen.nodes or ()):
        title = f"Nodes, layer {i + 1} ({layer.shape[-1]} of them)"
        samples.append((title, layer.ravel(), "pass 1 − pass 2 (units of the pre-activation)"))
    return samples or [("Loss of a pass", seen.losses, "mean loss over the samples")]


def _histogram(title: str, values: Array, x: str) -> Markup:
    def plot(axes: Axes) -> None:
        drawing.histogram(axes, [("measured", values, drawing.GREEN)], x, normal=values.size > _MANY)

    svg = drawing.draw(title, plot, alt=f"Histogram of {x}, {title}", tag="emulated")
    same = int(np.count_nonzero(values == 0))
    zeros = f" {100 * same / values.size:.0f}% are exactly 0." if same else ""
    return figure(svg, f"Standard deviation {deviation(values)}.{zeros}")


def _numbers(material: Material, seen: Readout) -> list[Markup]:
    """A table by layer, and what its columns mean."""
    if seen.nodes is None and seen.weights is None:
        return [paragraph("This device reads back neither weights nor nodes: its noise shows in the loss alone.")]
    header, explained = ["layer"], list[str]()
    layers = material.layers
    columns: list[Sequence[str]] = [[layer.name for layer in layers]]
    if seen.weights is not None and seen.read_error is not None:
        deviations, errors = seen.weights, seen.read_error
        header += ["weights: sd of read − target", "weights: mean of read − target", "of which error of a reading (sd)"]
        columns.append([deviation(deviations[layer.part]) for layer in layers])
        columns.append([mean(deviations[layer.part]) for layer in layers])
        columns.append([deviation(errors[layer.part] / np.sqrt(2), 0.0) for layer in layers])
        explained.append(
            "Read − target is what one reading of the weights gave, minus what was programmed: programming noise, "
            "drift and slow noise as the last evaluation had them, bounds and converters, and the error of the reading "
            "itself. That error alone is what two readings of the same weights differ by, over √2."
        )
    if seen.nodes is not None and len(seen.nodes) == len(layers):
        header.append("nodes: noise of one pass (sd)")
        columns.append([deviation(nodes / np.sqrt(2), 0.0) for nodes in seen.nodes])
        explained.append(
            "Noise of one pass is the root mean square of what two passes over the same samples differ by, over √2; a "
            "hidden layer's noise is carried on into the next."
        )
    explained.append(
        "± is the standard error of a standard deviation or mean, as if the n values were independent and normal."
    )
    return [table(header, list(zip(*columns, strict=True))), paragraph(" ".join(explained))]


def confusion(material: Material) -> Markup:
    """True class by class told, on the validation split."""
    title = "Confusion matrix"
    seen = material.readout
    if seen is None:
        return section(title, paragraph(f"Not measured for this page: {material.why_not}."))
    counts = seen.confusion
    if counts is None:
        why = "the device gives a loss only" if seen.accuracies is None else "the task has no classes"
        return section(title, paragraph(f"There is none: {why}."))
    names = seen.class_names or tuple(str(i) for i in range(len(counts)))

    def plot(axes: Axes) -> None:
        drawing.confusion(axes, counts, names)

    room = min(1.5, 0.07 * max(map(len, names)))
    margins = (0.5 + room, 0.1, 0.4 + room, 0.28)
    svg = drawing.draw("", plot, alt="Confusion matrix on the validation split", tag=_TAG, height=4.2, margins=margins)
    right = int(np.trace(counts))
    caption = (
        f"One noisy pass over {count(seen.samples)} validation samples, {count(right)} of them told right; shading is "
        "the share of the true class. The test split is not read again for a page."
    )
    return section(title, figures(figure(svg, caption), _mistakes(counts, names)))


def _mistakes(counts: np.ndarray[tuple[int, ...], np.dtype[np.int64]], names: Sequence[str]) -> Markup:
    """The commonest mistakes, in words."""
    wrong = counts * (1 - np.eye(len(counts), dtype=np.int64))
    order = np.argsort(-wrong, axis=None, kind="stable")[:8]
    pairs = [(int(i), int(j)) for i, j in zip(*np.unravel_index(order, wrong.shape), strict=True) if wrong[i, j] > 0]
    if not pairs:
        return paragraph("Every sample was told right.")
    totals = counts.sum(axis=1)
    return table(
        ("true class", "told as", "samples"),
        [(names[i], names[j], f"{wrong[i, j]} of {totals[i]}") for i, j in pairs],
        narrow=True,
    )
