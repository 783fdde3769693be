"""Which weight goes into which cell, and at which scale: a gain for each column, an order for each hidden layer."""

from __future__ import annotations

import math
from collections.abc import Mapping as Named
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hwzo.device import Device
from hwzo.errors import CapabilityError, ConfigError
from hwzo.network import Network
from hwzo.parameters import Array, ParameterSpec
from hwzo.stages import Recurrent, Stage

Orders = tuple[NDArray[np.int64], ...]


@dataclass(frozen=True, eq=False)
class Mapping:
    """How the weights of a network lie in the cells of a device.

    Physical column i of a hidden layer carries the network's unit ``order[i]``, and holds its weights over the column's
    gain. The next layer's rows follow; those of a recurrent layer that carry its own states, too. Units of a
    convolution are its channels. The network's function stays as it is.

    Args:
        parameters: the device's, cell by cell.
        network: what they mean; None for a black box, which has neither gains nor orders.
        gains: (n_columns,) above 0, of the physical columns, layer after layer; empty for a black box.
        orders: one permutation (units,) for each layer but the last; empty: as they come.

    Raises:
        ConfigError: gains or orders of other shapes, a gain that is not above 0 and finite, an order that is no
            permutation.
    """

    parameters: ParameterSpec
    network: Network | None
    gains: Array
    orders: Orders = ()

    def __post_init__(self) -> None:
        columns = [stage.columns for stage in self._stages]
        gains = np.asarray(self.gains, dtype=np.float64)
        if gains.shape != (sum(columns),):
            raise ConfigError(
                f"a mapping of {sum(columns)} columns has gains of shape {gains.shape}, expected ({sum(columns)},)",
                key="gains",
            )
        if not ((gains > 0) & np.isfinite(gains)).all():
            raise ConfigError("a mapping's gains must be above 0 and finite", key="gains")
        fits = [order.shape for order in self.orders] == [(n,) for n in columns[:-1]]
        if self.orders and not (
            fits and all((np.sort(o) == np.arange(n)).all() for o, n in zip(self.orders, columns, strict=False))
        ):
            raise ConfigError(
                f"a mapping's orders must be permutations of {columns[:-1]} units, a hidden layer each", key="orders"
            )
        object.__setattr__(self, "gains", gains)

    @classmethod
    def identity(cls, device: Device) -> Mapping:
        """Each weight in its own cell, all gains 1."""
        network = device.capabilities.network
        columns = 0 if network is None else sum(stage.columns for stage in network.stages)
        return cls(device.parameters, network, np.ones(columns))

    @classmethod
    def from_arrays(cls, device: Device, arrays: Named[str, NDArray[np.generic]]) -> Mapping:
        """What `arrays` gave, on that device.

        Raises:
            ConfigError: arrays of another network.
        """
        first = cls.identity(device)
        orders: list[NDArray[np.int64]] = []
        while (name := f"order.{len(orders)}") in arrays:
            orders.append(np.asarray(arrays[name], dtype=np.int64))
        return replace(first, gains=np.asarray(arrays.get("gains", first.gains)), orders=tuple(orders))

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """By name: ``gains``, and ``order.0``, ``order.1``, ... where there are any."""
        return {"gains": self.gains, **{f"order.{at}": order for at, order in enumerate(self.orders)}}

    # --- what it does ---

    @property
    def trivial(self) -> bool:
        """True if cells hold the network's weights as they are."""
        return not self.orders and bool((self.gains == 1.0).all())

    def cells(self, theta: Array) -> Array:
        """What the cells shall hold, (..., n), for the network's weights ``theta`` (..., n); device's weight units."""
        return theta[..., self._places] / self._factors

    def weights(self, cells: Array) -> Array:
        """The network's weights (..., n) that ``cells`` (..., n) stand for."""
        theta = np.empty(cells.shape)
        theta[..., self._places] = cells * self._factors
        return theta

    def to_cells(self, each: NDArray[np.generic]) -> NDArray[np.generic]:
        """One value a weight, (..., n), such as a mask, as one a cell."""
        return each[..., self._places]

    def to_weights(self, each: NDArray[np.generic]) -> NDArray[np.generic]:
        """One value a cell, (..., n), such as a mask, as one a weight."""
        out = np.empty_like(each)
        out[..., self._places] = each
        return out

    @property
    def gain_of_cells(self) -> Array:
        """(n,) the gain of each cell's column: an error of a cell is so much larger as one of the network's weight."""
        return self._factors

    def nodes(self, layer: int, nodes: Array) -> Array:
        """A layer's pre-activations (..., units) of the physical columns, in the network's order."""
        if not self.orders or layer >= len(self.orders):
            return nodes
        inverse = np.argsort(self.orders[layer])
        by_read = nodes.reshape(*nodes.shape[:-1], -1, len(inverse))
        return by_read[..., inverse].reshape(nodes.shape)

    def with_gains(self, gains: Array) -> Mapping:
        """The same with other gains (n_columns,)."""
        return replace(self, gains=gains)

    def by_layer(self, columns: Array) -> list[Array]:
        """One value a column, (n_columns,), a layer each."""
        edges = np.cumsum([stage.columns for stage in self._stages])
        return np.split(columns, edges[:-1])

    @cached_property
    def bounds(self) -> ParameterSpec:
        """The network's weights that the cells can hold: the device's ranges and steps, times the gains."""
        return MappedParameters.of(self)

    def check_device(self, device: Device) -> None:
        """Check that a device can have it.

        Raises:
            CapabilityError: gains other than 1, and the device has none.
            ConfigError: a device of another network.
        """
        network = device.capabilities.network
        if network != self.network or device.parameters.size != self.parameters.size:
            mine, its = (net.label if net else "a black box" for net in (self.network, network))
            raise ConfigError(f"the mapping is for {mine}, {device.info} is {its}", key="layers")
        if not (device.capabilities.output_gains or (self.gains == 1.0).all()):
            raise CapabilityError(
                f"{device.info} has no gains at its columns' outputs, which this mapping needs; map without gains "
                "(--no-gains)"
            )

    # --- one index and one factor a cell ---

    @property
    def _stages(self) -> tuple[Stage, ...]:
        return () if self.network is None else self.network.stages

    @cached_property
    def _places(self) -> NDArray[np.int64]:
        """(n,) of each cell: which weight it holds."""
        n = self.parameters.size
        if not self.orders or self.network is None:
            return np.arange(n)
        places: list[NDArray[np.int64]] = []
        start, before = 0, np.arange(0)
        last = np.arange(self._stages[-1].columns)
        for stage, order in zip(self._stages, (*self.orders, last), strict=True):
            rows = _rows(stage, before, order)
            block = start + np.arange((stage.rows + 1) * stage.columns).reshape(stage.rows + 1, stage.columns)
            places.append(block[np.ix_(rows, order)].ravel())
            start, before = start + block.size, order
        return np.concatenate(places)

    @cached_property
    def _factors(self) -> Array:
        """(n,) of each cell: its column's gain."""
        if self.network is None:
            return np.ones(self.parameters.size)
        parts = [np.tile(g, stage.rows + 1) for stage, g in zip(self._stages, self.by_layer(self.gains), strict=True)]
        return np.concatenate(parts)


