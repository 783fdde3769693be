"""How near a cell must come to its target, and how well a device can tell and do it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Tolerance:
    """How near is near enough, weight units of the device's cells.

    Args:
        value: a cell is right if what is read of it, a mean of ``repeats`` reads, is no further from its target.
        repeats: reads that are averaged.
        read_error: standard deviation of that mean.
        residual: standard deviation that a write leaves, and what else differs from look to look.
        verified_writes: whether the residual is what the device's own iterative programming leaves.
    """

    value: float
    repeats: int
    read_error: float
    residual: float
    verified_writes: bool = False
