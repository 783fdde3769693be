"""The table of the README: accuracies and evaluations on emulated devices, mean over seeds with standard error.

    python benchmarks/figures.py [--json] [--seeds 5]

Test accuracies are read once at the end of each run, on the noisy device. Everything is emulated.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import hwzo
from hwzo.train.result import Result


@dataclass(frozen=True)
class Case:
    """One line of the table."""

    name: str
    bar: str
    task: str
    device: str
    settings: dict[str, object]
    seeds: int | None = None


FLOAT = "crossbar:ideal?dac_bits=0&adc_bits=0"
CASES = (
    Case("backprop reference, float", "measured", "digits", FLOAT, {"method": "backprop"}),
    Case("hwzo train: pcm, intrinsic-node", "test >= .960; 95% by 2,000", "digits", "crossbar:pcm", {}),
    Case(
        "intrinsic-weight, sigma .03",
        "test >= .955; 95% by 7,000",
        "digits",
        "crossbar:ideal?sigma=0.03",
        {"budget": "20000 evaluations"},
    ),
    Case("block, ideal device", "test >= .958", "digits", "crossbar:ideal", {"method": "block"}),
    Case("spsa, ideal device", "test >= .948", "digits", "crossbar:ideal", {"method": "spsa"}),
    Case("xor by its own noise", "8 of 10 solve", "xor", "crossbar:pcm", {}, 10),
    Case("nist7x7 by its own noise", "90% reached", "nist7x7", "crossbar:pcm", {}),
)


def main() -> None:
    """Run all cases and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--only", default="", help="run the cases whose name holds this text")
    options = parser.parse_args()
    rows: list[dict[str, object]] = []
    for case in CASES:
        if options.only not in case.name:
            continue
        seeds = case.seeds or options.seeds
        row = summary(case, [run(case, seed) for seed in range(seeds)])
        rows.append(row)
        print(line(row), file=sys.stderr, flush=True)
    if options.json:
        print(json.dumps({"machine": f"{platform.machine()}, {os.cpu_count()} cores", "rows": rows}))
    else:
        print("| case (emulated) | bar | test accuracy | 95% validation after | commanded probes | training | n |")
        print("| --- | --- | --- | --- | --- | --- | --- |")
        print("\n".join(line(row) for row in rows))


def run(case: Case, seed: int) -> Result:
    """One run in a folder that is thrown away."""
    with tempfile.TemporaryDirectory() as folder:
        return hwzo.train(case.task, case.device, run=Path(folder) / "run", seed=seed, **case.settings)


def summary(case: Case, results: list[Result]) -> dict[str, object]:
    """Mean and standard error over the seeds."""
    accuracies = [r.test_accuracy for r in results if r.test_accuracy is not None]
    reached = sorted(r.evaluations_to_target or sys.maxsize for r in results)
    n = len(results)
    median = statistics.median_low(reached)
    return {
        "case": case.name,
        "method": results[0].exploration,
        "bar": case.bar,
        "test_accuracy": statistics.fmean(accuracies),
        "spread": statistics.stdev(accuracies) / n**0.5 if n > 1 else None,
        "evaluations_to_95": None if median == sys.maxsize else median,
        "reached": sum(value != sys.maxsize for value in reached),
        "evaluations": results[0].evaluations,
        "commanded_probes": max(r.commanded_probes for r in results),
        "wall_seconds": statistics.median(r.wall_seconds for r in results),
        "n": n,
    }


def line(row: dict[str, object]) -> str:
    """A row in Markdown."""
    spread = "" if row["spread"] is None else f" +- {row['spread']:.4f}"
    to = "-" if row["evaluations_to_95"] is None else f"{row['evaluations_to_95']:,}"
    return (
        f"| {row['case']} ({row['method']}, {row['evaluations']:,} evaluations) | {row['bar']} | "
        f"{row['test_accuracy']:.4f}{spread} | {to} (median; {row['reached']} of {row['n']}) | "
        f"{row['commanded_probes']:,} | {row['wall_seconds']:.1f} s | {row['n']} |"
    )


if __name__ == "__main__":
    main()
