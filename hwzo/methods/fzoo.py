"""FZOO: the step shrinks where the losses spread. Dang et al. 2025, https://arxiv.org/abs/2506.09034.

N readings along random signs u_n and an undisplaced one a step, N + 1 evaluations::

    g = 1/N sum_n (L_n - L_0) / c  u_n,    theta <- theta - rate c g / std(L_1 .. L_N)

The standard deviation of the losses is about c |gradient|, so this is normalised descent without a second moment to
keep. The paper's step size is ``rate c`` here: so the rate is in weight units, whatever the size of the displacement,
and each parameter moves by about rate / sqrt(N).
"""

from __future__ import annotations

import numpy as np

from hwzo.errors import ConfigError
from hwzo.explore.evidence import Evidence
from hwzo.methods.composition import Composition
from hwzo.methods.method import Start
from hwzo.methods.settings import Settings
from hwzo.methods.weight_perturbation import compose
from hwzo.parameters import Array

DEFAULTS = Settings(probes=8, law="rademacher", estimator="forward", update="sgd", rate=0.04, schedule="linear")


def build(settings: Settings, start: Start) -> Composition:
    """The method, on a device that can be commanded."""
    if settings.probes == 1:
        raise ConfigError("probes = 1: the spread of the losses needs at least 2 displaced readings", key="probes")
    takes = ("probes", "scale", "law", "update", "rate", "schedule")
    reason = "a batch of one-sided displacements, the step divided by the spread of their losses"
    return compose(settings, DEFAULTS, start, "commanded", reason, method="fzoo", takes=takes, fitness=per_deviation)


def per_deviation(evidence: Evidence) -> Array:
    """Losses (N + 1,) in units of the displaced ones' standard deviation per weight unit; 0 if they are all equal."""
    losses = evidence.losses
    spread = float(losses[1:].std(ddof=1))
    if spread == 0.0:
        return np.zeros_like(losses)
    return losses * (float(np.abs(evidence.scales).max()) / spread)
