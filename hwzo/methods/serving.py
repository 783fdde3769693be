"""Which methods a device can serve, by what it declares: for messages that say what to use instead."""

from __future__ import annotations

from collections.abc import Mapping

from hwzo.device import Device
from hwzo.probes import Law

NODES = ("node-perturbation", "learned-feedback", "anp", "danp", "nrl", "hebbian")
"""They take a layered device, whose nodes are noisy and read back."""
WRITES = ("noisezo",)
"""They take weights that are read back, with noise that a write leaves."""
NORMAL: tuple[Law, ...] = ("gaussian", "rademacher")
COMMANDED: Mapping[str, tuple[Law, ...]] = {
    "block": ("rademacher",),
    "spsa": ("rademacher",),
    "mgd": ("rademacher",),
    "coordinate": ("coordinate",),
    "zo-sgd": NORMAL,
    "zo-signsgd": NORMAL,
    "zo-adamm": NORMAL,
    "mezo": NORMAL,
    "fzoo": ("rademacher",),
    "eggroll": ("gaussian-rank1",),
    "openes": NORMAL,
}
"""They take a device that can be displaced along one of these laws."""
PROGRAMMED = (
    *("hizoo", "lozo", "guided-es", "reszo", "oua", "cma-es", "sep-cma", "cbo"),
    *("selection", "metropolis"),
)
"""They take any device: nothing is asked of it but a loss."""
MOST_PARAMETERS = 1000
"""Of ``cma-es``, whose matrix grows with the parameters squared: with so many a round takes about a second already."""
ON_THE_HOST = ("backprop", "forward-gradient", "gauss-newton")
"""References: they take a layered device."""


def served(device: Device) -> list[str]:
    """Names of the methods that a device can serve, with the settings they have by themselves."""
    capabilities = device.capabilities
    layered = capabilities.network is not None
    names = ["intrinsic"]
    if layered and capabilities.node_noise and capabilities.reads_back("nodes"):
        names += NODES
    if capabilities.parameter_noise == "retained" and capabilities.reads_back("weights"):
        names += WRITES
    names += [name for name, laws in COMMANDED.items() if not capabilities.laws.isdisjoint(laws)]
    names += [name for name in PROGRAMMED if name != "cma-es" or device.parameters.size <= MOST_PARAMETERS]
    return [*names, *ON_THE_HOST] if layered else names


def instead(device: Device) -> str:
    """What to use on this device, as the end of a message."""
    _, *others = served(device)
    return f"use method 'intrinsic', which picks what it can do; others for it are {', '.join(map(repr, others))}"
