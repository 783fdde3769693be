"""CMA-ES and its separable form, by the package ``cmaes``. Hansen 2016, https://arxiv.org/abs/1604.00772.

A normal distribution is moved, stretched and shrunk by the ranks of its samples' losses. ``cma-es`` learns the whole
covariance matrix: n_params^2 numbers and an eigendecomposition a round, so it is for hundreds of parameters; in a few
thousand evaluations it could not learn the matrix of more anyhow. ``sep-cma`` learns its diagonal (Ros and Hansen 2008,
https://doi.org/10.1007/978-3-540-87700-4_30) and is light. The formulas are the package's (Nomura and Shibata 2024,
https://arxiv.org/abs/2402.01373); its samples are made here, from the run's key, so that a record replays them, and its
state is taken out as arrays, which a checkpoint can hold.

The device is left holding the distribution's mean. Samples outside the bounds are moved to them, and told as such.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from typing import Any

import numpy as np

from hwzo.directions import Directions
from hwzo.errors import CapabilityError, ConfigError
from hwzo.explore.programmed import ProgrammedExploration
from hwzo.extras import extra
from hwzo.methods.method import Start, State
from hwzo.methods.programmed import Programmed
from hwzo.methods.serving import MOST_PARAMETERS, instead
from hwzo.methods.settings import Settings, known
from hwzo.parameters import Array

DEFAULTS = Settings(scale=0.05)
STATE = {"mean": "_mean", "path": "_p_sigma", "covariance path": "_pc", "covariance": "_C"}
NUMBERS = {"sigma": "_sigma", "generation": "_g"}


@dataclass(frozen=True)
class Cma:
    """See the module; a `Search`.

    Args:
        optimiser: a ``cmaes.CMA`` or ``cmaes.SepCMA`` as it begins; never changed.
        directions: standard normal numbers, of which the samples are made.
        scale: standard deviation that the samples start with, weight units.
        candidates: its population.
    """

    optimiser: Any
    directions: Directions
    scale: float
    candidates: int

    def begin(self, n_params: int) -> State:
        """The distribution, and the paths by which its size and shape are adapted."""
        return _state(self.optimiser)

    def ask(self, theta: Array, state: State, i: int) -> Array:
        """A sample each."""
        return state["mean"] + float(state["sigma"][0]) * self._stretched(i, self._at(state))

    def tell(
        self, theta: Array, state: State, i: int, candidates: Array, losses: Array, rate: float
    ) -> tuple[Array, State]:
        """The distribution's new mean, and all of it."""
        optimiser = self._at(state)
        optimiser.tell(list(zip(candidates, losses.tolist(), strict=True)))
        kept = _state(optimiser)
        return kept["mean"], kept

    def _stretched(self, i: int, optimiser: Any) -> Array:  # noqa: ANN401  (the package has no types)
        """Samples (N, n_params) of the distribution, around 0 and of size 1."""
        normal = self.directions.at(i, np.arange(self.candidates))
        roots: Array | tuple[Array, Array] = optimiser._eigen_decomposition()
        if not isinstance(roots, tuple):
            return normal * roots
        axes, sizes = roots
        return np.matmul(normal * sizes, np.transpose(axes))

    def _at(self, state: State) -> Any:  # noqa: ANN401
        """An optimiser in this state; the arrays stay the caller's."""
        optimiser = copy(self.optimiser)
        for name, attribute in STATE.items():
            setattr(optimiser, attribute, state[name].copy())
        optimiser._sigma, optimiser._g = float(state["sigma"][0]), int(state["generation"][0])
        optimiser._D = None
        return optimiser


def _state(optimiser: Any) -> State:  # noqa: ANN401
    arrays = {name: np.array(getattr(optimiser, attribute)) for name, attribute in STATE.items()}
    numbers = {name: np.array([float(getattr(optimiser, attribute))]) for name, attribute in NUMBERS.items()}
    return arrays | numbers


def build(settings: Settings, start: Start) -> Programmed:
    """CMA-ES, for few parameters; any device that can be programmed will do."""
    size = start.device.parameters.size
    if size > MOST_PARAMETERS:
        raise CapabilityError(
            f"method 'cma-es': {start.device.info} has {size:,} parameters, and its covariance matrix would have "
            f"{size * size:,} numbers; it is for {MOST_PARAMETERS:,} parameters at most, 'sep-cma' for more; "
            f"{instead(start.device)}"
        )
    return _build("cma-es", "CMA", settings, start)


def build_separable(settings: Settings, start: Start) -> Programmed:
    """sep-CMA; any device that can be programmed will do."""
    return _build("sep-cma", "SepCMA", settings, start)


def _build(name: str, kind: str, settings: Settings, start: Start) -> Programmed:
    chosen = settings.only(name, ("probes", "scale")).over(DEFAULTS)
    size, scale = start.device.parameters.size, known(chosen.scale)
    if size < 2:
        raise ConfigError(f"method = {name!r} needs 2 parameters at least; {start.device.info} has 1", key="method")
    if chosen.probes is not None and chosen.probes < 4:
        raise ConfigError(f"probes = {chosen.probes}: {name} needs a population of 4 at least", key="probes")
    package = extra("cmaes", f"method {name!r}", of="cma", key="method")
    optimiser = getattr(package, kind)(mean=start.theta.copy(), sigma=scale, population_size=chosen.probes, seed=0)
    count = int(optimiser.population_size)
    start.settings = Settings(probes=count, scale=scale)
    parameters = start.device.parameters
    search = Cma(optimiser, Directions("gaussian", parameters, start.key), scale, count)
    reason = f"{count} samples of a normal distribution are programmed in turn; their ranks move and shape it"
    return Programmed(search, ProgrammedExploration(parameters), lambda t, progress: 1.0, reason)
