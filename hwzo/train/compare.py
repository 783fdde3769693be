"""Methods beside each other: every one on every device with every seed, tuned alike, over several processes.

A comparison is a folder of ordinary runs, so it goes on where it was left off, and each of its numbers can be looked up
in the run that it came from. What is compared is what the device pays: readings, writes, its seconds and joules, not
steps. Seeds are shared, so that methods can be compared pair by pair.
"""

from __future__ import annotations

import difflib
import os
import re
import signal
import threading
import zlib
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import active_children, get_context, parent_process
from pathlib import Path
from typing import Annotated, Any

import tomlkit
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hwzo.errors import CapabilityError, ConfigError, FileError, HwzoError, StoppedError
from hwzo.methods.registry import method_named
from hwzo.registry import DeviceURL, backends, load
from hwzo.train.config import TrainConfig, read_toml
from hwzo.train.result import Result
from hwzo.train.start import start
from hwzo.train.tensors import write_atomically
from hwzo.train.tuning import Tuning, tuned

Names = Annotated[list[str], Field(min_length=1)]
Seeds = Annotated[list[Annotated[int, Field(ge=0, le=2**32 - 1, strict=True)]], Field(min_length=1)]
Say = Callable[[str], None]

STOPPED = "stopped; the same command goes on with what is left"
FIXED = ("method", "device", "seed", "task", "budget", "batch", "layers", "activation", "validate_every", "target")
"""Keys that a comparison sets itself, for all alike, so that no method has them to itself."""
OWN = tuple(sorted(set(TrainConfig.model_fields) - set(FIXED)))
"""Keys that single methods may have in ``settings``."""


