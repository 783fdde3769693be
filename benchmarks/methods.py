"""Methods side by side on emulated devices: evaluations to a goal, accuracy at the end; medians and means over seeds.

    python benchmarks/methods.py [--case NAME ...] [--seeds N] [--keep FILE] [--json]

An evaluation is one loss reading of one minibatch: two noisy passes are two. The goal is looked for on validation data
every few evaluations, which aren't counted; for truth tables and series it is a mean squared error. Test data are read
once, at the end of a run; a run of which only the evaluations to its goal count ends there. Settings were chosen on
validation data with other seeds. Everything is emulated. With ``--keep`` each run is written down as it ends and is not
made again: a benchmark that was ended goes on, and one that is done prints its tables at once.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from machine import MACHINE
from rich.console import Console
from rich.table import Table

import hwzo
from hwzo.data import Sampler, load_task
from hwzo.data.logic import SOLVED
from hwzo.errors import CapabilityError
from hwzo.methods.method import Start
from hwzo.methods.registry import METHODS, method_named
from hwzo.methods.settings import Settings
from hwzo.network import accuracy
from hwzo.probes import Probes
from hwzo.train.loop import Progress

FLOAT = "crossbar:ideal?dac_bits=0&adc_bits=0"
QUIET = "crossbar:ideal?node_noise=0.1"
PCM = "crossbar:pcm"
WIDE = "crossbar:pcm?window=1.0"
CNN = "28x28x1-16c3-p2-32c3-p2-32c3-p2-10"
"""MGD's, with 14,378 parameters."""
NEVER = sys.maxsize


@dataclass(frozen=True)
class Row:
    """A method on a device, for a task.

    Args:
        goal: validation accuracy, or below 0.5 a mean squared error.
        look: evaluations between two looks at the validation data.
        ends: at the goal; then nothing else is known of the run.
    """

    task: str
    device: str
    method: str
    budget: int
    goal: float
    look: int = 10
    settings: dict[str, Any] = field(default_factory=dict[str, Any])
    ends: bool = False

    @property
    def name(self) -> str:
        """The method with what was set of it."""
        shown = (f"{key} {value}" for key, value in self.settings.items() if key not in ("layers", "timeout_s"))
        return ", ".join([self.method, *shown])

    def met(self, loss: float | None, accuracy: float | None) -> bool:
        """Whether a look at the validation data found the goal."""
        if self.goal < 0.5:
            return loss is not None and loss < self.goal
        return (accuracy or 0.0) >= self.goal


def digits_rows() -> list[Row]:
    """Node methods against backpropagation, all with the batch that hwzo takes."""
    pcm: list[tuple[str, dict[str, Any]]] = [
        ("backprop", {}),
        ("learned-feedback", {}),
        ("danp", {}),
        ("node-perturbation", {"rate": 0.02}),
        ("node-perturbation", {"rate": 0.02, "probes": 3}),
        ("anp", {"rate": 0.02}),
        ("hebbian", {}),
    ]
    quiet: list[tuple[str, dict[str, Any]]] = [
        ("backprop", {}),
        ("node-perturbation", {}),
        ("node-perturbation", {"probes": 1}),
        ("nrl", {}),
    ]
    return [
        *(Row("digits", PCM, method, 4000, 0.95, 10, settings) for method, settings in pcm),
        *(Row("digits", QUIET, method, 4000, 0.95, 10, settings) for method, settings in quiet),
        Row("digits", FLOAT, "backprop", 1000, 0.95),
        Row("digits", FLOAT, "forward-gradient", 4000, 0.95),
        Row("digits", FLOAT, "gauss-newton", 30, 0.95, 1),
    ]


def noise_against_mgd(task: str, device: str, goal: float, budget: int, rates: Sequence[float]) -> list[Row]:
    """The device's own noise, and multiplexed gradient descent by its own schedule on the same device.

    Args:
        rates: of two passes, of learned feedback, and of one pass, if that is worth anything on the device.
    """
    names = ("intrinsic", "learned-feedback", "node-perturbation")
    own = [
        Row(task, device, name, budget, goal, 10, {"rate": rate}, ends=True)
        for name, rate in zip(names, rates, strict=False)
    ]
    for row in own[2:]:
        row.settings["probes"] = 1
    return [*own, Row(task, device, "mgd", budget, goal, ends=True)]


