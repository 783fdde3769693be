"""What deploying costs in accuracy: PCM, stuck cells, a month of drift, other chips, a board, power cuts.

    python benchmarks/deploy.py [--case NAME ...] [--devices N] [--keep FOLDER] [--json]

Digits, 64-32-10, test accuracy. Draw k is a chip of its own (device seed k) and, but for ``transfer``, a network of its
own, learned by backpropagation in float on an ideal device with training seed k; errors are standard errors of means
over the draws, and differences are of pairs. Each accuracy is a mean of 5 passes over the 360 test samples. Nothing was
chosen with these seeds, or on test data. Everything is emulated. With ``--keep`` what was trained stays, and isn't
trained again.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
from machine import MACHINE
from rich.console import Console
from rich.table import Table

import hwzo
from hwzo.data import load_task
from hwzo.deploy import deploy
from hwzo.deploy.deployment import Deployment
from hwzo.deploy.drift import Reference, compensate
from hwzo.device import Device
from hwzo.errors import DeviceError
from hwzo.network import accuracy
from hwzo.probes import Probes
from hwzo.train.weights import Weights

PASSES = 5
HOUR, DAY = 3600.0, 86400.0
TOUCH_UP = "2000 evaluations"
SOURCE_SEED = 1000
"""Of the chip that ``transfer`` learns on; those that it goes to have the seeds of the other cases."""
CUTS = 20
BOARD = "cortex-m3"

Columns = dict[str, list[float]]
"""Accuracies by what was done, a draw each."""


@dataclass(frozen=True)
class Row:
    """One line of the tables.

    Args:
        case: of the benchmark.
        what: was done.
        values: a draw each.
        below: the values, draw by draw, that the difference is to; None: there is nothing to compare with.
        bar: that difference at most, on the mean; None: only shown.
    """

    case: str
    what: str
    values: list[float]
    below: list[float] | None = None
    bar: float | None = None

    def told(self) -> dict[str, Any]:
        """As plain JSON."""
        mean, error = _mean(self.values)
        told: dict[str, Any] = {
            "case": self.case,
            "what": self.what,
            "accuracy": mean,
            "spread": error,
            "n": len(self.values),
        }
        if self.below is not None:
            lost, its_error = _mean([b - a for a, b in zip(self.values, self.below, strict=True)])
            met = None if self.bar is None else lost <= self.bar
            told |= {"lost": lost, "lost_spread": its_error, "bar": self.bar, "met": met}
        return told


def _mean(values: list[float]) -> tuple[float, float | None]:
    spread = float(np.std(values, ddof=1) / np.sqrt(len(values))) if len(values) > 1 else None
    return float(np.mean(values)), spread


class Bench:
    """Weights, and how they are read on a device.

    Args:
        runs: folder of what is trained.
        folder: for deployments.
        n: draws.
    """

    def __init__(self, runs: Path, folder: Path, n: int) -> None:
        self.runs, self.folder, self.n = runs, folder, n
        self.batch = load_task("digits").batch("test")

    def say(self, text: str) -> None:
        """To standard error."""
        print(text, file=sys.stderr, flush=True)

    def weights(self, seed: int) -> Path:
        """A run of backpropagation in float."""
        run = self.runs / f"float-{seed}"
        if not (run / "weights.safetensors").exists():
            device = "crossbar:ideal?engine=numpy"
            hwzo.train("digits", device, method="backprop", budget="2000 evaluations", seed=seed, run=run, resume=True)
        return run

    def floats(self) -> list[float]:
        """What each network tells right in float."""
        found: list[float] = []
        for seed in range(self.n):
            run = hwzo.load_run(self.weights(seed))
            with closing(hwzo.connect("crossbar:ideal?engine=numpy&layers=64-32-10")) as device:
                device.program(Weights.load(run.path / "weights.safetensors").theta)
                found.append(self.read(device))
        return found

    def read(self, device: Device) -> float:
        """Test accuracy, mean of some passes."""
        outputs = device.measure(Probes.plain(PASSES, want="outputs"), self.batch).outputs
        assert outputs is not None
        return float(accuracy(outputs, self.batch.targets, self.batch.loss).mean())

    def deployed(self, source: Path, device: str | Device, name: str, **settings: Any) -> Deployment:
        """A deployment in the folder."""
        return deploy(source, device, output=self.folder / f"{name}.h5", **settings)


# Cases --------------------------------------------------------------------------------------------------------------


def float_case(bench: Bench) -> list[Row]:
    """Float weights, ideal."""
    return [Row("float", "float weights, ideal", bench.floats())]


def pcm_case(bench: Bench) -> list[Row]:
    """PCM at once and after an hour: written plainly, and deployed."""
    floats, found = bench.floats(), Columns(fresh=[], plain=[], deployed=[])
    for seed in range(bench.n):
        url, source = f"crossbar:pcm?seed={seed}&layers=64-32-10", bench.weights(seed)
        with closing(hwzo.connect(url)) as device:
            device.program(Weights.load(source / "weights.safetensors").theta)
            found["fresh"].append(bench.read(device))
            cast(hwzo.EmulatedDevice, device).advance(HOUR)
            found["plain"].append(bench.read(device))
        with closing(bench.deployed(source, url, f"pcm-{seed}").open()) as device:
            device.advance(HOUR)
            found["deployed"].append(bench.read(device))
        bench.say(f"pcm {seed}: {_last(found)}, float {floats[seed]:.4f}")
    return [
        Row("pcm-1h", "written once, unmapped; at once", found["fresh"], floats),
        Row("pcm-1h", "the same after 1 h", found["plain"], floats),
        Row("pcm-1h", "mapped, programmed and verified; 1 h", found["deployed"], floats, 0.01),
    ]


def stuck_case(bench: Bench) -> list[Row]:
    """PCM with 5% of its cells stuck."""
    floats = bench.floats()
    found = Columns(written=[], verified=[], touched=[])
    for seed in range(bench.n):
        url, source = f"crossbar:pcm?seed={seed}&stuck=0.05&layers=64-32-10", bench.weights(seed)
        first = bench.deployed(source, url, f"stuck-{seed}")
        second = bench.deployed(source, url, f"stuck-touched-{seed}", touch_up=TOUCH_UP)
        found["written"].append(first.result.accuracy_before or 0.0)
        found["verified"].append(first.result.accuracy or 0.0)
        found["touched"].append(second.result.accuracy or 0.0)
        bench.say(f"stuck {seed}: {_last(found)}, float {floats[seed]:.4f}")
    return [
        Row("stuck", "5% stuck cells: mapped, written once", found["written"], floats),
        Row("stuck", "verified, partners and orders against stuck cells", found["verified"], floats),
        Row("stuck", f"and touched up with {TOUCH_UP}", found["touched"], floats, 0.015),
    ]


def drift_case(bench: Bench) -> list[Row]:
    """PCM up to a month: as it is, and with gains from a reference read."""
    ages = {"1 s": 1.0, "1 h": HOUR, "1 d": DAY, "30 d": 30 * DAY}
    kinds = {"off": "as it is", "global": "one gain for all", "layer": "a gain a layer"}
    floats = bench.floats()
    found: dict[str, Columns] = {kind: {age: [] for age in ages} for kind in kinds}
    for seed in range(bench.n):
        deployment = bench.deployed(bench.weights(seed), f"crossbar:pcm?seed={seed}&layers=64-32-10", f"drift-{seed}")
        with closing(deployment.open()) as device:
            reference, gains, waited = Reference.taken(device), device.mapping.gains, 0.0
            for age, seconds in ages.items():
                device.advance(seconds - waited)
                waited = seconds
                found["off"][age].append(bench.read(device))
                for scope in ("global", "layer"):
                    compensate(device, reference, scope)
                    found[scope][age].append(bench.read(device))
                    device.set_gains(gains)
        bench.say(f"drift {seed}: { ({kind: _last(columns) for kind, columns in found.items()}) }")
    return [
        Row("drift", f"{age}, {name}", found[kind][age], floats, 0.01 if age == "30 d" and kind != "off" else None)
        for age in ages
        for kind, name in kinds.items()
    ]


def transfer_case(bench: Bench) -> list[Row]:
    """Learned on one resistive chip by its own noise, deployed to others."""
    run = bench.runs / "source"
    source = f"crossbar:reram-wan?seed={SOURCE_SEED}"
    if not (run / "weights.safetensors").exists():
        settings: dict[str, Any] = {"method": "intrinsic", "budget": "8000 evaluations", "seed": SOURCE_SEED}
        hwzo.train("digits", source, run=run, resume=True, **settings)
    theta = Weights.load(run / "weights.safetensors").theta
    home: list[float] = []
    found = Columns(direct=[], verified=[], touched=[])
    for seed in range(bench.n):
        with closing(
            hwzo.connect(f"{source}&layers=64-32-10")
        ) as device:  # its writes are noisy: one write says little of it
            for _ in range(seed + 1):
                device.program(theta)
            home.append(bench.read(device))
        url = f"crossbar:reram-wan?seed={seed}&d2d=0.05&layers=64-32-10"
        with closing(hwzo.connect(url)) as device:
            device.program(theta)
            found["direct"].append(bench.read(device))
        found["verified"].append(bench.deployed(run, url, f"transfer-{seed}").result.accuracy or 0.0)
        touched = bench.deployed(run, url, f"transfer-touched-{seed}", touch_up=TOUCH_UP)
        found["touched"].append(touched.result.accuracy or 0.0)
        bench.say(f"transfer {seed}: source {home[-1]:.4f}, {_last(found)}")
    there = [float(np.mean(home))] * bench.n
    return [
        Row("transfer", "the chip that it was learned on, written anew each time", home),
        Row("transfer", "10 other chips, whose cells differ by 5%: written once, unmapped", found["direct"], there),
        Row("transfer", "mapped, programmed and verified", found["verified"], there),
        Row("transfer", f"and touched up with {TOUCH_UP}", found["touched"], there, 0.01),
    ]


def board_case(bench: Bench) -> list[Row]:
    """A virtual board over its line, and its arithmetic twin."""
    floats, found = bench.floats()[:1], Columns(board=[], twin=[])
    for name, model in (("board", BOARD), ("twin", "twin")):
        deployment = bench.deployed(bench.weights(0), f"board:{model}", f"board-{name}")
        assert deployment.result.verified, f"board:{model} is not verified"
        found[name].append(deployment.result.accuracy or 0.0)
        bench.say(f"board:{model}: {deployment.result.accuracy}, verified {deployment.result.verified}")
    return [
        Row("board", f"board:{BOARD}, read back and verified", found["board"], floats),
        Row("board", f"board:{BOARD} against its twin", found["board"], found["twin"], 0.0),
    ]


class Mortal:
    """A device that loses its host at a call: what was written stays, as in hardware.

    Args:
        device: what is cut off.
        at: which call; -1: none.
    """

    def __init__(self, device: Device, at: int) -> None:
        self.device, self.at, self.calls = device, at, 0
        self.info, self.parameters = device.info, device.parameters
        self.capabilities = replace(device.capabilities, snapshot=False)

    def _call(self, name: str, *arguments: Any, **named: Any) -> Any:
        self.calls += 1
        if self.calls == self.at:
            raise DeviceError("the power was cut")
        answer = getattr(self.device, name)(*arguments, **named)
        if self.calls == -self.at:  # after the device has done it
            raise DeviceError("the power was cut")
        return answer

    def program(self, *arguments: Any, **named: Any) -> Any:
        """See `Device.program`."""
        return self._call("program", *arguments, **named)

    def measure(self, *arguments: Any) -> Any:
        """See `Device.measure`."""
        return self._call("measure", *arguments)

    def apply(self, *arguments: Any) -> Any:
        """See `Device.apply`."""
        return self._call("apply", *arguments)

    def read(self, *arguments: Any) -> Any:
        """See `Device.read`."""
        return self._call("read", *arguments)

    def close(self) -> None:
        """See `Device.close`."""

    @property
    def gains(self) -> Any:
        """See `GainedDevice.gains`."""
        return cast(Any, self.device).gains

    def set_gains(self, gains: Any) -> None:
        """See `GainedDevice.set_gains`."""
        cast(Any, self.device).set_gains(gains)


def cut_case(bench: Bench) -> list[Row]:
    """Power cuts at moments drawn over a whole deployment, before or after the device has done what it was asked."""
    source, url = bench.weights(0), "crossbar:pcm?seed=0&stuck=0.02&layers=64-32-10&engine=numpy"
    whole = Mortal(hwzo.connect(url), 0)
    done = bench.deployed(source, cast(Device, whole), "cut-none")
    moments = np.random.default_rng(0).integers(1, whole.calls + 1, CUTS)
    found: list[float] = []
    most: list[int] = []
    verified = 0
    for number, moment in enumerate(moments):
        chip = hwzo.connect(url)
        device = Mortal(chip, int(moment) * (1 if number % 2 else -1))
        try:
            bench.deployed(source, cast(Device, device), f"cut-{number}")
        except DeviceError:
            device.at = 0
        again = bench.deployed(source, cast(Device, device), f"cut-{number}")
        found.append(again.result.accuracy or 0.0)
        verified += again.result.verified
        # How often each pair was really written, which no device tells: the emulator keeps count.
        most.append(int(cast(Any, chip)._chip._cells.writes.max()))
        bench.say(f"cut at call {int(moment)} of {whole.calls}: verified {again.result.verified}, writes {most[-1]}")
    before = [done.result.accuracy or 0.0] * CUTS
    what = f"{CUTS} power cuts: {verified} verified after going on, at most {max(most)} writes of a cell"
    return [Row("cut", what, found, before)]


CASES: dict[str, Callable[[Bench], list[Row]]] = {
    "float": float_case,
    "pcm-1h": pcm_case,
    "stuck": stuck_case,
    "drift": drift_case,
    "transfer": transfer_case,
    "board": board_case,
    "cut": cut_case,
}


def _last(found: Columns) -> str:
    return ", ".join(f"{name} {values[-1]:.4f}" for name, values in found.items())


def main() -> None:
    """Run the cases and print their tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", action="append", choices=list(CASES), help="all without it")
    parser.add_argument("--devices", type=int, default=10, help="draws of a device")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="of what is trained")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(arguments.keep or Path(folder) / "runs", Path(folder), arguments.devices)
        for case in arguments.case or CASES:
            rows += [row.told() for row in CASES[case](bench)]
    if arguments.json:
        print(json.dumps({"machine": MACHINE, "rows": rows}))
        return
    table = Table(title="digits 64-32-10, test accuracy, emulated", title_justify="left")
    for column in ("case", "what", "accuracy", "below its reference", "bar", "n"):
        table.add_column(column, overflow="fold")
    for row in rows:
        bar = row.get("bar")
        table.add_row(
            row["case"],
            row["what"],
            _with_error(row["accuracy"], row["spread"]),
            _with_error(row["lost"], row["lost_spread"]) if "lost" in row else "-",
            "-" if bar is None else f"{bar:g} {'met' if row['met'] else 'MISSED'}",
            str(row["n"]),
        )
    Console(width=150).print(table)


def _with_error(value: float, error: float | None) -> str:
    return f"{value:.4f}" + ("" if error is None else f" +- {error:.4f}")


if __name__ == "__main__":
    main()
