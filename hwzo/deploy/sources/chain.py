"""A network put together layer by layer from what another library calls its layers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hwzo.errors import ConfigError
from hwzo.network import Network
from hwzo.parameters import Array
from hwzo.say import Say
from hwzo.stages.convolution import Pooling

Numbers = NDArray[Any]
Ending = Literal["softmax", "log-softmax", "sigmoid"]

ACTIVATIONS = {
    "tanh": "tanh",
    "relu": "relu",
    "sigmoid": "sigmoid",
    "logistic": "sigmoid",
    "linear": "linear",
    "identity": "linear",
    "lif-rate": "lif-rate",
}
"""What other libraries call an activation, and what hwzo does."""
ENDINGS: dict[str, Ending] = {
    "softmax": "softmax",
    "logsoftmax": "log-softmax",
    "log-softmax": "log-softmax",
    "sigmoid": "sigmoid",
    "logistic": "sigmoid",
}
"""What may stand behind the last layer and is left off: the loss, or the choice of the largest, does it."""


@dataclass
class _Layer:
    """One weight layer: what a token of `hwzo.stages.parse_stages` says, and its numbers in hwzo's order."""

    name: str
    token: str
    weight: Array  # (rows, columns)
    bias: Array  # (columns,)
    activation: str | None = None
    pool: Pooling | None = None

    @property
    def convolutional(self) -> bool:
        return "c" in self.token


