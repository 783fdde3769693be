"""From a NIR file to a `Model`: the chain of nodes from Input to Output, each turned into what hwzo has for it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any, TypeAlias, cast, get_args

import numpy as np

from hwzo.errors import ConfigError, FileError
from hwzo.extras import extra
from hwzo.nir.model import CONSTANTS, Kind, Layer, Model, Neurons
from hwzo.parameters import Array
from hwzo.stages import Convolution, Dense

READ_S = 20.0
"""A file that takes longer to read, by this and a second for each `SLOWEST` bytes, is taken for damaged."""
SLOWEST = 10_000_000
MEMORY = 4 << 30
"""Bytes that reading may take besides eight times the file's."""
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")  # their stacks count as memory
_TOO_LARGE = 3
_TRY = f"""
import sys, nir
try:
    import resource
    resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[2]),) * 2)
except (ImportError, ValueError, OSError):
    pass
try:
    nir.read(sys.argv[1], type_check=False)
except MemoryError:
    sys.exit({_TOO_LARGE})
except Exception:
    pass  # whoever asked will see it
"""
WEIGHTS = ("Linear", "Affine", "Conv2d")
TAKEN = (*WEIGHTS, "Flatten", *get_args(Kind))
Shape = tuple[int, ...]
Foreign: TypeAlias = Any
"""Something of the package nir, which carries no types, or a value out of a file."""


def load(path: str | Path) -> Model:
    """Read a network from a NIR file.

    Weights are turned into hwzo's order: matrices (inputs, outputs), images (y, x, channel), where NIR has (outputs,
    inputs) and (channel, y, x).

    A damaged file can make HDF5 loop for ever or crash, where nothing in this process could stop it; so another Python
    reads it first, half a second long.

    Raises:
        FileError: missing, damaged, or not a NIR file.
        ConfigError: a node or an edge that hwzo doesn't take, named, with those that it does; ``nir`` isn't installed.
    """
    nir = extra("nir", "NIR files")
    path = Path(path)
    _try_out(path)
    try:
        graph = nir.read(path, type_check=False)
    except Exception as error:  # a damaged file can make h5py and nir raise anything
        said = " ".join(str(error).split())[:300]  # HDF5 says much, in several lines
        raise FileError(f"NIR file {path} can't be read: {type(error).__name__}: {said}") from error
    if not isinstance(graph, nir.NIRGraph):
        raise FileError(f"NIR file {path} holds a {type(graph).__name__} alone, not a graph")
    try:
        return model_of(graph)
    except ConfigError as error:
        raise ConfigError(f"NIR file {path}: {error}", key=error.key) from None
    except (ValueError, TypeError, AttributeError, KeyError, IndexError, OverflowError, MemoryError) as error:
        raise FileError(f"NIR file {path} is damaged: {type(error).__name__}: {error}") from error


def _try_out(path: Path) -> None:
    """Have another process read the file, within bounds of time and memory.

    Raises:
        FileError: missing, or it took that process's life, or longer than it may.
    """
    try:
        size = path.stat().st_size
    except (OSError, ValueError) as error:
        what = "there is no such file" if isinstance(error, FileNotFoundError) else str(error)
        raise FileError(f"NIR file {path} can't be read: {what}") from error
    if not sys.executable:  # inside another program: there is no Python to start
        return
    seconds, memory = READ_S + size / SLOWEST, MEMORY + 8 * size
    command = [sys.executable, "-W", "ignore", "-c", _TRY, str(path), str(int(memory))]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **dict.fromkeys(_THREADS, "1")}
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds, env=environment, check=False
        )
    except subprocess.TimeoutExpired:
        raise FileError(f"NIR file {path} is damaged: HDF5 doesn't come to its end within {seconds:.0f} s") from None
    if done.returncode < 0:
        raise FileError(f"NIR file {path} is damaged: HDF5 crashes on it (signal {-done.returncode})")
    if done.returncode == _TOO_LARGE:
        raise FileError(f"NIR file {path} is damaged: its {size} bytes claim to hold more than {memory >> 30} GiB")