def every_row() -> list[Row]:
    """Every method that learns on the device, with its own settings and the same readings."""
    names = [name for name in METHODS if name not in ("cma-es", "gauss-newton")]  # too many parameters; see digits
    return [Row("digits", PCM, name, 10_000, 0.90, 100) for name in names]


CASES: dict[str, Callable[[], list[Row]]] = {
    "digits": digits_rows,
    "xor": lambda: noise_against_mgd("xor", QUIET, SOLVED, 6000, (0.1, 0.03, 0.1)),
    "parity-4": lambda: noise_against_mgd("parity-4", QUIET, SOLVED, 20_000, (0.1, 0.03, 0.03)),
    "nist7x7": lambda: noise_against_mgd("nist7x7", PCM, 0.90, 12_000, (0.02, 0.01)),
    "series": lambda: [
        Row(task, PCM, method, 4000, goal, 100, {"batch": 64})
        for task, goal in (("mackey-glass", 0.02), ("copy", SOLVED))
        for method in ("backprop", "node-perturbation", "anp", "learned-feedback")
    ],
    "mnist5k": lambda: [
        Row("mnist5k", PCM, "backprop", 2000, 0.90, 100, {"rate": 0.003}),
        Row("mnist5k", PCM, "node-perturbation", 6000, 0.90, 100, {"rate": 0.003, "batch": 512}),
        Row("mnist5k", PCM, "learned-feedback", 4000, 0.90, 100, {"rate": 0.003, "batch": 512}),
    ],
    "fashion-mnist": lambda: [
        Row("fashion-mnist", PCM, "backprop", 3000, 0.86, 500, {"rate": 0.001, "batch": 512}),
        Row("fashion-mnist", PCM, "learned-feedback", 6000, 0.86, 500, {"rate": 0.002, "batch": 512}),
        Row("fashion-mnist", PCM, "node-perturbation", 24_000, 0.83, 1000, {"rate": 0.001, "batch": 512}),
    ],
    "cnn": lambda: [
        Row(
            "fashion-mnist",
            WIDE,
            method,
            6000,
            0.60,
            500,
            {"layers": CNN, "batch": 128, "timeout_s": 600.0, **settings},
        )
        for method, settings in (
            ("learned-feedback", {"rate": 0.003}),
            ("intrinsic", {"rate": 0.003}),
            ("mgd", {"rate": 0.03}),
            ("mgd", {}),
        )
    ],
    "every": every_row,
}
SEEDS = {"digits": 5, "xor": 10, "parity-4": 10, "nist7x7": 10, "series": 5, "mnist5k": 5, "fashion-mnist": 1, "cnn": 1}


class GoalMetError(Exception):
    """Ends a run of which nothing else is wanted."""


def main() -> None:
    """Run the cases and print a table for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", action="append", choices=[*CASES, "continual"], help="default: all, which takes long")
    parser.add_argument("--seeds", type=int, help="runs of each row; default: as the case has it")
    parser.add_argument("--first", type=int, default=0, help="the first seed; tuning took 10 and more")
    parser.add_argument("--only", default="", help="methods whose name holds this text")
    parser.add_argument("--keep", type=Path, help="a file of JSON lines, one a run, that is gone on with")
    parser.add_argument("--json", action="store_true", help="one object on standard output")
    options = parser.parse_args()
    if (options.seeds or 1) < 1 or options.first < 0:
        parser.error("--seeds should be at least 1, --first at least 0")
    kept = Kept(options.keep)
    rows: list[dict[str, Any]] = []
    for case in options.case or [*CASES, "continual"]:
        seeds = range(options.first, options.first + (options.seeds or SEEDS.get(case, 3)))
        if case == "continual":
            ways = ("backprop", "learned-feedback", "node-perturbation")
            found = [continual(method, seeds, kept) for method in ways if options.only in method]
        else:
            chosen = [row for row in CASES[case]() if options.only in row.name]
            for seed in seeds:  # so that what is ended early has all rows with as many seeds
                for row in chosen:
                    kept.made(case, row.task, row.device, row.name, seed, partial(run, row, seed))
            found = [measured(case, row, seeds, kept) for row in chosen]
        rows += found
        if not options.json:
            show(case, found)
    if options.json:
        print(json.dumps({"machine": MACHINE, "rows": rows}))


class Kept:
    """Runs that were made, in a file of JSON lines if there is to be one."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.outcomes: dict[tuple[Any, ...], dict[str, Any]] = {}
        if path is not None and path.exists():
            for line in path.read_text(encoding="utf-8").splitlines():
                found = json.loads(line)
                self.outcomes[tuple(found["run"])] = found["outcome"]

    def made(
        self, case: str, task: str, device: str, method: str, seed: int, make: Callable[[], dict[str, Any]]
    ) -> dict[str, Any]:
        """What a run came to; it is made if it wasn't."""
        key = (case, task, device, method, seed)
        if key not in self.outcomes:
            self.outcomes[key] = make()
            print(f"{case}: {method} on {device or PCM}, seed {seed} done", file=sys.stderr, flush=True)
            if self.path is not None:
                with self.path.open("a", encoding="utf-8") as file:
                    file.write(json.dumps({"run": key, "outcome": self.outcomes[key]}) + "\n")
        return self.outcomes[key]


