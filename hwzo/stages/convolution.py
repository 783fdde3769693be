"""A convolutional layer, lowered onto one matrix: each position's patch of the image is a vector applied to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from hwzo.parameters import Array
from hwzo.stages.stage import Activate, Read

_Kind = TypeVar("_Kind", np.float64, np.bool_)

Pooling = Literal["p", "a"]
"""Largest, or mean, of a square of activations."""


@dataclass(frozen=True)
class Convolution:
    """Cross-correlation of an image with square kernels, activation, and a pool if any. See `Stage`.

    Images lie in the order (y, x, channel), and so do the rows of the matrix: (ky, kx, channel). The pool is digital
    and follows the activation. Positions and pools that don't fit into the image whole are left out (floor).

    Args:
        image: height, width and channels of its input.
        columns: output channels.
        kernel: side of the kernels.
        stride: pixels from one position to the next.
        padding: pixels of zeros around the image.
        pool: side of the pool's squares, which don't overlap; 1 for no pool.
        pooling: ``"p"``: the largest of a square; ``"a"``: the mean.
    """

    image: tuple[int, int, int]
    columns: int
    kernel: int
    stride: int = 1
    padding: int = 0
    pool: int = 1
    pooling: Pooling = "p"

    @property
    def rows(self) -> int:
        """Numbers in a patch."""
        return self.kernel * self.kernel * self.image[2]

    @property
    def positions(self) -> tuple[int, int]:
        """Height and width of the image of pre-activations."""
        height, width, _ = self.image
        reach = 2 * self.padding - self.kernel
        return (height + reach) // self.stride + 1, (width + reach) // self.stride + 1

    @property
    def output(self) -> tuple[int, int, int]:
        """Height, width and channels of the image that is passed on."""
        height, width = self.positions
        return height // self.pool, width // self.pool, self.columns

    @property
    def reads(self) -> int:
        """One a position."""
        height, width = self.positions
        return height * width

    @property
    def n_in(self) -> int:
        """Pixels times channels."""
        height, width, channels = self.image
        return height * width * channels

    @property
    def n_out(self) -> int:
        """Pixels times channels after the pool."""
        height, width, channels = self.output
        return height * width * channels

    @property
    def units(self) -> int:
        """Positions times channels."""
        return self.reads * self.columns

    @property
    def takes(self) -> str:
        """Such as ``"28x28x1"``."""
        return "x".join(str(n) for n in self.image)

    @property
    def token(self) -> str:
        """Such as ``"16c3"``, ``"16c3s2p1"`` or ``"16c3-p2"``."""
        stride = f"s{self.stride}" if self.stride > 1 else ""
        padding = f"p{self.padding}" if self.padding else ""
        pool = f"-{self.pooling}{self.pool}" if self.pool > 1 else ""
        return f"{self.columns}c{self.kernel}{stride}{padding}{pool}"

    def run(self, x: Array, read: Read, activate: Activate) -> Array:
        """See `Stage.run`."""
        nodes = read(self._patches(x))
        return nodes.reshape(*nodes.shape[:-2], self.units)

    def passed(self, nodes: Array, activate: Activate) -> Array:
        """See `Stage.passed`."""
        x = activate(nodes)
        if self.pool == 1:
            return x
        squares = self._squares(x)
        pooled = squares.max(axis=(-4, -2)) if self.pooling == "p" else squares.mean(axis=(-4, -2))
        return pooled.reshape(*x.shape[:-1], self.n_out)

    def heard(self, nodes: Array, activate: Activate) -> NDArray[np.bool_] | None:
        """See `Stage.heard`: without those that the pool passed over."""
        if self.pool == 1:
            return None
        squares = self._squares(activate(nodes))
        part: Array = squares.max(axis=(-4, -2), keepdims=True) if self.pooling == "p" else squares
        heard = np.zeros(nodes.shape, dtype=np.bool_)
        image = self._image(heard)
        image[...] = (squares == part).reshape(image.shape)
        return heard

    def driven(self, x: Array, nodes: Array, activate: Activate) -> Array:
        """See `Stage.driven`."""
        return self._patches(x)

    def backward(self, delta: Array, nodes: Array, weight: Array, activate: Activate, slope: Activate) -> Array:
        """See `Stage.backward`. Where several activations are the largest of a square, they share what comes back."""
        x = activate(nodes)
        if self.pool > 1:
            squares = self._squares(x)
            height, width, channels = self.output
            shared = delta.reshape(*delta.shape[:-1], height, 1, width, 1, channels)
            if self.pooling == "p":
                peak = squares == squares.max(axis=(-4, -2), keepdims=True)
                shared = shared * (peak / peak.sum(axis=(-4, -2), keepdims=True))
            else:
                shared = np.broadcast_to(shared / self.pool**2, squares.shape)
            delta = np.zeros_like(x)  # what the pool left out has no effect
            self._image(delta)[...] = shared.reshape(*x.shape[:-1], height * self.pool, width * self.pool, channels)
        delta = delta * slope(x)
        return delta.reshape(*delta.shape[:-1], self.reads, self.columns)

    def inward(self, delta: Array, weight: Array) -> Array:
        """See `Stage.inward`."""
        height, width, channels = self.image
        down, along = self.positions
        lead, edge, k, s = delta.shape[:-2], self.padding, self.kernel, self.stride
        patches: Array = (delta @ np.transpose(weight)).reshape(*lead, down, along, k, k, channels)
        image = np.zeros((*lead, height + 2 * edge, width + 2 * edge, channels))
        for y in range(k):
            for x in range(k):
                image[..., y : y + s * down : s, x : x + s * along : s, :] += patches[..., y, x, :]
        return image[..., edge : edge + height, edge : edge + width, :].reshape(*lead, self.n_in)

    def _patches(self, x: Array) -> Array:
        """Every position's patch, (..., batch, reads, rows), of images (..., batch, n_in)."""
        lead, edge = x.shape[:-1], self.padding
        image = x.reshape(*lead, *self.image)
        if edge:
            image = np.pad(image, [(0, 0)] * len(lead) + [(edge, edge), (edge, edge), (0, 0)])
        windows = sliding_window_view(image, (self.kernel, self.kernel), axis=(-3, -2))  # pyright: ignore[reportArgumentType, reportCallIssue]
        windows = windows[..., :: self.stride, :: self.stride, :, :, :]
        return np.moveaxis(windows, -3, -1).reshape(*lead, self.reads, self.rows)

    def _image(self, x: NDArray[_Kind]) -> NDArray[_Kind]:
        """A view of numbers (..., units) as images, without what the pool leaves out."""
        height, width, channels = self.output
        image = x.reshape(*x.shape[:-1], *self.positions, channels)
        return image[..., : height * self.pool, : width * self.pool, :]

    def _squares(self, x: Array) -> Array:
        """Activations (..., units) as the pool's squares: (..., height, pool, width, pool, channels)."""
        height, width, channels = self.output
        return self._image(x).reshape(*x.shape[:-1], height, self.pool, width, self.pool, channels)
