"""One self-contained HTML page about a deployment: what was asked of each cell, what it reached, what that is worth."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hwzo.deploy.closed_loop import State
from hwzo.deploy.deployment import Deployment
from hwzo.deploy.result import Result
from hwzo.network import Network
from hwzo.parameters import Array
from hwzo.report import drawing
from hwzo.report.document import check_page, document
from hwzo.report.markup import Markup, element, facts, figure, figures, join, paragraph, section, table
from hwzo.report.quantity import amount, count, with_error
from hwzo.train.tensors import write_atomically

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOST = 512  # rows or columns of a map: beyond that no pixel would show a cell
BELOW_LEGEND = 0.75
"""Of an axes' height, that a legend above the curves leaves free."""
_STATES = (
    ("ok", "#dadbdc"),
    ("compensated", "#0072b2"),
    ("stuck", "#d55e00"),
    ("unreachable", "#cc79a7"),
    ("used up", "#e69f00"),
)


def write_deployment_page(deployment: Path, page: Path) -> None:
    """Draw the page of a deployment's file; no device is opened.

    Raises:
        ConfigError: matplotlib is missing; says how to install it.
        FileError: not a deployment, a damaged one, or the page can't be written.
    """
    check_page(page)
    write_atomically(page, deployment_page(Deployment.load(deployment)).encode())


def deployment_page(deployment: Deployment) -> str:
    """The page as text."""
    result = deployment.result
    kind = "emulated" if result.emulated else "hardware"
    title = f"Deployment on {result.device.partition('?')[0]} ({kind}), hwzo"
    body = (
        element("h1", title),
        _came_to(deployment, kind),
        _bought(deployment),
        _errors(deployment, kind),
        _maps(deployment, kind),
        _told(deployment),
    )
    return document(title, body, f"Deployment {deployment.path}, made by hwzo {deployment.manifest['hwzo']}.")


def _came_to(deployment: Deployment, kind: str) -> Markup:
    result, manifest = deployment.result, deployment.manifest
    rows: list[tuple[object, object]] = [
        ("Verified", "yes" if result.verified else "no"),
        ("Device", f"{result.device} ({kind})"),
        ("Weights learned on", manifest["learned_on"]["device"] or "another tool"),
        (
            "Cells within the tolerance",
            f"{count(result.cells_within_tolerance)} of {count(result.cells)}, in a last reading of all",
        ),
        ("Tolerance", f"{result.tolerance:.4g} weight units"),
        ("Reads averaged", count(deployment.tolerance.repeats)),
        ("What a write leaves", f"{deployment.tolerance.residual:.3g} (sd, weight units)"),
        *((name, count(number)) for name, number in _states(result)),
        ("Cell writes, program and verify", count(result.cell_writes - result.touch_up_writes)),
        *([("Cell writes, touch-up", count(result.touch_up_writes))] if result.touch_up_writes else []),
        ("Most writes of a cell, program and verify", count(result.most_writes_of_a_cell)),
        ("Device time", amount(result.device_seconds, "s")),
        ("Energy", amount(result.joules, "J")),
    ]
    if result.outputs_difference is not None and result.outputs_allowed is not None:
        rows.append(
            (
                "Outputs on the probe set",
                f"off by {result.outputs_difference:.3g} (rms, units of the outputs)"
                + ("" if result.outputs_noise is None else f"; noise explains {result.outputs_noise:.3g}")
                + f"; the limit is {result.outputs_allowed:.3g}"
                + ("; accuracy was compared instead" if result.outputs_judged_by == "accuracy" else ""),
            )
        )
    if result.clipped:
        rows.append(("Weights clipped", count(result.clipped)))
    return section("What it came to", facts(rows), _accuracies(deployment))


def _states(result: Result) -> list[tuple[str, int]]:
    """How many cells are in each state, in words."""
    return [
        ("ok", result.ok),
        ("compensated by their partners", result.compensated),
        ("stuck", result.stuck),
        ("unreachable", result.unreachable),
        (State.OVER_BUDGET.label, result.over_budget),
    ]


def _accuracies(deployment: Deployment) -> Markup:
    result = deployment.result
    rows: list[tuple[object, object, object]] = [
        (stage["stage"], "validation", _value(stage["accuracy"], stage["standard_error"]))
        for stage in deployment.manifest["validation"]
    ]
    if result.accuracy is not None:
        rows.append(("written once", "test", _value(result.accuracy_before, None)))
        rows.append(("in the end", "test", _value(result.accuracy, result.accuracy_standard_error)))
    if not rows:
        return paragraph("No accuracy: the weights don't say of which task they are, or the device gives no outputs.")
    return join(
        (
            table(("when", "split", "accuracy"), rows, narrow=True),
            paragraph(
                f"Means over {result.passes} passes, with the standard error that the device's noise gives them. "
                "Decisions were made by validation; the test split decided nothing."
            ),
        )
    )


def _value(value: float | None, error: float | None) -> str:
    if value is None:
        return ""
    return with_error(value, error, 2) if error else f"{value:.4f}"


