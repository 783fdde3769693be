"""Weights before and after training: the targets on the device, at the first checkpoint and the last."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from hwzo.parameters import Array
from hwzo.report import drawing
from hwzo.report.layers import Layer
from hwzo.report.markup import Markup, figure, figures, paragraph, section
from hwzo.report.material import Material
from hwzo.report.quantity import count
from hwzo.stages import Convolution, Recurrent

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_TITLE = "Weights before and after"
_FEW = 24
"""Up to so many parameters are drawn one by one."""
_SIDE = 5
"""From so many pixels a side on, incoming weights are drawn as an image."""


def weights(material: Material) -> Markup:
    """Histograms by layer, and images of what the first layer's units look for."""
    first, last = material.first, material.last
    if first is None or last is None or first.theta.size != last.theta.size:
        return section(
            _TITLE, paragraph("The first or the last checkpoint is missing, so there is nothing to compare.")
        )
    if last.t == first.t:
        return section(_TITLE, paragraph("The run has no checkpoint after its first one yet, so there is no after."))
    before, after = first.theta, last.theta
    about = paragraph(
        f"Targets, in weight units, as programmed: before step 1 and after step {count(last.t)}. What the cells hold "
        "differs from its target by the device's noise."
    )
    layers = material.layers
    if before.size <= _FEW:
        drawn = [_one_by_one(material, before, after)]
    else:
        drawn = [_histogram(layer, before[layer.part], after[layer.part], material.kind) for layer in layers]
        side = _side(material)
        if side >= _SIDE:
            drawn += _images(layers[0], before, after, side, material.kind)
    return section(_TITLE, about, figures(*drawn))


def _side(material: Material) -> int:
    """Side of the square image that each unit of the first layer looks at; 0 if what it looks at is none."""
    shape, network = material.layers[0].shape, material.network
    first = network.stages[0] if network is not None else None
    if shape is None or isinstance(first, Recurrent):
        return 0
    if isinstance(first, Convolution):
        return first.kernel if first.image[2] == 1 else 0
    side = math.isqrt(shape[0])
    return side if side * side == shape[0] else 0


def _one_by_one(material: Material, before: Array, after: Array) -> Markup:
    spec = material.parameters
    names = [str(i) if spec is None else spec.name_of(i) for i in range(before.size)]

    def plot(axes: Axes) -> None:
        drawing.before_after(axes, names, before, after)

    left, right, bottom, top = drawing.MARGINS
    margins = (max(left, 0.2 + 0.08 * max(map(len, names))), right, bottom, top)
    height = 1.2 + 0.2 * len(names)
    svg = drawing.draw(
        "Parameters", plot, alt="Each parameter before and after", tag=material.kind, height=height, margins=margins
    )
    return figure(svg, f"All {len(names)} parameters.")


def _histogram(layer: Layer, before: Array, after: Array, tag: str) -> Markup:
    def plot(axes: Axes) -> None:
        named = [("before", before, drawing.BLUE), ("after", after, drawing.ORANGE)]
        drawing.histogram(axes, named, "target (weight units)")
        left, right = axes.get_xlim()
        for bound in (layer.lower, layer.upper):
            if left <= bound <= right:
                axes.axvline(bound, color=drawing.MUTED, linewidth=1, linestyle=(0, (4, 2)))

    moved = float(np.sqrt(np.mean(np.square(after - before))))
    caption = f"{count(layer.size)} parameters; root mean square change {moved:.3g}"
    if math.isfinite(layer.lower) and math.isfinite(layer.upper):
        near = 0.01 * (layer.upper - layer.lower) / 2
        n = int(np.count_nonzero((after <= layer.lower + near) | (after >= layer.upper - near)))
        bounds = f"{layer.lower:g} and {layer.upper:g}".replace("-", "\u2212")
        caption += f"; {count(n)} ended within 1% of the device's bounds, {bounds} (dashed, where in view)"
    svg = drawing.draw(layer.name.capitalize(), plot, alt=f"Histogram of targets, {layer.name}", tag=tag)
    return figure(svg, f"{caption}.")


def _images(layer: Layer, before: Array, after: Array, side: int, tag: str) -> list[Markup]:
    n_in, n_out = layer.shape or (0, 0)
    both = [theta[layer.part][: n_in * n_out].reshape(n_in, n_out) for theta in (before, after)]
    limit = float(max(np.abs(both[0]).max(), np.abs(both[1]).max())) or 1.0
    columns, rows = drawing.unit_grid(n_out)
    height = 0.33 + 3.7 * rows / columns
    drawn: list[Markup] = []
    for when, matrix in zip(("before", "after"), both, strict=True):

        def plot(axes: Axes, matrix: Array = matrix) -> None:
            drawing.unit_images(axes, matrix, side, limit)

        alt = f"Incoming weights of the first layer's units, {when}"
        svg = drawing.draw(f"First layer, {when}", plot, alt=alt, tag=tag, height=height, margins=drawing.IMAGE_MARGINS)
        shown = f"the first {drawing.MOST_UNITS} of {n_out}" if n_out > drawing.MOST_UNITS else f"all {n_out}"
        drawn.append(figure(svg, f"Incoming weights of {shown} units {when} training, inputs in rows of {side}."))
    return drawn
