"""Cells that bear a number of writes: none is written more often, and what can't be done with so few is refused."""

from __future__ import annotations

from dataclasses import replace

from hwzo.deploy.stand import Settings
from hwzo.deploy.tolerance import ReadError, look_writes, residual_of
from hwzo.deploy.work import Work
from hwzo.device import Device
from hwzo.errors import ConfigError
from hwzo.noise.profile import Profile
from hwzo.train.budget import Budget

PULSED = 2.5
"""Operations of a write, above which it is a train of pulses: a differential pair takes two."""


def endured(settings: Settings, device: Device, told: list[str]) -> Settings:
    """Settings by which no cell is written more often than it bears; what they change is added to ``told``.

    Raises:
        ConfigError: a touch-up that could wear cells out.
    """
    bears = device.capabilities.endurance
    if not bears:
        return settings
    if bears < settings.most_writes:
        told.append(
            f"the device's cells bear {bears} writes (endurance): none is written more often than that, of the "
            f"{settings.most_writes} that it might be"
        )
    left = bears - settings.most_writes - 1  # to verify, before and after it, and to put weights back
    if settings.touch_up is not None:
        steps = Budget.parse(settings.touch_up.budget).limits.get("evaluations")
        if steps is None or steps > left:  # a step takes an evaluation at least, and writes each cell once at most
            raise ConfigError(
                f"a touch-up of {settings.touch_up.budget} might wear out cells, which bear {bears} writes (endurance)"
                + (f": at most {left} evaluations are safe" if left > 0 else "")
                + "; nothing was written; take "
                + ("so many, or leave the touch-up out" if left > 0 else "no touch-up"),
                key="touch_up",
            )
    return replace(settings, most_writes=min(bears, settings.most_writes))


def spare_pulses(work: Work) -> None:
    """Allow fewer writes where one is a train of pulses, and it is pulses that cells bear.

    How many of them each cell got nobody tells, so the average of all writes so far is taken; corrections are shorter.
    """
    bears, written = work.guard.capabilities.endurance, int(work.writes.sum())
    pulses = work.cost.cell_writes / max(1, written)
    if not bears or pulses <= PULSED:
        return
    if work.settings.touch_up is not None:
        work.say("steps of a touch-up are trains of pulses, too, of unknown length: it may wear cells out")
    most = max(1, int(bears / pulses))
    if most < work.settings.most_writes:
        work.say(
            f"a write takes {pulses:.0f} pulses on average, and the device's cells bear {bears} (endurance): none is "
            f"written more than {most} times"
        )
        work.settings = replace(work.settings, most_writes=most)


def check_enough(settings: Settings, device: Device, profile: Profile | None) -> None:
    """Check that a cell may be written often enough to see what a write leaves, and then to be written.

    Raises:
        ConfigError: it may not; says whose limit that is, and what to try. Nothing was written.
    """
    known = profile is not None and ReadError.of(profile) is not None and residual_of(profile) is not None
    needed = 1 if known else look_writes(device) + 1
    if settings.most_writes >= needed:
        return
    bears = device.capabilities.endurance
    limit = (
        f"the device's cells bear {bears} writes (endurance)"
        if bears and bears <= settings.most_writes
        else f"most_writes = {settings.most_writes}"
    )
    raise ConfigError(
        f"{limit}; without a profile {needed - 1} are taken of some cells to see what a write leaves, and one more to "
        "deploy; nothing was written; name a profile of this device (--profile), or use one whose cells may be "
        "written more often",
        key="most_writes",
    )
