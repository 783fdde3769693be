"""The fast engine: the measurements of the reference, to the same law, in float32 kernels."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from hwzo.network import ACTIVATIONS, sample_losses
from hwzo.parameters import Array, ParameterSpec
from hwzo.probes import Batch, Probes
from hwzo.stages import Dense
from hwzo_backends.crossbar.engine import Engine, Realised, displaced
from hwzo_backends.crossbar.fast.columns import ACTIVATION_CODES, LOSS_CODES
from hwzo_backends.crossbar.fast.compiler import F, Floats, Integers
from hwzo_backends.crossbar.fast.displacements import LAW_CODES
from hwzo_backends.crossbar.fast.layers import read_layer, seed_nodes
from hwzo_backends.crossbar.fast.noise import FastNoise
from hwzo_backends.crossbar.fast.population import Cells, Layout, Periphery, Population, Samples, evaluate
from hwzo_backends.crossbar.fast.random import LANES
from hwzo_backends.crossbar.noise import Stream

_Scalar = TypeVar("_Scalar", bound=np.generic)
_NONE: Floats = np.empty(0, dtype=np.float32)
_NOTHING: Floats = np.empty((0, 0), dtype=np.float32)


@dataclass(frozen=True)
class FastEngine(Engine):
    """`Engine` in float32, from noise of its own; its losses don't depend on the number of threads or BLAS.

    It keeps arrays for its next call, so that one is under way at a time.

    Args:
        network, layers, dac, adc, node_noise, scales, gains: as of `Engine`.
        noise: a `FastNoise`.
        threads: how many evaluate a population.
    """

    threads: int = 1

    @cached_property
    def _seed(self) -> np.uint64:
        if not isinstance(self.noise, FastNoise):
            raise TypeError(f"the fast engine's noise is FastNoise, not {type(self.noise).__name__}")
        return np.uint64(self.noise.seed)

    @cached_property
    def _edges(self) -> list[Integers]:
        return [np.array([*(start for start, _ in tiles.rows), tiles.n_rows], dtype=np.int64) for tiles in self.layers]

    @cached_property
    def _layout(self) -> Layout:
        starts = np.cumsum([0, *(len(edges) for edges in self._edges)])
        return Layout(np.array(self.network.layers, np.int64), np.concatenate(self._edges), starts.astype(np.int64))

    @cached_property
    def _periphery(self) -> Periphery:
        adc = self.adc
        lsb = adc.full_scale / adc.levels if adc.levels else 1.0
        activation = ACTIVATION_CODES.get(self.network.activation, -1)
        gains = _floats(np.concatenate(self.gains)) if self.gains else _NONE
        return Periphery(F(self.node_noise**2), F(self.dac.levels), F(adc.levels), F(lsb), activation, gains)

    @cached_property
    def _buffers(self) -> tuple[Floats, Floats]:
        """Weights and variances in float32: a fresh array a call would cost more than filling it."""
        n = self.network.parameter_spec().size
        return np.empty(n, dtype=np.float32), np.empty(n, dtype=np.float32)

    def _split(self, n: int, evaluate: Callable[[int, int], None]) -> None:
        """Call ``evaluate(k0, k1)`` for all of n evaluations, in as many threads as there shall be."""
        threads = min(self.threads, n)
        if threads == 1:
            evaluate(0, n)
            return
        edges = [n * i // threads for i in range(threads + 1)]
        with ThreadPoolExecutor(threads) as pool:
            for done in [pool.submit(evaluate, k0, k1) for k0, k1 in pairwise(edges)]:
                done.result()

    def _pass(self, inputs: Array, realised: Realised, events: NDArray[np.int64]) -> list[Array]:
        activate, _ = ACTIVATIONS[self.network.activation]
        columns = _FastColumns(self, realised, _plain(events, np.int64))
        nodes: list[Array] = []
        x = inputs[None]
        for index, stage in enumerate(self.network.stages):
            columns.layer = index
            nodes.append(stage.run(x, columns.read, activate))
            x = stage.passed(nodes[-1], activate)
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
        """See `Engine.losses`.

        Args:
            batch, realised, probes, events, spec: likewise.
            sigma: sd of a further displacement of each weight, constant in an evaluation and new in the next: what
                ``noise.at(Stream.PARAMETERS, event).standard_normal(n_params)`` gives, times sigma.
        """
        if not self._has_kernel(realised, probes):
            if not sigma:
                return super().losses(batch, realised, probes, events, spec)
            return np.array([self._own(batch, realised, probes, events, spec, sigma, k) for k in range(len(probes))])
        weights, variances = self._buffers
        np.copyto(weights, realised.weights[0])
        if realised.variances is not None:
            np.copyto(variances, realised.variances[0])
        additive = _NONE if realised.variances is None else variances
        cells = Cells(weights, additive, F(realised.relative), realised.exact, F(sigma))
        samples = _samples(batch)
        lean = not sigma and (probes.law == "rank1-sign" or not probes.scales.any())
        population = Population(
            LAW_CODES.get(probes.law, 0),
            np.uint64(probes.key),
            int(probes.step),
            _plain(probes.counters, np.int64),
            _plain(probes.scales, np.float64),
            _plain(events, np.int64),
            self._seed,
        )
        losses = np.empty(len(probes))

        def part(k0: int, k1: int) -> None:
            evaluate(k0, k1, population, cells, self._layout, self._periphery, samples, lean, losses)

        self._split(len(probes), part)
        return losses

    def _has_kernel(self, realised: Realised, probes: Probes) -> bool:
        """Whether one kernel does the whole evaluation: a dense network of linear cells, and signs as directions."""
        return (
            self._is_dense
            and len(realised.weights) == 1
            and realised.second is None
            and realised.third is None
            and (probes.law in LAW_CODES or not probes.scales.any())
        )

    @cached_property
    def _is_dense(self) -> bool:
        dense = all(isinstance(stage, Dense) for stage in self.network.stages)
        return dense and self._periphery.activation >= 0 and self.scales == (1.0,)

    def _own(
        self,
        batch: Batch,
        realised: Realised,
        probes: Probes,
        events: NDArray[np.int64],
        spec: ParameterSpec,
        sigma: float,
        k: int,
    ) -> float:
        """Loss of probe k where the weights are displaced on their own, too."""
        moved = displaced(realised, probes.part(k, k + 1), spec, self.scales)
        own = (sigma / self.scales[0]) * self.noise.at(Stream.PARAMETERS, int(events[k])).standard_normal(spec.size)
        weights = np.array(moved.weights)
        weights[0, : spec.size] += own
        nodes = self.forward(batch.inputs, replace(moved, weights=weights), events[k : k + 1], last=True)
        return float(sample_losses(nodes[-1], batch.targets, batch.loss).mean())


class _FastColumns:
    """The matrices of one call of `FastEngine.forward`: what a stage reads."""

    def __init__(self, engine: FastEngine, realised: Realised, events: Integers) -> None:
        self.layer = 0
        self._engine = engine
        self._lanes = np.empty((len(events), 4 * LANES), dtype=np.uint32)
        seed_nodes(engine._seed, events, self._lanes)  # pyright: ignore[reportPrivateUsage]
        weights = _floats(realised.weights)
        variances = None if realised.variances is None else _floats(realised.variances)
        if realised.relative:
            own = F(realised.relative**2) * weights * weights
            variances = own if variances is None else own + variances
        self._flat = (weights, variances, realised.second, realised.third)

    def read(self, driven: Array) -> Array:
        """What the layer's columns make of ``driven`` (K or 1, batch, reads, rows): (K, batch, reads, columns)."""
        engine, n_out = self._engine, self._engine.layers[self.layer].n_outputs
        n_driven, n_samples, n_reads, n_rows = driven.shape
        signal = _plain(driven.reshape(n_driven, -1, n_rows), np.float64)
        sums = np.zeros((len(self._lanes), n_samples * n_reads, n_out))
        periphery = engine._periphery  # pyright: ignore[reportPrivateUsage]
        node_variance = F(engine.node_noise**2 / float(np.square(engine.scales).sum()))
        for index, scale in enumerate(engine.scales):
            blocks = [self._block(flat, index) for flat in self._flat]

            def part(k0: int, k1: int, blocks: list[Floats] = blocks, scale: float = scale) -> None:
                read_layer(
                    k0,
                    k1,
                    self._lanes,
                    signal,
                    blocks[0],
                    blocks[1],
                    blocks[2],
                    blocks[3],
                    engine._edges[self.layer],  # pyright: ignore[reportPrivateUsage]
                    node_variance,
                    periphery.dac_levels,
                    periphery.adc_levels,
                    periphery.adc_lsb,
                    float(scale),
                    sums,
                )

            engine._split(len(sums), part)  # pyright: ignore[reportPrivateUsage]
        if engine.gains:
            sums *= engine.gains[self.layer]
        return sums.reshape(len(sums), n_samples, n_reads, n_out)

    def _block(self, flat: Any, index: int) -> Floats:  # noqa: ANN401
        """The layer's block of one bit slice, (K or 1, rows, columns); empty for none."""
        if flat is None:
            return _NONE.reshape(0, 0, 0)
        n_slices = len(self._engine.scales)
        part = np.split(flat, n_slices, axis=-1)[index] if n_slices > 1 else flat
        return _floats(self._engine.network.blocks(part)[self.layer])


def _samples(batch: Batch) -> Samples:
    if batch.loss == "cross-entropy":
        classes, values = _plain(batch.targets, np.int64), _NOTHING
    else:
        classes, values = np.empty(0, np.int64), _floats(np.transpose(batch.targets))
    return Samples(_plain(batch.inputs, np.float64), LOSS_CODES[batch.loss], classes, values)


def _floats(array: NDArray[Any]) -> Floats:
    return _plain(array, np.float32)


def _plain(array: NDArray[Any], dtype: type[_Scalar]) -> NDArray[_Scalar]:
    """``array`` as kernels were compiled for: other types, orders or read-only ones would be compiled anew."""
    if array.dtype == dtype and array.flags.carray:
        return array
    return np.array(array, dtype=dtype, order="C")
