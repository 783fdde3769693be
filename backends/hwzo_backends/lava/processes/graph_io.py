# pyright: basic, reportMissingImports=false
# Lava carries no types, and isn't installed where hwzo is checked.
"""What feeds a graph of Lava's own Dense and LIFReset, and what counts its spikes.

A call is a run of whole windows of T steps. Its first step brings parameters, which are written through RefPorts before
the second; from the second on the inputs of one sample after the other come out, T steps each. Layer l (the first is 0)
hears of a sample l + 2 steps after its first input came out at the earliest, hence its own T steps begin with step
l + 3, at which it resets. A further window or more lets the last layer finish.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyInPort, PyOutPort, PyRefPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import InPort, OutPort, RefPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol

from hwzo_backends.lava.frames import pack, unpack
from hwzo_backends.lava.plan import Plan
from hwzo_backends.lava.processes.chunks import CHUNK, PIECES, receive, send

MOST_LAYERS = 4
"""Ports of a process have names; there are so many."""


def first_step(layer: int) -> int:
    """Of a run: the step in which a layer's own first step of the first sample falls, counted from 1."""
    return layer + 3


def windows(n_layers: int, steps: int, samples: int) -> int:
    """How many windows of ``steps`` steps a run of so many samples takes."""
    return samples + -(-(n_layers + 1) // steps)


class Feed(AbstractProcess):
    """Hands parameters and input spikes of a call to a graph.

    Args:
        plan: what `hwzo_backends.lava.plan.Plan.as_words` gives.
        copies: networks side by side.
        shared: number of the evaluation, of the samples and of the copies in use; see `stock.Shared`.
    """

    def __init__(self, plan: Mapping[str, Any], copies: int, shared: Any) -> None:  # noqa: ANN401
        super().__init__(plan=plan, copies=copies, shared=shared)
        units = plan["units"]
        self.questions = InPort(shape=(CHUNK,))
        self.questions.flag_external_pipe(buffer_size=PIECES)
        self.spikes = OutPort(shape=(units[0],))
        for layer in range(MOST_LAYERS):
            n, m = shape_of(units, copies, layer) if layer < len(units) - 1 else (1, 1)
            setattr(self, f"weights{layer}", RefPort(shape=(m, n)))
            setattr(self, f"bias{layer}", RefPort(shape=(m,)))


class Count(AbstractProcess):
    """Notes the spikes of all layers, or counts those of the last one, and reads its v at the end of each window.

    Args:
        plan: what `hwzo_backends.lava.plan.Plan.as_words` gives.
        copies: networks side by side.
        shared: as for `Feed`.
        raster: whether every spike of every layer is noted; takes a connection from each layer.
    """

    def __init__(self, plan: Mapping[str, Any], copies: int, shared: Any, raster: bool) -> None:  # noqa: ANN401
        super().__init__(plan=plan, copies=copies, shared=shared, raster=raster)
        units = plan["units"][1:]
        size = copies * units[-1]
        self.spikes = InPort(shape=(size,))
        for layer in range(MOST_LAYERS - 1):
            m = copies * units[layer] if raster and layer < len(units) - 1 else 1
            setattr(self, f"hidden{layer}", InPort(shape=(m,)))
        self.membrane = RefPort(shape=(size,))
        self.answers = OutPort(shape=(CHUNK,))
        self.answers.flag_external_pipe(buffer_size=PIECES)


def shape_of(units: Any, copies: int, layer: int) -> tuple[int, int]:  # noqa: ANN401
    """Inputs and outputs of a layer's Dense: all copies share the input spikes, then each goes its own way."""
    n = units[0] if layer == 0 else copies * units[layer]
    return n, copies * units[layer + 1]


def stacked(parameters: np.ndarray, units: Any, copies: int, kind: type) -> list[tuple[np.ndarray, np.ndarray]]:  # noqa: ANN401
    """Weights (outputs, inputs) and biases of each layer's Dense and LIF, of all copies together."""
    made: list[tuple[np.ndarray, np.ndarray]] = []
    start = 0
    for layer, (n, m) in enumerate(pairwise(units)):
        block = parameters[:, start : start + (n + 1) * m].reshape(copies, n + 1, m)
        start += (n + 1) * m
        if layer == 0:
            weights = block[:, :-1].transpose(0, 2, 1).reshape(copies * m, n)
        else:
            weights = np.zeros((copies, m, copies, n), dtype=kind)
            each = np.arange(copies)
            weights[each, :, each, :] = block[:, :-1].transpose(0, 2, 1)
            weights = weights.reshape(copies * m, copies * n)
        made.append((np.ascontiguousarray(weights, dtype=kind), block[:, -1].reshape(-1).astype(kind)))
    return made


class _FeedModel(PyLoihiProcessModel):
    questions: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.uint8)
    kind: type = float

    def __init__(self, proc_params: Mapping[str, Any]) -> None:
        super().__init__(proc_params)
        self._plan = Plan.of_words(proc_params["plan"])
        self._copies, self._shared = proc_params["copies"], proc_params["shared"]
        self._step = 0  # of this run
        self._samples = 0

    def run_spk(self) -> None:
        plan = self._plan
        if self._step == 0:
            _, arrays = unpack(receive(self.questions))
            self._spikes = arrays["spikes"].astype(self.kind)
            self._samples = len(self._spikes)
            parameters = plan.with_noise(arrays["parameters"], self._shared.evaluation)
            self._stacked = stacked(parameters, plan.units, self._copies, self.kind)
            self._last = windows(len(plan.layers), plan.steps, self._samples) * plan.steps
        sample, step = divmod(self._step - 1, plan.steps)
        self._step += 1
        shows = 0 <= sample < self._samples
        self.spikes.send(self._spikes[sample, step] if shows else np.zeros(plan.units[0], dtype=self.kind))

    def post_guard(self) -> bool:
        done = self._step == self._last
        if done:
            self._step = 0
        return self._step == 1

    def run_post_mgmt(self) -> None:
        for layer, (weights, bias) in enumerate(self._stacked):
            for port, values in ((f"weights{layer}", weights), (f"bias{layer}", bias)):
                getattr(self, port).write(values)
                getattr(self, port).wait()


