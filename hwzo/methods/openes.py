"""OpenAI's evolution strategy: mirrored Gaussian samples, centred ranks. Salimans et al. 2017, https://arxiv.org/abs/1703.03864.

The losses are replaced by their ranks, spread evenly from -1/2 to 1/2, so that neither an outlier nor the loss's scale
matters; the estimate is that of antithetic pairs. Ranks of one step's losses say nothing of the
gradient's size, so an update rule that does away with it is the one to use.
"""

from __future__ import annotations

import numpy as np

from hwzo.explore.evidence import Evidence
from hwzo.methods.composition import Composition
from hwzo.methods.method import Start
from hwzo.methods.settings import Settings
from hwzo.methods.weight_perturbation import compose
from hwzo.parameters import Array

DEFAULTS = Settings(probes=8, estimator="antithetic", update="normalised-momentum", rate=0.02, schedule="linear")


def build(settings: Settings, start: Start) -> Composition:
    """The method, on a device that can be commanded."""
    takes = ("probes", "scale", "law", "update", "rate", "schedule")
    reason = "mirrored Gaussian displacements, their losses replaced by centred ranks"
    return compose(
        settings,
        DEFAULTS,
        start,
        "commanded",
        reason,
        method="openes",
        takes=takes,
        fitness=centred_ranks,
    )


def centred_ranks(evidence: Evidence) -> Array:
    """Ranks of the losses (N,), evenly from -1/2 (least) to 1/2; equal losses share the mean of their ranks."""
    losses = evidence.losses
    _, place, counts = np.unique(losses, return_inverse=True, return_counts=True)
    mean_rank = np.cumsum(counts) - 0.5 * (counts + 1)
    return mean_rank[place] / max(1, len(losses) - 1) - 0.5
