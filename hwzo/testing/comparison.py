"""Do two ways of getting somewhere lead to the same loss? A paired test that stands noise, drift and small gain errors.

Each way is taken again and again, in turn, each time with parameters written anew, so that noise which is kept between
writes is drawn anew too and slow noise and drift are common to both. The mean difference is then judged by Student's t.
It may be up to `TOLERANCE` of the effect that was to be reproduced: a device's gain error is not a breach of contract,
while a displacement that is ignored, has the wrong sign, the wrong direction or twice the size is far beyond it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from hwzo.parameters import Array
from hwzo.testing.check import ALPHA, BreachError, SkipError
from hwzo.testing.student import Mean

TOLERANCE = 0.25
REPEATS = (16, 32, 64, 128)
"""Repeats grow until the test can tell `TOLERANCE` from noise; it is made once, at the end."""

Sample = Callable[[], tuple[list[float], list[float]]]
"""One repeat: differences that must be 0 in the mean, and the effects (of at least that size) to tell them from."""


def compare(sample: Sample, what: str) -> str:
    """Fail unless all differences are 0, within noise and tolerance.

    Args:
        sample: takes one repeat.
        what: names the two ways in the messages.

    Returns:
        What was seen.

    Raises:
        BreachError: a difference is neither noise nor within tolerance; a correct device gets here with
            probability below `ALPHA`.
        SkipError: the effects drown in noise, or there are none, so that nothing can be told.
    """
    rows: list[list[float]] = []
    width = 0
    differences, effect, margin = [Mean(0.0, 0.0, 0)], 0.0, 0.0
    for repeats in REPEATS:
        while len(rows) < repeats:
            pair = sample()
            width = len(pair[0])
            rows.append([*pair[0], *pair[1]])
        table: Array = np.array(rows)
        differences = [Mean.of(table[:, i]) for i in range(width)]
        effect = float(np.abs(table[:, width:].mean(axis=0)).min())
        margin = max(difference.margin(ALPHA / width) for difference in differences)
        if margin <= TOLERANCE * effect:
            break
    if effect < 1e-9:
        raise SkipError(f"{what}: the parameters chosen make no difference to the loss, so nothing can be told")
    if margin > TOLERANCE * effect:
        raise SkipError(f"{what}: an effect of {effect:.2g} on the loss drowns in noise after {REPEATS[-1]} repeats")
    worst = max(differences, key=lambda difference: abs(difference.value))
    if abs(worst.value) > TOLERANCE * effect + margin:
        raise BreachError(f"{what}: the losses differ by {worst}, where {effect:.3g} was to be reproduced")
    return f"{what}: the losses differ by {worst}, of an effect of {effect:.3g}"
