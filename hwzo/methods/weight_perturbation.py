"""Weight perturbation, commanded, intrinsic or mixed: what `block`, `spsa`, `mgd` and `intrinsic` are made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from hwzo.device import Device
from hwzo.directions import Directions, second_moment
from hwzo.errors import CapabilityError, ConfigError
from hwzo.estimate.antithetic import antithetic
from hwzo.estimate.block import block
from hwzo.estimate.difference import difference
from hwzo.estimate.forward import forward
from hwzo.estimate.least_squares import least_squares
from hwzo.explore.evidence import Evidence
from hwzo.explore.weights import SPALL_GAMMA, WeightExploration, check_pairs
from hwzo.methods.composition import Composition, Rate
from hwzo.methods.grid_steps import SIGNS, UNITS, GridSteps, resolution_of
from hwzo.methods.method import Start
from hwzo.methods.serving import instead
from hwzo.methods.settings import Estimator, Exploration, Settings, known
from hwzo.noise.probe_size import EVALUATIONS, probe_size
from hwzo.noise.read_error import read_error_variance
from hwzo.parameters import Array
from hwzo.probes import Law
from hwzo.update import UPDATES, UpdateRule

LINEAR: tuple[Estimator, ...] = ("block", "antithetic", "forward")
"""Estimators that are linear in the displacements, their variance given."""

CENTRED: tuple[Estimator, ...] = ("block", "difference", "least-squares")
"""Estimators that see only what readings of a step differ by."""

Fitness = Callable[[Evidence], Array]
"""What an estimator is given instead of the losses (N,): the same number of values, that fall where the loss falls."""

FINAL_RATE = 0.02
UNMEASURED = 0.05
"""Weight units of displacement where nothing says better."""
TRIAL, TRIAL_ALONE = 0.05, 0.5
"""Weight units that the c* rule tries; its answer is at most 4 times that. One parameter alone moves the loss less than
all of them at once, by the root of their number, and is displaced up to as far as it could be programmed."""
SPALL_ALPHA = 0.602
SPALL_STABILITY = 100.0


def compose(
    settings: Settings,
    defaults: Settings,
    start: Start,
    exploration: Exploration,
    reason: str,
    *,
    method: str,
    takes: Sequence[str],
    fitness: Fitness | None = None,
) -> Composition:
    """A weight-perturbation method.

    Args:
        settings: what the user set.
        defaults: probes, estimator, update, rate and schedule or gains must be set; a scale may be measured, a law is
            `normal_law` if there is none.
        start: the device and what is known of it.
        exploration: commanded, intrinsic-weight or mixed.
        reason: for the user.
        method: its name.
        takes: the settings that it takes.
        fitness: makes of the losses what the estimator is given; None: the losses themselves.

    Raises:
        CapabilityError: the device can't be commanded along the law, has no noise to read, or doesn't read back.
        ConfigError: settings that don't go together.
    """
    chosen = settings.only(method, takes).over(defaults)
    chosen = replace(chosen, law=chosen.law or normal_law(start))
    device, capabilities = start.device, start.device.capabilities
    law: Law = known(chosen.law)
    estimator: Estimator = known(chosen.estimator)
    n = known(chosen.probes)
    commands, reads = exploration != "intrinsic-weight", exploration != "commanded"
    if commands:
        check_law(device, law)
    if reads and not (capabilities.reads_back("weights") and capabilities.parameter_noise != "none"):
        raise CapabilityError(
            f"{device.info} reads back {capabilities.readback!r} and has parameter noise "
            f"{capabilities.parameter_noise!r}: exploration {exploration!r} needs weights read back and noise in them; "
            f"{instead(device)}"
        )
    paired = estimator == "antithetic"
    if paired and not commands:
        raise ConfigError(
            "estimator = 'antithetic' needs commanded pairs; intrinsic noise comes as it likes", key="estimator"
        )
    if estimator == "forward" and reads:
        raise ConfigError(
            "estimator = 'forward' needs an undisplaced baseline, which a noisy device has not", key="estimator"
        )
    if paired:
        check_pairs(n)
    least = 1 if estimator == "forward" else 3 if estimator == "difference" else 2
    if n < least:
        compares = f"estimator {estimator!r}" if "estimator" in takes else method
        raise ConfigError(
            f"probes = {n}: {compares} compares readings with each other and needs at least {least} a step; 'mgd' "
            "compares one with an undisplaced reading",
            key="probes",
        )
    if commands and law == "walsh" and estimator in CENTRED:
        raise ConfigError(
            f"law = 'walsh': estimator {estimator!r} compares readings with each other, and the directions of a step "
            "are alike in some parameters, which would never learn; use another law, or estimator 'antithetic' or "
            "'forward'",
            key="law",
        )

    error = start.quantity("read_error_variance", lambda: read_error_variance(device)) if reads else 0.0
    scale = scale_along(law, chosen, start, central=paired) if commands else 0.0
    moment = second_moment(law, device.parameters)
    start.settings = replace(chosen, scale=scale).keep(takes)
    resolution = resolution_of(device.parameters) if commands and law in UNITS else 0.0
    along = Directions(law, device.parameters, start.key)
    replayed = resolution > 0 and law in SIGNS and not reads and chosen.update == "sgd" and estimator in LINEAR
    explore = WeightExploration(
        along,
        n,
        scale=scale,
        antithetic=paired,
        baseline=estimator == "forward",
        read_back=reads,
        reprogram=reads and capabilities.parameter_noise == "retained",
        decay=SPALL_GAMMA if chosen.gains == "spall" else 0.0,
        resolution=resolution,
    )
    return Composition(
        exploration,
        explore,
        lambda evidence, theta: _estimate(
            estimator,
            evidence if fitness is None else replace(evidence, losses=fitness(evidence)),
            None if reads else moment,
            error,
        ),
        update_of(chosen),
        rate_of(chosen),
        device.parameters,
        reason,
        GridSteps(along, resolution) if replayed else None,
    )


def check_law(device: Device, law: Law) -> None:
    """Check that a device can be commanded along a law.

    Raises:
        CapabilityError: it can't; says which it has, and what works without.
    """
    laws = device.capabilities.laws
    if law not in laws:
        has = ", ".join(sorted(laws)) or "none"
        raise CapabilityError(
            f"{device.info} can't be commanded along {law} directions (it has: {has}); {instead(device)}"
        )


def check_counted(law: Law | None) -> None:
    """Check that a law gives another direction each step, as is needed where a step has one of them.

    Raises:
        ConfigError: ``coordinate``, whose directions are told apart by their number in a step and not by the step.
    """
    if law == "coordinate":
        raise ConfigError(
            "law = 'coordinate': one direction a step would be the same parameter's for ever; use 'sparse', or the "
            "method 'coordinate'",
            key="law",
        )


def normal_law(start: Start) -> Law:
    """Normal directions, as most papers have them, or signs on a device that has no normal ones, such as a board."""
    laws = start.device.capabilities.laws
    return "rademacher" if "gaussian" not in laws and "rademacher" in laws else "gaussian"


def scale_along(law: Law, chosen: Settings, start: Start, *, central: bool) -> float:
    """The displacement's size along a law that the device can be commanded along: the one chosen, or by the c* rule."""
    if chosen.scale is not None:
        return chosen.scale
    return start.quantity("probe_size", lambda: _measured_scale(start, law, central=central))


