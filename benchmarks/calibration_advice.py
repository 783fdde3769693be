"""Is calibrate's advice as good as trying everything? Six emulated devices, and a grid of settings on each.

    python benchmarks/calibration_advice.py [--device NAME ...] [--keep FILE] [--json]

Each device is calibrated once, and method `intrinsic` trained with what is advised, on digits to 90% validation
accuracy of the noiseless network. Beside it stands the best of a grid, exploration x estimator x size x N, at most 48
settings: all are run with seed 10, and stopped at twice the best; those left are run with seeds 11 to 14, and dropped
once their mean is far above the best one's. The winner and the advice are then run again with seeds that neither has
seen. Test data aren't touched. Exits with 5 if the bars are missed: median ratio 1.25, worst 1.6. A file that is given
to ``--keep`` gets the winners, and the grid of a device that is in it isn't run again.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from machine import MACHINE
from noisy_network import NoisyNetwork
from threadpoolctl import threadpool_limits
from to_goal import evaluations_to_goal

from hwzo.data import load_task
from hwzo.methods.settings import Settings
from hwzo.noise.advice import advise
from hwzo.train.advised import SETTINGS
from hwzo.train.calibration import calibrate

BUDGET, GOAL = 12_000, 0.90
SEEDS = (10, 11, 12, 13, 14)
FRESH = tuple(range(100, 108))
KEPT = (1.8, 1.35, 1.2, 1.15)
"""Times the best mean that a setting may have after one, two, three, four seeds."""
MEDIAN, WORST = 1.25, 1.6
DEVICES: dict[str, dict[str, Any]] = {
    "small": {"kind": "equal", "sigma": 0.003, "loss_sd": 0.01, "read_sd": 0.001},
    "large": {"kind": "equal", "sigma": 0.1, "loss_sd": 0.002, "read_sd": 0.01},
    "common-mode": {"kind": "common-mode", "sigma": 0.03, "loss_sd": 0.002, "read_sd": 0.003},
    "slow": {"kind": "slow", "sigma": 0.1, "loss_sd": 0.002, "read_sd": 0.003},
    "unequal": {"kind": "unequal", "sigma": 0.05, "loss_sd": 0.002, "read_sd": 0.003},
    "loss-only": {"kind": "equal", "sigma": 0.02, "loss_sd": 0.005, "readback": "loss"},
}


def grid(readable: bool) -> list[Settings]:
    """What is tried on a device."""

    def product(exploration: str, estimators: Sequence[str], scales: Sequence[float | None], probes: Sequence[int]):
        for estimator, scale, n in itertools.product(estimators, scales, probes):
            yield Settings(exploration=exploration, estimator=estimator, scale=scale, probes=n)

    if not readable:
        commanded = product(
            "commanded", ("block", "least-squares", "antithetic"), (0.01, 0.02, 0.05, 0.1, 0.2), (4, 8, 32)
        )
        return [*commanded, Settings(exploration="selection")]
    own, sizes, both = ("block", "least-squares", "difference"), (0.02, 0.05, 0.1), (8, 32)
    return [
        *product("intrinsic-weight", own, (None,), both),
        *product("mixed", own, sizes, both),
        *product("commanded", ("block", "least-squares", "antithetic"), sizes, both),
    ]


class Trial:
    """Training on a device."""

    def __init__(self, device: NoisyNetwork) -> None:
        self.device, self.task = device, load_task("digits")

    def evaluations(self, settings: Settings, seed: int, most: float = BUDGET) -> int:
        """To the goal; ``most`` if it isn't reached by then."""
        self.device.reseed(seed)
        batch = len(self.task.train) if settings.exploration == "selection" else 128
        return evaluations_to_goal(
            self.task, self.device, "intrinsic", settings, seed, goal=GOAL, budget=BUDGET, most=most, batch=batch
        )


