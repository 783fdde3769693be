"""Host time of ask and tell, for each method: what it takes to choose a reading and to learn from it, device apart.

    python benchmarks/overhead.py [--only TEXT] [--steps N] [--json]

The device answers at once and its time is taken off; there is no journal and no training loop. ``whole`` is at
64-32-10, 2,410 parameters, 128 samples: directions, products, estimate, update, bounds. ``overhead`` is at 1-1-1,
4 parameters, one sample, where there is next to nothing to compute, RESZO with 2 points instead of 64: what is left is
Python, and what lies between the two is array arithmetic. A method without any is taken as a whole, if that is less.
Microseconds a loss reading, the median over steps and their quartiles; on a busy machine too large, never too small.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from instant import Instant
from machine import MACHINE

from hwzo import Batch, Capabilities, Network, Probes, Readings
from hwzo.directions import STREAMS
from hwzo.methods.method import Start
from hwzo.methods.registry import METHODS, method_named
from hwzo.methods.serving import ON_THE_HOST
from hwzo.methods.settings import Settings
from hwzo.parameters import Array

BAR = 50.0
"""Microseconds of overhead a loss reading."""
LARGE, SMALL = Network((64, 32, 10)), Network((1, 1, 1))
SMALLER = {"reszo": "reszo?memory=2"}
TOO_LARGE = ("cma-es",)
"""For 2,410 parameters."""


class Answering(Instant):
    """Also gives nodes and realised parameters, as methods want them."""

    def __init__(self, network: Network, batch: int, *, retained: bool = False) -> None:
        noise = "retained" if retained else "per-evaluation"
        laws = frozenset(STREAMS)
        super().__init__(
            network, Capabilities("weights", laws, node_noise=True, parameter_noise=noise, network=network)
        )
        rng = np.random.default_rng(0)
        self.nodes = tuple(rng.normal(0.0, 0.3, (2, batch, units)) for units in network.layers[1:])
        self.moved: Array = rng.normal(0.0, 0.05, (64, self.parameters.size))

    def answer(self, probes: Probes) -> Readings:
        n = len(probes)
        nodes = realised = None
        if probes.want == "nodes":
            nodes = tuple(layer[:n] for layer in self.nodes)
        elif probes.want == "weights":
            realised = self.moved[self.asked % 32 :][:n]
        return Readings(self.losses[self.asked :][:n], nodes=nodes, realised=realised)

    def read(self, repeats: int = 1) -> Array:
        return 0.01 * self.moved[:repeats]


@dataclass(frozen=True)
class Row:
    """Microseconds of a loss reading's share of a step."""

    median: float
    quartiles: tuple[float, float]
    readings: int


def timed(name: str, network: Network, batch: int, steps: int) -> Row:
    """One method on one size."""
    rng = np.random.default_rng(1)
    samples = Batch(rng.uniform(-1, 1, (batch, network.layers[0])), rng.integers(0, network.layers[-1], batch))
    device = Answering(network, batch, retained=name == "noisezo")
    theta = device.parameters.initial(rng)
    method = method_named(name).build(Settings(), Start(device, theta, samples, key=1))
    state = method.begin(theta.size)
    times: list[float] = []
    readings = 0
    for t in range(steps):
        device.seconds = 0.0
        begun = time.perf_counter()
        outcome = method.step(device, theta, state, samples, t, t / steps)
        readings = len(outcome.evidence.losses)
        times.append(1e6 * (time.perf_counter() - begun - device.seconds) / readings)
        theta, state = outcome.theta, outcome.state
    low, median, high = statistics.quantiles(times[steps // 5 :], n=4)
    return Row(median, (low, high), readings)


def main() -> None:
    """Time the methods, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="methods whose name holds this text")
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--json", action="store_true", help="one object on standard output")
    options = parser.parse_args()
    if options.steps < 10:
        parser.error("--steps should be at least 10")
    # What references compute is the linear algebra itself, and no device is asked for anything.
    names = [name for name in METHODS if options.only in name and name not in ON_THE_HOST]
    if not names:
        parser.error(f"--only {options.only!r} is in no method's name")
    rows = [row(name, options.steps) for name in names]
    if options.json:
        print(json.dumps({"machine": MACHINE, "rows": rows}))
        return
    print(f"{'microseconds a loss reading':28}{'overhead':>10}{'(quartiles)':>18}{'whole':>10}{'readings a step':>18}")
    for found in rows:
        low, high = found["spread"]
        whole = "-" if found["whole"] is None else f"{found['whole']:.1f}"
        over = "  over 50" if found["microseconds"] > BAR else ""
        spread = f"({low:.1f} to {high:.1f})"
        print(f"{found['method']:28}{found['microseconds']:>10.1f}{spread:>18}{whole:>10}{found['readings']:>18}{over}")


def row(name: str, steps: int) -> dict[str, Any]:
    """One method, large and small."""
    small = timed(SMALLER.get(name, name), SMALL, 1, steps)
    large = None if name in TOO_LARGE else timed(name, LARGE, 128, steps)
    least = small if large is None else min(small, large, key=lambda found: found.median)
    return {
        "case": "ask and tell",
        "method": name,
        "microseconds": least.median,
        "spread": list(least.quartiles),
        "whole": None if large is None else large.median,
        "readings": (large or small).readings,
        "n": steps - steps // 5,
    }


if __name__ == "__main__":
    main()
