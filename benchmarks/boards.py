"""Boards that train through their own serial lines: what they learn, what survives a reset, what the wire costs.

    python benchmarks/boards.py [--json] [--only WORD,...] [--seeds N] [--first SEED] [--frames N]

Every board here is a virtual one: only compilers and simulators are needed (`hwzo doctor` names them). A row each:

    nist7x7     an 8-bit AVR (2 KB of SRAM) learns four letters, steps replayed from seeds; every loss against the twin
    digits      a Cortex-M3 learns digits by the noise of its own nodes
    resets      three watchdog resets and one kill -9 while it trains; the parameters against the twin's at the end
    noisy       the same with an array whose weights are noisy; against the host's parameters
    faults      bytes dropped, flipped, duplicated, replayed and delayed, 0.2% each, while it trains a noisy array: a
                measurement that ran twice would show, as the noise of all later ones would be another
    share       a real-time AVR at 115200 baud: where the time of a step goes
    soak        frames both ways, what is written compared with what is read back; posix and AVR

Settings were chosen on validation images, with seeds of their own. Test images are read once, at the end. The seeds 0
to N - 1 of nist7x7 take ten minutes each on an idle machine.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from machine import MACHINE

import hwzo
from hwzo import firmware
from hwzo.data import Sampler, Task, load_task
from hwzo.lease import LeasedDevice
from hwzo.parameters import parameters_crc32
from hwzo.testing.faults import Cable, Rates
from hwzo.train.bench import key_of
from hwzo.train.folder import RunFolder
from hwzo.train.journal import Journal
from hwzo.train.result import Result
from hwzo.wire.client import Client
from hwzo.wire.frames import REPLY_OVERHEAD, REQUEST_OVERHEAD
from hwzo.wire.messages import pack
from hwzo.wire.schema import (
    ActivationCode,
    BeginBatch,
    LawCode,
    LossCode,
    Read,
    SafeTimeout,
    Sample,
    SetKey,
    SetNetwork,
    Statistics,
    Step,
    Write,
)
from hwzo.wire.transport import SerialTransport
from hwzo_backends.serial import BoardDevice
from hwzo_backends.serial.lines import BoardLine
from hwzo_backends.serial.twin import Twin
from hwzo_backends.serial.units import rows

AVR, CORTEX = "board:atmega328p", "board:cortex-m3"
REPLAYED: dict[str, object] = {"method": "spsa", "update": "sgd", "batch": 8, "rate": 0.05, "scale": 0.1}
NIST_EVALUATIONS, SHORT_EVALUATIONS, FAULTY_EVALUATIONS = 120_000, 2_000, 1_000
FAULTS = Rates(drop=0.002, flip=0.002, duplicate=0.002, replay=0.002, delay=0.002)
DIGITS: dict[str, object] = {"batch": 64, "rate": 0.03, "budget": "4000 evaluations", "validate_every": 1_000}
FRAME = REQUEST_OVERHEAD + REPLY_OVERHEAD
UNIT = 2.0**-12  # of a board's weights
BAUD = 115_200

Row = dict[str, Any]


@dataclass(frozen=True)
class Trained:
    """A run on a board.

    Args:
        result: what it came to.
        differing: losses that the twin has otherwise.
        equal: board, host and twin hold the same parameters in the end.
        bytes_a_step: on the wire, without minibatches.
        restarts: each time that the board was lost and brought back.
        minutes: that it took, the test split included.
    """

    result: Result
    differing: int
    equal: bool
    bytes_a_step: float
    restarts: list[str]
    minutes: float


def opened(task: Task, url: str, seed: int) -> BoardDevice:
    """The board of a URL, as the task's network."""
    device = hwzo.connect(url, network=task.network, window=task.window, seed=seed)
    device = device.device if isinstance(device, LeasedDevice) else device
    assert isinstance(device, BoardDevice)
    return device


def trained(
    device: BoardDevice, task: Task, seed: int, settings: dict[str, object], watch: Callable[[Any], None] | None = None
) -> Trained:
    """Train in a folder that is thrown away, and go over it with the twin; closes the device."""
    with tempfile.TemporaryDirectory() as name:
        run, begun = Path(name) / "run", time.perf_counter()
        try:
            result = hwzo.train(task.name, device, run=run, seed=seed, watch=watch, **settings)
            minutes = (time.perf_counter() - begun) / 60
            held = np.rint(device.read()[0] / UNIT)  # nothing is displaced after the look at the test images
            restarts = [f"{restart.cause}: {restart.reason}" for restart in device.restarts]
        finally:
            device.close()
        if device.capabilities.node_noise or device.capabilities.parameter_noise != "none":
            return Trained(
                result, 0, result.parameters_crc32 == parameters_crc32(device.units * UNIT), 0.0, restarts, minutes
            )
        differing, twin = audited(run, task)
        equal = np.array_equal(held, twin.parameters) and result.parameters_crc32 == parameters_crc32(
            twin.parameters * UNIT
        )
        return Trained(result, differing, equal, bytes_a_step(run, task), restarts, minutes)


