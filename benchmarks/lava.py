"""Lava as a device: evaluations a second, what is left after 100,000 of them, and what a network learns.

    python benchmarks/lava.py [--json] [--only WORD,...] [--rounds N] [--soak N] [--seeds N]

An evaluation is one parameter set of a 64-32-10 network of LIF neurons on 32 samples of 16 time steps, in fixed
precision, by its loss. Rows:

    trial      the Lava process that answers whole calls, through the worker's pipe, beside the same arithmetic in plain
               NumPy, under Lava's own Python and in this process, K = 1, 8, 64 and 256 a call, with and without noise
    rebuild    Lava's own processes built anew for each evaluation
    graph      Lava's own processes, built once: one network, and 32 side by side
    kill       seconds from a signal to the error, worker or one of Lava's processes, and what is left then
    soak       100,000 evaluations, and 2,000 in the graph: memory, descriptors, shared memory of the worker, early and
               at the end
    digits     test accuracy, seeds 0 to N - 1: by commanded directions without noise, by the emulated noise of its
               nodes, and by that of its weights; then the trained parameters through Lava's own processes

Turns are taken in rounds, and ratios within a round; medians, and the range of the middle half. One thread each. Ratios
are to NumPy under Lava's Python, the same version of it, by the clock and by the processor's time, the worker's
included: on a busy machine the clock tells more of the neighbours, but what one process waits for the other, .1 ms a
call, is in it alone.
Everything is emulated; nothing here was run on Loihi.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

import hwzo
from hwzo.data import load_task
from hwzo.errors import DeviceError
from hwzo.probes import Batch, Probes
from hwzo.registry import DeviceURL, connect
from hwzo_backends.lava import LavaBackend, environment
from hwzo_backends.lava.device import LavaDevice
from hwzo_backends.lava.inside import vitals
from hwzo_backends.lava.plan import question
from hwzo_backends.lava.worker_process import QUICK

SAMPLES = 32
COUNTS = (1, 8, 64, 256)
TURN_S = 0.15
DIGITS = {
    "commanded": ("lava:lif?noise=none", "block", "60000 evaluations"),
    "noise of nodes": ("lava:lif?noise=loihi1&exponent=7", "intrinsic", "12000 evaluations"),
    "noise of weights": ("lava:lif?noise=loihi1&target=weights", "intrinsic", "30000 evaluations"),
}

Row = dict[str, Any]


def opened(query: str) -> LavaDevice:
    return LavaBackend().open(DeviceURL.parse(f"lava:lif?seed=1&{query}"), network=None, window=None, seed=None)


def batch_of(samples: int = SAMPLES) -> Batch:
    rng = np.random.default_rng(0)
    return Batch(rng.uniform(0, 1, (samples, 64)), rng.integers(0, 10, samples))


def group(pid: int) -> list[Path]:
    """Folders in /proc of a worker's processes; of one that has ended, only its number may be left."""
    found: list[Path] = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                state, _, of = (folder / "stat").read_text().rpartition(")")[2].split()[:3]
                if int(of) == pid and state not in "ZX":
                    found.append(folder)
            except OSError:
                continue
    return found


def processor_seconds(folders: list[Path]) -> float:
    """Of this process, and of a worker's, all threads together, as the kernel's scheduler counts them."""
    theirs = 0
    for folder in folders:
        for task in (folder / "task").iterdir():
            theirs += int((task / "schedstat").read_text().split()[0])
    return time.process_time() + theirs * 1e-9


def per_second(
    call: Callable[[], object], evaluations: int, folders: list[Path], turn_s: float = TURN_S
) -> tuple[float, float]:
    """Evaluations of a call, repeated for a turn: a second of the clock, and a second of the processor's."""
    begun, used, calls = time.perf_counter(), processor_seconds(folders), 0
    while True:
        call()
        calls += 1
        spent = time.perf_counter() - begun
        if spent >= turn_s:
            return calls * evaluations / spent, calls * evaluations / (processor_seconds(folders) - used)


def spread(values: list[float]) -> list[float]:
    """Of the middle half."""
    if len(values) < 4:
        return [min(values), max(values)]
    low, _, high = statistics.quantiles(values, n=4)
    return [low, high]


def row(case: str, engine: str, values: list[float], **more: object) -> Row:
    return {
        "case": case,
        "engine": engine,
        "per_second": statistics.median(values),
        "spread": spread(values),
        "n": len(values),
        **more,
    }


