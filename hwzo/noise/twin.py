"""How far a device and its emulated twin are apart: the same probes on both, distributions compared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from hwzo.noise import curvature
from hwzo.noise.holm import rejected
from hwzo.noise.setup import Setup
from hwzo.parameters import Array
from hwzo.probes import Probes

ALPHA = 0.01
"""Chance that anything is said to differ of two devices that don't, over all comparisons together."""
READINGS = 100
DIRECTIONS = 32
SCALE = 0.1
MOST = 4096  # parameters whose read-backs are compared


@dataclass(frozen=True)
class Gap:
    """One distribution on both.

    Args:
        name: of what.
        device, twin: its mean and sd on each.
        statistic: of Kolmogorov and Smirnov: the largest distance of the two distribution functions, 0 to 1.
        p: chance of that or more if they are the same.
        n: readings on each.
        unit: of mean and sd.
        differs: whether p is below what Holm's procedure allows.
    """

    name: str
    device: tuple[float, float]
    twin: tuple[float, float]
    statistic: float
    p: float
    n: int
    unit: str
    differs: bool = False


def gaps(device: Setup, twin: Setup, *, told: Callable[[str], None] = lambda name: None) -> list[Gap]:
    """Take the same readings of both and compare them by the two-sample test of Kolmogorov and Smirnov.

    Readings of one comparison are independent of each other: each loss is of a write of its own, each parameter has
    noise of its own. S. Holm, Scand. J. Stat. 6, 65 (1979), keeps the chance of any false alarm at `ALPHA`.

    Args:
        device, twin: where to measure; the same samples, parameters and seed.
        told: is called with what is being measured.
    """
    from scipy import stats  # pyright: ignore[reportMissingTypeStubs]

    ways: list[tuple[str, str, Callable[[Setup], Array]]] = [
        ("loss, written anew each time", "loss", _written),
        ("loss of one write, from reading to reading", "loss", _repeated),
    ]
    if all(curvature.law_of(setup.device.capabilities.laws) is not None for setup in (device, twin)):
        ways.append(("change of the loss along directions", "loss", _displaced))
    if all(setup.device.capabilities.reads_back("weights") for setup in (device, twin)):
        ways.append(("parameters read back, less what was written", "weight", _residuals))
        ways.append(("parameters, between two evaluations", "weight", _between))
    found: list[Gap] = []
    for name, unit, take in ways:
        told(name)
        a, b = take(device), take(twin)
        test = stats.ks_2samp(a, b, method="asymp")  # pyright: ignore[reportUnknownVariableType]
        statistic, p = float(test.statistic), float(test.pvalue)  # pyright: ignore
        found.append(Gap(name, _moments(a), _moments(b), statistic, p, len(a), unit))
    return _judged(found)


def _judged(found: list[Gap]) -> list[Gap]:
    differing = rejected({gap.name: gap.p for gap in found}, ALPHA)
    return [replace(gap, differs=gap.name in differing) for gap in found]


def _moments(values: Array) -> tuple[float, float]:
    return float(values.mean()), float(values.std(ddof=1))


def _written(setup: Setup) -> Array:
    losses = np.empty(READINGS)
    for at in range(READINGS):
        setup.device.program(setup.levels(f"twin {at}"))
        setup.device.program(setup.theta)
        losses[at] = setup.evaluate(1).losses[0]
    return losses


def _repeated(setup: Setup) -> Array:
    """Every second difference of readings in a row, so that no two share a reading."""
    setup.device.program(setup.theta)
    losses = setup.evaluate(2 * READINGS).losses
    return losses[1::2] - losses[::2]


def _displaced(setup: Setup) -> Array:
    """L(+c z) - L(-c z): the same directions on both."""
    law = curvature.law_of(setup.device.capabilities.laws)
    assert law is not None
    setup.device.program(setup.theta)
    counters = np.repeat(np.arange(DIRECTIONS), 2)
    probes = Probes(counters, np.tile([SCALE, -SCALE], DIRECTIONS), law=law, key=setup.seed, step=curvature.STEP)
    losses = setup.device.measure(probes, setup.batch).losses
    setup.progress()
    return losses[::2] - losses[1::2]


def _residuals(setup: Setup) -> Array:
    levels = setup.levels("twin levels")
    setup.device.program(levels)
    return (setup.device.read(1)[0] - levels)[_some(setup)]


def _between(setup: Setup) -> Array:
    setup.device.program(setup.theta)
    realised = setup.evaluate(2, "weights").realised
    assert realised is not None
    return (realised[1] - realised[0])[_some(setup)]


def _some(setup: Setup) -> slice:
    return slice(None, None, max(1, setup.theta.size // MOST))
