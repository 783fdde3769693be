"""LOZO: low-rank pairs in a subspace that is kept for a while. Chen et al., ICLR 2025, https://arxiv.org/abs/2410.07698.

Of each weight matrix (N, M) the displacement is c U V^T / sqrt(rank), with U (N, rank) drawn anew for each pair and
V (M, rank) only every ``hold`` steps, all standard normal, so that steps add up within one row space; other tensors are
displaced by plain normal numbers. Each element has variance c^2. Then::

    theta <- theta - rate  mean over the pairs of  (L+ - L-) / (2 c^2)  D

The directions are of no law that a device knows, so the host programs them. For rank one and nothing kept, directions
that a device makes itself do the same: method ``eggroll``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
from pydantic import Field

from hwzo.directions import Directions
from hwzo.explore.programmed import ProgrammedExploration, pairs
from hwzo.explore.weights import check_pairs
from hwzo.methods.method import Start, State
from hwzo.methods.options import Options
from hwzo.methods.programmed import Programmed
from hwzo.methods.settings import Settings, known
from hwzo.methods.weight_perturbation import rate_of, scale_of, update_of
from hwzo.parameters import Array, ParameterSpec, TensorSpec
from hwzo.update import UpdateRule

DEFAULTS = Settings(probes=2, update="sgd", rate=0.02, schedule="linear")
ROWS = 2**31
"""Counter of the numbers that V is made of; those of U are below it."""


class LozoOptions(Options):
    """Of LOZO.

    Args:
        rank: of each matrix's displacement.
        hold: rounds that V is kept for, the paper's nu.
    """

    rank: Annotated[int, Field(ge=1)] = 2
    hold: Annotated[int, Field(ge=1)] = 50


@dataclass(frozen=True)
class LowRank:
    """Low-rank directions, regenerated from the run's key.

    Args:
        parameters: of the device.
        columns, rows: make the numbers of U (and of tensors that are no matrices), and of V.
        rank, hold: see `LozoOptions`.
    """

    parameters: ParameterSpec
    columns: Directions
    rows: Directions
    rank: int
    hold: int

    @classmethod
    def of(cls, parameters: ParameterSpec, key: int, rank: int, hold: int) -> LowRank:
        """For a device's parameters and a run's key."""
        drawn = {t.name: t.shape[0] * rank if len(t.shape) == 2 else t.size for t in parameters.tensors}
        kept = sum(t.shape[1] * rank for t in parameters.tensors if len(t.shape) == 2)
        columns = ParameterSpec(tuple(TensorSpec(name, (size,)) for name, size in drawn.items()))
        rows = ParameterSpec((TensorSpec("rows", (max(kept, 1),)),))
        return cls(parameters, Directions("gaussian", columns, key), Directions("gaussian", rows, key), rank, hold)

    def at(self, i: int, pairs: int) -> Array:
        """The directions of round i, (pairs, n_params), each element of variance 1."""
        drawn = self.columns.at(i, np.arange(pairs))
        rows = self.rows.at(i // self.hold, np.array([ROWS]))[0]
        directions = np.empty((pairs, self.parameters.size))
        taken = placed = kept = 0
        for tensor in self.parameters.tensors:
            target = directions[:, placed : placed + tensor.size]
            if len(tensor.shape) == 2:
                n, m = tensor.shape
                u = drawn[:, taken : taken + n * self.rank].reshape(pairs, n, self.rank)
                v = rows[kept : kept + m * self.rank].reshape(self.rank, m)
                np.divide(u @ v, np.sqrt(self.rank), out=target.reshape(pairs, n, m))
                taken, kept = taken + n * self.rank, kept + m * self.rank
            else:
                target[...] = drawn[:, taken : taken + tensor.size]
                taken += tensor.size
            placed += tensor.size
        return directions


@dataclass(frozen=True)
class Lozo:
    """See the module; a `Search`.

    Args:
        directions: of the pairs.
        scale: c, weight units.
        candidates: two for each pair.
        update: turns the estimate into a step.
    """

    directions: LowRank
    scale: float
    candidates: int
    update: UpdateRule

    def begin(self, n_params: int) -> State:
        """State of the update rule."""
        return self.update.init(n_params)

    def ask(self, theta: Array, state: State, i: int) -> Array:
        """Pairs, either side of theta."""
        moved = self.scale * self.directions.at(i, self.candidates // 2)
        return pairs(self.directions.parameters, theta, moved)

    def tell(
        self, theta: Array, state: State, i: int, candidates: Array, losses: Array, rate: float
    ) -> tuple[Array, State]:
        """A step down the estimate, with the displacements as they could be programmed."""
        halves = 0.5 * (candidates[0::2] - candidates[1::2])
        slopes = (losses[0::2] - losses[1::2]) / (2.0 * len(halves) * self.scale**2)
        state, step = self.update.step(state, slopes @ halves, rate)
        return theta + step, state


def build(settings: Settings, start: Start, options: LozoOptions | None = None) -> Programmed:
    """The method; any device that can be programmed will do."""
    takes = ("probes", "scale", "update", "rate", "schedule")
    chosen = settings.only("lozo", takes).over(DEFAULTS)
    probes = known(chosen.probes)
    check_pairs(probes)
    scale = scale_of(chosen, start, central=True)
    start.settings = replace(chosen, scale=scale)
    parameters, options = start.device.parameters, options or LozoOptions()
    directions = LowRank.of(parameters, start.key, options.rank, options.hold)
    search = Lozo(directions, scale, probes, update_of(chosen))
    reason = f"programmed pairs of rank {options.rank}, in a row space that is kept for {options.hold} steps"
    return Programmed(search, ProgrammedExploration(parameters), rate_of(chosen), reason)
