"""How a device follows a commanded step: up, down, and at which weight the two are alike.

A device that is programmed by trains of pulses, without a look at what they did, moves by more or less than it was
asked to, and otherwise up than down. Where up and down are equal is its symmetry point, which training is drawn to: T.
Gokmen and W. Haensch, Front. Neurosci. 14, 103 (2020), doi:10.3389/fnins.2020.00103.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hwzo.device import Update
from hwzo.noise.jackknife import jackknife
from hwzo.noise.quantity import Curve, Findings, Quantity
from hwzo.noise.setup import Raw, Setup, on_grid, ranges
from hwzo.parameters import Array

STEP = 0.3
"""Of the way from the middle of a parameter's range to its end: well above what writes and reads are off by."""
INNER = 0.6
"""Share of the range that steps begin in: bounds, which differ from device to device, stay out of reach."""
FOLLOWED = 0.02
"""Steps that come out as commanded to within this share are said to, however well it is known: what an accurate write
leaves of them, such as cells that can't go below 0, is no response of pulses."""
CLEAR = 3.0
"""Standard errors that the slopes of up and down must differ by for their crossing to be told."""
FEWEST = 16
BINS = 8
NAMES = ("step_response/up", "step_response/down", "symmetry_point")


def take(setup: Setup, rounds: int) -> Raw:
    """Steps from levels anew in each round, half of the parameters up and half down, all at once.

    ``levels`` (rounds, n) asked for, ``steps`` (rounds, n) then commanded, ``before`` and ``after`` (rounds, n) as read
    back; float32, weight units.
    """
    spec = setup.device.parameters
    low, high = ranges(spec)
    middle, half = 0.5 * (low + high), 0.5 * (high - low)
    rows: dict[str, list[NDArray[np.float32]]] = {"levels": [], "steps": [], "before": [], "after": []}
    for at in range(rounds):
        rng = setup.rng(f"steps {at}")
        levels = on_grid(spec, middle + INNER * half * rng.uniform(-1.0, 1.0, len(half)))
        target = on_grid(spec, levels + STEP * half * rng.choice((-1.0, 1.0), len(half)))
        setup.device.program(levels)
        before = setup.evaluate(1, "weights").realised
        setup.device.apply(Update(target, target - levels))
        after = setup.evaluate(1, "weights").realised
        assert before is not None
        assert after is not None
        for name, row in zip(rows, (levels, target - levels, before[0], after[0]), strict=True):
            rows[name].append(row.astype(np.float32))
    return {name: np.stack(found) for name, found in rows.items()}


def estimate(levels: Array, steps: Array, before: Array, after: Array, working: NDArray[np.bool_]) -> Findings:
    """``step_response/up`` and ``/down``, what a step came to as a share of what was asked; ``symmetry_point``.

    The response is taken to be linear in the weight over the range that is measured. Weights are read with noise, and
    so is the step that begins there, with the opposite sign: an ordinary regression would see a slope that isn't there.
    What was asked for has no noise, and serves as the instrument: with z the level, w the weight halfway through the
    step and d its share, ``b = cov(z, d) / cov(z, w)``; P. G. Wright, The Tariff on Animal and Vegetable Oils (1928),
    appendix B. Errors are by the jackknife over parameters.

    Args:
        levels, steps, before, after: as `take` gives them.
        working: (n,) parameters that follow what is written.
    """
    found = Findings()
    if int(working.sum()) < FEWEST:
        reason = f"{int(working.sum())} parameters that follow what is written; at least {FEWEST} are needed"
        found.left_out = dict.fromkeys(NAMES, reason)
        return found
    z, asked = levels[:, working], steps[:, working]
    went = (after - before)[:, working]
    moved = np.abs(asked) > 0
    share = np.where(moved, went / np.where(moved, asked, 1.0), 0.0)
    halfway = 0.5 * (before + after)[:, working]
    ways = {"up": asked > 0, "down": asked < 0}
    # A row a parameter: what sums of moments are made of, up and then down.
    moments = np.stack(
        [
            np.where(way, m, 0.0).sum(axis=0)
            for way in ways.values()
            for m in (1.0, z, halfway, z * halfway, share, z * share)
        ],
        axis=1,
    )
    about = "what a commanded step comes to, as a share of it, "
    responses: dict[str, Quantity] = {}
    for at, name in enumerate(ways):
        start = 6 * at
        value, error, dof = jackknife(moments, lambda m, start=start: m[start + 4] / m[start]).scalars
        responses[name] = Quantity.mean(value, error, "1", int(ways[name].sum()), dof=dof, about=about + name)
    if all(q.low - FOLLOWED <= 1.0 <= q.high + FOLLOWED for q in responses.values()):
        worst = max(FOLLOWED, *(max(q.high - 1.0, 1.0 - q.low) for q in responses.values()))
        found.left_out = dict.fromkeys(NAMES, f"steps come out as they are commanded, to within {100 * worst:.1g}%")
        return found
    found.quantities |= {f"step_response/{name}": q for name, q in responses.items()}
    for name, way in ways.items():
        found.curves[f"step_response_curve/{name}"] = _binned(z[way], halfway[way], share[way])
    slope, slope_error, _ = jackknife(moments, lambda m: _line(m[:6])[1] - _line(m[6:])[1]).scalars
    if abs(slope) < CLEAR * slope_error:
        found.left_out["symmetry_point"] = "up and down can't be seen to change with the weight in different ways"
        return found
    value, error, dof = jackknife(moments, _crossing).scalars
    if not z.min() - abs(np.ptp(z)) < value < z.max() + abs(np.ptp(z)):
        found.left_out["symmetry_point"] = f"far outside of the weights that were measured, near {value:.2g}"
        return found
    about = "weight at which a step up and a step down come to the same"
    found.quantities["symmetry_point"] = Quantity.mean(value, error, "weight", z.size, dof=dof, about=about)
    return found


def _line(m: Array) -> tuple[float, float]:
    """(response at weight 0, slope) from mean moments 1, z, w, zw, d, zd."""
    one, z, w, zw, d, zd = (float(value) for value in m)
    slope = (one * zd - z * d) / (one * zw - z * w)
    return (d - slope * w) / one, slope


def _crossing(m: Array) -> float:
    (up, up_slope), (down, down_slope) = _line(m[:6]), _line(m[6:])
    return (down - up) / (up_slope - down_slope)


def _binned(levels: Array, weights: Array, shares: Array) -> Curve:
    """Mean shares in bins of the level asked for, against the mean weight there."""
    order = np.argsort(levels, kind="stable")
    bins = [part for part in np.array_split(order, min(BINS, max(1, len(order) // 4))) if len(part) > 1]
    axis = np.array([weights[part].mean() for part in bins])
    mean = np.array([shares[part].mean() for part in bins])
    error = np.array([shares[part].std(ddof=1) / np.sqrt(len(part)) for part in bins])
    return Curve(mean, "1", len(bins[0]), error, axis, "weight", "share of a commanded step, against the weight")
