"""Host time a step outside the device, P = 2,410, one direction (K = 1) a step, journal included.

    python benchmarks/host_step.py [--json]

The device answers at once, so what is left is the loop: directions, estimate, update, bounds, journal. Several runs of
some thousand steps each; the median and the spread of their means are printed.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

import hwzo
from hwzo import Batch, Capabilities, Cost, DeviceInfo, Network, ParameterSpec, Probes, Readings, Update
from hwzo.data.task import Split, Task

NETWORK = Network((64, 32, 10))


class Instant:
    """A device that takes no time, and counts what it took."""

    info = DeviceInfo("instant:", "instant", "0", "1", emulated=True)
    capabilities = Capabilities(laws=frozenset({"rademacher"}))

    def __init__(self) -> None:
        self.parameters: ParameterSpec = NETWORK.parameter_spec(1.0)
        self.seconds = 0.0

    def program(self, theta: np.ndarray, *, mask: np.ndarray | None = None) -> Cost:
        return Cost()

    def measure(self, probes: Probes, batch: Batch) -> Readings:
        start = time.perf_counter()
        losses = 0.001 * np.arange(len(probes)) + 1.0
        self.seconds += time.perf_counter() - start
        return Readings(losses)

    def apply(self, update: Update) -> Cost:
        return Cost()

    def read(self, repeats: int = 1) -> np.ndarray:
        raise hwzo.CapabilityError("nothing to read")

    def close(self) -> None:
        pass


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
            device = Instant()
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
        print(json.dumps({"machine": f"{platform.machine()}, {os.cpu_count()} cores", "rows": rows}))
        return
    for row in rows:
        low, high = row["spread"]
        print(f"{row['case']}: median {row['microseconds']:.0f} us ({low:.0f} to {high:.0f}, n = {row['n']} runs)")


if __name__ == "__main__":
    main()
