"""What a measurement asks of a board, probe by probe, and what has come back of it so far."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwzo.network import sample_losses
from hwzo.parameters import Array
from hwzo.probes import Batch, Cost, Probes, Readback, Readings
from hwzo.wire.schema import Evaluate, Fetch, Latch, LatchWeights
from hwzo_backends.serial.session import Ask, Pairs, Run, Session

LATCH: dict[Readback, int] = {"loss": 0, "outputs": Latch.OUTPUTS, "nodes": Latch.NODES, "weights": Latch.NODES}
MOST_STEP = 4
"""Evaluations that one STEP takes."""
STEP_HEAD, ENTRY = 5, 4
"""Bytes of a STEP without pairs and evaluations, and of each of these."""


class Measurement:
    """K probes of one part of a batch: some answered, the others still to be asked for.

    Args:
        session: the board.
        probes: what is asked.
        scales: (K,) of the probes, units.
        part: samples, as many as the board has room for.
    """

    def __init__(self, session: Session, probes: Probes, scales: NDArray[np.int64], part: Batch) -> None:
        self._session, self._probes, self._scales, self._part = session, probes, scales, part
        self.samples = len(part)
        k, n, units = len(probes), len(part), session.network.layers[1:]
        self.done = 0
        """Probes that were answered whole. A probe counts from the moment on in which all of its answer is here."""
        self.losses: Array = np.empty(k)
        self.nodes: tuple[Array, ...] = ()
        if probes.want == "outputs":
            self.nodes = (np.empty((k, n, units[-1])),)
        elif probes.want != "loss":
            self.nodes = tuple(np.empty((k, n, unit)) for unit in units)
        self.realised = np.empty((k, len(session.held))) if probes.want == "weights" else None

    def run(self) -> None:
        """Ask for what isn't there yet; may be called again after the board was lost."""
        self._session.ask(self._asks())

    def _asks(self) -> Iterator[Ask]:
        session, probes = self._session, self._probes
        first, k = self.done, len(probes)
        moved = bool(self._scales[first:].any())
        run = (probes.key, probes.law, probes.step)
        together = self._together(run, moved) if probes.want == "loss" else 0
        if not together:
            yield from session.flushed()
        yield from session.loaded(self._part)
        if together:
            yield from session.stepped(self._pairs(first, first + together), self._take_step)
        elif moved:
            yield from session.keyed(run)
        step = session.run[2] if session.run is not None else 0
        latch = LATCH[probes.want]
        for index in range(first + together, k):
            counter, scale = self._pairs(index, index + 1)[0]
            yield Evaluate(step, counter, scale, latch), self._take_loss(index)
            if latch:
                yield from self._fetches(index)

    def _together(self, run: Run, moved: bool) -> int:
        """How many evaluations can go in one frame with the update that was held back; 0 if none was, or can."""
        session = self._session
        waiting, now = session.pending, session.run
        if waiting is None or now is None or (moved and run != (*now[:2], now[2] + 1)):
            return 0
        room = (session.hello.max_payload - STEP_HEAD) // ENTRY - waiting
        return max(0, min(room, MOST_STEP, len(self._probes) - self.done))

    def _pairs(self, start: int, stop: int) -> Pairs:
        counters, scales = self._probes.counters[start:stop].tolist(), self._scales[start:stop].tolist()
        return tuple((k if scale else 0, scale) for k, scale in zip(counters, scales, strict=True))

    def _take_step(self, reply: Any) -> None:  # noqa: ANN401  (a LossesReply)
        for loss in reply.losses:
            self._answered(self.done, loss)

    def _take_loss(self, index: int) -> Callable[[Any], None]:
        last = self._probes.want == "loss"

        def take(reply: Any) -> None:  # noqa: ANN401  (a LossReply)
            if last:
                self._answered(index, reply.loss)

        return take

    def _answered(self, index: int, loss: int) -> None:
        self.losses[index] = loss * self._session.scale.loss
        self.done = index + 1

    def _fetches(self, index: int) -> Iterator[Ask]:
        """The nodes, and then the weights, that an evaluation left in the latch."""
        session, probes = self._session, self._probes
        units = [layer.shape[-1] for layer in self.nodes]

        def take_nodes(values: Array) -> None:
            table = values.reshape(len(self._part), sum(units)) * session.scale.node
            for layer, block in zip(self.nodes, np.split(table, np.cumsum(units)[:-1], axis=1), strict=True):
                layer[index] = block
            outputs = self.nodes[-1][index]
            # With the batch's own targets, which the board has in 1/127 only.
            self.losses[index] = sample_losses(outputs, self._part.targets, self._part.loss).mean()
            if probes.want != "weights":
                self.done = index + 1

        yield from fetched(session, len(self._part) * sum(units), take_nodes)
        realised = self.realised
        if realised is not None:

            def take_weights(values: Array) -> None:
                realised[index] = values
                self.done = index + 1

            yield from read_back(session, 0, take_weights)


def fetched(session: Session, count: int, taker: Callable[[Array], None]) -> Iterator[Ask]:
    """The first ``count`` values of the latch, given away together once all are here."""
    values: Array = np.empty(count)
    most = session.hello.max_payload // 2
    for offset in range(0, count, most):
        stop = min(offset + most, count)

        def take(reply: Any, offset: int = offset, stop: int = stop) -> None:  # noqa: ANN401  (Values)
            values[offset:stop] = reply.values
            if stop == count:
                taker(values)

        yield Fetch(offset, stop - offset), take


def read_back(session: Session, repeat: int, taker: Callable[[Array], None]) -> Iterator[Ask]:
    """All parameters off the array, (n_params,) weight units, in as many latches as the board needs."""
    size = len(session.held)
    values: Array = np.empty(size)
    most = min(size, session.board.latch_values)
    for offset in range(0, size, most):
        stop = min(offset + most, size)

        def take(part: Array, offset: int = offset, stop: int = stop) -> None:
            values[offset:stop] = part * session.scale.weight
            if stop == size:
                taker(values)

        yield LatchWeights(offset, stop - offset, repeat), None
        yield from fetched(session, stop - offset, take)


def joined(parts: list[Measurement], batch: Batch, want: Readback, cost: Cost) -> Readings:
    """Readings of a whole batch from those of its parts: losses weighted by samples."""
    if len(parts) == 1:
        losses = parts[0].losses
    else:
        losses = np.sum([part.samples / len(batch) * part.losses for part in parts], axis=0)
    if want == "loss":
        return Readings(losses, cost=cost)
    layers = tuple(np.concatenate(layer, axis=1) for layer in zip(*(part.nodes for part in parts), strict=True))
    nodes = layers if want != "outputs" else None
    return Readings(losses, outputs=layers[-1], nodes=nodes, realised=parts[-1].realised, cost=cost)
