"""Networks from ONNX files, https://onnx.ai: a chain of nodes from one input to the output, each a layer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwzo.deploy.sources.chain import Chain
from hwzo.errors import ConfigError, FileError
from hwzo.extras import extra
from hwzo.network import Network
from hwzo.parameters import Array
from hwzo.say import Say

Foreign = Any
"""Something of the package onnx, or a value out of a file."""
Numbers = NDArray[Any]

ACTIVATIONS = {
    "Tanh": "tanh",
    "Relu": "relu",
    "Sigmoid": "sigmoid",
    "Softmax": "softmax",
    "LogSoftmax": "logsoftmax",
}
PASSED = ("Identity", "Dropout", "Cast")
"""Nodes that leave numbers as they are."""
DECISIONS = (
    "ArgMax",
    "ArrayFeatureExtractor",
    "Cast",
    "Gather",
    "Identity",
    "Label",
    "LabelEncoder",
    "Normalizer",
    "Reshape",
    "Squeeze",
    "TopK",
    "ZipMap",
)
"""What may come behind the outputs and make a label of them."""
TAKEN = ("Gemm", "MatMul", "Add", "Mul", "Conv", "BatchNormalization", "MaxPool", "AveragePool", "Flatten", "Reshape")


def network_of(path: Path, *, layers: str | None, say: Say = lambda text: None) -> tuple[Network, Array]:
    """The network of an ONNX file, and its parameters (n_params,).

    Args:
        path: the file.
        layers: what the network should be, and the image's size where the file leaves it open.
        say: is told what was reordered or left off.

    Raises:
        FileError: missing, or not an ONNX file.
        ConfigError: a node that hwzo has no layer for, named with its type; branches; another network than ``layers``.
    """
    onnx = extra("onnx", "ONNX files")
    try:
        model = onnx.load_model_from_string(path.read_bytes())
    except OSError as error:
        raise FileError(f"ONNX file {path} can't be read: {error.strerror or error}") from error
    except Exception as error:  # protobuf's DecodeError; the module that has it is not onnx's own
        raise FileError(f"{path} is damaged, or no ONNX file: {error}") from error
    if not model.graph.node:
        raise FileError(f"{path} is damaged, or no ONNX file: there is no graph in it")
    wanted = Network.parse(layers) if layers is not None else None
    try:
        network, theta = _Walk(onnx, path, model.graph, wanted, say).run()
    except ConfigError:
        raise
    except (KeyError, IndexError, ValueError, TypeError, AttributeError) as error:  # nodes without what they need
        raise FileError(f"ONNX file {path} is damaged: {type(error).__name__}: {error}") from error
    if wanted is not None and network.label != wanted.label:
        raise ConfigError(f"ONNX file {path} is {network.label}; asked for was {wanted.label}", key="layers")
    return network, theta


class _Walk:
    """Along the nodes of a graph, in its order."""

    def __init__(self, onnx: Foreign, path: Path, graph: Foreign, wanted: Network | None, say: Say) -> None:
        self._onnx, self._graph, self._say = onnx, graph, say
        self._where = f"ONNX file {path}"
        self._constants: dict[str, Numbers] = {}
        for tensor in graph.initializer:
            self._constants[tensor.name] = self._numbers(tensor.name, tensor)
        inputs = [each for each in graph.input if each.name not in self._constants]
        if len(inputs) != 1:
            named = ", ".join(repr(each.name) for each in inputs)
            raise ConfigError(f"{self._where} has {len(inputs)} inputs, {named}; hwzo takes a network with one")
        self._now = str(inputs[0].name)  # the value that the next node takes
        self._chain = Chain(self._where, self._shape(inputs[0], wanted), say)
        self._dropped: list[str] = []
        self._other = ""  # the chance of the first class, where that of the second is now

    def run(self) -> tuple[Network, Array]:
        """The network and its parameters."""
        outputs = {str(each.name) for each in self._graph.output}
        ended = False
        for node in self._graph.node:
            if node.op_type == "Constant":
                self._constants[node.output[0]] = self._constant(node)
                continue
            if node.op_type in PASSED and node.input[0] in self._constants:
                self._constants[node.output[0]] = self._constants[node.input[0]]
                continue
            if not ended and self._pairs(node):
                continue
            if not ended:
                self._check_chain(node)
            if ended or (self._chain.begun and node.op_type in ("ArgMax", "ZipMap", "LabelEncoder")):
                ended = self._drop(node)
                continue
            self._take(node)
            self._now = str(node.output[0])
            ended = node.op_type in ("Softmax", "LogSoftmax")
        if not ended and self._now not in outputs:
            raise ConfigError(f"{self._where}: its nodes end in {self._now!r}, which is not among its outputs")
        if self._dropped:
            self._say(f"left off, since they only choose among the outputs: {', '.join(self._dropped)}")
        return self._chain.end()

    def _pairs(self, node: Foreign) -> bool:
        """Whether a node takes part in making two chances, 1 - p and p, of one, as converters do for two classes."""
        given = list(node.input)
        if node.op_type == "Sub" and given[1:] == [self._now] and np.all(self._constants.get(given[0], 0) == 1):
            self._other = str(node.output[0])
            return True
        if node.op_type == "Concat" and self._other and given == [self._other, self._now]:
            self._chain.two_classes(self._named(node))
            self._now = str(node.output[0])
            return True
        return False

    def _check_chain(self, node: Foreign) -> None:
        variables = [name for name in node.input if name and name not in self._constants]
        if variables != [self._now]:
            raise self._refuse(
                node, f"takes {', '.join(map(repr, variables)) or 'nothing'}; hwzo takes a chain, without branches"
            )

    def _drop(self, node: Foreign) -> bool:
        if node.op_type not in DECISIONS:
            raise self._refuse(node, "comes behind the outputs, where hwzo takes nothing but the choice of a class")
        self._dropped.append(str(node.op_type))
        return True

    def _take(self, node: Foreign) -> None:
        chain, name, kind = self._chain, self._named(node), str(node.op_type)
        given = self._attributes(node)
        if kind in PASSED:
            pass
        elif kind in ACTIVATIONS:
            chain.activate(name, ACTIVATIONS[kind])
        elif kind == "Gemm":
            self._gemm(node, name, given)
        elif kind == "MatMul":
            if node.input[0] in self._constants:
                raise self._refuse(node, "multiplies by its weights from the left; hwzo takes inputs times weights")
            chain.dense(name, self._constants[node.input[1]])
        elif kind in ("Add", "Mul"):
            number = next(self._constants[each] for each in node.input if each in self._constants)
            if number.size > 1 and self._per_unit(number.shape) != number.size:
                raise self._refuse(node, f"numbers of shape {number.shape} are not one for each unit or channel")
            one, none = np.ones(1), np.zeros(1)
            chain.scale(name, *((one, number) if kind == "Add" else (number, none)))
        elif kind == "Conv":
            self._convolution(node, name, given)
        elif kind == "BatchNormalization":
            scale, offset, mean, variance = (self._constants[each] for each in node.input[1:5])
            factor = scale / np.sqrt(variance.astype(np.float64) + float(given.get("epsilon", 1e-5)))
            chain.scale(name, factor, offset - mean * factor)
        elif kind in ("MaxPool", "AveragePool"):
            self._pool(node, name, given)
        elif kind in ("Flatten", "Reshape"):
            self._flatten(node, given)
        else:
            taken = ", ".join((*TAKEN, *ACTIVATIONS, *PASSED))
            raise self._refuse(node, f"hwzo has no layer for it; it takes {taken}")

    def _gemm(self, node: Foreign, name: str, given: dict[str, Any]) -> None:
        if given.get("transA", 0):
            raise self._refuse(node, "transA: hwzo takes one row a sample")
        weight = self._constants.get(node.input[1])
        if weight is None:
            raise self._refuse(node, "its weights are not in the file")
        weight = np.transpose(weight) if given.get("transB", 0) else weight
        bias = self._constants[node.input[2]] if len(node.input) > 2 and node.input[2] else None
        if bias is not None:
            bias = float(given.get("beta", 1.0)) * bias.astype(np.float64)
        self._chain.dense(name, float(given.get("alpha", 1.0)) * weight.astype(np.float64), bias)

    def _convolution(self, node: Foreign, name: str, given: dict[str, Any]) -> None:
        weight = self._constants.get(node.input[1])
        if weight is None:
            raise self._refuse(node, "its kernels are not in the file")
        if int(given.get("group", 1)) != 1 or self._one(node, given, "dilations", 1) != 1:
            raise self._refuse(node, "groups or dilation; hwzo has neither")
        stride, padding = self._one(node, given, "strides", 1), self._one(node, given, "pads", 0)
        auto = given.get("auto_pad", "NOTSET")
        if auto in ("SAME_UPPER", "SAME_LOWER"):
            if weight.shape[-1] % 2 == 0 or stride > 1:
                raise self._refuse(node, f"auto_pad={auto} takes an odd kernel and a stride of 1 here")
            padding = weight.shape[-1] // 2
        bias = self._constants[node.input[2]] if len(node.input) > 2 and node.input[2] else None
        self._chain.convolution(name, weight, bias, stride=stride, padding=padding)

    def _pool(self, node: Foreign, name: str, given: dict[str, Any]) -> None:
        if (
            self._one(node, given, "pads", 0)
            or int(given.get("ceil_mode", 0))
            or self._one(node, given, "dilations", 1) != 1
            or given.get("auto_pad", "NOTSET") not in ("NOTSET", "VALID")
        ):
            raise self._refuse(node, "padding, dilation or rounding up; hwzo's pools have none of them")
        side, stride = self._one(node, given, "kernel_shape", 1), self._one(node, given, "strides", 1)
        self._chain.pool(name, "p" if node.op_type == "MaxPool" else "a", side, stride)

    def _flatten(self, node: Foreign, given: dict[str, Any]) -> None:
        if node.op_type == "Flatten":
            fits = int(given.get("axis", 1)) == 1
        else:
            to = [int(n) for n in self._constants.get(node.input[1], np.zeros(0)).ravel()]
            size = int(np.prod(self._chain.shape)) if self._chain.shape is not None else None
            fits = len(to) == 2 and (to[1] in (-1, size) or to[0] == -1 == -to[1])
        if not fits:
            raise self._refuse(node, "reshapes to something else than one row a sample")
        self._chain.flatten()

    # --- what a file says ---

    def _shape(self, value: Foreign, wanted: Network | None) -> tuple[int, ...] | None:
        """Of one input, without the batch; None if the file leaves open what the first layer will tell."""
        dims = value.type.tensor_type.shape.dim[1:]
        sizes = [int(dim.dim_value) for dim in dims]
        if len(sizes) > 3:
            raise ConfigError(f"{self._where}: an input of {len(sizes)} dimensions; hwzo takes rows and images")
        if all(size > 0 for size in sizes):
            return tuple(sizes) or None
        if len(sizes) == 3 and wanted is not None:
            sides = tuple(int(n) for n in wanted.stages[0].takes.split("x"))
            if len(sides) == 3:
                return (sides[2], *sides[:2])
        if len(sizes) == 1:
            return None
        raise ConfigError(
            f"{self._where} leaves the size of its input {value.name!r} open; add --layers, such as 28x28x1-16c3-p2-10",
            key="layers",
        )

    def _numbers(self, name: str, tensor: Foreign) -> Numbers:
        if tensor.data_location == self._onnx.TensorProto.EXTERNAL or tensor.external_data:
            raise ConfigError(
                f"{self._where}: {name!r} lies in another file; save the model with its weights in one file"
            )
        try:
            return np.asarray(self._onnx.numpy_helper.to_array(tensor))
        except Exception as error:  # whatever a damaged tensor makes of it
            raise FileError(f"{self._where} is damaged: tensor {name!r}: {type(error).__name__}: {error}") from error

    def _constant(self, node: Foreign) -> Numbers:
        given = self._attributes(node)
        for key in ("value_int", "value_ints", "value_float", "value_floats"):
            if key in given:
                return np.asarray(given[key])
        if "value" not in given:
            raise self._refuse(node, "it is no array of numbers")
        return self._numbers(self._named(node), given["value"])

    def _attributes(self, node: Foreign) -> dict[str, Any]:
        given = {str(each.name): self._onnx.helper.get_attribute_value(each) for each in node.attribute}
        return {
            key: value.decode(errors="replace") if isinstance(value, bytes) else value for key, value in given.items()
        }

    def _one(self, node: Foreign, given: dict[str, Any], key: str, usual: int) -> int:
        """A number that is the same in all directions."""
        values = {int(n) for n in given.get(key, ())} or {usual}
        if len(values) != 1:
            raise self._refuse(node, f"{key} = {list(given[key])} differ by direction; hwzo takes the same for all")
        return values.pop()

    def _per_unit(self, shape: tuple[int, ...]) -> int:
        """How many units or channels an array that is added or multiplied has one number for; 0 if it has others."""
        channel = -1 if self._chain.shape is None or len(self._chain.shape) == 1 else -3
        return shape[channel] if len(shape) >= -channel else 0

    def _named(self, node: Foreign) -> str:
        return f"node {(node.name or node.output[0])!r} ({node.op_type})"

    def _refuse(self, node: Foreign, text: str) -> ConfigError:
        return ConfigError(f"{self._where}, {self._named(node)}: {text}", key="source")
