"""A fully connected layer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hwzo.parameters import Array
from hwzo.stages.stage import Activate, Read


@dataclass(frozen=True)
class Dense:
    """Every input to every unit: ``a = x W + b``. See `Stage`.

    Args:
        rows: inputs.
        columns: units.
    """

    rows: int
    columns: int

    @property
    def reads(self) -> int:
        """One."""
        return 1

    @property
    def n_in(self) -> int:
        """As many as rows."""
        return self.rows

    @property
    def n_out(self) -> int:
        """As many as columns."""
        return self.columns

    @property
    def units(self) -> int:
        """As many as columns."""
        return self.columns

    @property
    def takes(self) -> str:
        """Such as ``"784"``."""
        return str(self.rows)

    @property
    def token(self) -> str:
        """Such as ``"64"``."""
        return str(self.columns)

    def run(self, x: Array, read: Read, activate: Activate) -> Array:
        """See `Stage.run`."""
        return read(x[..., None, :])[..., 0, :]

    def passed(self, nodes: Array, activate: Activate) -> Array:
        """See `Stage.passed`."""
        return activate(nodes)

    def heard(self, nodes: Array, activate: Activate) -> None:
        """See `Stage.heard`."""
        return None

    def driven(self, x: Array, nodes: Array, activate: Activate) -> Array:
        """See `Stage.driven`."""
        return x[..., None, :]

    def backward(self, delta: Array, nodes: Array, weight: Array, activate: Activate, slope: Activate) -> Array:
        """See `Stage.backward`."""
        return (delta * slope(activate(nodes)))[..., None, :]

    def inward(self, delta: Array, weight: Array) -> Array:
        """See `Stage.inward`."""
        return delta[..., 0, :] @ np.transpose(weight)
