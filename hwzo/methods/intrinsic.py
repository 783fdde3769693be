"""Learning by the device's own noise, as far as it is read back. After the review https://arxiv.org/abs/2510.18812.

It picks by what the device declares, and says what and why:

====================================  ================================================================
the device reads back                 exploration
====================================  ================================================================
nodes, which are noisy                intrinsic-node: two noisy passes
weights, which are noisy              intrinsic-weight: displacements are the realised noise
less, but it can be commanded         commanded, the probe size set by its loss noise (the c* rule)
a loss only, and nothing commanded    selection: program, keep if better
====================================  ================================================================
"""

from __future__ import annotations

from dataclasses import replace

from hwzo.methods import node_perturbation, selection
from hwzo.methods.method import Method, Start
from hwzo.methods.settings import ExplorationChoice, Settings
from hwzo.methods.weight_perturbation import compose, normal_law

WEIGHTS = Settings(
    probes=8, law="rademacher", estimator="block", update="normalised-momentum", rate=0.02, schedule="linear"
)
DENSE = ("rademacher", "gaussian")
"""Laws of which one is needed to command all parameters at once."""
NODE_TAKES = ("update", "rate", "schedule")
WEIGHT_TAKES = ("probes", "estimator", "update", "rate", "schedule")


def build(settings: Settings, start: Start) -> Method:
    """The method for what this device reads back, or for the exploration that was asked for."""
    asked = settings.exploration if settings.exploration not in (None, "auto") else choose(start)
    rest = replace(settings, exploration=None)
    capabilities = start.device.capabilities
    match asked:
        case "intrinsic-node":
            built = node_perturbation.build(rest.only("intrinsic", NODE_TAKES), start)
            start.settings = start.settings.keep(NODE_TAKES)
            return built
        case "intrinsic-weight" | "mixed":
            kept = (
                "the noise of each write stays until the next"
                if capabilities.parameter_noise == "retained"
                else "the parameters' noise is new in each evaluation"
            )
            takes = (*WEIGHT_TAKES, "scale", "law") if asked == "mixed" else WEIGHT_TAKES
            reason = f"weights are read back and {kept}: it is the displacement"
            return compose(rest, WEIGHTS, start, asked, reason, method="intrinsic", takes=takes)
        case "commanded":
            reason = (
                f"there is no noise to explore with in what is read back, {capabilities.readback!r}: directions are "
                "commanded, and its loss noise sets their size (c* rule)"
            )
            takes = (*WEIGHT_TAKES, "scale", "law")
            defaults = replace(WEIGHTS, law="rademacher" if "rademacher" in capabilities.laws else normal_law(start))
            return compose(rest, defaults, start, "commanded", reason, method="intrinsic", takes=takes)
        case _:
            chosen = selection.build(rest, start)
            if settings.exploration == "selection":
                return chosen
            return replace(chosen, reason=f"only a loss comes back and no direction can be commanded: {chosen.reason}")


def choose(start: Start) -> ExplorationChoice:
    """The exploration that this device serves best, by its declared capabilities."""
    capabilities = start.device.capabilities
    if capabilities.network is not None and capabilities.node_noise and capabilities.reads_back("nodes"):
        return "intrinsic-node"
    if capabilities.parameter_noise != "none" and capabilities.reads_back("weights"):
        return "intrinsic-weight"
    return "selection" if capabilities.laws.isdisjoint(DENSE) else "commanded"
