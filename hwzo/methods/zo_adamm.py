"""ZO-AdaMM: adaptive momentum on estimated gradients. Chen et al., NeurIPS 2019, https://arxiv.org/abs/1910.06513.

The estimate is that of ZO-SGD; the step is AMSGrad's, whose second moments never fall (`hwzo.update.adamm`).
"""

from __future__ import annotations

from hwzo.methods.composition import Composition
from hwzo.methods.method import Start
from hwzo.methods.settings import Settings
from hwzo.methods.weight_perturbation import compose

DEFAULTS = Settings(probes=16, estimator="forward", update="adamm", rate=0.02, schedule="linear")


def build(settings: Settings, start: Start) -> Composition:
    """The method, on a device that can be commanded."""
    takes = ("probes", "scale", "law", "rate", "schedule")
    reason = "Gaussian displacements against an undisplaced reading, steps by adaptive momentum"
    return compose(settings, DEFAULTS, start, "commanded", reason, method="zo-adamm", takes=takes)
