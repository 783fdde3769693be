"""Layers of leaky integrate-and-fire neurons as Lava computes them: K parameter sets, B samples, T steps, in NumPy.

It reproduces, spike for spike, stock processes of lava-nc 0.10.0 joined as input -> Dense -> LIFReset -> Dense -> ...
(https://github.com/lava-nc/lava, `lava.proc.lif` and `lava.proc.dense`), in both their precisions. It needs NumPy and
nothing else, since it also runs inside Lava's own interpreter.

``fixed`` (Lava's ``fixed_pt``, the arithmetic of Loihi), all numbers whole, for a neuron with input ``a`` from its
Dense::

    u <- wrap(sign(u) (|u| (4096 - du - 1) >> 12) + (a << 6))                to 24 bits, by going round
    v <- clip(sign(v) (|v| (4096 - dv) >> 12) + u + (bias << bias_exp))      to 24 bits, by stopping there
    spike if v > vth << 6, then v <- 0

with ``a`` the sum of the weights of those inputs that spiked, times ``2**weight_exp``, rounded down. ``float``::

    u <- u (1 - du) + a,    v <- v (1 - dv) + u + bias,    spike if v > vth, then v <- 0

Clocks: a Dense hands its sum on one step later, so layer l (the first is 0) lives l + 1 steps behind the input. Each
layer here has T steps of its own, in which it sees the T steps of the layer before it and nothing else. The stock graph
that does so has ``LIFReset(reset_interval=W, reset_offset=(l + 2) % W)`` for layer l, with any window W >= T: Lava's
first step is number 1, and a reset comes before the step's input. What a layer did is in its steps l + 2 to l + T + 1.

Exactness: whole numbers in floating point are exact up to 2^24 in float32 and 2^53 in float64. The kind is chosen such
that no sum can pass its bound, so matrix products may go through BLAS in any order. In ``float`` precision the order of
a sum matters, unless weights are multiples of a power of two, such as 2^-24, with sums that fit 53 bits; then that too
equals Lava's to the last bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hwzo_backends.lava.loihi_noise import Noise, NoiseTarget, drawn, noisy_weights

Floats = NDArray[Any]
Precision = Literal["fixed", "float"]

LIMIT = 2**23
"""Of u and v in fixed precision: 24 bits with their sign."""
DECAY_ONE = 4096
SHIFT = 6
"""By how many bits inputs and thresholds are shifted up to meet u and v."""
LARGEST_VTH = 2**17 - 1
"""A fixed threshold that no v exceeds but one at its upper limit: neurons that only integrate."""
EXACT32 = 2**24

_CHUNK = 1 << 17  # numbers of one layer's currents that are worked on at a time: what stays in the cache


@dataclass(frozen=True)
class Neurons:
    """Constants of one layer: its neurons', and those of the Dense before it.

    Args:
        du, dv: share of current and membrane lost in a step; fixed: 0 to 4095, in 4096ths (u loses one more); float:
            0 to 1.
        vth: threshold; fixed: 0 to 131071.
        weight_exp: exponent that all weights into the layer share, -8 to 7; in float precision, of noise only.
        bias_exp: likewise of the biases, 0 to 7; with ``weight_exp + 6`` a bias adds to v in each step what a spike
            through an equal weight adds to u.
    """

    du: float
    dv: float
    vth: float
    weight_exp: int = 0
    bias_exp: int = SHIFT


@dataclass(frozen=True)
class Trial:
    """What K evaluations of B samples came to.

    Args:
        counts: (K, B, n_out) float64, spikes of the last layer in its T steps.
        membrane: (K, B, n_out) float64, its v after the last of them.
        drives: a layer each, (K, B, units) float64, mean over the steps of what came in, bias included, noise not;
            units of u and v; empty unless asked for.
        draws: a layer each, (K, B, units) float64, mean over the steps of the noise on u or v, same units; empty
            unless there is such noise and it is asked for.
        realised: (K, n_params) float64, parameters with their noise; None unless there is such noise.
        raster: a layer each, (K, B, T, units) bool, which neuron spiked in which of the layer's own steps; empty unless
            asked for.
    """

    counts: Floats
    membrane: Floats
    drives: tuple[Floats, ...] = ()
    draws: tuple[Floats, ...] = ()
    realised: Floats | None = None
    raster: tuple[NDArray[np.bool_], ...] = ()


def simulate(
    parameters: Floats,
    spikes: NDArray[Any],
    units: Sequence[int],
    layers: Sequence[Neurons],
    *,
    precision: Precision = "fixed",
    noise: Noise | None = None,
    seed: int = 0,
    evaluation: int = 0,
    record: bool = False,
    raster: bool = False,
) -> Trial:
    """Run K networks of dense LIF layers on B samples for T steps each, from u = v = 0.

    Args:
        parameters: (K, n_params). A layer after the other, each an (inputs + 1, outputs) block in row-major order whose
            last row is the biases. Fixed: whole numbers as Dense in mixed sign mode holds them, even, -256 to 254, and
            bias mantissas, -4096 to 4095.
        spikes: (B, T, units[0]), 0 or 1; also -1, which Lava carries as graded spikes (``num_message_bits`` above 0).
        units: neurons a layer, the inputs first, such as (64, 32, 10).
        layers: one for each of units[1:].
        precision: ``fixed`` or ``float``.
        noise: drawn for evaluation ``evaluation + k`` of set k from (seed, evaluation, layer) alone, whatever K is.
        seed: of the noise, 0 to 2^64 - 1.
        evaluation: number of the first evaluation.
        record: whether drives and draws are wanted.
        raster: whether every single spike is.

    Raises:
        ValueError: shapes that don't fit each other, or T = 0.
    """
    k, (batch, steps, n_in) = len(parameters), spikes.shape
    sizes = [(n + 1) * m for n, m in pairwise(units)]
    if parameters.ndim != 2 or parameters.shape[1] != sum(sizes) or len(layers) != len(sizes) or n_in != units[0]:
        raise ValueError(
            f"parameters {parameters.shape}, spikes {spikes.shape}, {len(layers)} layers of constants: for units "
            f"{tuple(units)} they must be (K, {sum(sizes)}), (B, T, {units[0]}) and {len(sizes)}"
        )
    if steps < 1 or batch < 1 or k < 1:
        raise ValueError(f"spikes {spikes.shape}, parameters {parameters.shape}: nothing to simulate")
    fixed = precision == "fixed"
    realised = None
    if noise is not None and noise.target == "weights":
        realised = parameters = noisy_weights(parameters, units, noise, seed, evaluation, fixed=fixed)
    kinds, wraps = _arithmetic(parameters, units, layers, steps, noise, fixed)
    # One product serves all K where they share the input; the others have inputs of their own.
    first = np.moveaxis(spikes, 1, 0).reshape(steps * batch, n_in).astype(kinds[0])
    n_out = units[-1]
    counts, membrane = np.empty((k, batch, n_out)), np.empty((k, batch, n_out))
    drives = [np.empty((k, batch, m)) for m in units[1:]] if record else []
    noisy = noise is not None and noise.target != "weights"
    draws = [np.empty_like(array) for array in drives] if noisy else []
    spiked = [np.empty((k, batch, steps, m), dtype=np.bool_) for m in units[1:]] if raster else []
    each = max(1, _CHUNK // (steps * batch * max(units[1:])))
    for low in range(0, k, each):
        part = slice(low, min(low + each, k))
        n_part = part.stop - low
        passed: Floats = first
        offset = 0
        for index, neurons in enumerate(layers):
            n, m = units[index], units[index + 1]
            kind = kinds[index]
            block = parameters[part, offset : offset + sizes[index]].reshape(n_part, n + 1, m).astype(kind)
            offset += sizes[index]
            inputs: Floats = (passed @ block[:, :-1]).reshape(n_part, steps, batch, m)
            bias: Floats = block[:, None, -1:]
            if fixed:
                inputs = _shifted(inputs, neurons.weight_exp)
                bias = bias * 2.0**neurons.bias_exp
            added = None
            if noisy and noise is not None:
                added = drawn(noise, seed, evaluation + low, n_part, index, (steps, batch, m), kind)
                if not fixed:
                    added *= 2.0 ** -(SHIFT + neurons.weight_exp)
                if record:
                    draws[index][part] = added.mean(axis=1, dtype=np.float64)
            if record:
                drives[index][part] = inputs.mean(axis=1, dtype=np.float64) + bias[:, 0]
            target = noise.target if noise else "current"
            if fixed:
                quiet, v = _fixed(inputs, bias, added, target, neurons, wraps[index])
            else:
                quiet, v = _float(inputs, bias, added, target, neurons)
            if raster:
                spiked[index][part] = ~quiet.transpose(0, 2, 1, 3)
            last = index == len(layers) - 1
            fired: Floats = np.subtract(1, quiet, dtype=np.float32 if last else kinds[index + 1])
            if last:
                counts[part], membrane[part] = fired.sum(axis=1, dtype=np.float64), v
            passed = fired.reshape(n_part, steps * batch, m)
    return Trial(counts, membrane, tuple(drives), tuple(draws), realised, tuple(spiked))


def _fixed(
    inputs: Floats, bias: Floats, added: Floats | None, target: NoiseTarget, neurons: Neurons, wraps: bool
) -> tuple[NDArray[np.bool_], Floats]:
    """Steps of one layer in fixed precision: where it kept quiet (K, T, B, n), and v (K, B, n) at the end."""
    k, steps, batch, n = inputs.shape
    kind = inputs.dtype.type
    keep_u, keep_v = DECAY_ONE - 1 - neurons.du, DECAY_ONE - neurons.dv
    threshold, floor = kind(int(neurons.vth) << SHIFT), kind(1 - LIMIT)
    quiet = np.empty(inputs.shape, dtype=np.bool_)
    u, v = np.zeros((k, batch, n), dtype=kind), np.zeros((k, batch, n), dtype=kind)
    if added is not None and target == "current":
        inputs += added
    if keep_u == 0 and wraps:
        _wrap(inputs)
    with_bias = bool(bias.any())
    for step in range(steps):
        if keep_u:
            np.multiply(u, kind(keep_u / DECAY_ONE), out=u)
            np.trunc(u, out=u)
            u += inputs[:, step]
            if wraps:
                _wrap(u)
        else:
            u = inputs[:, step]
        if keep_v != DECAY_ONE:
            np.multiply(v, kind(keep_v / DECAY_ONE), out=v)
            np.trunc(v, out=v)
        v += u
        if with_bias:
            v += bias[:, 0]
        if added is not None and target == "membrane":
            v += added[:, step]
        np.maximum(v, floor, out=v)  # above, whatever is clipped exceeds any threshold but for pure integrators
        if neurons.vth >= LARGEST_VTH:
            np.minimum(v, -floor, out=v)
        still = quiet[:, step]
        np.less_equal(v, threshold, out=still)
        v *= still
    return quiet, v


def _float(
    inputs: Floats, bias: Floats, added: Floats | None, target: NoiseTarget, neurons: Neurons
) -> tuple[NDArray[np.bool_], Floats]:
    """The same in float precision, each operation in Lava's order."""
    k, steps, batch, n = inputs.shape
    quiet = np.empty(inputs.shape, dtype=np.bool_)
    u, v = np.zeros((k, batch, n)), np.zeros((k, batch, n))
    for step in range(steps):
        u *= 1 - neurons.du
        u += inputs[:, step]
        if added is not None and target == "current":
            u += added[:, step]
        v *= 1 - neurons.dv
        v += u
        v += bias[:, 0]
        if added is not None and target == "membrane":
            v += added[:, step]
        still = quiet[:, step]
        np.less_equal(v, neurons.vth, out=still)
        v[~still] = 0.0  # not a product: a v that overflowed would become NaN
    return quiet, v