def scale_of(chosen: Settings, start: Start, *, central: bool) -> float:
    """The displacement's size for a method that programs its own: the one chosen, or by the c* rule, along signs.

    On a device that can't be commanded, where the rule can't be measured, `UNMEASURED` weight units.
    """
    if chosen.scale is None and "rademacher" not in start.device.capabilities.laws:
        return UNMEASURED
    return scale_along("rademacher", chosen, start, central=central)


def update_of(chosen: Settings) -> UpdateRule:
    """The rule that makes steps of gradients."""
    return UPDATES[known(chosen.update)]


def rate_of(chosen: Settings) -> Rate:
    """The learning rate by step and share of the budget spent."""
    rate = known(chosen.rate)
    if chosen.gains == "spall":  # Spall (1998): a / (A + k + 1)^alpha, here with a such that the first rate is ``rate``
        return lambda t, progress: rate * ((SPALL_STABILITY + 1) / (SPALL_STABILITY + t + 1)) ** SPALL_ALPHA
    if chosen.schedule == "constant":
        return lambda t, progress: rate
    return lambda t, progress: rate * (1.0 - min(progress, 1.0) * (1.0 - FINAL_RATE))


def _estimate(estimator: Estimator, evidence: Evidence, moment: float | None, read_error: float) -> Array:
    """The gradient; ``moment`` is E[z_i^2] of directions that were commanded and nothing else."""
    moved = evidence.displacements
    if moved is None:
        raise CapabilityError("weight perturbation needs displacements of the parameters")
    scales = evidence.scales
    if estimator == "antithetic":  # a pair may lie inwards of theta: how far apart its two are is what counts
        scales = 0.5 * (scales[0::2] - scales[1::2])
    variance = None if moment is None else moment * float(np.abs(scales).max()) ** 2
    match estimator:
        case "block":
            return block(moved, evidence.losses, read_error_variance=read_error, variance=variance)
        case "antithetic":
            return antithetic(moved, evidence.losses, read_error_variance=read_error, variance=variance)
        case "least-squares":
            return least_squares(moved, evidence.losses)
        case "difference":
            return difference(moved, evidence.losses, read_error_variance=read_error)
        case "forward":
            return forward(moved, evidence.losses, variance=variance)


def _measured_scale(start: Start, law: Law, *, central: bool) -> float:
    parameters = start.device.parameters
    trial = farthest = TRIAL
    if law == "coordinate":
        farthest = 0.5 * float((parameters.upper - parameters.lower).min())
        trial = min(TRIAL_ALONE, 0.5 * farthest)
    grid = resolution_of(parameters) if law in UNITS else 0.0
    if grid:  # or c and 2c would be rounded to displacements that aren't one twice the other
        trial = max(1.0, round(trial / grid)) * grid
    size = probe_size(start.device, start.batch, law=law, key=start.key, central=central, trial=trial)
    start.evaluations += EVALUATIONS
    start.commanded += EVALUATIONS - 8
    start.measured["loss_sd"] = size.loss_sd
    return min(size.scale, max(farthest, 4.0 * TRIAL))
