"""Putting learned weights into a device: map, program and verify, touch up, prove."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from hwzo.data.task import Task
from hwzo.deploy.closed_loop import MOST_WRITES, Watch
from hwzo.deploy.deployment import Deployment
from hwzo.device import Device

Say = Callable[[str], None]


def deploy(
    source: object,
    device: str | Device,
    *,
    output: Path = Path("deployment.h5"),
    task: str | Task | None = None,
    tolerance: float | None = None,
    touch_up: str | None = None,
    profile: Path | None = None,
    gains: bool = True,
    orders: bool = True,
    clip: bool = False,
    most_writes: int = MOST_WRITES,
    seed: int = 0,
    dry_run: bool = False,
    watch: Watch | None = None,
    say: Say = lambda text: None,
) -> Deployment:
    """Put learned weights into a device and prove that they are there."""
    raise NotImplementedError
