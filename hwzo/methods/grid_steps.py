"""Steps that a board replays: each is ``sum_k coefficient_k direction_k``, on the grid that the board's integers are.

A board that is told (counter, coefficient) makes the step itself, in a few bytes. Host and board agree to the last bit
only if nothing is left to round: so the coefficients are rounded to the parameters' resolution before the step is made,
not the parameters after it. Rounding is stochastic, up with a probability equal to what lies above the lower grid point
(Croci et al., "Stochastic rounding", R. Soc. Open Sci. 9, 211631, 2022), so that the step is right on average, however
small a coefficient is beside the grid; rounding to the nearest would stop learning once coefficients fall below half of
a grid point. It is drawn from the run's own key, by (step, counter), hence the same whenever the step is made again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwzo.explore.evidence import Evidence
from hwzo.methods.seed_steps import SeedSteps
from hwzo.parameters import Array, ParameterSpec
from hwzo.philox import philox4x32
from hwzo.probes import Law

STREAM = 32
"""Of Philox, for rounding; see `hwzo.philox` for the others."""
SIGNS: tuple[Law, ...] = ("rademacher", "rank1-sign")
"""Laws whose elements are +-1: a coefficient on the grid moves every parameter by grid points."""
UNITS: tuple[Law, ...] = (*SIGNS, "walsh", "sparse", "coordinate")
"""Laws whose elements are 0 or +-1: a scale on the grid displaces by grid points."""


def resolution_of(parameters: ParameterSpec) -> float:
    """The grid that all parameters share, weight units; 0 if they are continuous or their grids differ."""
    steps = {tensor.resolution for tensor in parameters.tensors}
    return steps.pop() if len(steps) == 1 else 0.0


@dataclass(frozen=True)
class GridSteps(SeedSteps):
    """Steps along sign directions, by whole grid points.

    Args:
        directions: what the coefficients belong to.
        resolution: of all parameters, weight units.
    """

    resolution: float

    def coefficients(
        self, evidence: Evidence, estimate: Callable[[Evidence], Array], t: int, rate: float
    ) -> tuple[NDArray[np.int64], Array]:
        """What step t adds of each direction, see `SeedSteps.coefficients`; coefficients are on the grid."""
        counters, coefficients = super().coefficients(evidence, estimate, t, rate)
        wanted = coefficients / self.resolution
        return counters, np.floor(wanted + self._uniform(t, counters)) * self.resolution

    def stepped(self, theta: Array, t: int, counters: NDArray[np.int64], coefficients: Array) -> Array:
        """Theta (n_params,) after step t: rounded to the grid if it isn't on it, moved, and at last kept in bounds."""
        spec = self.directions.spec
        moved = self.nearest(theta) + coefficients @ self.directions.at(t, counters)
        return spec.clip(moved)

    def nearest(self, values: Array) -> Array:
        """The nearest grid points (of a theta within bounds that lie on the grid, within them too)."""
        return np.round(values / self.resolution) * self.resolution

    def _uniform(self, t: int, counters: NDArray[np.int64]) -> Array:
        """A number in (0, 1) for each coefficient (K,)."""
        words = np.zeros((len(counters), 4), dtype=np.uint32)
        words[:, 1], words[:, 2], words[:, 3] = t, counters, STREAM
        return (philox4x32(words, self.directions.key)[:, 0].astype(np.float64) + 0.5) * 2.0**-32
