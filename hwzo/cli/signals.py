"""SIGINT and SIGTERM while a command runs; light, so that it can be in place before anything heavy is loaded."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType

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
    """Within the block, both signals raise `Signalled`, once if they come together; then the old handlers are back."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    last = -TWICE_S

    def end(number: int, frame: FrameType | None) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= TWICE_S:  # else what the first one set off, such as ending a device's worker, would be cut off
            last = now
            raise Signalled(number)

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
