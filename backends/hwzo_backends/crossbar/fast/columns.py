"""What happens at the columns and between the layers, in float32: noise, converters, activations, losses.

Signals lie as (units, batch), the batch contiguous and padded with zeros, so that every inner loop is over samples and
vectorises whatever the widths of the layers are.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hwzo_backends.crossbar.fast.arithmetic import exp, log, sigmoid, tanh
from hwzo_backends.crossbar.fast.compiler import F, Floats, Number, compiled

ACTIVATION_CODES = {"linear": 0, "tanh": 1, "relu": 2, "sigmoid": 3, "lif-rate": 4}
"""The activations that kernels know."""
LOSS_CODES = {"cross-entropy": 0, "squared-error": 1}


@compiled
def converted(x: Number, levels: Number, lsb: Number) -> Number:
    """A float32 as a converter with so many levels on each side of 0 gives it; 0 levels: ideal."""
    if levels > F(0.0):
        x = np.rint(x * (F(1.0) / lsb))
        x = -levels if x < -levels else x
        x = levels if x > levels else x
        x = x * lsb
    return x


@compiled
def read_columns(
    total: Floats,
    first: bool,
    mean: Floats,
    sd: Floats,
    normals: Floats,
    scale: Floats,
    along: Floats,
    shift: Floats,
    levels: Number,
    lsb: Number,
) -> None:
    """Add one tile's digitised partial sums to ``total`` (outputs, batch), or put them there if it is the first.

    A partial sum is mean + scale along + shift + sd normals, with scale and shift (outputs,), along (batch,), the rest
    (outputs, batch): a rank-1 displacement is added without the matrix ever being built.
    """
    n_out, n_samples = total.shape
    for j in range(n_out):
        a, s = scale[j], shift[j]
        if first:
            for b in range(n_samples):
                total[j, b] = converted(mean[j, b] + a * along[b] + s + sd[j, b] * normals[j, b], levels, lsb)
        else:
            for b in range(n_samples):
                total[j, b] += converted(mean[j, b] + a * along[b] + s + sd[j, b] * normals[j, b], levels, lsb)


@compiled
def square(x: Floats, out: Floats) -> None:
    """Squares of x (n, batch) into the first rows of ``out``."""
    for i in range(x.shape[0]):
        for b in range(x.shape[1]):
            out[i, b] = x[i, b] * x[i, b]


@compiled
def take_roots(variance: Floats, spare: Number) -> None:
    """Variances (n,) as standard deviations, in place; ``spare`` is added to each first."""
    for i in range(variance.size):
        variance[i] = np.sqrt(variance[i] + spare)


@compiled
def _lif_rate(a: Number) -> Number:
    above = F(1e-30) if a < F(1e-30) else a
    rate = F(1.0) / (F(1.0) + log((above + F(1.0)) / above))
    return F(0.0) if a <= F(0.0) else rate


@compiled
def activate(nodes: Floats, activation: int, levels: Number, out: Floats) -> None:
    """Activations of ``nodes`` (n, batch) through the row converters, full scale 1, into the first rows of ``out``."""
    n, padded = nodes.shape
    lsb = F(1.0) / levels if levels > F(0.0) else F(1.0)
    for j in range(n):
        if activation == 1:
            for b in range(padded):
                out[j, b] = converted(tanh(nodes[j, b]), levels, lsb)
        elif activation == 2:
            for b in range(padded):
                out[j, b] = converted(F(0.0) if nodes[j, b] < F(0.0) else nodes[j, b], levels, lsb)
        elif activation == 3:
            for b in range(padded):
                out[j, b] = converted(sigmoid(nodes[j, b]), levels, lsb)
        elif activation == 4:
            for b in range(padded):
                out[j, b] = converted(_lif_rate(nodes[j, b]), levels, lsb)
        else:
            for b in range(padded):
                out[j, b] = converted(nodes[j, b], levels, lsb)


@compiled
def mean_loss(outputs: Floats, n_samples: int, loss: int, classes: NDArray[np.int64], values: Floats) -> float:
    """Mean loss, float64, of the first samples of ``outputs`` (units, batch).

    Cross-entropy (0) has classes (batch,), squared error (1) values (units, batch); see `hwzo.network.sample_losses`.
    """
    n_out, padded = outputs.shape
    if loss == 1:
        error = 0.0
        for j in range(n_out):
            for b in range(n_samples):
                difference = outputs[j, b] - values[j, b]
                error += np.float64(difference * difference)
        return error / (n_out * n_samples)
    peak = np.empty(padded, dtype=np.float32)
    total = np.zeros(padded, dtype=np.float32)
    peak[:] = outputs[0]
    for j in range(1, n_out):
        for b in range(padded):
            peak[b] = peak[b] if outputs[j, b] < peak[b] else outputs[j, b]
    for j in range(n_out):
        for b in range(padded):
            total[b] += exp(outputs[j, b] - peak[b])
    for b in range(padded):
        total[b] = log(total[b])
    entropy = 0.0
    for b in range(n_samples):
        entropy += np.float64(total[b]) + np.float64(peak[b]) - np.float64(outputs[classes[b], b])
    return entropy / n_samples
