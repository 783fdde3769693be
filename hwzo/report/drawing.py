"""Drawings as SVG that takes its colours from the page, light or dark; one function a kind of drawing.

Colours are those of Okabe and Ito (Color Universal Design, 2008), which stay apart for colour-blind readers.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from hwzo.extras import extra
from hwzo.parameters import Array
from hwzo.report.markup import Markup

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Drawn with these colours; the page puts its own in their place, see `_to_page`.
INK, MUTED, LINE = "#111213", "#676869", "#dadbdc"
BLUE, ORANGE, GREEN = "#0072b2", "#d55e00", "#009e73"
_VARIABLES = {INK: "ink", MUTED: "muted", LINE: "line", BLUE: "blue", ORANGE: "orange", GREEN: "green"}

WIDTH = 4.6  # inches; text keeps its size where a figure is about 330 points wide
Margins = tuple[float, float, float, float]
MARGINS: Margins = (0.62, 0.17, 0.48, 0.28)  # left, right, bottom, top; inches
WIDE_MARGINS: Margins = (0.78, 0.17, 0.48, 0.28)  # where numbers beside the y axis are long
IMAGE_MARGINS: Margins = (0.05, 0.85, 0.05, 0.28)
BINS = 150
LONGEST = 2 * BINS
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
MOST_UNITS = 32
_STYLE: dict[str, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "hwzo",
    "text.parse_math": False,
    "text.usetex": False,
    "font.family": "sans-serif",
    "font.size": 9.5,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": MUTED,
    "axes.linewidth": 0.7,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "grid.color": LINE,
    "grid.linewidth": 0.6,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "lines.linewidth": 1.6,
}


def require_matplotlib() -> None:
    """Say how to get matplotlib, if it isn't there.

    Raises:
        ConfigError: matplotlib is missing.
    """
    extra("matplotlib.figure", "drawing a page", of="viz")


def draw(
    title: str,
    plot: Callable[[Axes], None],
    *,
    alt: str,
    tag: str = "",
    height: float = 3.0,
    margins: Margins = MARGINS,
) -> Markup:
    """One drawing.

    Args:
        title: above it.
        plot: draws into the axes.
        alt: what a reader who can't see it is told.
        tag: small text at the top right, such as ``"emulated"``.
        height: inches.
        margins: inches around the axes.

    Raises:
        ConfigError: matplotlib is missing.
    """
    require_matplotlib()
    from matplotlib import style
    from matplotlib.figure import Figure

    with style.context(["default", _STYLE]), warnings.catch_warnings():
        # A class name in a script that the measuring font lacks is drawn by the browser's own.
        warnings.filterwarnings("ignore", message="Glyph")
        figure = Figure(figsize=(WIDTH, height))
        left, right, bottom, top = margins
        # Fixed, since matplotlib's own layout engines double the time that a page takes.
        width, tall = WIDTH - left - right, height - bottom - top
        axes = figure.add_axes((left / WIDTH, bottom / height, width / WIDTH, tall / height))
        plot(axes)
        axes.set_title(title)
        if tag:
            axes.set_title(tag, loc="right", fontsize=8.5, fontweight="normal", color=MUTED)
        return _to_page(figure, alt)


def curve(
    axes: Axes, x: Array, y: Array, *, label: str, colour: str, error: Array | None = None, dots: bool = False
) -> None:
    """A line of y (n,) over x (n,); long ones as the means of equal parts, in a band from their
    10th to 90th percentile.

    Args:
        axes: where.
        x, y: (n,) each.
        label: for the legend.
        colour: one of this file's.
        error: (n,) standard errors, drawn as a band.
        dots: mark the points, as long as they are few.
    """
    if x.size > LONGEST:
        groups = np.array_split(np.arange(x.size), BINS)
        low: Array = np.array([np.percentile(y[group], 10) for group in groups], np.float64)
        high: Array = np.array([np.percentile(y[group], 90) for group in groups], np.float64)
        x = np.array([x[group][-1] for group in groups])
        y = np.array([y[group].mean() for group in groups])
        axes.fill_between(x, low, high, color=colour, alpha=0.22, linewidth=0)
    elif error is not None:
        axes.fill_between(x, y - error, y + error, color=colour, alpha=0.22, linewidth=0)
    marker = "o" if dots and x.size <= 60 else ""
    axes.plot(x, y, color=colour, label=label, marker=marker, markersize=3)


def label_axes(axes: Axes, x: str, y: str) -> None:
    """Name both axes, and write large numbers on the x axis as 2 k or 5 M."""
    from matplotlib.ticker import EngFormatter, MaxNLocator

    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
    axes.xaxis.set_major_formatter(EngFormatter(sep="\u2009"))


def log_axis(axes: Axes, which: Literal["x", "y"]) -> None:
    """A logarithmic axis with numbers that a page can show: matplotlib's own are TeX, which is text here.

    Decades are named, and 2 and 5 of each where there are few; of many decades not all, so that none touch.
    """
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis = axes.xaxis if which == "x" else axes.yaxis
    if which == "x":
        axes.set_xscale("log")
    else:
        axes.set_yscale("log")
    low, high = axis.get_view_interval()
    few = high < 30 * low
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if few else (1.0,), numticks=6))
    axis.set_major_formatter(FuncFormatter(_log_tick))
    axis.set_minor_formatter(NullFormatter())


def _log_tick(value: float, position: int | None) -> str:
    return log_label(value)


def log_label(value: float) -> str:
    """A number on a logarithmic axis: plain from 0.001 to 10,000, else such as ``2×10⁻⁴``."""
    if 0.9e-3 < value < 1.1e4:
        return f"{value:,.5g}" if value >= 1000 else f"{value:.3g}"
    digits, _, power = f"{value:.2e}".partition("e")
    first = f"{float(digits):g}"
    return ("" if first == "1" else f"{first}×") + "10" + str(int(power)).translate(_SUPERSCRIPT)


def log_if_wide(axes: Axes, values: Array) -> None:
    """A logarithmic y axis where values (n,) are positive and span more than a factor of 8."""
    if values.size and values.min() > 0 and values.max() > 8 * values.min():
        log_axis(axes, "y")


def histogram(axes: Axes, named: Sequence[tuple[str, Array, str]], x: str, *, normal: bool = False) -> None:
    """Histograms of (label, values (n,), colour), over each other on common bins.

    Args:
        axes: where.
        named: what is drawn; all on bins made for the last.
        x: what the values are, with their unit.
        normal: also the normal law of the last one's mean and standard deviation.
    """
    from matplotlib.ticker import MaxNLocator

    whole = np.concatenate([values for _, values, _ in named])
    edges = bin_edges(whole)
    for label, values, colour in named:
        counts, _ = np.histogram(values, edges)
        axes.stairs(counts, edges, fill=True, color=colour, alpha=0.28)
        axes.stairs(counts, edges, color=colour, linewidth=1.3, label=label)
    if normal:
        _, values, _ = named[-1]
        mean, sd = float(values.mean()), float(values.std())
        at: Array = np.linspace(edges[0], edges[-1], 200, dtype=np.float64)
        density = np.exp(-0.5 * np.square((at - mean) / sd)) / (sd * np.sqrt(2 * np.pi))
        height = density * values.size * (edges[1] - edges[0])
        axes.plot(at, height, color=INK, linewidth=1, linestyle=(0, (4, 2)), label="normal law of the same sd")
    axes.set_xlabel(x)
    axes.set_ylabel("count")
    axes.xaxis.set_major_locator(MaxNLocator(7))
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.set_ylim(bottom=0)
    if len(named) > 1 or normal:
        _legend_above(axes)


def bin_edges(values: Array, most: int = 60) -> Array:
    """Edges of at most about ``most`` equal bins over values (n,).

    Where the values are whole numbers of one step, as a converter's are, every bin holds the same number of steps, so
    that no comb appears that isn't in the data.
    """
    low, high = float(values.min()), float(values.max())
    if not high > low:
        return np.array([low - 0.5, low + 0.5])
    apart = np.diff(np.unique(values))
    apart = apart[apart > 1e-9 * (high - low)]
    step = float(apart.min())
    steps = (values - low) / step
    if (high - low) / step < 20_000 and np.abs(steps - np.round(steps)).max() < 1e-3:
        width = step * max(1, int(np.ceil((high - low) / step / most)))
        n = int(np.floor((high - low) / width + 1e-6)) + 1
        return low - 0.5 * step + width * np.arange(n + 1, dtype=np.float64)
    n = int(np.clip(2 * np.cbrt(values.size), 8, most))  # the Rice rule
    edges = low + (high - low) / n * np.arange(n + 1, dtype=np.float64)
    edges[-1] = high  # which rounding may miss
    return edges


def before_after(axes: Axes, names: Sequence[str], before: Array, after: Array) -> None:
    """Each of a few parameters where it was and where it came to."""
    rows = np.arange(len(names))[::-1]
    axes.hlines(rows, np.minimum(before, after), np.maximum(before, after), color=MUTED, linewidth=1)
    axes.plot(before, rows, "o", color=BLUE, fillstyle="none", markersize=5, label="before")
    axes.plot(after, rows, "o", color=ORANGE, markersize=5, label="after")
    axes.set_yticks(rows, names)
    axes.set_xlabel("parameter (weight units)")
    axes.grid(visible=False, axis="y")
    _legend_above(axes)


def unit_images(axes: Axes, weights: Array, side: int, limit: float) -> None:
    """Incoming weights (side * side, units) of the first units, each a square image; white is 0."""
    units = min(weights.shape[1], MOST_UNITS)
    columns, rows = unit_grid(units)
    mosaic = np.full((rows * (side + 1) - 1, columns * (side + 1) - 1), np.nan)
    for unit in range(units):
        y, x = divmod(unit, columns)
        mosaic[y * (side + 1) :, x * (side + 1) :][:side, :side] = weights[:, unit].reshape(side, side)
    image = axes.imshow(mosaic, cmap="PuOr", vmin=-limit, vmax=limit, interpolation="none")
    axes.set_axis_off()
    figure: Any = axes.figure
    beside = axes.inset_axes((1.03, 0.0, 0.035, 1.0))
    figure.colorbar(image, cax=beside, label="weight (weight units)").outline.set_visible(False)


def unit_grid(units: int) -> tuple[int, int]:
    """(columns, rows) of the images of so many units."""
    columns = min(8, units)
    return columns, -(-min(units, MOST_UNITS) // columns)


def confusion(axes: Axes, counts: NDArray[np.int64], names: Sequence[str]) -> None:
    """Counts (classes, classes), true class by class told; shaded by the share of the true class."""
    n = len(counts)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    shown: Any = np.ma.masked_where(counts == 0, shares)
    axes.imshow(shown, cmap="Blues", vmin=0, vmax=1.15, interpolation="none")
    if n <= 20:
        for i, j in np.argwhere(counts):
            ink = "#fcfcfc" if shares[i, j] > 0.6 else "#101010"
            axes.text(j, i, str(counts[i, j]), ha="center", va="center", color=ink, fontsize=9)
        long = max(map(len, names)) > 2
        axes.set_xticks(range(n), names, rotation=45 if long else 0, ha="right" if long else "center")
        axes.set_yticks(range(n), names)
    axes.grid(visible=False)
    axes.tick_params(length=0)
    axes.set_xlabel("class told by the device")
    axes.set_ylabel("true class")


def _legend_above(axes: Axes) -> None:
    axes.margins(y=0.05)
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + 0.18 * (high - low))
    axes.legend(loc="upper center", ncols=2, borderaxespad=0, handlelength=1.4, columnspacing=1.2)


def _to_page(figure: Figure, alt: str) -> Markup:
    """The figure as an SVG element without a size or identifiers of its own, in the page's colours."""
    from html import escape

    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", text, flags=re.S)  # it would restyle the whole page
    used = set(re.findall(r'(?:url\(|href=")#([^")]+)', text))
    text = re.sub(r' id="([^"]+)"', lambda found: found[0] if found[1] in used else "", text)
    text = re.sub(r"font-family: [^;\"]*;?", "", text)
    for colour, name in _VARIABLES.items():
        text = text.replace(colour, f"var(--{name})")
    head = re.search(r'viewBox="[^"]*"', text)
    assert head is not None  # matplotlib writes one
    opening = f'<svg xmlns:xlink="http://www.w3.org/1999/xlink" {head[0]} role="img" aria-label="{escape(alt)}">'
    return Markup(opening + text[text.index(">") + 1 :].strip())
