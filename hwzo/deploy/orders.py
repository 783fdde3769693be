"""Orders of hidden units that keep weights which matter clear of cells that can't hold them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from hwzo.deploy.gains import Signals
from hwzo.deploy.layout import Mapping, Orders
from hwzo.deploy.stuck import StuckCells
from hwzo.network import Network
from hwzo.parameters import Array
from hwzo.stages import Recurrent

SWEEPS = 2
"""Times that all layers are gone through: the order of one is chosen with those of its neighbours as they are."""


def importance(network: Network, theta: Array, inputs: Array | None = None) -> Array:
    """(n,) how much a square error of each weight adds to the square error of the network's outputs, to first order.

    A weight is driven by its row, and what its column makes of it goes on through the weights behind: the mean square
    of the row, times the column's ``v`` with ``v_l = mean square slope_l * (square W_(l+1)) v_(l+1)`` and 1 at the
    outputs. Paths are taken to add up in square, the reads of one sample too.

    Args:
        network: of the weights.
        theta: (n,) weights.
        inputs: (samples, n_inputs) such as will come; None: random ones.
    """
    signals = Signals.of(network, theta, inputs)
    blocks, stages = network.blocks(theta), network.stages
    behind: Array = np.ones(stages[-1].columns)
    parts: list[Array] = []
    for at in range(len(stages) - 1, -1, -1):
        if at + 1 < len(stages):
            after = blocks[at + 1][:-1]
            if len(after) % stages[at].columns:
                raise AssertionError("rows of a layer are whole groups of the units before it")
            each = (np.square(after) @ behind).reshape(-1, stages[at].columns).sum(axis=0)
            behind = signals.slopes[at].mean(axis=0) * each
        squares = np.square(signals.driven[at]).mean(axis=0)
        parts.append((squares[:, None] * behind).ravel())
    return np.concatenate(parts[::-1])


def unreached(mapping: Mapping, theta: Array, stuck: StuckCells, weight: Array) -> float:
    """The sum over the weights ``theta`` (n,) of ``weight`` (n,) times the square of what their cells can't reach."""
    missed = mapping.weights(stuck.misses(mapping.cells(theta)))
    return float(weight @ np.square(missed))


def choose_orders(mapping: Mapping, theta: Array, stuck: StuckCells, inputs: Array | None = None) -> Orders:
    """Orders that make the outputs' expected square error from cells beyond reach least.

    Layer by layer: which of its units goes onto which physical place is an assignment, of which the cost is what the
    cells of that column, and of those rows of the next layer, can't reach of the unit's weights, each by its
    `importance`. Solved exactly by the Hungarian method: H. W. Kuhn, Naval Res. Logist. Q. 2, 83 (1955),
    doi:10.1002/nav.3800020109. A recurrent layer keeps its order: its states are rows of its own.

    Args:
        mapping: its gains count, and its orders are begun with.
        theta: (n,) the network's weights.
        stuck: what each cell can reach.
        inputs: (samples, n_inputs) such as will come; None: random ones.
    """
    from scipy.optimize import linear_sum_assignment  # pyright: ignore[reportMissingTypeStubs, reportUnknownVariableType]

    network = mapping.network
    if network is None or len(network.stages) < 2 or not stuck.stuck.any():
        return mapping.orders
    weight = importance(network, theta, inputs)
    orders = [np.arange(stage.columns) for stage in network.stages[:-1]] if not mapping.orders else [*mapping.orders]
    best, least = mapping.orders, unreached(mapping, theta, stuck, weight)
    for _ in range(SWEEPS):
        for layer, stage in enumerate(network.stages[:-1]):
            if isinstance(stage, Recurrent):
                continue
            now = replace(mapping, orders=tuple(orders))
            moved: NDArray[np.int64] = cast(Any, linear_sum_assignment)(_costs(now, theta, stuck, weight, layer))[1]
            orders[layer] = orders[layer][moved]
        total = unreached(replace(mapping, orders=tuple(orders)), theta, stuck, weight)
        if total < least:
            best, least = tuple(orders), total
    return best


def _costs(mapping: Mapping, theta: Array, stuck: StuckCells, weight: Array, layer: int) -> Array:
    """(units, units): what it costs to put, on each physical place, the unit that stands on each one now."""
    network = mapping.network
    assert network is not None
    asked, weights = mapping.cells(theta), mapping.to_cells(weight) * np.square(mapping.gain_of_cells)
    low, high = (network.blocks(end) for end in (stuck.lowest, stuck.highest))
    blocks, weighed = network.blocks(asked), network.blocks(weights)
    bad = network.blocks(stuck.stuck.astype(np.float64))
    n = network.stages[layer].columns

    def units(which: list[Array], at: int) -> Array:
        """A layer's own columns, or the rows of the next that belong to them, as (units, cells)."""
        if at == layer:
            return np.transpose(which[at])
        rows = which[at][:-1].reshape(-1, n, network.stages[at].columns)
        return np.moveaxis(rows, 1, 0).reshape(n, -1)

    costs = np.zeros((n, n))
    for at in (layer, layer + 1):
        wanted, matter, where = units(blocks, at), units(weighed, at), units(bad, at)
        lowest, highest = units(low, at), units(high, at)
        for place in range(n):
            cells: NDArray[np.intp] = np.flatnonzero(where[place])
            if cells.size:
                reached = np.clip(wanted[:, cells], lowest[place, cells], highest[place, cells])
                costs[place] += (matter[:, cells] * np.square(wanted[:, cells] - reached)).sum(axis=1)
    return costs