def model_of(graph: Foreign) -> Model:
    """The model that a ``nir.NIRGraph`` is.

    Raises:
        ConfigError: as for `load`.
    """
    names = _chain(graph)
    shape = _shape(names[0], graph.nodes[names[0]].input_type["input"])
    layers: list[Layer] = []
    flattened: Shape | None = None  # the image (channel, y, x) that a Flatten took apart
    for name in names[1:-1]:
        node = graph.nodes[name]
        kind = type(node).__name__
        if kind == "Flatten":
            flattened, shape = shape, (int(np.prod(shape)),)
        elif kind in WEIGHTS:
            layer = _convolution(name, node, shape) if kind == "Conv2d" else _dense(name, node, shape, flattened)
            layers.append(layer)
            flattened = None
            shape = _passed(layer)
        else:
            if not layers or layers[-1].neurons is not None:
                raise ConfigError(f"node {name!r} ({kind}) doesn't follow a layer of weights ({', '.join(WEIGHTS)})")
            last = layers[-1]
            layers[-1] = Layer(last.stage, last.weight, last.bias, _neurons(name, node, shape), last.name)
    if not layers:
        raise ConfigError(f"there is no layer of weights ({', '.join(WEIGHTS)}) between its Input and its Output")
    texts = {str(key): _text(value) for key, value in graph.metadata.items()}
    return Model(tuple(layers), texts)


def _chain(graph: Foreign) -> list[str]:
    """Names of the nodes from the Input to the Output, each with one way in and one way out."""
    nodes = cast("dict[str, Any]", graph.nodes)
    edges = [(str(one), str(other)) for one, other in graph.edges]
    for edge in edges:
        for name in edge:
            if name not in nodes:
                raise ConfigError(f"edge {edge[0]!r} -> {edge[1]!r} names a node that isn't there")
    ends = {kind: [name for name, node in nodes.items() if type(node).__name__ == kind] for kind in ("Input", "Output")}
    for kind, found in ends.items():
        if len(found) != 1:
            raise ConfigError(f"it has {len(found)} {kind} nodes; hwzo takes a chain with one")
    for name, node in nodes.items():
        kind = type(node).__name__
        if kind not in (*TAKEN, *ends):
            raise ConfigError(f"node {name!r} is a {kind}; hwzo takes {', '.join(TAKEN)}")
    names, reached = [ends["Input"][0]], {ends["Input"][0]}
    while True:
        onward = [other for one, other in edges if one == names[-1]]
        if names[-1] == ends["Output"][0]:
            break
        if len(onward) != 1:
            leads = f"leads to {', '.join(map(repr, onward))}" if onward else "leads nowhere"
            raise ConfigError(f"node {names[-1]!r} {leads}; hwzo takes a chain, without branches or recurrent edges")
        if onward[0] in reached:
            raise ConfigError(
                f"edge {names[-1]!r} -> {onward[0]!r} goes back; hwzo takes a chain without recurrent edges"
            )
        names.append(onward[0])
        reached.add(onward[0])
    unused = [name for name in nodes if name not in reached]
    if unused:
        raise ConfigError(f"node {unused[0]!r} isn't on the way from the Input to the Output; hwzo takes a chain")
    return names


def _shape(name: str, shape: Foreign) -> Shape:
    if shape is None:
        raise ConfigError(f"node {name!r} has no shape")
    return tuple(int(n) for n in np.asarray(shape).ravel() if n is not None)


def _array(name: str, node: Foreign, key: str) -> Array:
    try:
        return np.array(getattr(node, key), dtype=np.float64)
    except (TypeError, ValueError):
        raise ConfigError(f"node {name!r}: {key} isn't an array of numbers") from None