def _wrap(u: Floats) -> None:
    """Bring u back into 24 bits, once round, in place, as PyLifModelBitAcc does."""
    high, low = u > LIMIT, u <= -LIMIT
    u[high] -= 2 * LIMIT
    u[low] += 2 * LIMIT


def _shifted(sums: Floats, exponent: int) -> Floats:
    """Sums of weights in units of u: shifted by the weights' exponent (down is towards minus infinity), then up."""
    if exponent < 0:
        sums *= 2.0**exponent
        np.floor(sums, out=sums)
        exponent = 0
    sums *= 2.0 ** (exponent + SHIFT)
    return sums


def _arithmetic(
    parameters: Floats,
    units: Sequence[int],
    layers: Sequence[Neurons],
    steps: int,
    noise: Noise | None,
    fixed: bool,
) -> tuple[list[type[np.floating[Any]]], list[bool]]:
    """A layer each: float32 where every number is a whole one up to 2^24, else float64; and whether u can go round."""
    if not fixed:
        return [np.float64] * len(layers), [False] * len(layers)
    kinds: list[type[np.floating[Any]]] = []
    wraps: list[bool] = []
    offset = 0
    for n, m, neurons in zip(units[:-1], units[1:], layers, strict=True):
        size = (n + 1) * m
        block = np.abs(parameters[:, offset : offset + size]).reshape(-1, n + 1, m)
        offset += size
        summed = float(block[:, :-1].sum(axis=1).max())
        most = (summed * 2.0**neurons.weight_exp + 1.0) * 2.0**SHIFT
        if noise is not None and noise.target != "weights":
            most += (127 + 64 * noise.mant_offset) * 2.0 ** (noise.exponent - 7)
        gathered = most * min(steps, DECAY_ONE / (neurons.du + 1))
        wraps.append(gathered >= LIMIT)
        # v is at least -LIMIT before the step's input. A decay multiplies 24 bits by 12.
        most += LIMIT + float(block[:, -1].max()) * 2.0**neurons.bias_exp
        undecayed = neurons.du == DECAY_ONE - 1 and neurons.dv == 0
        kinds.append(np.float32 if undecayed and max(summed, most) <= EXACT32 else np.float64)
    return kinds, wraps
