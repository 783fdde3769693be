"""Putting learned weights into a device: map, program and verify, touch up, prove."""

from __future__ import annotations

import json
import math
import time
import zlib
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # pyright: ignore[reportMissingTypeStubs]

from hwzo.data.task import SplitName, Task
from hwzo.deploy import probe_set
from hwzo.deploy.closed_loop import BEYOND_CHANCE, MOST_WRITES, Progress, State, Watch, Written, program_and_verify
from hwzo.deploy.deployment import Deployment, Result
from hwzo.deploy.journal import Counted, Journal, Outcome
from hwzo.deploy.mapped import MappedDevice
from hwzo.deploy.mapping import Bought, Mapping, choose_mapping
from hwzo.deploy.orders import choose_orders, importance, unreached
from hwzo.deploy.stand import Say, Settings, Stand, fitted, open_for, unclipped
from hwzo.deploy.stuck import StuckCells
from hwzo.deploy.tolerance import ReadError, Tolerance, choose_tolerance, look, look_writes, residual_of, subset
from hwzo.deploy.touch_up import TouchUp, touch_up
from hwzo.device import Device
from hwzo.errors import CapabilityError, ConfigError, FileError
from hwzo.network import accuracy
from hwzo.noise.profile import DeviceRecord, Profile
from hwzo.noise.setup import on_grid, ranges
from hwzo.parameters import Array, parameters_crc32
from hwzo.probes import Cost, Probes
from hwzo.registry import DeviceURL
from hwzo.train.weights import Weights

SHARE = 0.99
"""Of the cells that aren't stuck, so many must be within the tolerance."""
WORSE = 2.0
"""Standard errors by which a touch-up must have lost validation accuracy to be put back."""
SUSPICIOUS = 0.25
"""Of half the range: a cell that a first write misses by more may be stuck."""
END_WRITES = 2
MAPPING_WRITES = 2
"""That choosing a mapping may take of a cell."""


def deploy(
    source: object,
    device: str | Device | None = None,
    *,
    output: Path = Path("deployment.h5"),
    task: str | Task | None = None,
    layers: str | None = None,
    activation: str | None = None,
    tolerance: float | None = None,
    touch_up: str | TouchUp | None = None,
    profile: Path | None = None,
    gains: bool = True,
    orders: bool = True,
    clip: bool = False,
    most_writes: int = MOST_WRITES,
    seed: int = 0,
    watch: Watch | None = None,
    say: Say = lambda text: None,
) -> Deployment:
    """Put learned weights into a device and prove that they are there.

    What was done is kept beside the output as it goes, ``deployment.h5.part``: a deployment that was cut off goes on
    when it is called again with the same arguments.

    Args:
        source: a run's folder, a file of weights, or an object: see `hwzo.deploy.sources.load_source`.
        device: a device URL, or an open device, which stays open and mapped, holding the weights; None: the one that
            they were learned on.
        output: the deployment's file; its page is beside it, as ``.html``.
        task: whose samples it is measured and touched up on; None: the one that the weights were learned for.
        layers, activation: of the network, where the source doesn't tell.
        tolerance: how near each cell must come, weight units of the device; None: three standard deviations of averaged
            read error and what a write leaves.
        touch_up: a budget such as ``"2000 evaluations"`` that is spent on learning on the device; None: none.
        profile: of the device, see `hwzo.calibrate`: its noise needs not be measured then.
        gains, orders, clip, most_writes, seed: see `Settings`.
        watch, say: are shown progress, and told what a user should know.

    Raises:
        ConfigError: weights of another architecture, outside the window, a tolerance that can't be verified; nothing
            was written.
        CapabilityError: the device doesn't read back its weights.
        DeviceError: the device failed; the journal is kept.
    """
    if isinstance(touch_up, str):
        touch_up = TouchUp(touch_up, seed=seed)
    settings = Settings(tolerance, touch_up, gains, orders, clip, most_writes, seed).check()
    _check_output(output)
    known = None if profile is None else Profile.load(profile)
    stand = open_for(source, device, task, seed, say, layers=layers, activation=activation)
    try:
        with threadpool_limits(1):
            return _Deploying(stand, settings, known, output, watch, say).run()
    finally:
        stand.close()


