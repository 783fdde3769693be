"""ZO-SGD: Gaussian directions against an undisplaced reading. Ghadimi and Lan 2013, https://arxiv.org/abs/1309.5549.

``g = (L(theta + c u) - L(theta)) / c  u`` with u standard normal, and plain steps; ``probes`` directions are averaged.
"""

from __future__ import annotations

from hwzo.methods.composition import Composition
from hwzo.methods.method import Start
from hwzo.methods.settings import Settings
from hwzo.methods.weight_perturbation import compose

DEFAULTS = Settings(probes=16, estimator="forward", update="sgd", rate=0.3, schedule="linear")


def build(settings: Settings, start: Start) -> Composition:
    """The method, on a device that can be commanded."""
    takes = ("probes", "scale", "law", "update", "rate", "schedule")
    reason = "Gaussian displacements against an undisplaced reading, plain steps"
    return compose(settings, DEFAULTS, start, "commanded", reason, method="zo-sgd", takes=takes)
