"""The adaptive momentum method: Adam whose second moment never falls."""

from __future__ import annotations

import math

import numpy as np

from hwzo.errors import ConfigError
from hwzo.parameters import Array
from hwzo.update.rule import State, UpdateRule, check_decay


def adamm(beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-8) -> UpdateRule:
    """AMSGrad (https://openreview.net/forum?id=ryQu7f-RZ) as ZO-AdaMM has it (https://arxiv.org/abs/1910.06513)::

        m <- beta1 m + (1 - beta1) g,   v <- beta2 v + (1 - beta2) g^2,   u <- max(u, v)
        step = -rate m / (sqrt(u) + epsilon)

    Without Adam's corrections of the first steps, as in both papers: v starts at 0, so the first steps are larger than
    the rate, by (1 - beta1) / sqrt(1 - beta2), 3.2 by default, in the first step and more in the next ones.

    Raises:
        ConfigError: a beta outside [0, 1), or an epsilon that isn't above 0.
    """
    check_decay("adamm", beta1=beta1, beta2=beta2)
    if not epsilon > 0:
        raise ConfigError(f"adamm: epsilon = {epsilon:g} must be above 0", key="epsilon")
    weight1, weight2 = 1.0 - beta1, math.sqrt(1.0 - beta2)

    def init(n_params: int) -> State:
        return {"gradients": np.zeros(n_params), "squares": np.zeros(n_params), "largest": np.zeros(n_params)}

    def step(state: State, gradient: Array, rate: float) -> tuple[State, Array]:
        # The sums are kept without their factors (1 - beta), as in `adam`.
        gradients: Array = state["gradients"] * beta1
        gradients += gradient
        change: Array = gradient * gradient
        squares: Array = state["squares"] * beta2
        squares += change
        largest: Array = np.maximum(state["largest"], squares)
        np.sqrt(largest, out=change)
        change += epsilon / weight2
        np.divide(gradients, change, out=change)
        change *= -rate * weight1 / weight2
        return {"gradients": gradients, "squares": squares, "largest": largest}, change

    return UpdateRule("adamm", init, step)
