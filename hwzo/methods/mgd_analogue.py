"""MGD's analogue algorithm: filters, no differences. McCaughan et al. 2023, https://doi.org/10.1063/5.0157645.

Nothing is ever compared with an undisplaced reading. With the reading as the unit of time dt, C the loss and p the
perturbation that it was read with, c its root mean square::

    H <- tau_hp / (tau_hp + 1) (H + C - C_before)            the high-pass filter of the loss
    G <- (H p / c^2 + tau_theta G) / (1 + tau_theta)         the low-pass filter that integrates the gradient
    theta <- theta - rate G

and theta moves all the time. What the high-pass lets through of a change of samples is noise in G, so tau_hp should be
well below tau_x.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hwzo.explore.sinusoids import PEAK, Sinusoids
from hwzo.methods.method import State
from hwzo.parameters import Array, ParameterSpec


class Source(Protocol):
    """Perturbations of mean square 1."""

    def at(self, readings: NDArray[np.int64]) -> Array:
        """(K, n_params) at some readings (K,)."""
        ...


@dataclass(frozen=True)
class Analogue:
    """See the module; a `Search`.

    Args:
        parameters: of the device; one that stands at a bound is perturbed inwards of it.
        source: of the perturbations.
        scale: c, weight units.
        held: tau_p, readings that a perturbation is held for.
        tau_theta, tau_hp: time constants of the filters, readings.
    """

    parameters: ParameterSpec
    source: Source
    scale: float
    held: int
    tau_theta: float
    tau_hp: float
    candidates: int = 1

    def begin(self, n_params: int) -> State:
        """The filters: G, H and the loss before; NaN before the first."""
        return {"integrated": np.zeros(n_params), "highpassed": np.zeros(1), "before": np.array([np.nan])}

    def ask(self, theta: Array, state: State, i: int) -> Array:
        """The perturbed parameters."""
        moved = self.scale * self._perturbation(i)
        # Sinusoids around one point: how far each swings at the moment goes with the others' harmonics.
        reach = PEAK * self.scale if isinstance(self.source, Sinusoids) else np.abs(moved[0])
        return self.parameters.inside(theta, reach) + moved

    def tell(
        self, theta: Array, state: State, i: int, candidates: Array, losses: Array, rate: float
    ) -> tuple[Array, State]:
        """The filters one reading on, and the parameters."""
        loss, before = float(losses[0]), float(state["before"][0])
        change = 0.0 if np.isnan(before) else loss - before
        highpassed = self.tau_hp / (self.tau_hp + 1.0) * (float(state["highpassed"][0]) + change)
        integrated: Array = state["integrated"] * (self.tau_theta / (1.0 + self.tau_theta))
        integrated += (highpassed / (self.scale * (1.0 + self.tau_theta))) * self._perturbation(i)[0]
        filters = {"integrated": integrated, "highpassed": np.array([highpassed]), "before": np.array([loss])}
        return theta - rate * integrated, filters

    def _perturbation(self, i: int) -> Array:
        return self.source.at(np.array([i // self.held]))
