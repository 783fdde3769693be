"""SPSA: antithetic pairs along random signs. Spall, IEEE Trans. Autom. Control 37, 332 (1992), https://doi.org/10.1109/9.119632.

The estimate of a pair is (L+ - L-) / (2c) z. Steps by Adam with a linearly falling rate by default, which needs less
tuning; ``gains = "spall"`` gives the classical gains a/(A+k+1)^.602 and c/(k+1)^.101 with plain steps.
"""

from __future__ import annotations

from hwzo.methods.composition import Composition
from hwzo.methods.method import Start
from hwzo.methods.settings import Settings
from hwzo.methods.weight_perturbation import compose

DEFAULTS = Settings(probes=2, law="rademacher", estimator="antithetic", update="adam", rate=0.01, schedule="linear")
CLASSICAL = Settings(
    probes=2, law="rademacher", estimator="antithetic", update="sgd", rate=0.01, schedule="linear", gains="spall"
)


def build(settings: Settings, start: Start) -> Composition:
    """The method, on a device that can be commanded."""
    takes = ("probes", "scale", "law", "update", "rate", "schedule", "gains")
    defaults = CLASSICAL if settings.gains == "spall" else DEFAULTS
    reason = "antithetic pairs of commanded displacements"
    return compose(settings, defaults, start, "commanded", reason, method="spsa", takes=takes)
