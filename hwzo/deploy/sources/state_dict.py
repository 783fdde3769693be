"""Named tensors, as torch's ``state_dict`` has them: weights (outputs, inputs), kernels (outputs, inputs, y, x)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwzo.deploy.sources.chain import Chain, activation_named
from hwzo.errors import ConfigError
from hwzo.network import Network
from hwzo.parameters import Array
from hwzo.say import Say
from hwzo.stages import Convolution, Dense

Tensor = NDArray[Any]
COUNTERS = ("num_batches_tracked",)
KNOWN = {
    "running_mean": "a batch norm",
    "running_var": "a batch norm",
    "weight_ih_l0": "a recurrent layer",
    "weight_hh_l0": "a recurrent layer",
    "in_proj_weight": "attention",
}
"""What tensors of these names belong to."""


def network_of(
    tensors: Mapping[str, Tensor],
    *,
    where: str,
    layers: str | None,
    activation: str | None,
    ordered: bool,
    say: Say = lambda text: None,
) -> tuple[Network, Array]:
    """The network that named tensors are, and its parameters (n_params,).

    Args:
        tensors: weights and biases, by name.
        where: the source, for messages.
        layers: the network, for what names and shapes don't tell, such as strides and pools.
        activation: of the hidden layers.
        ordered: whether they come in the network's order; if not, names are sorted, numbers in them by their value.
        say: is told the order.

    Raises:
        ConfigError: tensors that no layer has; layers that don't follow each other; no activation, or no ``layers``
            where it takes them; another network than ``layers``: both are shown.
    """
    pairs = _pairs(tensors, where)
    names = list(pairs) if ordered else sorted(pairs, key=_natural)
    if not ordered:
        names = _in_sequence(names, pairs)
    if activation is None and len(names) > 1:
        raise ConfigError(
            f"{where}: names of tensors don't tell what stands between the layers; add --activation tanh (or relu, "
            "sigmoid, linear)",
            key="activation",
        )
    kind = activation_named(activation) if activation is not None else "linear"
    shapes = ", ".join(f"{name} {tuple(pairs[name][0].shape)}" for name in names)
    if layers is None and any(pairs[name][0].ndim == 4 for name in names):
        raise ConfigError(
            f"{where}: {shapes}: tensors don't tell a convolution's image, stride and pool; add --layers, such as "
            "28x28x1-16c3-p2-10",
            key="layers",
        )
    if len(names) > 1 or not ordered:
        say(f"{where}: layers in the order {', '.join(names)}")
    if layers is None:
        chain = Chain(where, None, say)
        for name in names:
            chain.dense(name, np.transpose(pairs[name][0]), pairs[name][1])
            if name != names[-1]:
                chain.activate(name, kind)
        return chain.end()
    wanted = Network.parse(layers, kind)
    if len(wanted.stages) != len(names):
        raise ConfigError(
            f"{where} has {len(names)} layers, {shapes}; layers = {layers!r} has {len(wanted.stages)}", key="layers"
        )
    chain = Chain(where, _begin(wanted), say)
    for name, stage in zip(names, wanted.stages, strict=True):
        weight, bias = pairs[name]
        if isinstance(stage, Convolution):
            chain.convolution(name, weight, bias, stride=stage.stride, padding=stage.padding)
        else:
            chain.flatten()
            chain.dense(name, np.transpose(weight), bias)
        if name != names[-1]:
            chain.activate(name, kind)
        if isinstance(stage, Convolution) and stage.pool > 1:
            chain.pool(name, stage.pooling, stage.pool, stage.pool)
    network, theta = chain.end()
    if network.label != wanted.label:
        raise ConfigError(f"{where} is {network.label}, {shapes}; asked for was {wanted.label}", key="layers")
    return network, theta


def _begin(network: Network) -> tuple[int, ...]:
    """The shape of an input as other libraries have it."""
    first = network.stages[0]
    if isinstance(first, Convolution):
        height, width, channels = first.image
        return channels, height, width
    if not isinstance(first, Dense):
        raise ConfigError(f"layers = {network.label!r}: recurrent layers are not read from named tensors", key="layers")
    return (first.rows,)


def _pairs(tensors: Mapping[str, Tensor], where: str) -> dict[str, tuple[Tensor, Tensor | None]]:
    """Weight and bias of each layer, by the layer's name."""
    weights: dict[str, Tensor] = {}
    biases: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        layer, _, kind = name.rpartition(".")
        if kind in COUNTERS:
            continue
        if kind == "weight" and tensor.ndim in (2, 4):
            weights[layer or name] = tensor
        elif kind == "bias" and tensor.ndim == 1:
            biases[layer or "weight"] = tensor
        else:
            of = f", of {KNOWN[kind]}" if kind in KNOWN else ""
            hint = " ONNX files of such networks are read, if it follows a layer of weights." if "batch" in of else ""
            raise ConfigError(
                f"{where}: tensor {name!r} {tuple(tensor.shape)}{of} is not the weight or bias of a dense or "
                f"convolutional layer, NAME.weight (outputs, inputs) and NAME.bias (outputs,).{hint}",
                key="source",
            )
    lonely = [name for name in biases if name not in weights]
    if lonely:
        raise ConfigError(f"{where}: {lonely[0]}.bias has no {lonely[0]}.weight beside it", key="source")
    if not weights:
        raise ConfigError(f"{where}: there is no weight in it", key="source")
    return {name: (weight, biases.get(name)) for name, weight in weights.items()}


def _natural(name: str) -> list[tuple[int, str]]:
    """A name's parts for sorting: layer 2 before layer 10."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name) if part]


def _in_sequence(names: list[str], pairs: Mapping[str, tuple[Tensor, Tensor | None]]) -> list[str]:
    """The names in an order in which each dense layer takes what the one before gives; as they are if none is."""

    def follows(one: str, other: str) -> bool:
        before, after = pairs[one][0], pairs[other][0]
        if after.ndim == 4:
            return before.ndim == 4 and before.shape[0] == after.shape[1]
        if before.ndim == 4:  # a flattened image: pixels times channels
            return after.shape[1] % before.shape[0] == 0
        return before.shape[0] == after.shape[1]

    if all(follows(one, other) for one, other in pairwise(names)):
        return names
    turns = 0

    def extended(path: list[str]) -> list[str] | None:
        nonlocal turns
        turns += 1
        if len(path) == len(names) or turns > 10_000:
            return path
        for name in names:
            if name not in path and (not path or follows(path[-1], name)):
                found = extended([*path, name])
                if found is not None:
                    return found
        return None

    found = extended([])
    return found if found is not None and len(found) == len(names) else names
