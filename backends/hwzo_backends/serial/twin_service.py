"""A board without firmware: what the commands of HZ1 do, done by the twin of its arithmetic.

::

    endpoint = Endpoint(TwinService(), identity(boot_id=1))
    client = Client(MemoryTransport(endpoint.receive))

answers every command as a board with a simulated array does, to the last bit, refusals too; ``board:twin`` is the
same as a device, ``board:twin?like=atmega328p`` one that is as small as that board. What it has no counterpart
of is a line that loses bytes, and time: its statistics count the array's use only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwzo.wire.endpoint import Endpoint, Identity, RefusalError
from hwzo.wire.schema import (
    Action,
    ActivationCode,
    ArrayCode,
    BatchReply,
    BeginBatch,
    Checkpoint,
    Describe,
    DescribeReply,
    Done,
    Evaluate,
    Fetch,
    Hash,
    HashReply,
    Latch,
    LatchWeights,
    LawCode,
    LossCode,
    LossesReply,
    LossReply,
    Message,
    NetworkReply,
    Noise,
    Read,
    Reads,
    Request,
    Sample,
    SetKey,
    SetNetwork,
    Statistics,
    StatisticsReply,
    Status,
    Step,
    StepReply,
    Update,
    Values,
    Write,
)
from hwzo.wire.transport import MemoryTransport, Transport
from hwzo_backends.serial.twin import MOST, Integers, SimulatedArray, Twin, limit_of

FIRMWARE = (0, 1)
"""Version of the firmware that it does as."""
MOST_SD = 4096
MOST_SAMPLES = 512
MOST_OUTPUTS = 255
MOST_EVALUATIONS = 4
LAST_STEP = 0xFFFFFFFF


@dataclass(frozen=True)
class Build:
    """How large a board is. As they stand, the numbers are those of the posix board.

    Args:
        model: its name.
        pool_bytes: what network and batch share.
        max_layers, max_width: most weight layers, most inputs or nodes of one.
        window, max_payload: of the protocol.
        receive_buffer: most bytes of unanswered frames.
        nonvolatile: room for a checkpoint, bytes; 0 for none.
    """

    model: str = "twin"
    pool_bytes: int = 4 << 20
    max_layers: int = 8
    max_width: int = 4096
    window: int = 32
    max_payload: int = 1024
    receive_buffer: int = 4095
    nonvolatile: int = 60_000

    def network_bytes(self, parameters: int, widest: int) -> int:
        """What a network takes of the pool."""
        return -(-2 * parameters // 4) * 4 + -(-2 * widest // 4) * 4

    def batch_bytes(self, samples: int, widths: tuple[int, ...], loss: LossCode) -> int:
        """What a batch takes of the pool."""
        row = widths[0] + (1 if loss == LossCode.CROSS_ENTROPY else widths[-1])
        return 4 * max(32, samples * max(widths[1:])) + samples * (2 * sum(widths[1:]) + row)


BUILDS = {
    build.model: build
    for build in (
        Build("posix"),
        Build("atmega328p", 1104, 3, window=4, max_payload=64, receive_buffer=104, nonvolatile=1008),
        Build("atmega2560", 6144, 4, window=4, max_payload=128, receive_buffer=255, nonvolatile=4080),
        Build("cortex-m3", 2 << 20, window=8, max_payload=512, nonvolatile=0),
    )
}
"""As large as the boards that there is firmware for: what fits into one fits into the other."""


def identity(boot_id: int, build: Build | None = None) -> Identity:
    """What such a board says of itself when it is greeted."""
    of = build or Build()
    most = (of.pool_bytes - 4 * 32) // 2
    return Identity(boot_id, firmware=FIRMWARE, window=of.window, max_payload=of.max_payload, max_parameters=most)


class TwinLine:
    """Implements `hwzo_backends.serial.lines.Line`: a way to a twin in this process.

    Args:
        build: how large it is.
    """

    virtual = True
    serial = ""

    def __init__(self, build: Build) -> None:
        self.service = TwinService(build)
        """What it does."""
        self._endpoint = Endpoint(self.service, identity(1, build))

    def open(self) -> Transport:
        """See `Line.open`."""
        return MemoryTransport(self._endpoint.receive)

    def close(self) -> None:
        """Nothing beside the transport."""


class TwinService:
    """Implements `hwzo.wire.endpoint.Service`.

    Args:
        build: how large the board is.
        saved: the checkpoint in its non-volatile memory; `saved` of the one before, if a start is to keep it.
    """

    def __init__(self, build: Build | None = None, saved: Twin | None = None) -> None:
        self.build = build or Build()
        self.saved = saved
        """The checkpoint; None if there is none."""
        self.twin: Twin | None = None
        """The network; None until there is one."""
        self.made_safe = 0
        self._array = SimulatedArray()
        self._latch: Integers | None = None
        self._rows: NDArray[np.int8] | None = None
        self._loss = LossCode.CROSS_ENTROPY
        self._changed = False  # rows that the twin hasn't been given
        self._reads = self._writes = 0
        self._handlers: dict[type[Request[Any]], Callable[[Any], Message]] = {
            Describe: self._describe,
            SetNetwork: self._network,
            SetKey: self._key,
            Write: self._write,
            Read: self._read,
            LatchWeights: self._latch_weights,
            Fetch: self._fetch,
            BeginBatch: self._batch,
            Sample: self._sample,
            Evaluate: self._evaluate,
            Update: self._update,
            Step: self._step,
            Hash: self._hash,
            Statistics: self._statistics,
            Checkpoint: self._checkpoint,
            Noise: self._noise,
        }

    # --- what an endpoint asks ---

    @property
    def step(self) -> int:
        """Of the training."""
        return 0 if self.twin is None else self.twin.step

    def run(self, request: Request[Any]) -> Message:
        """See `hwzo.wire.endpoint.Service.run`."""
        handler = self._handlers.get(type(request))
        if handler is None:
            raise RefusalError(Status.E_OP)
        return handler(request)

    def make_safe(self) -> None:
        """Nothing hangs on its outputs; counted."""
        self.made_safe += 1

    # --- the commands ---

    def _describe(self, _: Describe) -> DescribeReply:
        build, twin = self.build, self.twin
        samples = 0 if twin is None else self._room(twin.widths, LossCode.CROSS_ENTROPY)
        latch = 0 if twin is None else max(twin.spec.size, samples * twin.nodes_per_sample)
        return DescribeReply(
            lower=-MOST,
            upper=MOST,
            resolution=1,
            weight_bits=12,
            node_bits=10,
            loss_bits=16,
            array=ArrayCode.SIM,
            reads=Reads.OUTPUTS | Reads.NODES | Reads.WEIGHTS,
            laws=sum(1 << code for code in LawCode),
            activations=sum(1 << code for code in ActivationCode),
            losses=sum(1 << code for code in LossCode),
            max_layers=build.max_layers,
            max_width=build.max_width,
            max_samples=samples,
            batch_bytes=0 if twin is None else samples * (twin.widths[0] + 1),
            latch_values=latch,
            receive_buffer=build.receive_buffer,
            nonvolatile=build.nonvolatile,
            serial=0,
            model=build.model,
        )

    def _network(self, request: SetNetwork) -> NetworkReply:
        build, widths = self.build, request.widths
        _check(request.activation in set(ActivationCode), request, "activation")
        _check(2 <= len(widths) <= build.max_layers + 1, request, "widths")
        _check(all(1 <= width <= build.max_width for width in widths), request, "widths")
        parameters = sum((n + 1) * m for n, m in pairwise(widths))
        used = build.network_bytes(parameters, max(widths[1:]))
        _check(used + build.batch_bytes(1, widths, LossCode.CROSS_ENTROPY) <= build.pool_bytes, request, "widths")
        limit = limit_of(widths)
        _check(-limit <= request.lower <= 0, request, "lower")
        _check(0 <= request.upper <= limit and request.upper > request.lower, request, "upper")
        activation = ActivationCode(request.activation)
        self._begin(Twin(widths, activation, request.lower, request.upper, self._array))
        return NetworkReply(parameters)

    def _key(self, request: SetKey) -> Done:
        twin = self._there()
        _check(request.law in set(LawCode), request, "law")
        twin.set_key(request.key, LawCode(request.law), request.step)
        self._latch = None
        return Done()

    def _write(self, request: Write) -> Done:
        twin = self._there()
        lower, upper = twin.bounds
        _check(request.offset <= twin.spec.size, request, "offset")
        _check(len(request.values) <= twin.spec.size - request.offset, request, "values")
        _check(all(lower <= value <= upper for value in request.values), request, "values")
        twin.program(request.offset, request.values)
        self._wrote(len(request.values))
        return Done()

    def _read(self, request: Read) -> Values:
        return self._chunk(request, self._there().parameters)

    def _latch_weights(self, request: LatchWeights) -> Done:
        twin = self._there()
        _check(request.offset <= twin.spec.size, request, "offset")
        _check(request.count <= twin.spec.size - request.offset, request, "count")
        self._latch = twin.reading(request.repeat)[request.offset : request.offset + request.count]
        return Done()

    def _fetch(self, request: Fetch) -> Values:
        if self._latch is None:
            raise RefusalError(Status.E_RANGE)
        return self._chunk(request, self._latch)

    def _batch(self, request: BeginBatch) -> BatchReply:
        twin = self._there()
        _check(request.loss in set(LossCode) and twin.widths[-1] <= MOST_OUTPUTS, request, "loss")
        loss = LossCode(request.loss)
        _check(1 <= request.samples <= self._room(twin.widths, loss), request, "samples")
        row = twin.widths[0] + (1 if loss == LossCode.CROSS_ENTROPY else twin.widths[-1])
        self._rows, self._loss, self._changed = np.zeros((request.samples, row), dtype=np.int8), loss, True
        self._latch = None
        return BatchReply(row)

    def _sample(self, request: Sample) -> Done:
        rows, outputs = self._rows, self._there().widths[-1]
        if rows is None:
            raise RefusalError(Status.E_RANGE)
        samples, row = rows.shape
        end = request.offset + len(request.values)
        _check(request.index < samples, request, "index")
        _check(request.offset <= row, request, "offset")
        _check(end <= row, request, "values")
        if self._loss == LossCode.CROSS_ENTROPY and request.values and end == row:
            _check(request.values[-1] & 0xFF < outputs, request, "values")
        rows[request.index, request.offset : end] = request.values
        self._changed, self._latch = True, None
        return Done()

    def _evaluate(self, request: Evaluate) -> LossReply:
        twin = self._there()
        if self._rows is None or (request.scale != 0 and twin.key is None):
            raise RefusalError(Status.E_RANGE)
        _check(request.t == twin.step, request, "t")
        _check(request.latch <= Latch.OUTPUTS | Latch.NODES, request, "latch")
        loss = self._evaluated(twin, request.k, request.scale)
        self._latch = None
        if request.latch:
            kept = twin.nodes if request.latch & Latch.NODES else twin.nodes[:, -twin.widths[-1] :]
            self._latch = kept.ravel()
        return LossReply(loss)

    def _update(self, request: Update) -> StepReply:
        twin = self._updatable(request)
        twin.update(request.pairs)
        self._wrote(twin.spec.size)
        return StepReply(twin.step)

    def _step(self, request: Step) -> LossesReply:
        _check(len(request.evaluations) <= MOST_EVALUATIONS, request, "evaluations")
        if self._rows is None:
            raise RefusalError(Status.E_RANGE)
        twin = self._updatable(request)
        twin.update(request.pairs)
        self._wrote(twin.spec.size)
        return LossesReply(tuple(self._evaluated(twin, k, scale) for k, scale in request.evaluations))

    def _hash(self, _: Hash) -> HashReply:
        return HashReply(0 if self.twin is None else self.twin.crc(), self.step)

    def _statistics(self, _: Statistics) -> StatisticsReply:
        return StatisticsReply(*(0, 0, 0, 0, 0), self.made_safe, 1, self._reads, self._writes, 0)

    def _checkpoint(self, request: Checkpoint) -> StepReply:
        if not self.build.nonvolatile:
            raise RefusalError(Status.E_OP)
        _check(request.action in set(Action), request, "action")
        kept = self.twin if request.action == Action.SAVE else self.saved
        if kept is None:
            raise RefusalError(Status.E_RANGE)
        if request.action == Action.SAVE:
            self.saved = kept.copy()
        else:
            loaded = kept.copy()
            self._array = loaded.array
            self._begin(loaded)
        return StepReply(kept.step)

    def _noise(self, request: Noise) -> Done:
        for name in ("read_sd", "programming_sd", "node_sd"):
            _check(getattr(request, name) <= MOST_SD, request, name)
        self._array.set_noise(request.seed, request.read_sd, request.programming_sd, request.node_sd)
        self._latch = None
        return Done()

    # --- how ---

    def _there(self) -> Twin:
        if self.twin is None:
            raise RefusalError(Status.E_RANGE)
        return self.twin

    def _updatable(self, request: Update | Step) -> Twin:
        twin = self._there()
        if twin.key is None:
            raise RefusalError(Status.E_RANGE)
        _check(request.t == twin.step != LAST_STEP, request, "t")
        return twin

    def _begin(self, twin: Twin) -> None:
        self.twin, self._rows, self._latch = twin, None, None

    def _wrote(self, cells: int) -> None:
        self._writes += cells
        self._latch = None

    def _evaluated(self, twin: Twin, k: int, scale: int) -> int:
        assert self._rows is not None
        if self._changed:
            twin.set_batch(self._rows, self._loss)
            self._changed = False
        self._reads += len(self._rows) * (len(twin.widths) - 1)
        return twin.evaluate(k, scale)

    def _chunk(self, request: Read | Fetch, values: Integers) -> Values:
        _check(request.offset <= len(values), request, "offset")
        most = min(len(values) - request.offset, self.build.max_payload // 2)
        _check(request.count <= most, request, "count")
        return Values(tuple(values[request.offset : request.offset + request.count].tolist()))

    def _room(self, widths: tuple[int, ...], loss: LossCode) -> int:
        """Most samples of a batch."""
        parameters = sum((n + 1) * m for n, m in pairwise(widths))
        left = self.build.pool_bytes - self.build.network_bytes(parameters, max(widths[1:]))
        samples = 0
        while samples < MOST_SAMPLES and self.build.batch_bytes(samples + 1, widths, loss) <= left:
            samples += 1
        return samples


def _check(fine: bool, request: Request[Any], name: str) -> None:
    """Refuse a request whose field ``name`` is out of range."""
    if not fine:
        raise RefusalError(Status.E_RANGE, [field.name for field in fields(request)].index(name))