def audited(run: Path, task: Task) -> tuple[int, Twin]:
    """Every step of a run's journal again on the twin: losses that differ, and the twin after the last step."""
    folder = RunFolder(run)
    config, journal = folder.config(), Journal(folder.journal, read_only=True)
    sampler, key = Sampler(task.batch("train"), int(config.batch or 1), config.seed), key_of(config)
    reach = int(task.window / UNIT)
    twin, differing = Twin(task.network.layers, ActivationCode.TANH, -reach, reach), 0
    twin.program(0, np.rint(folder.latest(0)[0].theta / UNIT).astype(np.int64))
    try:
        for record in journal.records():
            twin.set_key(key, LawCode.RADEMACHER, record.t)
            twin.set_batch(rows(sampler.at(record.t)), LossCode.CROSS_ENTROPY)
            probes = zip(record.counters.tolist(), record.scales.tolist(), record.losses.tolist(), strict=True)
            differing += sum(twin.evaluate(k, round(scale / UNIT)) / 65536 != loss for k, scale, loss in probes)
            assert record.coefficients is not None
            counters = np.unique(record.counters).tolist()
            twin.update([(k, round(c / UNIT)) for k, c in zip(counters, record.coefficients.tolist(), strict=True)])
    finally:
        journal.close()
    return differing, twin


def bytes_a_step(run: Path, task: Task) -> float:
    """Mean bytes of a step, both ways, what loads its minibatch not counted."""
    folder = RunFolder(run)
    samples = int(folder.config().batch or 1)
    sample = Sample(0, 0, (0,) * (task.network.layers[0] + 1))
    load = FRAME + len(pack(BeginBatch(samples, 0))) + 2 + samples * (FRAME + len(pack(sample)))
    journal = Journal(folder.journal, read_only=True)
    try:
        return statistics.fmean(cost.bytes - load for _, _, cost in journal.costs())
    finally:
        journal.close()


# --- rows ---


