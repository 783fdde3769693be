"""A deployment: what was put into a device, where, and how near it came; as a value and as a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwzo.deploy.closed_loop import Written
from hwzo.deploy.tolerance import Tolerance
from hwzo.parameters import Array
from hwzo.train.weights import Weights


@dataclass(frozen=True)
class Deployment:
    """Weights in a device.

    Args:
        weights: of the network, as they shall be there; those that a touch-up learned, if there was one. ``device`` is
            the one that holds them.
        mapping: arrays of the mapping, see `hwzo.deploy.mapping.Mapping.from_arrays`.
        targets: (n,) what the cells shall hold, weight units of the device.
        written: what they were asked for, reached, and how.
        tolerance: that counted.
        manifest: identity of the device, settings, results; plain JSON.
        snapshot: the whole state of an emulated device as the deployment left it; b"" of hardware.
        path: where it was loaded from or saved to.
    """

    weights: Weights
    mapping: Mapping[str, NDArray[Any]]
    targets: Array
    written: Written
    tolerance: Tolerance
    manifest: Mapping[str, Any]
    snapshot: bytes = field(default=b"", repr=False)
    path: Path | None = None

    @property
    def corrections(self) -> Array:
        """(n,) what the cells are asked for beyond their targets, weight units of the device."""
        return np.asarray(self.written.asked - self.targets)

    def save(self, path: str | Path) -> Path:
        """Write it as ``deployment.h5``."""
        raise NotImplementedError

    @classmethod
    def load(cls, path: str | Path) -> Deployment:
        """Read it."""
        raise NotImplementedError
