"""Exploration by the nodes' own noise: noisy passes over one batch, none of them clean, nothing commanded."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hwzo.device import Device
from hwzo.errors import CapabilityError
from hwzo.explore.evidence import Evidence, Nodes
from hwzo.network import sample_losses
from hwzo.parameters import Array
from hwzo.probes import Batch, Probes


@dataclass(frozen=True)
class NodeExploration:
    """Two passes a step; what their nodes differ by is the exploration.

    Args:
        evaluations: passes a step.
    """

    evaluations: int = 2

    def measure(self, device: Device, theta: Array, batch: Batch, step: int) -> Evidence:
        """Take one step's passes on a device that holds theta (n_params,)."""
        readings = device.measure(self._probes, batch)
        if readings.nodes is None:
            raise CapabilityError(f"{device.info} did not return the node activities that it declares")
        nodes = Nodes(readings.nodes, sample_losses(readings.nodes[-1], batch.targets, batch.loss), batch.inputs)
        counters, scales = self._nothing
        return Evidence(readings.losses, counters, scales, nodes=nodes)

    @cached_property
    def _probes(self) -> Probes:
        return Probes.plain(self.evaluations, want="nodes")

    @cached_property
    def _nothing(self) -> tuple[NDArray[np.int64], Array]:
        """Counters and scales: nothing is commanded."""
        return np.zeros(self.evaluations, dtype=np.int64), np.zeros(self.evaluations)
