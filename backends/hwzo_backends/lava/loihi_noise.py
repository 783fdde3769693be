"""Noise as Loihi 1 has it, drawn such that an evaluation is a function of its number alone.

Where it stands: Davies et al., "Loihi", IEEE Micro 38(1), 82 (2018), https://doi.org/10.1109/MM.2018.112130359, and
Nengo-Loihi's account of its registers. Needs NumPy and nothing else: it also runs inside Lava's own interpreter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[Any]
NoiseTarget = Literal["current", "membrane", "weights"]

_SPAN = 255


@dataclass(frozen=True)
class Noise:
    """Noise in the form that Loihi 1 has it: ``(r + 64 mant_offset) 2^(exponent - 7)``, r uniform on -127..127.

    Whole numbers, rounded to the nearest where the exponent is below 7. In float precision u and v are in units of the
    weights, and noise on them is divided by ``2**(weight_exp + 6)``.

    Args:
        target: ``current``: added to u in each step; ``membrane``: to v; ``weights``: to each weight and bias, once an
            evaluation, in units of 2, and kept within what Dense can hold.
        exponent: 0 to 15.
        mant_offset: 0 or 1.
    """

    target: NoiseTarget
    exponent: int = 7
    mant_offset: int = 0

    @property
    def sd(self) -> float:
        """Standard deviation of one draw whose exponent is at least 7, in units of u and v."""
        return float(np.sqrt((_SPAN**2 - 1) / 12.0)) * 2.0 ** (self.exponent - 7)


def drawn(
    noise: Noise, seed: int, evaluation: int, k: int, layer: int, shape: tuple[int, ...], kind: type[np.floating[Any]]
) -> Floats:
    """What is added to u or v of a layer in k evaluations from number ``evaluation`` on.

    Args:
        noise: its form.
        seed: 0 to 2^64 - 1.
        evaluation: number of the first evaluation.
        k: how many evaluations.
        layer: number of the layer, the first is 0.
        shape: of one evaluation's draws, such as (T, B, units).
        kind: of floating-point number.

    Returns:
        (k, *shape) of ``kind``, units of u and v in fixed precision.
    """
    n = int(np.prod(shape))
    draws = np.empty((k, *shape), dtype=kind)
    for i in range(k):
        draws[i] = _scaled(_raw(seed, evaluation + i, layer, n), noise).reshape(shape)
    return draws


def noisy_weights(
    parameters: Floats, units: Sequence[int], noise: Noise, seed: int, evaluation: int, *, fixed: bool
) -> Floats:
    """Parameters (K, n_params) as evaluations from number ``evaluation`` on realise them, float64.

    Args:
        parameters: a layer after the other, as `hwzo_backends.lava.lif.simulate` takes them.
        units: neurons a layer, the inputs first.
        noise: its form.
        seed: 0 to 2^64 - 1.
        evaluation: number of the first evaluation.
        fixed: whether they are kept within what Dense can hold: weights -256 to 254, biases -4096 to 4095.
    """
    noisy = np.empty(parameters.shape)
    for i in range(len(parameters)):
        noisy[i] = parameters[i] + 2.0 * _scaled(_raw(seed, evaluation + i, 2**32, parameters.shape[1]), noise)
    if not fixed:
        return noisy
    start = 0
    for n, m in pairwise(units):
        weights, biases = noisy[:, start : start + n * m], noisy[:, start + n * m : start + (n + 1) * m]
        np.clip(weights, -256, 254, out=weights)
        np.clip(biases, -4096, 4095, out=biases)
        start += (n + 1) * m
    return noisy


def _raw(seed: int, evaluation: int, stream: int, n: int) -> NDArray[np.float32]:
    """n whole numbers, uniform on -127..127 to one part in 257: a function of the three numbers alone."""
    bits = np.random.Philox(
        key=np.array([seed & (2**64 - 1), 0], dtype=np.uint64),
        counter=np.array([0, 0, stream, evaluation], dtype=np.uint64),
    )
    words = bits.random_raw(-(-n // 4)).astype("<u8", copy=False).view("<u2")[:n].astype(np.uint32)
    words *= np.uint32(_SPAN)
    words >>= np.uint32(16)
    raw = words.astype(np.float32)
    raw -= np.float32(_SPAN // 2)
    return raw


def _scaled(draws: NDArray[np.float32], noise: Noise) -> NDArray[np.float32]:
    """In place, from -127..127; of 16 bits at most, so exact."""
    draws += np.float32(64 * noise.mant_offset)
    draws *= np.float32(2.0 ** (noise.exponent - 7))
    return np.rint(draws, out=draws) if noise.exponent < 7 else draws
