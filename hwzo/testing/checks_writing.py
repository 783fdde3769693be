"""Checks of programming and updating: what is refused, what is written, what it costs."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import numpy as np
from numpy.typing import NDArray

from hwzo.device import EmulatedDevice, Update
from hwzo.errors import ConfigError
from hwzo.parameters import Array
from hwzo.testing.check import ALPHA, Bench, Check, check, needs, refuses, require
from hwzo.testing.checks_description import check_cost
from hwzo.testing.comparison import compare
from hwzo.testing.student import Mean

REPEATS = 16


def unusable(bench: Bench, good: Array) -> dict[str, Array]:
    """Parameters that no device may accept, each otherwise equal to ``good``."""
    spec, unit = bench.device.parameters, bench.unit

    def changed(index: int, value: float) -> Array:
        theta: Array = np.array(good)
        theta[index] = value
        return theta

    bad = {
        "one parameter too many": np.append(good, good[-1]),
        "a row of a matrix": good[None, :],
        "the last parameter NaN": changed(-1, np.nan),
        "the first parameter infinite": changed(0, np.inf),
        "the last parameter -infinite": changed(-1, -np.inf),
    }
    if spec.size > 1:
        bad["one parameter too few"] = np.array(good[:-1])
    if np.isfinite(spec.upper[-1]):
        bad["the last parameter above its bound"] = changed(-1, spec.upper[-1] + 0.1 * unit[-1])
    if np.isfinite(spec.lower[0]):
        bad["the first parameter below its bound"] = changed(0, spec.lower[0] - 0.1 * unit[0])
    return bad


def watch(bench: Bench, there: Array, elsewhere: Array) -> Callable[[str], None]:
    """What to call to see that the device still holds ``there``, and that nothing of ``elsewhere`` was written.

    By its snapshot if it has one, else by its loss, as far as that tells the two apart.
    """
    device = bench.device
    if device.capabilities.snapshot:
        emulated = cast(EmulatedDevice, device)
        device.program(there)
        before = emulated.snapshot()

        def same(what: str) -> None:
            require(emulated.snapshot() == before, f"{what}: refused, but the device's state changed")

        return same

    def losses(theta: Array | None) -> Array:
        if theta is not None:
            device.program(theta)
        return np.array([bench.loss() for _ in range(REPEATS)])

    other, here = Mean.of(losses(elsewhere)), Mean.of(losses(there))
    distance = other.value - here.value
    tells = abs(distance) > 4 * (other.margin(ALPHA) + here.margin(ALPHA))

    def near(what: str) -> None:
        if tells:
            # Nearer to what must not have been written than to what was, beyond the noise.
            after = Mean.of(losses(None))
            past = (after.value - here.value - 0.5 * distance) * np.sign(distance)
            require(past <= after.margin(ALPHA), f"{what}: refused, but the loss is that of the refused parameters")

    return near


@check("program refuses before any write", false_alarm=ALPHA)
def refusal(bench: Bench) -> str:
    """Parameters of a wrong shape, not finite or out of bounds raise ConfigError and change nothing."""
    there, elsewhere = _far(bench)
    device = bench.device
    unchanged = watch(bench, there, elsewhere)
    bad = unusable(bench, elsewhere)
    asked: dict[str, Callable[[], object]] = {}
    for what, theta in bad.items():
        asked[what] = lambda theta=theta: device.program(theta)
        if theta.shape == there.shape:
            step = theta - there
            asked[f"apply with {what}"] = lambda theta=theta, step=step: device.apply(Update(theta, step))
    asked["a mask of the wrong shape"] = lambda: device.program(
        elsewhere, mask=np.ones(len(elsewhere) + 1, dtype=np.bool_)
    )
    for what, call in asked.items():
        refuses(call, ConfigError, what)
    # One look is enough: each would have left its own mark.
    unchanged("unusable parameters")
    return f"{len(asked)} kinds of unusable parameters refused, nothing written"


@check("program copies")
def copies(bench: Bench) -> str:
    """Changing the array that was programmed, afterwards, doesn't change the device, nor does the device change it."""
    device = bench.device
    there, elsewhere = bench.points(2)
    mine: Array = np.array(there)
    device.program(mine)
    require(np.array_equal(mine, there), "program changed the caller's array")
    can = device.capabilities
    if can.snapshot:
        emulated = cast(EmulatedDevice, device)
        before = emulated.snapshot()
        mine[:] = elsewhere
        require(emulated.snapshot() == before, "the device follows changes of the caller's array: it must copy")
    elif not can.node_noise and can.parameter_noise == "none":
        before_loss = bench.loss()
        mine[:] = elsewhere
        require(bench.loss() == before_loss, "the device follows changes of the caller's array: it must copy")
    return "the caller's array and the device's stay apart"


