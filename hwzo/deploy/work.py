"""A deployment under way: what it works with, and what was spent and found out so far."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hwzo.deploy.closed_loop import Progress, Watch, Written, program_and_verify
from hwzo.deploy.journal import Arrays, Journal, Outcome
from hwzo.deploy.mapping import Bought
from hwzo.deploy.stand import Settings, Stand
from hwzo.deploy.tolerance import Tolerance
from hwzo.noise.profile import Profile
from hwzo.parameters import Array
from hwzo.probes import Cost
from hwzo.say import Say


class Work:
    """What the parts of a deployment share.

    Args:
        stand: weights, device and task.
        settings: how it is done.
        profile: of the device, if it was calibrated.
        output: the deployment's file.
        journal: of its steps.
        watch, say: are shown progress, and told what a user should know.
    """

    def __init__(
        self,
        stand: Stand,
        settings: Settings,
        profile: Profile | None,
        output: Path,
        journal: Journal,
        watch: Watch | None,
        say: Say,
    ) -> None:
        self.weights, self.guard, self.task = stand.weights, stand.guard, stand.task
        self.settings, self.profile, self.output = settings, profile, output
        self._journal, self._watch, self._say = journal, watch, say
        self.probes, self.learned_accuracy = stand.probes, stand.learned_accuracy
        n = self.guard.parameters.size
        self.cost = Cost()
        self.writes: NDArray[np.int64] = np.zeros(n, dtype=np.int64)
        """(n,) how often each cell was written, doubtful ones included."""
        self.held: Array = np.zeros(n)
        """(n,) what the cells were last asked to hold, once all were written."""
        self.suspect: NDArray[np.bool_] | None = None
        """(n,) True where a part of a cell is known to be stuck; None: nobody looked."""
        self.verified = False
        """Whether the cells were brought to where they shall be: from then on there is something to go on with."""
        self.touch_up_writes = 0
        """Those that the touch-up took, as the device counts them."""
        self.bought: list[Bought] = []
        self.validation: list[dict[str, object]] = []
        self.told: list[str] = []

    @property
    def n(self) -> int:
        """Number of cells."""
        return self.guard.parameters.size

    @property
    def inputs(self) -> Array | None:
        """Samples such as will come, (samples, n_inputs), if there is a task."""
        return None if self.task is None else self.task.batch("train").inputs

    @property
    def cuts(self) -> int:
        """How often the next step was cut off before, see `Steps.cuts`."""
        return self._journal.cuts

    def say(self, text: str) -> None:
        """Tell the user, and keep it for the file."""
        self.told.append(text)
        self._say(text)

    def show(self, phase: str, share: float, beyond: int | None = None) -> None:
        """Show progress."""
        if self._watch is not None:
            self._watch(Progress(phase, share, beyond, self.cost))

    def take(self, name: str, act: Callable[[], Arrays], *, cells: NDArray[np.bool_] | None = None) -> Outcome:
        """Take a step, or recall it, and count what it cost; see `Steps.take`."""
        outcome = self._journal.take(name, act, cells=cells)
        self.cost += outcome.cost
        return outcome

    def forget(self, name: str) -> None:
        """Forget a step and those after it, see `Journal.forget`."""
        self._journal.forget(name)

    def verify(
        self,
        targets: Array,
        tolerance: Tolerance,
        *,
        phase: str,
        held: Array | None,
        first: Array,
        stuck: NDArray[np.bool_] | None = None,
        most_rounds: int | None = None,
    ) -> Written:
        """Run the closed loop with what is known by now, see `program_and_verify`.

        Args:
            targets: (n,) what the cells shall hold, weight units of the device.
            tolerance: how near they must come.
            phase: what is shown as progress.
            held: (n,) what they were last asked to hold; None: unknown.
            first: (n,) what they are asked for first, weight units of the device.
            stuck: (n,) True where a cell is known not to reach its target; None: nowhere.
            most_rounds: of correcting; None: as many as may help.

        Raises:
            CapabilityError, ConfigError, DeviceError: as `program_and_verify`.
            FileError: the journal can't be written.
        """
        written = program_and_verify(
            self.guard,
            targets,
            tolerance=tolerance,
            most_writes=self.settings.most_writes,
            held=held,
            first=first,
            writes=self.writes,
            stuck=stuck,
            suspect=self.suspect,
            most_rounds=most_rounds,
            steps=self._journal,
            watch=lambda number, beyond: self.show(phase, min(0.9, 0.1 + 0.08 * number), beyond),
        )
        self.cost += written.cost
        self.writes = written.writes.copy()
        self.held = written.asked
        return written
