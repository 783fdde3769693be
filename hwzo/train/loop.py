"""The loop: explore, measure, estimate, update, apply, journal; until the budget is spent."""

from __future__ import annotations

import shlex
import signal
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import numpy as np

from hwzo.data.sampler import Sampler
from hwzo.data.task import Task
from hwzo.errors import DeviceError, FileError, HwzoError, StoppedError, VerificationError
from hwzo.methods.method import Method, Record
from hwzo.network import accuracy
from hwzo.parameters import parameters_crc32
from hwzo.probes import Batch, Cost, Probes
from hwzo.say import Say
from hwzo.tape import Call
from hwzo.train.bench import rebuilt, start_of
from hwzo.train.budget import Budget
from hwzo.train.checkpoint import Checkpoint
from hwzo.train.config import TrainConfig
from hwzo.train.folder import RunFolder
from hwzo.train.guard import GuardedDevice
from hwzo.train.journal import Journal, Validation
from hwzo.train.lookout import Lookout
from hwzo.train.recorded import recorded
from hwzo.train.result import Result
from hwzo.train.signals import ending
from hwzo.train.weights import Weights

CHECKPOINT_S = 2.0
WATCH_S = 0.1
CROWDED = 0.5
"""Share of the parameters at the ends of their ranges above which a run says so."""


@dataclass(frozen=True)
class Progress:
    """What a watcher is shown, a few times a second.

    Args:
        at: the run as it stands.
        loss: mean loss of the last step's readings.
        share: of the budget spent, 0 to 1.
        seconds_left: by the pace so far.
    """

    at: Checkpoint
    loss: float
    share: float
    seconds_left: float


Watch = Callable[[Progress], None]


