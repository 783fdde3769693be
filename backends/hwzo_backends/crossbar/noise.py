"""Counter-based random numbers: every draw is a pure function of (seed, stream, event)."""

from __future__ import annotations

from enum import IntEnum
from typing import Any, Protocol

import numpy as np

_TAG = 0x687A786261722D31  # second half of the key: keeps these streams apart from other users of the same seed


class Stream(IntEnum):
    """What a draw is for. Numbers are part of the format of snapshots: add, never renumber."""

    GAIN = 1
    STUCK = 2
    PROGRAMMING = 3
    DRIFT = 4
    FLICKER_START = 5
    FLICKER = 6
    TELEGRAPH_START = 7
    TELEGRAPH = 8
    PARAMETERS = 9
    NODES = 10
    READ_ERROR = 11
    PULSES = 12
    WRITE_NOISE = 13
    DEVICE = 14


class Draws(Protocol):
    """The draws of one event, in order; a `numpy.random.Generator` is one."""

    def standard_normal(self, size: Any = None, dtype: Any = np.float64, out: Any = None) -> Any:  # noqa: ANN401
        """Standard normal numbers of shape ``size``, float64 or float32; or into ``out``."""
        ...

    def random(self, size: Any = None) -> Any:  # noqa: ANN401
        """Uniform numbers of [0, 1), float64."""
        ...


class NoiseSource(Protocol):
    """Random numbers addressed by (stream, event): `CounterNoise`, or a faster one."""

    def at(self, stream: Stream, event: int) -> Draws:
        """The draws of one event; what they give depends on the seed, the stream and the event only."""
        ...


class CounterNoise:
    """Random generators addressed by (stream, event), from Philox4x64-10 (Salmon et al., SC 2011).

    Nothing is remembered between calls, so the state of a device holds event numbers only, and any order or split of
    calls gives the same numbers.

    Args:
        seed: of the device, 0 to 2^64 - 1.
    """

    def __init__(self, seed: int) -> None:
        self._bits = np.random.Philox(key=np.array([seed, _TAG], dtype=np.uint64))
        self._generator = np.random.Generator(self._bits)
        self._state = self._bits.state

    def at(self, stream: Stream, event: int) -> np.random.Generator:
        """The generator of one event. It is shared: draw what you need before you ask for the next."""
        # Word 0 counts blocks within the event; setting a state is six times faster than building a generator.
        self._state["state"]["counter"][:] = (0, event, stream, 0)
        self._state["buffer_pos"] = 4
        self._state["has_uint32"] = 0
        self._bits.state = self._state
        return self._generator
