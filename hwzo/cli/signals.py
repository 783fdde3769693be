"""SIGINT and SIGTERM while a command runs; light, so that it can be in place before anything heavy is loaded."""

from __future__ import annotations

import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType


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
    """Within the block, both signals raise `Signalled`; the handlers from before are put back after it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, frame: FrameType | None) -> None:
        raise Signalled(number)

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
