"""The memory cells: differential pairs of conductances, how they are programmed and how they drift."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwzo.parameters import Array
from hwzo_backends.crossbar.noise import CounterNoise, Stream
from hwzo_backends.crossbar.preset import Curve, Preset

HOLD = 4096  # drift is computed anew once t0 / 4096 has passed: g is then wrong by less than nu / 4096


@dataclass(frozen=True)
class Imperfections:
    """Scales of what is not ideal about the cells; the shapes are the preset's.

    Args:
        programming_sd: curve of programming noise; None if writes are exact.
        programming: factor on it.
        drift: whether conductances drift.
        flicker: factor on the preset's 1/f noise.
        d2d: relative standard deviation of a cell's gain, a property of each device.
        stuck: fraction of the cells that can't be written, half of them at g_min, half at g_max.
    """

    programming_sd: Curve | None
    programming: float
    drift: bool
    flicker: float
    d2d: float
    stuck: float


class Cells:
    """Two cells a parameter: ``g+ = clip(k w, 0) + g_min``, ``g- = clip(-k w, 0) + g_min``,
    ``k = (g_max - g_min) / window``, so that ``w = (g+ - g-) / k``.

    Arrays of shape (2, n) hold g+ in row 0 and g- in row 1, microsiemens.

    Args:
        n: number of parameters.
        window: weight that g_max stands for, weight units.
        preset, imperfections: the physics.
        noise: where the draws come from.
    """

    def __init__(
        self, n: int, window: float, preset: Preset, imperfections: Imperfections, noise: CounterNoise
    ) -> None:
        self._preset, self._imperfections, self._noise = preset, imperfections, noise
        self.k = (preset.g_max - preset.g_min) / window
        self.held: Array = np.zeros(n)  # (n,) what the cells were last programmed to, weight units
        self.programmed: Array = np.zeros((2, n))  # conductance right after programming
        self.nu: Array = np.zeros((2, n))  # drift exponents
        self.written_at: Array = np.zeros(n)  # seconds on the device's clock
        self.weights: Array = np.zeros(n)  # (g+ - g-) / k, as of the last refresh
        self.conductances: Array = np.zeros((2, n))  # likewise
        self.flicker_sd: Array = np.zeros(n)  # Q g / k of the pair, likewise: multiplies `FlickerBands`
        self._flicker_g: Array = np.zeros((2, n))  # Q g at programming
        self._refreshed = -np.inf
        self._gain: Array | None = None
        if imperfections.d2d:
            xi = noise.at(Stream.GAIN, 0).standard_normal((2, n))
            self._gain = np.maximum(1.0 + imperfections.d2d * xi, 0.0)
        self._stuck: NDArray[np.bool_] | None = None
        self._stuck_at: Array = np.zeros(0)
        if imperfections.stuck:
            u = noise.at(Stream.STUCK, 0).random((2, n))
            self._stuck = u < imperfections.stuck
            self._stuck_at = np.where(u < 0.5 * imperfections.stuck, preset.g_min, preset.g_max)

    def target_conductances(self, weights: Array) -> Array:
        """Pairs of target conductances (2, m) of ``weights`` (m,), microsiemens."""
        g = np.empty((2, len(weights)))
        np.multiply(weights, self.k, out=g[0])
        np.negative(g[0], out=g[1])
        np.maximum(g, 0.0, out=g)
        g += self._preset.g_min
        return g

    def write(self, at: slice | NDArray[np.intp], weights: Array, now: float, event: int) -> None:
        """Program the pairs ``at`` (indices, or slice(None) for all) to ``weights``; each with new noise.

        Args:
            at: which.
            weights: (m,) within the window, weight units.
            now: seconds on the device's clock.
            event: number of this write, for the draws.
        """
        preset, imperfections = self._preset, self._imperfections
        g = self.target_conductances(weights)
        nu: Array | None = None
        if imperfections.drift and preset.drift is not None:
            r = g / preset.g_max
            nu = self._noise.at(Stream.DRIFT, event).standard_normal(g.shape)
            nu *= preset.drift.sd(r)
            nu += preset.drift.mean(r)
            np.abs(nu, out=nu)
        if imperfections.programming_sd is not None and imperfections.programming:
            xi = self._noise.at(Stream.PROGRAMMING, event).standard_normal(g.shape)
            xi *= imperfections.programming_sd(g)
            xi *= imperfections.programming
            g += xi
            np.maximum(g, 0.0, out=g)
        if self._stuck is not None:
            stuck = self._stuck[:, at]
            g = np.where(stuck, self._stuck_at[:, at], g)
            if nu is not None:
                nu = np.where(stuck, 0.0, nu)
        self.held[at] = weights
        self.programmed[:, at] = g
        self.written_at[at] = now
        if nu is not None:
            self.nu[:, at] = nu
        if imperfections.flicker and preset.flicker is not None:
            q = preset.flicker.q(g / preset.g_max)
            q *= g
            q *= imperfections.flicker
            self._flicker_g[:, at] = q
        self._refreshed = -np.inf

    def refresh(self, now: float) -> None:
        """Bring ``weights``, ``conductances`` and ``flicker_sd`` up to date."""
        drifts = self._imperfections.drift and self._preset.drift is not None
        if self._refreshed > -np.inf and not (drifts and now - self._refreshed > self._preset.t0 / HOLD):
            return
        self._refreshed = now
        factor: Array | None = self._gain
        if drifts:
            age = (now - self.written_at) / self._preset.t0
            decay = np.exp(self.nu * -np.log1p(age))
            factor = decay if factor is None else factor * decay
        self.conductances = self.programmed * factor if factor is not None else self.programmed.copy()
        self.weights = (self.conductances[0] - self.conductances[1]) / self.k
        if self._imperfections.flicker and self._preset.flicker is not None:
            noisy = self._flicker_g * factor if factor is not None else self._flicker_g
            noisy = noisy * noisy
            self.flicker_sd = np.sqrt(noisy[0] + noisy[1]) / self.k

    def state(self) -> dict[str, Array]:
        """All arrays that writing and time have made, by name."""
        return {
            "held": self.held,
            "programmed": self.programmed,
            "nu": self.nu,
            "written_at": self.written_at,
            "weights": self.weights,
            "conductances": self.conductances,
            "flicker_sd": self.flicker_sd,
            "flicker_g": self._flicker_g,
            "refreshed": np.array(self._refreshed),
        }

    def restore(self, state: dict[str, Array]) -> None:
        """Put back what `state` gave."""
        self.held, self.programmed, self.nu = state["held"], state["programmed"], state["nu"]
        self.written_at, self.weights, self.conductances = state["written_at"], state["weights"], state["conductances"]
        self.flicker_sd, self._flicker_g = state["flicker_sd"], state["flicker_g"]
        self._refreshed = float(state["refreshed"])
