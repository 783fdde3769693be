"""A vanilla recurrent layer: one matrix, applied again at every time step."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hwzo.parameters import Array
from hwzo.stages.stage import Activate, Read


@dataclass(frozen=True)
class Recurrent:
    """``h_t = f(x_t W_x + h_{t-1} W_h + b)`` with h_0 = 0; the last state is passed on. See `Stage`.

    Elman, Cognitive Science 14, 179 (1990). The matrix's rows are those of W_x, then those of W_h; the input is
    (step, feature), flattened, and the pre-activations are (step, unit).

    Args:
        steps: time steps.
        features: inputs a step.
        columns: units.
    """

    steps: int
    features: int
    columns: int

    @property
    def rows(self) -> int:
        """Features and states."""
        return self.features + self.columns

    @property
    def reads(self) -> int:
        """One a step."""
        return self.steps

    @property
    def n_in(self) -> int:
        """Steps times features."""
        return self.steps * self.features

    @property
    def n_out(self) -> int:
        """As many as units: the last state."""
        return self.columns

    @property
    def units(self) -> int:
        """Steps times units."""
        return self.steps * self.columns

    @property
    def takes(self) -> str:
        """Such as ``"28x28"``."""
        return f"{self.steps}x{self.features}"

    @property
    def token(self) -> str:
        """Such as ``"64r"``."""
        return f"{self.columns}r"

    def run(self, x: Array, read: Read, activate: Activate) -> Array:
        """See `Stage.run`. Calls ``read`` once a step."""
        sequence = x.reshape(*x.shape[:-1], self.steps, self.features)
        state = np.zeros((*x.shape[:-1], 1, self.columns))
        nodes: list[Array] = []
        for step in range(self.steps):
            if step:
                state = activate(nodes[-1])
            nodes.append(read(_beside(sequence[..., step : step + 1, :], state)))
        whole = np.concatenate(nodes, axis=-2)
        return whole.reshape(*whole.shape[:-2], self.units)

    def passed(self, nodes: Array, activate: Activate) -> Array:
        """See `Stage.passed`."""
        return activate(nodes[..., -self.columns :])

    def heard(self, nodes: Array, activate: Activate) -> None:
        """See `Stage.heard`."""
        return None

    def driven(self, x: Array, nodes: Array, activate: Activate) -> Array:
        """See `Stage.driven`."""
        states = np.zeros((*nodes.shape[:-1], self.steps, self.columns))
        states[..., 1:, :] = activate(nodes).reshape(states.shape)[..., :-1, :]
        return _beside(x.reshape(*x.shape[:-1], self.steps, self.features), states)

    def backward(self, delta: Array, nodes: Array, weight: Array, activate: Activate, slope: Activate) -> Array:
        """See `Stage.backward`: backpropagation through time."""
        slopes = slope(activate(nodes)).reshape(*nodes.shape[:-1], self.steps, self.columns)
        deltas = np.empty_like(slopes)
        back = np.transpose(weight[self.features :])
        for step in range(self.steps - 1, -1, -1):
            deltas[..., step, :] = delta * slopes[..., step, :]
            delta = deltas[..., step, :] @ back
        return deltas

    def inward(self, delta: Array, weight: Array) -> Array:
        """See `Stage.inward`."""
        inputs: Array = delta @ np.transpose(weight[: self.features])
        return inputs.reshape(*inputs.shape[:-2], self.n_in)


def _beside(inputs: Array, states: Array) -> Array:
    """(..., steps, features + units) of (..., steps, features) and (..., steps, units)."""
    lead = np.broadcast_shapes(inputs.shape[:-1], states.shape[:-1])
    return np.concatenate([np.broadcast_to(part, (*lead, part.shape[-1])) for part in (inputs, states)], axis=-1)
