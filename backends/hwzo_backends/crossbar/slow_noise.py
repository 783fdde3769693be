"""Noise with a memory: 1/f noise and random telegraph noise, on the device's clock."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from hwzo.parameters import Array
from hwzo_backends.crossbar.noise import NoiseSource, Stream

Float32Array = NDArray[np.float32]

HOLD = 64  # a band stands still for up to 1/64 of its time constant: 1.6 % of its correlation, and much time saved
LONGEST = 1e10  # seconds; slower fluctuators don't move in a device's life


class FlickerBands:
    """1/f noise as a sum of Ornstein-Uhlenbeck processes, one a decade of time constants.

    Fluctuators spread evenly in log(tau) have a 1/f spectrum (A. L. McWhorter, 1957). A band has variance
    ``ln(10) (1 - exp(-2 t / tau))`` at age t: it starts from 0 at t = 0, which is t0 before the first use. With the
    decades beginning at ``4 exp(gamma) t_read`` (gamma: Euler's constant), the sum over bands is
    ``ln(t / (2 t_read))``, the law of the presets for t >> t_read; since

        integral over ln(tau), from ln(a), of (1 - exp(-2 t / tau)) = ln(2 t / a) + gamma, for t >> a.

    Values are in units of Q g. One process a differential pair: only its difference is ever seen.

    Args:
        n: number of pairs.
        t_read, t0: of the preset, seconds.
        noise: where the draws come from.
    """

    def __init__(self, n: int, t_read: float, t0: float, noise: NoiseSource) -> None:
        lowest = 4.0 * math.exp(float(np.euler_gamma)) * t_read * math.sqrt(10.0)
        self.tau: Array = np.array([lowest * 10.0**b for b in range(math.ceil(math.log10(LONGEST / lowest)))])
        self.values: Float32Array = np.zeros((len(self.tau), n), dtype=np.float32)
        self.moved: Array = np.zeros(len(self.tau))  # when each band was last drawn, seconds on the clock
        self._start_sd = np.sqrt(-math.log(10.0) * np.expm1(-2.0 * t0 / self.tau)).astype(np.float32)
        # Slower bands are still 0 at t0 (less than 1 % of their variance, 0.1 % of the sum's).
        self._n_started = int(np.searchsorted(self.tau, 200.0 * t0))
        self._noise = noise

    def n_white(self, duration: float) -> int:
        """Number of bands that are white noise to an evaluation of so many seconds, variance ln(10) each."""
        return int(np.searchsorted(self.tau, duration))

    def restart(self, at: slice | NDArray[np.intp], now: float, write_seconds: float, event: int) -> None:
        """Begin anew, at age t0, for the pairs just written: indices, or slice(None) for all of them."""
        # Bands that forget everything during the write itself need no draw: `move` will make one.
        first = int(np.searchsorted(self.tau, write_seconds / 4.0))
        last = max(self._n_started, first)
        generator = self._noise.at(Stream.FLICKER_START, event)
        n = self.values.shape[1] if isinstance(at, slice) else len(at)
        drawn = generator.standard_normal((last - first, n), dtype=np.float32)
        drawn *= self._start_sd[first:last, None]
        self.values[first:last, at] = drawn
        self.values[last:, at] = 0.0
        if isinstance(at, slice):
            self.moved[first:] = now

    def move(self, now: float, duration: float, event: int) -> Float32Array:
        """Let time pass until ``now``; the sum (n,) of the bands that stand still during an evaluation."""
        first = self.n_white(duration)
        elapsed = now - self.moved
        due = np.flatnonzero(elapsed > self.tau / HOLD)
        due = due[due >= first]
        if len(due):
            decay = np.exp(-elapsed[due] / self.tau[due])
            sd = np.sqrt(math.log(10.0) * (1.0 - decay * decay)).astype(np.float32)
            drawn = self._noise.at(Stream.FLICKER, event).standard_normal(
                (len(due), self.values.shape[1]), dtype=np.float32
            )
            for i, band in enumerate(due):
                values = self.values[band]
                values *= np.float32(decay[i])
                drawn[i] *= sd[i]
                values += drawn[i]
            self.moved[due] = now
        return self.values[first:].sum(axis=0)


class Telegraph:
    """Random telegraph noise: some cells switch between two conductances, g (1 - a/2) and g (1 + a/2).

    Both dwell times are exponential with mean 2 tau, so that the autocorrelation is exp(-t / tau) (S. Machlup, J. Appl.
    Phys. 25, 341, 1954). Which cells do so belongs to the device; writing doesn't move the trap. A state stands still
    during an evaluation.

    Args:
        n_cells: number of cells.
        amplitude: a, relative.
        fraction: of the cells.
        tau: correlation time, seconds.
        noise: where the draws come from.
    """

    def __init__(self, n_cells: int, amplitude: float, fraction: float, tau: float, noise: NoiseSource) -> None:
        generator = noise.at(Stream.TELEGRAPH_START, 0)
        self.cells = np.flatnonzero(generator.random(n_cells) < fraction)
        self.signs: Array = np.where(generator.random(len(self.cells)) < 0.5, -1.0, 1.0)
        self.moved = 0.0
        self._amplitude, self._tau, self._noise = amplitude, tau, noise
        self._dense: Array = np.zeros(n_cells)

    def move(self, now: float, event: int) -> Array:
        """Let time pass until ``now``; the relative excursion of every cell, (n_cells,), overwritten by the next."""
        switch = -0.5 * math.expm1(-(now - self.moved) / self._tau)
        switched = self._noise.at(Stream.TELEGRAPH, event).random(len(self.cells)) < switch
        self.signs[switched] *= -1.0
        self.moved = now
        self._dense[self.cells] = 0.5 * self._amplitude * self.signs
        return self._dense
