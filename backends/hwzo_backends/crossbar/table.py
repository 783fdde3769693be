"""A user's own preset from measurements: ``crossbar:file.csv``, a table of conductances and their spread.

The header is ``g_us,sigma_us`` or ``g_us,sigma_us,read_sigma_us``: target conductance, standard deviation of what is
programmed around it, standard deviation of one read; microsiemens. Rows rise in g. Between them the curve is the
monotone piecewise cubic of F. N. Fritsch and J. Butland, SIAM J. Sci. Stat. Comput. 5, 300 (1984): it goes through the
points, and stays between neighbours. Weights are mapped on the table's range, so that no target lies outside of it.
Lines that are blank or begin with # are skipped.
"""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np

from hwzo.errors import ConfigError, FileError
from hwzo.parameters import Array
from hwzo.python_file import existing
from hwzo_backends.crossbar.preset import Curve, Preset

COLUMNS = ("g_us", "sigma_us", "read_sigma_us")
MAX_BYTES = 10_000_000
FEWEST = 3  # points that make a curve


def read_table(path: str) -> Preset:
    """The preset of a table; without drift or 1/f noise, and with times and energies that are assumed.

    Raises:
        FileError: the file isn't there, isn't text or is longer than 10 MB.
        ConfigError: it isn't such a table; names the line and the value.
    """
    file = existing(path, "crossbar preset", "device")
    lines, columns = _parse(file)
    g = columns[0]
    for before, after, line in zip(g[:-1], g[1:], lines[1:], strict=True):
        if not after > before:
            raise _refused(file, line, f"g_us={after:g} after {before:g}: rows should rise in g, each conductance once")
    if len(g) < FEWEST:
        raise ConfigError(
            f"crossbar preset: {file} has {len(g)} rows of numbers; at least {FEWEST} make a curve", key="device"
        )
    return Preset(
        name=file.stem,
        summary=f"a table of measurements, {len(g)} conductances",
        g_min=float(g[0]),
        g_max=float(g[-1]),
        fits={"table": _between(g, columns[1], file)},
        read_sd=_held(g, columns[2]) if len(columns) == 3 else None,
        # Times and energies: assumed, order of magnitude only.
        t_sample=1e-6,
        t_write=10e-6,
        node_noise=0.1,
        read_error=0.005,
        source=str(file),
    ).check()


def _parse(file: Path) -> tuple[list[int], list[Array]]:
    """Numbers of the lines with data, and the columns."""
    try:
        if file.stat().st_size > MAX_BYTES:
            raise FileError(
                f"crossbar preset: {file} is longer than {MAX_BYTES:,} bytes; a table is short", key="device"
            )
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise FileError(f"crossbar preset: {file} can't be read as text: {error}", key="device") from error
    header: list[str] | None = None
    lines: list[int] = []
    rows: list[list[float]] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            cells = [cell.strip() for cell in next(csv.reader([line]))]
        except csv.Error as error:
            raise _refused(file, number, f"not a line of values: {error}") from error
        if header is None:
            header = [cell.lower() for cell in cells]
            if header not in ([*COLUMNS[:2]], [*COLUMNS]):
                raise _refused(file, number, f"{line.strip()!r}: the header should be g_us,sigma_us[,read_sigma_us]")
            continue
        if len(cells) != len(header):
            raise _refused(file, number, f"{len(cells)} values under {len(header)} columns: {line.strip()!r}")
        rows.append([_number(file, number, name, cell) for name, cell in zip(header, cells, strict=True)])
        lines.append(number)
    if header is None:
        raise ConfigError(f"crossbar preset: {file} is empty; its header should be g_us,sigma_us", key="device")
    return lines, [np.array([row[i] for row in rows]) for i in range(len(header))]


def _number(file: Path, line: int, name: str, cell: str) -> float:
    if not cell:
        raise _refused(file, line, f"{name} is empty: measure it, or leave the row out")
    try:
        value = float(cell)
    except ValueError:
        raise _refused(file, line, f"{name}={cell!r} is not a number; decimals have a point") from None
    if not (math.isfinite(value) and 0 <= value <= 1e9):
        raise _refused(file, line, f"{name}={cell}: should be finite, and 0 to 1e9 microsiemens")
    return value


def _refused(file: Path, line: int, message: str) -> ConfigError:
    return ConfigError(f"crossbar preset: {file}, line {line}: {message}", key="device")


def _between(g: Array, sd: Array, file: Path) -> Curve:
    """The curve within the table; it refuses to be asked beyond."""
    held = _held(g, sd)
    slack = 1e-5 * g[-1]  # of a target in single precision

    def curve(at: Array) -> Array:
        if at.size and not (at.min() >= g[0] - slack and at.max() <= g[-1] + slack):
            raise ConfigError(f"{file} has no measurement beyond {g[0]:g} to {g[-1]:g} microsiemens", key="device")
        return held(at)

    return curve


def _held(g: Array, sd: Array) -> Curve:
    """The curve, with the values at the ends beyond: noise carries a cell's conductance there."""
    from scipy.interpolate import PchipInterpolator  # pyright: ignore[reportMissingTypeStubs]

    spline = PchipInterpolator(g, sd)

    def curve(at: Array) -> Array:
        values: Array = spline(np.clip(at, g[0], g[-1]))
        return np.maximum(values, 0.0).astype(at.dtype)  # rounding may leave a zero just below 0

    return curve
