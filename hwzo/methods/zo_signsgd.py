"""ZO-signSGD: only the sign of the estimate counts. Liu et al., ICLR 2019, https://openreview.net/forum?id=BJe-DsC5Fm.

Each parameter moves by the rate, up or down. The sign of a mean of few directions is mostly noise, and the error of a
sign doesn't shrink with the gradient, so it wants many directions (``probes``) and a small rate.
"""

from __future__ import annotations

from hwzo.methods.composition import Composition
from hwzo.methods.method import Start
from hwzo.methods.settings import Settings
from hwzo.methods.weight_perturbation import compose

DEFAULTS = Settings(probes=32, estimator="forward", update="sign", rate=0.01, schedule="linear")


def build(settings: Settings, start: Start) -> Composition:
    """The method, on a device that can be commanded."""
    takes = ("probes", "scale", "law", "rate", "schedule")
    reason = "Gaussian displacements against an undisplaced reading, steps of one size"
    return compose(settings, DEFAULTS, start, "commanded", reason, method="zo-signsgd", takes=takes)
