"""Are the error bars of a calibration honest? Random emulated devices, and how many 95% intervals hold the truth.

    python benchmarks/calibration.py [--devices N] [--first SEED] [--keep FILE] [--json]

Each device is drawn at random: preset, network, and sizes of its noise. It is calibrated, and after each measurement
the truth is taken from inside the emulator, which no host can see: true weights instead of read-back ones, and many
times as many evaluations and writes. Where a law gives the truth, that is used. Quantities with an interval are
counted; beside them stands how many of N devices a correct interval holds the truth in, all but once in a thousand.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from machine import MACHINE
from scipy import stats
from threadpoolctl import threadpool_limits

from hwzo.network import ACTIVATIONS
from hwzo.noise import curvature, drift, slow_noise, step_response
from hwzo.noise.analysis import analyse
from hwzo.noise.loss_noise import estimate as loss_estimate
from hwzo.noise.loss_noise import rewrites, take_rewrites
from hwzo.noise.measurements import measurements
from hwzo.noise.nodes import copied
from hwzo.noise.quantity import half_square_steps
from hwzo.noise.read_error import unclipped
from hwzo.noise.setup import Setup
from hwzo.noise.stuck_cells import stuck
from hwzo.probes import Batch, Probes
from hwzo.registry import connect

PRESETS = ("pcm", "hermes-1", "hermes-2", "reram-wan", "reram-cmo", "sonos", "generic", "ideal", "ideal")
PULSED = ("reram-es", "ecram-li", "gokmen-vlasov")
PULSED_SHARE = 0.1
"""Of the devices, and of these the smaller networks: their pulses are emulated one by one, which takes long."""
NETWORKS = ("6-5-3", "16-12-6", "32-20-10", "64-32-10")
SAMPLES = 128


def draw_url(rng: np.random.Generator) -> str:
    """A device at random."""
    pulsed = rng.random() < PULSED_SHARE
    preset = str(rng.choice(PULSED if pulsed else PRESETS))
    options: dict[str, object] = {
        "layers": str(rng.choice(NETWORKS[:2] if pulsed else NETWORKS)),
        "seed": int(rng.integers(2**32)),
        "engine": "auto",
        "perturb": "overlay",
        "node_noise": round(float(10 ** rng.uniform(-1.5, -0.5)), 4),
        "read_error": round(float(10 ** rng.uniform(-2.7, -1.7)), 5),
        "stuck": round(float(rng.uniform(0.002, 0.05)), 4),
    }
    if rng.random() < 0.6:
        options["sigma"] = round(float(10 ** rng.uniform(-2.3, -1.0)), 4)
    if rng.random() < 0.3 and not pulsed:
        n_layers = 2
        evaluation = SAMPLES * n_layers * 1e-6
        options |= {"telegraph": 0.4, "telegraph_fraction": 0.3, "telegraph_tau": float(evaluation * rng.uniform(2, 6))}
    if preset == "ideal" and rng.random() < 0.5:
        options |= {"adc_bits": 8, "dac_bits": 8}
    return f"crossbar:{preset}?" + "&".join(f"{key}={value}" for key, value in options.items())


class Bench:
    """One device with its measurements and its truth."""

    def __init__(self, url: str, seed: int) -> None:
        self.device = connect(url)
        rng = np.random.default_rng([seed, 4])
        network = self.device.capabilities.network
        inputs = rng.uniform(-1, 1, (SAMPLES, network.layers[0]))
        self.batch = Batch(inputs, rng.integers(0, network.layers[-1], SAMPLES))
        theta = self.device.parameters.initial(np.random.default_rng([seed, 3]))
        self.waited = 0.0
        self.setup = self.at(seed, theta)
        self.truth: dict[str, float] = {}
        self.readings: dict[str, dict[str, np.ndarray]] = {}
        self.options = self.device._options

    def at(self, seed: int, theta: np.ndarray) -> Setup:
        """A set-up with other draws."""
        return Setup(self.device, self.batch, theta, seed, wait=self.wait, clock=lambda: self.device.clock)

    def wait(self, seconds: float) -> None:
        if seconds > 0:
            self.device.advance(seconds)

    def true_weights(self, evaluate: bool = False) -> np.ndarray:
        """What the weights really are, at one more evaluation or as they are read."""
        if evaluate:
            self.device.measure(Probes.plain(1, want="weights"), self.batch)
        else:
            self.device.read(1)
        return np.array(self.device._latched)

    def working(self) -> np.ndarray:
        """The parameters that are said to follow what is written: what the others do is left out on both sides."""
        return ~stuck(self.readings["ends"]["ends"], self.readings["ends"]["reached"])

    # --- the truth, measurement by measurement ---

    def loss(self) -> None:
        losses = np.concatenate([self.setup.evaluate(1000).losses for _ in range(2)])
        found = loss_estimate(losses)
        for name, quantity in found.quantities.items():
            self.truth[name] = quantity.value

    def read_error(self) -> None:
        true = np.array(self.device._latched)
        errors = self.device.read(256) - true
        inside = unclipped(self.readings["read error"]["reads"])
        self.truth["read_error_sd"] = math.sqrt(float(np.square(errors[:, inside]).mean()))

    def parameters(self) -> None:
        windows = []
        for _ in range(4):
            windows.append(np.stack([self.true_weights(evaluate=True) for _ in range(128)]))
        # Stuck cells may lie beyond what the read-back's converter reaches; nobody can say anything about those.
        inside = unclipped(self.readings["parameters"]["realised"])
        series = np.concatenate([window[:, inside] for window in windows], axis=1)  # windows as further parameters
        self.new_square = float(half_square_steps(series).mean())
        self.truth["parameter_noise_sigma"] = math.sqrt(self.new_square)
        self.truth["common_mode_share"] = 0.0  # every cell's noise is its own
        tick = self.duration() + self.device._read_cost.device_seconds
        if self.new_square > 1e-12:
            for name, quantity in slow_noise.estimate(series, 0.0, tick).quantities.items():
                self.truth[name] = quantity.value

    def duration(self) -> float:
        return SAMPLES * self.device._sample_seconds

    def nodes(self) -> None:
        device, options = self.device, self.options
        network = device.capabilities.network
        weights = self.true_weights(evaluate=True)
        self.start = weights
        variances = device._chip._variances(self.duration())
        batch = copied(self.batch)
        outputs = network.forward(weights, batch.inputs)
        activate, _ = ACTIVATIONS[network.activation]
        x = batch.inputs
        step = options.adc_max / (2 ** (options.adc_bits - 1) - 1) if options.adc_bits else 0.0
        for index, nodes in enumerate(outputs):
            square = options.node_noise**2 + step**2 / 12.0
            if variances is not None:
                driven = np.hstack([x, np.ones((len(x), 1))])
                square += float((np.square(driven) @ network.blocks(variances)[index]).mean())
            self.truth[f"node_noise_sd/layer{index + 1}"] = math.sqrt(square)
            x = activate(nodes)
        if device._preset.iv is None:
            self.truth["adc_gain"], self.truth["adc_offset"] = 1.0, 0.0

    def rewrites(self) -> None:
        many = 600 if self.device._preset.pulses is None else 200
        raw = take_rewrites(self.at(40_000, self.setup.theta), many)
        self.truth["loss_rewrite_sd"] = rewrites(raw["losses"]).quantities["loss_rewrite_sd"].value

    def curvature(self) -> None:
        """On the same written state, along other and many more directions: its mean over noise counts."""
        law = curvature.law_of(self.device.capabilities.laws)
        scales = np.array(curvature.SCALES) * curvature.TRIAL
        many = 128  # directions in one call
        rows = []
        for step in range(12):
            counters = np.repeat(np.arange(many), curvature.EVALUATIONS)
            probes = Probes(counters, np.tile(scales, curvature.REPEATS * many), law=law, key=99, step=step)
            losses = self.device.measure(probes, self.batch).losses
            rows.append(losses.reshape(many, curvature.REPEATS, len(scales)))
        for name, quantity in curvature.estimate(np.concatenate(rows), scales).quantities.items():
            self.truth[name] = quantity.value

    def ends(self) -> None:
        if self.device._preset.pulses is None:  # a pulsed device's own bounds may be as narrow as a stuck one's
            self.truth["stuck_share"] = 1.0 - (1.0 - self.options.stuck) ** 2

    def programming(self) -> None:
        working = self.working()
        squares, offsets = [], []
        for level in range(12 if self.device._preset.pulses is None else 6):
            setup = self.at(10_000 + level, self.setup.theta)
            first, second = setup.levels("programming 0"), setup.levels("programming 1")
            seen = np.empty((2, 6, first.size))
            self.device.program(second)
            for at in range(6):
                for index, levels in enumerate((first, second)):
                    self.device.program(levels)
                    seen[index, at] = self.true_weights(evaluate=True)
            down = first <= second
            variances = seen.var(axis=1, ddof=1)
            means = seen.mean(axis=1) - np.stack([first, second])
            low, high = np.where(down, variances[0], variances[1]), np.where(down, variances[1], variances[0])
            squares.append([float(low[working].mean()), float(high[working].mean())])
            offsets.append(float(means[:, working].mean()))
        low, high = np.mean(squares, axis=0) - self.new_square
        for name, square in (("", 0.5 * (low + high)), ("/down", low), ("/up", high)):
            self.truth[f"programming_noise_sd{name}"] = math.sqrt(max(square, 0.0))
        self.truth["programming_offset"] = float(np.mean(offsets))

    def steps(self) -> None:
        rounds = 24 if self.device._preset.pulses is None else 12
        raw = step_response.take(self.at(30_000, self.setup.theta), rounds)
        found = step_response.estimate(*(raw[name] for name in ("levels", "steps", "before", "after")), self.working())
        for name, quantity in found.quantities.items():
            self.truth[name] = quantity.value

    def drift(self) -> None:
        working = self.working()
        rows = []
        for level in range(12):
            setup = self.at(20_000 + level, self.setup.theta)
            levels = setup.levels("drift")
            self.device.program(levels)
            written = self.device.clock
            values = []
            for age in drift.EMULATED_AGES:
                self.wait(age - (self.device.clock - written))
                values.append(self.true_weights())
            rows.append((np.stack(values) * np.sign(levels))[:, working].mean(axis=1))
        level = np.mean(rows, axis=0)
        x = np.log(drift.EMULATED_AGES) - np.log(drift.EMULATED_AGES).mean()
        self.truth["drift_exponent"] = float(-np.log(level) @ x / (x @ x))


def one(url: str, seed: int) -> tuple[dict[str, tuple[float, float, float, float, float]], dict[str, str]]:
    """Quantity -> (value, standard error, low, high, truth), and what was left out."""
    bench = Bench(url, seed)
    readings = bench.readings
    for measurement in measurements(bench.device):
        readings[measurement.name] = measurement.take(bench.setup, measurement.usual)
        if measurement.name != "response":
            getattr(bench, measurement.name.replace(" ", "_"))()
    found = analyse(readings, bench.device.capabilities.network)
    rows = {
        name: (q.value, q.standard_error, q.low, q.high, bench.truth[name])
        for name, q in found.quantities.items()
        if name in bench.truth and q.standard_error is not None
    }
    bench.device.close()
    return rows, found.left_out


def kept(path: Path | None) -> dict[int, dict[str, Any]]:
    """What is in the file already, by the device's seed."""
    if path is None or not path.exists():
        return {}
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return {line["seed"]: line for line in lines}


