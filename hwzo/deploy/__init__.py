"""Put learned weights into a device, prove that they are there, and keep them right."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from hwzo.say import Say

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
    say: Say = lambda text: None,
) -> Deployment:
    """Put learned weights into a device and prove that they are there.

    One that was cut off goes on when it is called again with the same arguments.

    Args:
        source: a run's folder, a file of weights, or an object: see `hwzo.deploy.sources.load_source`.
        device: a device URL, or an open device, which stays open and holds the weights; None: the one that they were
            learned on.
        output: the deployment's file.
        task: whose samples it is measured and touched up on; None: the one that the weights were learned for.
        layers, activation: of the network, such as ``"64-32-10"`` and ``"tanh"``, where the source doesn't tell.
        tolerance: how near each cell must come, weight units of the device; None: three standard deviations of averaged
            read error and what a write leaves.
        touch_up: a budget such as ``"2000 evaluations"`` that is spent on learning on the device; None: none.
        profile: the file of the device's profile, see `hwzo.calibrate`: its noise needs not be measured then.
        gains, orders: whether columns get gains, and hidden units are reordered around stuck cells.
        clip: whether weights outside what the device can hold are moved into it.
        most_writes: that a cell may have to get right.
        seed: of an emulated device whose URL sets none, of which cells are looked at, and of the touch-up.
        force: whether an output file of something else may be replaced.
        watch, say: are shown progress, and told what a user should know.

    Returns:
        The deployment, saved; its ``result`` says whether it is verified, and what it took.

    Raises:
        ConfigError: weights of another architecture, outside the window, a tolerance that can't be verified; an output
            file of another device or of other weights; nothing was written.
        CapabilityError: the device doesn't read back its weights, or gives no outputs and is to be touched up.
        DeviceError: the device failed; what was done is kept.
    """
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
