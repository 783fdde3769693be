"""Plain gradient descent."""

from __future__ import annotations

from hwzo.parameters import Array
from hwzo.update.rule import State, UpdateRule


def sgd() -> UpdateRule:
    """step = -rate g (Robbins and Monro, Ann. Math. Stat. 22, 400, 1951). It keeps no state."""

    def init(n_params: int) -> State:
        return {}

    def step(state: State, gradient: Array, rate: float) -> tuple[State, Array]:
        return {}, gradient * -rate

    return UpdateRule("sgd", init, step)
