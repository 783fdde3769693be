"""The loss along random directions: gradient, second and third derivatives. What the c* rule and q = s / (sigma |g|)
need."""

from __future__ import annotations

import math

import numpy as np

from hwzo.noise.jackknife import jackknife
from hwzo.noise.quantity import Findings, Quantity, spread_dof
from hwzo.noise.setup import Raw, Setup
from hwzo.parameters import Array
from hwzo.probes import Law, Probes

SCALES = (1.0, -1.0, 2.0, -2.0)
REPEATS = 2
EVALUATIONS = REPEATS * len(SCALES)
"""Loss readings a direction."""
STEP = 2**32 - 2
"""Of the directions' counter: no training step, nor the one that `probe_size` takes."""
FEWEST = 4
TRIAL = 0.05


def law_of(laws: frozenset[Law]) -> Law | None:
    """The law that is measured along: one whose directions move every parameter alike."""
    preferred: tuple[Law, ...] = ("rademacher", "rank1-sign", "gaussian", "gaussian-rank1", "walsh")
    return next((law for law in preferred if law in laws), None)


def take(setup: Setup, directions: int) -> Raw:
    """``losses`` (directions, REPEATS, 4) at theta + scale * direction, with the ``scales`` (4,), weight units."""
    law = law_of(setup.device.capabilities.laws)
    assert law is not None
    setup.device.program(setup.theta)
    steps = [tensor.resolution for tensor in setup.device.parameters.tensors]
    trial = max(TRIAL, 2.0 * max(steps))  # a displacement that the device can't hold would be none
    scales = np.array(SCALES) * trial
    rows: list[Array] = []
    for at in range(directions):
        counters = np.full(EVALUATIONS, at, dtype=np.int64)
        probes = Probes(counters, np.tile(scales, REPEATS), law=law, key=setup.seed, step=STEP)
        rows.append(setup.device.measure(probes, setup.batch).losses.reshape(REPEATS, len(SCALES)))
        setup.progress()
    return {"losses": np.stack(rows), "scales": scales}


def estimate(losses: Array, scales: Array) -> Findings:
    """``gradient_norm``, ``curvature_d2_rms``, ``curvature_d3_rms``: rms of derivatives along directions z.

    Differences of four readings at +-c and +-2c give D1 (to order c^4), D2 and D3 (to c^2). A direction's derivative is
    measured twice with independent noise, and the product of the two has the square's mean, without the noise's. D1
    and D3, odd in z, have a mean of 0 over directions and tails that are heavier than a Gaussian's where there are few
    parameters: their degrees of freedom follow from their kurtosis. D2, which has a mean, has its error by the
    jackknife.
    Directions have unit variance, so that the rms of D1 is the gradient's norm.

    Args:
        losses: (directions, 2, 4).
        scales: (4,) c, -c, 2c, -2c, weight units.
    """
    found = Findings()
    c = float(scales[0])
    near, far = losses[..., 0] - losses[..., 1], losses[..., 2] - losses[..., 3]
    even = losses[..., 2] + losses[..., 3] - losses[..., 0] - losses[..., 1]
    n = len(losses)
    if n < FEWEST:
        names = ("gradient_norm", "curvature_d2_rms", "curvature_d3_rms")
        found.left_out = dict.fromkeys(names, f"{n} directions; at least {FEWEST} are needed")
        return found
    first = (8.0 * near - far) / (12.0 * c)
    third = (far - 2.0 * near) / (2.0 * c**3)
    about = "rms over directions, hence the norm of the loss's gradient, as the device gives it"
    found.quantities["gradient_norm"] = _rms(first, "loss/weight", losses.size, about)
    second = even / (3.0 * c**2)
    square = jackknife((second[:, 0] * second[:, 1])[:, None], lambda row: row[0], unbiased=False)
    value, error, dof = square.scalars
    about = "rms over random directions of unit variance of the second derivative of the loss"
    found.quantities["curvature_d2_rms"] = Quantity.root(
        value, error, "loss/weight^2", losses.size, dof=dof, skewed=True, about=about
    )
    about = "rms over random directions of unit variance of the third derivative of the loss"
    found.quantities["curvature_d3_rms"] = _rms(third, "loss/weight^3", losses.size, about)
    return found


def _rms(pairs: Array, unit: str, n: int, about: str) -> Quantity:
    """Of values with mean 0, measured twice (directions, 2)."""
    means, differences = pairs.mean(axis=1), 0.5 * (pairs[:, 0] - pairs[:, 1])
    total, noise = (
        float(np.square(means).mean()),
        float(np.square(differences).mean()),
    )  # value + half the noise, and it
    if not math.isfinite(total):
        raise FloatingPointError("derivatives overflow")
    return Quantity.component(total, spread_dof(means), noise, spread_dof(differences), unit, n, about=about)
