"""Adam: a step size for each parameter by its own gradients' size."""

from __future__ import annotations

import math

import numpy as np

from hwzo.errors import ConfigError
from hwzo.parameters import Array
from hwzo.update.rule import State, UpdateRule, check_decay


def adam(beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-8) -> UpdateRule:
    """Adam (Kingma and Ba 2015, https://arxiv.org/abs/1412.6980), its algorithm 1::

        m <- beta1 m + (1 - beta1) g,   v <- beta2 v + (1 - beta2) g^2
        step = -rate m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + epsilon),   t = 1, 2, ...

    Its state holds m / (1 - beta1) and v / (1 - beta2), the decayed sums themselves.

    Raises:
        ConfigError: a beta outside [0, 1), or an epsilon that isn't above 0.
    """
    check_decay("adam", beta1=beta1, beta2=beta2)
    if not epsilon > 0:
        raise ConfigError(f"adam: epsilon = {epsilon:g} must be above 0", key="epsilon")

    def init(n_params: int) -> State:
        return {"gradients": np.zeros(n_params), "squares": np.zeros(n_params), "count": np.zeros(1)}

    def step(state: State, gradient: Array, rate: float) -> tuple[State, Array]:
        t = float(state["count"][0]) + 1.0
        # The sums are kept without their factors (1 - beta): those and the corrections go into two numbers here, so
        # that they cost no pass over the parameters.
        weight1 = (1.0 - beta1) / (1.0 - beta1**t)
        weight2 = math.sqrt((1.0 - beta2) / (1.0 - beta2**t))
        gradients: Array = state["gradients"] * beta1
        gradients += gradient
        change: Array = gradient * gradient
        squares: Array = state["squares"] * beta2
        squares += change
        np.sqrt(squares, out=change)
        change += epsilon / weight2
        np.divide(gradients, change, out=change)
        change *= -rate * weight1 / weight2
        return {"gradients": gradients, "squares": squares, "count": np.array([t])}, change

    return UpdateRule("adam", init, step)
