"""The host's end of a worker: started, asked, watched, ended; nothing of it outlives this process.

A worker is a session of its own, so that no Ctrl-C reaches it, with an interpreter of its own. It ends when its pipe is
closed, hence whenever this process ends, however it ends; see `hwzo_backends.lava.inside.vitals` for its side.
"""

from __future__ import annotations

import errno
import os
import select
import shutil
import signal
import subprocess
import tempfile
import time
import weakref
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

from numpy.typing import NDArray

from hwzo.errors import DeviceError, DeviceTimeoutError
from hwzo_backends.lava.frames import HEAD, LARGEST, pack, unpack
from hwzo_backends.lava.inside import vitals

MAIN = Path(__file__).parent / "inside" / "main.py"
COMMAND = "hwzo doctor --install lava"
VARIABLE = "HWZO_LAVA_PYTHON"
"""Names an interpreter that has lava-nc, to be used instead of the environment made here."""
START_S = 60.0
"""A worker that takes longer to start (2 s, as a rule) is given up."""
LOOK_S = 0.05
"""Whether its first process runs is looked at so often at most."""
CLOSE_S = 5.0
"""It gets so long to end by itself."""
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
QUICK = dict.fromkeys(_THREADS, "1") | {"MALLOC_MMAP_THRESHOLD_": str(1 << 27), "MALLOC_TRIM_THRESHOLD_": str(1 << 28)}
"""Environment of a worker. A pool of threads that spins beside a busy neighbour is slower than none; and glibc would
give a call's arrays back to the system and fault their pages in with the next, a fifth of the time."""
_FULL = f"{vitals.MEMORY} is full"
_PIPE = 1 << 20
_FIRST = 1 << 16
_F_SETPIPE_SZ = 1031

Answer = tuple[dict[str, Any], dict[str, NDArray[Any]]]


class RefusedError(DeviceError):
    """The worker answered that it can't.

    Args:
        message: for the user.
        kind: name of what was raised there.
        told: the last line of what it said.
    """

    def __init__(self, message: str, kind: str, told: str) -> None:
        super().__init__(message)
        self.kind, self.told = kind, told


class Worker:
    """A worker that runs. A context manager, and closed when it is collected or Python ends.

    Args:
        python: the interpreter that has Lava.
        setup: what it shall run, see `hwzo_backends.lava.inside.service`.
        name: of whom it is, for messages.
        timeout_s: how long it may take to start.

    Raises:
        DeviceError: it can't be started, or says why it doesn't.
        DeviceTimeoutError: it didn't start in time.
    """

    def __init__(self, python: Path, setup: Mapping[str, Any], name: str, timeout_s: float = START_S) -> None:
        self._name = name
        vitals.sweep_strays()
        self._look_next = 0.0
        with _undisturbed():
            self._held = _Held(python, name)
            self._finalizer = weakref.finalize(self, _Held.release, self._held)
        try:
            self.about, _ = self.ask(setup, timeout_s=timeout_s)
        except RefusedError as error:
            self.close()
            if error.kind in ("ModuleNotFoundError", "ImportError"):
                raise DeviceError(f"{name}: Lava doesn't work under {python}: {error.told}; {mended_by()}") from None
            if os.strerror(errno.ENOSPC) in error.told:
                raise DeviceError(f"{name}: Lava's worker can't be started: {_no_room()}") from None
            raise
        except DeviceTimeoutError:
            raise DeviceTimeoutError(f"{name}: Lava's worker didn't start within {timeout_s:g} s") from None
        except DeviceError as error:
            raise DeviceError(str(error) if _FULL in str(error) else f"{error}; {mended_by()}") from None

    @property
    def pid(self) -> int:
        """Of the worker's first process, the leader of its session."""
        return self._held.process.pid

    @property
    def closed(self) -> bool:
        """True once it was closed, or has failed and said so."""
        return not self._finalizer.alive

    def ask(
        self, words: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]] | None = None, *, timeout_s: float
    ) -> Answer:
        """Its answer. After an error other than `RefusedError` it has been ended.

        Raises:
            RefusedError: it refused, or failed in a way that it survives; the message is the last line of what it said.
            DeviceTimeoutError: no answer within ``timeout_s``.
            DeviceError: it has ended, or one of Lava's processes has.
        """
        if self.closed:
            raise DeviceError(f"{self._name}: Lava's worker was closed")
        deadline = time.monotonic() + timeout_s
        try:
            self._send(pack(words, arrays), deadline)
            answer = self._receive(deadline)
            # The model may answer for itself: whether its keeper runs, nobody else would tell.
            if "error" not in answer[0] and time.monotonic() >= self._look_next:
                while (state := self._held.state()) != "runs":
                    if state == "gone":
                        raise EOFError
                    _pause(deadline)
                self._look_next = time.monotonic() + LOOK_S
        except _Late:
            self.close()
            raise DeviceTimeoutError(
                f"{self._name}: Lava's worker didn't answer within {timeout_s:g} s and was ended; allow it more by "
                "timeout=SECONDS in the device's URL"
            ) from None
        except (EOFError, BrokenPipeError):
            said = self._held.last_words()
            self.close()
            raise DeviceError(f"{self._name}: Lava's worker has ended: {said}") from None
        except BaseException:  # an interrupt: question and answer are out of step
            self.close()
            raise
        if "error" in answer[0]:
            told = str(answer[0]["error"]).strip().splitlines()[-1]
            raise RefusedError(f"{self._name}: Lava's worker says: {told}", str(answer[0].get("kind", "")), told)
        return answer

    def _send(self, message: bytearray, deadline: float) -> None:
        left = memoryview(message)
        descriptor = self._held.outgoing
        while left:
            try:
                left = left[os.write(descriptor, left) :]
            except BlockingIOError:
                self._held.await_room(deadline)

    def _receive(self, deadline: float) -> Answer:
        self._held.await_answer(deadline)
        begun = os.readv(self._held.incoming, [self._held.first])
        if not begun:
            raise EOFError
        message = self._filled(self._held.first[:begun], HEAD.size, deadline)
        (length,) = HEAD.unpack_from(message)
        if length > LARGEST:
            raise EOFError
        return unpack(self._filled(message, HEAD.size + length, deadline))

    def _filled(self, message: bytearray, size: int, deadline: float) -> bytearray:
        """The message, read on until it has a size."""
        start = len(message)
        if start >= size:
            return message
        message.extend(bytes(size - start))
        into = memoryview(message)[start:]
        while into:
            try:
                count = os.readv(self._held.incoming, [into])
            except BlockingIOError:
                self._held.await_answer(deadline)
                continue
            if not count:
                raise EOFError
            into = into[count:]
        return message

    def close(self) -> None:
        """End it, and all that it started; closing twice is fine."""
        self._finalizer()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def mended_by() -> str:
    """What a user can do about a Lava that doesn't start."""
    named = os.environ.get(VARIABLE)
    if named:
        return f"{VARIABLE}={named} names it: name a Python that has lava-nc 0.10.0, or unset it"
    return f"this installs it anew if it is damaged: {COMMAND}"