@check("cost of writing")
def cost(bench: Bench) -> str:
    """A write costs at least one cell write per changed parameter, a masked one those of its mask."""
    device = bench.device
    spec = device.parameters
    first, second, third = bench.points(3)
    resolution = np.concatenate([np.full(tensor.size, tensor.resolution) for tensor in spec.tensors])
    mask = np.arange(spec.size) % 2 == 0

    def changed(start: Array, stop: Array) -> NDArray[np.bool_]:
        return np.abs(stop - start) > resolution

    device.program(first)
    whole = device.program(second)
    part = device.program(third, mask=mask)
    none = device.program(first, mask=np.zeros(spec.size, dtype=np.bool_))
    # Where the mask was False the device still holds the second point.
    held = np.where(mask, third, second)
    update = device.apply(Update(target=first, step=first - held))
    for what, found, least in (
        ("program", whole, int(changed(first, second).sum())),
        ("program with a mask", part, int((changed(second, third) & mask).sum())),
        ("apply", update, int(changed(held, first).sum())),
    ):
        check_cost(found, what)
        require(
            found.cell_writes >= least, f"{what}: {least} parameters changed, but only {found.cell_writes} cell writes"
        )
    check_cost(none, "program with an empty mask")
    require(none.cell_writes == 0, f"an empty mask took {none.cell_writes} cell writes, must take none")
    return f"{whole.cell_writes} cell writes for {spec.size} parameters, {part.cell_writes} for half of them"


def _far(bench: Bench, candidates: int = 8) -> tuple[Array, Array]:
    """Two points whose losses lie apart, as far as one look at each of a few tells."""
    points = bench.points(candidates)
    losses: list[float] = []
    for theta in points:
        bench.device.program(theta)
        losses.append(bench.loss())
    return points[int(np.argmin(losses))], points[int(np.argmax(losses))]


@check("apply leads where program leads", false_alarm=ALPHA)
def applied(bench: Bench) -> str:
    """A step taken by ``apply`` gives the same loss as programming its target."""
    device = bench.device
    start, target = _far(bench)
    update = Update(target=target, step=target - start, t=1)

    def sample() -> tuple[list[float], list[float]]:
        device.program(start)
        base = bench.loss()
        device.apply(update)
        stepped = bench.loss()
        device.program(start)
        device.program(target)
        written = bench.loss()
        return [stepped - written], [written - base]

    return compare(sample, "apply and program")


@check("a mask writes where it is True", false_alarm=ALPHA)
def masked(bench: Bench) -> str:
    """A masked program gives the same loss as programming the mixture of both parameters."""
    device = bench.device
    needs(device.parameters.size > 1, "the device has one parameter only")
    start, stop = _far(bench)
    # A mixture that differs from both ends, so that ignoring the mask, or all of the write, shows.
    masks = [bench.rng.random(len(start)) < 0.5 for _ in range(8)]
    ends: list[float] = []
    for theta in (start, stop):
        device.program(theta)
        ends.append(bench.loss())
    clear: list[float] = []
    for mask in masks:
        device.program(np.where(mask, stop, start))
        mixed = bench.loss()
        clear.append(min(abs(mixed - ends[0]), abs(mixed - ends[1])))
    mask = masks[int(np.argmax(clear))]
    mixture = np.where(mask, stop, start)

    def sample() -> tuple[list[float], list[float]]:
        device.program(mixture)
        written = bench.loss()
        device.program(stop)
        all_written = bench.loss()
        device.program(start)
        none_written = bench.loss()
        device.program(stop, mask=mask)
        return [bench.loss() - written], [written - none_written, written - all_written]

    return compare(sample, "a masked and a whole program")


CHECKS: tuple[Check, ...] = (refusal, copies, cost, applied, masked)
