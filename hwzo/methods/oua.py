"""Ornstein-Uhlenbeck adaptation. Garcia Fernandez, Ahmad and van Gerven, Entropy 26, 1125 (2024), https://arxiv.org/abs/2410.13563.

The parameters theta wander around their means mu, which follow where the reward r = -L was better than expected::

    d theta = lam (mu - theta) dt + sigma dW
    d mean r = eps (r - mean r) dt
    d mu = eta (r - mean r) (theta - mu) dt

A reading is the unit of time. From one to the next theta moves by the process's exact law (Gillespie, Phys. Rev. E 54,
2084, 1996), mean r and mu by Euler's::

    theta - mu <- exp(-lam) (theta - mu) + scale sqrt(1 - exp(-2 lam)) xi,      xi standard normal

so that theta, left alone, has variance scale^2 = sigma^2 / (2 lam) around mu, however long a unit of time is beside
1 / lam. What the method has learnt is mu: the device is left holding it after each step of ``probes`` such moves, one
reading each. ``rate`` is eta: at steady state the mean drift of mu is -eta scale^2 times the gradient.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field

from hwzo.directions import Directions
from hwzo.explore.programmed import ProgrammedExploration
from hwzo.methods.method import Start, State
from hwzo.methods.options import Options
from hwzo.methods.programmed import Programmed
from hwzo.methods.settings import Settings, known
from hwzo.methods.weight_perturbation import rate_of
from hwzo.parameters import Array

DEFAULTS = Settings(probes=32, scale=0.05, rate=3.0, schedule="linear")
NORMAL = np.arange(1)


class OuaOptions(Options):
    """Of Ornstein-Uhlenbeck adaptation, a reading being the unit of time.

    Args:
        lam: rate at which parameters return to their means: at 5 and more, each displacement is a new one.
        eps: rate at which the expected reward follows the reward.
    """

    lam: Annotated[float, Field(gt=0)] = 5.0
    eps: Annotated[float, Field(gt=0, le=1)] = 0.1


@dataclass(frozen=True)
class Oua:
    """See the module; a `Search`, whose theta is mu.

    Args:
        directions: dW.
        scale: sigma / sqrt(2 lam), weight units.
        options: see `OuaOptions`.
    """

    directions: Directions
    scale: float
    options: OuaOptions
    candidates: int = 1

    def begin(self, n_params: int) -> State:
        """Where the parameters are off their means, and the expected reward; NaN before the first."""
        return {"displacement": np.zeros(n_params), "expected": np.array([np.nan])}

    def ask(self, theta: Array, state: State, i: int) -> Array:
        """The parameters after one more move."""
        lam = self.options.lam
        moved: Array = state["displacement"] * math.exp(-lam)
        moved += (self.scale * math.sqrt(-math.expm1(-2.0 * lam))) * self.directions.at(i, NORMAL)[0]
        moved += theta
        return moved[None]

    def tell(
        self, theta: Array, state: State, i: int, candidates: Array, losses: Array, rate: float
    ) -> tuple[Array, State]:
        """The means, and what was expected."""
        reward, expected = -float(losses[0]), float(state["expected"][0])
        surprise = 0.0 if math.isnan(expected) else reward - expected
        learnt: Array = candidates[0] - theta
        drift = (rate * surprise) * learnt
        now = reward if math.isnan(expected) else expected + self.options.eps * surprise
        learnt -= drift
        return theta + drift, {"displacement": learnt, "expected": np.array([now])}


def build(settings: Settings, start: Start, options: OuaOptions | None = None) -> Programmed:
    """The method; any device that can be programmed will do."""
    start.settings = chosen = settings.only("oua", ("probes", "scale", "rate", "schedule")).over(DEFAULTS)
    parameters = start.device.parameters
    search = Oua(Directions("gaussian", parameters, start.key), known(chosen.scale), options or OuaOptions())
    reason = "parameters wander around their means, which follow what turned out better than expected"
    explore = ProgrammedExploration(parameters)
    return Programmed(search, explore, rate_of(chosen), reason, rounds=known(chosen.probes))