def _no_room() -> str:
    """What a worker dies of that gets less shared memory than it was promised."""
    with suppress(OSError):
        left = os.statvfs(vitals.MEMORY)
        free = f", {left.f_bavail * left.f_frsize >> 20} of {left.f_blocks * left.f_frsize >> 20} MB are free"
        return f"{_FULL}{free}; Lava's processes talk through it: make room there, or in a container more (--shm-size)"
    return _FULL


class _Late(Exception):  # noqa: N818  (it never leaves this file)
    pass


def _pause(deadline: float) -> None:
    if time.monotonic() >= deadline:
        raise _Late
    time.sleep(0.02)


def _wait(poll: select.poll, deadline: float) -> None:
    left = deadline - time.monotonic()
    if left <= 0 or not poll.poll(min(left, 1e6) * 1000):
        raise _Late


class _Held:
    """The process, its pipes and its folder, apart from `Worker`, so that a finalizer can let go of them."""

    def __init__(self, python: Path, name: str) -> None:
        self._status: int | None = None
        self._owner = os.getpid()
        self.folder = Path(tempfile.mkdtemp(prefix=vitals.prefix(os.getpid())))
        self.errors = self.folder / "stderr"
        try:
            theirs_in, self.outgoing = os.pipe()
            self.incoming, theirs_out = os.pipe()
        except OSError as error:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise DeviceError(f"{name}: Lava's worker can't be started: {error}") from error
        for descriptor in (self.outgoing, self.incoming):
            os.set_blocking(descriptor, False)
            with suppress(OSError):
                _widen(descriptor)
        # What Lava keeps in temporary files goes with the folder.
        environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
        environment |= {**QUICK, "TMPDIR": str(self.folder)}
        command = [str(python), "-I", "-W", "ignore", str(MAIN)]
        try:
            with self.errors.open("wb") as errors:
                self.process = subprocess.Popen(
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
            shutil.rmtree(self.folder, ignore_errors=True)
            raise DeviceError(
                f"{name}: Lava's worker can't be started: {python}: {error.strerror}; {mended_by()}"
            ) from error
        finally:
            os.close(theirs_in)
            os.close(theirs_out)
        self._stat: int | None = None
        with suppress(OSError):  # Linux has it
            self._stat = os.open(f"/proc/{self.process.pid}/stat", os.O_RDONLY | os.O_CLOEXEC)

        self.first = bytearray(_FIRST)  # what is read of an answer at first: as a rule all of it
        self._answers, self._room = select.poll(), select.poll()
        self._answers.register(self.incoming, select.POLLIN)
        self._room.register(self.outgoing, select.POLLOUT)

    def await_answer(self, deadline: float) -> None:
        """Wait until there is something to be read, or the worker has let go."""
        _wait(self._answers, deadline)

    def await_room(self, deadline: float) -> None:
        """Wait until something can be written."""
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
                ended = os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
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
            lines = self.errors.read_text(errors="replace").strip().splitlines()
            if lines:
                return lines[-1].strip()
        if self._status is not None and self._status < 0:
            if -self._status == signal.SIGBUS:
                return f"killed by SIGBUS: {_no_room()}"
            return f"killed by {signal.Signals(-self._status).name}"
        return "no reason given" if self._status is None else f"exit code {self._status}"

    def release(self) -> None:
        """Close its pipe, on which it ends; kill what doesn't; remove what is left. Forks of this process let it be."""
        if os.getpid() != self._owner:
            return
        with _undisturbed():
            self._let_go()

    def _let_go(self) -> None:
        for descriptor in (self.outgoing, self.incoming, self._stat):
            if descriptor is not None:
                os.close(descriptor)
        pid = self.process.pid
        self._signal(signal.SIGCONT)  # one that was stopped must run on to end
        self.ended(CLOSE_S)
        self._signal(signal.SIGKILL)
        self.process.wait()
        vitals.sweep(pid)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _signal(self, number: int) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, number)


@contextmanager
def _undisturbed() -> Generator[None]:
    """SIGINT and SIGTERM wait: an exception in here would leave a worker that nobody ends."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _widen(descriptor: int) -> None:
    import fcntl

    fcntl.fcntl(descriptor, _F_SETPIPE_SZ, _PIPE)
