"""A threshold on the gradient, and a memory of past adjustments: for learning one task after another."""

from __future__ import annotations

import math

import numpy as np

from hwzo.errors import ConfigError
from hwzo.parameters import Array
from hwzo.update.rule import State, UpdateRule


def classp(threshold: float = 1.0, power: float = 2.0, epsilon: float = 1e-8) -> UpdateRule:
    """After CLASSP (Ludwig 2024, https://arxiv.org/abs/2405.09637): adjust few parameters, the less the more they were.

    ::

        where |g| > threshold rms(g):   s <- s + |g|^power,   step = -rate g / (s + epsilon)^(1/power)
        elsewhere:                      step = 0, and s stays

    With a threshold of 0 and a power of 2 it is AdaGrad (https://jmlr.org/papers/v12/duchi11a.html). The paper's
    threshold is a fixed number; here it is in units of the gradient's root mean square over the parameters, since the
    size of an estimated gradient depends on how many readings made it. What isn't moved isn't written, either.

    Raises:
        ConfigError: a threshold below 0, or a power or epsilon that isn't above 0.
    """
    if not threshold >= 0:
        raise ConfigError(f"classp: threshold = {threshold:g} can't be negative", key="threshold")
    for name, value in (("power", power), ("epsilon", epsilon)):
        if not value > 0:
            raise ConfigError(f"classp: {name} = {value:g} must be above 0", key=name)

    def init(n_params: int) -> State:
        return {"adjusted": np.zeros(n_params)}

    def step(state: State, gradient: Array, rate: float) -> tuple[State, Array]:
        size: Array = np.abs(gradient)
        least = threshold * math.sqrt(float(np.vdot(gradient, gradient)) / gradient.size)
        moved = size > least
        adjusted: Array = state["adjusted"] + np.where(moved, size**power, 0.0)
        change = np.where(moved, gradient, 0.0) * -rate / np.power(adjusted + epsilon, 1.0 / power)
        return {"adjusted": adjusted}, change

    return UpdateRule("classp", init, step)
