"""Kills runs with SIGKILL at random moments and lets them go on; prints what each came to.

``python kill_and_resume.py FOLDER KILLS SEED SETTINGS``: one run without a kill, then runs that are killed until there
were KILLS. Each attempt is a fork, so that Python starts once; a checkpoint is due after every millisecond, so that
many kills land while one is written.
"""

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import hwzo
from hwzo.data.nist7x7 import nist7x7
from hwzo.train import loop

A_RUN = 5  # kills in one run
loop.CHECKPOINT_S = 1e-3


def attempt(run, settings, seconds):
    """Go on with a run; kill it after so many seconds. True if it was killed."""
    child = os.fork()
    if child == 0:
        try:
            hwzo.train(TASK, run=run, resume=True, **settings)
            os._exit(0)
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
            os._exit(1)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if not os.WIFSIGNALED(status) and os.WEXITSTATUS(status):
        sys.exit(f"{run}: the run ended with {os.WEXITSTATUS(status)}")
    return os.WIFSIGNALED(status)


def main(folder, kills, seed, settings):
    moments = random.Random(seed)
    begun = time.perf_counter()
    whole = hwzo.train(TASK, run=folder / "whole", **settings)
    took = time.perf_counter() - begun
    found = []
    while sum(each["kills"] for each in found) < kills:
        run, killed = folder / f"run-{len(found)}", 0
        while killed < A_RUN:
            if not attempt(run, settings, moments.uniform(0, took / 2)):
                break
            killed += 1
        result = hwzo.train(TASK, run=run, resume=True, **settings)
        known = hwzo.load_run(run)
        resumed = [kind for _, _, kind, _ in known.events].count("resumed")
        differs = [detail for _, _, kind, detail in known.events if kind != "resumed" and kind != "test"]
        found.append(result.model_dump() | {"kills": killed, "resumed": resumed, "differs": differs})
    print(json.dumps({"whole": whole.model_dump(), "found": found}))


TASK = nist7x7()
if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), json.loads(sys.argv[4]))
