"""Exact IR drop against badcrossbar, Kirchhoff's laws, and crossbars that can be solved by hand."""

import json
import logging
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import coo_array
from scipy.sparse.linalg import splu

from hwzo.errors import ConfigError
from hwzo_backends.crossbar.nodal import effective_conductances

CASES = json.loads((Path(__file__).parent.parent / "vectors" / "badcrossbar.json").read_text())["cases"]


def read(case):
    return 1.0 / np.array(case["resistances_ohm"]), np.array(case["voltages"], dtype=float)


def node_voltages(g, v, r_row_ohm, r_column_ohm):
    """Voltages (N, M) along the row wires and (N, M) along the column wires, for inputs v (N,), volts.

    Sparse LU factorisation of the nodal matrix. The current through a cell is ``g * (rows - columns)``, that out of a
    column ``columns[-1] / r_column_ohm``; wires have more than 0 ohm.
    """
    row_nodes = np.arange(g.size).reshape(g.shape)
    column_nodes = row_nodes + g.size
    diagonal = np.zeros(2 * g.size)
    diagonal[row_nodes[:, 0]] = 1.0 / r_row_ohm
    diagonal[column_nodes[-1]] += 1.0 / r_column_ohm
    branches = [  # between which nodes, of which conductance
        (row_nodes[:, :-1], row_nodes[:, 1:], np.full(g[:, 1:].size, 1.0 / r_row_ohm)),
        (column_nodes[:-1], column_nodes[1:], np.full(g[1:].size, 1.0 / r_column_ohm)),
        (row_nodes, column_nodes, g.ravel()),
    ]
    a = np.concatenate([branch[0].ravel() for branch in branches])
    b = np.concatenate([branch[1].ravel() for branch in branches])
    conductance = np.concatenate([branch[2] for branch in branches])
    diagonal += np.bincount(a, conductance, 2 * g.size) + np.bincount(b, conductance, 2 * g.size)
    every = np.arange(2 * g.size)
    values = np.concatenate([-conductance, -conductance, diagonal])
    matrix = coo_array((values, (np.concatenate([a, b, every]), np.concatenate([b, a, every]))))
    sources = np.zeros(2 * g.size)
    sources[row_nodes[:, 0]] = v / r_row_ohm
    voltages = splu(matrix.tocsc()).solve(sources)
    return voltages[row_nodes], voltages[column_nodes]


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_currents_are_badcrossbars(case):
    g, voltages = read(case)
    t = effective_conductances(g, case["r_row_ohm"], case["r_column_ohm"])
    np.testing.assert_allclose(voltages.T @ t, case["output_amperes"], rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("case", [c for c in CASES if "row_volts" in c], ids=lambda case: case["name"])
def test_node_voltages_are_badcrossbars(case):
    g, voltages = read(case)
    rows, columns = node_voltages(g, voltages[:, 0], case["r_row_ohm"], case["r_column_ohm"])
    np.testing.assert_allclose(rows, case["row_volts"], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(columns, case["column_volts"], rtol=1e-9, atol=1e-12)


def test_the_documented_current_of_badcrossbar():
    # "Current through the device in question is ~0.00986 A": first row, fourth column, third set of inputs.
    g, voltages = read(CASES[0])
    rows, columns = node_voltages(g, voltages[:, 2], 0.5, 0.5)
    assert f"{g[0, 3] * (rows - columns)[0, 3]:.3g}" == "0.00986"


def test_badcrossbar_itself_where_it_is_installed():
    badcrossbar = pytest.importorskip("badcrossbar", reason="badcrossbar (with pycairo) is not installed")
    logging.disable()
    try:
        rng = np.random.default_rng(1)
        resistances = rng.uniform(1e3, 1e5, (9, 14))
        solution = badcrossbar.compute(np.eye(9), resistances, r_i_word_line=1.5, r_i_bit_line=4.0)
    finally:
        logging.disable(logging.NOTSET)
    t = effective_conductances(1.0 / resistances, 1.5, 4.0)
    np.testing.assert_allclose(t, solution.currents.output, rtol=1e-9)


def test_one_cell_is_three_resistors_in_series():
    t = effective_conductances(np.array([[1e-3]]), 7.0, 5.0)
    assert t[0, 0] == pytest.approx(1.0 / (1000.0 + 7.0 + 5.0), rel=1e-14)


@pytest.mark.parametrize("shape", [(5, 9), (9, 5), (40, 40)])
def test_elimination_and_sparse_factorisation_agree(shape):
    rng = np.random.default_rng(2)
    g = rng.uniform(0.0, 200e-6, shape)
    g[rng.random(shape) < 0.3] = 0.0
    v = rng.standard_normal(shape[0])
    _, columns = node_voltages(g, v, 2.0, 30.0)
    np.testing.assert_allclose(v @ effective_conductances(g, 2.0, 30.0), columns[-1] / 30.0, rtol=1e-9, atol=1e-15)


def test_currents_in_and_out_are_the_same():
    rng = np.random.default_rng(3)
    g, v = rng.uniform(0.0, 1e-3, (6, 8)), rng.standard_normal(6)
    rows, columns = node_voltages(g, v, 3.0, 4.0)
    cells = g * (rows - columns)
    np.testing.assert_allclose((v - rows[:, 0]) / 3.0, cells.sum(axis=1), rtol=1e-9)
    np.testing.assert_allclose(columns[-1] / 4.0, cells.sum(axis=0), rtol=1e-9)


def test_reciprocity():
    g = np.random.default_rng(4).uniform(0.0, 1e-3, (6, 6))
    turned = effective_conductances(g[::-1, ::-1].T, 4.0, 3.0)
    np.testing.assert_allclose(effective_conductances(g, 3.0, 4.0), turned.T[::-1, ::-1], rtol=1e-12)


def test_wires_of_no_resistance_change_nothing():
    g = np.random.default_rng(5).uniform(0.0, 1e-3, (6, 3))
    np.testing.assert_allclose(effective_conductances(g, 0.0, 0.0), g, rtol=1e-14)


@pytest.mark.parametrize(
    ("g", "rows", "columns", "key"),
    [
        (np.full((2, 2), -1e-6), 1.0, 1.0, "g"),
        (np.full((2, 2), np.nan), 1.0, 1.0, "g"),
        (np.full((2, 2), np.inf), 1.0, 1.0, "g"),
        (np.ones(3), 1.0, 1.0, "g"),
        (np.ones((2, 0)), 1.0, 1.0, "g"),
        (np.ones((2, 2, 2)), 1.0, 1.0, "g"),
        (np.ones((2, 2)), -1.0, 1.0, "wire_ohm"),
        (np.ones((2, 2)), 1.0, np.inf, "wire_ohm"),
        (np.ones((2, 2)), np.nan, 1.0, "wire_ohm"),
    ],
)
def test_what_is_no_crossbar_is_refused(g, rows, columns, key):
    with pytest.raises(ConfigError) as refused:
        effective_conductances(g, rows, columns)
    assert refused.value.key == key
