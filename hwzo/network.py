"""A layered feed-forward network as plain arrays: what a device's parameters mean when it is one.

Layer l computes ``a_l = x_{l-1} W_l + b_l`` and passes ``x_l = f(a_l)`` on; the last layer's ``a`` is the output.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from hwzo.errors import ConfigError
from hwzo.parameters import Array, ParameterSpec, TensorSpec

Activation = Literal["tanh", "relu", "sigmoid", "linear"]
Loss = Literal["cross-entropy", "squared-error"]
Targets = NDArray[np.int64] | Array

ACTIVATIONS: dict[str, tuple[Callable[[Array], Array], Callable[[Array], Array]]] = {
    # name: (f(a), derivative of f written in terms of x = f(a))
    "tanh": (np.tanh, lambda x: 1.0 - x * x),
    "relu": (lambda a: np.maximum(a, 0.0), lambda x: (x > 0).astype(np.float64)),
    "sigmoid": (lambda a: 0.5 * (1.0 + np.tanh(0.5 * a)), lambda x: x * (1.0 - x)),
    "linear": (lambda a: a, np.ones_like),
}


@dataclass(frozen=True)
class Network:
    """A multilayer perceptron.

    Args:
        layers: number of units a layer, inputs first: (64, 32, 10).
        activation: of the hidden layers; the output layer is linear (its loss does the rest).
    """

    layers: tuple[int, ...]
    activation: Activation = "tanh"

    def __post_init__(self) -> None:
        try:
            object.__setattr__(self, "layers", tuple(operator.index(n) for n in self.layers))
        except TypeError:
            text = f"layers={self.layers!r} must be whole numbers, such as (64, 32, 10)"
            raise ConfigError(text, key="layers") from None
        if len(self.layers) < 2 or any(n < 1 for n in self.layers):
            raise ConfigError(f"layers={self.label!r}: needs at least two layers of at least one unit", key="layers")
        if self.activation not in get_args(Activation):
            raise ConfigError(
                f"activation={self.activation!r} is not one of {', '.join(get_args(Activation))}",
                key="activation",
            )

    @classmethod
    def parse(cls, layers: str, activation: str = "tanh") -> Network:
        """From the form used in URLs and configurations, ``"64-32-10"``.

        Raises:
            ConfigError: not numbers joined by '-', or an unknown activation.
        """
        if not re.fullmatch(r"[0-9]{1,9}(-[0-9]{1,9})*", layers):
            raise ConfigError(f"layers={layers!r} is not of the form 64-32-10", key="layers")
        sizes = tuple(int(n) for n in layers.split("-"))
        return cls(sizes, activation)  # pyright: ignore[reportArgumentType]  (checked by __post_init__)

    @property
    def label(self) -> str:
        """The layers as ``"64-32-10"``."""
        return "-".join(str(n) for n in self.layers)

    def parameter_spec(self, window: float = math.inf) -> ParameterSpec:
        """Parameters of this network, for a device that holds weights in [-window, window] (weight units).

        Per layer ``l``: ``"l.weight"`` of shape (inputs, outputs), then ``"l.bias"`` of shape (outputs,), so that the
        two together are one (inputs + 1, outputs) block of the flat vector. Weights start with standard deviation
        1/sqrt(inputs) (LeCun), biases at 0.
        """
        tensors: list[TensorSpec] = []
        for index, (n_in, n_out) in enumerate(zip(self.layers[:-1], self.layers[1:], strict=True)):
            sd = 1.0 / math.sqrt(n_in)
            tensors.append(TensorSpec(f"{index}.weight", (n_in, n_out), -window, window, initial_sd=sd))
            tensors.append(TensorSpec(f"{index}.bias", (n_out,), -window, window))
        return ParameterSpec(tuple(tensors))

    def blocks(self, theta: Array) -> list[Array]:
        """Views of theta (..., n_params), a layer each: (..., inputs + 1, outputs), the bias as the last row."""
        views: list[Array] = []
        start = 0
        for n_in, n_out in zip(self.layers[:-1], self.layers[1:], strict=True):
            stop = start + (n_in + 1) * n_out
            views.append(theta[..., start:stop].reshape(*theta.shape[:-1], n_in + 1, n_out))
            start = stop
        return views

    def forward(self, theta: Array, inputs: Array) -> list[Array]:
        """Pre-activations ``a_l`` of every layer, each (batch, units), for inputs (batch, layers[0]), without noise."""
        activate, _ = ACTIVATIONS[self.activation]
        nodes: list[Array] = []
        x = inputs
        for block in self.blocks(theta):
            if nodes:
                x = activate(nodes[-1])
            nodes.append(x @ block[:-1] + block[-1])
        return nodes

    def gradient(self, theta: Array, inputs: Array, targets: Targets, loss: Loss) -> tuple[float, Array]:
        """Mean loss and its gradient (n_params,) by backpropagation in float64: a reference only."""
        activate, slope = ACTIVATIONS[self.activation]
        nodes = self.forward(theta, inputs)
        losses = sample_losses(nodes[-1], targets, loss)
        delta: Array = output_gradient(nodes[-1], targets, loss) / len(inputs)
        gradient = np.empty_like(theta)
        weights, slots = self.blocks(theta), self.blocks(gradient)
        for index in range(len(weights) - 1, -1, -1):
            x = activate(nodes[index - 1]) if index else inputs
            slots[index][:-1] = x.T @ delta
            slots[index][-1] = delta.sum(axis=0)
            if index:
                delta = np.multiply(delta @ weights[index][:-1].T, slope(x))
        return float(losses.mean()), gradient


def sample_losses(outputs: Array, targets: Targets, loss: Loss) -> Array:
    """Loss of each sample (..., batch), from outputs (..., batch, units).

    ``cross-entropy``: softmax cross-entropy in nats, targets (batch,) class numbers.
    ``squared-error``: mean over the units of (output - target)^2, targets (batch, units).
    """
    if loss == "cross-entropy":
        peak = outputs.max(axis=-1)
        total = np.exp(outputs - peak[..., None]).sum(axis=-1)
        picked = outputs[..., np.arange(outputs.shape[-2]), targets.astype(np.intp)]
        return np.log(total) + peak - picked
    return np.square(outputs - targets).mean(axis=-1)


def output_gradient(outputs: Array, targets: Targets, loss: Loss) -> Array:
    """Derivative of each sample's loss with respect to the outputs, (batch, units)."""
    if loss == "cross-entropy":
        exponent = np.exp(outputs - outputs.max(axis=-1, keepdims=True))
        gradient = exponent / exponent.sum(axis=-1, keepdims=True)
        gradient[np.arange(len(outputs)), targets.astype(np.intp)] -= 1.0
        return gradient
    return 2.0 * (outputs - targets) / outputs.shape[-1]


def accuracy(outputs: Array, targets: Targets, loss: Loss) -> Array:
    """Fraction of samples told right (...,), from outputs (..., batch, units).

    With ``squared-error`` a sample is right when every output lies on its target's side of the midpoint between the
    two target values, which for one target value only is the value itself.
    """
    if loss == "cross-entropy":
        return (outputs.argmax(axis=-1) == targets).mean(axis=-1)
    middle = 0.5 * (targets.max() + targets.min())
    return ((outputs > middle) == (targets > middle)).all(axis=-1).mean(axis=-1)
