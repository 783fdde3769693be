"""Turn a gradient into a step.

A rule is made by its function, such as ``adam(beta1=0.95)``, or taken from `UPDATES` as it usually is::

    rule = UPDATES["adam"]
    state = rule.init(n_params)
    state, step = rule.step(state, gradient, rate)   # theta + step goes down the gradient
"""

from hwzo.update.adam import adam
from hwzo.update.adamm import adamm
from hwzo.update.classp import classp
from hwzo.update.diffgrad import diffgrad
from hwzo.update.momentum import momentum
from hwzo.update.normalised import normalised_momentum
from hwzo.update.rule import State, UpdateRule
from hwzo.update.sgd import sgd
from hwzo.update.sign import sign

UPDATES: dict[str, UpdateRule] = {
    rule.name: rule
    for rule in (sgd(), momentum(), adam(), normalised_momentum(), sign(), adamm(), diffgrad(), classp())
}
"""The rules with their usual settings, by name."""

__all__ = [
    "UPDATES",
    "State",
    "UpdateRule",
    "adam",
    "adamm",
    "classp",
    "diffgrad",
    "momentum",
    "normalised_momentum",
    "sgd",
    "sign",
]
