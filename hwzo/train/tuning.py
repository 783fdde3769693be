"""Settings chosen on validation data, within a stated number of runs, the same for every method.

The first run is made with the method's own settings; what it resolved them to is the middle of what is searched, by the
tree-structured Parzen estimator of optuna (Bergstra et al. 2011, https://papers.nips.cc/paper/4443). The test split is
read by none of these runs' choices: they are judged by validation looks alone, with seeds of their own.
"""

from __future__ import annotations

import logging
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import fmean
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from hwzo.errors import FileError
from hwzo.extras import extra
from hwzo.train.result import Result
from hwzo.train.run import load_run

LAST = 5
"""Looks at the end of a run whose mean counts: a single one is as noisy as the device."""
FACTORS: Mapping[str, float] = {"rate": 10.0, "scale": 4.0}
"""What is tuned, where a method has it, and how far from its own value, up and down."""


class Tuning(BaseModel):
    """How settings are chosen.

    Args:
        runs: that a method may spend on a device, the one with its own settings among them; each is a run for each of
            ``seeds``, with the comparison's budget.
        seeds: of these runs; none of the comparison's own.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    runs: Annotated[int, Field(ge=1, le=10_000, strict=True)]
    seeds: Annotated[list[Annotated[int, Field(ge=0, le=2**32 - 1, strict=True)]], Field(min_length=1)] = [10]


Train = Callable[[Mapping[str, Any], Path], Result]


def tuned(keys: Mapping[str, Any], tuning: Tuning, folder: Path, train: Train) -> tuple[dict[str, float], int]:
    """The best settings found for one method on one device, and how many evaluations they took.

    Runs that are already there are not made again: the same proposals follow from the same outcomes.

    Args:
        keys: of the run, as for `TrainConfig`; what is set there isn't tuned.
        tuning: how.
        folder: of the runs.
        train: makes a run, or finishes it.

    Raises:
        ConfigError: optuna is missing and there is something to tune; says how to install it.
        FileError: a run has lost its curve.
        HwzoError: a run failed.
    """
    evaluations = 0

    def judged(number: int, settings: Mapping[str, float]) -> tuple[float, dict[str, Any]]:
        nonlocal evaluations
        values: list[float] = []
        resolved: dict[str, Any] = {}
        for seed in tuning.seeds:
            run = folder / f"{number:03d}-seed{seed}"
            evaluations += train({**keys, **settings, "seed": seed}, run).evaluations
            made = load_run(run)
            resolved = made.config.model_dump()
            looks = made.validations[-LAST:]
            if not looks:
                raise FileError(f"run {run} has no look at the validation data, its journal is gone; delete the folder")
            right = [look.accuracy for look in looks if look.accuracy is not None]
            values.append(fmean(right) if right else -fmean(look.loss for look in looks))
        return fmean(values), resolved

    best, resolved = judged(0, {})
    centres = {key: float(resolved[key]) for key in FACTORS if key not in keys and resolved[key] is not None}
    chosen: dict[str, float] = {}
    if tuning.runs == 1 or not centres:
        return chosen, evaluations
    optuna = extra("optuna", "tuning", of="tune", key="tuning")
    study = _study(optuna, keys)
    ranges = {
        key: optuna.distributions.FloatDistribution(value / FACTORS[key], value * FACTORS[key], log=True)
        for key, value in centres.items()
    }
    study.add_trial(optuna.trial.create_trial(params=centres, distributions=ranges, value=best))
    for number in range(1, tuning.runs):
        proposal = study.ask(ranges)
        value, _ = judged(number, proposal.params)
        study.tell(proposal, value)
        if value > best:
            best, chosen = value, dict(proposal.params)
    return chosen, evaluations


def _study(optuna: Any, keys: Mapping[str, Any]) -> Any:  # noqa: ANN401  (optuna's)
    optuna.logging.set_verbosity(logging.WARNING)
    seed = zlib.crc32(f"{keys['method']} {keys['device']}".encode())
    sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=4, multivariate=False)
    return optuna.create_study(direction="maximize", sampler=sampler)