def _dense(name: str, node: Foreign, shape: Shape, flattened: Shape | None) -> Layer:
    weight = _array(name, node, "weight")
    if weight.ndim != 2:
        raise ConfigError(f"node {name!r}: weight has shape {weight.shape}, not (outputs, inputs)")
    n_out, n_in = weight.shape
    if int(np.prod(shape)) != n_in:
        raise ConfigError(f"node {name!r} takes {n_in} numbers; what comes before it gives {shape}")
    image = flattened or shape
    if len(image) == 3:  # (channel, y, x) to hwzo's order
        weight = np.moveaxis(weight.reshape(n_out, *image), 1, 3).reshape(n_out, n_in)
    bias = _array(name, node, "bias").ravel() if hasattr(node, "bias") else np.zeros(n_out)
    return Layer(Dense(n_in, n_out), np.ascontiguousarray(np.transpose(weight)), bias, name=name)


def _convolution(name: str, node: Foreign, shape: Shape) -> Layer:
    weight = _array(name, node, "weight")
    if weight.ndim != 4 or weight.shape[2] != weight.shape[3]:
        raise ConfigError(f"node {name!r}: weight has shape {weight.shape}; hwzo takes square kernels (out, in, k, k)")
    channels, depth, kernel, _ = weight.shape
    if len(shape) != 3 or shape[0] != depth:
        raise ConfigError(f"node {name!r} takes images of {depth} channels; what comes before it gives {shape}")
    stride = _one(name, "stride", node.stride)
    if int(np.asarray(node.groups)) != 1 or _one(name, "dilation", node.dilation) != 1:
        raise ConfigError(f"node {name!r}: groups = {node.groups}, dilation = {node.dilation}; hwzo takes 1 and 1")
    padding = node.padding.decode() if isinstance(node.padding, bytes) else node.padding
    if isinstance(padding, str):
        if padding == "same" and (kernel % 2 == 0 or stride > 1):
            raise ConfigError(f"node {name!r}: padding 'same' needs an odd kernel and a stride of 1 here")
        padding = kernel // 2 if padding == "same" else 0
    padding = _one(name, "padding", padding)
    if padding >= kernel or kernel > min(shape[1:]) + 2 * padding:
        raise ConfigError(f"node {name!r}: a {kernel}x{kernel} kernel and padding {padding} don't suit images {shape}")
    stage = Convolution((shape[1], shape[2], depth), channels, kernel, stride, padding)
    matrix = np.transpose(weight, (2, 3, 1, 0)).reshape(stage.rows, channels)
    bias = np.broadcast_to(_array(name, node, "bias").ravel(), (channels,))
    return Layer(stage, matrix, np.array(bias), name=name)


def _one(name: str, key: str, value: Foreign) -> int:
    """A number that is the same in both directions."""
    values = {int(n) for n in np.asarray(value).ravel()}
    if len(values) != 1:
        raise ConfigError(f"node {name!r}: {key} = {value} differs by direction; hwzo takes the same for both")
    return values.pop()


def _passed(layer: Layer) -> Shape:
    """What a layer gives, in NIR's order."""
    stage = layer.stage
    if isinstance(stage, Dense):
        return (stage.columns,)
    height, width, channels = stage.output
    return (channels, height, width)


def _neurons(name: str, node: Foreign, shape: Shape) -> Neurons:
    kind = cast(Kind, type(node).__name__)
    constants: dict[str, Array] = {}
    for key in CONSTANTS[kind]:
        value = _array(name, node, key)
        if value.size not in (1, int(np.prod(shape))):
            raise ConfigError(f"node {name!r}: {key} has shape {value.shape}, the layer before it {shape}")
        if value.size > 1 and len(shape) == 3:
            value = np.moveaxis(value.reshape(shape), 0, 2)
        constants[key] = value.ravel()
    try:
        return Neurons(kind, constants)
    except ConfigError as error:
        raise ConfigError(f"node {name!r}: {error}") from None


def _text(value: Foreign) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