def calibrated(seed: int) -> dict[str, Any]:
    """One device at random: what came out, and what is true."""
    url = draw_url(np.random.default_rng(seed))
    began = time.monotonic()
    rows, left_out = one(url, seed)
    return {"seed": seed, "url": url, "rows": rows, "left_out": left_out, "seconds": time.monotonic() - began}


def counted(devices: list[dict[str, Any]], *, misses: bool) -> list[dict[str, Any]]:
    """A row for each quantity."""
    found: dict[str, list[tuple[bool, float]]] = defaultdict(list)
    for device in devices:
        for name, (value, error, low, high, truth) in device["rows"].items():
            slack = 1e-12
            holds = low - slack <= truth <= high + slack
            found[name].append((holds, (value - truth) / max(error, 1e-300)))
            if misses and not holds:
                print(f"  {name}: {value:.5g} [{low:.5g}, {high:.5g}], truth {truth:.5g}: {device['url']}", flush=True)
    table: list[dict[str, Any]] = []
    for name, hits in sorted(found.items()):
        held, n = sum(h for h, _ in hits), len(hits)
        low, high = (int(bound) for bound in stats.binom.ppf([0.0005, 0.9995], n, 0.95))
        z = np.array([z for _, z in hits])
        row = {"case": name, "held": held, "n": n, "expected": [low, high]}
        table.append({**row, "mean_z": float(np.mean(z)), "spread": float(np.std(z)), "ok": low <= held <= high})
    return table