def trial(rounds: int) -> list[Row]:
    """Through the worker, and in this process."""
    rows: list[Row] = []
    batch = batch_of()
    for noise in ("none", "loihi1"):
        device = opened(f"noise={noise}&readback=loss")
        device.program(device.parameters.initial(np.random.default_rng(1)))
        peer = Peer(device)
        folders = group(device._running().pid)
        for count in COUNTS:
            directions = Probes(np.arange(count), np.full(count, 0.02))
            moved, _ = device._displaced(directions)
            words, arrays = question(moved, batch.inputs, evaluation=0, outputs=("membrane",))
            here = partial(device._plan.run, moved, batch.inputs, evaluation=0)
            there = partial(device._running().ask, words, arrays, timeout_s=60.0)
            whole = partial(device.measure, directions, batch)
            turns = [
                [
                    peer.ask(f"kernel {count} {TURN_S}"),
                    *(per_second(call, count, folders) for call in (there, here, whole)),
                ]
                for _ in range(rounds)
            ]
            plain, ours, mine, measured = ([turn[i][0] for turn in turns] for i in range(4))
            case = f"64-32-10, K = {count}, noise={noise}"
            ratios = [turn[1][0] / turn[0][0] for turn in turns]
            busy = [turn[1][1] / turn[0][1] for turn in turns]
            more = {
                "ratio": statistics.median(ratios),
                "ratio_spread": spread(ratios),
                "processor_ratio": statistics.median(busy),
                "processor_ratio_spread": spread(busy),
            }
            rows.append(row(case, "NumPy under Lava's Python", plain))
            rows.append(row(case, "trial mode", ours, **more))
            rows.append(row(case, "NumPy in this process", mine))
            rows.append(row(case, "device, directions and loss included", measured))
        peer.close()
        device.close()
    return rows


