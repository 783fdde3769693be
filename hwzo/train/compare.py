"""Methods beside each other: every one on every device with every seed, tuned alike, over several processes.

A comparison is a folder of ordinary runs, so it goes on where it was left off, and each of its numbers can be looked up
in the run that it came from. What is compared is what the device pays: readings, writes, its seconds and joules, not
steps. Seeds are shared, so that methods can be compared pair by pair.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from multiprocessing import active_children, get_context, parent_process
from pathlib import Path
from typing import Any

from hwzo.errors import CapabilityError, ConfigError, FileError, HwzoError, StoppedError
from hwzo.lease import Lease
from hwzo.registry import DeviceURL, backends, load
from hwzo.say import Say
from hwzo.train.comparison import Cell, Comparison, Outcome
from hwzo.train.config import TrainConfig, read_toml
from hwzo.train.result import Result
from hwzo.train.start import check_start, start
from hwzo.train.tensors import write_atomically
from hwzo.train.tuning import Tuning, tuned

CONFIG = "compare.toml"
"""In a comparison's folder: what is compared."""
STOPPED = "stopped; the same command goes on with what is left"


def compare(comparison: Comparison, folder: Path, say: Say = lambda text: None) -> list[Outcome]:
    """Run what is missing of a comparison, and give all of it.

    Args:
        comparison: what is compared.
        folder: where its runs lie; made if it isn't there.
        say: is told of each cell's settings, each run that ends, and each method that is left out.

    Returns:
        An outcome for each of ``comparison.cells()``, in that order. A method that a device can't serve is left out,
        with what the error said; any other error ends the comparison, whose finished runs stay. Every cell's first
        seed comes before anyone's second, so that an error shows early and what is there can be compared.

    Raises:
        ConfigError: the folder holds another comparison, or something else.
        DeviceBusyError: another process is at it.
        CapabilityError: nothing is left, as no device can serve any of the methods.
        HwzoError: a run failed; the message says which.
    """
    if not _begun(folder):
        _check_starts(comparison)
    lease = _claim(comparison, folder)
    try:
        outcomes = _made(comparison, folder, say)
    finally:
        lease.release()
    if all(outcome.left_out is not None for outcome in outcomes):
        reasons = dict.fromkeys(outcome.left_out for outcome in outcomes)
        raise CapabilityError("no method is left to compare:\n" + "\n".join(f"- {reason}" for reason in reasons))
    return outcomes


def _made(comparison: Comparison, folder: Path, say: Say) -> list[Outcome]:
    """All runs, those that are there and those that were missing."""
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
            for done, cell in _ended(waiting, outcomes, say):
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
        for result, (cell, seed) in _ended(runs, outcomes, say, lambda place: place[0]):
            outcomes[cell].results[seed] = result
            left = sum(not run.done() for run in runs)
            say(f"{cell.method} on {cell.device}, seed {seed}: {_told(result)}; {left} to go")
    for outcome in outcomes.values():
        outcome.results = dict(sorted(outcome.results.items()))
    return list(outcomes.values())


def cores() -> int:
    """How many cores this process may use."""
    with suppress(AttributeError):  # not everywhere there is such a thing
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _begun(folder: Path) -> bool:
    """Whether anything was run in a comparison's folder."""
    return (folder / CONFIG).is_file() and any(
        place.is_file() for kind in ("runs", "tuning") for place in (folder / kind).rglob("*")
    )


def _check_starts(comparison: Comparison) -> None:
    """Build each method on each emulated device, so that a mistake in a URL or a setting shows before anything runs.

    Not on a device that only one run can hold, such as a board: opening it resets it.
    """
    for cell in comparison.cells():
        if not _held(cell.device):
            keys = comparison.keys_of(cell, comparison.seeds[0])
            try:
                with _naming(keys):
                    check_start(TrainConfig.build(keys))
            except (CapabilityError, ConfigError) as error:
                if not _leaves_out(error):
                    raise


def _claim(comparison: Comparison, folder: Path) -> Lease:
    """Make the folder this comparison's, or see that it is, and hold it.

    A folder in which nothing was run yet, since its configuration was a mistake, is anyone's.
    """
    path = folder / CONFIG
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(f"run folder {folder} can't be made: {error.strerror or error}") from error
    if not path.is_file() and any(not place.name.startswith(".") for place in folder.iterdir()):
        raise ConfigError(f"run = {str(folder)!r} is no comparison's folder, nor empty; name another one", key="run")
    if _begun(folder):
        before, now = read_toml(path), comparison.model_dump(exclude_none=True)
        for key in sorted({*before, *now} - {"processes"}):
            if before.get(key) != now.get(key):
                raise ConfigError(
                    f"{key} = {now.get(key)!r} differs from the comparison in {folder}, which has {before.get(key)!r}; "
                    "name another folder with --run",
                    key=key,
                )
        return _lease(folder)
    lease = _lease(folder)
    try:
        write_atomically(path, comparison.to_toml().encode())
    except BaseException:
        lease.release()
        raise
    return lease


def _lease(folder: Path) -> Lease:
    try:
        return Lease(folder / ".lock", f"comparison {folder}")
    except OSError as error:
        raise FileError(f"run folder {folder} can't be written: {error.strerror or error}") from error


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
        with _naming(keys):
            return start(keys, config=TrainConfig.build(keys), run=folder, resume=True)
    except StoppedError as error:
        _interrupted.set()
        raise InterruptedRunError(str(error)) from None


def _leaves_out(error: HwzoError) -> bool:
    """Whether a method is left out for it: the device can't serve it, or its package is missing."""
    return isinstance(error, CapabilityError) or (isinstance(error, ConfigError) and error.key == "method")


@contextmanager
def _naming(keys: Mapping[str, Any]) -> Generator[None]:
    """An error says which run it is of, unless it leaves out a method: then it is told with that."""
    try:
        yield
    except HwzoError as error:
        if not _leaves_out(error) and not isinstance(error, StoppedError):
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
    waiting: Mapping[Future[Any], Any],
    outcomes: Mapping[Cell, Outcome],
    say: Say,
    cell_of: Callable[[Any], Cell] = lambda c: c,
) -> Generator[tuple[Any, Any]]:
    """(result, place) as they end; what a device can't do leaves its cell out and no more."""
    for future in as_completed(waiting):
        place = waiting[future]
        try:
            yield future.result(), place
        except (CapabilityError, ConfigError) as error:
            if not _leaves_out(error):
                raise
            outcome = outcomes[cell_of(place)]
            if outcome.left_out is None:
                say(f"{outcome.cell.method} on {outcome.cell.device} is left out; why is told at the end")
            outcome.left_out = str(error)
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
