"""Coordinate-wise finite differences (CGE), sparse if wanted: DeepZero. Chen et al., ICLR 2024, https://arxiv.org/abs/2310.02025.

One parameter at a time is displaced::

    g_i = (L(theta + c e_i) - L(theta)) / c          (or (L(theta + c e_i) - L(theta - c e_i)) / 2c)

``probes`` readings a step, beside the undisplaced one; parameters take turns in random order, each once in a sweep.
With ``update = "sgd"`` those that had no turn stay; others go on by what the update rule remembers, and are written
too. Near a bound displacements lead inwards: a device would cut off what leads out. One parameter
moves the loss little, so it is displaced far: on a device whose readings are noisy the c* rule chooses up to a whole
weight unit. The undisplaced reading's noise is in all differences of a step alike, which pairs (``estimator =
"antithetic"``) are free of.

``coordinate?sparsity=0.9`` gives each sweep only a tenth of them, drawn anew: DeepZero's
dynamic patterns, by which all parameters are trained with sparse gradients. The tenth is shared among the tensors by
size, or with ``scores`` readings by the paper's ZO-GraSP: each parameter's score is -theta_i (H g)_i, from the change
of an estimated gradient along itself, and a tensor's share is its part of the lowest scores, which are worth most.
"""

from __future__ import annotations

from dataclasses import fields, replace
from functools import partial
from typing import Annotated

import numpy as np
from pydantic import Field

from hwzo.directions import Directions
from hwzo.errors import ConfigError
from hwzo.estimate.block import block
from hwzo.estimate.coordinate import coordinate_differences
from hwzo.explore.coordinates import CoordinateExploration
from hwzo.explore.evidence import Evidence
from hwzo.explore.programmed import program
from hwzo.explore.weights import WeightExploration
from hwzo.methods.composition import Composition
from hwzo.methods.method import Start
from hwzo.methods.options import Options
from hwzo.methods.settings import Settings
from hwzo.methods.weight_perturbation import check_law, compose
from hwzo.parameters import Array

DEFAULTS = Settings(
    probes=32, law="coordinate", estimator="forward", update="normalised-momentum", rate=0.03, schedule="linear"
)
SCORED = 2**32 - 3
"""Step of the directions that scores are measured along, which no training step is."""


class CoordinateOptions(Options):
    """Of coordinate-wise differences.

    Args:
        sparsity: share of the parameters that a sweep leaves out, 0 to below 1.
        scores: readings that share the sparsity out among the tensors, taken twice before the first step; 0: by size.
    """

    sparsity: Annotated[float, Field(ge=0, lt=1)] = 0.0
    scores: Annotated[int, Field(ge=0, le=100_000)] = 0


def build(settings: Settings, start: Start, options: CoordinateOptions | None = None) -> Composition:
    """The method, on a device that can be commanded."""
    options = options or CoordinateOptions()
    if settings.estimator not in (None, "forward", "antithetic"):
        raise ConfigError(
            f"estimator = {settings.estimator!r}: a difference along one parameter is 'forward' or 'antithetic'",
            key="estimator",
        )
    if options.scores == 1 or (options.scores and not options.sparsity):
        text = "needs at least 2 readings" if options.sparsity else "is for sharing out a sparsity; set one"
        raise ConfigError(f"scores = {options.scores} {text}", key="scores")
    takes = ("probes", "scale", "estimator", "update", "rate", "schedule")
    reason = "one parameter after the other" + (f", {1 - options.sparsity:.0%} of them" if options.sparsity else "")
    composed = compose(settings, DEFAULTS, start, "commanded", reason, method="coordinate", takes=takes)
    settled = {field.name: getattr(composed.explore, field.name) for field in fields(WeightExploration)}
    one_by_one = CoordinateExploration(**settled, shares=_shares(start, options, composed.explore.scale))
    return replace(composed, explore=one_by_one, estimate=partial(_differences, paired=one_by_one.antithetic))


def _differences(evidence: Evidence, theta: Array, *, paired: bool) -> Array:
    return coordinate_differences(evidence.counters, evidence.scales, evidence.losses, theta.size, paired=paired)


def _shares(start: Start, options: CoordinateOptions, scale: float) -> tuple[float, ...]:
    """Of each tensor's parameters that a sweep takes."""
    names = [f"share of {tensor.name}" for tensor in start.device.parameters.tensors]
    if not options.scores:
        return tuple(1.0 - options.sparsity for _ in names)
    if names[0] not in start.measured:
        start.measured.update(zip(names, _scored(start, options, scale), strict=True))
    return tuple(start.measured[name] for name in names)


def _scored(start: Start, options: CoordinateOptions, scale: float) -> list[float]:
    """Shares by ZO-GraSP, see the module."""
    check_law(start.device, "rademacher")
    theta, parameters = start.theta, start.device.parameters
    gradient = _gradient(start, theta, options.scores, scale)
    length = float(np.linalg.norm(gradient)) / np.sqrt(theta.size)
    if not length > 0:
        return [1.0 - options.sparsity] * len(parameters.tensors)
    moved = parameters.clip(theta + (scale / length) * gradient)
    program(start.device, theta, moved)
    scores = -theta * (_gradient(start, moved, options.scores, scale) - gradient)
    program(start.device, moved, theta)
    kept = np.zeros(theta.size)
    kept[np.argsort(scores, kind="stable")[: max(1, round((1.0 - options.sparsity) * theta.size))]] = 1.0
    return [max(float(view.mean()), 1.0 / view.size) for view in parameters.views(kept).values()]


def _gradient(start: Start, theta: Array, readings: int, scale: float) -> Array:
    """An estimate on a device that holds theta, along the same directions each time."""
    along = Directions("rademacher", start.device.parameters, start.key)
    explore = WeightExploration(along, readings, scale=scale)
    evidence = explore.measure(start.device, theta, start.batch, SCORED)
    start.evaluations += readings
    start.commanded += readings
    assert evidence.displacements is not None
    return block(evidence.displacements, evidence.losses, variance=scale**2)
