"""The worker's life and death: whatever is killed is noticed, and nothing is left in /dev/shm or the process table."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest

from hwzo.errors import DeviceError, DeviceTimeoutError
from hwzo_backends.lava.inside import vitals
from hwzo_backends.lava.lif import Neurons
from hwzo_backends.lava.plan import Plan, question
from hwzo_backends.lava.worker import RefusedError, Worker

PLAN = Plan((4, 3, 2), (Neurons(4095, 0, 256), Neurons(4095, 0, 256)), steps=5)
SETUP = {"mode": "trial", "plan": PLAN.as_words()}
RNG = np.random.default_rng(5)
PARAMETERS = (RNG.integers(-128, 128, (3, 23)) * 2).astype(np.int16)
INPUTS = RNG.uniform(-1, 1, (6, 4))
NOTICED_S = 1.0


def ask(worker, parameters=PARAMETERS, inputs=INPUTS, timeout_s=30.0):
    words, arrays = question(parameters, inputs, evaluation=0)
    return worker.ask(words, arrays, timeout_s=timeout_s)[1]["counts"]


def ask_for_ever(worker, timeout_s=30.0):
    """The rest of Lava may still answer for a moment."""
    while True:
        ask(worker, timeout_s=timeout_s)


def children(pid):
    """Processes of a worker, itself left out: (pid, command line)."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                stat = (folder / "stat").read_text()
                group = int(stat.rpartition(")")[2].split()[2])
                if group == pid and folder.name != str(pid):
                    found.append((int(folder.name), (folder / "cmdline").read_text().replace("\0", " ")))
            except OSError:
                continue
    return found


def segments(pid):
    return list(Path("/dev/shm").glob(f"{vitals.prefix(pid)}*"))


def folders(pid):
    return list(Path(tempfile.gettempdir()).glob(f"{vitals.prefix(pid)}*"))


def gone(pid):
    """Nothing of a worker is left, at most a moment from now."""
    until = time.monotonic() + 3.0
    while time.monotonic() < until:
        if not segments(pid) and not alive([pid]) and not alive([child for child, _ in children(pid)]):
            return True
        time.sleep(0.01)
    return False


def alive(pids):
    """Those that run; a zombie whose parent doesn't care doesn't."""
    running = []
    for pid in pids:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX":
                running.append(pid)
        except OSError:
            continue
    return running


@pytest.fixture
def worker(lava_python):
    """For tests that kill it."""
    with Worker(lava_python, SETUP, "test") as worker:
        yield worker
    assert gone(worker.pid)


@pytest.fixture(scope="module")
def shared(lava_python):
    with Worker(lava_python, SETUP, "test") as worker:
        yield worker
    assert gone(worker.pid)


def test_answers_what_the_kernel_answers_in_this_process(shared):
    expected = PLAN.run(PARAMETERS, INPUTS, evaluation=0).counts
    assert np.array_equal(ask(shared), expected)
    assert shared.about["lava"] == "0.10.0"


def test_messages_longer_than_a_piece(shared):
    parameters = np.tile(PARAMETERS, (1000, 1))  # 138 kB
    expected = PLAN.run(parameters, INPUTS, evaluation=0).counts
    assert np.array_equal(ask(shared, parameters), expected)


def test_its_processes_are_a_session_of_its_own(shared):
    assert os.getsid(shared.pid) == shared.pid != os.getsid(0)
    assert len(children(shared.pid)) >= 3
    assert segments(shared.pid)


def test_a_question_that_makes_no_sense_is_refused_and_the_next_is_answered(shared):
    with pytest.raises(RefusedError, match=r"ValueError: parameters \(3, 22\)"):
        ask(shared, PARAMETERS[:, :-1])
    assert ask(shared).shape == (3, 6, 2)


def test_closed_twice_and_asked_afterwards(worker):
    worker.close()
    worker.close()
    with pytest.raises(DeviceError, match="closed"):
        ask(worker)


@pytest.mark.parametrize("which", ["worker", "model", "runtime service"])
def test_a_killed_process_is_noticed_within_a_second(worker, which):
    ask(worker)
    forked = [pid for pid, command in children(worker.pid) if "resource_tracker" not in command]
    victim = {"worker": worker.pid, "model": sorted(forked)[-2], "runtime service": sorted(forked)[-1]}[which]
    os.kill(victim, signal.SIGKILL)
    begun = time.monotonic()
    with pytest.raises(DeviceError, match="killed by"):
        ask_for_ever(worker)
    assert time.monotonic() - begun < NOTICED_S
    assert worker.closed


