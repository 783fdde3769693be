"""Consensus-based optimisation: particles drift to where the loss is low. Carrillo et al. 2021, https://arxiv.org/abs/1909.09249.

N particles x_n and their consensus v, the mean of the particles weighted by exp(-alpha L(x_n)); by elements::

    x_n <- x_n - pull dt (x_n - v) + spread sqrt(dt) (x_n - v) xi,      xi standard normal

(Pinnau et al., https://arxiv.org/abs/1604.05648, with the paper's noise of its own for each parameter, which does not
grow with their number, and minibatches.) The device is left holding v, the method's answer. Each particle is
programmed and read once a round.

Each element of x_n - v is a geometric Brownian motion: typically it shrinks as exp(-(pull + spread^2 / 2) t), while
its mean square goes as exp((spread^2 - 2 pull) t). So with spread^2 above 2 pull most parameters settle and a few
stray far, which is what finds something in many dimensions. ``rate`` is dt, ``scale`` the spread that the particles
start with.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field

from hwzo.directions import Directions
from hwzo.errors import ConfigError
from hwzo.explore.programmed import ProgrammedExploration
from hwzo.methods.method import Start, State
from hwzo.methods.options import Options
from hwzo.methods.programmed import Programmed
from hwzo.methods.settings import Settings, known
from hwzo.methods.weight_perturbation import rate_of
from hwzo.parameters import Array

DEFAULTS = Settings(probes=8, scale=0.2, rate=0.1, schedule="constant")
FIRST = 2**32 - 2
"""Step of the numbers that the particles start from, which no round is."""


class CboOptions(Options):
    """Of consensus-based optimisation.

    Args:
        alpha: how sharply the consensus favours low losses, per unit of the losses' standard deviation over the
            particles.
        pull: of the drift towards the consensus, the paper's lambda.
        spread: of the noise, the paper's sigma.
    """

    alpha: Annotated[float, Field(gt=0)] = 30.0
    pull: Annotated[float, Field(gt=0)] = 1.0
    spread: Annotated[float, Field(ge=0)] = 2.0


@dataclass(frozen=True)
class Cbo:
    """See the module; a `Search`.

    Args:
        directions: xi, and what the particles start from.
        centre: (n_params,) what the particles start around, weight units.
        scale: standard deviation that they start with, weight units.
        candidates: N.
        options: see `CboOptions`.
    """

    directions: Directions
    centre: Array
    scale: float
    candidates: int
    options: CboOptions

    def begin(self, n_params: int) -> State:
        """The particles (N, n_params), and the consensus about them."""
        drawn = self.directions.at(FIRST, np.arange(self.candidates))
        return {"particles": self.centre + self.scale * drawn}

    def ask(self, theta: Array, state: State, i: int) -> Array:
        """The particles."""
        return state["particles"]

    def tell(
        self, theta: Array, state: State, i: int, candidates: Array, losses: Array, rate: float
    ) -> tuple[Array, State]:
        """The consensus, and the particles moved."""
        consensus = soft_minimum(losses, self.options.alpha) @ candidates
        away = candidates - consensus
        factor: Array = self.directions.at(i, np.arange(self.candidates)) * (self.options.spread * np.sqrt(rate))
        factor += 1.0 - self.options.pull * rate
        factor *= away
        factor += consensus
        return consensus, {"particles": factor}


def soft_minimum(losses: Array, alpha: float) -> Array:
    """Weights (N,) of a mean that favours low losses: exp(-alpha (L - min L) / sd(L)), of sum 1.

    The exponent is in units of the losses' standard deviation, so that ``alpha`` needn't grow as they come closer.
    """
    spread = float(losses.std())
    if spread == 0.0:
        return np.full(len(losses), 1.0 / len(losses))
    weights = np.exp((losses.min() - losses) * (alpha / spread))
    return weights / weights.sum()


def build(settings: Settings, start: Start, options: CboOptions | None = None) -> Programmed:
    """The method; any device that can be programmed will do."""
    start.settings = chosen = settings.only("cbo", ("probes", "scale", "rate", "schedule")).over(DEFAULTS)
    count, scale = known(chosen.probes), known(chosen.scale)
    if count < 2:
        raise ConfigError("probes = 1: a consensus needs at least 2 particles", key="probes")
    parameters = start.device.parameters
    search = Cbo(Directions("gaussian", parameters, start.key), start.theta, scale, count, options or CboOptions())
    reason = f"{count} particles are programmed in turn and drift towards their consensus"
    return Programmed(search, ProgrammedExploration(parameters), rate_of(chosen), reason)