class Chain:
    """Layers as they come, turned into hwzo's: images (y, x, channel) where others have (channel, y, x).

    Args:
        where: the source, for messages.
        shape: of one input: (n,), (y, x) or (channel, y, x); None: what the first layer takes.
        say: is told what was left off or reordered.
    """

    def __init__(self, where: str, shape: tuple[int, ...] | None, say: Say = lambda text: None) -> None:
        self._where, self._say = where, say
        self._begin = self._shape = shape
        self._image: tuple[int, ...] | None = None  # (channel, y, x) that was flattened last
        self._layers: list[_Layer] = []

    @property
    def begun(self) -> bool:
        """Whether there is a layer of weights yet."""
        return bool(self._layers)

    @property
    def shape(self) -> tuple[int, ...] | None:
        """What the next layer is given, of one sample."""
        return self._shape

    def dense(self, name: str, weight: Numbers, bias: Numbers | None = None) -> None:
        """A layer of weight (inputs, outputs) and bias (outputs,)."""
        matrix = self._finite(name, "weight", weight)
        if matrix.ndim != 2 or 0 in matrix.shape:
            raise self._error(name, f"its weight has shape {matrix.shape}, not (inputs, outputs)")
        n_in, n_out = matrix.shape
        if self._shape is None:
            self._begin = self._shape = (n_in,)
        if len(self._shape) > 1:
            raise self._error(name, f"a dense layer is given {_by(self._shape)}; flatten comes before it")
        if self._shape != (n_in,):
            raise self._error(name, f"takes {n_in} numbers, and what comes before it gives {_by(self._shape)}")
        if self._image is not None and len(self._image) == 3 and self._image[0] > 1:
            matrix = np.moveaxis(matrix.reshape(*self._image, n_out), 0, 2).reshape(n_in, n_out)
            self._say(f"{name}: its inputs were reordered from (channel, y, x) to (y, x, channel)")
        self._image = None
        self._layers.append(_Layer(name, str(n_out), matrix, self._bias(name, bias, n_out)))
        self._shape = (n_out,)

    def convolution(
        self, name: str, weight: Numbers, bias: Numbers | None = None, *, stride: int = 1, padding: int = 0
    ) -> None:
        """A layer of kernels (outputs, inputs, side, side) and bias (outputs,)."""
        kernels = self._finite(name, "weight", weight)
        if kernels.ndim != 4 or kernels.shape[2] != kernels.shape[3] or 0 in kernels.shape:
            raise self._error(
                name, f"its kernels have shape {kernels.shape}; hwzo takes square ones, (outputs, inputs, side, side)"
            )
        channels, depth, side, _ = kernels.shape
        if self._shape is None or len(self._shape) != 3:
            given = "an unknown shape" if self._shape is None else _by(self._shape)
            raise self._error(name, f"a convolution takes (channel, y, x), and is given {given}")
        if self._shape[0] != depth:
            raise self._error(name, f"takes {depth} channels, and what comes before it gives {_by(self._shape)}")
        _, height, width = self._shape
        if not 0 <= padding < side or stride < 1 or side > min(height, width) + 2 * padding:
            raise self._error(
                name,
                f"kernels of {side}x{side}, stride {stride}, padding {padding} don't suit images of {height}x{width}",
            )
        matrix = np.transpose(kernels, (2, 3, 1, 0)).reshape(-1, channels)
        token = f"{channels}c{side}{f's{stride}' if stride > 1 else ''}{f'p{padding}' if padding else ''}"
        self._layers.append(_Layer(name, token, matrix, self._bias(name, bias, channels)))
        self._shape = (channels, *((n + 2 * padding - side) // stride + 1 for n in (height, width)))

    def scale(self, name: str, factor: Numbers, offset: Numbers) -> None:
        """Each unit, or channel, of the layer before times a factor, plus an offset: both go into its weights."""
        layer = self._last(name)
        if layer.activation is not None or layer.pool is not None:
            raise self._error(name, "a scale or an offset behind an activation or a pool; behind weights it is taken")
        by, plus = self._finite(name, "factor", factor), self._finite(name, "offset", offset)
        try:
            by, plus = (np.broadcast_to(each.ravel(), layer.bias.shape) for each in (by, plus))
        except ValueError:
            raise self._error(name, f"{factor.size} factors for the {layer.bias.size} units of {layer.name}") from None
        layer.weight, layer.bias = layer.weight * by, layer.bias * by + plus

    def activate(self, name: str, kind: str) -> None:
        """An activation behind a layer: one of `ACTIVATIONS`, or what may end a network, see `ENDINGS`."""
        layer = self._last(name)
        if layer.activation is not None:
            raise self._error(name, f"{kind} comes behind {layer.activation}; one activation a layer is taken")
        if kind not in ACTIVATIONS and kind not in ENDINGS:
            raise self._error(name, f"the activation {kind} is not one of tanh, relu, sigmoid and linear")
        if layer.pool == "a" and ACTIVATIONS.get(kind) != "linear":
            raise self._error(name, f"{kind} behind a mean pool; hwzo pools activations: put the pool behind it")
        layer.activation = kind

    def two_classes(self, name: str) -> None:
        """One class by the sigmoid of one output z, as two outputs with the same chances by softmax: -z/2 and z/2."""
        layer = self._last(name)
        if layer.bias.size != 1 or layer.activation not in ("sigmoid", "logistic"):
            raise self._error(name, "it makes two chances of something else than one sigmoid")
        layer.weight = 0.5 * np.concatenate([-layer.weight, layer.weight], axis=1)
        layer.bias = 0.5 * np.concatenate([-layer.bias, layer.bias])
        layer.token, layer.activation = "2", "softmax"
        self._shape = (2,)
        self._say("two classes: the one output z became two, -z/2 and z/2, whose softmax is the same")

    def pool(self, name: str, kind: Pooling, side: int, stride: int) -> None:
        """The largest (p) or the mean (a) of squares that don't overlap."""
        layer = self._last(name)
        if not layer.convolutional or layer.pool is not None or self._shape is None or len(self._shape) != 3:
            raise self._error(name, "a pool follows a convolution, once")
        if side != stride:
            raise self._error(name, f"a pool of {side}x{side} with stride {stride}; hwzo takes squares side by side")
        channels, height, width = self._shape
        if side == 1:
            return
        if not 2 <= side <= min(height, width):
            raise self._error(name, f"a pool of {side}x{side} on images of {height}x{width}")
        layer.pool, layer.token = kind, f"{layer.token}-{kind}{side}"
        self._shape = (channels, height // side, width // side)

    def flatten(self) -> None:
        """Whatever there is, as one row of numbers."""
        if self._shape is not None and len(self._shape) > 1:
            self._image, self._shape = self._shape, (math.prod(self._shape),)

    def end(self) -> tuple[Network, Array]:
        """The network, and its parameters (n_params,).

        Raises:
            ConfigError: no layer; activations that differ; one behind the last layer that matters.
        """
        if not self._layers:
            raise ConfigError(f"{self._where}: there is no layer of weights in it", key="source")
        *hidden, last = self._layers
        if last.convolutional:
            raise self._error(last.name, "the last layer must be dense: it gives the outputs")
        if last.activation is not None and last.activation in ENDINGS:
            self._say(f"the {ENDINGS[last.activation]} behind the last layer is left off: outputs are its inputs")
        elif last.activation is not None and ACTIVATIONS[last.activation] != "linear":
            raise self._error(
                last.name, f"{last.activation} behind the last layer; hwzo's outputs are linear: train it without"
            )
        kinds = {layer.name: _activation(layer.activation) for layer in hidden}
        for name, kind in kinds.items():
            if kind is None:
                raise self._error(name, "a softmax between layers; only the last may have one")
        if len(set(kinds.values())) > 1:
            listed = ", ".join(f"{kind} behind {name}" for name, kind in kinds.items())
            raise ConfigError(f"{self._where}: {listed}; hwzo takes the same behind every layer but the last")
        activation = next(iter(kinds.values()), None) or "linear"
        network = Network.parse("-".join((self._first, *(layer.token for layer in self._layers))), activation)
        blocks = [np.concatenate([layer.weight, layer.bias[None]]) for layer in self._layers]
        return network, np.concatenate([block.ravel() for block in blocks])

    # --- parts ---

    @property
    def _first(self) -> str:
        assert self._begin is not None  # the first layer has set it
        if self._layers[0].convolutional:
            return _by((*self._begin[1:], self._begin[0]))
        return str(math.prod(self._begin))

    def _last(self, name: str) -> _Layer:
        if not self._layers:
            raise self._error(name, "it comes before the first layer of weights; apply it to the inputs")
        return self._layers[-1]

    def _finite(self, name: str, what: str, values: Numbers) -> Array:
        try:
            array = np.array(values, dtype=np.float64)
        except (TypeError, ValueError):
            raise self._error(name, f"its {what} is no array of numbers") from None
        bad = ~np.isfinite(array)
        if bad.any():
            at = ", ".join(str(int(i)) for i in np.argwhere(bad)[0])
            raise self._error(
                name, f"its {what} holds {int(bad.sum())} numbers that are not finite, the first at [{at}]"
            )
        return array

    def _bias(self, name: str, bias: Numbers | None, units: int) -> Array:
        if bias is None:
            return np.zeros(units)
        array = self._finite(name, "bias", bias).ravel()
        if array.size not in (1, units):
            raise self._error(name, f"its bias has {array.size} numbers for {units} units")
        return np.array(np.broadcast_to(array, (units,)))

    def _error(self, name: str, text: str) -> ConfigError:
        return ConfigError(f"{self._where}, {name}: {text}", key="source")


def _activation(kind: str | None) -> str | None:
    """hwzo's name of what stands behind a hidden layer; nothing is linear, a softmax is None."""
    return "linear" if kind is None else ACTIVATIONS.get(kind)


def _by(shape: tuple[int, ...]) -> str:
    return "x".join(str(n) for n in shape)


def activation_named(name: str) -> str:
    """hwzo's name of an activation that a user has named.

    Raises:
        ConfigError: there is none of that name.
    """
    if name not in ACTIVATIONS:
        raise ConfigError(f"activation={name!r} is not one of {', '.join(ACTIVATIONS)}", key="activation")
    return ACTIVATIONS[name]
