"""Normalised momentum: Adam with one step size for all parameters."""

from __future__ import annotations

import math

import numpy as np

from hwzo.errors import ConfigError
from hwzo.parameters import Array
from hwzo.update.rule import State, UpdateRule, check_decay


def normalised_momentum(beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-8) -> UpdateRule:
    """Adam's formulas with one scalar second moment, the mean over the parameters::

        m <- beta1 m + (1 - beta1) g,   s <- beta2 s + (1 - beta2) mean(g^2)
        step = -rate m / (1 - beta1^t) / (sqrt(s / (1 - beta2^t)) + epsilon),   t = 1, 2, ...

    Its state holds m / (1 - beta1) and s / (1 - beta2), the decayed sums themselves.

    The gradient's scale drops out as in Adam (https://arxiv.org/abs/1412.6980), its direction is kept. An estimate from
    few readings has much the same noise in every parameter, so that Adam's second moments tell parameters apart by
    noise rather than by slope. One moment for a whole layer is the idea of NovoGrad (https://arxiv.org/abs/1905.11286).

    Raises:
        ConfigError: a beta outside [0, 1), or an epsilon that isn't above 0.
    """
    check_decay("normalised-momentum", beta1=beta1, beta2=beta2)
    if not epsilon > 0:
        raise ConfigError(f"normalised-momentum: epsilon = {epsilon:g} must be above 0", key="epsilon")

    def init(n_params: int) -> State:
        return {"gradients": np.zeros(n_params), "square": np.zeros(1), "count": np.zeros(1)}

    def step(state: State, gradient: Array, rate: float) -> tuple[State, Array]:
        t = float(state["count"][0]) + 1.0
        weight1 = (1.0 - beta1) / (1.0 - beta1**t)
        weight2 = (1.0 - beta2) / (1.0 - beta2**t)
        gradients: Array = state["gradients"] * beta1
        gradients += gradient
        square = float(state["square"][0]) * beta2 + float(np.vdot(gradient, gradient)) / gradient.size
        size = math.sqrt(square * weight2) + epsilon
        kept = {"gradients": gradients, "square": np.array([square]), "count": np.array([t])}
        return kept, gradients * (-rate * weight1 / size)

    return UpdateRule("normalised-momentum", init, step)
