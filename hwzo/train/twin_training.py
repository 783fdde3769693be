"""A device and its emulated twin trained side by side: whether their learning differs."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from hwzo.errors import ConfigError
from hwzo.noise.holm import rejected
from hwzo.noise.profile import Profile
from hwzo.noise.quantiles import student_tail
from hwzo.noise.twin import ALPHA
from hwzo.parameters import Array
from hwzo.say import Say
from hwzo.train.budget import Budget
from hwzo.train.config import TrainConfig
from hwzo.train.run import load_run
from hwzo.train.start import start
from hwzo.train.twin import twin_url

PARTS = 8
"""Of the training curve, each compared by its mean loss."""
SEEDS = 8


@dataclass(frozen=True)
class Stretch:
    """A part of both training curves, or where they end.

    Args:
        name: such as ``"loss, evaluations to 250"``.
        device, twin: mean over the seeds and its standard error, of each.
        p: chance of a mean difference as large or larger if both learn alike.
        differs: whether p is below what Holm's procedure allows.
    """

    name: str
    device: tuple[float, float]
    twin: tuple[float, float]
    p: float
    differs: bool = False


def train_with_twin(
    profile: Profile,
    device: str,
    *,
    budget: str,
    seeds: int = SEEDS,
    seed: int = 0,
    say: Say = lambda text: None,
) -> list[Stretch]:
    """Train a device and the twin of its profile, each from the same starts and on the same samples.

    Runs of one seed are a pair, so that what is tested is the mean of their differences, by Student's t: of the loss in
    eight parts of the curve, and of the test accuracy. S. Holm, Scand. J. Stat. 6, 65 (1979), keeps the chance of any
    false alarm at `hwzo.noise.twin.ALPHA`.

    Args:
        profile: of the device, calibrated on a task.
        device: a device URL; the device ends trained.
        budget: of each run, in evaluations.
        seeds: pairs of runs, 3 at least.
        seed: of the first pair; those after it follow.
        say: is told what is trained.

    Raises:
        ConfigError: the profile is of no task, or has no twin, or there are too few seeds.
    """
    if not 3 <= seeds <= 1000:
        raise ConfigError(
            f"seeds = {seeds}: should be 3 to 1000; 8 show a difference of 3 standard errors", key="seeds"
        )
    if set(Budget.parse(budget).limits) != {"evaluations"}:
        raise ConfigError(
            f'budget = {budget!r}: should be in evaluations, such as "2000 evaluations", so that curves can be held '
            "against each other",
            key="train",
        )
    task = profile.manifest.task
    if task is None:
        raise ConfigError(
            "training needs a task, and the profile was made on random samples; hwzo calibrate --task NAME", key="train"
        )
    curves: dict[str, list[Array]] = {"device": [], "twin": []}
    ends: list[int] = []
    with TemporaryDirectory(prefix="hwzo-twin-") as folder:
        for at in range(seed, seed + seeds):
            for name, url in (("device", device), ("twin", twin_url(profile, at))):
                say(f"training: {name}, seed {at}")
                given = {"task": task, "device": url, "budget": budget, "seed": at}
                run = Path(folder) / f"{name}-{at}"
                result = start(given, config=TrainConfig.build(given), run=run)
                curve = load_run(run).curve
                parts = np.array_split(curve["loss"], PARTS)
                if len(curve["loss"]) < PARTS:
                    raise ConfigError(f"budget = {budget!r} is too small: {PARTS} steps are needed", key="train")
                ends = [int(part[-1]) for part in np.array_split(curve["evaluations"], PARTS)]
                accuracy = math.nan if result.test_accuracy is None else result.test_accuracy
                curves[name].append(np.array([*(float(part.mean()) for part in parts), accuracy]))
    names = [f"loss, evaluations to {end:,}" for end in ends]
    ours, its = np.stack(curves["device"]), np.stack(curves["twin"])
    if np.isfinite(ours[:, -1]).all() and np.isfinite(its[:, -1]).all():  # not of devices that give a loss only
        names.append("test accuracy")
    return compared(names, ours, its)


def compared(names: list[str], device: Array, twin: Array) -> list[Stretch]:
    """Student's t of paired differences, judged together; the chance of any false alarm is `ALPHA`.

    Args:
        names: of the first columns.
        device, twin: (seeds, columns), a row a pair.
    """
    n = len(device)
    found: list[Stretch] = []
    for at, name in enumerate(names):
        a, b = device[:, at], twin[:, at]
        apart, error = float((a - b).mean()), float((a - b).std(ddof=1)) / math.sqrt(n)
        p = student_tail(apart / error, n - 1) if error > 0 else float(apart == 0)
        found.append(Stretch(name, _mean(a), _mean(b), p))
    differing = rejected({stretch.name: stretch.p for stretch in found}, ALPHA)
    return [replace(stretch, differs=stretch.name in differing) for stretch in found]


def _mean(values: Array) -> tuple[float, float]:
    return float(values.mean()), float(values.std(ddof=1)) / math.sqrt(len(values))
