"""RESZO: one reading a step, and a regression on those before it. Chen and Ren 2025, https://arxiv.org/abs/2507.04223.

Each round reads the loss at one displaced point x_i = theta + c z_i and fits a plane to the last ``memory`` points, by
ridge regression solved in the points instead of the parameters; its slope is the estimate::

    g = Xc^T (Xc Xc^T + damping tr / m I)^-1 Lc,        Xc, Lc the points and losses less their means

The paper's linear variant makes the plane pass through the newest point; here each minibatch has an intercept of its
own (Xc and Lc are less the means of those read with the same samples), since the losses of other samples are other
losses. As in `hwzo.estimate.least_squares`, with fewer points than parameters the slope is the gradient's projection on
the points' span, shrunk by about memory / n_params. Points grow old: with steps that are large beside c, a longer
memory is no longer better. The host solves a system of ``memory`` equations for each reading.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
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
from hwzo.methods.weight_perturbation import check_counted, rate_of, scale_of, update_of
from hwzo.parameters import Array
from hwzo.update import UpdateRule

DEFAULTS = Settings(probes=16, law="rademacher", update="normalised-momentum", rate=0.004, schedule="linear")
FIRST = np.arange(1)
DAMPING = 1e-2
ROUNDING = 1e-13
"""Of the points' mean square, what may be left of equal points."""


class ReszoOptions(Options):
    """Of RESZO.

    Args:
        memory: how many points the regression is on.
    """

    memory: Annotated[int, Field(ge=2, le=10_000)] = 64


@dataclass(frozen=True)
class Reszo:
    """See the module; a `Search`.

    Args:
        directions: of the displacements.
        scale: c, weight units.
        memory: see `ReszoOptions`.
        together: rounds with the same samples.
        update: turns the slope into a step.
    """

    directions: Directions
    scale: float
    memory: int
    together: int
    update: UpdateRule
    candidates: int = 1

    def begin(self, n_params: int) -> State:
        """The points, their losses and inner products in a ring, and the update rule's state."""
        m = self.memory
        ring = {"points": np.zeros((m, n_params)), "losses": np.zeros(m), "products": np.zeros((m, m))}
        return ring | {"samples": np.zeros(m), "rounds": np.zeros(1)} | self.update.init(n_params)

    def ask(self, theta: Array, state: State, i: int) -> Array:
        """One displaced point."""
        return theta + self.scale * self.directions.at(i, FIRST)

    def tell(
        self, theta: Array, state: State, i: int, candidates: Array, losses: Array, rate: float
    ) -> tuple[Array, State]:
        """The slope of the plane, and a step down it; the ring is changed in place, as it is the largest thing here."""
        rounds = int(state["rounds"][0])
        slot, count = rounds % self.memory, min(rounds + 1, self.memory)
        points, seen, products, samples = (state[name] for name in ("points", "losses", "products", "samples"))
        points[slot], seen[slot], samples[slot] = candidates[0], losses[0], i // self.together
        inner = points[:count] @ candidates[0]
        products[slot, :count] = products[:count, slot] = inner
        state = state | {"rounds": np.array([rounds + 1.0])}
        if count < 2:
            return theta, state
        slope = weights_of(products[:count, :count], seen[:count], samples[:count]) @ points[:count]
        rule, step = self.update.step(state, slope, rate)
        return theta + step, state | rule


def weights_of(products: Array, losses: Array, samples: Array) -> Array:
    """Weights (m,) of the points, whose weighted sum is the slope of the planes; 0 if there is none.

    Args:
        products: (m, m), the points' inner products, from any origin.
        losses: (m,).
        samples: (m,) number of the minibatch that each was read with.
    """
    # An intercept for each group makes its points' weights sum to 0: with the intercepts as unknowns it is one system.
    m, first = len(losses), samples.min()
    groups = first + np.flatnonzero(np.bincount((samples - first).astype(np.int64)))
    member: Array = (samples[:, None] == groups).astype(np.float64)
    total = float(products.trace())
    about_means = total - float(np.add.reduce(np.einsum("ik,ik->k", member, products @ member) / member.sum(axis=0)))
    if not about_means > ROUNDING * total:
        return np.zeros_like(losses)
    size = m + len(groups)
    system, known = np.zeros((size, size)), np.zeros(size)
    system[:m, :m], known[:m] = products, losses
    system[:m, m:], system[m:, :m] = member, np.transpose(member)
    system.flat[: m * size : size + 1] += DAMPING * about_means / m
    solved: Array = np.linalg.solve(system, known).astype(np.float64, copy=False)
    return solved[:m]


def build(settings: Settings, start: Start, options: ReszoOptions | None = None) -> Programmed:
    """The method; any device that can be programmed will do."""
    takes = ("probes", "scale", "law", "update", "rate", "schedule")
    chosen = settings.only("reszo", takes).over(DEFAULTS)
    if chosen.probes == 1:
        raise ConfigError("probes = 1: a plane needs at least 2 readings of the same samples", key="probes")
    check_counted(chosen.law)
    scale = scale_of(chosen, start, central=False)
    start.settings = replace(chosen, scale=scale)
    parameters, memory = start.device.parameters, (options or ReszoOptions()).memory
    directions, rounds = Directions(known(chosen.law), parameters, start.key), known(chosen.probes)
    search = Reszo(directions, scale, memory, rounds, update_of(chosen))
    reason = f"one programmed displacement a round, and a regression on the last {memory}"
    return Programmed(search, ProgrammedExploration(parameters), rate_of(chosen), reason, rounds=rounds)