def test_a_model_that_dies_in_the_middle_of_a_call(worker):
    forked = [pid for pid, command in children(worker.pid) if "resource_tracker" not in command]
    kill = threading_kill(sorted(forked)[-2], after_s=0.3)
    inputs = np.tile(INPUTS, (200, 1))
    parameters = np.tile(PARAMETERS, (2000, 1))  # seconds of work
    begun = time.monotonic()
    with pytest.raises(DeviceError, match="killed by signal 9"):
        ask(worker, parameters, inputs, timeout_s=60)
    assert time.monotonic() - begun < 0.3 + 2 * NOTICED_S  # the question itself takes a moment to write
    kill.join()


def threading_kill(pid, after_s):
    import threading

    timer = threading.Timer(after_s, os.kill, (pid, signal.SIGKILL))
    timer.start()
    return timer


@pytest.mark.parametrize("which", ["worker", "model"])
def test_a_stopped_process_is_given_up_after_the_timeout(worker, which):
    ask(worker)
    forked = [pid for pid, command in children(worker.pid) if "resource_tracker" not in command]
    victim = worker.pid if which == "worker" else sorted(forked)[-2]
    os.kill(victim, signal.SIGSTOP)
    while Path(f"/proc/{victim}/stat").read_text().rpartition(")")[2].split()[0] != "T":
        time.sleep(0.001)
    begun = time.monotonic()
    with pytest.raises(DeviceTimeoutError, match=r"within 0\.5 s"):
        ask_for_ever(worker, timeout_s=0.5)
    assert 0.4 < time.monotonic() - begun < 4.0
    assert gone(worker.pid)


HOST = """
    import json, sys
    from pathlib import Path
    from hwzo_backends.lava.worker import Worker
    worker = Worker(Path(sys.argv[1]), json.loads(sys.argv[2]), "test")
    print(worker.pid, flush=True)
    {last}
"""


def host(lava_python, last):
    """A Python of its own that has opened a worker: the process, and the worker's number."""
    code = textwrap.dedent(HOST).format(last=last)
    command = [sys.executable, "-c", code, str(lava_python), json.dumps(SETUP)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    return process, int(process.stdout.readline())


@pytest.mark.parametrize("stopped", [False, True], ids=["running", "stopped"])
def test_a_killed_host_leaves_nothing(lava_python, stopped):
    process, pid = host(lava_python, "import time; time.sleep(60)")
    if stopped:
        os.kill(pid, signal.SIGSTOP)
    process.kill()
    process.wait()
    process.stdout.close()
    assert gone(pid)
    assert not folders(process.pid)


@pytest.mark.parametrize("last", ["pass", "import os; os._exit(0)"])
def test_a_host_that_ends_without_closing_leaves_nothing(lava_python, last):
    process, pid = host(lava_python, last)
    process.wait(10)
    process.stdout.close()
    assert gone(pid)


def test_what_was_left_when_all_was_killed_at_once_is_removed_by_the_next(lava_python):
    process, pid = host(lava_python, "import time; time.sleep(60)")
    os.kill(pid, signal.SIGKILL)  # before the host: it has no time to tidy up
    process.kill()
    process.wait()
    process.stdout.close()
    deadline = time.monotonic() + 5
    while vitals._runs(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    (Path("/dev/shm") / f"{vitals.prefix(pid)}left").touch()  # Python's own tracker may have been quicker with the rest
    vitals.sweep_strays()
    assert not segments(pid)
    assert not folders(process.pid)


def test_an_interpreter_without_lava():
    with pytest.raises(DeviceError, match="No module named 'lava'"):
        Worker(Path(sys.executable), SETUP, "test")


def test_an_interpreter_that_is_not_there(tmp_path):
    with pytest.raises(DeviceError, match=r"can't be started: .*No such file"):
        Worker(tmp_path / "python", SETUP, "test")


def test_something_that_is_no_interpreter(tmp_path):
    false = tmp_path / "python"
    false.write_text("#!/bin/sh\necho 'I am no Python' >&2\nexit 3\n")
    false.chmod(0o755)
    with pytest.raises(DeviceError, match="I am no Python"):
        Worker(false, SETUP, "test")
