"""One self-contained HTML page about a device's noise profile: what was measured, how well, and what follows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hwzo.noise.advice import advise
from hwzo.noise.profile import Profile
from hwzo.noise.quantity import Curve, Quantity
from hwzo.parameters import Array
from hwzo.report import drawing
from hwzo.report.document import check_page, document
from hwzo.report.markup import Markup, element, facts, figure, figures, paragraph, section, table
from hwzo.report.quantity import amount, count, with_error
from hwzo.train.tensors import write_atomically

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_WAYS = (("up", "come to from below", drawing.BLUE), ("down", "come to from above", drawing.ORANGE))
_MOST = 512  # rows or columns of a map: beyond that no pixel would show a parameter


def write_profile_page(profile: Path, page: Path) -> None:
    """Draw the page of a profile's file; no device is opened.

    Raises:
        ConfigError: matplotlib is missing; says how to install it.
        FileError: not a profile, a damaged one, or the page can't be written.
    """
    check_page(page)
    write_atomically(page, profile_page(Profile.load(profile)).encode())


def profile_page(profile: Profile) -> str:
    """The page as text."""
    device = profile.manifest.device
    kind = "emulated" if device.emulated else "hardware"
    title = f"Noise of {device.model}, serial {device.serial} ({kind}), hwzo"
    body = (
        element("h1", title),
        _whose(profile, kind),
        _quantities(profile),
        _advice(profile),
        _drawings(profile, kind),
        _maps(profile, kind),
        _left_out(profile),
    )
    return document(title, body, f"Profile {profile.path}, made by hwzo {profile.manifest.hwzo}.")


def _whose(profile: Profile, kind: str) -> Markup:
    manifest, device = profile.manifest, profile.manifest.device
    spent = manifest.spent
    rows: list[tuple[object, object]] = [
        ("Device", f"{device.url} ({kind})"),
        ("Firmware", device.firmware),
        ("Parameters", count(device.n_parameters)),
        ("Measured", manifest.date or "nobody said when"),
        ("Temperature", "unknown" if manifest.temperature_k is None else f"{manifest.temperature_k:g} K"),
        ("Samples", f"task {manifest.task}" if manifest.task else "random"),
        ("Evaluations", count(spent.get("evaluations", 0))),
        ("Cell writes", count(spent.get("cell_writes", 0))),
        ("Device time", amount(spent.get("device_seconds", 0.0), "s")),
        ("Wall-clock time", amount(spent.get("wall_seconds", 0.0), "s")),
    ]
    warnings = [paragraph(element("strong", "Warning: "), warning) for warning in manifest.warnings]
    return section("Whose", facts(rows), *warnings)


def _quantities(profile: Profile) -> Markup:
    rows = [(name, _value(q), _interval(q), q.unit, count(q.n), q.about) for name, q in profile.quantities.items()]
    return section("What was measured", table(("quantity", "value", "95% interval", "unit", "n", "what it is"), rows))


def _value(q: Quantity) -> str:
    return f"{q.value:.5g}" if q.standard_error is None else with_error(q.value, q.standard_error, 2)


def _interval(q: Quantity) -> str:
    return "" if q.standard_error is None else f"{q.low:.4g} to {q.high:.4g}"


def _advice(profile: Profile) -> Markup:
    rows = [(name, advice.value, advice.reason) for name, advice in advise(profile).items()]
    return section("Advice for training", table(("setting", "value", "why"), rows))


def _left_out(profile: Profile) -> Markup:
    left = profile.manifest.left_out
    return section("Left out", table(("quantity", "why"), list(left.items()))) if left else Markup("")


def _drawings(profile: Profile, kind: str) -> Markup:
    curves = profile.curves
    drawn: list[Markup] = []
    if any(f"programming_noise_curve/{way}" in curves for way, _, _ in _WAYS):
        title, y = "Programming noise", "sd (weight units)"
        drawn.append(_by_level(curves, "programming_noise_curve", title, y, kind, fit=_parabola(curves)))
        drawn.append(_by_level(curves, "programming_offset_curve", "Error of writing", "mean (weight units)", kind))
    if any(f"step_response_curve/{way}" in curves for way, _, _ in _WAYS):
        drawn.append(_by_level(curves, "step_response_curve", "Response to a step", "share of the step", kind))
    each = curves.get("parameter_noise_sigma_each")
    if each is not None and np.ptp(each.values) > 0:
        drawn.append(_histogram(each, kind))
    for name, title, y in (
        ("allan_deviation", "Allan deviation of the parameters", "weight units"),
        ("periodogram", "Spectrum of the parameters' noise", "power (weight units squared)"),
    ):
        curve = curves.get(name)
        if curve is not None and curve.axis is not None and int((curve.values > 0).sum()) > 1:
            drawn.append(_in_time(curve, title, y, kind))
    return section("Curves", figures(*drawn)) if drawn else Markup("")


def _parabola(curves: Mapping[str, Curve]) -> tuple[Array, Array] | None:
    """Programming noise as its twin has it: its square a parabola in the magnitude of the weight."""
    parts = [curves.get(f"programming_noise_curve/{way}") for way, _, _ in _WAYS]
    there = [(curve.axis, curve.values) for curve in parts if curve is not None and curve.axis is not None]
    axis, values = (np.concatenate(arrays) for arrays in zip(*there, strict=True))
    if len(axis) < 4:
        return None
    x: Array = np.linspace(float(axis.min()), float(axis.max()), 101)
    square = np.polyval(np.polyfit(np.abs(axis), np.square(values), 2), np.abs(x))
    return x, np.sqrt(np.maximum(square, 0.0))


def _by_level(
    curves: Mapping[str, Curve],
    name: str,
    title: str,
    y: str,
    kind: str,
    fit: tuple[Array, Array] | None = None,
) -> Markup:
    def plot(axes: Axes) -> None:
        for way, label, colour in _WAYS:
            curve = curves.get(f"{name}/{way}")
            if curve is not None and curve.axis is not None:
                drawing.curve(
                    axes, curve.axis, curve.values, label=label, colour=colour, error=curve.standard_error, dots=True
                )
        if fit is not None:
            drawing.curve(axes, *fit, label="fit: sd squared a parabola in |level|", colour=drawing.GREEN)
        axes.set_xlabel("level written (weight units)")
        axes.set_ylabel(y)
        axes.legend()

    alt = f"{title} against the level, in both directions"
    svg = drawing.draw(title, plot, alt=alt, tag=kind, margins=drawing.WIDE_MARGINS)
    return figure(svg, "Against the level; bands are one standard error.")


def _histogram(each: Curve, kind: str) -> Markup:
    def plot(axes: Axes) -> None:
        drawing.histogram(axes, [("sigma", each.values, drawing.BLUE)], "sd of a parameter's own noise (weight units)")

    title = "Noise of each parameter"
    error = 0.0 if each.standard_error is None else float(np.median(each.standard_error))
    svg = drawing.draw(title, plot, alt="histogram of the sd of each parameter's own noise", tag=kind)
    return figure(svg, f"New in each evaluation. The median standard error of one is {error:.2g}.")


def _in_time(curve: Curve, title: str, y: str, kind: str) -> Markup:
    above = curve.values > 0
    assert curve.axis is not None
    axis, values = curve.axis[above], curve.values[above]
    error = None if curve.standard_error is None else np.minimum(curve.standard_error[above], 0.9 * values)

    def plot(axes: Axes) -> None:
        drawing.curve(axes, axis, values, label=title, colour=drawing.BLUE, error=error, dots=True)
        drawing.log_axis(axes, "x")
        drawing.log_axis(axes, "y")
        axes.set_xlabel(f"{'frequency' if curve.axis_unit in ('Hz', '1/evaluation') else 'time'} ({curve.axis_unit})")
        axes.set_ylabel(y)

    alt = f"{title}, logarithmic on both axes"
    svg = drawing.draw(title, plot, alt=alt, tag=kind, margins=drawing.WIDE_MARGINS)
    about = curve.about[:1].upper() + curve.about[1:]
    return figure(svg, f"{about}; read error taken off; bands are one standard error.")


def _maps(profile: Profile, kind: str) -> Markup:
    """Where on the arrays the noise is, a weight matrix each."""
    each = profile.curves.get("parameter_noise_sigma_each")
    if each is None or not np.ptp(each.values) > 0:
        return Markup("")
    drawn: list[Markup] = []
    start = 0
    for tensor in profile.manifest.device.tensors:
        size = math.prod(tensor.shape)
        flat = each.values[start : start + size]
        start += size
        if len(tensor.shape) != 2 or min(tensor.shape) < 2:
            continue
        rows, columns = tensor.shape
        thinned: Array = flat.reshape(rows, columns)[:: -(-rows // _MOST), :: -(-columns // _MOST)]

        def plot(axes: Axes, thinned: Array = thinned) -> None:
            from matplotlib.ticker import MaxNLocator

            image = axes.imshow(np.transpose(thinned), cmap="viridis", vmin=0.0, aspect="auto", interpolation="none")
            axes.grid(visible=False)
            for axis in (axes.xaxis, axes.yaxis):
                axis.set_major_locator(MaxNLocator(7, integer=True))
            axes.set_xlabel("input")
            axes.set_ylabel("output")
            bar = axes.inset_axes((1.03, 0.0, 0.035, 1.0))
            parent = axes.get_figure()
            assert parent is not None
            parent.colorbar(image, cax=bar, label="sd (weight units)")

        svg = drawing.draw(
            f"Noise of {tensor.name}",
            plot,
            alt=f"map of the noise of {tensor.name}",
            tag=kind,
            margins=(0.62, 0.85, 0.48, 0.28),
        )
        drawn.append(figure(svg, f"{rows} inputs, {columns} outputs."))
    return section("Where the noise is", figures(*drawn)) if drawn else Markup("")
