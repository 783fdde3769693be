"""Do both modes count the same spikes? ``python -m hwzo_backends.lava "lava:lif?layers=64-32-10"`` tells.

Trial mode computes with arithmetic of ours, graph mode is Lava's own Dense and LIFReset. For the same parameters,
inputs and noise they must agree in every spike of every layer and every bit of v, in both precisions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from hwzo.errors import VerificationError
from hwzo.parameters import Array
from hwzo_backends.lava import environment
from hwzo_backends.lava.lif import Precision
from hwzo_backends.lava.options import MOST_COPIES, Options
from hwzo_backends.lava.plan import question
from hwzo_backends.lava.registers import Registers
from hwzo_backends.lava.worker import Worker

SETS = 4
SAMPLES = 4
MOST_S = 3600.0


@dataclass(frozen=True)
class Verified:
    """What was compared, and found equal.

    Args:
        device: URL.
        evaluations: parameter sets times precisions.
        samples: that each was evaluated on.
        spikes: of all layers, each in the same neuron and the same step.
        membranes: v of the last layer at the end of each sample, to the last bit.
    """

    device: str
    evaluations: int
    samples: int
    spikes: int
    membranes: int

    def __str__(self) -> str:
        return (
            f"{self.device}: trial and graph mode agree in {self.evaluations} evaluations of {self.samples} samples: "
            f"{self.spikes:,} spikes, each in its neuron and step, and {self.membranes:,} membranes to the last bit"
        )


def verify(
    options: Options, *, theta: Array | None = None, inputs: Array | None = None, sets: int = SETS, seed: int = 0
) -> Verified:
    """Run parameters through both modes, in both precisions.

    Args:
        options: of the network, its neurons, coding and noise.
        theta: (n_params,) parameters to be compared besides random ones, weight units.
        inputs: (batch, n_inputs); None: a few random samples.
        sets: how many random parameter sets.
        seed: of those, and of the samples.

    Raises:
        VerificationError: they differ, and where first; or no neuron spiked, so that there was nothing to compare.
        DeviceError: Lava isn't installed, or fails.
    """
    rng = np.random.default_rng(seed)
    chosen = rng.uniform(-1.0, 1.0, (SAMPLES, options.network.layers[0])) if inputs is None else inputs
    python = environment.python()
    evaluations = spikes = membranes = 0
    for precision in get_args(Precision):
        same = options.model_copy(update={"precision": precision})
        plan = same.plan()
        registers = Registers.by(same)
        spec = registers.spec()
        rows = [rng.uniform(spec.lower, spec.upper) for _ in range(sets)]
        parameters = registers.of(np.stack(rows if theta is None else [spec.clip(theta), *rows]))
        words, arrays = question(parameters, chosen, evaluation=0, outputs=("membrane", "raster"))
        told: list[dict[str, NDArray[Any]]] = []
        for mode in ("trial", "graph"):
            setup = {"mode": mode, "plan": plan.as_words(), "copies": min(len(parameters), MOST_COPIES)}
            setup |= {"hardware": "none", "raster": True}
            with Worker(python, setup, f"lava:lif, {mode} mode") as worker:
                told.append(worker.ask(words, arrays, timeout_s=MOST_S)[1])
        rasters = [f"raster{layer}" for layer in range(len(plan.layers))]
        for name in ("membrane", *rasters):
            _compare(str(same.url()), name, told[0][name], told[1][name])
        evaluations += len(parameters)
        spikes += sum(int(told[0][name].sum()) for name in rasters)
        membranes += told[0]["membrane"].size
    if not spikes and (len(options.network.layers) > 2 or options.readout == "counts"):
        raise VerificationError(
            f"{options.url()}: no neuron spiked in {evaluations} evaluations of {len(chosen)} samples, so nothing was "
            "compared; give other inputs, more parameter sets (sets=), or a lower threshold (vth=)"
        )
    return Verified(str(options.url()), evaluations, len(chosen), spikes, membranes)


def _compare(url: str, name: str, trial: NDArray[Any], graph: NDArray[Any]) -> None:
    """Raise where they differ; arrays (set, sample, ...)."""
    if trial.shape == graph.shape and np.array_equal(trial, graph):
        return
    differ = np.argwhere(trial != graph)
    at = tuple(int(i) for i in differ[0])
    if name == "membrane":
        what, where = "membranes of the last layer", f"neuron {at[2]}: {trial[at]} and {graph[at]}"
    else:
        what = f"steps of neurons of layer {name.removeprefix('raster')}"
        where = f"step {at[2]}, neuron {at[3]}: " + ("a spike, and none" if trial[at] else "no spike, and one")
    raise VerificationError(
        f"{url}: trial and graph mode differ in {len(differ)} of {trial.size} {what}; first in set {at[0]}, sample "
        f"{at[1]}, {where}"
    )
