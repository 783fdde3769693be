"""Gradient descent with momentum."""

from __future__ import annotations

import numpy as np

from hwzo.parameters import Array
from hwzo.update.rule import State, UpdateRule, check_decay


def momentum(beta: float = 0.9) -> UpdateRule:
    """m <- beta m + g, step = -rate m: the heavy ball (Polyak 1964, https://doi.org/10.1016/0041-5553(64)90137-5).

    Under a constant gradient the step grows to -rate g / (1 - beta).

    Raises:
        ConfigError: beta outside [0, 1).
    """
    check_decay("momentum", beta=beta)

    def init(n_params: int) -> State:
        return {"velocity": np.zeros(n_params)}

    def step(state: State, gradient: Array, rate: float) -> tuple[State, Array]:
        velocity: Array = state["velocity"] * beta
        velocity += gradient
        return {"velocity": velocity}, velocity * -rate

    return UpdateRule("momentum", init, step)
