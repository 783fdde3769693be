"""What is it worth to read a device's own noise back? Evaluations to 95% on digits, emulated crossbars.

    python benchmarks/calibration_large_noise.py [--seeds N] [--goal ACCURACY] [--json]

With noise of sd 0.1 in every parameter, new in each evaluation: method `intrinsic`, which reads it back and explores by
it, against `block` and `spsa`, which command displacements and take the noise as it comes. With sd 0.03: `intrinsic`
against `block` on the same device without any noise. All are tuned alike, each over its rate, and those that command
over the size of the displacement, with seeds 10 to 13; the winners run with seeds 30 and up. The goal is looked for
with validation data on the noiseless network; where it isn't reached, 20,000 evaluations are counted. Exits with 5 if
the bars are missed: at least 1.3 times fewer, and at most 1.1 times as many.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import statistics
import sys
from typing import Any

from machine import MACHINE
from threadpoolctl import threadpool_limits
from to_goal import evaluations_to_goal

import hwzo
from hwzo.data import load_task
from hwzo.methods.settings import Settings

BUDGET = 20_000
TUNING = (10, 11, 12, 13)
FIRST = 30
FEWER, MORE = 1.3, 1.1
RATES = (0.01, 0.02, 0.04)
SCALES = (0.1, 0.2)
DEVICE = "crossbar:ideal?perturb=overlay&seed=7"
Way = tuple[str, Settings]

READ = [
    ("intrinsic", Settings(exploration="intrinsic-weight", estimator="least-squares", probes=8, rate=rate))
    for rate in RATES
]
BLOCK = [("block", Settings(probes=8, rate=r, scale=c)) for r, c in itertools.product(RATES, SCALES)]
SPSA = [("spsa", Settings(rate=r, scale=c)) for r, c in itertools.product((0.005, 0.01), SCALES)]
INJECTED = [("block", Settings(probes=8, rate=r, scale=0.03)) for r in RATES]
CASES: dict[str, tuple[float, list[Way]]] = {
    "sigma 0.1, read back": (0.1, READ),
    "sigma 0.1, ignored": (0.1, BLOCK + SPSA),
    "sigma 0.03, read back": (0.03, READ),
    "no noise, injected": (0.0, INJECTED),
}


def evaluations(sigma: float, way: Way, seed: int, goal: float, most: float = BUDGET) -> int:
    """To the goal; ``most`` if it isn't reached by then."""
    task = load_task("digits")
    url = f"{DEVICE}&sigma={sigma}" if sigma else DEVICE
    device = hwzo.connect(url.replace("seed=7", f"seed={seed}"), network=task.network, window=task.window)
    return evaluations_to_goal(task, device, *way, seed, goal=goal, budget=BUDGET, most=most)


def tuned(sigma: float, ways: list[Way], goal: float) -> Way:
    """The best by its mean over TUNING; one that takes twice the best so far is stopped."""
    best, winner = math.inf, ways[0]
    for way in ways:
        most = min(BUDGET, 2.0 * best)
        mean = statistics.fmean(evaluations(sigma, way, seed, goal, most) for seed in TUNING)
        if mean < best:
            best, winner = mean, way
    return winner


def measured(case: str, seeds: int, goal: float) -> dict[str, Any]:
    """One row."""
    sigma, ways = CASES[case]
    way = tuned(sigma, ways, goal)
    counts = [evaluations(sigma, way, seed, goal) for seed in range(FIRST, FIRST + seeds)]
    row = {
        "case": case,
        "method": way[0],
        "settings": way[1].given,
        "goal": goal,
        "evaluations": statistics.fmean(counts),
        "standard_error": statistics.stdev(counts) / len(counts) ** 0.5,
        "not_reached": sum(count >= BUDGET for count in counts),
        "n": len(counts),
        "emulated": True,
    }
    print(
        f"{case}: {row['method']} {row['settings']}: {row['evaluations']:,.0f} +- {row['standard_error']:,.0f} "
        f"evaluations to {goal:.0%} (n = {row['n']}, {row['not_reached']} not reached)",
        file=sys.stderr,
        flush=True,
    )
    return row


def main() -> int:
    """Tune, run, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--goal", type=float, default=0.95, help="validation accuracy")
    parser.add_argument("--json", action="store_true", help="one object on standard output")
    options = parser.parse_args()
    if options.seeds < 2:
        parser.error("--seeds should be at least 2")
    with threadpool_limits(1):
        rows = {case: measured(case, options.seeds, options.goal) for case in CASES}

    def ratio(above: str, below: str) -> tuple[float, float]:
        a, b = rows[above], rows[below]
        value = a["evaluations"] / b["evaluations"]
        error = math.hypot(a["standard_error"] / a["evaluations"], b["standard_error"] / b["evaluations"])
        return value, value * error

    fewer = ratio("sigma 0.1, ignored", "sigma 0.1, read back")
    more = ratio("sigma 0.03, read back", "no noise, injected")
    if options.json:
        print(json.dumps({"machine": MACHINE, "rows": list(rows.values()), "fewer": fewer, "more": more}))
    else:
        print(f"sigma 0.1: {fewer[0]:.2f} +- {fewer[1]:.2f} times fewer by reading the noise (at least {FEWER})")
        print(f"sigma 0.03: {more[0]:.2f} +- {more[1]:.2f} times as many as by ideal injection (at most {MORE})")
    return 0 if fewer[0] >= FEWER and more[0] <= MORE else 5


if __name__ == "__main__":
    sys.exit(main())
