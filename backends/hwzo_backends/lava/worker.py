"""The host's end of a worker: started, asked, watched, ended; nothing of it outlives this process.

A worker is a session of its own, so that no Ctrl-C reaches it, with an interpreter of its own. It ends when its pipe is
closed, hence whenever this process ends, however it ends; see `hwzo_backends.lava.inside.vitals` for its side.
"""

from __future__ import annotations

import errno
import os
import time
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from hwzo.errors import DeviceError, DeviceTimeoutError
from hwzo_backends.lava.frames import HEAD, LARGEST, pack, unpack
from hwzo_backends.lava.inside import vitals
from hwzo_backends.lava.worker_process import FULL, LateError, WorkerProcess, mended_by, no_room, undisturbed

START_S = 60.0
"""A worker that takes longer to start (2 s, as a rule) is given up."""
LOOK_S = 0.05
"""Whether its first process runs is looked at so often at most."""

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
        with undisturbed():
            self._process = WorkerProcess(python, name)
            self._finalizer = weakref.finalize(self, WorkerProcess.release, self._process)
        try:
            self.about, _ = self.ask(setup, timeout_s=timeout_s)
        except RefusedError as error:
            self.close()
            if error.kind in ("ModuleNotFoundError", "ImportError"):
                raise DeviceError(f"{name}: Lava doesn't work under {python}: {error.told}; {mended_by()}") from None
            if os.strerror(errno.ENOSPC) in error.told:
                raise DeviceError(f"{name}: Lava's worker can't be started: {no_room()}") from None
            raise
        except DeviceTimeoutError:
            raise DeviceTimeoutError(f"{name}: Lava's worker didn't start within {timeout_s:g} s") from None
        except DeviceError as error:
            raise DeviceError(str(error) if FULL in str(error) else f"{error}; {mended_by()}") from None

    @property
    def pid(self) -> int:
        """Of the worker's first process, the leader of its session."""
        return self._process.pid

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
                while (state := self._process.state()) != "runs":
                    if state == "gone":
                        raise EOFError
                    _pause(deadline)
                self._look_next = time.monotonic() + LOOK_S
        except LateError:
            self.close()
            raise DeviceTimeoutError(
                f"{self._name}: Lava's worker didn't answer within {timeout_s:g} s and was ended; allow it more by "
                "timeout=SECONDS in the device's URL"
            ) from None
        except (EOFError, BrokenPipeError):
            said = self._process.last_words()
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
        descriptor = self._process.outgoing
        while left:
            try:
                left = left[os.write(descriptor, left) :]
            except BlockingIOError:
                self._process.await_room(deadline)

    def _receive(self, deadline: float) -> Answer:
        self._process.await_answer(deadline)
        begun = os.readv(self._process.incoming, [self._process.first])
        if not begun:
            raise EOFError
        message = self._filled(self._process.first[:begun], HEAD.size, deadline)
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
                count = os.readv(self._process.incoming, [into])
            except BlockingIOError:
                self._process.await_answer(deadline)
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


def _pause(deadline: float) -> None:
    if time.monotonic() >= deadline:
        raise LateError
    time.sleep(0.02)
