"""Node perturbation by the nodes' own noise: two noisy passes, no clean one. After Dalm et al., arXiv:2310.00965.

The noise of one layer's nodes changes the next layer's input too; that part is known to the host, which has the
activities and its own weights, and is taken off, or it drowns the deeper layers' signal.
"""

from __future__ import annotations

import numpy as np

from hwzo.errors import CapabilityError
from hwzo.estimate.nodes import node_gradient
from hwzo.explore.evidence import Evidence
from hwzo.explore.nodes import NodeExploration
from hwzo.methods.composition import Composition
from hwzo.methods.method import Start
from hwzo.methods.settings import Settings
from hwzo.methods.weight_perturbation import rate_of
from hwzo.parameters import Array
from hwzo.update import UPDATES

DEFAULTS = Settings(update="adam", rate=0.01, schedule="linear")

MOST_SILENT = 100


def build(settings: Settings, start: Start) -> Composition:
    """The method, on a layered device with noisy nodes that reads them back."""
    start.settings = chosen = settings.over(DEFAULTS)
    capabilities = start.device.capabilities
    network = capabilities.network
    if network is None or not (capabilities.reads_back("nodes") and capabilities.node_noise):
        raise CapabilityError(
            f"{start.device.info} reads back {capabilities.readback!r}, node noise: {capabilities.node_noise}, "
            f"layered: {network is not None}; node perturbation by the device's own noise needs noisy nodes that "
            "are read back; use method 'intrinsic', which picks what this device can do"
        )

    silent = 0

    def estimate(evidence: Evidence, theta: Array) -> Array:
        if evidence.nodes is None:
            raise CapabilityError("node perturbation needs node activities")
        nodes = evidence.nodes
        nonlocal silent
        try:
            gradient, _ = node_gradient(network, theta, nodes.inputs, nodes.activities, nodes.sample_losses)
        except CapabilityError:
            # Few samples through few nodes may well fall on the same codes of a converter twice: such a step teaches
            # nothing. A device on which they always do is no device for this.
            silent += 1
            if silent >= MOST_SILENT:
                raise
            return np.zeros_like(theta)
        silent = 0
        return gradient

    return Composition(
        "intrinsic-node",
        NodeExploration(),
        estimate,
        UPDATES[chosen.update or "adam"],
        rate_of(chosen),
        start.device.parameters,
        "nodes are noisy and read back: two noisy passes explore every node at once",
    )
