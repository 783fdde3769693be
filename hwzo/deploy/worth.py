"""What a deployment is worth: accuracies, and whether outputs agree with the network's."""

from __future__ import annotations

import math
from dataclasses import replace
from statistics import fmean, stdev
from typing import Any

import numpy as np

from hwzo.data.task import SplitName
from hwzo.deploy import probe_set
from hwzo.deploy.closed_loop import Written
from hwzo.deploy.mapped import MappedDevice
from hwzo.deploy.tolerance import Tolerance
from hwzo.deploy.work import Work
from hwzo.network import accuracy
from hwzo.parameters import Array
from hwzo.probes import Batch, Probes

FAR = 0.02
FAR_ERRORS = 3.0
"""Validation accuracy is far below another one if it is by more than `FAR`, and by so many standard errors."""


def accuracy_on(
    work: Work, split: SplitName, device: MappedDevice, name: str
) -> tuple[float, float] | tuple[None, None]:
    """Mean accuracy over passes, and its standard error; (None, None) without a task, or without outputs."""
    task = work.task
    if task is None or not work.guard.gives_outputs:
        return None, None
    batch = task.batch(split)

    def act() -> dict[str, Any]:
        return {"right": np.asarray(accuracy(_outputs(device, batch), batch.targets, batch.loss))}

    right = [float(x) for x in work.take(name, act).arrays["right"]]
    return fmean(right), stdev(right) / math.sqrt(len(right)) if len(right) > 1 else 0.0


def validated(work: Work, stage: str, device: MappedDevice) -> tuple[float, float] | tuple[None, None]:
    """The accuracy on the validation split, said and kept for the file."""
    mean, error = accuracy_on(work, "validation", device, f"validation, {stage}")
    if mean is None or error is None:
        return None, None
    work.validation.append({"stage": stage, "accuracy": mean, "standard_error": error})
    work.say(f"validation accuracy, {stage}: {mean:.4f} +- {error:.4f} ({probe_set.PASSES} passes)")
    return mean, error


def outputs_on_probes(
    work: Work, theta: Array, device: MappedDevice, written: Written, targets: Array, tolerance: Tolerance
) -> probe_set.Agreement | None:
    """How the device's outputs compare with those of the network with weights ``theta`` (n,); None if it has none.

    Neurons may only come near to the network's activation, such as spiking ones to relu. So where outputs disagree, and
    the weights were learned on a device of the same model, which is then known to work with them, what counts is that
    validation accuracy isn't far below what it was there, or the network's own if nobody knows: units in a wrong order
    would bring it down to chance.
    """
    network, mapping = work.guard.capabilities.network, device.mapping
    if network is None or not work.guard.gives_outputs:
        return None
    batch = probe_set.probe_batch(network, work.task, work.settings.seed, work.probes)
    work.show("comparing outputs", 0.95)
    seen = work.take("outputs", lambda: {"outputs": _outputs(device, batch)}).arrays["outputs"]
    failed = ~written.within(targets, tolerance)
    sd = max(tolerance.value / 3.0, tolerance.noise)
    agreement = probe_set.compare_outputs(
        network,
        theta,
        mapping.weights(written.reached),
        mapping.to_weights(failed).astype(np.float64),
        sd * np.asarray(mapping.to_weights(mapping.gain_of_cells), dtype=np.float64),
        batch.inputs,
        np.asarray(seen, dtype=np.float64),
        work.settings.seed,
    )
    if agreement.agree:
        return agreement
    told = (
        f"outputs on {len(batch)} probe samples differ from the network's by {agreement.difference:.3g} (rms), of "
        f"which noise explains {agreement.noise:.3g}; the limit is {agreement.allowed:.3g}"
    )
    expected = work.learned_accuracy if work.learned_accuracy is not None else float_accuracy(work, theta)
    if not work.validation or expected is None or not same_model(work.weights.device, work.guard.info.model):
        work.say(told)
        return agreement
    last = work.validation[-1]
    reached, error = float(str(last["accuracy"])), float(str(last["standard_error"]))
    fine = not far_below(reached, error, expected)
    work.say(
        f"{told}; the weights were learned on this model of device, which needn't compute as the network does: "
        f"validation accuracy is {reached:.4f} where {expected:.4f} is expected, which "
        + ("agrees" if fine else "doesn't agree")
    )
    return replace(agreement, by_accuracy=fine)


def same_model(url: str, model: str) -> bool:
    """Whether a device's URL is one of that model, such as ``"lava:lif"``."""
    return bool(url) and url.partition("?")[0].rstrip("/") == model


def float_accuracy(work: Work, theta: Array) -> float | None:
    """On the validation split, of the network on the host with weights ``theta`` (n,); None if there is none."""
    network, task = work.guard.capabilities.network, work.task
    if network is None or task is None:
        return None
    batch = task.batch("validation")
    return float(accuracy(network.forward(theta, batch.inputs)[-1], batch.targets, batch.loss))


def far_below(reached: float, error: float, expected: float) -> bool:
    """Whether a validation accuracy is below another one by more than noise and what a user would care for."""
    return expected - reached > max(FAR, FAR_ERRORS * error)


def warn_if_far_below(work: Work, theta: Array) -> None:
    """Say so where validation accuracy ended far below that of the network with weights ``theta`` (n,), or fell by
    verifying."""
    if not work.validation:
        return
    stages = {str(stage["stage"]): stage for stage in work.validation}
    last = work.validation[-1]
    reached, error = float(str(last["accuracy"])), float(str(last["standard_error"]))
    expected = float_accuracy(work, theta)
    if expected is not None and far_below(reached, error, expected):
        work.say(
            f"warning: validation accuracy is {reached:.4f}, that of the network in float {expected:.4f}: this device "
            "costs that much; a touch-up (--touch-up) or a calibrated mapping (--profile) may win some of it back"
        )
    once, verified = stages.get("written once"), stages.get("verified")
    if once is None or verified is None:
        return
    before, after = float(str(once["accuracy"])), float(str(verified["accuracy"]))
    both = math.hypot(float(str(once["standard_error"])), float(str(verified["standard_error"])))
    if far_below(after, both, before):
        work.say(
            f"warning: verifying brought validation accuracy from {before:.4f} down to {after:.4f}: cells may have "
            "worn out or be stuck; see the states of the cells on the page"
        )


def _outputs(device: MappedDevice, batch: Batch) -> Array:
    """(passes, samples, units) of a few passes."""
    outputs = device.measure(Probes.plain(probe_set.PASSES, want="outputs"), batch).outputs
    assert outputs is not None  # the guard has seen to it
    return outputs
