"""Checks of a device's state: determinism, snapshots, time, closing and opening again."""

from __future__ import annotations

from typing import cast

import numpy as np

from hwzo.device import Device, EmulatedDevice, Update
from hwzo.errors import DeviceError, FileError
from hwzo.parameters import Array
from hwzo.probes import Batch, Probes, Readings
from hwzo.testing.check import Bench, Check, check, needs, refuses, require


def _probes(device: Device, scale: float, count: int = 5) -> Probes:
    """A few probes, displaced if the device can, reading back all that it can."""
    can = device.capabilities
    count = min(count, can.max_probes)
    if not can.laws:
        return Probes.plain(count, want=can.readback)
    scales = scale * np.resize([1.0, -1.0, 0.0], count)
    return Probes(np.arange(count), scales, law=min(can.laws), key=7, step=1, want=can.readback)


def _bytes(readings: Readings) -> bytes:
    arrays = [readings.losses, readings.outputs, *(readings.nodes or ()), readings.realised]
    return b"".join(array.tobytes() for array in arrays if array is not None)


def trace(device: Device, batch: Batch, points: list[Array], scale: float) -> list[tuple[str, bytes]]:
    """What the device answers to a fixed sequence of calls: (call, bytes), step by step."""
    first, second, third = points
    can = device.capabilities
    steps: list[tuple[str, bytes]] = []

    def note(call: str, answer: bytes) -> None:
        steps.append((call, answer))

    note("program", repr(device.program(first)).encode())
    for _ in range(2):
        readings = device.measure(_probes(device, scale), batch)
        note("measure", _bytes(readings) + repr(readings.cost).encode())
    if can.reads_back("weights"):
        note("read", device.read(2).tobytes())
    note("apply", repr(device.apply(Update(second, second - first, t=1))).encode())
    note("measure after apply", _bytes(device.measure(_probes(device, scale, 2), batch)))
    mask = np.arange(len(third)) % 2 == 0
    note("program with a mask", repr(device.program(third, mask=mask)).encode())
    note("measure after a mask", _bytes(device.measure(_probes(device, scale, 2), batch)))
    return steps


def _same(one: list[tuple[str, bytes]], two: list[tuple[str, bytes]], what: str) -> None:
    for index, ((call, before), (_, after)) in enumerate(zip(one, two, strict=True)):
        require(before == after, f"{what}: call {index + 1} ({call}) answers other bytes")


def _scale(bench: Bench) -> float:
    return 0.02 * float(bench.unit.min())


@check("deterministic where promised")
def deterministic(bench: Bench) -> str:
    """Opened twice alike, the same calls give the same bytes."""
    needs(bench.device.capabilities.deterministic, "determinism is not promised")
    batch, points, scale = bench.batch, bench.points(3), _scale(bench)
    one = trace(bench.reopen(), batch, points, scale)
    two = trace(bench.reopen(), batch, points, scale)
    _same(one, two, "opened twice alike")
    return f"{len(one)} calls answered alike"


@check("probes in one call or one by one")
def sharded(bench: Bench) -> str:
    """An emulated, deterministic device answers K probes at once and one by one with the same bytes and cost."""
    device = bench.device
    can = device.capabilities
    needs(device.info.emulated and can.deterministic, "only emulated, deterministic devices can be asked twice")
    needs(can.max_probes > 1, "it takes one probe a call")
    batch, point, scale = bench.batch, bench.points(1)[0], _scale(bench)
    device.program(point)
    state = cast(EmulatedDevice, device).snapshot() if can.snapshot else None
    probes = _probes(device, scale)
    whole = device.measure(probes, batch)
    if state is not None:
        cast(EmulatedDevice, device).restore(state)
    else:
        device = bench.reopen()
        device.program(point)
    parts = [device.measure(probes.part(k, k + 1), batch) for k in range(len(probes))]
    losses = np.concatenate([part.losses for part in parts])
    require(
        np.array_equal(losses, whole.losses),
        f"{len(probes)} probes at once give losses {whole.losses}, one by one {losses}",
    )
    for name in ("outputs", "realised"):
        together = getattr(whole, name)
        if together is not None:
            require(
                np.array_equal(np.concatenate([getattr(part, name) for part in parts]), together),
                f"{name} differ between {len(probes)} probes at once and one by one",
            )
    reads, writes = sum(part.cost.reads for part in parts), sum(part.cost.cell_writes for part in parts)
    require(
        (reads, writes) == (whole.cost.reads, whole.cost.cell_writes),
        f"one by one: {reads} reads, {writes} cell writes; at once: {whole.cost.reads}, {whole.cost.cell_writes}",
    )
    return f"{len(probes)} probes"