@implements(proc=Feed, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PyFeedFixed(_FeedModel):
    """In fixed precision."""

    kind = np.int32
    questions: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.uint8)
    spikes: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32)
    weights0: PyRefPort = LavaPyType(PyRefPort.VEC_DENSE, np.int32)
    weights1: PyRefPort = LavaPyType(PyRefPort.VEC_DENSE, np.int32)
    weights2: PyRefPort = LavaPyType(PyRefPort.VEC_DENSE, np.int32)
    weights3: PyRefPort = LavaPyType(PyRefPort.VEC_DENSE, np.int32)
    bias0: PyRefPort = LavaPyType(PyRefPort.VEC_DENSE, np.int32)
    bias1: PyRefPort = LavaPyType(PyRefPort.VEC_DENSE, np.int32)
    bias2: PyRefPort = LavaPyType(PyRefPort.VEC_DENSE, np.int32)
    bias3: PyRefPort = LavaPyType(PyRefPort.VEC_DENSE, np.int32)


@implements(proc=Feed, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt")
class PyFeedFloat(_FeedModel):
    """In float precision."""

    kind = np.float64
    questions: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.uint8)
    spikes: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.float64)
    weights0: PyRefPort = LavaPyType(PyRefPort.VEC_DENSE, np.float64)
    weights1: PyRefPort = LavaPyType(PyRefPort.VEC_DENSE, np.float64)
    weights2: PyRefPort = LavaPyType(PyRefPort.VEC_DENSE, np.float64)
    weights3: PyRefPort = LavaPyType(PyRefPort.VEC_DENSE, np.float64)
    bias0: PyRefPort = LavaPyType(PyRefPort.VEC_DENSE, np.float64)
    bias1: PyRefPort = LavaPyType(PyRefPort.VEC_DENSE, np.float64)
    bias2: PyRefPort = LavaPyType(PyRefPort.VEC_DENSE, np.float64)
    bias3: PyRefPort = LavaPyType(PyRefPort.VEC_DENSE, np.float64)


@implements(proc=Count, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt", "floating_pt")
class PyCountModel(PyLoihiProcessModel):
    """Counts, and answers in a run's last step."""

    spikes: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.float64)
    hidden0: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.float64)
    hidden1: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.float64)
    hidden2: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.float64)
    membrane: PyRefPort = LavaPyType(PyRefPort.VEC_DENSE, np.float64)
    answers: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.uint8)

    def __init__(self, proc_params: Mapping[str, Any]) -> None:
        super().__init__(proc_params)
        self._plan = Plan.of_words(proc_params["plan"])
        self._shared, self._copies = proc_params["shared"], proc_params["copies"]
        self._notes = proc_params["raster"]
        self._step = 0
        self._begins = first_step(len(self._plan.layers) - 1)

    def run_spk(self) -> None:
        """One step of the last layer's."""
        plan = self._plan
        if self._step == 0:
            self._samples = self._shared.samples
            shape = (self._samples, self._copies * plan.units[-1])
            self._counts, self._v = np.zeros(shape), np.zeros(shape)
            self._raster = [
                np.zeros((self._samples, plan.steps, self._copies * m), dtype=np.bool_) for m in plan.units[1:]
            ]
            self._last = windows(len(plan.layers), plan.steps, self._samples) * plan.steps
        self._step += 1
        fired = self.spikes.recv()
        if self._notes:
            hidden = [getattr(self, f"hidden{layer}").recv() for layer in range(len(plan.layers) - 1)]
            for layer, spikes in enumerate([*hidden, fired]):
                sample, step = divmod(self._step - first_step(layer), plan.steps)
                if 0 <= sample < self._samples:
                    self._raster[layer][sample, step] = spikes
        self._sample, self._in_window = divmod(self._step - self._begins, plan.steps)
        if 0 <= self._sample < self._samples:
            self._counts[self._sample] += fired
        self._ends = self._step == self._last
        if self._ends:
            self._step = 0
        if self._ends and not self.post_guard():
            self._answer()

    def post_guard(self) -> bool:
        """Whether v is to be read after this step: a sample's last one."""
        at_end = self._in_window == self._plan.steps - 1 and 0 <= self._sample < self._samples
        return at_end

    def run_post_mgmt(self) -> None:
        """Read v."""
        self._v[self._sample] = self.membrane.read()
        if self._ends:
            self._answer()

    def _answer(self) -> None:
        shape = (self._samples, self._copies, self._plan.units[-1])
        arrays = {"counts": self._counts.reshape(shape).transpose(1, 0, 2).astype(np.uint16)}
        arrays["membrane"] = self._v.reshape(shape).transpose(1, 0, 2)
        if self._notes:
            for layer, spiked in enumerate(self._raster):
                each = spiked.reshape(self._samples, self._plan.steps, self._copies, -1)
                arrays[f"raster{layer}"] = each.transpose(2, 0, 1, 3)
        send(self.answers, pack({}, arrays))
