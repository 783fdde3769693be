"""The memory cells: differential pairs of conductances, how they are programmed and how they age."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from hwzo.parameters import Array
from hwzo_backends.crossbar.noise import NoiseSource, Stream
from hwzo_backends.crossbar.preset import Curve, Preset

# Cells are aged anew once the youngest one's age has grown by such a part: drift is then wrong by less than nu / 4096,
# relaxation by less than 1/256 of what it does in e-fold time; either is some 1e-5 of the window.
DRIFT_HOLD, RELAXATION_HOLD = 4096, 256
BOLTZMANN = 8.617333262e-5  # eV / K
T_REF = 300.0  # kelvin; the temperature that presets are for

Float32Array = NDArray[np.float32]


@dataclass(frozen=True)
class Imperfections:
    """Scales of what is not ideal about the cells; the shapes are the preset's.

    Args:
        programming_sd: curve of programming noise; None if writes are exact.
        programming: factor on what is drawn at a write: programming noise and the spread of relaxation.
        drift: whether conductances drift and relax.
        flicker: factor on the preset's 1/f noise.
        d2d: relative standard deviation of a cell's gain, a property of each device.
        stuck: fraction of the cells that can't be written, half of them at g_min, half at g_max.
        read_noise: white noise of a cell in each read, sd as a fraction of g_max.
        iv: whether the preset's nonlinear current-voltage curve counts.
        temperature_k: kelvin. By Arrhenius' law drift and relaxation run exp(-E_d / k_B (1/T - 1/300 K)) times as fast,
            conductances are exp(-E_g / k_B (1/T - 1/300 K)) times as large.
        attenuate: gives factors (2, n) on the currents of cells whose conductances are (2, n): the drop along wires.
        endurance: writes of a pair after which it can't be changed any more; 0 is never.
    """

    programming_sd: Curve | None
    programming: float
    drift: bool
    flicker: float
    d2d: float
    stuck: float
    read_noise: float = 0.0
    iv: bool = True
    temperature_k: float = T_REF
    attenuate: Callable[[Array], Array] | None = None
    endurance: int = 0


def arrhenius(energy_ev: float, temperature_k: float) -> float:
    """``exp(-E / k_B (1/T - 1/T_ref))``: how much faster or larger at T than at 300 K."""
    return float(np.exp(-energy_ev / BOLTZMANN * (1.0 / temperature_k - 1.0 / T_REF)))


def _single(values: Array) -> Array:
    """The same in single precision, enough for the size of noise, and twice as fast."""
    return cast(Array, values.astype(np.float32))


def _pair(positive: NDArray[np.bool_], active: Array, rest: Array) -> Array:
    """(2, m): ``active`` (m,) for the cell that holds a weight, ``rest`` (m,) or (1,) for the one that doesn't."""
    pair = np.empty((2, len(positive)), dtype=active.dtype)
    above = active - rest
    # Products are several times as fast as a choice at random places.
    np.multiply(above, positive, out=pair[0])
    np.multiply(above, ~positive, out=pair[1])
    pair += rest
    return pair


