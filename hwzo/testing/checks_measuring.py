"""Checks of measuring: shapes, what is refused, what it costs, and that commanded displacements displace."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import numpy as np

from hwzo.directions import directions
from hwzo.errors import CapabilityError, ConfigError
from hwzo.network import Loss, sample_losses
from hwzo.parameters import Array
from hwzo.probes import READBACK_LEVELS, Batch, Cost, Law, Probes, Readback, Readings
from hwzo.testing.check import ALPHA, AVERAGED, Bench, BreachError, Check, SkipError, check, needs, refuses, require
from hwzo.testing.checks_description import check_cost
from hwzo.testing.comparison import compare

COUNTS = (1, 2, 5)
KEY = 0x9E3779B97F4A7C15
STEP = 1_234_567
"""A key above 2^32 and a step other than 0, so that no part of a direction's counter goes untested."""


def _counts(bench: Bench) -> list[int]:
    return [count for count in COUNTS if count <= bench.device.capabilities.max_probes]


def check_readings(bench: Bench, readings: Readings, count: int, want: Readback, batch: Batch) -> None:
    """Fail unless readings have what ``want`` promises, with the right shapes, finite, as float64."""
    network, samples = bench.device.capabilities.network, len(batch)
    what = f"measure, K={count}, want={want!r}"

    def right(name: str, array: Array | None, shape: tuple[int, ...]) -> None:
        if array is None:
            raise BreachError(f"{what}: {name} is None")
        require(isinstance(array, np.ndarray), f"{what}: {name} is a {type(array).__name__}, not an array")  # pyright: ignore[reportUnnecessaryIsInstance]
        require(array.shape == shape, f"{what}: {name} has shape {array.shape}, expected {shape}")
        require(array.dtype == np.float64, f"{what}: {name} is {array.dtype}, expected float64")
        require(bool(np.isfinite(array).all()), f"{what}: {name} holds numbers that aren't finite")

    level = READBACK_LEVELS.index(want)
    right("losses", readings.losses, (count,))
    if level >= 1 and network is not None:
        right("outputs", readings.outputs, (count, samples, network.layers[-1]))
    if level >= 2 and network is not None:
        nodes = readings.nodes
        if nodes is None or len(nodes) != len(network.layers) - 1:
            raise BreachError(f"{what}: nodes must hold {len(network.layers) - 1} layers")
        for index, (layer, units) in enumerate(zip(nodes, network.layers[1:], strict=True)):
            right(f"nodes[{index}]", layer, (count, samples, units))
        require(
            readings.outputs is not None and np.array_equal(nodes[-1], readings.outputs),
            f"{what}: the last layer of nodes isn't outputs",
        )
    if level >= 3:
        right("realised", readings.realised, (count, bench.device.parameters.size))
    check_cost(readings.cost, what)


@check("measure gives what it declares")
def shapes(bench: Bench) -> str:
    """For K = 1, 2, 5 and each declared level of read-back: shapes, float64, finite."""
    device = bench.device
    device.program(bench.points(1)[0])
    can = device.capabilities
    # A black box may read its weights back, but it has no outputs or nodes.
    levels: list[Readback] = [
        level
        for level in READBACK_LEVELS
        if can.reads_back(level) and (can.network is not None or level in ("loss", "weights"))
    ]
    for level in levels:
        for count in _counts(bench):
            check_readings(bench, bench.measure(count, level), count, level, bench.batch)
    return f"K = {', '.join(map(str, _counts(bench)))}; {', '.join(levels)}"


@check("asking for more raises CapabilityError")
def too_much(bench: Bench) -> str:
    """Levels, reads and numbers of probes beyond the declared ones are refused."""
    device = bench.device
    device.program(bench.points(1)[0])
    can, asked = device.capabilities, 0
    for level in READBACK_LEVELS:
        if not can.reads_back(level):
            refuses(lambda level=level: bench.measure(1, level), CapabilityError, f"want={level!r}")
            asked += 1
    if not can.reads_back("weights"):
        refuses(lambda: device.read(1), CapabilityError, "read")
        asked += 1
    if can.max_probes <= 4096:
        count = can.max_probes + 1
        refuses(lambda: bench.measure(count), CapabilityError, f"{count} probes in one call")
        asked += 1
    needs(asked > 0, "it declares everything")
    return f"{asked} requests refused"


@check("laws that aren't declared raise CapabilityError")
def foreign_laws(bench: Bench) -> str:
    """A displacement along a law that the device doesn't do is refused; no displacement needs no law."""
    device = bench.device
    device.program(bench.points(1)[0])
    bench.measure(1)
    missing = sorted(set(get_args(Law)) - device.capabilities.laws)
    needs(bool(missing), "it does all laws")
    for law in missing:
        probes = Probes(np.zeros(1, dtype=np.int64), np.full(1, 1e-3), law=law)
        refuses(lambda probes=probes: device.measure(probes, bench.batch), CapabilityError, f"law={law!r}")
    return f"{', '.join(missing)} refused"


@check("a batch that doesn't fit raises ConfigError")
def misfits(bench: Bench) -> str:
    """Inputs of another width, and targets of another width or beyond the classes, are refused."""
    device, batch, network = bench.device, bench.batch, bench.device.capabilities.network
    if network is None:
        raise SkipError("a black box says nothing of what a batch must be")
    device.program(bench.points(1)[0])
    samples, units = len(batch), network.layers[-1]
    bad = {
        "inputs too wide": replace(batch, inputs=np.zeros((samples, network.layers[0] + 1))),
        "targets too wide": Batch(batch.inputs, np.zeros((samples, units + 1)), "squared-error"),
        "a class beyond the outputs": Batch(batch.inputs, np.full(samples, units, dtype=np.int64), "cross-entropy"),
    }
    for what, misfit in bad.items():
        refuses(lambda misfit=misfit: device.measure(Probes.plain(), misfit), ConfigError, what)
    return f"{', '.join(bad)}: refused"


