"""Turn a gradient into a step.

A rule is made by its function, such as ``adam(beta1=0.95)``, or taken from `UPDATES` as it usually is::

    rule = UPDATES["adam"]
    state = rule.init(n_params)
    state, step = rule.step(state, gradient, rate)   # theta + step goes down the gradient
"""

from hwzo.update.adam import adam
from hwzo.update.momentum import momentum
from hwzo.update.normalised import normalised_momentum
from hwzo.update.rule import State, UpdateRule
from hwzo.update.schedule import LinearDecay, Schedule, constant
from hwzo.update.sgd import sgd

UPDATES: dict[str, UpdateRule] = {rule.name: rule for rule in (sgd(), momentum(), adam(), normalised_momentum())}
"""The rules with their usual settings, by name."""

__all__ = [
    "UPDATES",
    "LinearDecay",
    "Schedule",
    "State",
    "UpdateRule",
    "adam",
    "constant",
    "momentum",
    "normalised_momentum",
    "sgd",
]
