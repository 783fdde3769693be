"""diffGrad: Adam that holds back where the gradient stays the same."""

from __future__ import annotations

import math

import numpy as np

from hwzo.errors import ConfigError
from hwzo.parameters import Array
from hwzo.update.rule import State, UpdateRule, check_decay


def diffgrad(beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-8) -> UpdateRule:
    """diffGrad (Dubey et al. 2019, https://arxiv.org/abs/1909.11015): Adam's step times a friction of each parameter::

        friction = 1 / (1 + exp(-|g_t-1 - g_t|)),   g_0 = 0
        m <- beta1 m + (1 - beta1) g,   v <- beta2 v + (1 - beta2) g^2
        step = -rate friction m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + epsilon),   t = 1, 2, ...

    The friction is 1/2 where the gradient didn't change and near 1 where it changed by much more than 1 loss per weight
    unit. It depends on the gradient's size, so unlike Adam's steps these are not the same for a scaled loss.

    Raises:
        ConfigError: a beta outside [0, 1), or an epsilon that isn't above 0.
    """
    check_decay("diffgrad", beta1=beta1, beta2=beta2)
    if not epsilon > 0:
        raise ConfigError(f"diffgrad: epsilon = {epsilon:g} must be above 0", key="epsilon")

    def init(n_params: int) -> State:
        arrays = {name: np.zeros(n_params) for name in ("gradients", "squares", "previous")}
        return {**arrays, "count": np.zeros(1)}

    def step(state: State, gradient: Array, rate: float) -> tuple[State, Array]:
        t = float(state["count"][0]) + 1.0
        weight1 = (1.0 - beta1) / (1.0 - beta1**t)
        weight2 = math.sqrt((1.0 - beta2) / (1.0 - beta2**t))
        gradients: Array = state["gradients"] * beta1
        gradients += gradient
        squares: Array = state["squares"] * beta2
        squares += gradient * gradient
        # 1 + exp(-|difference|), the inverse of the friction: the exponent is never positive, so it can't overflow.
        braked: Array = np.exp(-np.abs(gradient - state["previous"]))
        braked += 1.0
        size: Array = np.sqrt(squares)
        size += epsilon / weight2
        size *= braked
        change: Array = gradients / size
        change *= -rate * weight1 / weight2
        kept: State = {
            "gradients": gradients,
            "squares": squares,
            "previous": np.array(gradient),
            "count": np.array([t]),
        }
        return kept, change

    return UpdateRule("diffgrad", init, step)