@dataclass
class _Ledger:
    """What is known by now, for the file."""

    bought: list[Bought] = field(default_factory=list[Bought])
    validation: list[dict[str, object]] = field(default_factory=list[dict[str, object]])
    told: list[str] = field(default_factory=list[str])


class _Deploying:
    """One deployment under way."""

    def __init__(
        self,
        stand: Stand,
        settings: Settings,
        profile: Profile | None,
        output: Path,
        watch: Watch | None,
        say: Say,
    ) -> None:
        self._weights, self._guard, self._task = stand.weights, stand.guard, stand.task
        self._profile, self._output, self._watch = profile, output, watch
        self._tell = say
        self._ledger = _Ledger()
        self._settings = self._endured(settings)
        self._cost = Cost()
        self._began = time.monotonic()
        self._n = self._guard.parameters.size
        self._writes: NDArray[np.int64] = np.zeros(self._n, dtype=np.int64)
        self._suspect: NDArray[np.bool_] | None = None  # cells a part of which is known to be stuck
        if profile is not None:
            profile.check_device(self._guard)
            known = StuckCells.of(profile, self._guard.parameters)
            self._suspect = None if known is None else known.stuck
        if settings.touch_up is not None:
            if self._task is None:
                raise ConfigError(
                    "a touch-up learns from samples, and these weights don't say of which task; name it with --task",
                    key="task",
                )
            if not self._guard.gives_outputs:
                raise CapabilityError(
                    f"{self._guard.info} gives no outputs: what a touch-up does to the accuracy couldn't be seen"
                )

    def _endured(self, settings: Settings) -> Settings:
        """Settings by which no cell is written more often than the device's URL says that it bears."""
        text = DeviceURL.parse(self._guard.info.url).options.get("endurance", "0")
        bears = int(text) if text.isdigit() else 0
        if not bears:
            return settings
        told = f"the device's cells bear {bears} writes"
        if bears < settings.most_writes:
            self._say(f"{told}: none is written more often than that, of the {settings.most_writes} that it might be")
        if settings.touch_up is not None:
            self._say(f"{told}: a touch-up may take more, and cells that wear out stay as they are")
        return replace(settings, most_writes=min(bears, settings.most_writes))

    def _say(self, text: str) -> None:
        self._ledger.told.append(text)
        self._tell(text)

    def run(self) -> Deployment:
        settings = self._settings
        if not self._has_gains:
            fitted(self._weights, self._guard.parameters, clip=settings.clip)
        journal = Journal(self._output.with_name(self._output.name + ".part"), self._about(), self._guard)
        self._journal = journal
        try:
            if journal.resumed:
                self._say(f"going on with {journal.folder}" + (f", after {journal.last}" if journal.last else ""))
            mapping = self._mapping()
            theta, clipped = fitted(self._weights, mapping.bounds, clip=settings.clip)
            if clipped:
                self._say(f"{clipped} of {self._n} weights lay outside what the device can hold, and were clipped")
            tolerance = self._tolerance(mapping.cells(theta))
            mapped = MappedDevice(self._guard, mapping)  # sets the gains
            plain = self._first_write(mapping.cells(theta), tolerance)
            before = self._accuracy("test", mapped, "accuracy before")
            self._validated("written once", mapped)
            targets = mapping.cells(theta)
            once = self._verify(targets, tolerance, plain.asked, plain.asked, None, "verifying", most_rounds=1)
            mapping, stuck = self._reordered(theta, mapping, once, tolerance)
            moved = self._held is not once.asked  # to an end of the range
            targets = mapping.cells(theta)
            first = targets if moved else once.asked
            written = self._verify(targets, tolerance, self._held, first, stuck, "verifying")
            mapped = MappedDevice(self._guard, mapping, written.asked - targets, written.asked)
            self._validated("verified", mapped)
            run = None
            if settings.touch_up is not None and self._task is not None:
                theta, run = self._touched_up(theta, mapped, settings.touch_up, self._task)
                targets = self._guard.parameters.clip(mapping.cells(theta))
                held, stuck = _held(mapped), ~written.healthy
                written = self._verify(targets, tolerance, held, held, stuck, "verifying again")
                mapped = MappedDevice(self._guard, mapping, written.asked - targets, written.asked)
            agreement = self._outputs(theta, mapping, mapped, written, targets, tolerance)
            after = self._accuracy("test", mapped, "accuracy")
            within = written.within(targets, tolerance)
            healthy = written.healthy
            cells_right = int(within[healthy].sum()) >= SHARE * int(healthy.sum()) and bool(healthy.any())
            learned = Weights.learned(theta, self._guard, self._weights.task or (self._task.name if self._task else ""))
            learned = replace(learned, parameters=mapping.bounds, window=self._weights.window or learned.window)
            result = Result(
                device=self._guard.info.url,
                emulated=self._guard.info.emulated,
                cells=self._n,
                cells_within_tolerance=int(within.sum()),
                cell_writes=self._cost.cell_writes,
                verified=cells_right and (agreement is None or agreement.agree),
                accuracy_before=before[0],
                accuracy=after[0],
                accuracy_standard_error=after[1],
                passes=probe_set.PASSES,
                task=None if self._task is None else self._task.name,
                tolerance=tolerance.value,
                ok=written.count(State.OK),
                compensated=written.count(State.COMPENSATED),
                stuck=written.count(State.STUCK),
                unreachable=written.count(State.UNREACHABLE),
                over_budget=written.count(State.OVER_BUDGET),
                clipped=clipped,
                outputs_agree=None if agreement is None else agreement.agree,
                outputs_difference=None if agreement is None else agreement.difference,
                outputs_allowed=None if agreement is None else agreement.allowed,
                device_seconds=self._cost.device_seconds,
                joules=self._cost.joules,
                wall_seconds=time.monotonic() - self._began,
                most_writes_of_a_cell=int(written.writes.max()),
                touch_up=None if run is None else str(run),
                deployment=str(self._output),
            )
            emulation = self._guard.emulation
            deployment = Deployment(
                learned,
                mapping.arrays(),
                targets,
                written,
                tolerance,
                self._manifest(),
                result,
                {} if agreement is None else self._probes(agreement),
                b"" if emulation is None else emulation.snapshot(),
            ).save(self._output)
            journal.discard()
            self._shown("done", 1.0, int(np.count_nonzero(~within)))
            return deployment
        except ConfigError as error:
            if not isinstance(error, FileError):  # refused: there is nothing to go on with
                journal.discard()
            raise
        finally:
            journal.close()

    # --- what identifies it ---

    def _about(self) -> dict[str, Any]:
        settings, profile = self._settings, self._profile
        path = None if profile is None else profile.path
        return {
            "device": DeviceRecord.of(self._guard).model_dump(mode="json"),
            "source": {"crc32": parameters_crc32(self._weights.theta), "layers": self._weights.layers},
            "task": None if self._task is None else self._task.name,
            "profile": None if path is None else zlib.crc32(path.read_bytes()),
            **asdict(settings),
        }

    def _manifest(self) -> dict[str, Any]:
        return {
            "hwzo": version("hwzo"),
            "device": DeviceRecord.of(self._guard).model_dump(mode="json"),
            "settings": asdict(self._settings),
            "learned_on": {"device": self._weights.device, "emulated": self._weights.emulated},
            "profile": None if self._profile is None else str(self._profile.path),
            "bought": [asdict(part) for part in self._ledger.bought],
            "validation": self._ledger.validation,
            "told": self._ledger.told,
        }

    # --- steps ---

    def _count(self, outcome: Outcome) -> Outcome:
        self._cost += outcome.cost
        return outcome

    @property
    def _has_gains(self) -> bool:
        return self._settings.gains and self._guard.capabilities.output_gains

    def _mapping(self) -> Mapping:
        """The mapping, as far as it is known before anything was seen of the cells."""
        settings, guard = self._settings, self._guard
        cut = self._journal.cuts > 0
        counted = Counted(guard)
        inputs = None if self._task is None else self._task.batch("train").inputs
        self._shown("choosing a mapping", 0.0, None)

        def act() -> dict[str, Any]:
            mapping, bought = choose_mapping(
                self._weights.theta,
                counted,
                self._profile,
                gains=settings.gains,
                orders=settings.orders and self._profile is not None,  # nobody else knows of stuck cells
                inputs=inputs,
                measure=not cut,
                say=self._say,
            )
            if not settings.clip:
                mapping = mapping.with_gains(unclipped(mapping, self._weights.theta))
            # Where it was cut off before, which cells were looked at then isn't known.
            writes = np.full(self._n, MAPPING_WRITES, dtype=np.int64) if cut else counted.writes
            text = json.dumps([asdict(part) for part in bought])
            return {
                **mapping.arrays(),
                "_writes": writes,
                "_bought": np.frombuffer(text.encode(), dtype=np.uint8),
            }

        seen = dict(self._count(self._journal.take("mapping", act)).arrays)
        self._writes += seen.pop("_writes")
        self._ledger.bought = [Bought(**part) for part in json.loads(seen.pop("_bought").tobytes())]
        return Mapping.from_arrays(guard, seen)

    def _tolerance(self, targets: Array) -> Tolerance:
        settings, profile, can = self._settings, self._profile, self._guard.capabilities
        read = None if profile is None else ReadError.of(profile)
        residual = None if profile is None else residual_of(profile)
        if read is None or residual is None:
            cuts = self._journal.cuts
            taken = look_writes(self._guard) * (cuts + 1)
            where = subset(self._n, settings.seed) & (self._writes + taken < settings.most_writes)
            if not where.any():
                raise ConfigError(
                    f"most_writes = {settings.most_writes} leaves no writes to see what a write leaves"
                    + (f", after {cuts} attempts that were cut off" if cuts else "")
                    + "; calibrate the device and name its profile with --profile, or allow more",
                    key="most_writes",
                )
            self._shown("looking at the noise", 0.0, None)

            def act() -> dict[str, Any]:
                found, left = look(self._guard, targets, where)
                writes = taken * where.astype(np.int64)
                return {"read": np.array([found.fresh, found.kept]), "residual": np.array(left), "writes": writes}

            seen = self._count(self._journal.take("noise", act, cells=where))
            fresh, kept = (float(x) for x in seen.arrays["read"])
            read, residual = ReadError(fresh, kept), seen.number("residual")
            self._writes += seen.arrays["writes"]
            self._say(
                f"no profile: {int(where.sum())} cells were written {taken} times to see that a write leaves "
                f"{residual:.3g} and a reading {math.hypot(fresh, kept):.3g} (standard deviations, weight units)"
            )
        chosen = choose_tolerance(
            settings.tolerance, read, residual, self._guard.parameters, verified_writes=can.verified_writes
        )
        self._say(
            f"tolerance {chosen.value:.4g} weight units, told by means of {chosen.repeats} "
            f"read{'s' if chosen.repeats > 1 else ''}"
        )
        return chosen

    def _first_write(self, targets: Array, tolerance: Tolerance) -> Written:
        """All cells once, plainly: what a device gives that nobody looks after."""
        self._shown("writing", 0.05, None)
        return self._verify(targets, tolerance, None, targets, None, "writing", most_rounds=0)

    def _verify(
        self,
        targets: Array,
        tolerance: Tolerance,
        held: Array | None,
        first: Array,
        stuck: NDArray[np.bool_] | None,
        phase: str,
        *,
        most_rounds: int | None = None,
    ) -> Written:
        written = program_and_verify(
            self._guard,
            targets,
            tolerance=tolerance,
            most_writes=self._settings.most_writes,
            held=held,
            first=first,
            writes=self._writes,
            stuck=stuck,
            suspect=self._suspect,
            most_rounds=most_rounds,
            steps=self._journal,
            watch=lambda number, beyond: self._shown(phase, min(0.9, 0.1 + 0.08 * number), beyond),
        )
        self._cost += written.cost
        self._writes = written.writes.copy()
        self._held = written.asked
        return written

    def _reordered(
        self, theta: Array, mapping: Mapping, once: Written, tolerance: Tolerance
    ) -> tuple[Mapping, NDArray[np.bool_] | None]:
        """A mapping whose orders keep clear of stuck cells, if some are found; and which cells are known to be stuck.

        Which cells are stuck is asked only if some are missed by far after they were corrected ``once``: it takes
        writing both ends of the range into all of them.
        """
        guard, spec, settings = self._guard, self._guard.parameters, self._settings
        low, high = ranges(spec)
        far = np.abs(once.reached - mapping.cells(theta)) > np.maximum(
            BEYOND_CHANCE * tolerance.noise, SUSPICIOUS * 0.5 * (high - low)
        )
        known = self._profile is not None and StuckCells.of(self._profile, spec) is not None
        network = guard.capabilities.network
        if known or network is None or not (far.any() and settings.orders):
            return mapping, None
        taken = END_WRITES * (self._journal.cuts + 1)
        where: NDArray[np.bool_] = np.asarray(self._writes + taken < settings.most_writes)
        ends = np.stack([on_grid(spec, low), on_grid(spec, high)])

        def act() -> dict[str, Any]:
            reached: list[Array] = []
            for end in ends:
                if where.any():
                    guard.program(end, mask=where)
                reached.append(guard.read(tolerance.repeats).mean(axis=0))
            return {"reached": np.stack(reached), "where": where, "taken": np.array(taken)}

        self._shown("looking for stuck cells", 0.1, int(np.count_nonzero(far)))
        seen = self._count(self._journal.take("ends", act, cells=where)).arrays
        where = np.asarray(seen["where"], dtype=np.bool_)
        self._writes[where] += int(seen["taken"])
        self._held = np.where(where, ends[1], once.asked)
        # Cells that may not be written so often are taken to be fine.
        stuck = StuckCells.seen(spec, ends, np.where(where, np.asarray(seen["reached"], dtype=np.float64), ends))
        count = int(stuck.stuck.sum())
        if count:
            self._say(
                f"{int(np.count_nonzero(far))} cells missed by far, and {count} of {self._n} can't reach all of their "
                "range: stuck cells; hidden units are put in an order that keeps clear of them, as far as may be"
            )
            inputs = None if self._task is None else self._task.batch("train").inputs
            weight = importance(network, theta, inputs)
            before = unreached(mapping, theta, stuck, weight)
            mapping = replace(mapping, orders=choose_orders(mapping, theta, stuck, inputs))
            self._ledger.bought.append(
                Bought(
                    "orders",
                    "expected rms error of the outputs from what pairs with stuck cells can't reach",
                    math.sqrt(before),
                    math.sqrt(unreached(mapping, theta, stuck, weight)),
                )
            )
            MappedDevice(guard, mapping)  # sets the gains, in the new order
        self._suspect = stuck.stuck
        beyond_reach = stuck.misses(mapping.cells(theta)) > tolerance.value + 0.1 * (high - low)
        return mapping, beyond_reach & stuck.stuck

    def _touched_up(self, theta: Array, mapped: MappedDevice, how: TouchUp, task: Task) -> tuple[Array, Path]:
        """Learn on the device; returns the weights, those from before if it made them worse, and the run's folder."""
        stem = self._output.with_suffix("").name

        def name() -> dict[str, Any]:
            for number in range(1000):
                run = self._output.with_name(f"{stem}-touch-up" + (f"-{number}" if number else ""))
                if not run.exists():
                    return {"name": np.frombuffer(run.name.encode(), dtype=np.uint8)}
            raise FileError(f"no free name for a run's folder like {stem}-touch-up", key="output")

        run = self._output.with_name(self._journal.take("touch-up folder", name).arrays["name"].tobytes().decode())
        weights = replace(
            self._weights,
            theta=theta,
            parameters=mapped.parameters,
            task=task.name,
            device=self._guard.info.url,
            emulated=self._guard.info.emulated,
        )

        def act() -> dict[str, Any]:
            learned, _ = touch_up(
                mapped,
                weights,
                how,
                task,
                run,
                watch=lambda progress: self._shown("touching up", progress.share, None),
                say=self._say,
            )
            return {"theta": learned, "held": _held(mapped)}

        before = self._ledger.validation[-1]
        seen = self._count(self._journal.take("touch-up", act))
        mapped.held = np.asarray(seen.arrays["held"], dtype=np.float64)
        learned = np.asarray(seen.arrays["theta"], dtype=np.float64)
        after = self._validated("touched up", mapped)
        lost = float(str(before["accuracy"])) - float(str(after["accuracy"]))
        error = math.hypot(float(str(before["standard_error"])), float(str(after["standard_error"])))
        if lost > WORSE * error and lost > 0.0:
            self._say(f"the touch-up lost {lost:.4f} of validation accuracy: the weights from before are put back")

            def back() -> dict[str, Any]:
                mapped.program(theta)
                return {"held": _held(mapped)}

            seen = self._count(self._journal.take("put back", back))
            mapped.held = np.asarray(seen.arrays["held"], dtype=np.float64)
            return theta, run
        return learned, run

    # --- what it is worth ---

    def _accuracy(self, split: SplitName, mapped: MappedDevice, name: str) -> tuple[float | None, float | None]:
        """Mean accuracy over passes, and its standard error; nothing is decided by that of the test split."""
        task, guard = self._task, self._guard
        if task is None or not guard.gives_outputs:
            return None, None
        batch = task.batch(split)

        def act() -> dict[str, Any]:
            readings = mapped.measure(Probes.plain(probe_set.PASSES, want="outputs"), batch)
            assert readings.outputs is not None  # the guard has seen to it
            return {"right": np.asarray(accuracy(readings.outputs, batch.targets, batch.loss))}

        right = [float(x) for x in self._count(self._journal.take(name, act)).arrays["right"]]
        return fmean(right), stdev(right) / math.sqrt(len(right)) if len(right) > 1 else 0.0

    def _validated(self, stage: str, mapped: MappedDevice) -> dict[str, object]:
        mean, error = self._accuracy("validation", mapped, f"validation, {stage}")
        line: dict[str, object] = {"stage": stage, "accuracy": mean, "standard_error": error}
        if mean is not None:
            self._ledger.validation.append(line)
            self._say(f"validation accuracy, {stage}: {mean:.4f} +- {error:.4f} ({probe_set.PASSES} passes)")
        return line

    def _outputs(
        self,
        theta: Array,
        mapping: Mapping,
        mapped: MappedDevice,
        written: Written,
        targets: Array,
        tolerance: Tolerance,
    ) -> probe_set.Agreement | None:
        network = self._guard.capabilities.network
        if network is None or not self._guard.gives_outputs:
            return None
        batch = probe_set.probe_batch(network, self._task, self._settings.seed)
        self._inputs = batch.inputs
        self._shown("comparing outputs", 0.95, None)

        def act() -> dict[str, Any]:
            readings = mapped.measure(Probes.plain(probe_set.PASSES, want="outputs"), batch)
            assert readings.outputs is not None
            return {"outputs": readings.outputs}

        seen = self._count(self._journal.take("outputs", act)).arrays["outputs"]
        failed = ~written.within(targets, tolerance)
        allowed = max(tolerance.value / 3.0, tolerance.noise)
        agreement = probe_set.compare_outputs(
            network,
            theta,
            mapping.weights(written.reached),
            mapping.to_weights(failed).astype(np.float64),
            allowed * np.asarray(mapping.to_weights(mapping.gain_of_cells), dtype=np.float64),
            batch.inputs,
            np.asarray(seen, dtype=np.float64),
            self._settings.seed,
        )
        if not agreement.agree:
            self._say(
                f"outputs on {len(batch)} probe samples differ from the network's by {agreement.difference:.3g} (rms); "
                f"noise explains {agreement.allowed:.3g}"
            )
        return agreement

    def _probes(self, agreement: probe_set.Agreement) -> dict[str, Array]:
        return {
            "inputs": self._inputs,
            "outputs": agreement.outputs,
            "measured": agreement.measured,
            "spread": agreement.spread,
        }

    def _shown(self, phase: str, share: float, beyond: int | None) -> None:
        if self._watch is not None:
            self._watch(Progress(phase, share, beyond, self._cost))


def _held(mapped: MappedDevice) -> Array:
    assert mapped.held is not None  # all cells were written
    return mapped.held


def _check_output(output: Path) -> None:
    if output.is_dir():
        raise ConfigError(f"output = {str(output)!r} is a folder; name a file, such as deployment.h5", key="output")
    if not output.parent.is_dir():
        raise FileError(f"output = {str(output)!r}: there is no folder {output.parent}", key="output")
