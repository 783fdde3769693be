"""Memory cells that are programmed by trains of pulses: what `Cells` is to cells that are written to a target."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwzo.parameters import Array
from hwzo_backends.crossbar.cells import T_REF, arrhenius
from hwzo_backends.crossbar.noise import Draws, NoiseSource, Stream
from hwzo_backends.crossbar.preset import Preset
from hwzo_backends.crossbar.pulses import PulseDevice
from hwzo_backends.crossbar.steps import Devices

HOLD = 4096  # decay is computed anew once lifetime / 4096 has passed: a weight is then wrong by less than 1 / 4096

_CHUNK = 8192  # cells whose pulses are sent together: few enough for the cache
_UNLIMITED = np.iinfo(np.int64).max


@dataclass(frozen=True)
class PulsedImperfections:
    """How the cells are programmed, and factors on what is not ideal about them; the shapes are the preset's.

    Args:
        verify: at most so many rounds of reading a cell and sending it what is missing; 0 is open loop.
        read_error: standard deviation of such a reading, weight units.
        endurance: pulses after which a cell stops moving, for ever; 0 for no limit.
        c2c: factor on the noise of each pulse and on write noise.
        d2d: factor on all spreads between devices.
        stuck: fraction of the cells that can't be written, half of them at their lower bound, half at the upper.
        corrupt: whether the share of devices that the source found not to move doesn't; those lie near 0.
        read_noise: white noise of a cell in each read, sd as a fraction of g_max.
        temperature_k: kelvin; conductances change as in `Cells`, steps and decay don't, since no source says how.
        attenuate: gives factors (2, n) on the currents of cells whose conductances are (2, n): the drop along wires.
            Whoever programs reads cells one at a time, without it.
    """

    verify: int = 5
    read_error: float = 0.0
    endurance: int = 0
    c2c: float = 1.0
    d2d: float = 1.0
    stuck: float = 0.0
    corrupt: bool = False
    read_noise: float = 0.0
    temperature_k: float = T_REF
    attenuate: Callable[[Array], Array] | None = None


class PulsedCells:
    """One pulsed device a parameter, see `PulseDevice`.

    The preset's device units are scaled by ``window / min(|w_min|, w_max)``, so that the mean device covers the window.
    A device's own bounds may be narrower: weights beyond them can't be reached, and that is physics. They may be wider,
    and noise may take a weight there.

    The source's weight is a difference of two conductances. Here they are, as in `Cells`,
    ``g+ = max(k w, 0) + g_min`` and ``g- = max(-k w, 0) + g_min``, ``k = (g_max - g_min) / window``: the smallest pair
    that makes the weight. Telegraph noise and wires see these.

    Closed loop: each of up to ``verify`` rounds reads the cells that aren't yet known to be right, and sends
    ``round(|target - reading| / dw_min)`` pulses to each. A cell is right once it reads within half a step, or within
    half the sd of write noise where that is more: each train draws that noise anew, so chasing less than it would take
    most cells away again. Open loop: as many pulses as the difference to what was last asked for is worth, rounded up
    or down at random so that it is right on average. The mean device's constants are all that is known to whoever
    programs.

    Args:
        n: number of parameters.
        window: weights lie in [-window, window].
        preset: the physics; its ``pulses`` is set.
        imperfections: factors on it.
        noise: where the draws come from.
    """

    def __init__(
        self, n: int, window: float, preset: Preset, imperfections: PulsedImperfections, noise: NoiseSource
    ) -> None:
        if preset.pulses is None:
            raise ValueError(f"preset {preset.name} isn't programmed by pulses")
        device = preset.pulses
        self._preset, self._imperfections, self._noise = preset, imperfections, noise
        self._device: PulseDevice = device
        self._scale = window / min(-device.w_min, device.w_max)  # weight units a device unit
        self.k = (preset.g_max - preset.g_min) / window
        self._devices: Devices = device.draw(n, noise.at(Stream.DEVICE, 0), imperfections.d2d)
        low, high = self._devices.bound
        self._hidden: Array = np.clip(self._devices.reference, low, high)  # device's own, at `_written_at`
        self._movable: NDArray[np.int64] = np.full(n, imperfections.endurance or _UNLIMITED)  # pulses that move it
        self._stick(low, high)
        # A reading is off by this until the next train of pulses; device units.
        self._offset: Array = self._write_noise_sd * noise.at(Stream.WRITE_NOISE, 0).standard_normal(n)
        self._offset[self._movable == 0] = 0.0
        self._written_at: Array = np.zeros(n)  # seconds on the device's clock
        self.held: Array = np.zeros(n)  # (n,) what was last asked for, weight units
        self.pulses: NDArray[np.int64] = np.zeros(n, dtype=np.int64)  # (n,) sent to each cell so far
        self.weights: Array = np.zeros(n)  # (n,) apparent weights, as of the last refresh
        self.conductances: Array = np.zeros((2, n))  # likewise, microsiemens
        self.flicker_sd: Array = np.zeros(n)
        self.white_variance: Array | None = None  # (n,) of a weight's noise that is new in every read, weight units^2
        self.second: Array | None = None  # currents are proportional to voltages
        self.third: Array | None = None
        self.fresh_until = -np.inf  # seconds on the device's clock up to which all this holds
        self._hotter = arrhenius(preset.conductance_ev, imperfections.temperature_k)

    @property
    def _write_noise_sd(self) -> float:
        return self._device.write_noise * self._device.dw_min * self._imperfections.c2c

    def _stick(self, low: Array, high: Array) -> None:
        """Draw the cells that never move, and where they are."""
        imperfections, device = self._imperfections, self._device
        rng = self._noise.at(Stream.STUCK, 0)
        n = len(self._hidden)
        if imperfections.corrupt and device.corrupt:
            fixed = rng.random(n) < device.corrupt
            anywhere = device.corrupt_range * (2.0 * rng.random(n) - 1.0)
            self._hidden[fixed] = np.clip(anywhere, low, high)[fixed]
            self._movable[fixed] = 0
        if imperfections.stuck:
            u = rng.random(n)
            fixed = u < imperfections.stuck
            self._hidden[fixed] = np.where(u < 0.5 * imperfections.stuck, low, high)[fixed]
            self._movable[fixed] = 0

    # --- writing ---

    def write(self, at: slice | NDArray[np.intp], weights: Array, now: float, event: int) -> int:
        """Program the cells ``at`` (distinct indices, or slice(None) for all) to ``weights``; returns pulses sent.

        Args:
            at: which.
            weights: (m,) within the window, weight units.
            now: seconds on the device's clock.
            event: number of this write, for the draws.
        """
        cells = np.arange(len(self.held))[at] if isinstance(at, slice) else at
        self._let_decay(cells, now)
        # One stream for all draws of an event, in a fixed order: generators of a `NoiseSource` can't be interleaved.
        rng = self._noise.at(Stream.PULSES, event)
        target = weights / self._scale
        asked_before = self.held[cells] / self._scale
        self.held[cells] = weights
        self.fresh_until = -np.inf
        dw = self._device.dw_min
        most = int(np.ceil(self._device.states))
        if self._imperfections.verify == 0:
            change = (target - asked_before) / dw
            counts = np.floor(np.abs(change) + rng.random(len(cells)))
            return self._send(cells, np.minimum(counts, most).astype(np.int64), change > 0, rng)
        sent = 0
        error_sd = self._imperfections.read_error / self._scale
        accepted = 0.5 * max(dw, self._write_noise_sd)
        for _ in range(self._imperfections.verify):
            error = target - self._apparent(cells, self._hidden[cells])
            if error_sd:
                error += error_sd * rng.standard_normal(len(cells))
            counts = np.minimum(np.rint(np.abs(error) / dw), most).astype(np.int64)
            wrong = (counts > 0) & (np.abs(error) > accepted)
            cells, target = cells[wrong], target[wrong]
            if not len(cells):
                break
            sent += self._send(cells, counts[wrong], error[wrong] > 0, rng)
        return sent

    def _send(self, cells: NDArray[np.intp], counts: NDArray[np.int64], up: NDArray[np.bool_], rng: Draws) -> int:
        """Send a train to each of these cells; cells that are worn or stuck get theirs in vain."""
        moving = np.clip(self._movable[cells] - self.pulses[cells], 0, counts)
        self.pulses[cells] += counts
        for direction in (False, True):
            mine = np.flatnonzero((up == direction) & (moving > 0))
            mine = mine[np.argsort(-moving[mine], kind="stable")]
            for start in range(0, len(mine), _CHUNK):
                part = mine[start : start + _CHUNK]
                w = self._hidden[cells[part]]
                devices = self._devices.take(cells[part])
                self._device.send(w, moving[part], direction, devices, rng, self._imperfections.c2c)
                self._hidden[cells[part]] = w
        if self._write_noise_sd:
            moved = cells[moving > 0]
            self._offset[moved] = self._write_noise_sd * rng.standard_normal(len(moved))
        return int(counts.sum())

    # --- time ---

    def _apparent(self, cells: slice | NDArray[np.intp], hidden: Array) -> Array:
        """What reading cells gives without error, device units; a new array."""
        return hidden - self._devices.reference[cells] + self._offset[cells]

    def _decayed(self, cells: slice | NDArray[np.intp], now: float) -> Array:
        """The devices' own weights by now, device units; a new array."""
        age = (now - self._written_at[cells]) / self._devices.lifetime[cells]
        return self._hidden[cells] * np.exp(-age)

    def _let_decay(self, cells: NDArray[np.intp], now: float) -> None:
        if self._device.lifetime:
            self._hidden[cells] = self._decayed(cells, now)
        self._written_at[cells] = now

    def refresh(self, now: float) -> None:
        """Bring `weights`, `conductances` and `white_variance` up to date."""
        if now <= self.fresh_until:
            return
        preset, imperfections = self._preset, self._imperfections
        everything = slice(None)
        lifetime = self._device.lifetime
        self.fresh_until = now + lifetime / HOLD if lifetime else np.inf
        weights = self._apparent(everything, self._decayed(everything, now) if lifetime else self._hidden)
        weights *= self._scale
        g = np.stack([weights, -weights])
        g *= self.k
        np.maximum(g, 0.0, out=g)
        g += preset.g_min
        if self._hotter != 1.0:
            g *= self._hotter
            weights *= self._hotter
        factors: Array | None = None
        if imperfections.attenuate is not None:
            factors = imperfections.attenuate(g)
            g *= factors
            weights = (g[0] - g[1]) / self.k
        if imperfections.read_noise:
            variance = np.full(g.shape, (imperfections.read_noise * preset.g_max / self.k) ** 2)
            if factors is not None:
                variance *= np.square(factors)
            self.white_variance = variance[0] + variance[1]
        self.conductances, self.weights = g, weights

    # --- snapshots ---

    def state(self) -> dict[str, NDArray[Any]]:
        """All arrays that writing and time have made, by name."""
        arrays: dict[str, NDArray[Any]] = {
            "held": self.held.copy(),
            "hidden": self._hidden.copy(),
            "offset": self._offset.copy(),
            "written_at": self._written_at.copy(),
            "pulses": self.pulses.copy(),
            "weights": self.weights,
            "conductances": self.conductances,
            "fresh_until": np.array(self.fresh_until),
        }
        return arrays if self.white_variance is None else arrays | {"white_variance": self.white_variance}

    def restore(self, state: dict[str, NDArray[Any]]) -> None:
        """Put back what `state` gave."""
        self.held, self._hidden, self._offset = state["held"].copy(), state["hidden"].copy(), state["offset"].copy()
        self._written_at, self.pulses = state["written_at"].copy(), state["pulses"].copy()
        self.weights, self.conductances = state["weights"], state["conductances"]
        self.white_variance = state.get("white_variance")
        self.fresh_until = float(state["fresh_until"])