@check("losses are those of the outputs")
def consistent(bench: Bench) -> str:
    """Each loss is the mean of the per-sample losses of the outputs read back, for both losses."""
    device = bench.device
    network = device.capabilities.network
    if network is None or not device.capabilities.reads_back("outputs"):
        raise SkipError("outputs are not read back")
    device.program(bench.points(1)[0])
    units, samples = network.layers[-1], len(bench.batch)
    losses: tuple[Loss, ...] = ("cross-entropy", "squared-error") if units > 1 else ("squared-error",)
    for loss in losses:
        batch = bench.batch
        if batch.loss != loss:
            targets = (
                bench.rng.integers(0, units, samples)
                if loss == "cross-entropy"
                else bench.rng.uniform(-1, 1, (samples, units))
            )
            batch = Batch(batch.inputs, targets, loss)
        readings = device.measure(Probes.plain(2, want="outputs"), batch)
        check_readings(bench, readings, 2, "outputs", batch)
        assert readings.outputs is not None
        expected = sample_losses(readings.outputs, batch.targets, loss).mean(axis=-1)
        # A board may add its losses up in float32.
        require(
            bool(np.allclose(readings.losses, expected, rtol=1e-4, atol=1e-6)),
            f"{loss}: losses {readings.losses} aren't those of the outputs, {expected}",
        )
    return ", ".join(losses)


@check("cost of measuring")
def cost(bench: Bench) -> str:
    """Reads add up over probes and are at least one an evaluated sample; writes only where probes write."""
    device = bench.device
    device.program(bench.points(1)[0])
    can = device.capabilities
    one = bench.measure(1).cost
    most = _counts(bench)[-1]
    many = bench.measure(most).cost
    check_cost(one, "measure, K=1")
    check_cost(many, f"measure, K={most}")
    least = len(bench.batch) if can.network is not None else 1
    require(one.reads >= least, f"an evaluation of {len(bench.batch)} samples took {one.reads} reads, at least {least}")
    require(many.reads == most * one.reads, f"{most} probes took {many.reads} reads, one took {one.reads}")
    require(one.cell_writes == 0, f"a plain evaluation took {one.cell_writes} cell writes")
    if can.reads_back("weights"):
        read = bench.measure(1, "weights").cost
        require(read.reads > one.reads, "reading the weights back took no reads; read_cost says it does")
    if can.laws:
        law = min(can.laws)
        # Far enough for cells of a few levels: what is nearer than half a level needs no write.
        displaced = device.measure(_pair(law, 0.5 * float(bench.unit.min())).part(0, 1), bench.batch).cost
        check_cost(displaced, "measure, displaced")
        require(
            (displaced.cell_writes > 0) == can.probe_writes,
            f"probe_writes={can.probe_writes}, but a displaced probe took {displaced.cell_writes} cell writes",
        )
    total: Cost = one + many
    check_cost(total, "a sum of costs")
    return f"{one.reads} reads an evaluation of {len(bench.batch)} samples"


def _pair(law: Law, scale: float, counter: int = 0) -> Probes:
    """Both sides of one direction."""
    return Probes(np.array([counter, counter]), np.array([scale, -scale]), law=law, key=KEY, step=STEP)


def displacement(law: Law) -> Check:
    """Commanded displacements +c z and -c z give the losses of theta + c z and theta - c z programmed.

    The direction z is regenerated here, so that the device must generate the same. Of a few counters, the direction
    with the largest effect is tested.
    """

    def function(bench: Bench) -> str:
        device = bench.device
        spec = device.parameters
        needs(law in device.capabilities.laws, f"the device doesn't declare {law!r}")
        counters = np.arange(3, 11)
        rows = directions(law, spec, key=KEY, step=STEP, counters=counters)
        size = np.abs(rows / bench.unit)
        # As large as the bounds comfortably allow: a tenth of their width in the mean, a third at most.
        c = float(min(0.1 / np.sqrt(np.square(size).mean()), 0.35 / size.max()))
        point = bench.points(1)[0]

        def programmed(theta: Array, z: Array) -> tuple[float, float]:
            # Only where z isn't 0: what else the device holds, noise included, is then common to both ways.
            device.program(theta + c * z, mask=z != 0)
            plus = bench.loss()
            device.program(theta - c * z, mask=z != 0)
            return plus, bench.loss()

        def room(z: Array) -> Array:
            reach = c * np.abs(z)
            return np.clip(point, spec.lower + reach, spec.upper - reach)

        effects: list[float] = []
        for z in rows:
            device.program(room(z))
            plus, minus = programmed(room(z), z)
            effects.append(abs(plus - minus))
        best = int(np.argmax(effects))
        z, theta = rows[best], room(rows[best])
        sides = _pair(law, c, int(counters[best]))
        probes = replace(sides, counters=np.tile(sides.counters, AVERAGED), scales=np.tile(sides.scales, AVERAGED))

        def sample() -> tuple[list[float], list[float]]:
            device.program(theta)
            commanded = bench.ask(probes).reshape(AVERAGED, 2).mean(axis=0)
            plus, minus = programmed(theta, z)
            return [float(commanded[0]) - plus, float(commanded[1]) - minus], [0.5 * (plus - minus)]

        return compare(sample, f"displacements by {c:.3g} commanded and programmed")

    return Check(f"displacement: {law}", function, ALPHA)


CHECKS: tuple[Check, ...] = (
    shapes,
    too_much,
    foreign_laws,
    misfits,
    consistent,
    cost,
    *(displacement(law) for law in get_args(Law)),
)
