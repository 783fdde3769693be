"""The methods by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hwzo.errors import ConfigError
from hwzo.methods import backprop, block, intrinsic, mgd, selection, spsa
from hwzo.methods.method import Builder


@dataclass(frozen=True)
class Entry:
    """One method.

    Args:
        build: makes it for a device.
        budget: what a run with it may spend if nothing else is said.
        batch: samples a minibatch if nothing else is said, as far as the task has them; None: all of them.
        about: a line for the user.
    """

    build: Builder
    budget: str
    about: str
    batch: int | None = 128


METHODS: Mapping[str, Entry] = {
    "intrinsic": Entry(
        intrinsic.build, "12000 evaluations", "by the device's own noise, as far as it can be read back"
    ),
    "block": Entry(block.build, "20000 evaluations", "commanded displacements, centred on their block's mean"),
    "spsa": Entry(spsa.build, "20000 evaluations", "commanded antithetic pairs (Spall 1992)"),
    "mgd": Entry(mgd.build, "20000 evaluations", "multiplexed gradient descent (McCaughan et al. 2023)"),
    "selection": Entry(selection.build, "40000 evaluations", "program a mutation, keep it if it is better", None),
    "backprop": Entry(backprop.build, "2000 evaluations", "host-side float reference, for comparison only"),
}


def method_named(name: str) -> Entry:
    """The method of this name.

    Raises:
        ConfigError: there is none; lists those there are.
    """
    if name not in METHODS:
        raise ConfigError(f"unknown method {name!r}; allowed are {', '.join(METHODS)}", key="method")
    return METHODS[name]
