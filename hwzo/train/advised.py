"""A run's settings from a device's profile, beneath whatever the user set."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from hwzo.data.task import Task
from hwzo.device import Device
from hwzo.methods.intrinsic import choose
from hwzo.methods.method import Start
from hwzo.methods.settings import Settings
from hwzo.noise.advice import SMALLEST, Advice, advise, own_noise
from hwzo.noise.analysis import analyse
from hwzo.noise.measurements import measurements
from hwzo.noise.profile import DeviceRecord, Manifest, Profile
from hwzo.say import Say
from hwzo.train.bench import open_bench
from hwzo.train.budget import Budget
from hwzo.train.campaign import Campaign
from hwzo.train.config import TrainConfig
from hwzo.train.guard import GuardedDevice
from hwzo.train.stand import Stand

SETTINGS = ("exploration", "scale", "estimator", "probes")

SHORT = {"loss": 16, "read error": 4, "parameters": 32, "curvature": 6, "programming": 3}
"""Rounds of what a run without a profile measures at its start; the last only where noise is kept between writes."""
SHORT_SHARE = 0.05
"""Of the budget that this may take."""
TELLING = ("loss_noise_sd", "gradient_norm", "curvature_d2_rms", "parameter_noise_sigma", "read_error_sd")
"""Of what it measures, what is kept with the run."""


def advised(
    given: Mapping[str, Any],
    profile: Profile,
    *,
    task: Task | None = None,
    device: Device | None = None,
    say: Say = lambda text: None,
) -> dict[str, Any]:
    """``given`` with what a profile advises for the rest; each choice is told with its reason.

    The device is the profile's own if none is given; another one is opened and must be the same. Advice is for the
    method ``intrinsic``, and for one exploration: with another method, or another exploration, nothing is taken over.

    Args:
        given: keys of `TrainConfig` that the user set.
        profile: of the device.
        task, device: objects that are used instead of names in ``given``.
        say: is told each setting and its reason.

    Raises:
        ConfigError: the profile is of another device, or of another shape.
    """
    whole = dict(given)
    if "task" not in whole and task is None and profile.manifest.task is not None:
        whole["task"] = profile.manifest.task
    if device is not None:
        profile.check_device(device)
    elif "device" in whole:
        bench = open_bench(TrainConfig.build(whole), task, None)
        try:
            profile.check_device(bench.device)
        finally:
            bench.close()
    else:
        whole["device"] = profile.manifest.device.url
    advice = advise(profile)
    if whole.get("method", "intrinsic") != "intrinsic":
        say(f"profile: its advice is for the method intrinsic; {whole['method']} takes its own settings")
        return whole
    exploration = advice["exploration"].value
    if whole.get("exploration") not in (None, "auto", exploration):
        say(f"profile: it advises exploration {exploration}, and is left out of {whole['exploration']}'s settings")
        return whole
    for name in SETTINGS:
        if name in advice and name not in whole:
            whole[name] = advice[name].value
            say(f"profile: {line(name, advice[name])}")
        elif name in advice and whole[name] != advice[name].value and whole[name] != "auto":
            say(f"profile: {name} stays at {whole[name]}; {line(name, advice[name])}")
    if "expected_evaluations" in advice:
        say(f"profile: {line('expected_evaluations', advice['expected_evaluations'])}")
    if whole.get("exploration") == "auto":
        whole["exploration"] = exploration
    return whole


def advised_at_start(config: TrainConfig, start: Start, say: Say) -> Settings:
    """The settings of a run without a profile: what isn't set follows from a short calibration of its own.

    It measures what decides between settings, on the run's first minibatch and at its first parameters: the loss's
    noise, the parameters' noise and the error of reading them back. Only where that noise is smaller than any
    displacement worth commanding, whether it suffices is asked of the loss's derivatives too, along directions that are
    commanded: a device that explores enough by itself is commanded nothing. What it takes counts as the run's, in
    ``start``; if that were more than `SHORT_SHARE` of the budget, the method's own settings stay.

    Only the method ``intrinsic`` on a device that explores by its parameters' noise has something to choose: of nodes
    all is known beforehand, and the size of commanded displacements is measured by the method itself.

    Args:
        config: of the run, with its budget.
        start: a device that holds the first parameters, and holds them again afterwards.
        say: is told each setting and its reason.
    """
    given = config.settings
    free = given.exploration in (None, "auto") and (given.estimator is None or given.probes is None)
    if config.method != "intrinsic" or not free or choose(start) != "intrinsic-weight":
        return given
    device = GuardedDevice(start.device) if not isinstance(start.device, GuardedDevice) else start.device
    chosen = [replace(m, usual=SHORT[m.name]) for m in measurements(device) if m.name in SHORT]
    chosen = [m for m in chosen if m.name != "programming" or device.capabilities.parameter_noise == "retained"]
    evaluations = sum(m.evaluations(m.usual) for m in chosen if not m.lacks(device))
    writes = sum(m.programs(m.usual) for m in chosen if not m.lacks(device)) * 2 * device.parameters.size
    limits = Budget.parse(config.budget or "1 evaluation").limits
    if evaluations > SHORT_SHARE * limits.get("evaluations", math.inf) or writes > SHORT_SHARE * limits.get(
        "writes", math.inf
    ):
        say(
            f"estimator and probes stay the method's own: a short calibration would take {evaluations} evaluations and "
            f"{writes} writes, more than {SHORT_SHARE:.0%} of the budget"
        )
        return given
    campaign = Campaign(Stand(device, start.batch, config.task, ours=False), config.seed, None, theta=start.theta)
    with np.errstate(all="ignore"):
        readings = campaign.run([m for m in chosen if m.name != "curvature"], leave=False)
        own = own_noise(analyse(readings, device.capabilities.network).quantities)
        if own is not None and own[0].value < SMALLEST:
            readings |= campaign.run([m for m in chosen if m.name == "curvature"], leave=False)
    device.program(start.theta)
    spent = campaign.tally.spent
    start.evaluations += spent.evaluations
    start.commanded += spent.commanded_probes
    manifest = Manifest(device=DeviceRecord.of(device), hwzo="", left_out=campaign.left_out)
    found = Profile.made(manifest, analyse(readings, device.capabilities.network), readings)
    start.measured |= {name: q.value for name, q in found.quantities.items() if name in TELLING}
    say(f"a short calibration took {spent.evaluations} evaluations of the budget")
    advice = advise(found)
    for name in (*SETTINGS, "expected_evaluations"):
        if name in advice:
            say(f"calibrated: {line(name, advice[name])}")
    values = {name: getattr(given, name) for name in SETTINGS if getattr(given, name) not in (None, "auto")}
    values = {name: advice[name].value for name in SETTINGS if name in advice} | values
    return replace(given, **values)


def line(name: str, advice: Advice) -> str:
    """One piece of advice, as a user reads it."""
    return f"{name.replace('_', ' ')} {advice.value}: {advice.reason}"
