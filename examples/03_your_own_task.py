"""Your own task: two arrays, or a function in a file that the command line can call.

python examples/03_your_own_task.py
hwzo train --task examples/03_your_own_task.py:rings --budget "4000 evaluations"
"""

import numpy as np

import hwzo
from hwzo.data import Task


def rings() -> Task:
    """Three noisy rings in the plane, told apart by a 2-24-3 network; the splits are made for you."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 1500)
    radius = 0.25 + 0.3 * labels + 0.04 * rng.standard_normal(1500)
    angle = rng.uniform(0, 2 * np.pi, 1500)
    inputs = np.clip(np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1), -1, 1)
    return Task.from_arrays(
        "rings",
        inputs,
        labels,
        layers=(2, 24, 3),
        window=4.0,
        class_names=("inner", "middle", "outer"),
        source="generated here, seed 0",
    )


if __name__ == "__main__":
    result = hwzo.train(rings(), "crossbar:pcm", budget="6000 evaluations", seed=0)
    print(f"{result.task} on {result.device}: exploration {result.exploration}")
    print(f"test accuracy: {result.test_accuracy:.3f} ({result.test_samples} samples, read once on the noisy device)")