def race(trial: Trial, settings: list[Settings]) -> tuple[Settings, list[int], int]:
    """The best setting, its evaluations with each of SEEDS, and how many runs that took."""
    seen: dict[int, list[int]] = {index: [] for index in range(len(settings))}
    runs = 0
    for turn, seed in enumerate(SEEDS):
        best = BUDGET / 2.0
        for index in sorted(seen, key=lambda index: statistics.fmean(seen[index] or [0])):
            runs += 1
            seen[index].append(trial.evaluations(settings[index], seed, min(BUDGET, 2.0 * best)))
            best = min(best, seen[index][-1])
        if turn < len(KEPT):
            least = min(statistics.fmean(values) for values in seen.values())
            seen = {i: values for i, values in seen.items() if statistics.fmean(values) <= KEPT[turn] * least}
    winner = min(seen, key=lambda index: statistics.fmean(seen[index]))
    return settings[winner], seen[winner], runs


def best_of_grid(name: str, trial: Trial, keep: Path | None) -> tuple[Settings, int]:
    """The winner on a device, and how many runs it took to find; from the file, if it is there."""
    known: dict[str, Any] = json.loads(keep.read_text(encoding="utf-8")) if keep is not None and keep.exists() else {}
    if name not in known:
        settings = grid(trial.device.readback == "weights")
        best, seen, runs = race(trial, settings)
        known[name] = {"settings": best.given, "evaluations": seen, "runs": runs, "of": len(settings)}
        if keep is not None:
            keep.write_text(json.dumps(known, indent=1), encoding="utf-8")
    return Settings(**known[name]["settings"]), known[name]["runs"]


def measured(name: str, keep: Path | None) -> dict[str, Any]:
    """One device."""
    options = DEVICES[name]
    began = time.monotonic()
    profile = calibrate(NoisyNetwork(**options, seed=20), task="digits", seed=20)
    advice = advise(profile)
    settings = Settings(**{key: advice[key].value for key in SETTINGS if key in advice})
    trial = Trial(NoisyNetwork(**options, seed=20))
    best, runs = best_of_grid(name, trial, keep)
    ours = [trial.evaluations(settings, seed) for seed in FRESH]
    theirs = [trial.evaluations(best, seed) for seed in FRESH]
    logs = np.log(np.array(ours) / np.array(theirs))
    ratio = statistics.fmean(ours) / statistics.fmean(theirs)
    return {
        "case": name,
        "advice": settings.given,
        "evaluations": statistics.fmean(ours),
        "best_of_grid": best.given,
        "best_evaluations": statistics.fmean(theirs),
        "ratio": ratio,
        "ratio_standard_error": ratio * float(logs.std(ddof=1)) / len(logs) ** 0.5,
        "n": len(FRESH),
        "runs": runs,
        "calibration_evaluations": int(profile.manifest.spent["evaluations"]),
        "seconds": time.monotonic() - began,
        "emulated": True,
    }


def described(settings: dict[str, Any]) -> str:
    """In a few words."""
    return " ".join(f"{value:g}" if isinstance(value, float) else str(value) for value in settings.values())


def rows(names: Sequence[str], keep: Path | None) -> Iterator[dict[str, Any]]:
    """One device after the other, told as they come."""
    for name in names:
        row = measured(name, keep)
        print(
            f"{name}: advice {described(row['advice'])}: {row['evaluations']:,.0f} evaluations; best of the grid "
            f"{described(row['best_of_grid'])}: {row['best_evaluations']:,.0f}; ratio {row['ratio']:.2f} +- "
            f"{row['ratio_standard_error']:.2f} (n = {row['n']}; {row['runs']} runs, {row['seconds']:.0f} s)",
            file=sys.stderr,
            flush=True,
        )
        yield row


def main() -> int:
    """Calibrate, race, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", action="append", choices=DEVICES, help="default: all")
    parser.add_argument("--keep", type=Path, help="file for the winners of the grids")
    parser.add_argument("--json", action="store_true", help="one object on standard output")
    options = parser.parse_args()
    with threadpool_limits(1):
        found = list(rows(options.device or list(DEVICES), options.keep))
    ratios = [row["ratio"] for row in found]
    median, worst = statistics.median(ratios), max(ratios)
    if options.json:
        print(json.dumps({"machine": MACHINE, "rows": found}))
    else:
        print(
            f"{len(ratios)} devices: median ratio {median:.2f} (at most {MEDIAN}), worst {worst:.2f} (at most {WORST})"
        )
    return 0 if median <= MEDIAN and worst <= WORST else 5


if __name__ == "__main__":
    sys.exit(main())
