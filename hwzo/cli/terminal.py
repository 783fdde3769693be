"""What goes where: results to standard output, everything else to standard error."""

from __future__ import annotations

import io
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from hwzo.cli.streams import results, write

chatter = Console(stderr=True, highlight=False)
"""Progress, notes and errors; obeys NO_COLOR and drops colour where there is no terminal."""


def say(message: str, *, style: str = "") -> None:
    """A line to standard error."""
    chatter.print(Text(message, style=style), soft_wrap=True)


def show(line: str) -> None:
    """A line to standard output."""
    write(line + "\n")


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A table to standard output; nothing in it is cut off. Without names for its columns it has no head."""
    drawn = Table(title=title, title_justify="left", show_header=any(columns))
    for column in columns:
        drawn.add_column(column, overflow="fold")
    for row in rows:
        drawn.add_row(*(Text(number(cell)) for cell in row))
    stream = results()
    encoding = "utf-8" if stream is None else stream.encoding
    terminal = stream is not None and stream.isatty()
    page = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="replace", newline="")
    # A pipe or a file has no width to keep to.
    console = Console(file=page, highlight=False, force_terminal=terminal or None, width=None if terminal else 240)
    console.print(drawn)
    page.seek(0)
    write(page.read())


def number(value: object) -> str:
    """A value as people read it."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value)


def with_error(value: float, error: float | None) -> str:
    """A mean with its standard error, where there is one: ``0.9123 +- 0.0045``."""
    return f"{value:.4f}" if error is None else f"{value:.4f} +- {error:.4f}"


def sparkline(values: Sequence[float], width: int = 60) -> str:
    """Values as a line of block characters, lowest to highest; thinned to at most ``width``."""
    if not values:
        return ""
    picked = [values[round(i * (len(values) - 1) / max(1, width - 1))] for i in range(min(width, len(values)))]
    low, high = min(picked), max(picked)
    return "".join("▁▂▃▄▅▆▇█"[round(7 * (v - low) / (high - low)) if high > low else 0] for v in picked)
