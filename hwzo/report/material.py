"""What a page is made from: a run, its first and last checkpoint, and what its emulated device still tells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from hwzo.errors import FileError, HwzoError
from hwzo.probes import Cost
from hwzo.report.layers import Layer, layers_of, parameters_of
from hwzo.report.readout import Readout, read_out
from hwzo.train.budget import Spent
from hwzo.train.checkpoint import Checkpoint
from hwzo.train.folder import RunFolder
from hwzo.train.run import Run, load_run


@dataclass(frozen=True)
class Material:
    """All that the sections of a page draw on.

    Args:
        run: the run.
        first: its checkpoint of step 0; None if that is missing or damaged.
        last: its last whole checkpoint; None if there is none.
        damage: what was found damaged, a sentence each.
        readout: what the emulated device gave back for this page; None if it wasn't read.
        why_not: why it wasn't.
    """

    run: Run
    first: Checkpoint | None
    last: Checkpoint | None
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
    def spent(self) -> Spent | None:
        """What the run has spent: by its result, else by its last checkpoint; None if it has neither."""
        result = self.run.result
        if result is None:
            return None if self.last is None else self.last.spent
        cost = Cost(cell_writes=result.cell_writes, device_seconds=result.device_seconds, joules=result.joules)
        return Spent(result.evaluations, result.commanded_probes, cost, result.wall_seconds)

    @property
    def layers(self) -> list[Layer]:
        """The layers of the parameter vector; none if no checkpoint is whole."""
        if self.last is None:
            return []
        size = self.last.theta.size
        return layers_of(parameters_of(self.run, size), size)


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
    return Material(run, first, last, tuple(damage), readout, why_not)
