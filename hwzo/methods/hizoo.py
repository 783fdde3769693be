"""HiZOO: a running estimate of the curvature's diagonal scales each parameter. Zhao et al. 2024, https://arxiv.org/abs/2402.15173.

Three evaluations a round, with u standard normal and h the estimate, 1 at the start; by elements::

    L_0 = L(theta),   L+- = L(theta +- c u / sqrt(h))
    h <- (1 - smooth) h + smooth |L+ + L- - 2 L_0| / (2 c^2)  h u^2
    theta <- theta - rate (L+ - L-) / (2c)  u / sqrt(h)

The displacements of a round are those of the h before it, its step is that of the h after it, as in the paper's
algorithm. They are not along a law that a device knows, so the host programs them.

The second difference is of the order of the trace of the Hessian, shared out by h u^2: most of what it does to h is the
same for all parameters, and only slowly does it tell them apart. So ``smooth`` is small; the step shrinks as h grows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
from pydantic import Field

from hwzo.directions import Directions
from hwzo.explore.programmed import ProgrammedExploration
from hwzo.methods.method import Start, State
from hwzo.methods.options import Options
from hwzo.methods.programmed import Programmed
from hwzo.methods.settings import Settings
from hwzo.methods.weight_perturbation import rate_of, scale_of
from hwzo.parameters import Array

DEFAULTS = Settings(rate=0.02, schedule="linear")
NORMAL = np.arange(1)
LEAST, MOST = 1e-6, 1e6
"""Within these the curvature's estimate is kept."""


class HizooOptions(Options):
    """Of HiZOO.

    Args:
        smooth: weight of the newest second difference, the paper's alpha.
    """

    smooth: Annotated[float, Field(gt=0, lt=1)] = 1e-6


@dataclass(frozen=True)
class Hizoo:
    """See the module; a `Search`.

    Args:
        directions: u.
        scale: c, weight units.
        smooth: see `HizooOptions`.
    """

    directions: Directions
    scale: float
    smooth: float
    candidates: int = 3

    def begin(self, n_params: int) -> State:
        """The curvature's estimate."""
        return {"curvature": np.ones(n_params)}

    def ask(self, theta: Array, state: State, i: int) -> Array:
        """Theta, off its bounds if need be, and either side of it."""
        moved = self.directions.at(i, NORMAL)[0] / np.sqrt(state["curvature"])
        moved *= self.scale
        centre = self.directions.spec.inside(theta, np.abs(moved))
        return np.stack([centre, centre + moved, centre - moved])

    def tell(
        self, theta: Array, state: State, i: int, candidates: Array, losses: Array, rate: float
    ) -> tuple[Array, State]:
        """The curvature first, then the step."""
        still, plus, minus = losses.tolist()
        u, h = self.directions.at(i, NORMAL)[0], state["curvature"]
        second = abs(plus + minus - 2.0 * still) / (2.0 * self.scale**2)
        curvature: Array = h * ((1.0 - self.smooth) + (self.smooth * second) * np.square(u))
        np.clip(curvature, LEAST, MOST, out=curvature)
        step = u / np.sqrt(curvature)
        step *= -rate * (plus - minus) / (2.0 * self.scale)
        return theta + step, {"curvature": curvature}


def build(settings: Settings, start: Start, options: HizooOptions | None = None) -> Programmed:
    """The method; any device that can be programmed will do."""
    takes = ("scale", "rate", "schedule")
    chosen = settings.only("hizoo", takes).over(DEFAULTS)
    scale = scale_of(chosen, start, central=True)
    start.settings = replace(chosen, scale=scale)
    parameters = start.device.parameters
    search = Hizoo(Directions("gaussian", parameters, start.key), scale, (options or HizooOptions()).smooth)
    reason = "programmed pairs and an undisplaced reading: slope and curvature along one direction"
    return Programmed(search, ProgrammedExploration(parameters), rate_of(chosen), reason)
