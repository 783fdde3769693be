"""Learning by the device's own noise, as far as it can be read back; says what it picked and why.

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
from hwzo.methods.weight_perturbation import compose

WEIGHTS = Settings(
    probes=16, law="rademacher", estimator="block", update="normalised-momentum", rate=0.03, schedule="linear"
)


def build(settings: Settings, start: Start) -> Method:
    """The method for what this device reads back, or for the exploration that was asked for."""
    asked = settings.exploration if settings.exploration not in (None, "auto") else choose(start)
    rest = replace(settings, exploration=None)
    capabilities = start.device.capabilities
    match asked:
        case "intrinsic-node":
            return node_perturbation.build(rest.only("intrinsic", ("update", "rate", "schedule")), start)
        case "intrinsic-weight" | "mixed":
            kept = (
                "the noise of each write stays until the next"
                if capabilities.parameter_noise == "retained"
                else ("the parameters' noise is new in each evaluation")
            )
            takes = (
                "probes",
                "estimator",
                "update",
                "rate",
                "schedule",
                *(("scale", "law") if asked == "mixed" else ()),
            )
            chosen = rest.only("intrinsic", takes).over(WEIGHTS)
            return compose(chosen, start, asked, f"weights are read back and {kept}: it is the displacement")
        case "commanded":
            takes = ("probes", "scale", "law", "estimator", "update", "rate", "schedule")
            reason = (
                f"the device reads back {capabilities.readback!r}, which shows no noise to explore with: directions "
                "are commanded, and its loss noise sets their size (c* rule)"
            )
            return compose(rest.only("intrinsic", takes).over(WEIGHTS), start, "commanded", reason)
        case _:
            return selection.build(rest, start)


def choose(start: Start) -> ExplorationChoice:
    """The exploration that this device serves best, by its declared capabilities."""
    capabilities = start.device.capabilities
    if capabilities.network is not None and capabilities.node_noise and capabilities.reads_back("nodes"):
        return "intrinsic-node"
    if capabilities.parameter_noise != "none" and capabilities.reads_back("weights"):
        return "intrinsic-weight"
    return "commanded" if capabilities.laws else "selection"