class Comparison(BaseModel):
    """What is compared.

    Args:
        methods: names, with options if there are any, such as ``"mgd?tau_x=4"``.
        devices: URLs.
        task: for all.
        seeds: of the runs whose test accuracy counts; also of an emulated device whose URL sets none.
        budget: of each run, the same for all.
        batch, layers, activation: as in `TrainConfig`; what isn't set is each method's own.
        validate_every: evaluations between two looks at the validation split.
        processes: at most so many runs at a time; None: one for each core that this process may use. Where a device is
            one that only one run can hold, such as a board, it is one.
        tuning: how each method's settings are chosen on each device; None: they are the method's own.
        settings: of single methods, by name: keys of `TrainConfig`, such as ``{"spsa": {"probes": 4}}``; these are not
            tuned.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    methods: Names
    devices: Names = ["crossbar:pcm"]
    task: str = "digits"
    seeds: Seeds = [0, 1, 2, 3, 4]
    budget: str = "10000 evaluations"
    batch: Annotated[int, Field(ge=1, strict=True)] | None = None
    layers: str | None = None
    activation: str | None = None
    validate_every: Annotated[int, Field(ge=1, strict=True)] = 200
    processes: Annotated[int, Field(ge=1, strict=True)] | None = None
    tuning: Tuning | None = None
    settings: dict[str, dict[str, Any]] = {}

    @classmethod
    def load(cls, path: Path) -> Comparison:
        """From a TOML file.

        Raises:
            FileError: missing or not TOML.
            ConfigError: as for ``build``.
        """
        return cls.build(read_toml(path))

    @classmethod
    def build(cls, values: Mapping[str, object]) -> Comparison:
        """From plain values, each run's configuration checked before the first one begins.

        Raises:
            ConfigError: an unknown key, method or setting, one that isn't for a single method to have, seeds that the
                tuning has seen, or the same method, device or seed twice; names the key and what is allowed.
        """
        try:
            comparison = cls.model_validate(values)
        except ValidationError as error:
            raise _explained(error, values, cls) from None
        comparison._check()
        return comparison

    def _check(self) -> None:
        for key in ("methods", "devices", "seeds"):
            given: list[object] = getattr(self, key)
            for value in given:
                if given.count(value) > 1:
                    raise ConfigError(f"{key}: {value!r} stands there twice", key=key)
        if self.tuning is not None and (both := sorted(set(self.seeds) & set(self.tuning.seeds))):
            raise ConfigError(
                f"seeds: {both} are those of the tuning, too; settings must not have seen the seeds that count",
                key="seeds",
            )
        for name, keys in self.settings.items():
            if name not in self.methods:
                raise ConfigError(
                    f"settings.{name}: no such method is compared; they are {self.methods}", key="settings"
                )
            for key in keys:
                if key in FIXED:
                    raise ConfigError(f"settings.{name}.{key}: {key} is the same for all; set it above", key=key)
                if key not in OWN:
                    near = difflib.get_close_matches(key, OWN, n=1)
                    hint = f"did you mean {near[0]!r}? " if near else ""
                    raise ConfigError(
                        f"settings.{name}.{key}: no such setting; {hint}a method's own are {', '.join(OWN)}", key=key
                    )
        for cell in self.cells():
            method_named(cell.method)
            TrainConfig.build(self.keys_of(cell, self.seeds[0]))

    def cells(self) -> list[Cell]:
        """Every method on every device, devices first."""
        return [Cell(method, device) for device in self.devices for method in self.methods]

    def keys_of(self, cell: Cell, seed: int) -> dict[str, Any]:
        """What a run of a cell is configured with, before tuning."""
        shared = ("task", "budget", "batch", "layers", "activation", "validate_every")
        keys = {key: value for key in shared if (value := getattr(self, key)) is not None}
        return keys | self.settings.get(cell.method, {}) | {"method": cell.method, "device": cell.device, "seed": seed}

    def to_toml(self) -> str:
        """As a TOML document that ``load`` reads back."""
        return tomlkit.dumps(self.model_dump(exclude_none=True))


@dataclass(frozen=True)
class Cell:
    """One method on one device."""

    method: str
    device: str

    @property
    def folder(self) -> str:
        """A name for its folder: readable, and another one for another cell."""
        text = f"{self.method} {self.device}"
        return f"{re.sub(r'[^A-Za-z0-9.=-]+', '-', text).strip('-')[:80]}-{zlib.crc32(text.encode()):08x}"


@dataclass
class Outcome:
    """What a cell came to.

    Args:
        cell: which.
        settings: found by tuning; empty if nothing was tuned.
        tuning_evaluations: what finding them took.
        results: by seed.
        left_out: why there is nothing, if there is nothing.
    """

    cell: Cell
    settings: dict[str, Any] = field(default_factory=dict[str, Any])
    tuning_evaluations: int = 0
    results: dict[int, Result] = field(default_factory=dict[int, Result])
    left_out: str | None = None


def compare(comparison: Comparison, folder: Path, say: Say = lambda text: None) -> list[Outcome]:
    """Run what is missing of a comparison, and give all of it.

    Args:
        comparison: what is compared.
        folder: where its runs lie; made if it isn't there.
        say: is told of each cell's settings and each run that ends.

    Returns:
        An outcome for each of ``comparison.cells()``, in that order. A method that a device can't serve is left out,
        with what the error said; any other error ends the comparison, whose finished runs stay. Every cell's first
        seed comes before anyone's second, so that an error shows early and what is there can be compared.

    Raises:
        ConfigError: the folder holds another comparison, or something else.
        CapabilityError: nothing is left, as no device can serve any of the methods.
        HwzoError: a run failed; the message says which.
    """
    _claim(comparison, folder)
    outcomes = {cell: Outcome(cell) for cell in comparison.cells()}
    processes = comparison.processes or cores()
    if processes > 1 and (alone := [url for url in comparison.devices if _held(url)]):
        say(f"one run at a time: only one can hold {', '.join(alone)}")
        processes = 1
    with _pool(processes) as pool:
        if comparison.tuning is not None:
            waiting = {
                pool.submit(
                    _tune, comparison.keys_of(cell, 0), comparison.tuning, folder / "tuning" / cell.folder
                ): cell
                for cell in outcomes
            }
            for done, cell in _ended(waiting, outcomes):
                outcome = outcomes[cell]
                outcome.settings, outcome.tuning_evaluations = done
                found = (
                    ", ".join(f"{key} = {value:.3g}" for key, value in done[0].items())
                    or "its own settings are the best found"
                )
                say(f"{cell.method} on {cell.device}: {found}")
        runs = {
            pool.submit(
                _run,
                comparison.keys_of(cell, seed) | outcome.settings,
                folder / "runs" / f"{cell.folder}-seed{seed}",
            ): (cell, seed)
            for seed in comparison.seeds
            for cell, outcome in outcomes.items()
            if outcome.left_out is None
        }
        for result, (cell, seed) in _ended(runs, outcomes, lambda place: place[0]):
            outcomes[cell].results[seed] = result
            left = sum(not run.done() for run in runs)
            say(f"{cell.method} on {cell.device}, seed {seed}: {_told(result)}; {left} to go")
    if all(outcome.left_out is not None for outcome in outcomes.values()):
        reasons = dict.fromkeys(outcome.left_out for outcome in outcomes.values())
        raise CapabilityError("no method is left to compare:\n" + "\n".join(f"- {reason}" for reason in reasons))
    for outcome in outcomes.values():
        outcome.results = dict(sorted(outcome.results.items()))
    return list(outcomes.values())


def cores() -> int:
    """How many cores this process may use."""
    with suppress(AttributeError):  # not everywhere there is such a thing
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _claim(comparison: Comparison, folder: Path) -> None:
    """Make the folder this comparison's, or see that it is."""
    path = folder / "compare.toml"
    text = comparison.to_toml()
    if not folder.exists():
        try:
            folder.mkdir(parents=True)
        except OSError as error:
            raise FileError(f"run folder {folder} can't be made: {error.strerror or error}") from error
    if not path.is_file():
        if not folder.is_dir() or any(folder.iterdir()):
            raise ConfigError(
                f"run = {str(folder)!r} is no comparison's folder, nor empty; name another one", key="run"
            )
        write_atomically(path, text.encode())
        return
    before, now = read_toml(path), comparison.model_dump(exclude_none=True)
    for key in sorted({*before, *now} - {"processes"}):
        if before.get(key) != now.get(key):
            raise ConfigError(
                f"{key} = {now.get(key)!r} differs from the comparison in {folder}, which has {before.get(key)!r}; "
                "name another folder with --run",
                key=key,
            )


