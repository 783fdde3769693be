"""Multiplexed gradient descent. McCaughan et al., APL Mach. Learn. 1, 026118 (2023), 10.1063/5.0157645.

``G += (C - C0) theta_ac / |theta_ac|^2`` over tau_theta / tau_p perturbations (``probes``) of one sample set, after one
undisplaced reading C0; then ``theta -= eta G``. Multiplexing is the law of the perturbations: ``rademacher`` is the
paper's code multiplexing (random codes), ``walsh`` its orthogonal codes, ``coordinate`` its sequential one.
"""

from __future__ import annotations

from hwzo.methods.composition import Composition
from hwzo.methods.method import Start
from hwzo.methods.settings import Settings
from hwzo.methods.weight_perturbation import compose

DEFAULTS = Settings(probes=16, law="rademacher", estimator="forward", update="sgd", rate=0.3, schedule="linear")


def build(settings: Settings, start: Start) -> Composition:
    """The method, on a device that can be commanded."""
    takes = ("probes", "scale", "law", "update", "rate", "schedule")
    reason = "commanded perturbations against an undisplaced reading"
    return compose(settings, DEFAULTS, start, "commanded", reason, method="mgd", takes=takes)
