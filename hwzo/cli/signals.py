"""SIGINT and SIGTERM while a command runs; light, so that it can be in place before anything heavy is loaded."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType

AGAIN_S = 0.05
"""After this a signal is sent again that came while Python was in a place from which nothing can be raised."""
TWICE_S = 0.5
"""A signal that follows another within this time is the same wish: timeout(1) sends to a process and to its group."""


class Signalled(BaseException):
    """A signal asked the command to end; not an Exception, so that no backend's or task's own handler swallows it.

    Args:
        number: which signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


@contextmanager
def answered() -> Generator[None]:
    """Within the block, both signals raise `Signalled`, once if they come together; then the old handlers are back.

    What is raised in a finaliser or a callback from C ends there and is only reported: then the signal comes again.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    last, again = -TWICE_S, list[threading.Timer]()

    def end(number: int, frame: FrameType | None) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= TWICE_S:  # else what the first one set off, such as ending a device's worker, would be cut off
            last = now
            raise Signalled(number)

    def swallowed(report: sys.UnraisableHookArgs) -> None:
        nonlocal last
        if isinstance(report.exc_value, Signalled):
            last = -TWICE_S
            again.append(threading.Timer(AGAIN_S, os.kill, (os.getpid(), report.exc_value.number)))
            again[-1].daemon = True
            again[-1].start()
        else:
            reported(report)

    reported, sys.unraisablehook = sys.unraisablehook, swallowed
    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        sys.unraisablehook = reported
        for timer in again:
            timer.cancel()
        for number, handler in before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
