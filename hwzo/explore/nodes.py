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
    """Passes over one batch; what their nodes do beyond their usual is the exploration.

    Args:
        passes: a step.
    """

    passes: int

    def measure(self, device: Device, batch: Batch) -> tuple[Evidence, Nodes]:
        """Take one step's passes, and what the nodes did in them.

        Raises:
            CapabilityError: the device returned no nodes.
        """
        readings = device.measure(self._probes, batch)
        if readings.nodes is None:
            raise CapabilityError(f"{device.info} did not return the node activities that it declares")
        nodes = Nodes(readings.nodes, sample_losses(readings.nodes[-1], batch.targets, batch.loss), batch.inputs)
        counters, scales = self._nothing
        return Evidence(readings.losses, counters, scales), nodes

    @cached_property
    def _probes(self) -> Probes:
        return Probes.plain(self.passes, want="nodes")

    @cached_property
    def _nothing(self) -> tuple[NDArray[np.int64], Array]:
        """Counters and scales: nothing is commanded."""
        return np.zeros(self.passes, dtype=np.int64), np.zeros(self.passes)
