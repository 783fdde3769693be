"""Weights that are read off another device, with how sure they are."""

from __future__ import annotations

from dataclasses import dataclass

from hwzo.device import Device
from hwzo.parameters import Array
from hwzo.train.weights import Weights


@dataclass(frozen=True)
class Clone:
    """What was read.

    Args:
        weights: means of the reads, within the device's bounds.
        standard_error: of each mean, (n_params,), weight units.
        repeats: how often each cell was read.
    """

    weights: Weights
    standard_error: Array
    repeats: int


def clone(device: str | Device, *, task: str = "", repeats: int = 32) -> Clone:
    """Read a device's weights.

    Args:
        device: URL or open device; what is opened here is closed again.
        task: what it was trained for, if anyone knows.
        repeats: reads of each cell, at least 2.

    Raises:
        CapabilityError: it doesn't read back its weights.
    """
    raise NotImplementedError
