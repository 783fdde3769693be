"""Power cuts: a deployment that is killed at random moments ends as one that wasn't, and no cell is written too often.

    python benchmarks/deploy_power_cut.py [--cuts 20] [--json]

A process deploys weights for digits (64-32-10) to an emulated phase-change chip with 5% of its cells stuck, and touches
them up; it is killed (SIGKILL, which nothing can catch) after a random time, and the same command is given again, until
it ends. Moments are spread over all that a whole deployment takes, each of them a deployment of its own. Compared are
what every cell was asked to hold, what it reached, its writes and state, the learned weights, and the device's whole
state, bit for bit.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from machine import MACHINE

from hwzo.data.catalogue import load_task
from hwzo.deploy.deployment import Deployment
from hwzo.network import Network
from hwzo.train.weights import Weights

URL = "crossbar:pcm?layers=64-32-10&window=1.0&stuck=0.05&seed=7&engine=numpy"
TOUCH_UP = "200 evaluations"
MOST_WRITES = 10
SCRIPT = """
from hwzo.cli.main import main
import hwzo.cli.app, hwzo.train.start
print("ready", flush=True)  # power isn't cut while Python is still loading
main()
"""
COMMAND = (sys.executable, "-c", SCRIPT)


def learned() -> Weights:
    """Weights learned by backpropagation on the host."""
    task, network = load_task("digits"), Network.parse("64-32-10")
    spec, batch = network.parameter_spec(1.0), task.batch("train")
    theta = spec.initial(np.random.default_rng(10))
    for _ in range(300):
        theta = spec.clip(theta - 0.5 * network.gradient(theta, batch.inputs, batch.targets, batch.loss)[1])
    return Weights(theta, spec, "digits", "64-32-10", "tanh", 1.0, URL, True)


def attempt(folder: Path, output: str, after: float | None) -> tuple[bool, float]:
    """Give the command, and kill it so many seconds after it began to work; whether it ended by itself, and when."""
    words = ["deploy", "weights.safetensors", "--device", URL, "-o", output, "--touch-up", TOUCH_UP, "--json"]
    words += ["--most-writes", str(MOST_WRITES)]
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    with subprocess.Popen(
        [*COMMAND, *words], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()  # ready: what comes now is the deployment
        began = time.monotonic()
        try:
            process.wait(after)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            return False, time.monotonic() - began
        if process.returncode not in (0, 5):
            raise SystemExit(f"the deployment ended with {process.returncode}")
        return True, time.monotonic() - began


def same(a: Deployment, b: Deployment) -> bool:
    """Whether two deployments came to the same, bit for bit."""
    pairs = [(getattr(a.written, name), getattr(b.written, name)) for name in ("asked", "reached", "writes", "state")]
    pairs += [(a.weights.theta, b.weights.theta), (a.targets, b.targets)]
    return all(np.array_equal(x, y) for x, y in pairs) and a.snapshot == b.snapshot


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cuts", type=int, default=20, help="deployments that are cut off, once each at least")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    rng = np.random.default_rng(given.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        learned().save(folder / "weights.safetensors")
        ended, seconds = attempt(folder, "whole.h5", None)
        assert ended
        whole = Deployment.load(folder / "whole.h5")
        alike = verified = kills = most = 0
        cuts = int(given.cuts)
        moments = [(at + float(rng.random())) / cuts * seconds for at in range(cuts)]
        for number, moment in enumerate(moments):
            output = f"{number}.h5"
            ended, _ = attempt(folder, output, moment)
            while not ended:
                kills += 1
                # Once more in every third, and then to the end.
                again = float(rng.uniform(0.0, seconds)) if rng.random() < 1 / 3 else None
                ended, _ = attempt(folder, output, again)
            done = Deployment.load(folder / output)
            alike += same(done, whole)
            verified += done.result.verified
            most = max(most, int(done.written.writes.max()))
            print(f"{number + 1}: cut at {moment:.2f} s, same: {same(done, whole)}", file=sys.stderr)
    row = {
        "case": "crossbar:pcm, 5% stuck, 200 evaluations of touch-up (emulated)",
        "deployments": cuts,
        "kills": kills,
        "ended the same, bit for bit": alike,
        "verified": verified,
        "most writes of a cell": most,
        "budget of a cell": MOST_WRITES,
        "seconds of one": round(seconds, 2),
        "n": cuts,
    }
    if given.json:
        print(json.dumps({"machine": MACHINE, "rows": [row]}))
    else:
        for key, value in row.items():
            print(f"{key}: {value}")


if __name__ == "__main__":
    main()
