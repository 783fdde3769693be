"""Life and death of a worker: its processes end when it does, it ends when hwzo does, and nothing is left of either.

Lava blocks for ever when one of its processes dies, and leaves processes and shared memory behind when it is killed
itself. So the worker looks after its children; what it leaves in /dev/shm carries its name.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import secrets
import select
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import resource_tracker, shared_memory
from pathlib import Path
from typing import Any

PR_SET_PDEATHSIG = 1
LOOK_S = 0.1
"""How often children and the pipe from hwzo are looked at."""
END_S = 3.0
"""The longest that dead children are waited for."""
MEMORY = Path("/dev/shm")
LOST = 70
"""Exit code of a worker one of whose processes died."""


def prefix(pid: int) -> str:
    """What names of a process's leavings start with: whose they are, and by which machine's process table."""
    with suppress(OSError):
        return f"hwzo-lava-{Path('/proc/self/ns/pid').stat().st_ino}-{pid}-"
    return f"hwzo-lava-{pid}-"


def sweep(pid: int, place: Path = MEMORY) -> list[str]:
    """Remove what a process that is no more left in a folder; names of what was there."""
    removed: list[str] = []
    with suppress(OSError):
        for left in place.glob(f"{prefix(pid)}*"):
            with suppress(OSError):
                shutil.rmtree(left) if left.is_dir() else left.unlink()
                removed.append(left.name)
    return removed


def sweep_strays() -> list[str]:
    """Remove what all processes of this table that are no more left, as after a kill of everything at once."""
    removed: list[str] = []
    start = prefix(0)[: -len("0-")]
    for place in (MEMORY, Path(tempfile.gettempdir())):
        with suppress(OSError):
            pids = {left.name[len(start) :].partition("-")[0] for left in place.glob(f"{start}*")}
            for pid in pids:
                if pid.isdecimal() and not _runs(int(pid)):
                    removed += sweep(int(pid), place)
    return removed


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def take_hold() -> None:
    """Before Lava is imported: names for shared memory, and children that die with this process."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT, signal.SIGTERM))  # blocked while hwzo started this
    shared: Any = shared_memory
    own = prefix(os.getpid())  # known before any fork: the process that makes them is a child
    shared._make_filename = lambda: f"/{own}{secrets.token_hex(6)}"
    die_by(signal.SIGCONT)  # hwzo is gone: a worker that was stopped must run on to see it by its pipe
    os.register_at_fork(after_in_child=lambda: die_by(signal.SIGKILL))


def die_by(number: int) -> None:
    """Have this process sent a signal when its parent ends."""
    with suppress(OSError, AttributeError):  # Linux has it
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, number)


def watch(pipe: int, told: Callable[[], list[str]]) -> None:
    """Look after the children and the pipe from hwzo, from a thread; ends this process when either is gone.

    Args:
        pipe: descriptor that hwzo writes to.
        told: what failed processes had to say.
    """
    known = {child.pid: child for child in multiprocessing.active_children()}

    def look() -> None:
        hung_up = select.poll()
        hung_up.register(pipe, 0)  # hang-ups are always told
        while True:
            if hung_up.poll(LOOK_S * 1000):
                end(0)
            for pid, child in known.items():
                if not child.is_alive():
                    for line in told():
                        print(line, file=sys.stderr)
                    code = child.exitcode
                    how = f"was killed by signal {-code}" if code is not None and code < 0 else "ended"
                    if code == -signal.SIGBUS:
                        how += f", as when {MEMORY} is full"
                    print(f"process {pid} of Lava's {how}", file=sys.stderr, flush=True)
                    end(LOST)

    threading.Thread(target=look, name="vitals", daemon=True).start()


def end(code: int) -> None:
    """End all children, remove what they left, and end this process; Lava's own stop() may wait for ever."""
    for child in multiprocessing.active_children():
        with suppress(Exception):
            child.kill()
    tracker: Any = getattr(resource_tracker, "_resource_tracker", None)
    pid = getattr(tracker, "_pid", None)
    if pid is not None:
        with suppress(OSError):
            os.kill(pid, signal.SIGKILL)
    until = time.monotonic() + END_S
    with suppress(ChildProcessError):  # none left
        while time.monotonic() < until:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                time.sleep(0.005)
    sweep(os.getpid())
    if code == 0:  # hwzo has let go, or is gone: nobody reads what was printed into its folder
        shutil.rmtree(tempfile.gettempdir(), ignore_errors=True)
    os._exit(code)
