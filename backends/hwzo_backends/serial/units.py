"""Between numbers of the contract (float64, weight units) and numbers of the wire (whole units that a board states)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwzo.errors import ConfigError
from hwzo.parameters import Array
from hwzo.probes import Batch
from hwzo.wire.schema import DescribeReply

Units = NDArray[np.int16]
MOST = 32767
INPUT_ONE = 127


@dataclass(frozen=True)
class Scale:
    """What a unit of a board's numbers is worth.

    Args:
        weight: of weights and displacements, weight units.
        node: of nodes, pre-activation units.
        loss: of losses, nats or squared outputs.
    """

    weight: float
    node: float
    loss: float

    @classmethod
    def of(cls, board: DescribeReply) -> Scale:
        """As the board describes itself."""
        return cls(2.0**-board.weight_bits, 2.0**-board.node_bits, 2.0**-board.loss_bits)

    def weights(self, theta: Array) -> Units:
        """The nearest units of parameters within the board's bounds."""
        return np.rint(theta / self.weight).astype(np.int16)

    def displacements(self, scales: Array) -> NDArray[np.int64]:
        """Scales of probes in units.

        Raises:
            ConfigError: one is too large, or so small that it would displace nothing.
        """
        units = np.rint(scales / self.weight)
        worst = float(np.abs(units).max())
        if not worst <= MOST:
            raise ConfigError(
                f"a probe's scale is {np.abs(scales).max():g}; a board takes up to {MOST * self.weight:g} weight units",
                key="scale",
            )
        if ((units == 0) & (scales != 0)).any():
            least = float(np.abs(scales[scales != 0]).min())
            raise ConfigError(
                f"a probe's scale is {least:g}; the board's smallest displacement is {self.weight:g} weight units",
                key="scale",
            )
        return units.astype(np.int64)

    def coefficients(self, values: Array) -> list[int] | None:
        """Coefficients in units; None if one isn't a whole number of units, or doesn't fit."""
        units = values / self.weight
        if not (np.abs(units) <= MOST).all() or (units != np.rint(units)).any():
            return None
        return [int(unit) for unit in units]


def rows(batch: Batch) -> NDArray[np.int8]:
    """A batch as the board keeps it, (batch, row): inputs, then a class number or the targets; numbers in 1/127.

    Raises:
        ConfigError: inputs or targets outside [-1, 1], or more than 255 classes.
    """
    if batch.loss == "cross-entropy":
        if int(batch.targets.max()) > 255:
            raise ConfigError("a board tells 255 classes apart at most", key="layers")
        last = batch.targets.astype(np.uint8)[:, None].view(np.int8)
    else:
        last = _in_127ths("targets", batch.targets.astype(np.float64))
    return np.concatenate([_in_127ths("inputs", batch.inputs), last], axis=1)


def _in_127ths(name: str, values: Array) -> NDArray[np.int8]:
    worst = float(np.abs(values).max())
    if not worst <= 1.0:
        raise ConfigError(f"the batch's {name} reach {worst:g}; a board takes [-1, 1]: scale them", key=name)
    return np.rint(values * INPUT_ONE).astype(np.int8)