class Peer:
    """benchmarks/lava_peer.py under Lava's Python, for a device's network."""

    def __init__(self, device: LavaDevice) -> None:
        backends = Path(sys.modules["hwzo_backends"].__path__[0])
        script = Path(__file__).with_name("lava_peer.py")
        self._process = subprocess.Popen(
            [str(environment.python()), "-I", "-W", "ignore", str(script), str(backends)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **QUICK},
        )
        self._write(json.dumps(device._plan.as_words()))

    def _write(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def ask(self, line: str) -> list[float]:
        self._write(line)
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        self._process.communicate()


def rebuild(rounds: int) -> list[Row]:
    """Under Lava's own Python, where the whole of it is timed and nothing else; beside trial mode, turn by turn."""
    device, batch = opened("noise=none&readback=loss"), batch_of()
    peer = Peer(device)
    anew, found, ratios = list[float](), {1: list[float](), 64: list[float]()}, {1: list[float](), 64: list[float]()}
    for _ in range(rounds):
        anew.append(1 / peer.ask("rebuild 1")[0])
        for count in found:
            found[count].append(per_second(partial(device.measure, Probes.plain(count), batch), count, [])[0])
            ratios[count].append(found[count][-1] / anew[-1])
    peer.close()
    device.close()
    rows = [row("64-32-10", "rebuilt for each evaluation", anew)]
    for count, values in found.items():
        times = {"ratio": statistics.median(ratios[count]), "ratio_spread": spread(ratios[count])}
        rows.append(row(f"64-32-10, K = {count}, against rebuilding", "trial mode", values, **times))
    return rows


def graph(rounds: int) -> list[Row]:
    """One network, and 32 side by side."""
    batch = batch_of()
    found: dict[int, list[float]] = {}
    devices = {copies: opened(f"noise=none&mode=graph&copies={copies}") for copies in (1, 32)}
    for device in devices.values():
        device.program(device.parameters.initial(np.random.default_rng(1)))
        device.measure(Probes.plain(1), batch)
    for _ in range(rounds):
        for copies, device in devices.items():
            each, _ = per_second(partial(device.measure, Probes.plain(copies), batch), copies, [], turn_s=0.0)
            found.setdefault(copies, []).append(each)
    for device in devices.values():
        device.close()
    ratios = [many / one for many, one in zip(found[32], found[1], strict=True)]
    return [
        row("64-32-10", "graph, one network", found[1]),
        row(
            "64-32-10",
            "graph, 32 side by side",
            found[32],
            ratio=statistics.median(ratios),
            ratio_spread=spread(ratios),
        ),
    ]


def kill(rounds: int) -> list[Row]:
    """Its processes are killed, before a call and in the middle of one of seconds; or stopped, for a timeout of 1 s."""
    rows: list[Row] = []
    victims = ("worker", "model", "runtime service")
    cases = [(mode, victim, when) for mode in ("trial", "graph") for victim in victims for when in ("before", "during")]
    for mode, victim, when in [*cases, ("trial", "worker", "stopped"), ("trial", "model", "stopped")]:
        struck = [strike(mode, victim, when) for _ in range(rounds)]
        seconds = [each for each, _ in struck]
        what = "stopped, timeout 1 s" if when == "stopped" else f"killed {when} a call"
        rows.append(
            {
                "case": f"{mode} mode, {victim} {what}",
                "engine": "from the signal to the error",
                "seconds": statistics.median(seconds),
                "spread": [min(seconds), max(seconds)],
                "n": rounds,
                "left": sum(left for _, left in struck),
            }
        )
    return rows


def strike(mode: str, victim: str, when: str) -> tuple[float, int]:
    """Seconds from a signal to the error, and how many processes and segments of shared memory are left then."""
    timeout = "&timeout=1" if when == "stopped" else ""
    device = opened(f"noise=none&mode={mode}&copies=2{timeout}")
    device.measure(Probes.plain(1), batch_of())
    pid = device._running().pid
    forked = sorted(int(each.name) for each in group(pid) if each.name != str(pid))
    # The first is Python's tracker of shared memory, the last Lava's runtime service; models are between them.
    number = {"worker": pid, "model": forked[-2], "runtime service": forked[-1]}[victim]
    sent: list[float] = []

    def send() -> None:
        os.kill(number, signal.SIGSTOP if when == "stopped" else signal.SIGKILL)
        sent.append(time.monotonic())

    threading.Timer(0.3 if when == "during" else 0.0, send).start()
    probes = Probes.plain(256 if mode == "trial" else 4)
    batch = batch_of(2048 if when == "during" else SAMPLES)
    try:
        while True:
            device.measure(probes, batch)
    except DeviceError:
        seconds = time.monotonic() - sent[0]
    device.close()
    time.sleep(0.1)  # those that were killed with their parent end when the system gets round to it
    return seconds, len(group(pid)) + len(list(vitals.MEMORY.glob(f"{vitals.prefix(pid)}*")))


def holds(pid: int) -> dict[str, int]:
    """What a worker's processes hold together: resident memory in MB, descriptors, threads, shared memory."""
    total = {"resident_mb": 0, "descriptors": 0, "threads": 0, "processes": 0}
    resident = 0
    for folder in group(pid):
        status = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines())
        resident += int(status["VmRSS"].split()[0])
        total["threads"] += int(status["Threads"])
        total["descriptors"] += len(list((folder / "fd").iterdir()))
        total["processes"] += 1
    total["resident_mb"] = resident // 1024
    total["segments"] = len(list(vitals.MEMORY.glob(f"{vitals.prefix(pid)}*")))
    return total


def soak(evaluations: int, mode: str) -> list[Row]:
    """One device, call after call, of changing sizes."""
    device = opened("noise=loihi1" if mode == "trial" else "noise=loihi1&mode=graph&copies=32")
    device.program(device.parameters.initial(np.random.default_rng(1)))
    # A graph's channels are rings of a few arrays; their memory counts once each of them was used.
    sizes, samples, soon = ((1, 64, 7, 64, 2, 128), SAMPLES, 0.1) if mode == "trial" else ((1, 16, 8), 4, 0.5)
    batch, done, begun = batch_of(samples), 0, time.perf_counter()
    early: dict[str, int] | None = None
    turn = 0
    while done < evaluations:
        count = min(sizes[turn % len(sizes)], evaluations - done)
        device.measure(Probes.plain(count, want="nodes" if mode == "trial" and turn % 5 == 0 else "loss"), batch)
        done, turn = done + count, turn + 1
        if early is None and done >= evaluations * soon:
            early = {"evaluations": done, **holds(device._running().pid)}
    pid = device._running().pid
    late = holds(pid)
    seconds = time.perf_counter() - begun
    device.close()
    left = len(list(vitals.MEMORY.glob(f"{vitals.prefix(pid)}*")))
    return [
        {
            "case": f"{done} evaluations of {samples} samples in {turn} calls",
            "engine": f"{mode} mode",
            "per_second": done / seconds,
            "spread": [],
            "n": 1,
            "early": early,
            "at_the_end": late,
            "segments_left_when_closed": left,
        }
    ]