def _bought(deployment: Deployment) -> Markup:
    parts = deployment.manifest["bought"]
    if not parts:
        return Markup("")
    rows = [(part["name"], part["what"], f"{part['before']:.4g}", f"{part['after']:.4g}") for part in parts]
    return section("What the mapping bought", table(("part", "what", "without", "with"), rows))


def _told(deployment: Deployment) -> Markup:
    told = deployment.manifest["told"]
    return section("What was said", *(paragraph(text) for text in told)) if told else Markup("")


def _errors(deployment: Deployment, kind: str) -> Markup:
    written, limit = deployment.written, deployment.tolerance.value
    fine = written.state <= State.COMPENSATED
    error = (written.reached - deployment.targets)[fine]
    drawn: list[Markup] = []
    if error.size and np.ptp(error) > 0:

        def plot(axes: Axes) -> None:
            drawing.histogram(
                axes, [("cells that are right", error, drawing.BLUE)], "reached − target (weight units)", normal=True
            )
            for end in (-limit, limit):  # as high as the bars: the legend is above
                axes.axvline(end, ymax=BELOW_LEGEND, color=drawing.MUTED, linewidth=0.8, linestyle="--")

        svg = drawing.draw("Errors", plot, alt="histogram of reached less target, with the tolerance", tag=kind)
        drawn.append(
            figure(svg, f"Standard deviation {error.std():.3g}, n = {count(error.size)}; dashed: the tolerance.")
        )
    writes = written.writes.astype(np.float64)
    if np.ptp(writes) > 0:

        def plot_writes(axes: Axes) -> None:
            from matplotlib.ticker import MaxNLocator

            drawing.histogram(axes, [("writes", writes, drawing.ORANGE)], "writes of a cell")
            axes.set_ylim(bottom=0.5)
            drawing.log_axis(axes, "y")
            axes.xaxis.set_major_locator(MaxNLocator(7, integer=True))

        svg = drawing.draw(
            "Writes",
            plot_writes,
            alt="histogram of how often cells were written",
            tag=kind,
            margins=drawing.WIDE_MARGINS,
        )
        drawn.append(figure(svg, "By program and verify, looks at the noise included; a logarithmic axis."))
    return section("Errors and writes", figures(*drawn)) if drawn else Markup("")


def _maps(deployment: Deployment, kind: str) -> Markup:
    """Where on the arrays, a layer each, bias as the last row."""
    network = deployment.network
    if network is None:
        return Markup("")
    written = deployment.written
    blocks = {
        "target": network.blocks(deployment.targets),
        "error": network.blocks(written.reached - deployment.targets),
        "writes": network.blocks(written.writes.astype(np.float64)),
        "state": network.blocks(written.state.astype(np.float64)),
    }
    limit = 3.0 * deployment.tolerance.value
    drawn: list[Markup] = []
    for layer, _ in enumerate(network.stages):
        reach = float(np.abs(blocks["target"][layer]).max()) or 1.0
        most = max(2.0, float(written.writes.max()))
        drawn += [
            _map(network, layer, "target", blocks["target"][layer], (-reach, reach), "PuOr", "weight units", kind),
            _map(network, layer, "error", blocks["error"][layer], (-limit, limit), "PuOr", "weight units", kind),
            _map(network, layer, "writes", blocks["writes"][layer], (0.0, most), "viridis", "writes", kind),
            _map(network, layer, "state", blocks["state"][layer], (-0.5, 4.5), "", "", kind),
        ]
    return section("Where", figures(*drawn))


def _map(
    network: Network,
    layer: int,
    what: str,
    values: Array,
    ends: tuple[float, float],
    colours: str,
    unit: str,
    kind: str,
) -> Markup:
    rows, columns = values.shape
    thinned: Array = values[:: -(-rows // _MOST), :: -(-columns // _MOST)]

    def plot(axes: Axes) -> None:
        from matplotlib.colors import ListedColormap

        cmap = colours or ListedColormap([colour for _, colour in _STATES])
        image = axes.imshow(
            np.transpose(thinned), cmap=cmap, vmin=ends[0], vmax=ends[1], aspect="auto", interpolation="none"
        )
        axes.grid(visible=False)
        axes.set_xlabel("row (input, bias last)")
        axes.set_ylabel("column (output)")
        bar = axes.inset_axes((1.03, 0.0, 0.035, 1.0))
        parent = axes.get_figure()
        assert parent is not None
        beside = parent.colorbar(image, cax=bar, label=unit)
        if not colours:
            beside.set_ticks(range(len(_STATES)), labels=[name for name, _ in _STATES])

    svg = drawing.draw(
        f"{what.capitalize()}, layer {layer + 1}",
        plot,
        alt=f"map of each cell's {what}, layer {layer + 1} of {network.label}",
        tag=kind,
        margins=(0.62, 1.1, 0.48, 0.28),
    )
    return figure(svg, f"{rows} rows, {columns} columns of the device.")
