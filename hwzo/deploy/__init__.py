"""Put learned weights into a device, prove that they are there, and keep them right."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hwzo.data.task import Task
    from hwzo.deploy.closed_loop import Progress
    from hwzo.deploy.deployment import Deployment
    from hwzo.device import Device


def deploy(
    source: object,
    device: str | Device | None = None,
    *,
    output: str | Path = "deployment.h5",
    task: str | Task | None = None,
    layers: str | None = None,
    activation: str | None = None,
    tolerance: float | None = None,
    touch_up: str | None = None,
    profile: str | Path | None = None,
    gains: bool = True,
    orders: bool = True,
    clip: bool = False,
    most_writes: int = 10,
    seed: int = 0,
    force: bool = False,
    watch: Callable[[Progress], None] | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> Deployment:
    """Put learned weights into a device and prove that they are there: see `hwzo.deploy.deploying.deploy`."""
    from hwzo.deploy.deploying import deploy as run

    return run(
        source,
        device,
        output=Path(output),
        task=task,
        layers=layers,
        activation=activation,
        tolerance=tolerance,
        touch_up=touch_up,
        profile=None if profile is None else Path(profile),
        gains=gains,
        orders=orders,
        clip=clip,
        most_writes=most_writes,
        seed=seed,
        force=force,
        watch=watch,
        say=say,
    )
