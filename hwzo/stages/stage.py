"""A weight layer: vectors that are applied to one matrix, and what is done, digitally, around it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hwzo.parameters import Array

Activate = Callable[[Array], Array]
"""An activation function, or its derivative written in terms of its value, element by element."""
Read = Callable[[Array], Array]
"""The matrix of whoever runs a stage: driven rows (..., batch, reads now, rows) to (..., batch, reads now, columns)."""


class Stage(Protocol):
    """One weight layer, with whatever follows it up to the next one.

    Its parameters are one matrix (rows + 1, columns), the bias last. For each sample it applies ``reads`` vectors of
    ``rows`` numbers to that matrix, and each gives ``columns`` pre-activations: a dense layer one, a convolution one
    at each position, a recurrent layer one at each time step. Arrays may have leading axes, such as one of K probes;
    ``...`` stands for them, and those of several arguments broadcast.
    """

    @property
    def rows(self) -> int:
        """Fan-in of a column, without the bias."""
        ...

    @property
    def columns(self) -> int:
        """Fan-out of the matrix."""
        ...

    @property
    def reads(self) -> int:
        """Vectors that are applied to the matrix for each sample."""
        ...

    @property
    def n_in(self) -> int:
        """Numbers that it takes for each sample."""
        ...

    @property
    def n_out(self) -> int:
        """Numbers that it passes on for each sample."""
        ...

    @property
    def units(self) -> int:
        """Pre-activations for each sample: reads * columns, read by read."""
        ...

    @property
    def takes(self) -> str:
        """The shape of its input as a label's first token: ``"784"``, ``"28x28"`` or ``"28x28x1"``."""
        ...

    @property
    def token(self) -> str:
        """Itself as in a label: ``"64"``, ``"64r"``, ``"16c3"`` or, with its pool, ``"16c3-p2"``."""
        ...

    def run(self, x: Array, read: Read, activate: Activate) -> Array:
        """Pre-activations (..., batch, units) of the input x (..., batch, n_in).

        ``read`` is called with all reads at once, or by a recurrent layer step by step, in order, with one. Before
        anything was read, x may lack the leading axes that ``read`` adds.
        """
        ...

    def passed(self, nodes: Array, activate: Activate) -> Array:
        """What pre-activations (..., batch, units) become as the next stage's input, (..., batch, n_out)."""
        ...

    def heard(self, nodes: Array, activate: Activate) -> NDArray[np.bool_] | None:
        """Which pre-activations (..., batch, units) have a part in what is passed on; None if all have."""
        ...

    def driven(self, x: Array, nodes: Array, activate: Activate) -> Array:
        """The rows that each read saw, (..., batch, reads, rows), from the input and the pre-activations.

        Leading axes are those of x; a recurrent layer's are those of the nodes, too.
        """
        ...

    def backward(self, delta: Array, nodes: Array, weight: Array, activate: Activate, slope: Activate) -> Array:
        """Derivative of a loss with respect to the pre-activations of every read, (..., batch, reads, columns).

        Args:
            delta: (..., batch, n_out) its derivative with respect to what was passed on.
            nodes: (..., batch, units).
            weight: (rows, columns).
            activate, slope: the activation, and its derivative in terms of its value.
        """
        ...

    def inward(self, delta: Array, weight: Array) -> Array:
        """Derivative with respect to the input, (..., batch, n_in), from every read's (..., batch, reads, columns)."""
        ...
