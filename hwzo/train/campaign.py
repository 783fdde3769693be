"""Measurements in their order, within a budget, journalled, and the device left as it was found."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from hwzo.errors import ConfigError, HwzoError
from hwzo.noise.journal import Entry, Journal
from hwzo.noise.measurements import Measurement
from hwzo.noise.setup import Raw, Setup
from hwzo.parameters import Array
from hwzo.say import Say
from hwzo.train.bench import fresh_parameters
from hwzo.train.budget import Budget, Spent
from hwzo.train.stand import Stand
from hwzo.train.tally import CountedDevice, Tally

RESTORING_READS = 8


@dataclass(frozen=True)
class Progress:
    """How far a calibration is.

    Args:
        share: 0 to 1.
        measuring: what is being measured.
        spent: so far.
    """

    share: float
    measuring: str
    spent: Spent


Watch = Callable[[Progress], None]


class Campaign:
    """One calibration under way.

    Args:
        stand: device and samples.
        seed: of what is programmed and commanded.
        budget: limits; None: none.
        journal: where readings are kept as they come; None: nowhere.
        watch, say: are shown progress, and told what a user should know.
        theta: (n_params,) where it is measured, weight units; None: where training with that seed starts.
    """

    def __init__(
        self,
        stand: Stand,
        seed: int,
        budget: Budget | None,
        journal: Journal | None = None,
        watch: Watch | None = None,
        say: Say = lambda text: None,
        theta: Array | None = None,
    ) -> None:
        self._guard, self._budget, self._journal, self._watch, self._say = stand.device, budget, journal, watch, say
        self.left_out: dict[str, str] = {}
        self.warnings: list[str] = []
        self.rounds: dict[str, int] = {}
        self.tally = Tally(stand.device, budget)
        self._waited = 0.0
        self._share, self._measuring = 0.0, ""
        self._setup = Setup(
            CountedDevice(stand.device, self.tally),
            stand.batch,
            fresh_parameters(stand.device, seed) if theta is None else theta,
            seed,
            wait=self._wait,
            clock=self._clock,
            progress=self._told,
        )

    def run(self, chosen: list[Measurement], share: float = 1.0, *, leave: bool = True) -> dict[str, Raw]:
        """Measure; returns raw readings by measurement.

        Args:
            chosen: what, in this order.
            share: factor on how often each is repeated.
            leave: put the device back as it was found; else it holds whatever was last written.

        Raises:
            ConfigError: the budget allows nothing.
            DeviceError: the device failed, or is dead.
        """
        self._require_budget(chosen)
        readings: dict[str, Raw] = {}
        guard = self._guard
        found = guard.emulation.snapshot() if leave and guard.emulation is not None else None
        readable = leave and found is None and guard.capabilities.reads_back("weights")
        held = guard.read(RESTORING_READS).mean(axis=0) if readable else None
        for entry in self._journal.entries() if self._journal is not None else ():
            readings[entry.name] = entry.readings
            self._recall(entry)
        if readings:
            self._say(f"going on after {', '.join(readings)}")
        try:
            for at, measurement in enumerate(chosen):
                if measurement.name in readings:
                    continue
                self._share, self._measuring = at / len(chosen), measurement.name
                self._told()
                rounds = self._affordable(measurement, readings, share)
                if not rounds:
                    continue
                readings[measurement.name] = measurement.take(self._setup, rounds)
                self.rounds[measurement.name] = rounds
                self._keep(measurement.name, readings[measurement.name])
        finally:
            if leave:
                self._leave(found, held)
        if not any(measurement.gives for measurement in chosen if measurement.name in readings):
            budget = self._budget.text if self._budget else ""
            name, reason = next(iter(self.left_out.items()))
            raise ConfigError(f"budget = {budget!r} allows no measurement, not even {name}: {reason}", key="budget")
        self._share, self._measuring = 1.0, "done"
        self._told()
        return readings

    def _require_budget(self, chosen: list[Measurement]) -> None:
        """Refuse a budget that doesn't reach to the first quantity, before the device is touched."""
        if self._budget is None:
            return
        first = chosen[: 1 + next((at for at, measurement in enumerate(chosen) if measurement.gives), 0)]
        needs = {
            "evaluations": sum(measurement.evaluations(measurement.least) for measurement in first),
            "writes": sum(measurement.programs(measurement.least) for measurement in first)
            * self._guard.parameters.size,
        }
        for unit, limit in self._budget.limits.items():
            if limit < needs.get(unit, 0):
                raise ConfigError(
                    f"budget = {self._budget.text!r} is too small to measure anything: {first[-1].gives[0]}, which "
                    f"comes first, takes at least {needs[unit]:,} {unit}",
                    key="budget",
                )

    def _affordable(self, measurement: Measurement, readings: Mapping[str, Raw], share: float) -> int:
        """How many rounds of a measurement there is budget for; 0 leaves it out, with a reason."""
        usual = round(share * measurement.usual)
        reason = measurement.lacks(self._guard)
        missing = [name for name in measurement.needs if name not in readings]
        if not reason and missing:
            reason = f"it needs {' and '.join(repr(name) for name in missing)} measured, which was left out"
        if not reason:
            rounds = max(measurement.least, usual)
            while rounds > measurement.least and self.tally.refused(measurement, rounds):
                rounds -= 1
            reason = self.tally.refused(measurement, rounds)
            if not reason:
                if rounds < usual:
                    text = f"{measurement.name}: {rounds} rounds of the usual {measurement.usual}, for lack of budget"
                    self.warnings.append(text)
                return rounds
        self.left_out |= dict.fromkeys(measurement.gives, reason)
        return 0

    # --- time ---

    def _wait(self, seconds: float) -> None:
        if seconds <= 0:
            return
        if self._guard.emulation is not None:
            self._guard.emulation.advance(seconds)
            self._waited += seconds
            return
        until = time.monotonic() + seconds
        while (rest := until - time.monotonic()) > 0:
            time.sleep(min(rest, 0.2))
            self._told()

    def _clock(self) -> float:
        if self._guard.emulation is not None:
            return self._guard.cost.device_seconds + self._waited
        return time.monotonic()

    def _told(self) -> None:
        if self._watch is not None:
            self._watch(Progress(self._share, self._measuring, self.tally.spent))

    # --- what a kill must not lose ---

    def _keep(self, name: str, raw: Raw) -> None:
        if self._journal is None:
            return
        emulation = self._guard.emulation
        book = {
            **self.tally.state,
            "waited": self._waited,
            "rounds": self.rounds,
            "left_out": self.left_out,
            "warnings": self.warnings,
        }
        self._journal.keep(Entry(name, raw, book, emulation.snapshot() if emulation is not None else b""))

    def _recall(self, entry: Entry) -> None:
        book = entry.book
        self.tally.restore(book)
        self.rounds, self.left_out, self.warnings = dict(book["rounds"]), dict(book["left_out"]), list(book["warnings"])
        if entry.state and self._guard.emulation is not None:
            self._guard.emulation.restore(entry.state)

    def _leave(self, found: bytes | None, held: Array | None) -> None:
        """Put the device back: an emulated one to its very state, another to what it was read to hold."""
        guard = self._guard
        try:
            if found is not None and guard.emulation is not None:
                guard.emulation.restore(found)
            elif held is not None:
                guard.program(guard.parameters.clip(held))
            else:
                guard.program(self._setup.theta)
                self.warnings.append(
                    "what the device held can't be read back: it now holds the calibration's start parameters"
                )
        except HwzoError as error:  # what was measured matters more, and so does the error that led here
            self.warnings.append(f"the device could not be put back as it was: {error}")
