"""What a step saw: displacements and losses, or noisy passes through the nodes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hwzo.parameters import Array


@dataclass(frozen=True)
class Nodes:
    """Node activities of several passes over one batch.

    Args:
        activities: a layer each, (passes, batch, units) float64, pre-activations as read.
        sample_losses: (passes, batch) float64.
        inputs: (batch, n_inputs) float64.
    """

    activities: tuple[Array, ...]
    sample_losses: Array
    inputs: Array


@dataclass(frozen=True)
class Evidence:
    """Readings of one step, ready for an estimator.

    Args:
        losses: (N,) float64, mean loss of each reading.
        counters, scales: (N,), what was commanded.
        displacements: (N, n_params) float64, weight units: commanded plus readable intrinsic; None where losses and
            what was commanded say it all.
    """

    losses: Array
    counters: NDArray[np.int64]
    scales: Array
    displacements: Array | None = None

    @cached_property
    def commanded(self) -> int:
        """Readings that had a commanded displacement."""
        return int(np.count_nonzero(self.scales))