def measured(case: str, row: Row, seeds: Sequence[int], kept: Kept) -> dict[str, Any]:
    """One row over its seeds, which were made."""
    outcomes = [kept.outcomes[case, row.task, row.device, row.name, seed] for seed in seeds]
    if left := outcomes[0].get("left_out"):
        return {"case": case, "task": row.task, "device": row.device, "method": row.name, "left_out": left}
    met = sorted(outcome["evaluations_to_goal"] or NEVER for outcome in outcomes)
    middle, passes = statistics.median_low(met), outcomes[0]["passes"]
    found: dict[str, Any] = {
        "case": case,
        "task": row.task,
        "device": row.device,
        "method": row.name,
        "goal": f"MSE < {row.goal:g}" if row.goal < 0.5 else f"{row.goal:.0%}",
        "evaluations_to_goal": None if middle == NEVER else middle,
        "quartiles": [None if value == NEVER else value for value in (met[len(met) // 4], met[-1 - len(met) // 4])],
        "steps_to_goal": middle // passes if passes and middle != NEVER else None,
        "reached": sum(value != NEVER for value in met),
        "evaluations": max(outcome["evaluations"] for outcome in outcomes),
        "seconds": statistics.median(outcome["seconds"] for outcome in outcomes),
        "n": len(outcomes),
        "emulated": True,
    }
    for key in ("test_accuracy", "loss", "cell_writes", "device_seconds", "joules"):
        values = [outcome[key] for outcome in outcomes]
        known = None not in values  # as they are of runs that ended at their goal
        found[key] = statistics.fmean(values) if known else None
        found[f"{key}_standard_error"] = error_of(values) if known else None
    return found


def run(row: Row, seed: int) -> dict[str, Any]:
    """One run, in a folder that is thrown away."""
    begun = time.perf_counter()

    def watch(progress: Progress) -> None:
        if row.ends and row.met(progress.at.validation_loss, progress.at.validation_accuracy):
            raise GoalMetError

    with tempfile.TemporaryDirectory() as folder:
        place, result = Path(folder) / "run", None
        try:
            result = hwzo.train(
                row.task,
                row.device,
                method=row.method,
                budget=f"{row.budget} evaluations",
                validate_every=row.look,
                seed=seed,
                run=place,
                watch=watch,
                **row.settings,
            )
        except GoalMetError:
            pass
        except CapabilityError as error:
            return {"left_out": str(error)}
        looks = hwzo.load_run(place).validations
    met = [look.evaluations for look in looks if row.met(look.loss, look.accuracy)]
    return {
        "evaluations_to_goal": met[0] if met else None,
        "evaluations": looks[-1].evaluations if result is None else result.evaluations,
        "passes": None if result is None else max(1, round(result.evaluations / max(1, result.steps))),
        "test_accuracy": None if result is None else result.test_accuracy,
        "loss": None if result is None else result.loss,
        "cell_writes": None if result is None else result.cell_writes,
        "device_seconds": None if result is None else result.device_seconds,
        "joules": None if result is None else result.joules,
        "seconds": time.perf_counter() - begun,
    }


def continual(method: str, seeds: Sequence[int], kept: Kept, tasks: int = 3) -> dict[str, Any]:
    """Digits in three orders of their pixels, one after the other on one device: what is left of the first.

    No method here does anything against forgetting; the row says how much of it there is.
    """
    names = [f"permuted-digits-{order}" for order in range(1, tasks + 1)]
    runs = [
        kept.made("continual", " then ".join(names), PCM, method, seed, partial(in_turn, method, names, seed))
        for seed in seeds
    ]
    learnt = [statistics.fmean(run["after"][i][i] for i in range(tasks)) for run in runs]
    left = [run["after"][-1][0] for run in runs]
    return {
        "case": "continual",
        "task": " then ".join(names),
        "device": PCM,
        "method": method,
        "accuracy_when_learnt": statistics.fmean(learnt),
        "accuracy_when_learnt_standard_error": error_of(learnt),
        "first_task_at_the_end": statistics.fmean(left),
        "first_task_at_the_end_standard_error": error_of(left),
        "n": len(learnt),
        "emulated": True,
    }


def in_turn(method: str, names: Sequence[str], seed: int, steps: int = 300) -> dict[str, Any]:
    """One run through the tasks: accuracies on all of them after each."""
    order = [load_task(name) for name in names]
    device = hwzo.connect(PCM, network=order[0].network, window=order[0].window, seed=seed)
    theta = device.parameters.initial(np.random.default_rng(seed))
    device.program(theta)
    after: list[list[float]] = []
    for task in order:
        sampler = Sampler(task.batch("train"), 128, seed)
        way = method_named(method).build(Settings(rate=0.003), Start(device, theta, sampler.at(0), key=seed))
        state = way.begin(theta.size)
        for t in range(steps):
            outcome = way.step(device, theta, state, sampler.at(t), t, t / steps)
            theta, state = outcome.theta, outcome.state
        after.append([right(device, seen.batch("validation")) for seen in order])
    device.close()
    return {"after": after}


def right(device: Any, batch: Any) -> float:
    """Accuracy in one noisy pass."""
    readings = device.measure(Probes.plain(want="outputs"), batch)
    return float(accuracy(readings.outputs[0], batch.targets, batch.loss))


def error_of(values: Sequence[float]) -> float | None:
    """Standard error of the mean."""
    return statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else None


def show(case: str, rows: list[dict[str, Any]]) -> None:
    """One table a case."""
    if not rows:
        return
    table = Table(title=f"{case} (emulated, n = {rows[0]['n']})", title_justify="left")
    if case == "continual":
        columns = ("method", "when learnt", "first task at the end")
        lines = [
            (row["method"], spread(row, "accuracy_when_learnt"), spread(row, "first_task_at_the_end")) for row in rows
        ]
    else:
        columns = ("task", "device", "method", "goal", "evaluations: median (quartiles)", "reached", "test", "loss")
        lines: list[tuple[str, ...]] = [
            (
                row["task"],
                row["device"],
                row["method"],
                row["goal"],
                f"{count(row['evaluations_to_goal'])} ({' to '.join(map(count, row['quartiles']))})",
                f"{row['reached']} of {row['n']}",
                spread(row, "test_accuracy"),
                spread(row, "loss"),
            )
            for row in rows
            if "left_out" not in row
        ]
    for column in columns:
        table.add_column(column, overflow="fold")
    for line in lines:
        table.add_row(*line)
    console = Console(width=None if sys.stdout.isatty() else 160)
    console.print(table)
    for row in rows:
        if "left_out" in row:
            console.print(f"{row['method']} was left out: {row['left_out']}", markup=False)


def count(value: int | None) -> str:
    """A number of evaluations, or that there is none."""
    return "-" if value is None else f"{value:,}"


def spread(row: dict[str, Any], key: str) -> str:
    """Mean and standard error."""
    error = row[f"{key}_standard_error"]
    if row[key] is None:
        return "-"
    return f"{row[key]:.4f}" + ("" if error is None else f" +- {error:.4f}")


if __name__ == "__main__":
    main()
