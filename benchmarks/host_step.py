"""Host time a step outside the device, P = 2,410, one direction (K = 1) a step, journal included.

    python benchmarks/host_step.py [--json]

The device answers at once, so what is left is the loop: directions, estimate, update, bounds, journal. Several runs of
some thousand steps each; the median and the spread of their means are printed.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from pathlib import Path

import numpy as np
from instant import Instant
from machine import MACHINE

import hwzo
from hwzo import Capabilities, Network
from hwzo.data.task import Split, Task

NETWORK = Network((64, 32, 10))


def main() -> None:
    """Time the loop with several methods' parts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--steps", type=int, default=4000)
    options = parser.parse_args()
    if options.runs < 1 or options.steps < 1:
        parser.error("--runs and --steps should be at least 1")
    rng = np.random.default_rng(0)
    split = Split(rng.uniform(-1, 1, (1149, 64)), rng.integers(0, 10, 1149))
    small = Split(split.inputs[:8], split.targets[:8])
    task = Task("noise", NETWORK, split, small, small)
    cases = {
        "spsa, one pair a step, sgd": {"method": "spsa", "probes": 2, "update": "sgd"},
        "spsa, one pair a step, adam": {"method": "spsa", "probes": 2},
        "mgd, baseline and one probe a step": {"method": "mgd", "probes": 1},
    }
    rows = []
    for name, settings in cases.items():
        times = []
        for run in range(options.runs):
            device = Instant(NETWORK, Capabilities(laws=frozenset({"rademacher"})))
            with tempfile.TemporaryDirectory() as folder:
                result = hwzo.train(
                    task,
                    device,
                    run=Path(folder) / "run",
                    seed=run,
                    scale=0.01,
                    batch=128,
                    budget=f"{2 * options.steps} evaluations",
                    validate_every=10**9,
                    **settings,
                )
            times.append(1e6 * (result.wall_seconds - device.seconds) / result.steps)
        rows.append(
            {
                "case": name,
                "method": settings["method"],
                "microseconds": statistics.median(times),
                "spread": [min(times), max(times)],
                "n": len(times),
            }
        )
    if options.json:
        print(json.dumps({"machine": MACHINE, "rows": rows}))
        return
    for row in rows:
        low, high = row["spread"]
        print(f"{row['case']}: median {row['microseconds']:.0f} us ({low:.0f} to {high:.0f}, n = {row['n']} runs)")


if __name__ == "__main__":
    main()