def _held(url: str) -> bool:
    """Whether only one run can hold the device at a time."""
    parsed = DeviceURL.parse(url)
    point = backends().get(parsed.scheme)
    return point is not None and load(point).lock_name(parsed) is not None


class InterruptedRunError(HwzoError):
    """A run was stopped by a signal; unlike `StoppedError` it can be told from one process to another."""


_interrupted = threading.Event()
"""In a process of a comparison: a signal has ended one of its runs. A pool hands out the next one ahead of time, and
what has been handed out isn't cancelled with the rest."""


def _run(keys: Mapping[str, Any], folder: Path) -> Result:
    """One run, or what is left of it; in a process of its own."""
    if _interrupted.is_set():
        raise InterruptedRunError("not begun: the run before was stopped by a signal")
    try:
        return start(keys, config=TrainConfig.build(keys), run=folder, resume=True)
    except StoppedError as error:
        _interrupted.set()
        raise InterruptedRunError(str(error)) from None
    except CapabilityError:  # names the device itself, and is told with the method that it leaves out
        raise
    except HwzoError as error:
        if isinstance(error, ConfigError) and error.key == "method":  # likewise
            raise
        error.args = (f"{keys['method']} on {keys['device']}, seed {keys['seed']}: {error}",)
        raise


def _tune(keys: Mapping[str, Any], tuning: Tuning, folder: Path) -> tuple[dict[str, float], int]:
    """A cell's settings, and what they took; in a process of its own."""
    return tuned(keys, tuning, folder, _run)


def _told(result: Result) -> str:
    if result.test_accuracy is None:
        return f"validation loss {result.loss:.4g}"
    return f"test accuracy {result.test_accuracy:.3f}"


def _ended(
    waiting: Mapping[Future[Any], Any], outcomes: Mapping[Cell, Outcome], cell_of: Callable[[Any], Cell] = lambda c: c
) -> Generator[tuple[Any, Any]]:
    """(result, place) as they end; what a device can't do leaves its cell out and no more."""
    for future in as_completed(waiting):
        place = waiting[future]
        try:
            yield future.result(), place
        except CapabilityError as error:
            outcomes[cell_of(place)].left_out = str(error)
        except ConfigError as error:
            if error.key != "method":  # which is what a method says that is not for a device of this size
                raise
            outcomes[cell_of(place)].left_out = str(error)
        except InterruptedRunError:
            raise StoppedError(STOPPED, signal.SIGINT) from None


@contextmanager
def _pool(processes: int) -> Generator[ProcessPoolExecutor]:
    """Processes that leave signals to their runs.

    On an error what has not begun is not begun; a signal ends the runs, too, each after its step.
    """
    others = active_children()
    pool = ProcessPoolExecutor(processes, mp_context=get_context("spawn"), initializer=_idle)
    try:
        yield pool
    except Exception:
        pool.shutdown(wait=True, cancel_futures=True)
        raise
    except BaseException as error:
        for process in set(active_children()) - set(others):
            process.terminate()
        pool.shutdown(wait=True, cancel_futures=True)
        raise StoppedError(STOPPED, getattr(error, "number", signal.SIGINT)) from None
    pool.shutdown()


def _idle() -> None:
    """Ctrl-C in a terminal goes to all processes of a command; a run ends its step then, and who has none waits.

    When the command itself is killed, its runs are over, too: nobody is left to hand out the next one, and the same
    command shall find their folders free.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if (parent := parent_process()) is not None:

        def follow() -> None:
            parent.join()
            os._exit(1)

        threading.Thread(target=follow, daemon=True).start()


def _explained(error: ValidationError, values: Mapping[str, object], kind: type[BaseModel]) -> ConfigError:
    """A pydantic error as one of ours."""
    first = error.errors()[0]
    where = [str(part) for part in first["loc"]]
    key = ".".join(where) or "?"
    if first["type"] == "extra_forbidden":
        allowed = Tuning.model_fields if where[0] == "tuning" else kind.model_fields
        return ConfigError(f"unknown key {key!r}: allowed are {', '.join(sorted(allowed))}", key=key)
    if first["type"] == "missing":
        return ConfigError(f"{key}: must be given, such as methods = ['intrinsic', 'spsa']", key=key)
    if isinstance(cause := first.get("ctx", {}).get("error"), ConfigError):
        return cause
    return ConfigError(f"{key} = {first['input']!r}: {first['msg'].replace('Input should', 'should')}", key=key)