def digits(seeds: int) -> list[Row]:
    """Trained through the command's own loop; test images are read once, at the end."""
    rows: list[Row] = []
    task = load_task("digits")
    for name, (url, method, budget) in DIGITS.items():
        accuracies: list[float] = []
        seconds: list[float] = []
        evaluations: list[int] = []
        agreed = 0
        for seed in range(seeds):
            with tempfile.TemporaryDirectory() as folder:
                result = hwzo.train("digits", url, method=method, budget=budget, seed=seed, run=Path(folder) / "run")
                accuracies.append(float(result.test_accuracy or 0.0))
                seconds.append(result.wall_seconds)
                evaluations.append(result.evaluations)
                agreed += same_in_graph(Path(folder) / "run", result.device, task)
        mean = statistics.fmean(accuracies)
        error = statistics.stdev(accuracies) / len(accuracies) ** 0.5 if len(accuracies) > 1 else None
        rows.append(
            {
                "case": f"digits, {name}",
                "engine": url,
                "method": result.exploration,
                "test_accuracy": mean,
                "standard_error": error,
                "accuracies": accuracies,
                "evaluations": max(evaluations),
                "seconds": statistics.median(seconds),
                "samples_alike_in_the_graph": agreed,
                "spread": [min(accuracies), max(accuracies)],
                "n": len(accuracies),
            }
        )
    return rows


def same_in_graph(run: Path, url: str, task: Any) -> int:
    """Runs trained parameters through both modes: how many test samples gave the same spikes in every layer and step,
    and the same outputs; all of them, or an error."""
    theta = hwzo.load_run(run).weights().theta
    device = connect(url)
    assert isinstance(device, LavaDevice)
    try:
        device.program(theta)
        return device.verify(task.test.inputs, sets=0).samples
    finally:
        device.close()


def show(rows: list[Row]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title="lava, emulated")
    for column in ("case", "engine or device", "evaluations/s, or test accuracy", "middle half, or range", "n", "more"):
        table.add_column(column, overflow="fold")
    for each in rows:
        value = each.get("per_second", each.get("seconds") if "left" in each else None)
        if value is None:
            error = each["standard_error"]
            told = f"{each['test_accuracy']:.4f}" + (f" +- {error:.4f}" if error is not None else "")
            more = (
                f"{each['evaluations']:,} evaluations, {each['seconds']:.0f} s; "
                f"{each['samples_alike_in_the_graph']} test samples alike in the graph, spike for spike"
            )
        else:
            told = f"{value:,.1f}" if "per_second" in each else f"{value:.2f} s"
            more = f"left: {each['left']}" if "left" in each else ""
            if "ratio" in each:
                low, high = each["ratio_spread"]
                more = f"ratio {each['ratio']:,.2f} ({low:,.2f} to {high:,.2f})"
            if "processor_ratio" in each:
                low, high = each["processor_ratio_spread"]
                more += f"; of processor time {each['processor_ratio']:.2f} ({low:.2f} to {high:.2f})"
            if "early" in each:
                more = f"early {each['early']}, at the end {each['at_the_end']}"
        bounds = " to ".join(f"{bound:,.4g}" for bound in each["spread"])
        table.add_row(each["case"], each["engine"], told, bounds, str(each["n"]), more)
    Console(width=None if sys.stdout.isatty() else 200).print(table)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--only", default="trial,rebuild,graph,kill,soak,digits")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--soak", type=int, default=100_000)
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    parts: dict[str, Callable[[], list[Row]]] = {
        "trial": lambda: trial(given.rounds),
        "rebuild": lambda: rebuild(given.rounds),
        "graph": lambda: graph(given.rounds),
        "kill": lambda: kill(given.rounds),
        "soak": lambda: [*soak(given.soak, "trial"), *soak(given.soak // 50, "graph")],
        "digits": lambda: digits(given.seeds),
    }
    rows: list[Row] = []
    with threadpool_limits(1):
        for name in given.only.split(","):
            if name not in parts:
                parser.error(f"--only {name}: there are {', '.join(parts)}")
            rows += [{"part": name, **each, "load_average": round(os.getloadavg()[0], 1)} for each in parts[name]()]
            print(f"{name}: done", file=sys.stderr)
    machine = {"python": platform.python_version(), "numpy": np.__version__, "cores": os.cpu_count()}
    machine |= {"lava": str(environment.find()), "processor": platform.machine(), "load_average": os.getloadavg()}
    if given.json:
        print(json.dumps({"machine": machine, "rows": rows}))
    else:
        show(rows)
        print(machine)
    return 0


if __name__ == "__main__":
    sys.exit(main())