@dataclass
class Loop:
    """One run in flight.

    Args:
        config: the resolved configuration.
        folder, journal: where it is kept.
        task: what is learnt.
        device: guarded; holds ``at.theta`` when the loop starts.
        method: how.
        at: where the run stands.
        rerun: steps that the journal already has, by number, which a rerun must give again.
        watch: is shown the progress.
        say: is told what a user should know, a line each.
        lookout: looks after the device, if that was asked for.
    """

    config: TrainConfig
    folder: RunFolder
    journal: Journal
    task: Task
    device: GuardedDevice
    method: Method
    at: Checkpoint
    rerun: dict[int, Record]
    watch: Watch | None = None
    say: Say = lambda text: None
    lookout: Lookout | None = None

    def run(self) -> Result:
        """Spend the budget, read the test split once, and write down what came of it.

        Raises:
            StoppedError: Ctrl-C or SIGTERM; the step in flight was finished, the run can go on.
            HwzoError: device, disk or verification failed; the journal is whole.
        """
        with ending() as stop:
            try:
                stopped = self._train(stop)
                if stopped in ("target", "budget"):
                    self._forget_what_was_not_rerun(stopped)
                self._save()
                if stopped in ("SIGINT", "SIGTERM"):
                    self.journal.event(self.at.t, "stopped", stopped)
                    raise StoppedError(
                        f"stopped by {stopped} after step {self.at.t}; go on with: {self._resuming}",
                        signal.Signals[stopped],
                    )
                return self._finish(stopped)
            except StoppedError:
                raise
            except HwzoError as error:
                self._note_failure(error)
                if isinstance(error, DeviceError):
                    self.say(f"all steps up to {self.at.t} are kept; go on with: {self._resuming}")
                raise

    @property
    def _resuming(self) -> str:
        return f"hwzo train --run {shlex.quote(str(self.folder.path))} --resume"

    def train_to(self, t: int) -> Checkpoint:
        """Take steps until ``t`` were taken, without looking at the budget or writing anything: a rerun.

        Validation looks are taken as in the run itself, since they touch the device too.
        """
        budget, sampler = self.budget, self.sampler()
        self._look_first(keep=False)
        while self.at.t < t:
            self._step(sampler.at(self.at.t), budget, keep=False)
            self._check_if_due(keep=False)
            self._validate_if_due(keep=False)
        return self.at

    @property
    def budget(self) -> Budget:
        """The run's budget."""
        return Budget.parse(self.config.budget or "1 evaluation")

    def sampler(self) -> Sampler:
        """The run's minibatches."""
        return Sampler(self.task.batch("train"), self.config.batch or 1, self.config.seed)

    def _train(self, stop: list[str]) -> str:
        budget, sampler = self.budget, self.sampler()
        saved = shown = time.perf_counter()
        begun, already = saved, self.at.spent.wall_seconds
        self._look_first(keep=True)
        while not stop:
            if self.config.target is not None and self.at.evaluations_to_target is not None:
                return "target"
            # A rerun takes the steps that the journal has, however slow it is and whatever the clock says.
            if self.at.t not in self.rerun and not budget.allows(self.at.spent, self.method.evaluations):
                return "budget"
            loss = self._step(sampler.at(self.at.t), budget, keep=True)
            now = time.perf_counter()
            self.at.spent.wall_seconds = already + now - begun
            self._check_if_due(keep=True)
            self._validate_if_due(keep=True)
            if now - saved > CHECKPOINT_S:
                self._save()
                saved = time.perf_counter()
            if self.watch is not None and now - shown > WATCH_S:
                share = budget.progress(self.at.spent)
                left = self.at.spent.wall_seconds * (1 - share) / max(share, 1e-9)
                self.watch(Progress(self.at, loss, share, left))
                shown = now
        return stop[0]

    def _step(self, batch: Batch, budget: Budget, *, keep: bool) -> float:
        at, known = self.at, self.rerun.pop(self.at.t, None)
        self.device.cost = Cost()  # a difference of sums would round otherwise after a resume
        if keep and known is None:
            self.journal.intend(at.t)
        # A budget in seconds, or one that was raised, would give a rerun another progress than the first time.
        progress = budget.progress(at.spent) if known is None else known.progress
        with self._listening() as calls:
            outcome = self.method.step(self.device, at.theta, at.state, batch, at.t, progress)
        seen, cost = outcome.evidence, self.device.cost
        if known is not None and not np.array_equal(known.losses, seen.losses):
            self._rerun_differs(keep=keep)
            known = None
        if keep and known is None:
            vectors = not (self.method.regenerable or self.device.capabilities.snapshot)
            self.journal.record(at.t, outcome, cost, progress, keep_gradient=vectors)
            self.journal.heard(at.t, "step", calls)
        at.spent.add(len(seen.losses), seen.commanded, cost)
        at.t, at.theta, at.state = at.t + 1, outcome.theta, outcome.state
        if keep:
            self._note_link()
        return float(seen.losses[0])

    def _rerun_differs(self, *, keep: bool) -> None:
        text = f"step {self.at.t} came out otherwise when it was rerun: other library versions, or another machine?"
        if not keep:
            raise FileError(f"{self.folder.path}: {text}")
        self.rerun.clear()
        self.journal.forget(self.at.t)  # what follows replaces it
        self.journal.event(self.at.t, "rerun differs", text)
        self.say(f"{text} The run goes on from there; the journal's steps from it on are replaced")

    def _forget_what_was_not_rerun(self, stopped: str) -> None:
        if not self.rerun:
            return
        text = (
            f"ended by its {stopped} at step {self.at.t}, {len(self.rerun)} steps before the journal; these are dropped"
        )
        self.rerun.clear()
        self.journal.forget(self.at.t)
        self.journal.event(self.at.t, "rerun ended early", text)
        self.say(text)

    def _look_first(self, *, keep: bool) -> None:
        # The last look that there was, not where the run stands: a kill may have come between a step and its look.
        if self.lookout is not None:
            self.lookout.due(self.at.spent.evaluations)
        looks = [look.evaluations for look in self.journal.validations() if look.t <= self.at.t] if keep else []
        self._previous_evaluations = looks[-1] if looks else self.at.spent.evaluations
        if self.at.validation_loss is None:
            self._validate(keep=keep)

    def _check_if_due(self, *, keep: bool) -> None:
        if self.lookout is None or not self.lookout.due(self.at.spent.evaluations):
            return
        again = bool(self.rerun)  # of what the journal tells already
        with self._listening() as calls:
            said = self._check(self.lookout, keep=keep)
        if keep:
            self.journal.heard(self.at.t, "check", calls)
            if not again:
                self.journal.event(self.at.t, "device check", said)
            self._save()  # a resumed run need not look again
        if self.lookout.stopped:
            raise VerificationError(
                f"step {self.at.t}: the device isn't what its profile says, {said}; the run is whole: calibrate the "
                "device anew, or go on as it is with --resume"
            )

    def _check(self, lookout: Lookout, *, keep: bool) -> str:
        """Look at the device and react; what to say of it."""
        at, self.device.cost = self.at, Cost()
        seen = lookout.look(self.device)
        said = str(seen)
        if seen.moved and lookout.reaction != "stop":
            if lookout.reaction == "re-calibrate":
                at.spent.add(*lookout.calibrate(self.device), Cost())
                if keep:
                    lookout.save(self.folder.path, at.t)
            self.device.program(at.theta)
            begin = start_of(self.config, self.task, self.device, at.theta)
            self.method = rebuilt(self.config, begin, at.measured)
            at.measured = begin.measured
            at.spent.add(begin.evaluations, begin.commanded, Cost())
            said = f"{said}; {'calibrated anew' if lookout.reaction == 're-calibrate' else 're-read'}"
            if keep:
                self.say(f"step {at.t}: {said}")
        else:
            self.device.program(at.theta)
        at.spent.add(seen.evaluations, seen.commanded, self.device.cost)
        return said

    def _validate_if_due(self, *, keep: bool) -> None:
        every, spent = self.config.validate_every, self.at.spent.evaluations
        if spent // every > self._previous_evaluations // every:
            self._validate(keep=keep)
        self._previous_evaluations = spent

    def _validate(self, *, keep: bool) -> None:
        with self._listening() as calls:
            loss, right = self.look("validation")
        at, spent = self.at, self.at.spent
        at.looked(spent.evaluations, loss, right, self.config.watched)
        if keep:
            n = len(self.task.validation)
            self.journal.heard(at.t, "look", calls)
            self.journal.validated(Validation(at.t, spent.evaluations, spent.cost.cell_writes, loss, right, n))

    def look(self, split: str) -> tuple[float, float | None]:
        """(loss, accuracy) of a whole split in one noisy pass; the accuracy is None if only a loss is read back."""
        batch = self.task.batch(split)  # pyright: ignore[reportArgumentType]
        readings = self.device.measure(Probes.plain(want="outputs" if self.device.gives_outputs else "loss"), batch)
        right = None if readings.outputs is None else float(accuracy(readings.outputs[0], batch.targets, batch.loss))
        return float(readings.losses[0]), right

    @contextmanager
    def _listening(self) -> Generator[list[Call]]:
        """What the device is asked and answers meanwhile, if it is recorded."""
        calls: list[Call] = []
        if recorded(self.config, self.device):
            self.device.heard = calls.append
        try:
            yield calls
        finally:
            self.device.heard = None

    def _save(self) -> None:
        emulation = self.device.emulation
        self.at.snapshot = b"" if emulation is None else emulation.snapshot()
        self.journal.commit()
        self.folder.keep(self.at)
        self.journal.check_in_place()
        self.folder.check_in_place()

    def _note_link(self) -> None:
        for text in self.device.link_events():
            self.journal.event(self.at.t, "link", text)

    def _note_failure(self, error: HwzoError) -> None:
        with suppress(HwzoError):  # if the journal itself failed, that is the error already on its way up
            self._note_link()
            self.journal.event(self.at.t, "failed", f"{type(error).__name__}: {error}")

    def _note_ends(self) -> None:
        parameters, theta = self.device.parameters, self.at.theta
        ended = np.count_nonzero((theta <= parameters.lower) | (theta >= parameters.upper))
        if ended > CROWDED * theta.size:
            text = f"{ended} of {theta.size} parameters stand at the ends of their range; is the rate too large?"
            self.journal.event(self.at.t, "range", text)
            self.say(text)

    def _finish(self, stopped: str) -> Result:
        at = self.at
        with self._listening() as calls:
            _, right = self.look("test")
        self.journal.heard(at.t, "test", calls)
        self.journal.event(at.t, "test", f"read once, {len(self.task.test)} samples")
        with suppress(HwzoError):  # the run is done; what is said of the line is not worth losing it for
            if link := self.device.link_report():
                self.journal.event(at.t, "link", link)
                self.say(f"link: {link}")
        self._note_ends()
        info, spent = self.device.info, at.spent
        Weights.learned(at.theta, self.device, self.config.task).save(self.folder.weights)
        result = Result(
            run=str(self.folder.path),
            device=info.url,
            emulated=info.emulated,
            task=self.config.task,
            method=self.config.method,
            exploration=self.method.exploration,
            reason=self.method.reason,
            n_parameters=self.device.parameters.size,
            seed=self.config.seed,
            steps=at.t,
            evaluations=spent.evaluations,
            commanded_probes=spent.commanded_probes,
            cell_writes=spent.cost.cell_writes,
            device_seconds=spent.cost.device_seconds,
            joules=spent.cost.joules,
            wall_seconds=spent.wall_seconds,
            loss=at.validation_loss,
            validation_accuracy=at.validation_accuracy,
            test_accuracy=right,
            test_samples=len(self.task.test),
            target=self.config.watched,
            target_reached=at.evaluations_to_target is not None,
            evaluations_to_target=at.evaluations_to_target,
            parameters_crc32=parameters_crc32(at.theta),
            stopped=stopped,
        )
        self.journal.remember("result", result.model_dump_json())
        return result
