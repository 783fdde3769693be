"""How methods stand beside each other: means over seeds with standard errors, and paired differences from the best."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from hwzo.parameters import Array
from hwzo.train.comparison import Outcome

ROUNDING = 1e-12
"""Spread of accuracies, or of their differences, that their subtraction may have left where all are alike."""


@dataclass(frozen=True)
class Standing:
    """A row of the table.

    Args:
        method, device, task: what was run.
        emulated: True if no hardware was involved; None if nothing was run.
        seeds: how many runs the means are over.
        accuracy: mean test accuracy, read once a run on the device; None where it gives a loss only.
        accuracy_standard_error: of that mean, over the seeds; None with one seed.
        below_best: mean difference from the device's most accurate method, seed by seed; 0 for that method itself.
        below_best_standard_error: of it.
        p: two-sided, that there is no difference, by Student's t of the paired differences; None where it can't be
            told. Nothing is corrected for how many methods there are.
        loss: mean validation loss at the end.
        evaluations, commanded_probes, cell_writes, device_seconds, joules: means.
        reached: how many runs reached ``target`` on validation.
        evaluations_to_target: median over all runs; None unless more than half reached it.
        target: validation accuracy.
        settings: found by tuning.
        tuning_evaluations: what finding them took, on top.
        left_out: why there is nothing, if there is nothing.
    """

    method: str
    device: str
    task: str
    emulated: bool | None = None
    seeds: int = 0
    accuracy: float | None = None
    accuracy_standard_error: float | None = None
    below_best: float | None = None
    below_best_standard_error: float | None = None
    p: float | None = None
    loss: float | None = None
    evaluations: float | None = None
    commanded_probes: float | None = None
    cell_writes: float | None = None
    device_seconds: float | None = None
    joules: float | None = None
    reached: int = 0
    evaluations_to_target: float | None = None
    target: float | None = None
    settings: dict[str, Any] = field(default_factory=dict[str, Any])
    tuning_evaluations: int = 0
    left_out: str | None = None

    def row(self) -> dict[str, Any]:
        """As JSON holds it."""
        return asdict(self)


def standings(outcomes: Sequence[Outcome], task: str) -> list[Standing]:
    """A row for each outcome, device by device, the most accurate first and what was left out last."""
    rows: list[Standing] = []
    for device in dict.fromkeys(outcome.cell.device for outcome in outcomes):
        here = [outcome for outcome in outcomes if outcome.cell.device == device]
        told = [values for outcome in here if (values := _accuracies(outcome)) is not None]
        best = max(told, key=lambda values: float(values.mean()), default=None)
        rows += sorted((_standing(outcome, task, best) for outcome in here), key=_rank)
    return rows


def _rank(row: Standing) -> tuple[bool, float, float]:
    loss = math.inf if row.loss is None else row.loss
    return row.left_out is not None, -(row.accuracy or 0.0), loss


def _accuracies(outcome: Outcome) -> Array | None:
    """Test accuracies (seeds,), in order of seeds; None if there is none to one of them."""
    if outcome.left_out is not None:
        return None
    values = [result.test_accuracy for result in outcome.results.values()]
    known = [value for value in values if value is not None]
    return np.array(known) if known and len(known) == len(values) else None


def _standing(outcome: Outcome, task: str, best: Array | None) -> Standing:
    method, device, results = outcome.cell.method, outcome.cell.device, list(outcome.results.values())
    if not results or outcome.left_out is not None:
        return Standing(method, device, task, left_out=outcome.left_out or "no run ended")
    accuracies = _accuracies(outcome)
    below, error, p = (None, None, None) if accuracies is None or best is None else _paired(accuracies - best)
    reached = [result.evaluations_to_target for result in results]
    to_target = float(np.median([math.inf if at is None else at for at in reached]))
    losses = [result.loss for result in results if result.loss is not None]

    def mean(name: str) -> float:
        return float(np.mean([getattr(result, name) for result in results]))

    return Standing(
        method=method,
        device=device,
        task=task,
        emulated=results[0].emulated,
        seeds=len(results),
        accuracy=None if accuracies is None else float(accuracies.mean()),
        accuracy_standard_error=None if accuracies is None else _error(accuracies),
        below_best=below,
        below_best_standard_error=error,
        p=p,
        loss=float(np.mean(losses)) if losses else None,
        evaluations=mean("evaluations"),
        commanded_probes=mean("commanded_probes"),
        cell_writes=mean("cell_writes"),
        device_seconds=mean("device_seconds"),
        joules=mean("joules"),
        reached=sum(at is not None for at in reached),
        evaluations_to_target=to_target if math.isfinite(to_target) else None,
        target=results[0].target,
        settings=outcome.settings,
        tuning_evaluations=outcome.tuning_evaluations,
    )


def _error(values: Array) -> float | None:
    """Standard error of the mean of values (seeds,); a spread that is rounding's own is none."""
    if len(values) < 2:
        return None
    error = float(values.std(ddof=1)) / math.sqrt(len(values))
    return error if error > ROUNDING else 0.0


def _paired(differences: Array) -> tuple[float, float | None, float | None]:
    """(mean, standard error, p) of paired differences (seeds,)."""
    mean, error = float(differences.mean()), _error(differences)
    if error is None or error == 0.0:  # one seed, or all alike: there is no spread to judge by
        return mean, error, None
    from scipy import special  # pyright: ignore[reportMissingTypeStubs]

    tail: Any = special.stdtr(len(differences) - 1, -abs(mean) / error)  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
    return mean, error, 2.0 * float(tail)
