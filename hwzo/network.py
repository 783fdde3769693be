"""A layered network as plain arrays: what a device's parameters mean when it is one.

Layer l computes ``a_l = x_{l-1} W_l + b_l`` and passes ``x_l = f(a_l)`` on; the last layer's ``a`` is the output. What
a convolution or a recurrent layer makes of its one matrix is told in `hwzo.stages`.
"""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from hwzo.errors import ConfigError
from hwzo.parameters import Array, ParameterSpec, TensorSpec
from hwzo.stages import Activate, Dense, Stage, parse_stages

Activation = Literal["tanh", "relu", "sigmoid", "linear", "lif-rate"]
Loss = Literal["cross-entropy", "squared-error"]
Targets = NDArray[np.int64] | Array

LIF_RATIO = 1.0
"""Membrane time constant of ``lif-rate`` over its refractory period."""
LIF_STEEPEST = 10.0
"""Largest derivative of ``lif-rate`` that backpropagation sees: the true one is unbounded at the threshold."""


def lif_rate(a: Array) -> Array:
    """Firing rate of a leaky integrate-and-fire neuron under constant input, over its largest rate, element by element.

    A neuron with threshold 1 and membrane time constant tau that is driven by ``a + 1`` reaches its threshold after
    ``tau ln(1 + 1/a)`` if a > 0, and never otherwise; then it rests for the refractory period t_ref. So::

        f(a) = 1 / (1 + LIF_RATIO ln(1 + 1/a))  for a > 0, else 0         with LIF_RATIO = tau / t_ref

    Gerstner and Kistler, Spiking Neuron Models (2002); Eliasmith and Anderson, Neural Engineering (2003).
    """
    above = np.maximum(a, 1e-300)  # 1/a must not overflow
    return np.where(a > 0.0, 1.0 / (1.0 + LIF_RATIO * np.log1p(1.0 / above)), 0.0)


def _lif_slope(x: Array) -> Array:
    """Derivative of `lif_rate` in terms of its value, at most `LIF_STEEPEST`.

    With s = ln(1 + 1/a) = (1/x - 1) / LIF_RATIO it is LIF_RATIO x^2 / (a (a + 1)) = LIF_RATIO x^2 (2 sinh(s/2))^2.
    """
    firing = np.maximum(x, 1e-2)  # below, it is steeper than the bound by far
    s = (1.0 / firing - 1.0) / LIF_RATIO
    slope = LIF_RATIO * np.square(2.0 * firing * np.sinh(0.5 * s))
    return np.where(x > 0.0, np.minimum(slope, LIF_STEEPEST), 0.0)


ACTIVATIONS: dict[str, tuple[Activate, Activate]] = {
    # name: (f(a), derivative of f written in terms of x = f(a))
    "tanh": (np.tanh, lambda x: 1.0 - x * x),
    "relu": (lambda a: np.maximum(a, 0.0), lambda x: (x > 0).astype(np.float64)),
    "sigmoid": (lambda a: 0.5 * (1.0 + np.tanh(0.5 * a)), lambda x: x * (1.0 - x)),
    "linear": (lambda a: a, np.ones_like),
    "lif-rate": (lif_rate, _lif_slope),
}


