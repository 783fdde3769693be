# pyright: basic, reportMissingImports=false
# Lava carries no types, and isn't installed where hwzo is checked.
"""The worker's loop: a message from hwzo, a message back. Runs until hwzo closes the pipe."""

from __future__ import annotations

import platform
import threading
import traceback
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from hwzo_backends.lava.frames import pack, unpack
from hwzo_backends.lava.inside import hook, vitals
from hwzo_backends.lava.inside.pipe import read, write

SAID_BY_US = ("GraphError", "HardwareError")
"""Errors whose messages are for the user as they are."""


class Running(Protocol):
    """A Lava network that has been started and never stops."""

    about: dict[str, Any]
    """What hwzo is told of it."""

    @property
    def ask(self) -> Callable[[bytearray], bytearray] | None:
        """Answers a message, both whole, lengths in front; None: one of its processes serves the pipes itself."""
        ...

    def failures(self) -> list[str]:
        """What processes of it that failed had to say."""
        ...


def serve(incoming: int, outgoing: int) -> None:
    """Answer on two descriptors; the first message says what to start."""
    vitals.take_hold()
    hook.install()
    try:
        words, _ = unpack(read(incoming))
        running = _start(words, incoming, outgoing)
        from importlib.metadata import version

        import lava  # noqa: F401  (it is there; its version is that of the distribution)

        about: dict[str, Any] = {
            **running.about,
            "python": platform.python_version(),
            "numpy": np.__version__,
            "lava": version("lava-nc"),
        }
        write(outgoing, pack({"ready": True, **about}))
    except Exception as error:
        kind = type(error).__name__
        told = str(error) if kind in SAID_BY_US else f"{kind}: {error}"
        write(outgoing, pack({"error": told, "kind": kind, "traceback": traceback.format_exc()}))
        vitals.end(1)
        return
    vitals.watch(incoming, running.failures)
    try:
        while running.ask is not None:
            question = read(incoming)
            try:
                answer = running.ask(question)
            except Exception:
                answer = pack({"error": traceback.format_exc()})
            write(outgoing, answer)
    except EOFError:
        vitals.end(0)
    threading.Event().wait()  # what looks after the children ends this process


def _start(words: dict[str, Any], incoming: int, outgoing: int) -> Running:
    match words["mode"]:
        case "trial":
            from hwzo_backends.lava.inside.trial import RunningTrial

            return RunningTrial(words["plan"], incoming, outgoing)
        case "graph":
            from hwzo_backends.lava.inside.stock import RunningStock

            return RunningStock(words["plan"], words["copies"], words["hardware"], raster=words["raster"])
        case "own":
            from hwzo_backends.lava.inside.own import RunningOwn

            return RunningOwn(words)
        case mode:
            raise ValueError(f"a worker of mode {mode!r} is not known")
