"""Decorrelation of a layer's inputs, learned from the inputs alone; as a preconditioner of the layer's gradient."""

from __future__ import annotations

import math

import numpy as np

from hwzo.parameters import Array


def decorrelated(matrix: Array, x: Array, rate: float) -> Array:
    """One step of the decorrelation rule, the new R (rows, rows)::

        x* = R x,   C = mean of x* x*^T,   R <- R - rate / (1 + |offdiag C|) offdiag(C) R

    Ahmad, Schrader and van Gerven 2023, https://arxiv.org/abs/2203.13203; Dalm et al. 2023,
    https://arxiv.org/abs/2310.00965. Its fixed points are the R for which no two x* are correlated; C is not centred,
    as there. Dividing by 1 plus the Frobenius norm is ours: then any rate below 1 is stable, whatever the inputs'
    number and size, and near the fixed point it is the rule itself.

    Args:
        matrix: R (rows, rows).
        x: (samples, rows).
        rate: of learning, 0 to 1.
    """
    seen: Array = x @ np.transpose(matrix)
    correlation: Array = np.transpose(seen) @ seen / len(x)
    own: Array = correlation.diagonal()
    size = 1.0 + math.sqrt(max(0.0, float(np.vdot(correlation, correlation)) - float(np.vdot(own, own))))
    # offdiag(C) R by way of the samples, which are fewer than the inputs.
    turned: Array = np.transpose(seen) @ (seen @ matrix) / len(x) - own[:, None] * matrix
    return matrix - (rate / size) * turned


def preconditioned(matrix: Array, gradient: Array) -> Array:
    """``R^T R g`` for the gradient g (rows, columns) of a layer whose inputs are decorrelated by R.

    A layer that computes x* W* with x* = R x has the effective weights R^T W*, which is what a device holds. A step
    -g* = -x*^T delta on W* is the step -R^T R x^T delta on them: the same learning, with nothing added to the device.
    """
    return np.transpose(matrix) @ (matrix @ gradient)
