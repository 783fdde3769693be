"""Fashion-MNIST on an emulated phase-change-memory crossbar, by its nodes' own noise: accuracy, time, learning curve.

    python benchmarks/fashion.py [--case perceptron | cnn] [--seeds N] [--picture FILE.png] [--json]

Nothing is commanded: two noisy passes a step. ``perceptron`` is 784-256-10. ``cnn`` is the network of 14,378 parameters
that multiplexed gradient descent was shown on (McCaughan et al., APL Machine Learning 1, 026118, 2023), three 3 x 3
convolutions with pooling; it shows that convolutions learn, not how far they get. Settings were chosen on validation
images, with other seeds. The 10,000 test images are read once, at the end. Wall time includes loading the data,
validation and the test.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from machine import MACHINE

import hwzo


@dataclass(frozen=True)
class Case:
    """A row: what is trained, and with which settings."""

    layers: str
    bar: str
    batch: int
    rate: float
    evaluations: int
    device: str


CASES = {
    "perceptron": Case("784-256-10", ">= .83 within 15 min", 1024, 0.002, 12_000, "crossbar:pcm?window=0.5&threads=2"),
    "cnn": Case("28x28x1-16c3-p2-32c3-p2-32c3-p2-10", "trains", 128, 0.003, 3_000, "crossbar:pcm?window=1.0&threads=2"),
}
LOOKS = 16  # at the validation images, over a run


def main() -> None:
    """Train, and say how well and how long."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", choices=CASES, default="perceptron")
    parser.add_argument("--seeds", type=int, default=1, help="runs, with seeds 0, 1, ...")
    parser.add_argument("--evaluations", type=int, help="other than the case's")
    parser.add_argument("--picture", type=Path, help="draw the learning curves there")
    parser.add_argument("--json", action="store_true", help="one object on standard output")
    options = parser.parse_args()
    if options.seeds < 1 or (options.evaluations or 2) < 2:
        parser.error("--seeds should be at least 1, --evaluations at least 2")
    case = CASES[options.case]
    runs = [train(case, seed, options.evaluations or case.evaluations) for seed in range(options.seeds)]
    accuracies = [run["test_accuracy"] for run in runs]
    row = {
        "case": f"fashion-mnist {case.layers}",
        "method": runs[0]["method"],
        "device": runs[0]["device"],
        "emulated": True,
        "bar": case.bar,
        "test_accuracy": statistics.fmean(accuracies),
        "spread": statistics.stdev(accuracies) / len(runs) ** 0.5 if len(runs) > 1 else None,
        "minutes": statistics.median(run["minutes"] for run in runs),
        "processor_minutes": statistics.median(run["processor_minutes"] for run in runs),
        "evaluations": runs[0]["evaluations"],
        "n": len(runs),
        "curves": [run["curve"] for run in runs],
    }
    if options.picture:
        draw(row, options.picture)
    if options.json:
        print(json.dumps({"machine": MACHINE, "rows": [row]}))
        return
    spread = "" if row["spread"] is None else f" +- {row['spread']:.4f}"
    print(f"{row['case']} on {row['device']} (emulated); {MACHINE}")
    print(f"{row['method']}, {row['evaluations']:,} evaluations; {case.bar}")
    print(f"test accuracy {row['test_accuracy']:.4f}{spread} (n = {row['n']})")
    print(f"{row['minutes']:.1f} min a run, {row['processor_minutes']:.1f} of a processor")
    for evaluations, accuracy in runs[0]["curve"]:
        print(f"  {evaluations:>7,} evaluations: validation {accuracy:.4f}")


def train(case: Case, seed: int, evaluations: int) -> dict[str, Any]:
    """One run in a folder that is thrown away."""
    start, busy = time.perf_counter(), time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        result = hwzo.train(
            "fashion-mnist",
            case.device,
            layers=case.layers,
            batch=case.batch,
            rate=case.rate,
            budget=f"{evaluations} evaluations",
            validate_every=max(1, evaluations // LOOKS),
            seed=seed,
            run=Path(folder) / "run",
        )
        minutes, processor = (time.perf_counter() - start) / 60.0, (time.process_time() - busy) / 60.0
        looks = hwzo.load_run(result.run).validations
    print(
        f"seed {seed}: test {result.test_accuracy:.4f}, {minutes:.1f} min, {processor:.1f} of a processor",
        file=sys.stderr,
        flush=True,
    )
    return {
        "method": result.exploration,
        "device": result.device,
        "test_accuracy": result.test_accuracy,
        "minutes": minutes,
        "processor_minutes": processor,
        "evaluations": result.evaluations,
        "curve": [(look.evaluations, look.accuracy) for look in looks],
    }


def draw(row: dict[str, Any], path: Path) -> None:
    """Validation accuracy against evaluations, a line a seed."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
    for seed, curve in enumerate(row["curves"]):
        axes.plot(*zip(*curve, strict=True), marker=".", label=f"seed {seed}")
    axes.axhline(row["test_accuracy"], color="0.5", linestyle="--", label=f"test {row['test_accuracy']:.3f}")
    axes.set(xlabel="evaluations of a minibatch", ylabel="validation accuracy", ylim=(0, 1))
    axes.set_title(f"{row['case']}, emulated PCM, its nodes' own noise", fontsize=10)
    axes.legend()
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