def _rows(stage: Stage, before: NDArray[np.int64], order: NDArray[np.int64]) -> NDArray[np.int64]:
    """Which of the network's rows lies on each physical row, the bias last.

    Args:
        stage: whose.
        before: order of the layer before it; empty: inputs, which stay.
        order: its own.
    """
    rows = np.arange(stage.rows + 1)
    if isinstance(stage, Recurrent):  # it comes first: features stay, states follow its own order
        rows[stage.features : -1] = stage.features + order
    elif len(before):  # such as (y, x, channel): the units vary fastest
        rows[:-1] = rows[:-1].reshape(-1, len(before))[:, before].ravel()
    return rows


class MappedParameters(ParameterSpec):
    """A device's parameters as those of the network: a weight's range is its cell's, times the column's gain.

    Bounds of the tensors are the widest of any column's; `lower` and `upper` are each weight's own.
    """

    @classmethod
    def of(cls, mapping: Mapping) -> MappedParameters:
        """Those of a mapping."""
        spec = mapping.parameters
        factor = mapping.to_weights(mapping.gain_of_cells)
        lower, upper = mapping.weights(spec.lower), mapping.weights(spec.upper)
        tensors = tuple(
            replace(
                tensor,
                lower=float(lower[at].min()) if math.isfinite(tensor.lower) else tensor.lower,
                upper=float(upper[at].max()) if math.isfinite(tensor.upper) else tensor.upper,
                resolution=tensor.resolution * float(np.asarray(factor[at], dtype=np.float64).min()),
            )
            for tensor, at in ((tensor, spec.slices[tensor.name]) for tensor in spec.tensors)
        )
        made = cls(tensors)
        made.__dict__.update(lower=lower, upper=upper)  # in place of the cached ones
        return made