def main() -> int:
    """Draw devices, calibrate, count."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--devices", type=int, default=40)
    parser.add_argument("--first", type=int, default=1000, help="seed of the first device")
    parser.add_argument("--keep", type=Path, help="file for the devices that are done, a line each")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--misses", action="store_true", help="print every interval that doesn't hold the truth")
    options = parser.parse_args()
    if options.devices < 1 or options.first < 0:
        parser.error("--devices should be at least 1, --first at least 0")
    done, devices = kept(options.keep), []
    began = time.monotonic()
    with threadpool_limits(1):
        for seed in range(options.first, options.first + options.devices):
            if seed not in done:
                done[seed] = calibrated(seed)
                if options.keep is not None:
                    with options.keep.open("a", encoding="utf-8") as file:
                        file.write(json.dumps(done[seed]) + "\n")
            devices.append(done[seed])
    table = counted(devices, misses=options.misses and not options.json)
    if options.json:
        print(json.dumps({"machine": MACHINE, "rows": table}))
    else:
        for row in table:
            low, high = row["expected"]
            print(
                f"{row['case']:32s} {row['held']:4d} of {row['n']:4d} ({low} to {high}); error / standard error: mean "
                f"{row['mean_z']:+.2f}, sd {row['spread']:.2f}{'' if row['ok'] else '  <--'}"
            )
        print(f"{options.devices} devices in {time.monotonic() - began:.0f} s")
    return 0 if all(row["ok"] for row in table) else 5


if __name__ == "__main__":
    sys.exit(main())
