"""Your own network of Lava processes, trained in place: stock processes of Lava's, a loss port, and names for its Vars.

    hwzo doctor --install lava
    python examples/05_your_own_lava_graph.py
    hwzo train --device lava:examples/05_your_own_lava_graph.py:build --task examples/05_your_own_lava_graph.py:bars \
        --method block --set batch=12 --set probes=16 --set scale=0.1 --set rate=0.05 --budget "320 evaluations"

``build`` runs inside Lava's worker, under its own Python, where hwzo isn't installed: so Lava is imported there only.
Lava's clock ticks a thousand times a second or less, so the task is a small one: half a minute on a quiet machine.
"""

import argparse
import sys
from pathlib import Path

import numpy as np


def build(inputs: int = 9, classes: int = 3, steps: int = 4, gain: float = 4.0):
    """Inputs -> Dense -> neurons with spikes of either sign -> cross-entropy of their counts."""
    from lava.proc.dense.process import Dense
    from lava.proc.lif.process import TernaryLIF

    from hwzo_backends.lava.graph import Graph, Parameter
    from hwzo_backends.lava.processes.loss import CrossEntropy

    dense = Dense(weights=np.zeros((classes, inputs)), num_message_bits=8)  # takes spikes of either sign, too
    neurons = TernaryLIF(shape=(classes,), vth_hi=1.0, vth_lo=-1.0, du=1.0, dv=0.1)
    loss = CrossEntropy(classes=classes, steps=steps, gain=gain)
    dense.a_out.connect(neurons.a_in)
    neurons.s_out.connect(loss.inputs)
    return Graph(
        loss=loss.loss,
        inputs=dense.s_in,
        targets=loss.target,
        coding="rate",
        steps=steps,
        parameters={
            "weights": Parameter(dense.weights, -1.0, 1.0, initial_sd=0.02),
            "bias": Parameter(neurons.bias_mant, -1.0, 1.0),
        },
        # TernaryLIF doesn't forget by itself what the sample before left in it.
        resets=[dense.a_buff, neurons.u, neurons.v],
    )


def bars():
    """Images of 3x3 pixels: which column is bright? Pixels are noisy, so that a clean template isn't enough."""
    from hwzo.data import Task

    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 72)
    images = -0.5 + rng.normal(0.0, 0.4, (72, 3, 3))
    images[np.arange(72), :, labels] += 1.0
    inputs = np.clip(images.reshape(72, 9), -1.0, 1.0)
    return Task.from_arrays("bars", inputs, labels, layers=(9, 3), class_names=("left", "middle", "right"))


def show(progress):
    """A line on the terminal, a few times a second."""
    told = f"{progress.share:4.0%}  loss {progress.loss:.3f}  {progress.seconds_left:.0f} s left"
    print(f"\r{told:<40}", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    import hwzo

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--evaluations", type=int, default=320)
    evaluations = parser.parse_args().evaluations
    result = hwzo.train(
        bars(),
        f"lava:{Path(__file__)}:build?steps=4",  # options of the URL go to build()
        method="block",
        probes=16,
        scale=0.1,
        rate=0.05,
        batch=12,
        budget=f"{evaluations} evaluations",
        validate_every=evaluations,
        seed=0,
        watch=show,
    )
    print(f"\n{result.device}, emulated: {result.emulated}, {result.n_parameters} parameters")
    print(f"loss after {result.evaluations} evaluations: {result.loss:.3f} (guessing: {np.log(3):.3f})")
