"""Backpropagation on the host. Rumelhart, Hinton and Williams, Nature 323, 533 (1986), https://doi.org/10.1038/323533a0.

A reference, not a way to train a chip: see `hwzo.methods.host_reference`.
"""

from __future__ import annotations

from dataclasses import dataclass

from hwzo.methods.host_reference import HostReference, known_network
from hwzo.methods.method import Start, State
from hwzo.methods.settings import Settings
from hwzo.methods.weight_perturbation import rate_of, update_of
from hwzo.network import Network
from hwzo.parameters import Array
from hwzo.probes import Batch

DEFAULTS = Settings(update="adam", rate=0.01, schedule="linear")


@dataclass(frozen=True)
class Backprop:
    """The exact gradient of a network; it remembers nothing."""

    network: Network

    def begin(self, n_params: int) -> State:
        """Nothing."""
        return {}

    def descent(self, state: State, theta: Array, batch: Batch, t: int) -> tuple[State, float, Array]:
        """See `HostRule`."""
        loss, gradient = self.network.gradient(theta, batch.inputs, batch.targets, batch.loss)
        return {}, loss, gradient


def build(settings: Settings, start: Start) -> HostReference:
    """The reference, for a device that is a layered network."""
    start.settings = chosen = settings.only("backprop", ("update", "rate", "schedule")).over(DEFAULTS)
    return HostReference(
        Backprop(known_network(start, "backprop")),
        update_of(chosen),
        rate_of(chosen),
        start.device.parameters,
        "host-side reference: the gradient is computed in float64, the device is only written to",
    )
