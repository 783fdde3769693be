"""The table of the README: accuracies and evaluations on emulated devices, mean over seeds with standard error.

    python benchmarks/figures.py [--json] [--seeds 5] [--only TEXT]

Test accuracies are read once at the end of each run, on the noisy device. Everything is emulated.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from machine import MACHINE

import hwzo
from hwzo.data.logic import SOLVED
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
    goal: float = 0.95  # validation accuracy; for squared error, a mean squared error to be below


FLOAT = "crossbar:ideal?dac_bits=0&adc_bits=0"
CASES = (
    Case("backprop reference, float", "measured", "digits", FLOAT, {"method": "backprop"}),
    Case("backprop's float gradient, on pcm", "measured", "digits", "crossbar:pcm", {"method": "backprop"}),
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
    Case("xor, sigma .05, by its own noise", "8 of 10 solve", "xor", "crossbar:ideal?sigma=0.05", {}, 10, SOLVED),
    Case("nist7x7, pcm, by its own noise", "90% reached", "nist7x7", "crossbar:pcm", {}, goal=0.90),
)


def main() -> None:
    """Run all cases and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--only", default="", help="run the cases whose name holds this text")
    options = parser.parse_args()
    if not any(options.only in case.name for case in CASES):
        parser.error(f"--only {options.only!r} is in none of {', '.join(case.name for case in CASES)}")
    rows: list[dict[str, object]] = []
    for case in CASES:
        if options.only not in case.name:
            continue
        seeds = case.seeds or options.seeds
        row = summary(case, [run(case, seed) for seed in range(seeds)])
        rows.append(row)
        print(line(row), file=sys.stderr, flush=True)
    if options.json:
        print(json.dumps({"machine": MACHINE, "rows": rows}))
    else:
        print("| case (emulated) | bar | test accuracy | goal on validation: evaluations | commanded | training | n |")
        print("| --- | --- | --- | --- | --- | --- | --- |")
        print("\n".join(line(row) for row in rows))


@dataclass(frozen=True)
class Outcome:
    """One run: its result, and after how many evaluations the goal was first met on validation, if it was."""

    result: Result
    to_goal: int | None


def run(case: Case, seed: int) -> Outcome:
    """One run in a folder that is thrown away."""
    with tempfile.TemporaryDirectory() as folder:
        result = hwzo.train(case.task, case.device, run=Path(folder) / "run", seed=seed, **case.settings)
        looks = hwzo.load_run(result.run).validations
        if case.goal < 0.5:  # solved is solved at the end, on the mean of many noisy reads
            solved = hwzo.evaluate(result.run, repeats=50).loss < case.goal
            met = [look.evaluations for look in looks if solved and look.loss < case.goal]
        else:
            met = [look.evaluations for look in looks if (look.accuracy or 0.0) >= case.goal]
        return Outcome(result, met[0] if met else None)


def summary(case: Case, outcomes: list[Outcome]) -> dict[str, object]:
    """Mean and standard error over the seeds."""
    results = [outcome.result for outcome in outcomes]
    accuracies = [result.test_accuracy or 0.0 for result in results]
    met = sorted(sys.maxsize if outcome.to_goal is None else outcome.to_goal for outcome in outcomes)
    n = len(results)
    median = statistics.median_low(met)
    return {
        "case": case.name,
        "method": results[0].exploration,
        "bar": case.bar,
        "goal": f"MSE < {case.goal:g}" if case.goal < 0.5 else f"{case.goal:.0%}",
        "test_accuracy": statistics.fmean(accuracies),
        "spread": statistics.stdev(accuracies) / n**0.5 if n > 1 else None,
        "evaluations_to_goal": None if median == sys.maxsize else median,
        "reached": sum(value != sys.maxsize for value in met),
        "evaluations": results[0].evaluations,
        "commanded_probes": max(result.commanded_probes for result in results),
        "wall_seconds": statistics.median(result.wall_seconds for result in results),
        "n": n,
    }


def line(row: dict[str, object]) -> str:
    """A row in Markdown."""
    spread = "" if row["spread"] is None else f" +- {row['spread']:.4f}"
    to = "-" if row["evaluations_to_goal"] is None else f"{row['evaluations_to_goal']:,}"
    return (
        f"| {row['case']} ({row['method']}, {row['evaluations']:,} evaluations) | {row['bar']} | "
        f"{row['test_accuracy']:.4f}{spread} | {row['goal']}: {to} ({row['reached']} of {row['n']}) | "
        f"{row['commanded_probes']:,} | {row['wall_seconds']:.1f} s | {row['n']} |"
    )


if __name__ == "__main__":
    main()
