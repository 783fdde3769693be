"""The forward pass through tiles and converters: the part that a faster engine may replace.

Everything random comes in as an argument, so that engines can be compared number for number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hwzo.network import ACTIVATIONS, Network
from hwzo.parameters import Array
from hwzo_backends.crossbar.converters import Converter
from hwzo_backends.crossbar.tiles import LayerTiles


@dataclass(frozen=True)
class Engine:
    """Evaluates a network whose layers lie on tiles.

    Args:
        network: which.
        layers: its tiles, a layer each.
        dac: of the rows; full scale 1, so that inputs and activations saturate there (relu too).
        adc: of the columns of each tile; pre-activation units.
        node_noise: sd at a column's output, pre-activation units; divided among the tiles that share the column.
    """

    network: Network
    layers: Sequence[LayerTiles]
    dac: Converter
    adc: Converter
    node_noise: float

    @property
    def normals_per_sample(self) -> int:
        """Standard normal numbers that `forward` needs for each sample: one a column of each tile."""
        return sum(len(layer.rows) * layer.n_outputs for layer in self.layers)

    def forward(
        self, inputs: Array, weights: Array, variances: Array | None = None, normals: Array | None = None
    ) -> list[Array]:
        """Pre-activations of every layer as digitised, each (K, batch, units).

        Read noise that is independent between reads and cells is drawn at the columns instead of the cells: a sum over
        the rows of Gaussian terms x_j n_ij is Gaussian with variance sum_j x_j^2 variance_ij. Exact.

        Args:
            inputs: (batch, n_inputs).
            weights: (K, n_params) effective weights of each evaluation.
            variances: (K, n_params) variance of each weight's white read noise; None for none.
            normals: (K, batch * normals_per_sample) standard normal; None without noise.
        """
        activate, _ = ACTIVATIONS[self.network.activation]
        n_probes, n_samples = len(weights), len(inputs)
        weight_blocks = self.network.blocks(weights)
        variance_blocks = self.network.blocks(variances) if variances is not None else None
        nodes: list[Array] = []
        drawn = 0
        for index, layer in enumerate(self.layers):
            # (K, batch, rows): the layer's input, and the constant 1 that drives the bias row.
            driven = np.empty((n_probes if index else 1, n_samples, layer.n_rows))
            driven[..., :-1] = activate(nodes[-1]) if index else inputs
            driven[..., -1] = 1.0
            driven = self.dac.convert(driven)
            squares = driven * driven if variance_blocks is not None else None
            total: Array | None = None
            for start, stop in layer.rows:
                # A stack of products is one product a probe, in a shape that doesn't depend on K: the same bits.
                partial = np.matmul(driven[..., start:stop], weight_blocks[index][:, start:stop])
                if normals is not None:
                    variance = self.node_noise**2 / len(layer.rows)
                    size = n_samples * layer.n_outputs
                    noise = normals[:, drawn : drawn + size].reshape(n_probes, n_samples, layer.n_outputs)
                    drawn += size
                    if squares is not None and variance_blocks is not None:
                        sd = np.matmul(squares[..., start:stop], variance_blocks[index][:, start:stop])
                        sd += variance
                        np.sqrt(sd, out=sd)
                        sd *= noise
                        partial += sd
                    else:
                        partial += np.sqrt(variance) * noise
                partial = self.adc.convert(partial)
                total = partial if total is None else total + partial
            assert total is not None
            nodes.append(total)
        return nodes
