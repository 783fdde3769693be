"""What a deployment is worth: accuracies, and whether outputs agree with the network's."""

from __future__ import annotations

import math
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
    """How the device's outputs compare with those of the network with weights ``theta`` (n,); None if it has none."""
    network, mapping = work.guard.capabilities.network, device.mapping
    if network is None or not work.guard.gives_outputs:
        return None
    batch = probe_set.probe_batch(network, work.task, work.settings.seed)
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
    if not agreement.agree:
        work.say(
            f"outputs on {len(batch)} probe samples differ from the network's by {agreement.difference:.3g} (rms); "
            f"noise explains {agreement.allowed:.3g}"
        )
    return agreement


def _outputs(device: MappedDevice, batch: Batch) -> Array:
    """(passes, samples, units) of a few passes."""
    outputs = device.measure(Probes.plain(probe_set.PASSES, want="outputs"), batch).outputs
    assert outputs is not None  # the guard has seen to it
    return outputs
