"""MeZO: antithetic pairs whose steps are replayed from seeds. Malladi et al., NeurIPS 2023, https://arxiv.org/abs/2305.17333.

``theta <- theta - rate (L+ - L-) / (2c) z`` with z standard normal: the step is one number and one seed. Here the
journal keeps that number for each direction of a step (``probes`` / 2 of them), the device is given it together with
the target, and the weights of any step are rebuilt from the numbers alone. There is no state but the weights, so
memory stays that of inference. Boards have sign directions only and make the step themselves, on their own grid.
"""

from __future__ import annotations

from dataclasses import replace

from hwzo.methods.composition import Composition
from hwzo.methods.method import Start
from hwzo.methods.seed_steps import SeedSteps
from hwzo.methods.settings import Settings
from hwzo.methods.weight_perturbation import compose

DEFAULTS = Settings(probes=2, estimator="antithetic", update="sgd", rate=0.05, schedule="linear")


def build(settings: Settings, start: Start) -> Composition:
    """The method, on a device that can be commanded."""
    takes = ("probes", "scale", "law", "rate", "schedule")
    reason = "antithetic pairs of commanded displacements; steps are kept as seeds and numbers"
    composed = compose(settings, DEFAULTS, start, "commanded", reason, method="mezo", takes=takes)
    if composed.grid is None:
        return replace(composed, grid=SeedSteps(composed.explore.directions))
    return composed
