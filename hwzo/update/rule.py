"""What an update rule is: two pure functions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hwzo.errors import ConfigError
from hwzo.parameters import Array

State = dict[str, Array]
"""Named float64 arrays, counters among them as one-element arrays, so that a checkpoint can hold all of it."""


@dataclass(frozen=True)
class UpdateRule:
    """Turns gradients into steps.

    Args:
        name: as in `hwzo.update.UPDATES`.
        init: ``init(n_params)`` gives a fresh state.
        step: ``step(state, gradient, rate)`` gives the new state and the step (n_params,), weight units, to be added to
            the parameters; neither ``state`` nor ``gradient`` (n_params,) is changed. What else is in ``state``, of a
            method that remembers more, it doesn't look at and doesn't give back.
    """

    name: str
    init: Callable[[int], State]
    step: Callable[[State, Array, float], tuple[State, Array]]


def check_decay(rule: str, **decays: float) -> None:
    """Check that memories decay: each in [0, 1).

    Raises:
        ConfigError: names the one that doesn't.
    """
    for name, value in decays.items():
        if not 0 <= value < 1:
            raise ConfigError(f"{rule}: {name} = {value:g} must be at least 0 and below 1", key=name)
