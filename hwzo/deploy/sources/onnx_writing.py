"""Networks to ONNX files: dense and convolutional layers in float32, which is what other tools compute in."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from hwzo.deploy.sources.onnx_file import Foreign
from hwzo.errors import ConfigError
from hwzo.extras import extra
from hwzo.network import Network
from hwzo.parameters import Array
from hwzo.stages import Convolution, Dense
from hwzo.train.tensors import write_atomically
from hwzo.train.weights import Weights

OPSET, IR_VERSION = 13, 8
"""Old enough for whatever reads ONNX today, and what each node below means in it."""
NODES = {"tanh": "Tanh", "relu": "Relu", "sigmoid": "Sigmoid"}
POOLS = {"p": "MaxPool", "a": "AveragePool"}


def write_onnx(weights: Weights, path: str | Path) -> None:
    """Write weights as an ONNX file: ``inputs`` (batch, n) or (batch, channel, y, x) to ``outputs`` (batch, n).

    Weights are those of the network, in its own units, rounded to float32.

    Raises:
        FileError: not writable.
        ConfigError: recurrent layers, an activation that ONNX has no node for, weights of no network; or the package
            ``onnx`` isn't installed.
    """
    onnx = extra("onnx", "ONNX files")
    if not weights.layers:
        raise ConfigError("these weights are of a device that is no network; there is nothing to write as ONNX")
    network = Network.parse(weights.layers, weights.activation)
    write_atomically(Path(path), _model(onnx, network, weights.theta).SerializeToString(deterministic=True))


def _model(onnx: Foreign, network: Network, theta: Array) -> Foreign:
    make, number = onnx.helper, onnx.TensorProto.FLOAT
    nodes: list[Foreign] = []
    constants: list[Foreign] = []
    now = "inputs"

    def add(kind: str, *given: str, **attributes: object) -> None:
        nonlocal now
        output = f"{kind.lower()}_{len(nodes)}"
        nodes.append(make.make_node(kind, [now, *given], [output], name=output, **attributes))
        now = output

    def constant(name: str, values: Array) -> str:
        constants.append(onnx.numpy_helper.from_array(np.ascontiguousarray(values, dtype=np.float32), name))
        return name

    stages = network.stages
    if len(stages) > 1 and network.activation not in (*NODES, "linear"):
        raise ConfigError(f"activation {network.activation!r} has no node in ONNX; tanh, relu and sigmoid have")
    image: tuple[int, int, int] | None = None  # (y, x, channel), where the value is one
    shape: list[object] = ["batch", network.layers[0]]
    if isinstance(first := network.stages[0], Convolution):
        image = first.image
        shape = ["batch", image[2], *image[:2]]
    for index, (stage, block) in enumerate(zip(network.stages, network.blocks(theta), strict=True)):
        weight, bias = block[:-1], constant(f"{index}.bias", block[-1])
        if isinstance(stage, Convolution):
            side, depth = stage.kernel, stage.image[2]
            kernels = np.transpose(np.reshape(weight, (side, side, depth, stage.columns)), (3, 2, 0, 1))
            stride, pads = [stage.stride] * 2, [stage.padding] * 4
            add("Conv", constant(f"{index}.weight", kernels), bias, strides=stride, pads=pads)
        elif isinstance(stage, Dense):
            if image is not None:
                height, width, channels = image
                ordered = np.transpose(np.reshape(weight, (height, width, channels, -1)), (2, 0, 1, 3))
                weight = np.reshape(ordered, (stage.rows, -1))
                add("Flatten", axis=1)
                image = None
            add("Gemm", constant(f"{index}.weight", np.transpose(weight)), bias, transB=1)
        else:
            raise ConfigError(f"layer {index}, {stage.token!r}, is recurrent; ONNX files of it are not written")
        if index + 1 < len(network.stages) and network.activation in NODES:
            add(NODES[network.activation])
        if isinstance(stage, Convolution):
            image = stage.output
            if stage.pool > 1:
                add(POOLS[stage.pooling], kernel_shape=[stage.pool] * 2, strides=[stage.pool] * 2)
    nodes[-1].output[0] = "outputs"
    named = re.sub(r"\W+", "_", f"hwzo_{network.label}")
    graph = make.make_graph(
        nodes,
        named,
        [make.make_tensor_value_info("inputs", number, shape)],
        [make.make_tensor_value_info("outputs", number, ["batch", network.layers[-1]])],
        constants,
    )
    opset = [make.make_opsetid("", OPSET)]
    return make.make_model(graph, producer_name="hwzo", opset_imports=opset, ir_version=IR_VERSION)
