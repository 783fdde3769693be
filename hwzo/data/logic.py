"""Exclusive-or and parity: complete truth tables, the oldest tasks that a single layer can't do.

Inputs are -1 and +1, targets 0 (an even number of +1) and 1 (odd), with squared error on a linear output unit. The
usual notion of a solved table, a mean squared error below 0.04, belongs to targets one unit apart: answering 0.5
throughout scores 0.25. It puts every one of xor's four rows on its right side, since the worst may then be off by
sqrt(4 * 0.04) = 0.4. Targets of -1 and +1 were tried and rejected: a linear output then needs larger weights, which
costs a noisy device accuracy, and fewer starts of 2-2-1 find a solution.

A truth table is all there is to know, so train, validation and test are the same table; nothing is held out.
"""

from __future__ import annotations

from itertools import product

import numpy as np

from hwzo.data.task import Split, Task
from hwzo.errors import ConfigError
from hwzo.network import Network

SOLVED = 0.04
"""Mean squared error below which a truth table counts as solved."""

PARITY_BITS = range(2, 9)

# Noise of a memory cell grows with the range it has to span, so the window is no wider than the solutions need: trained
# without bounds, the largest weights of 2-2-1 end near 1.8 and those of 4-8-1 near 2.7.
WINDOW = 2.0


def xor() -> Task:
    """Exclusive-or, 2-2-1: from about one random start in ten, even exact gradient descent finds no solution."""
    return _truth_table("xor", 2, (2, 2, 1))


def parity(bits: int) -> Task:
    """Parity of 2 to 8 bits, with twice as many hidden units as bits (4-8-1 for four).

    Raises:
        ConfigError: another number of bits.
    """
    if bits not in PARITY_BITS:
        raise ConfigError(
            f"task=parity-{bits}: bits go from {PARITY_BITS.start} to {PARITY_BITS.stop - 1}, such as parity-4",
            key="task",
        )
    return _truth_table(f"parity-{bits}", bits, (bits, 2 * bits, 1))


def _truth_table(name: str, bits: int, layers: tuple[int, ...]) -> Task:
    rows = np.array(list(product((0.0, 1.0), repeat=bits)))
    table = Split(2.0 * rows - 1.0, rows.sum(axis=1, keepdims=True) % 2)
    return Task(
        name,
        Network(layers),
        table,
        table,
        table,
        window=WINDOW,
        loss="squared-error",
        source=f"generated: the complete truth table, {2**bits} rows; train, validation and test are the same table",
    )
