"""Writes badcrossbar.json: crossbars with resistive wires, as solved by badcrossbar 1.1.0.

    pip install --no-deps badcrossbar==1.1.0 && pip install numpy scipy pathvalidate sigfig
    python tests/vectors/make_badcrossbar.py > tests/vectors/badcrossbar.json

D. Joksas and A. Mehonic, SoftwareX 12, 100617 (2020), doi:10.1016/j.softx.2020.100617. It draws with pycairo, which
needs a C library; nothing here draws, so that an empty module stands in for it.
"""

import json
import logging
import sys
from unittest.mock import MagicMock

import numpy as np

sys.modules.setdefault("cairo", MagicMock())

import badcrossbar  # noqa: E402

# The documented example: four sets of voltages (a column each), resistances, interconnects of 0.5 ohm.
VOLTAGES = [[1.5, 4.1, 2.6, 2.1], [2.3, 4.5, 1.1, 0.8], [1.7, 4.0, 3.3, 1.1]]
RESISTANCES = [[345, 903, 755, 257, 646], [652, 401, 508, 166, 454], [442, 874, 190, 244, 635]]


def case(name, resistances, voltages, r_row, r_column, *, nodes=False):
    """Inputs and solution of one crossbar; voltages (rows, inputs), currents (inputs, columns)."""
    solution = badcrossbar.compute(voltages, resistances, r_i_word_line=r_row, r_i_bit_line=r_column)
    row = {
        "name": name,
        "resistances_ohm": np.asarray(resistances).tolist(),
        "r_row_ohm": r_row,
        "r_column_ohm": r_column,
        "voltages": np.asarray(voltages).tolist(),
        "output_amperes": solution.currents.output.tolist(),
    }
    if nodes:
        row["row_volts"] = solution.voltages.word_line.tolist()
        row["column_volts"] = solution.voltages.bit_line.tolist()
    return row


def main():
    """Print the file: the example, small cases with node voltages, larger ones driven one row after another."""
    logging.disable()
    rng = np.random.default_rng(0)
    cases = [case("documented", RESISTANCES, VOLTAGES, 0.5, 0.5)]
    for n, m, r_row, r_column in [(1, 1, 2, 3), (1, 6, 5, 1), (6, 1, 1, 5), (4, 7, 0.5, 20), (7, 4, 20, 0.5)]:
        resistances = rng.integers(100, 10_000, (n, m))
        voltages = rng.integers(-20, 20, (n, 1)) / 10
        cases.append(case(f"nodes {n}x{m}", resistances, voltages, r_row, r_column, nodes=True))
    for n, m, r_row, r_column in [(16, 16, 1, 1), (12, 32, 0.35, 2), (32, 12, 2, 0.35), (32, 32, 5, 5), (8, 8, 0, 3)]:
        resistances = rng.integers(5_000, 100_000, (n, m))
        cases.append(case(f"rows of {n}x{m}", resistances, np.eye(n), r_row, r_column))
    command = [line.strip() for line in __doc__.splitlines()[2:4]]
    json.dump({"source": "badcrossbar 1.1.0", "command": command, "cases": cases}, sys.stdout)


if __name__ == "__main__":
    main()
