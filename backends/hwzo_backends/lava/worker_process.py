"""The process of a worker, as its host holds it: started with pipes and a folder of its own, waited for, ended."""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

from hwzo.errors import DeviceError
from hwzo_backends.lava.inside import vitals

MAIN = Path(__file__).parent / "inside" / "main.py"
COMMAND = "hwzo doctor --install lava"
VARIABLE = "HWZO_LAVA_PYTHON"
"""Names an interpreter that has lava-nc, to be used instead of the environment made here."""
CLOSE_S = 5.0
"""It gets so long to end by itself."""
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
QUICK = dict.fromkeys(_THREADS, "1") | {"MALLOC_MMAP_THRESHOLD_": str(1 << 27), "MALLOC_TRIM_THRESHOLD_": str(1 << 28)}
"""Environment of a worker. A pool of threads that spins beside a busy neighbour is slower than none; and glibc would
give a call's arrays back to the system and fault their pages in with the next, a fifth of the time."""
FULL = f"{vitals.MEMORY} is full"
_PIPE = 1 << 20
_FIRST = 1 << 16
_F_SETPIPE_SZ = 1031


class LateError(Exception):
    """The deadline is over; `Worker` says so to the user."""


class WorkerProcess:
    """The process, its pipes and its folder, apart from `Worker`, so that a finalizer can let go of them.

    Args:
        python: the interpreter that has Lava.
        name: of whom it is, for messages.

    Raises:
        DeviceError: it can't be started.
    """

    def __init__(self, python: Path, name: str) -> None:
        self._status: int | None = None
        self._owner = os.getpid()
        self._folder = Path(tempfile.mkdtemp(prefix=vitals.prefix(os.getpid())))
        self._errors = self._folder / "stderr"
        try:
            theirs_in, self.outgoing = os.pipe()
            self.incoming, theirs_out = os.pipe()
        except OSError as error:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise DeviceError(f"{name}: Lava's worker can't be started: {error}") from error
        for descriptor in (self.outgoing, self.incoming):
            os.set_blocking(descriptor, False)
            with suppress(OSError):
                _widen(descriptor)
        # What Lava keeps in temporary files goes with the folder.
        environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
        environment |= {**QUICK, "TMPDIR": str(self._folder)}
        command = [str(python), "-I", "-W", "ignore", str(MAIN)]
        try:
            with self._errors.open("wb") as errors:
                self._process = subprocess.Popen(
                    command,
                    stdin=theirs_in,
                    stdout=theirs_out,
                    stderr=errors,
                    env=environment,
                    start_new_session=True,
                )
        except OSError as error:
            for descriptor in (self.outgoing, self.incoming):
                os.close(descriptor)
            shutil.rmtree(self._folder, ignore_errors=True)
            raise DeviceError(
                f"{name}: Lava's worker can't be started: {python}: {error.strerror}; {mended_by()}"
            ) from error
        finally:
            os.close(theirs_in)
            os.close(theirs_out)
        self._stat: int | None = None
        with suppress(OSError):  # Linux has it
            self._stat = os.open(f"/proc/{self.pid}/stat", os.O_RDONLY | os.O_CLOEXEC)

        self.first = bytearray(_FIRST)  # what is read of an answer at first: as a rule all of it
        self._answers, self._room = select.poll(), select.poll()
        self._answers.register(self.incoming, select.POLLIN)
        self._room.register(self.outgoing, select.POLLOUT)

    @property
    def pid(self) -> int:
        """The leader of the worker's session."""
        return self._process.pid

    def await_answer(self, deadline: float) -> None:
        """Wait until there is something to be read, or the worker has let go.

        Raises:
            LateError: not until ``deadline``, of the monotonic clock.
        """
        _wait(self._answers, deadline)

    def await_room(self, deadline: float) -> None:
        """Wait until something can be written. Raises as `await_answer` does."""
        _wait(self._room, deadline)

    def state(self) -> Literal["runs", "stopped", "gone"]:
        """Of the worker's first process, as the system has it; it runs, where the system doesn't say."""
        if self._stat is None:
            return "runs"
        try:
            letter = os.pread(self._stat, 200, 0).rpartition(b")")[2].split()[0]
        except (OSError, IndexError):
            return "gone"
        return "stopped" if letter in b"Tt" else "gone" if letter in b"ZXx" else "runs"

    def ended(self, wait_s: float) -> bool:
        """Whether it has, within ``wait_s``. It isn't reaped yet, so that its group's number stays its own."""
        until = time.monotonic() + wait_s
        while True:
            try:
                ended = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:  # somebody else has reaped it
                return True
            if ended is not None:
                self._status = ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status
                return True
            if time.monotonic() >= until:
                return False
            time.sleep(0.002)

    def last_words(self) -> str:
        """The last line that it printed before it ended; how it ended, if it printed none."""
        self.ended(1.0)
        with suppress(OSError):
            lines = self._errors.read_text(errors="replace").strip().splitlines()
            if lines:
                return lines[-1].strip()
        if self._status is not None and self._status < 0:
            if -self._status == signal.SIGBUS:
                return f"killed by SIGBUS: {no_room()}"
            return f"killed by {signal.Signals(-self._status).name}"
        return "no reason given" if self._status is None else f"exit code {self._status}"

    def release(self) -> None:
        """Close its pipe, on which it ends; kill what doesn't; remove what is left. Forks of this process let it be."""
        if os.getpid() != self._owner:
            return
        with undisturbed():
            self._let_go()

    def _let_go(self) -> None:
        for descriptor in (self.outgoing, self.incoming, self._stat):
            if descriptor is not None:
                os.close(descriptor)
        self._signal(signal.SIGCONT)  # one that was stopped must run on to end
        self.ended(CLOSE_S)
        self._signal(signal.SIGKILL)
        self._process.wait()
        vitals.sweep(self.pid)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _signal(self, number: int) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)


def mended_by() -> str:
    """What a user can do about a Lava that doesn't start."""
    named = os.environ.get(VARIABLE)
    if named:
        return f"{VARIABLE}={named} names it: name a Python that has lava-nc 0.10.0, or unset it"
    return f"this installs it anew if it is damaged: {COMMAND}"


def no_room() -> str:
    """What a worker dies of that gets less shared memory than it was promised."""
    with suppress(OSError):
        left = os.statvfs(vitals.MEMORY)
        free = f", {left.f_bavail * left.f_frsize >> 20} of {left.f_blocks * left.f_frsize >> 20} MB are free"
        return f"{FULL}{free}; Lava's processes talk through it: make room there, or in a container more (--shm-size)"
    return FULL


@contextmanager
def undisturbed() -> Generator[None]:
    """SIGINT and SIGTERM wait: an exception in here would leave a worker that nobody ends."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _widen(descriptor: int) -> None:
    import fcntl

    fcntl.fcntl(descriptor, _F_SETPIPE_SZ, _PIPE)


def _wait(poll: select.poll, deadline: float) -> None:
    left = deadline - time.monotonic()
    if left <= 0 or not poll.poll(min(left, 1e6) * 1000):
        raise LateError
