"""The worker's two pipes: messages whole, however the system cuts them."""

from __future__ import annotations

import os

from hwzo_backends.lava.frames import HEAD

_FIRST = bytearray(1 << 16)
"""What is read of a message at first; as a rule all of it."""


def read(descriptor: int) -> bytearray:
    """The next message, its length in front; waits for it.

    Raises:
        EOFError: hwzo has let go.
    """
    begun = os.readv(descriptor, [_FIRST])
    if not begun:
        raise EOFError
    message = _filled(descriptor, _FIRST[:begun], HEAD.size)
    (length,) = HEAD.unpack_from(message)
    return _filled(descriptor, message, HEAD.size + length)


def write(descriptor: int, message: bytes | bytearray) -> None:
    """Send a message.

    Raises:
        EOFError: hwzo has let go.
    """
    left = memoryview(message)
    try:
        while left:
            left = left[os.write(descriptor, left) :]
    except BrokenPipeError:
        raise EOFError from None


def _filled(descriptor: int, message: bytearray, size: int) -> bytearray:
    """The message, read on until it has a size."""
    start = len(message)
    if start >= size:
        return message
    message.extend(bytes(size - start))
    into = memoryview(message)[start:]
    while into:
        count = os.readv(descriptor, [into])
        if not count:
            raise EOFError
        into = into[count:]
    return message
