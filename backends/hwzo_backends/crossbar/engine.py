"""The forward pass through tiles and converters in NumPy: the reference that a faster engine has to agree with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from hwzo.directions import directions
from hwzo.network import ACTIVATIONS, Network, sample_losses
from hwzo.parameters import Array, ParameterSpec
from hwzo.probes import Batch, Probes
from hwzo_backends.crossbar.converters import Converter
from hwzo_backends.crossbar.noise import NoiseSource, Stream
from hwzo_backends.crossbar.tiles import LayerTiles

CHUNK = 1 << 21
"""Numbers that a part of a population may take in memory at a time."""
SAMPLES = 1 << 23
"""Numbers that a part of a batch may take in memory at a time, as signals on rows and columns."""
_PART = 40  # bits of an event's number; above them stands the part of the batch


@dataclass(frozen=True)
class Realised:
    """What the cells are during some evaluations; weight units.

    Rows are evaluations, or one row that all share. With bit slices a row holds one slice after the other.

    Args:
        weights: (K or 1, slices * n_params) effective weights.
        variances: likewise, of each weight's white read noise; None for none.
        second, third: likewise, coefficients of x^2 and x^3 of cells whose current isn't proportional to the voltage.
        relative: further white read noise, sd as a fraction of the weight.
        exact: whether that follows an overlaid displacement, or stays that of the cells alone.
    """

    weights: Array
    variances: Array | None = None
    second: Array | None = None
    third: Array | None = None
    relative: float = 0.0
    exact: bool = False

    @classmethod
    def stack(cls, rows: Sequence[Realised]) -> Realised:
        """One row a realisation, from realisations of one chip with one row each."""
        first = rows[0]
        if len(rows) == 1:
            return first

        def joined(name: str) -> Array | None:
            arrays = [getattr(row, name) for row in rows]
            return None if arrays[0] is None else np.concatenate(arrays)

        return replace(
            first,
            weights=np.concatenate([row.weights for row in rows]),
            variances=joined("variances"),
            second=joined("second"),
            third=joined("third"),
        )


@dataclass(frozen=True)
class Engine:
    """Evaluates a network whose layers lie on tiles.

    Args:
        network: which.
        layers: its tiles, a layer each.
        dac: of the rows; full scale 1, so that inputs and activations saturate there (relu too).
        adc: of the columns of each tile; pre-activation units.
        node_noise: sd at a column's output, pre-activation units; divided among the tiles and slices that share it.
        noise: where the columns' noise comes from, stream ``NODES``.
        scales: weight of each bit slice's digitised sum; (1.0,) without slices.
        gains: factor on each column's digitised sum, (columns,) a layer each; empty where all are 1.
    """

    network: Network
    layers: Sequence[LayerTiles]
    dac: Converter
    adc: Converter
    node_noise: float
    noise: NoiseSource
    scales: tuple[float, ...] = (1.0,)
    gains: tuple[Array, ...] = field(default=(), kw_only=True)

    @property
    def normals_per_sample(self) -> int:
        """Standard normal numbers that a sample takes: one a column of each tile, slice and read."""
        return len(self.scales) * sum(len(layer.rows) * layer.n_outputs * layer.reads for layer in self.layers)

    def forward(
        self, inputs: Array, realised: Realised, events: NDArray[np.int64], *, last: bool = False
    ) -> list[Array]:
        """Pre-activations of every layer as digitised, each (K, batch, units); with ``last``, of the last layer only.

        A batch that is large for the network is taken part by part, in parts that depend on nothing else.

        Args:
            inputs: (batch, n_inputs).
            realised: the cells.
            events: (K,) numbers of the evaluations, which address their noise.
            last: whether the other layers are wanted.
        """
        size = max(1, SAMPLES // sum(layer.reads * (layer.n_rows + layer.n_outputs) for layer in self.layers))
        parts: list[list[Array]] = []
        for index, start in enumerate(range(0, len(inputs), size)):
            nodes = self._pass(inputs[start : start + size], realised, events + (index << _PART))
            parts.append(nodes[-1:] if last else nodes)
        return parts[0] if len(parts) == 1 else [np.concatenate(layer, axis=1) for layer in zip(*parts, strict=True)]

    def _pass(self, inputs: Array, realised: Realised, events: NDArray[np.int64]) -> list[Array]:
        """`forward` of one part of a batch.

        Read noise that is independent between reads and cells is drawn at the columns instead of the cells: a sum over
        the rows of Gaussian terms x_j n_ij is Gaussian with variance sum_j x_j^2 variance_ij. Exact.
        """
        n_probes, n_samples = len(events), len(inputs)
        activate, _ = ACTIVATIONS[self.network.activation]
        noisy = self.node_noise > 0 or realised.variances is not None or realised.relative > 0
        normals: Array | None = None
        if noisy:
            normals = np.empty((n_probes, n_samples * self.normals_per_sample))
            for row, event in zip(normals, events, strict=True):
                self.noise.at(Stream.NODES, int(event)).standard_normal(out=row)
        columns = _Columns(self, realised, normals)
        nodes: list[Array] = []
        x = inputs[None]
        for index, stage in enumerate(self.network.stages):
            columns.layer = index
            here = stage.run(x, columns.read, activate)
            if len(here) != n_probes:  # nothing in this layer differs between the evaluations
                here = np.repeat(here, n_probes, axis=0)
            nodes.append(here)
            x = stage.passed(here, activate)
        return nodes

    def losses(
        self,
        batch: Batch,
        realised: Realised,
        probes: Probes,
        events: NDArray[np.int64],
        spec: ParameterSpec,
        *,
        sigma: float = 0.0,
    ) -> Array:
        """Mean loss (K,) of evaluations that share one realisation, each displaced by an overlay of its own.

        Args:
            batch: the samples.
            realised: the cells; its arrays have one row.
            probes: the displacements, in weight units.
            events: (K,) numbers of the evaluations.
            spec: the parameters that directions are drawn for.
            sigma: sd of each weight's own noise, constant in an evaluation and new in the next, see `with_own_noise`.
        """
        per_probe = 3 * realised.weights.size + 3 * len(batch) * sum(self.network.layers)
        step = max(1, CHUNK // per_probe)
        losses = np.empty(len(probes))
        for start in range(0, len(probes), step):
            part = probes.part(start, min(start + step, len(probes)))
            stop = start + len(part)
            own = self.with_own_noise(realised, sigma, events[start:stop], spec.size)
            nodes = self.forward(batch.inputs, displaced(own, part, spec, self.scales), events[start:stop], last=True)
            losses[start:stop] = sample_losses(nodes[-1], batch.targets, batch.loss).mean(axis=-1)
        return losses

    def with_own_noise(self, realised: Realised, sigma: float, events: NDArray[np.int64], n: int) -> Realised:
        """``realised`` of one row with sigma times standard normals, of stream ``PARAMETERS``, added for each event.

        Those are added to the n weights of the most significant slice. Returns (K, ...), or one row without sigma.
        """
        if not sigma:
            return realised
        weights = np.repeat(realised.weights, len(events), axis=0)
        for row, event in zip(weights, events, strict=True):
            own = self.noise.at(Stream.PARAMETERS, int(event)).standard_normal(n)
            own *= sigma / self.scales[0]
            row[:n] += own
        return replace(realised, weights=weights)


def displaced(realised: Realised, probes: Probes, spec: ParameterSpec, scales: Sequence[float] = (1.0,)) -> Realised:
    """``realised`` (K or 1 rows) with the probes' displacements on top, (K, ...); on the most significant slice."""
    weights = np.repeat(realised.weights, len(probes) // len(realised.weights), axis=0)
    where = probes.scales != 0
    if where.any():
        rows = directions(probes.law, spec, key=probes.key, step=probes.step, counters=probes.counters)
        weights[:, : spec.size] += (probes.scales / scales[0])[:, None] * rows
    moved = replace(realised, weights=weights)
    if realised.relative and not realised.exact:
        cells = realised.relative**2 * np.square(realised.weights)
        variances = cells if realised.variances is None else realised.variances + cells
        moved = replace(moved, variances=variances, relative=0.0)
    return moved


class _Columns:
    """The matrices of one call of `Engine.forward`, read a vector at a time: what a stage calls."""

    def __init__(self, engine: Engine, realised: Realised, normals: Array | None) -> None:
        self.layer = 0
        self._engine, self._normals = engine, normals
        self._drawn = 0
        variances = realised.variances
        if realised.relative:
            own = realised.relative**2 * np.square(realised.weights)
            variances = own if variances is None else variances + own
        self._weights = self._blocks(realised.weights)
        self._variances = self._blocks(variances)
        self._powers = [(p, self._blocks(a)) for p, a in ((2, realised.second), (3, realised.third)) if a is not None]

    def _blocks(self, flat: Array | None) -> list[list[Array]]:
        """By slice and layer: (K or 1, rows, columns)."""
        if flat is None:
            return []
        n_slices = len(self._engine.scales)
        return [self._engine.network.blocks(part) for part in np.split(flat, n_slices, axis=-1)]

    def read(self, driven: Array) -> Array:
        """What the layer's columns make of ``driven`` (K or 1, batch, reads, rows): (K, batch, reads, columns)."""
        engine, tiles = self._engine, self._engine.layers[self.layer]
        n_driven, *many, n_rows = driven.shape
        signal = np.empty((n_driven, int(np.prod(many)), n_rows + 1))
        signal[..., :-1] = driven.reshape(n_driven, -1, n_rows)
        signal[..., -1] = 1.0
        signal = engine.dac.convert(signal)
        squares = signal * signal if self._variances else None
        total: Array | None = None
        for index, scale in enumerate(engine.scales):
            for start, stop in tiles.rows:
                x = signal[..., start:stop]
                # A stack of products is one product a probe, in a shape that doesn't depend on K: the same bits.
                partial = np.matmul(x, self._weights[index][self.layer][:, start:stop])
                for power, blocks in self._powers:
                    partial += np.matmul(x**power, blocks[index][self.layer][:, start:stop])
                if self._normals is not None:
                    variance = squares[..., start:stop] if squares is not None else None
                    partial = partial + self._noise(index, start, stop, variance, partial.shape[-2:])
                partial = engine.adc.convert(partial)
                if scale != 1.0:
                    partial *= scale
                total = partial if total is None else total + partial
        assert total is not None
        if engine.gains:
            total = total * engine.gains[self.layer]
        return total.reshape(len(total), *many, tiles.n_outputs)

    def _noise(self, index: int, start: int, stop: int, squares: Array | None, shape: tuple[int, ...]) -> Array:
        """Noise (K, reads, columns) of one tile's columns."""
        assert self._normals is not None
        engine, tiles = self._engine, self._engine.layers[self.layer]
        size = shape[0] * shape[1]
        normals = self._normals[:, self._drawn : self._drawn + size].reshape(-1, *shape)
        self._drawn += size
        # Shared among the row tiles, and among the slices so that the scaled sum has the whole variance.
        shares = len(tiles.rows) * float(np.square(engine.scales).sum())
        node = engine.node_noise**2 / shares
        if squares is None:
            return np.sqrt(node) * normals
        sd = np.matmul(squares, self._variances[index][self.layer][:, start:stop])
        sd += node
        np.sqrt(sd, out=sd)
        return sd * normals
