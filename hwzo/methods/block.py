"""One-sided readings, centred on their block's own mean. After Kool et al. 2019, https://openreview.net/forum?id=r1lgTGL5DE.

N readings, each with its own displacement. Centring on the block's mean and not on an undisplaced loss takes out the
curvature that all readings share; per reading it is worth more than antithetic pairs (N readings give N - 1 differences
instead of N/2).
"""

from __future__ import annotations

from hwzo.methods.composition import Composition
from hwzo.methods.method import Start
from hwzo.methods.settings import Settings
from hwzo.methods.weight_perturbation import compose

DEFAULTS = Settings(
    probes=32, law="rademacher", estimator="block", update="normalised-momentum", rate=0.05, schedule="linear"
)


def build(settings: Settings, start: Start) -> Composition:
    """The method, on a device that can be commanded."""
    takes = ("probes", "scale", "law", "estimator", "update", "rate", "schedule")
    reason = "block of commanded displacements, centred on its own mean"
    return compose(settings, DEFAULTS, start, "commanded", reason, method="block", takes=takes)