def nist7x7(options: argparse.Namespace) -> Row:
    """Four letters on an Arduino's chip."""
    task, runs = load_task("nist7x7"), []
    budget = {"budget": f"{options.evaluations} evaluations", "validate_every": options.evaluations // 4}
    for seed in range(options.first, options.first + options.seeds):
        runs.append(trained(opened(task, AVR, seed), task, seed, REPLAYED | budget))
        note(f"nist7x7 seed {seed}: {runs[-1]}")
    accuracies = [run.result.test_accuracy or 0.0 for run in runs]
    return {
        "device": AVR,
        "bar": ">= .90 test in 4 of 5 seeds, <= 60 bytes a step",
        "test_accuracy": accuracies,
        "at_least_90": sum(accuracy >= 0.9 for accuracy in accuracies),
        "n": len(runs),
        "evaluations": runs[0].result.evaluations,
        "bytes_a_step": max(run.bytes_a_step for run in runs),
        "losses_unlike_the_twin": sum(run.differing for run in runs),
        "parameters_like_the_twin": all(run.equal for run in runs),
        "restarts": sum(len(run.restarts) for run in runs),
        "minutes": [run.minutes for run in runs],
    }


def digits(options: argparse.Namespace) -> Row:
    """Ten digits on a Cortex-M3, by the noise of its nodes."""
    task, url = load_task("digits"), f"{CORTEX}?node_noise=0.1"
    run = trained(opened(task, url, 0), task, 0, DIGITS)
    return {
        "device": url,
        "bar": ">= .95 test",
        "method": run.result.exploration,
        "test_accuracy": run.result.test_accuracy,
        "evaluations": run.result.evaluations,
        "restarts": len(run.restarts),
        "minutes": run.minutes,
        "n": 1,
    }


def disturbed(url: str) -> tuple[Trained, int]:
    """A short run in which the board hangs three times and is killed once; and how often that was done."""
    task = load_task("nist7x7")
    device = opened(task, url, 0)
    assert isinstance(device.line, BoardLine)
    board = device.line.board
    acts = [board.hang, board.hang, board.kill, board.hang]
    done = 0
    rng = np.random.default_rng(0)

    def watch(progress: Any) -> None:
        nonlocal done
        if done < len(acts) and progress.share > (done + 1) / (len(acts) + 1):
            threading.Timer(rng.uniform(0, 0.02), acts[done]).start()  # in the midst of whatever it does then
            done += 1

    settings = REPLAYED | {"budget": f"{SHORT_EVALUATIONS} evaluations", "validate_every": SHORT_EVALUATIONS}
    return trained(device, task, 0, settings, watch), done


def resets(options: argparse.Namespace) -> Row:
    """A board that hangs and dies."""
    run, done = disturbed(AVR)
    return {
        "device": AVR,
        "bar": "each detected, the run goes on, parameters equal the twin's",
        "disturbed": done,
        "detected": len(run.restarts),
        "causes": run.restarts,
        "steps": run.result.steps,
        "losses_unlike_the_twin": run.differing,
        "parameters_like_the_twin": run.equal,
        "minutes": run.minutes,
    }


def noisy(options: argparse.Namespace) -> Row:
    """The same, with noise in all weights."""
    url = f"{AVR}?read_noise=0.01&programming=0.02"
    run, done = disturbed(url)
    return {
        "device": url,
        "bar": "each detected, the run goes on with the parameters that it had",
        "disturbed": done,
        "detected": len(run.restarts),
        "causes": run.restarts,
        "steps": run.result.steps,
        "parameters_like_the_host's": run.equal,
        "minutes": run.minutes,
    }


def faults(options: argparse.Namespace) -> Row:
    """A bad cable between the host and a noisy array, beside the twin with none."""
    task, seed = load_task("xor"), 0  # of short frames: at 1% a byte, of 1,000 bytes none comes through in a day
    noise = "read_noise=0.01&node_noise=0.02"
    settings = REPLAYED | {"batch": 4, "budget": f"{FAULTY_EVALUATIONS} evaluations", "validate_every": 100}
    seen: list[list[float]] = []
    with (
        firmware.start("posix") as board,
        Cable(board.url, FAULTS, seed=1) as cable,
        tempfile.TemporaryDirectory() as name,
    ):
        for number, url in enumerate((f"{cable.url}?{noise}", f"board:twin?{noise}&like=atmega328p")):
            device, run = opened(task, url, seed), Path(name) / str(number)
            result = hwzo.train(task.name, device, run=run, seed=seed, **settings)
            journal = Journal(RunFolder(run).journal, read_only=True)
            seen.append([*(loss for record in journal.records() for loss in record.losses.tolist())])
            seen[-1].append(float(result.parameters_crc32))
            journal.close()
            if number == 0:
                link, counted, restarts = device.statistics.link, device.statistics.board, len(device.restarts)
            device.close()
        happened, carried = cable.happened, cable.carried
    return {
        "device": f"atmega328p behind a bad cable, {noise}",
        "bar": "training exact, no command applied twice",
        "steps": result.steps,
        "losses_unlike_the_twin": sum(a != b for a, b in zip(*seen, strict=True)),
        "bytes_carried": carried,
        "happened": happened,
        "restarts": restarts,
        "host": {key: getattr(link, key) for key in ("frames", "resent", "timeouts", "naks", "dropped", "stray")},
        "board": {key: getattr(counted, key) for key in ("frames", "bad", "duplicates", "gaps", "overruns")},
    }


def share(options: argparse.Namespace) -> Row:
    """Where the time of a replayed step goes, on an AVR held back to its real speed."""
    n = 100
    with firmware.start("atmega328p", baud=BAUD, paced=True) as board:
        client = Client(SerialTransport(board.port, BAUD))
        client.connect()
        client.request(SetNetwork(ActivationCode.TANH, -8192, 8192, (49, 4, 4)))
        client.request(SetKey(1, LawCode.RADEMACHER, 0))
        shares: dict[str, Row] = {}
        t = 0
        for samples in (1, 8):
            client.request(BeginBatch(samples, 0))

            def once(t: int) -> None:
                client.request(Step(t, ((0, 3),), ((0, 200), (0, -200))))

            bare, bare_bytes = paced(client, n, lambda t: client.request(SafeTimeout(0)), 0)
            step, step_bytes = paced(client, n, once, t)
            t += n
            wire = step_bytes * 10 / BAUD
            turnaround = max(0.0, bare - bare_bytes * 10 / BAUD)
            shares[f"{samples} samples"] = {
                "steps_per_second": 1 / step,
                "bound_by_baud": 1 / wire,
                "share": wire / step,
                "bytes": step_bytes,
                "ms_on_the_wire": 1e3 * wire,
                "ms_of_computing": 1e3 * (step - wire - turnaround),
                "ms_of_turnaround": 1e3 * turnaround,
            }
        client.close()
    return {"device": f"{AVR}?baud={BAUD}&paced=1", "bar": "printed", **shares}


def paced(client: Client, n: int, once: Callable[[int], object], start: int) -> tuple[float, float]:
    """(seconds, bytes) of one round trip, median and mean, over n of them."""
    before, seconds = client.statistics.bytes_sent + client.statistics.bytes_received, []
    for t in range(start, start + n):
        begun = time.perf_counter()
        once(t)
        seconds.append(time.perf_counter() - begun)
    after = client.statistics.bytes_sent + client.statistics.bytes_received
    return statistics.median(seconds), (after - before) / n


def soak(options: argparse.Namespace) -> Row:
    """Frames by the hundred thousand: what is written, compared with what is read back."""
    row: Row = {"bar": "no undetected error, none unexplained", "frames": options.frames}
    for name in ("posix", "atmega328p"):
        with firmware.start(name) as board:
            client = Client(SerialTransport(board.port))
            hello = client.connect()
            before = replace(client.statistics)  # of the greeting: a board says that it has started, unasked
            begun, wrong, done = time.perf_counter(), 0, 0
            client.request(SetNetwork(ActivationCode.TANH, -32767, 32767, (49, 4, 4)))
            rng = np.random.default_rng(1)
            most, turn = 20, max(1, hello.window)
            while done < options.frames:
                where = rng.permutation(220 // most)[: min(turn, 220 // most)] * most
                values = rng.integers(-32767, 32768, (len(where), most)).tolist()
                told = [Write(int(at), tuple(v)) for at, v in zip(where, values, strict=True)]
                asked = [Read(int(at), most) for at in where]
                answers = list(client.requests([*told, *asked]))[len(told) :]
                wrong += sum(list(reply.values) != v for reply, v in zip(answers, values, strict=True))
                done += len(told) + len(asked)
            seen, link = client.request(Statistics()), client.statistics - before
            row[name] = {
                "frames_per_second": done / (time.perf_counter() - begun),
                "undetected": wrong,
                "resets": client.hello.boot_id != hello.boot_id,
                "host": {key: getattr(link, key) for key in ("resent", "timeouts", "naks", "dropped", "stray")},
                "board": {key: getattr(seen, key) for key in ("bad", "overruns", "duplicates", "gaps")},
            }
            client.close()
            note(f"soak {name}: {row[name]}")
    return row


ROWS: dict[str, Callable[[argparse.Namespace], Row]] = {
    row.__name__: row for row in (nist7x7, digits, resets, noisy, faults, share, soak)
}


def note(text: str) -> None:
    """Say how it goes."""
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    """The rows that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one object on standard output")
    parser.add_argument("--only", default=",".join(ROWS), help="rows, such as resets,share")
    parser.add_argument("--seeds", type=int, default=5, help="runs of nist7x7")
    parser.add_argument("--first", type=int, default=0, help="seed of the first run of nist7x7")
    parser.add_argument("--evaluations", type=int, default=NIST_EVALUATIONS, help="of a run of nist7x7")
    parser.add_argument("--frames", type=int, default=100_000, help="of the soak, a board; try 1000000")
    options = parser.parse_args()
    names = options.only.split(",")
    if unknown := [name for name in names if name not in ROWS]:
        parser.error(f"there is no row {unknown[0]!r}; there are {', '.join(ROWS)}")
    found = []
    for name in names:
        begun = time.perf_counter()
        row = {"case": name, "emulated": True, **ROWS[name](options), "wall_seconds": 0.0}
        row["wall_seconds"] = time.perf_counter() - begun
        found.append(row)
        note(json.dumps(row))
    if options.json:
        print(json.dumps({"machine": MACHINE, "rows": found}))
        return
    print(f"{MACHINE}; every board is a virtual one")
    for row in found:
        print(f"\n{row.pop('case')}: {row.pop('bar')}")
        print("\n".join(f"  {key}: {value}" for key, value in row.items()))


if __name__ == "__main__":
    main()