class Cells:
    """Two cells a parameter: ``g+ = clip(k w, 0) + g_min``, ``g- = clip(-k w, 0) + g_min``,
    ``k = (g_max - g_min) / window``, so that ``w = (g+ - g-) / k``.

    Arrays of shape (2, n) hold g+ in row 0 and g- in row 1, microsiemens. What varies in time is as of the last
    `refresh`. With an input x in [-1, 1], the DAC's full scale, a pair adds ``w x + second x^2 + third x^3`` to its
    column: ``second = (s(g+) - s(g-)) v_read / k``, ``third = (t(g+) - t(g-)) v_read^2 / k``, see `preset.IV`.

    Args:
        n: number of parameters.
        window: weight that g_max stands for, weight units.
        preset, imperfections: the physics.
        noise: where the draws come from.
    """

    def __init__(self, n: int, window: float, preset: Preset, imperfections: Imperfections, noise: NoiseSource) -> None:
        self._preset, self._imperfections, self._noise = preset, imperfections, noise
        self.k = (preset.g_max - preset.g_min) / window
        self.held: Array = np.zeros(n)  # (n,) what was last asked of the cells, weight units
        self.programmed: Array = np.zeros((2, n))  # conductance right after programming
        self.nu: Float32Array = np.zeros((2, n), dtype=np.float32)  # drift exponents
        self.written_at: Array = np.zeros(n)  # seconds on the device's clock
        self.writes: NDArray[np.int64] = np.zeros(n, dtype=np.int64)  # of each pair, after the one that makes the chip
        self.weights: Array = np.zeros(n)  # (g+ - g-) / k
        self.conductances: Array = np.zeros((2, n))
        self.flicker_sd: Array = np.zeros(n)  # Q g / k of the pair: multiplies `FlickerBands`
        self.white_variance: Array | None = None  # (n,) of a weight's noise that is new in every read, weight units^2
        self.second: Array | None = None  # (n,) coefficients of x^2 and x^3, weight units
        self.third: Array | None = None
        self.fresh_until = -np.inf  # seconds on the device's clock up to which all this holds

        fits, law = preset.fits, preset.relaxation
        aging = imperfections.drift
        self._drift = preset.drift if aging else None
        replaced = law is not None and law.replaces is not None
        # A fit that is known at one time only doesn't relax: see `preset.Relaxation`.
        one_time = law is not None and replaced and imperfections.programming_sd is not fits.get(law.replaces or "")
        self._relaxation = law if aging and not one_time else None
        self._flicker = preset.flicker if imperfections.flicker else None
        self._iv = preset.iv if imperfections.iv else None
        self._pace = arrhenius(preset.drift_ev, imperfections.temperature_k)
        self._scale = arrhenius(preset.conductance_ev, imperfections.temperature_k)
        self._q: Float32Array = np.zeros((2, n) if self._flicker else (2, 0), dtype=np.float32)  # Q at programming
        relaxing = n if self._relaxation else 0
        self._aim: Array = np.zeros(relaxing)  # weights that the cells were really programmed to, and what was drawn
        self._xi: Float32Array = np.zeros((2, relaxing), dtype=np.float32)
        self._rest = np.array([preset.g_min])
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

    # --- writing ---

    def write(self, at: slice | NDArray[np.intp], weights: Array, now: float, event: int) -> int:
        """Program the pairs ``at`` (indices, or slice(None) for all) to ``weights``; each with new noise.

        A pair that is worn out stays as it is; it is pulsed, and paid for, all the same.

        Args:
            at: which.
            weights: (m,) within the window, weight units.
            now: seconds on the device's clock, when the write begins; it takes ``t_write`` a cell.
            event: number of this write, for the draws; 0 is the one that makes the chip, which wears nothing.

        Returns:
            The number of cells written, 2 a pair.
        """
        n_cells = 2 * len(weights)
        self.held[at] = weights
        endurance = self._imperfections.endurance
        if endurance and (self.writes[at] >= endurance).any():
            fit = self.writes[at] < endurance
            at, weights = np.arange(len(self.held))[at][fit], weights[fit]
        if event:
            self.writes[at] += 1
        if len(weights):
            self._program(at, weights, event)
            self.written_at[at] = now + n_cells * self._preset.t_write
            self.fresh_until = -np.inf
        return n_cells

    def target_conductances(self, weights: Array) -> Array:
        """Pairs of target conductances (2, m) of ``weights`` (m,), microsiemens."""
        g = np.empty((2, len(weights)))
        np.multiply(weights, self.k, out=g[0])
        np.negative(g[0], out=g[1])
        np.maximum(g, 0.0, out=g)
        g += self._preset.g_min
        return g

    def _program(self, at: slice | NDArray[np.intp], weights: Array, event: int) -> None:
        preset, imperfections = self._preset, self._imperfections
        positive = weights >= 0
        g = self.target_conductances(weights)
        active, rest = _single(self._active(weights)), _single(self._rest)
        if self._drift is not None:
            r, r_rest = active / preset.g_max, rest / preset.g_max
            nu = self._noise.at(Stream.DRIFT, event).standard_normal(g.shape, dtype=np.float32)
            nu *= _pair(positive, self._drift.sd(r), self._drift.sd(r_rest))
            nu += _pair(positive, self._drift.mean(r), self._drift.mean(r_rest))
            np.abs(nu, out=nu)
            if self._stuck is not None:
                nu[self._stuck[:, at]] = 0.0
            self.nu[:, at] = nu
        curve = imperfections.programming_sd if imperfections.programming else None
        if curve is not None or self._relaxation is not None:
            draws = self._noise.at(Stream.PROGRAMMING, event)
            xi: Float32Array = draws.standard_normal(g.shape, dtype=np.float32)
            if curve is not None:
                noise = _pair(positive, curve(active), curve(rest))
                noise *= imperfections.programming
                noise *= xi
                g += noise
            if self._relaxation is not None:
                own = self._relaxation.replaces is None  # a draw of its own, not the one of programming noise
                self._aim[at] = weights
                self._xi[:, at] = draws.standard_normal(g.shape, dtype=np.float32) if own else xi
        self._limit(g)
        if self._stuck is not None:
            g = np.where(self._stuck[:, at], self._stuck_at[:, at], g)
        self.programmed[:, at] = g
        if self._flicker is not None:
            q = self._flicker.q(_single(g) / preset.g_max)
            self._q[:, at] = q * imperfections.flicker

    def _active(self, weights: Array) -> Array:
        """Target conductances (m,) of those cells of the pairs that hold the weights. The others rest at g_min: a law
        of the target need not be evaluated for each of them."""
        active = np.abs(weights)
        active *= self.k
        active += self._preset.g_min
        return active

    def _limit(self, g: Array) -> None:
        low, high = self._preset.limits
        np.maximum(g, low, out=g)
        if high < np.inf:
            np.minimum(g, high, out=g)

    # --- in time ---

    def refresh(self, now: float) -> None:
        """Bring `weights`, `conductances`, `flicker_sd`, `white_variance`, `second` and `third` up to date."""
        if now <= self.fresh_until:
            return
        preset, imperfections = self._preset, self._imperfections
        self.fresh_until = np.inf
        g = cast(Array, self.programmed.copy())
        if self._drift is not None or self._relaxation is not None:
            g = self._aged(g, now)
            youngest = preset.t0 / self._pace + now - float(self.written_at.max())
            self.fresh_until = now + youngest / (DRIFT_HOLD if self._drift is not None else RELAXATION_HOLD)
        if self._gain is not None:
            g *= self._gain
        if self._scale != 1.0:
            g *= self._scale
        factors = imperfections.attenuate(g) if imperfections.attenuate is not None else None
        self._derive(g, factors)
        if factors is not None:
            g *= factors
        self.conductances = g
        self.weights = (g[0] - g[1]) / self.k
        if self._flicker is not None:
            noisy = np.square(self._q * g)
            self.flicker_sd = np.sqrt(noisy[0] + noisy[1]) / self.k

    def _aged(self, g: Array, now: float) -> Array:
        preset, law = self._preset, self._relaxation
        age = preset.t0 + (now - self.written_at) * self._pace
        if (age == age[0]).all():
            age = age[:1]  # all written together: its logarithm is taken once
        if law is not None:
            positive, active = self._aim >= 0, self._active(self._aim)
            moved = _pair(positive, law.sd(active, age), law.sd(self._rest, age))
            moved *= self._xi
            moved *= self._imperfections.programming
            moved += _pair(positive, law.mean(active, age), law.mean(self._rest, age))
            moved += g if law.replaces is None else self.target_conductances(self._aim)
            self._limit(moved)
            g = moved if self._stuck is None else np.where(self._stuck, self._stuck_at, moved)
        if self._drift is not None:
            exponent = -np.log(_single(age / preset.t0))
            g *= np.exp(self.nu * exponent)
        return g

    def _derive(self, g: Array, factors: Array | None) -> None:
        """White noise and nonlinear currents of conductances (2, n); ``factors``: what the wires leave of currents."""
        preset = self._preset
        uniform = (self._imperfections.read_noise * preset.g_max) ** 2
        if preset.read_sd is not None or uniform:
            variance = np.full(g.shape, uniform)
            if preset.read_sd is not None:
                variance += np.square(preset.read_sd(g))
            if factors is not None:
                variance *= np.square(factors)
            self.white_variance = (variance[0] + variance[1]) / self.k**2
        if self._iv is not None:
            second, third = self._iv.second(g), self._iv.third(g)
            if factors is not None:
                second, third = second * factors, third * factors
            self.second = (second[0] - second[1]) * (self._iv.v_read / self.k)
            self.third = (third[0] - third[1]) * (self._iv.v_read**2 / self.k)

    # --- state ---

    def state(self) -> dict[str, NDArray[Any]]:
        """All arrays that writing and time have made, by name."""
        arrays: dict[str, NDArray[Any]] = {
            "held": self.held,
            "programmed": self.programmed,
            "nu": self.nu,
            "written_at": self.written_at,
            "writes": self.writes,
            "weights": self.weights,
            "conductances": self.conductances,
            "flicker_sd": self.flicker_sd,
            "flicker_q": self._q,
            "aim": self._aim,
            "xi": self._xi,
            "fresh_until": np.array(self.fresh_until),
        }
        latest = {"white_variance": self.white_variance, "second": self.second, "third": self.third}
        return arrays | {name: array for name, array in latest.items() if array is not None}

    def restore(self, state: dict[str, NDArray[Any]]) -> None:
        """Put back what `state` gave."""
        self.held, self.programmed, self.nu = state["held"], state["programmed"], state["nu"]
        self.written_at, self.writes = state["written_at"], state["writes"]
        self.weights, self.conductances = state["weights"], state["conductances"]
        self.flicker_sd, self._q = state["flicker_sd"], state["flicker_q"]
        self._aim, self._xi = state["aim"], state["xi"]
        self.white_variance, self.second = state.get("white_variance"), state.get("second")
        self.third = state.get("third")
        self.fresh_until = float(state["fresh_until"])
