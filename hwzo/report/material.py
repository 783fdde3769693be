"""What a page is made from: a run, its first and last checkpoint, and what its emulated device still tells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from hwzo.errors import ConfigError, FileError, HwzoError
from hwzo.network import Network
from hwzo.parameters import ParameterSpec
from hwzo.probes import Cost
from hwzo.report.layers import Layer, layers_of, parameters_of
from hwzo.report.readout import Readout, read_out
from hwzo.train.budget import Spent
from hwzo.train.checkpoint import Checkpoint
from hwzo.train.folder import RunFolder
from hwzo.train.journal import Journal
from hwzo.train.run import Run, load_run


@dataclass(frozen=True)
class Material:
    """All that the sections of a page draw on.

    Args:
        run: the run.
        first: its checkpoint of step 0; None if that is missing or damaged.
        last: its last whole checkpoint; None if there is none.
        steps: finished ones, by the journal.
        spent: by the result, or by the last checkpoint and the journal's steps since; host time is the checkpoint's.
        damage: what was found damaged, a sentence each.
        readout: what the emulated device gave back for this page; None if it wasn't read.
        why_not: why it wasn't.
    """

    run: Run
    first: Checkpoint | None
    last: Checkpoint | None
    steps: int
    spent: Spent
    damage: tuple[str, ...]
    readout: Readout | None
    why_not: str

    def table(self, name: str) -> Mapping[str, object]:
        """A table of run.toml; empty if it isn't there."""
        found = self.run.description.get(name)
        return cast("Mapping[str, object]", found) if isinstance(found, dict) else {}

    @property
    def emulated(self) -> bool:
        """True if no hardware was involved."""
        return self.table("device").get("emulated") is True

    @property
    def kind(self) -> str:
        """``"emulated"`` or ``"hardware"``, for labels."""
        return "emulated" if self.emulated else "hardware"

    @property
    def parameters(self) -> ParameterSpec | None:
        """What the parameters are; None if nothing says."""
        if self.readout is not None or self.last is None:
            return None if self.readout is None else self.readout.parameters
        return parameters_of(self.run, self.last.theta.size)

    @property
    def network(self) -> Network | None:
        """The device's network; None if it isn't one, or nothing says."""
        try:
            return Network.parse(str(self.table("device").get("layers")))
        except ConfigError:
            return None

    @property
    def layers(self) -> list[Layer]:
        """The layers of the parameter vector; none if no checkpoint is whole."""
        if self.last is None:
            return []
        return layers_of(self.parameters, self.last.theta.size)


def gather(path: Path) -> Material:
    """Collect the material of the run in a folder.

    Raises:
        FileError: it isn't a run's folder, or its run.toml or journal is damaged.
    """
    run = load_run(path)
    folder, damage = RunFolder(path), list[str]()
    first = last = None
    try:
        last, damage = folder.latest()
        first, _ = folder.latest(0)
    except FileError as error:
        damage = [*damage, str(error)]
    readout, why_not = None, "no checkpoint is whole"
    if last is not None:
        try:
            readout, why_not = read_out(run, last), ""
        except HwzoError as error:
            why_not = str(error)
    steps = int(run.curve["t"][-1]) + 1 if run.curve["t"].size else 0
    return Material(run, first, last, steps, _spent(run, last), tuple(damage), readout, why_not)


def _spent(run: Run, last: Checkpoint | None) -> Spent:
    result = run.result
    if result is not None:
        cost = Cost(cell_writes=result.cell_writes, device_seconds=result.device_seconds, joules=result.joules)
        return Spent(result.evaluations, result.commanded_probes, cost, result.wall_seconds)
    spent, start = (Spent(), 0) if last is None else (last.spent, last.t)
    journal = Journal(RunFolder(run.path).journal, read_only=True)
    try:
        since = list(journal.costs(start))
    finally:
        journal.close()
    return Spent(
        spent.evaluations + sum(evaluations for evaluations, _, _ in since),
        spent.commanded_probes + sum(commanded for _, commanded, _ in since),
        sum((cost for _, _, cost in since), spent.cost),
        spent.wall_seconds,
    )
