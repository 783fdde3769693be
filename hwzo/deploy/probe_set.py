"""Whether a device computes what its weights say: its outputs on a few samples against the network's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hwzo.data.task import Task
from hwzo.network import Network
from hwzo.parameters import Array
from hwzo.probes import Batch

SAMPLES = 64
PASSES = 5
DRAWS = 16
CONVERTERS = 0.05
"""Of the outputs' rms: what rounding by converters may make of them, which the host doesn't know."""


def probe_batch(network: Network, task: Task | None, seed: int, inputs: Array | None = None) -> Batch:
    """Samples on which outputs are compared: ``inputs`` (samples, n_in) if there are any, such as a bundle's; else of
    the task's validation split; else made up."""
    if inputs is not None:
        return Batch(inputs, np.zeros((len(inputs), network.layers[-1])), "squared-error")
    if task is not None:
        whole = task.batch("validation")
        return Batch(whole.inputs[:SAMPLES], whole.targets[:SAMPLES], whole.loss)
    inputs = np.random.default_rng([seed, 8]).uniform(-1.0, 1.0, (SAMPLES, network.layers[0]))
    return Batch(inputs, np.zeros((SAMPLES, network.layers[-1])), "squared-error")


@dataclass(frozen=True)
class Agreement:
    """How a device's outputs compare with the network's.

    Args:
        inputs: (samples, n_in).
        outputs: (samples, units) of the network, without noise.
        measured: (samples, units) of the device, means over passes.
        spread: (samples, units) standard deviation over the passes.
        difference: rms of ``measured - outputs``, outputs of the network that has the weights which were reached where
            cells are known to be stuck.
        noise: rms of what noise makes of it: weights that are off as verification allows, and the passes' own.
        allowed: the limit: three times the noise, and what converters may add.
        by_accuracy: whether the device was found to do the task as well as the network, whose outputs it needn't give.
    """

    inputs: Array
    outputs: Array
    measured: Array
    spread: Array
    difference: float
    noise: float
    allowed: float
    by_accuracy: bool = False

    @property
    def agree(self) -> bool:
        """True if the difference is within the limit, or accuracy was found to agree in its place."""
        return self.by_accuracy or self.difference <= self.allowed

    @property
    def arrays(self) -> dict[str, Array]:
        """``inputs``, ``outputs``, ``measured`` and ``spread``, by name."""
        return {"inputs": self.inputs, "outputs": self.outputs, "measured": self.measured, "spread": self.spread}


def compare_outputs(
    network: Network, theta: Array, reached: Array, failed: Array, sd: Array, inputs: Array, seen: Array, seed: int
) -> Agreement:
    """Compare outputs with those of the network.

    Columns' converters end somewhere, and training on a device may drive them there: the network's outputs are cut off
    at the largest and the smallest that the device gave.

    What is explained: a network whose weights are off by ``sd``, as verification allows, differs by so much (rms over
    `DRAWS` of them); and the mean over passes has the error that their spread shows.

    Args:
        network: what the weights mean.
        theta: (n,) weights that shall be there.
        reached: (n,) weights that were read.
        failed: (n,) 1 where a cell can't hold its weight: there the network of the comparison has what was read.
        sd: (n,) standard deviation of what verification leaves, weight units of the network.
        inputs: (samples, n_in).
        seen: (passes, samples, units) outputs of the device.
        seed: of the draws.
    """
    there = np.where(failed > 0, reached, theta)
    passes = len(seen)
    spread = seen.std(axis=0, ddof=1) if passes > 1 else np.zeros(seen.shape[1:])
    measured: Array = seen.mean(axis=0)

    def outputs(weights: Array) -> Array:
        return np.clip(network.forward(weights, inputs)[-1], measured.min(), measured.max())

    expected = outputs(there)
    rng = np.random.default_rng([seed, 9])
    square = 0.0
    for _ in range(DRAWS):
        drawn = outputs(there + sd * rng.standard_normal(len(there)))
        square += float(np.square(drawn - expected).mean()) / DRAWS
    square += float(np.square(spread).mean()) / passes
    difference = float(np.sqrt(np.square(measured - expected).mean()))
    noise = float(np.sqrt(square))
    allowed = 3.0 * noise + CONVERTERS * float(np.sqrt(np.square(expected).mean()))
    return Agreement(inputs, network.forward(theta, inputs)[-1], measured, spread, difference, noise, allowed)
