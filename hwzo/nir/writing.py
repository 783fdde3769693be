"""From a `Model` to a NIR file that any library which reads NIR can load."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np

from hwzo.errors import FileError
from hwzo.extras import extra
from hwzo.nir.model import CONSTANTS, Layer, Model
from hwzo.nir.reading import Foreign
from hwzo.parameters import Array
from hwzo.stages import Convolution


def save(path: str | Path, model: Model) -> None:
    """Write a network as a NIR file, weights and constants in float32, which is what other libraries compute in.

    Raises:
        FileError: not writable.
        ConfigError: ``nir`` isn't installed.
    """
    nir = extra("nir", "NIR files")
    graph = graph_of(model)
    try:
        nir.write(Path(path), graph)
    except OSError as error:
        raise FileError(f"NIR file {path} can't be written: {error}") from error


def graph_of(model: Model) -> Foreign:
    """The ``nir.NIRGraph`` of a model: Input, then for each layer its weights and its neurons, then Output."""
    nir = extra("nir", "NIR files")
    first = model.layers[0].stage
    shape = _shape((*first.image,)) if isinstance(first, Convolution) else (first.n_in,)
    nodes: dict[str, Foreign] = {"input": nir.Input(input_type=np.array(shape))}
    for index, layer in enumerate(model.layers):
        if not isinstance(layer.stage, Convolution) and len(shape) == 3:
            nodes[f"flatten_{index}"] = nir.Flatten(np.array(shape), start_dim=0)
        nodes[_free(nodes, layer.name or f"weights_{index}")] = _weights(nir, layer, shape)
        shape = _shape(layer.stage.output) if isinstance(layer.stage, Convolution) else (layer.stage.units,)
        if layer.neurons is not None:
            constants = {
                key: _ordered(layer.neurons.each(key, layer.stage.units), shape)
                for key in CONSTANTS[layer.neurons.kind]
            }
            nodes[_free(nodes, f"neurons_{index}")] = getattr(nir, layer.neurons.kind)(**constants)
    nodes["output"] = nir.Output(output_type=np.array(shape))
    names = list(nodes)
    edges = list(pairwise(names))
    return nir.NIRGraph(nodes=nodes, edges=edges, metadata=dict(model.metadata))


def _free(nodes: dict[str, Foreign], name: str) -> str:
    """A name that no node has yet."""
    name = name.replace("/", "_")
    while name in (*nodes, "output"):
        name += "_"
    return name


def _shape(image: tuple[int, int, int]) -> tuple[int, int, int]:
    """(y, x, channel) in NIR's order."""
    return image[2], image[0], image[1]


def _ordered(values: Array, shape: tuple[int, ...]) -> Foreign:
    """One number a unit in NIR's order and shape."""
    if len(shape) == 3:
        values = np.moveaxis(values.reshape(shape[1], shape[2], shape[0]), 2, 0)
    return np.array(values, dtype=np.float32)


def _weights(nir: Foreign, layer: Layer, before: tuple[int, ...]) -> Foreign:
    stage = layer.stage
    bias = layer.bias.astype(np.float32)
    if isinstance(stage, Convolution):
        k, depth = stage.kernel, stage.image[2]
        weight = np.transpose(layer.weight.reshape(k, k, depth, stage.columns), (3, 2, 0, 1))
        return nir.Conv2d(
            input_shape=stage.image[:2],
            weight=np.ascontiguousarray(weight, dtype=np.float32),
            stride=stage.stride,
            padding=stage.padding,
            dilation=1,
            groups=1,
            bias=bias,
        )
    weight = np.transpose(layer.weight)
    if len(before) == 3:
        channels, height, width = before
        weight = np.moveaxis(weight.reshape(-1, height, width, channels), 3, 1).reshape(len(weight), -1)
    matrix = np.ascontiguousarray(weight, dtype=np.float32)
    return nir.Affine(weight=matrix, bias=bias) if bias.any() else nir.Linear(weight=matrix)
