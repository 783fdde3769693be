"""Bit slicing: a weight as several cells of few levels each, of which each slice counts for less than the one before.

The magnitude of a weight in [-window, window] is rounded to ``n_slices * bits`` bits: a whole number k of levels, of
which the window has L = 2^(n_slices bits) - 1. Its digits in base B = 2^bits, the most significant first, are stored
one a slice; the sign is that of the differential pair. With a digit d as the slice weight ``+-window d / (B - 1)``::

    w = sum_s scale_s w_s,    scale_s = (B - 1) B^(S - 1 - s) / L,    sum_s scale_s = 1

Noise that is independent between cells adds up to the variance ``sum_s scale_s^2 variance_s``. If it doesn't depend on
the slice either, the joined weight has that of a cell times::

    sum_s scale_s^2 = (B - 1) (B^S + 1) / ((B + 1) (B^S - 1))

For B = 2 this tends to 1/3, for B = 4 to 3/5, for B = 16 to 15/17: the most significant slice is most of it, and slices
add resolution rather than take noise away.

Source: A. Shafiee et al., "ISAAC: a convolutional neural network accelerator with in-situ analog arithmetic in
crossbars", ISCA 2016, doi:10.1109/ISCA.2016.12 (slices of a weight on neighbouring columns).
"""

from __future__ import annotations

import numpy as np

from hwzo.errors import ConfigError
from hwzo.parameters import Array

MAX_BITS = 32
"""Of a weight, all slices together."""


class BitSlices:
    """Splits weights into slices and joins them.

    Args:
        n_slices: slices a weight, S.
        bits: of a slice, sign not counted.
        window: weights lie in [-window, window].

    Raises:
        ConfigError: no slices, no bits, more than `MAX_BITS` together, or a window that isn't positive.
    """

    def __init__(self, n_slices: int, bits: int, window: float) -> None:
        if n_slices < 1:
            raise ConfigError(f"slices={n_slices}: should be at least 1", key="slices")
        if bits < 1 or n_slices * bits > MAX_BITS:
            text = f"slice_bits={bits}: should be at least 1, and at most {MAX_BITS} bits in {n_slices} slices together"
            raise ConfigError(text, key="slice_bits")
        if not 0.0 < window < np.inf:
            raise ConfigError(f"window={window}: should be more than 0", key="window")
        self.n_slices, self.bits, self.window = n_slices, bits, window
        self._digits = np.int64(2**bits)
        self._levels = 2.0 ** (n_slices * bits) - 1.0
        powers = np.ldexp(np.ones(n_slices), bits * np.arange(n_slices - 1, -1, -1))
        self.scales: Array = (2.0**bits - 1.0) * powers / self._levels
        """(S,) what each slice counts for, the most significant first."""

    @property
    def level(self) -> float:
        """Distance between neighbouring weights that can be represented, weight units."""
        return self.window / self._levels

    def split(self, weights: Array) -> Array:
        """Slice weights (S, n) of weights (n,): each one of the 2^bits levels of a cell, with the weight's sign.

        ``join(split(w))`` is the nearest level: off by at most half of `level` within the window, odd, monotone, and
        the same again when split anew. Weights beyond the window are clipped.
        """
        k = np.rint(np.minimum(np.abs(weights) / self.window, 1.0) * self._levels).astype(np.int64)
        slices = np.empty((self.n_slices, *weights.shape))
        for part in slices[::-1]:
            k, digit = np.divmod(k, self._digits)
            part[...] = digit
        slices *= self.window / (2.0**self.bits - 1.0)
        return np.copysign(slices, weights)

    def join(self, slices: Array) -> Array:
        """Weights (n,) that slice weights (S, n) stand for."""
        return np.tensordot(self.scales, slices, axes=1)

    def variance(self, variances: Array) -> Array:
        """Variance (n,) of the joined weights, from the slice weights' (S, n), independent of each other."""
        return np.tensordot(np.square(self.scales), variances, axes=1)
