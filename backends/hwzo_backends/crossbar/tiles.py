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
        columns: (start, stop) of the columns of each column of tiles.
        reads: vectors applied for one sample: 1, positions of a convolution, or steps of a recurrence.
    """

    rows: tuple[tuple[int, int], ...]
    columns: tuple[tuple[int, int], ...]
    reads: int = 1

    @property
    def n_tiles(self) -> int:
        """Number of tiles."""
        return len(self.rows) * len(self.columns)

    @property
    def n_rows(self) -> int:
        """Rows of the layer, bias included."""
        return self.rows[-1][1]

    @property
    def n_outputs(self) -> int:
        """Columns of the layer. Each has its own converter, so that how they are divided doesn't change results."""
        return self.columns[-1][1]

    @property
    def longest(self) -> int:
        """Rows of its fullest tile: how many row reads it takes to read the layer back, all tiles at once."""
        return max(stop - start for start, stop in self.rows)


def map_layers(network: Network, rows: int, columns: int) -> tuple[LayerTiles, ...]:
    """Lay each layer on tiles of ``rows`` x ``columns`` differential pairs, filling tiles one after another.

    A convolution is lowered: its kernels are the columns, a patch of the image is one input vector.
    """
    return tuple(
        LayerTiles(_divide(stage.rows + 1, rows), _divide(stage.columns, columns), stage.reads)
        for stage in network.stages
    )


def _divide(n: int, size: int) -> tuple[tuple[int, int], ...]:
    return tuple(pairwise([*range(0, n, size), n]))
