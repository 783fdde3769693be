"""HZ1 in front of any device: what a board's commands do, done by a `hwzo.device.Device` in this process.

The board's numbers are whole units (docs/hz1.md); here they become weight units on the way in, and are rounded to the
nearest unit on the way out. What a board would compute in integers, the device computes as it always does.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwzo.device import Device
from hwzo.device import Update as TrainingStep
from hwzo.directions import Directions
from hwzo.errors import CapabilityError, ConfigError, MeasurementError
from hwzo.parameters import Array
from hwzo.probes import Batch, Cost, Probes, Readback
from hwzo.wire.chip import LAWS, LOSS_BITS, MOST, MOST_PARAMETERS, NODE_BITS, UNIT, Chip, Open
from hwzo.wire.endpoint import Endpoint, Identity, RefusalError
from hwzo.wire.samples import Samples
from hwzo.wire.schema import (
    ANY_FIELD,
    BatchReply,
    BeginBatch,
    Describe,
    DescribeReply,
    Done,
    Evaluate,
    Fetch,
    Hash,
    HashReply,
    Latch,
    LatchWeights,
    LossesReply,
    LossReply,
    Message,
    NetworkReply,
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

NODE_UNIT, LOSS_UNIT = 2.0**-NODE_BITS, 2.0**-LOSS_BITS
MOST_LOSS = LAST_STEP = 0xFFFFFFFF
MOST_EVALUATIONS = 4
MAX_PAYLOAD = 1024
LATCHES: tuple[tuple[Readback, Latch, Reads], ...] = (
    ("outputs", Latch.OUTPUTS, Reads.OUTPUTS),
    ("nodes", Latch.NODES, Reads.NODES),
)


class DeviceService:
    """Implements `hwzo.wire.endpoint.Service` for a device.

    Args:
        device: a network of dense layers with tanh, relu or linear nodes; closed with this.
        reopen: opens the device anew as the network that a host asks for; None if it is the network that it is.
        any_window: True if ``reopen`` heeds the window.

    Raises:
        CapabilityError: the device is no such network.
    """

    def __init__(self, device: Device, reopen: Open | None = None, *, any_window: bool = False) -> None:
        self._chip = Chip(device, reopen, any_window=any_window)
        self._closed = False
        self.endpoint: Endpoint | None = None
        """Whose service this is, for its statistics."""
        self.times_safe = 0
        self.cost = Cost()
        """Of all that was asked of the device."""
        self._begun = time.monotonic()
        self._forget()

    def _forget(self) -> None:
        self.step: int = 0
        self._held: NDArray[np.int64] | None = None  # targets, units; None before the first NETWORK
        self._bounds = (0, 0)
        self._along: Directions | None = None  # of the run's law and key
        self._samples: Samples | None = None
        self._void()

    def _void(self) -> None:
        """What was latched is no more."""
        self._latched: tuple[int, ...] | None = None
        self._reading: tuple[int, Array] | None = None  # (repeat, weights)

    @property
    def emulated(self) -> bool:
        """True if no hardware is involved."""
        return self._chip.emulated

    @property
    def _device(self) -> Device:
        return self._chip.device

    def make_safe(self) -> None:
        """See `Service.make_safe`: between calls a device of the contract drives nothing; so it is counted only."""
        self.times_safe += 1

    def close(self) -> None:
        """Leave the device safe and let go of it; closing twice is fine."""
        if not self._closed:
            self._closed = True
            self._device.close()

    def run(self, request: Request[Any]) -> Message:
        """See `Service.run`.

        Raises:
            RefusalError: it can't be done.
            DeviceError: the device failed.
        """
        action = _ACTIONS.get(type(request))
        if action is None:
            raise RefusalError(Status.E_OP)
        try:
            return action(self, request)
        except CapabilityError:
            raise RefusalError(Status.E_OP) from None
        except ConfigError:
            raise RefusalError(Status.E_RANGE) from None

    # --- what it is ---

    def _describe(self, request: Describe) -> DescribeReply:
        return self._chip.describe()

    def _statistics(self, request: Statistics) -> StatisticsReply:
        end = self.endpoint
        frames, bad, duplicates, gaps = (0,) * 4 if end is None else (end.frames, end.dropped, end.duplicates, end.gaps)
        uptime_ms = int(1e3 * (time.monotonic() - self._begun))
        return StatisticsReply(
            *(frames & LAST_STEP, bad & 0xFFFF, 0, duplicates & 0xFFFF, gaps & 0xFFFF, self.times_safe & 0xFFFF, 1),
            *(self.cost.reads & LAST_STEP, self.cost.cell_writes & LAST_STEP, uptime_ms & LAST_STEP),
        )

    # --- network and parameters ---

    def _set_network(self, request: SetNetwork) -> NetworkReply:
        try:
            self._chip.become(request)
        except RefusalError:
            if self._held is not None:  # it may have been opened anew
                self.cost += self._device.program(_weights(self._held))
            raise
        self._forget()
        held = np.zeros(self._device.parameters.size, dtype=np.int64)
        self.cost += self._device.program(_weights(held))
        self._held, self._bounds = held, (request.lower, request.upper)
        return NetworkReply(held.size)

    def _set_key(self, request: SetKey) -> Done:
        self._standing()
        law = LAWS.get(request.law)
        if law is None:
            raise RefusalError(Status.E_RANGE, 1)
        self._along, self.step = Directions(law, self._device.parameters, request.key), request.step
        self._void()
        return Done()

    def _write(self, request: Write) -> Done:
        held, (lower, upper) = self._standing(), self._bounds
        stop = request.offset + len(request.values)
        if stop > held.size:
            raise RefusalError(Status.E_RANGE, 0)
        values = np.array(request.values, dtype=np.int64)
        if values.size and not (lower <= values.min() and values.max() <= upper):
            raise RefusalError(Status.E_RANGE, 1)
        target = np.concatenate([held[: request.offset], values, held[stop:]])
        mask = np.zeros(held.size, dtype=np.bool_)
        mask[request.offset : stop] = True
        self.cost += self._device.program(_weights(target), mask=mask)
        self._held = target
        self._void()
        return Done()

    def _read(self, request: Read) -> Values:
        held = self._standing()
        if request.count > MAX_PAYLOAD // 2:
            raise RefusalError(Status.E_RANGE, 1)
        if request.offset + request.count > held.size:
            raise RefusalError(Status.E_RANGE, 0)
        return Values(tuple(held[request.offset : request.offset + request.count].tolist()))

    def _hash(self, request: Hash) -> HashReply:
        held = self._standing()
        return HashReply(zlib.crc32(held.astype("<i2").tobytes()), self.step)

    # --- batch ---

    def _begin_batch(self, request: BeginBatch) -> BatchReply:
        self._standing()
        self._samples = samples = Samples(request, self._chip.network)
        self._void()
        return BatchReply(samples.row)

    def _sample(self, request: Sample) -> Done:
        if self._samples is None:
            raise RefusalError(Status.E_RANGE)
        self._samples.put(request)
        self._void()
        return Done()

    def _batch(self) -> Batch:
        if self._samples is None:
            raise RefusalError(Status.E_RANGE)
        return self._samples.batch

    # --- training ---

    def _evaluate(self, request: Evaluate) -> LossReply:
        if request.t != self.step:
            raise RefusalError(Status.E_RANGE, 0)
        want: Readback = "loss"
        for level, latch, flag in LATCHES:
            if request.latch & latch:
                if not self._chip.reads & flag:
                    raise RefusalError(Status.E_RANGE, 3)
                want = level
        probes = self._probes(request.t, ((request.k, request.scale),), 2, want)
        return LossReply(self._measured(probes, self._batch())[0])

    def _update(self, request: Update) -> StepReply:
        self._apply(request.t, request.pairs)
        return StepReply(self.step)

    def _step(self, request: Step) -> LossesReply:
        if len(request.evaluations) > MOST_EVALUATIONS:
            raise RefusalError(Status.E_RANGE, 2)
        # All that could be refused is looked at before anything is changed.
        probes, batch = None, None
        if request.evaluations:
            probes = self._probes(min(request.t + 1, LAST_STEP), request.evaluations, 2, "loss")
            batch = self._batch()
        self._apply(request.t, request.pairs)
        if probes is None or batch is None:
            return LossesReply(())
        return LossesReply(self._measured(probes, batch))

    def _probes(self, t: int, evaluations: tuple[tuple[int, int], ...], field: int, want: Readback) -> Probes:
        self._standing()
        counters = np.array([k for k, _ in evaluations], dtype=np.int64)
        scales = _weights(np.array([scale for _, scale in evaluations], dtype=np.int64))
        if not scales.any():
            return Probes(counters, scales, want=want)
        if self._along is None:
            raise RefusalError(Status.E_RANGE)
        if self._along.law not in self._device.capabilities.laws:
            raise RefusalError(Status.E_RANGE, field)
        return Probes(counters, scales, law=self._along.law, key=self._along.key, step=t, want=want)

    def _measured(self, probes: Probes, batch: Batch) -> tuple[int, ...]:
        """Losses in units; what was wanted beside them goes into the latch."""
        self._void()
        readings = self._device.measure(probes, batch)
        self.cost += readings.cost
        if not np.isfinite(readings.losses).all():
            raise MeasurementError(f"{self._device.info} answered with a loss that is no finite number")
        layers = readings.nodes if probes.want == "nodes" else (readings.outputs,) if probes.want == "outputs" else None
        if layers is not None:
            values = np.concatenate([layer[0] for layer in layers if layer is not None], axis=1)
            self._latched = _in_units(values.ravel(), NODE_UNIT)
        units = np.clip(np.rint(readings.losses / LOSS_UNIT), 0, MOST_LOSS)
        return tuple(int(unit) for unit in units)

    def _apply(self, t: int, pairs: tuple[tuple[int, int], ...]) -> None:
        held, (lower, upper) = self._standing(), self._bounds
        if t != self.step or t == LAST_STEP:
            raise RefusalError(Status.E_RANGE, 0)
        if self._along is None:
            raise RefusalError(Status.E_RANGE)
        counters = np.array([k for k, _ in pairs], dtype=np.int64)
        coefficients = np.array([c for _, c in pairs], dtype=np.int64)
        moved = coefficients @ self._along.at(t, counters).astype(np.int64) if pairs else np.zeros_like(held)
        target: NDArray[np.int64] = np.clip(held + moved, lower, upper)
        update = TrainingStep(_weights(target), _weights(target - held), t, counters, _weights(coefficients))
        self.cost += self._device.apply(update)
        self._held, self.step = target, t + 1
        self._void()

    # --- reading back ---

    def _latch(self, request: LatchWeights) -> Done:
        size = self._standing().size
        if not self._chip.reads & Reads.WEIGHTS:
            raise RefusalError(Status.E_OP)
        if request.offset + request.count > size:
            raise RefusalError(Status.E_RANGE, 0)
        if self._reading is None or self._reading[0] != request.repeat:  # one reading may be latched in parts
            self._reading = request.repeat, self._device.read(1)[0]
            self.cost += self._device.capabilities.read_cost
        part = self._reading[1][request.offset : request.offset + request.count]
        self._latched = _in_units(part, UNIT)
        return Done()

    def _fetch(self, request: Fetch) -> Values:
        if self._latched is None:
            raise RefusalError(Status.E_RANGE)
        if request.count > MAX_PAYLOAD // 2:
            raise RefusalError(Status.E_RANGE, 1)
        if request.offset + request.count > len(self._latched):
            raise RefusalError(Status.E_RANGE, 0)
        return Values(self._latched[request.offset : request.offset + request.count])

    def _standing(self) -> NDArray[np.int64]:
        """The parameters of a network that has been set."""
        if self._held is None:
            raise RefusalError(Status.E_RANGE, ANY_FIELD)
        return self._held


_ACTIONS: dict[type[Request[Any]], Callable[[DeviceService, Any], Message]] = {
    # What isn't here is E_OP: there is no non-volatile memory and no noise to be set.
    Describe: DeviceService._describe,  # pyright: ignore[reportPrivateUsage]
    Statistics: DeviceService._statistics,  # pyright: ignore[reportPrivateUsage]
    SetNetwork: DeviceService._set_network,  # pyright: ignore[reportPrivateUsage]
    SetKey: DeviceService._set_key,  # pyright: ignore[reportPrivateUsage]
    Write: DeviceService._write,  # pyright: ignore[reportPrivateUsage]
    Read: DeviceService._read,  # pyright: ignore[reportPrivateUsage]
    Hash: DeviceService._hash,  # pyright: ignore[reportPrivateUsage]
    BeginBatch: DeviceService._begin_batch,  # pyright: ignore[reportPrivateUsage]
    Sample: DeviceService._sample,  # pyright: ignore[reportPrivateUsage]
    Evaluate: DeviceService._evaluate,  # pyright: ignore[reportPrivateUsage]
    Update: DeviceService._update,  # pyright: ignore[reportPrivateUsage]
    Step: DeviceService._step,  # pyright: ignore[reportPrivateUsage]
    LatchWeights: DeviceService._latch,  # pyright: ignore[reportPrivateUsage]
    Fetch: DeviceService._fetch,  # pyright: ignore[reportPrivateUsage]
}


def endpoint_of(service: DeviceService, boot_id: int) -> Endpoint:
    """The board whose commands this service does."""
    identity = Identity(boot_id, window=32, max_payload=MAX_PAYLOAD, max_parameters=MOST_PARAMETERS)
    service.endpoint = Endpoint(service, identity)
    return service.endpoint


def _weights(units: NDArray[np.int64]) -> Array:
    return units.astype(np.float64) * UNIT


def _in_units(values: Array, unit: float) -> tuple[int, ...]:
    return tuple(np.clip(np.rint(values / unit), -MOST, MOST).astype(np.int64).tolist())
