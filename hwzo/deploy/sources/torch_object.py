"""A torch module or state dict as an object of Python, taken by what it can do: torch isn't imported."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from hwzo.deploy.sources.chain import Chain
from hwzo.deploy.sources.state_dict import network_of as network_of_tensors
from hwzo.errors import ConfigError
from hwzo.network import Network
from hwzo.parameters import Array
from hwzo.say import Say

Foreign = Any
ACTIVATION = {
    "Tanh": "tanh",
    "ReLU": "relu",
    "Sigmoid": "sigmoid",
    "Softmax": "softmax",
    "LogSoftmax": "logsoftmax",
}
SKIPPED = ("Identity", "Dropout", "Dropout1d", "Dropout2d")
TAKEN = ("Sequential", "Linear", "Conv2d", "BatchNorm1d", "BatchNorm2d", "MaxPool2d", "AvgPool2d", "Flatten")


def is_module(source: object) -> bool:
    """Whether it is a module of torch, or looks like one."""
    return callable(getattr(source, "state_dict", None)) and callable(getattr(source, "children", None))


def is_state_dict(source: object) -> bool:
    """Whether it is a mapping from names to tensors or arrays."""
    if not isinstance(source, Mapping) or not source:
        return False
    items = cast("Mapping[object, object]", source)
    return all(isinstance(name, str) and hasattr(value, "shape") for name, value in items.items())


def network_of(
    source: Foreign, *, layers: str | None, activation: str | None, say: Say = lambda text: None
) -> tuple[Network, Array]:
    """The network, and its parameters (n_params,).

    A Sequential tells its activations and pools; of any other module only the tensors are looked at.

    Raises:
        ConfigError: a module that hwzo has no layer for, named; for other reasons see `Chain` and `state_dict`.
    """
    if not is_module(source):
        tensors = {name: _array(value) for name, value in source.items()}
        return network_of_tensors(
            tensors, where="the state dict", layers=layers, activation=activation, ordered=True, say=say
        )
    where = type(source).__name__
    if where != "Sequential":
        tensors = {name: _array(value) for name, value in source.state_dict().items()}
        return network_of_tensors(tensors, where=where, layers=layers, activation=activation, ordered=True, say=say)
    wanted = Network.parse(layers) if layers is not None else None
    shape = None
    if wanted is not None:
        sides = tuple(int(n) for n in wanted.stages[0].takes.split("x"))
        shape = (sides[2], *sides[:2]) if len(sides) == 3 else sides
    chain = Chain(where, shape, say)
    for name, module in _modules(source, ""):
        _add(chain, name, module)
    network, theta = chain.end()
    if wanted is not None and network.label != wanted.label:
        raise ConfigError(f"{where} is {network.label}; asked for was {wanted.label}", key="layers")
    return network, theta


def _modules(module: Foreign, prefix: str) -> Iterator[tuple[str, Foreign]]:
    """Every module of a Sequential, those of Sequentials in it too."""
    for name, child in module.named_children():
        if type(child).__name__ == "Sequential":
            yield from _modules(child, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", child


def _add(chain: Chain, name: str, module: Foreign) -> None:
    kind = type(module).__name__
    named = f"{name} ({kind})"

    def refuse(text: str) -> ConfigError:
        return ConfigError(f"Sequential, {named}: {text}", key="source")

    if kind in SKIPPED:
        return
    if kind in ACTIVATION:
        chain.activate(named, ACTIVATION[kind])
    elif kind == "Linear":
        chain.dense(named, np.transpose(_array(module.weight)), _bias(module))
    elif kind == "Conv2d":
        if chain.shape is None:
            raise refuse("it doesn't tell the size of its images; add layers, such as 28x28x1-16c3-p2-10")
        if module.groups != 1 or _one(module.dilation, refuse) != 1 or module.padding_mode != "zeros":
            raise refuse("groups, dilation or padding other than zeros; hwzo has none of them")
        if isinstance(module.padding, str):
            raise refuse(f"padding {module.padding!r}; give it as a number")
        stride, padding = _one(module.stride, refuse), _one(module.padding, refuse)
        chain.convolution(named, _array(module.weight), _bias(module), stride=stride, padding=padding)
    elif kind in ("BatchNorm1d", "BatchNorm2d"):
        if module.running_var is None:
            raise refuse("it has no running mean and variance")
        factor = 1.0 / np.sqrt(_array(module.running_var) + module.eps)
        offset = -_array(module.running_mean) * factor
        if module.weight is not None:
            factor, offset = (each * _array(module.weight) for each in (factor, offset))
            offset = offset + _array(module.bias)
        chain.scale(named, factor, offset)
    elif kind in ("MaxPool2d", "AvgPool2d"):
        if _one(module.padding, refuse) or module.ceil_mode or _one(getattr(module, "dilation", 1), refuse) != 1:
            raise refuse("padding, dilation or rounding up; hwzo's pools have none of them")
        side = _one(module.kernel_size, refuse)
        chain.pool(named, "p" if kind == "MaxPool2d" else "a", side, _one(module.stride, refuse))
    elif kind == "Flatten":
        chain.flatten()
    else:
        taken = ", ".join((*TAKEN, *ACTIVATION, *SKIPPED))
        raise refuse(f"hwzo has no layer for it; it takes {taken}")


def _one(value: Foreign, refuse: Callable[[str], ConfigError]) -> int:
    """A number that is the same in both directions."""
    values: set[Any] = set(cast("tuple[Any, ...]", value)) if isinstance(value, tuple) else {value}
    if len(values) != 1:
        raise refuse(f"{value} differs by direction; hwzo takes the same for both")
    return int(values.pop())


def _bias(module: Foreign) -> NDArray[np.float64] | None:
    return None if module.bias is None else _array(module.bias)


def _array(value: Foreign) -> NDArray[np.float64]:
    """A tensor, or whatever else makes an array, as float64."""
    for step in ("detach", "cpu", "double"):  # double: NumPy has no bfloat16
        if hasattr(value, step):
            value = getattr(value, step)()
    return np.asarray(value, dtype=np.float64)
