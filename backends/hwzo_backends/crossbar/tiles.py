"""How the layers of a network lie on crossbar tiles of limited size."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from hwzo.network import Network


@dataclass(frozen=True)
class LayerTiles:
    """One layer on its tiles.

    Rows beyond one tile's go to another tile; each tile digitises its own partial sums, which are added digitally.

    Args:
        rows: (start, stop) of the rows of each row of tiles; the bias is the last row, driven by a constant 1.
        n_columns: number of tiles side by side; a column has its own converter, so that these don't change results.
        n_outputs: columns of the layer.
    """

    rows: tuple[tuple[int, int], ...]
    n_columns: int
    n_outputs: int

    @property
    def n_tiles(self) -> int:
        """Number of tiles."""
        return len(self.rows) * self.n_columns

    @property
    def n_rows(self) -> int:
        """Rows of the layer, bias included."""
        return self.rows[-1][1]

    @property
    def longest(self) -> int:
        """Rows of its fullest tile: how many row reads it takes to read the layer back, all tiles at once."""
        return max(stop - start for start, stop in self.rows)


def map_layers(network: Network, rows: int, columns: int) -> tuple[LayerTiles, ...]:
    """Lay each layer on tiles of ``rows`` x ``columns`` differential pairs, filling tiles one after another."""
    layers: list[LayerTiles] = []
    for n_in, n_out in zip(network.layers[:-1], network.layers[1:], strict=True):
        edges = [*range(0, n_in + 1, rows), n_in + 1]
        layers.append(LayerTiles(tuple(pairwise(edges)), -(-n_out // columns), n_out))
    return tuple(layers)
