# pyright: basic, reportMissingImports=false
# Lava carries no types, and isn't installed where hwzo is checked.
"""A Lava process that answers whole calls: K parameter sets on B samples for T steps each.

Hosted by Lava, computed by `hwzo_backends.lava.lif`: spike for spike what Lava's own processes make of the same
parameters (`hwzo_backends.lava.inside.stock`), some thousand times as fast, since a time step of Lava's costs 0.6 ms
whatever happens in it. So this process has none: it runs by Lava's protocol for processes without a common clock.
"""

from __future__ import annotations

import signal
import traceback
from collections.abc import Mapping
from typing import Any

from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.model import PyAsyncProcessModel
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.async_protocol import AsyncProtocol

from hwzo_backends.lava import plan
from hwzo_backends.lava.frames import pack, unpack
from hwzo_backends.lava.inside.pipe import read, write


class Trial(AbstractProcess):
    """Answers hwzo's questions with trials, for ever.

    Args:
        layers: what `hwzo_backends.lava.plan.Plan.as_words` gives.
        incoming, outgoing: descriptors of the pipes from and to hwzo, which its model's process inherits.
    """

    def __init__(self, layers: dict[str, Any], incoming: int, outgoing: int) -> None:
        super().__init__(layers=layers, incoming=incoming, outgoing=outgoing)


@implements(proc=Trial, protocol=AsyncProtocol)
@requires(CPU)
@tag("floating_pt", "fixed_pt")
class PyTrialModel(PyAsyncProcessModel):
    """Runs trials in NumPy; noise is drawn here, in the model's own process."""

    def __init__(self, proc_params: Mapping[str, Any]) -> None:
        super().__init__(proc_params)
        self._plan = plan.Plan.of_words(proc_params["layers"])
        self._incoming, self._outgoing = proc_params["incoming"], proc_params["outgoing"]

    def run_async(self) -> None:
        """Questions and answers."""
        try:
            while True:
                message = read(self._incoming)
                try:
                    answer = pack(*self._plan.answer(*unpack(message)))
                except Exception:  # Lava would end the process and tell nobody why
                    answer = pack({"error": traceback.format_exc()})
                write(self._outgoing, answer)
        except EOFError:  # hwzo has let go: the worker is about to end this process
            signal.pause()