@dataclass(frozen=True)
class Network:
    """A multilayer perceptron, as ``Network((64, 32, 10))``; one with other layers is made by `Network.parse`.

    Args:
        layers: number of inputs, then of pre-activations that each weight layer has for a sample: units of a dense
            layer, positions times channels of a convolution, time steps times units of a recurrent layer.
        activation: of the hidden layers; the output layer is linear (its loss does the rest).
        stages: the weight layers; left out, they are dense.
    """

    layers: tuple[int, ...]
    activation: Activation = "tanh"
    stages: tuple[Stage, ...] = ()

    def __post_init__(self) -> None:
        try:
            object.__setattr__(self, "layers", tuple(operator.index(n) for n in self.layers))
        except TypeError:
            text = f"layers={self.layers!r} must be whole numbers, such as (64, 32, 10)"
            raise ConfigError(text, key="layers") from None
        if len(self.layers) < 2 or any(n < 1 for n in self.layers):
            label = "-".join(str(n) for n in self.layers)
            raise ConfigError(f"layers={label!r}: needs at least two layers of at least one unit", key="layers")
        if self.activation not in get_args(Activation):
            raise ConfigError(
                f"activation={self.activation!r} is not one of {', '.join(get_args(Activation))}",
                key="activation",
            )
        if not self.stages:
            object.__setattr__(self, "stages", tuple(Dense(n_in, n_out) for n_in, n_out in pairwise(self.layers)))
        elif self.layers != _layers_of(self.stages):
            raise ConfigError(
                f"layers={self.layers} are not those of the stages, {_layers_of(self.stages)}; let Network.parse make "
                "both",
                key="layers",
            )

    @classmethod
    def parse(cls, layers: str, activation: str = "tanh") -> Network:
        """From the form used in URLs and configurations, ``"64-32-10"``, ``"28x28x1-16c3-p2-10"``, ``"28x28-64r-10"``.

        See `hwzo.stages.parse_stages` for what may stand there.

        Raises:
            ConfigError: not tokens joined by '-', one that doesn't fit those before it, or an unknown activation.
        """
        stages = parse_stages(layers)
        return cls(_layers_of(stages), activation, stages)  # pyright: ignore[reportArgumentType]  (checked by __post_init__)

    @property
    def label(self) -> str:
        """The layers as ``"64-32-10"``: what `parse` makes the same network of."""
        return "-".join((self.stages[0].takes, *(stage.token for stage in self.stages)))

    @property
    def n_params(self) -> int:
        """Weights and biases."""
        return sum((stage.rows + 1) * stage.columns for stage in self.stages)

    def parameter_spec(self, window: float = math.inf) -> ParameterSpec:
        """Parameters of this network, for a device that holds weights in [-window, window] (weight units).

        Per layer ``l``: ``"l.weight"`` of shape (inputs, outputs), then ``"l.bias"`` of shape (outputs,), so that the
        two together are one (inputs + 1, outputs) block of the flat vector. A convolution's inputs are those of one
        patch, (ky, kx, channel), a recurrent layer's the features and then the states. Weights start with standard
        deviation 1/sqrt(inputs) (LeCun), biases at 0.
        """
        tensors: list[TensorSpec] = []
        for index, stage in enumerate(self.stages):
            sd = 1.0 / math.sqrt(stage.rows)
            tensors.append(TensorSpec(f"{index}.weight", (stage.rows, stage.columns), -window, window, initial_sd=sd))
            tensors.append(TensorSpec(f"{index}.bias", (stage.columns,), -window, window))
        return ParameterSpec(tuple(tensors))

    def blocks(self, theta: Array) -> list[Array]:
        """Views of theta (..., n_params), a layer each: (..., inputs + 1, outputs), the bias as the last row."""
        views: list[Array] = []
        start = 0
        for stage in self.stages:
            stop = start + (stage.rows + 1) * stage.columns
            views.append(theta[..., start:stop].reshape(*theta.shape[:-1], stage.rows + 1, stage.columns))
            start = stop
        return views

    def forward(self, theta: Array, inputs: Array) -> list[Array]:
        """Pre-activations ``a_l`` of every layer, each (..., batch, units), without noise.

        Args:
            theta: (..., n_params).
            inputs: (batch, layers[0]).
        """
        activate, _ = ACTIVATIONS[self.activation]
        nodes: list[Array] = []
        x = inputs
        for stage, block in zip(self.stages, self.blocks(theta), strict=True):

            def read(driven: Array, block: Array = block) -> Array:
                *lead, samples, reads, rows = driven.shape  # one product, not one a sample
                out = driven.reshape(*lead, samples * reads, rows) @ block[..., :-1, :] + block[..., -1:, :]
                return out.reshape(*out.shape[:-2], samples, reads, stage.columns)  # noqa: B023  (used in this turn)

            if nodes:
                x = self.stages[len(nodes) - 1].passed(nodes[-1], activate)
            nodes.append(stage.run(x, read, activate))
        return nodes

    def gradient(self, theta: Array, inputs: Array, targets: Targets, loss: Loss) -> tuple[float, Array]:
        """Mean loss and its gradient (n_params,) by backpropagation in float64: a reference only."""
        activate, slope = ACTIVATIONS[self.activation]
        nodes = self.forward(theta, inputs)
        losses = sample_losses(nodes[-1], targets, loss)
        gradient = np.empty_like(theta)
        weights, slots = self.blocks(theta), self.blocks(gradient)
        # By the pre-activations of each read, (batch, reads, columns); the output layer has one read.
        delta: Array = (output_gradient(nodes[-1], targets, loss) / len(inputs))[:, None, :]
        for index in range(len(weights) - 1, -1, -1):
            stage = self.stages[index]
            x = self.stages[index - 1].passed(nodes[index - 1], activate) if index else inputs
            flat = delta.reshape(-1, stage.columns)
            slots[index][:-1] = stage.driven(x, nodes[index], activate).reshape(-1, stage.rows).T @ flat
            slots[index][-1] = flat.sum(axis=0)
            if index:
                inward = stage.inward(delta, weights[index][:-1])
                before, weight = self.stages[index - 1], weights[index - 1][:-1]
                delta = before.backward(inward, nodes[index - 1], weight, activate, slope)
        return float(losses.mean()), gradient


def _layers_of(stages: tuple[Stage, ...]) -> tuple[int, ...]:
    return (stages[0].n_in, *(stage.units for stage in stages))


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
    """Derivative of each sample's loss with respect to the outputs (..., batch, units); of their shape."""
    if loss == "cross-entropy":
        exponent = np.exp(outputs - outputs.max(axis=-1, keepdims=True))
        gradient = exponent / exponent.sum(axis=-1, keepdims=True)
        gradient[..., np.arange(outputs.shape[-2]), targets.astype(np.intp)] -= 1.0
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
