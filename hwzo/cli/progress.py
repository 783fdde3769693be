"""A bar on standard error that shows how far a command is."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TypeVar

from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from hwzo.cli.terminal import chatter

Seen = TypeVar("Seen")


@contextmanager
def bar(
    doing: str, told: Callable[[Seen], tuple[float, str]], *, quiet: bool, remaining: bool = False
) -> Generator[Callable[[Seen], None] | None]:
    """A bar while the block runs, as a watch to be shown progress; None where nobody would see it.

    Args:
        doing: what stands before it, such as ``"training"``.
        told: the share that is done, 0 to 1, and numbers to stand behind the bar, of the progress that is shown.
        quiet: whether there is to be none.
        remaining: whether it shows the time left instead of the time gone by.
    """
    if quiet or not chatter.is_terminal:
        yield None
        return
    time: ProgressColumn = TimeRemainingColumn() if remaining else TimeElapsedColumn()
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[numbers]}"), time)
    with Progress(*columns, console=chatter, transient=True) as drawn:
        line = drawn.add_task(doing, total=1.0, numbers="")

        def watch(seen: Seen) -> None:
            share, numbers = told(seen)
            drawn.update(line, completed=share, numbers=numbers)

        yield watch
