"""Accuracy of learned weights on a device, now or as it ages. What is heavy is loaded when it is asked for."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, overload

from hwzo.say import Say

if TYPE_CHECKING:
    from hwzo.data.task import Task
    from hwzo.deploy.drift_evaluation import Aging, Compensation
    from hwzo.device import Device
    from hwzo.train.evaluate import Evaluation, Watch

OWN = ("", ".safetensors")
"""Endings of a run and of hwzo's own weights: they need nothing of deploying."""


@overload
def evaluate(
    weights: str | Path,
    device: str | Device | None = None,
    *,
    task: str | Task | None = None,
    repeats: int = 10,
    at: None = None,
    compensate: Compensation | None = None,
    watch: Watch = ...,
    say: Say = ...,
) -> Evaluation: ...


@overload
def evaluate(
    weights: str | Path,
    device: str | Device | None = None,
    *,
    task: str | Task | None = None,
    repeats: int = 10,
    at: str | Iterable[str | float],
    compensate: Compensation | None = None,
    watch: Watch = ...,
    say: Say = ...,
) -> Aging: ...


def evaluate(
    weights: str | Path,
    device: str | Device | None = None,
    *,
    task: str | Task | None = None,
    repeats: int = 10,
    at: str | Iterable[str | float] | None = None,
    compensate: Compensation | None = None,
    watch: Watch = lambda done, of: None,
    say: Say = lambda text: None,
) -> Evaluation | Aging:
    """Accuracy of learned weights on a device, mean and standard error; with ``at``, at several ages of the device.

    Args:
        weights: a run's folder, a deployment (``.h5``), which keeps its mapping, a bundle (``.zip``) or weights.
        device: URL or open device; None: the one that the weights were learned on or deployed to.
        task: None: the one that the weights were learned for.
        repeats: how often the device is programmed and the test split read.
        at: ages since programming, such as ``"1 s, 1 h, 1 d, 30 d"``; emulated devices only.
        compensate: at each age: ``"layer"`` (the default) or ``"global"`` gains, ``"refresh"``, ``"off"``; see
            `hwzo.deploy.drift_evaluation.evaluate_at`.
        watch: is told how many repeats are done, and of how many.
        say: is told what a user should know.

    Raises:
        HwzoError: see `hwzo.train.evaluate.evaluate` and `hwzo.deploy.drift_evaluation.evaluate_at`.
    """
    path = Path(weights)
    if at is not None:
        from hwzo.deploy.drift_evaluation import evaluate_at

        kept = compensate or "layer"
        return evaluate_at(path, device, at=at, compensation=kept, task=task, repeats=repeats, watch=watch, say=say)
    if compensate is not None:
        from hwzo.errors import ConfigError

        raise ConfigError("compensate goes with at, which says at which ages", key="compensate")
    if path.suffix in OWN or _is_folder(path):
        from hwzo.train.evaluate import evaluate as run

        return run(path, device, task=task, repeats=repeats, watch=watch)
    from hwzo.deploy.drift_evaluation import evaluate_at
    from hwzo.train.evaluate import Evaluation

    aging = evaluate_at(path, device, at=[0.0], compensation="off", task=task, repeats=repeats, watch=watch, say=say)
    fields = {**aging.model_dump(), **aging.points[0].model_dump()}
    return Evaluation(**{name: fields[name] for name in Evaluation.model_fields})


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):  # such as a name that is too long: whoever opens it says so
        return False
