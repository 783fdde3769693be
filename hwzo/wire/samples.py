"""The batch of a board, as a host loads it: rows of whole numbers, and the `hwzo.probes.Batch` that they are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hwzo.network import Network
from hwzo.parameters import Array
from hwzo.probes import Batch
from hwzo.wire.endpoint import RefusalError
from hwzo.wire.schema import BeginBatch, LossCode, Sample, Status

INPUT_ONE = 127
MOST_SAMPLES = 4096
BATCH_BYTES = 1 << 26


class Samples:
    """Rows of a batch, all 0 at first: a sample's inputs, then its class number or its targets.

    Args:
        request: how many, for which loss.
        network: that they are for.

    Raises:
        RefusalError: no such loss, or no room.
    """

    def __init__(self, request: BeginBatch, network: Network) -> None:
        if request.loss not in set(LossCode):
            raise RefusalError(Status.E_RANGE, 1)
        self._classes = network.layers[-1] if request.loss == LossCode.CROSS_ENTROPY else None
        self._inputs = network.layers[0]
        self.row = self._inputs + (1 if self._classes else network.layers[-1])
        """Bytes of a row."""
        if not 1 <= request.samples <= min(MOST_SAMPLES, BATCH_BYTES // self.row) or self.row > 0xFFFF:
            raise RefusalError(Status.E_RANGE, 0)
        self._rows: NDArray[np.int8] = np.zeros((request.samples, self.row), dtype=np.int8)
        self._batch: Batch | None = None

    def put(self, request: Sample) -> None:
        """Part of a row.

        Raises:
            RefusalError: there is no such row, or place in it, or class.
        """
        stop = request.offset + len(request.values)
        if request.index >= len(self._rows):
            raise RefusalError(Status.E_RANGE, 0)
        if stop > self.row:
            raise RefusalError(Status.E_RANGE, 1)
        if self._classes and stop == self.row and request.values and request.values[-1] & 0xFF >= self._classes:
            raise RefusalError(Status.E_RANGE, 2)
        self._rows[request.index, request.offset : stop] = request.values
        self._batch = None

    @property
    def batch(self) -> Batch:
        """What they are; inputs below -1 count as -1."""
        if self._batch is None:
            inputs: Array = np.maximum(self._rows[:, : self._inputs] / INPUT_ONE, -1.0)
            rest = self._rows[:, self._inputs :]
            if self._classes:
                self._batch = Batch(inputs, rest[:, 0].view(np.uint8).astype(np.int64))
            else:
                self._batch = Batch(inputs, rest / INPUT_ONE, "squared-error")
        return self._batch