@check("snapshot and restore")
def snapshots(bench: Bench) -> str:
    """After a restore, in the same device or one opened alike, the same calls give the same bytes."""
    device = bench.device
    needs(device.capabilities.snapshot, "it has no snapshots")
    batch, points, scale = bench.batch, bench.points(3), _scale(bench)
    emulated = cast(EmulatedDevice, device)
    trace(device, batch, points[::-1], scale)
    emulated.advance(12.5)
    bench.measure()
    state = emulated.snapshot()
    require(type(state) is bytes, f"snapshot gives a {type(state).__name__}, not bytes")
    require(emulated.snapshot() == state, "two snapshots in a row differ: taking one must change nothing")
    # The first call after a restore depends on everything that was kept, so nothing is programmed before it.
    plain = Probes.plain(min(3, device.capabilities.max_probes), want=device.capabilities.readback)
    one = [("measure", _bytes(device.measure(plain, batch))), *trace(device, batch, points, scale)]
    emulated.restore(state)
    two = [("measure", _bytes(device.measure(plain, batch))), *trace(device, batch, points, scale)]
    _same(one, two, "after a restore")
    fresh = bench.reopen()
    cast(EmulatedDevice, fresh).restore(state)
    three = [("measure", _bytes(fresh.measure(plain, batch))), *trace(fresh, batch, points, scale)]
    _same(one, three, "after a restore in a device opened anew")
    return f"{len(state)} bytes; {len(one)} calls answered alike"


@check("damaged snapshots raise FileError")
def damaged(bench: Bench) -> str:
    """A snapshot that is empty, cut or changed in one bit is refused, and the state stays."""
    device = bench.device
    needs(device.capabilities.snapshot, "it has no snapshots")
    emulated = cast(EmulatedDevice, device)
    first, second = bench.points(2)
    device.program(first)
    bench.measure()
    state = emulated.snapshot()
    device.program(second)
    before = emulated.snapshot()

    def flipped(index: int) -> bytes:
        changed = bytearray(state)
        changed[index] ^= 1
        return bytes(changed)

    bad = {
        "nothing": b"",
        "other bytes": b"not a snapshot at all",
        "one byte less": state[:-1],
        "half": state[: len(state) // 2],
        "one byte more": state + b"\0",
        "a bit of the first byte changed": flipped(0),
        "a bit in the middle changed": flipped(len(state) // 2),
        "a bit of the last byte changed": flipped(-1),
    }
    for what, content in bad.items():
        refuses(lambda content=content: emulated.restore(content), FileError, f"restore of {what}")
        require(emulated.snapshot() == before, f"restore of {what}: refused, but the device's state changed")
    return f"{len(bad)} kinds of damage refused"


@check("advance")
def advance(bench: Bench) -> str:
    """Time can pass on an emulated device's clock, and it goes on answering with finite losses."""
    device = bench.device
    needs(device.capabilities.snapshot, "it is no emulated device with a clock of its own")
    device.program(bench.points(1)[0])
    before = bench.measure(1).losses[0]
    for seconds in (0.0, 1e-6, 1.0, 3600.0, 1e7):
        cast(EmulatedDevice, device).advance(seconds)
        after = bench.measure(1).losses[0]
        require(bool(np.isfinite(after)), f"after advance({seconds:g}) the loss is {after}")
    return f"loss {before:.4g} at first, {after:.4g} after 116 days"


@check("closing and opening again")
def closing(bench: Bench) -> str:
    """Closing twice is fine; a closed device raises DeviceError; opened again, it works."""
    device, batch = bench.device, bench.batch
    point = bench.points(1)[0]
    can = device.capabilities
    device.program(point)
    device.measure(Probes.plain(), batch)
    device.close()
    device.close()
    refuses(lambda: device.measure(Probes.plain(), batch), DeviceError, "measure after close")
    refuses(lambda: device.program(point), DeviceError, "program after close")
    refuses(lambda: device.apply(Update(point, np.ones_like(point))), DeviceError, "apply after close")
    if can.reads_back("weights"):
        refuses(lambda: device.read(1), DeviceError, "read after close")
    again = bench.reopen()
    again.program(point)
    again.measure(Probes.plain(), batch)
    again.close()
    return "closed twice, refused, opened again"


CHECKS: tuple[Check, ...] = (deterministic, sharded, snapshots, damaged, advance, closing)
