"""One entry for every kind of source; a file is told by its name's ending and by what it says of itself."""

from __future__ import annotations

from pathlib import Path

from hwzo.deploy.bundle import read_bundle
from hwzo.deploy.sources import nir_file, onnx_file, safetensors_file, sklearn_mlp, state_dict, torch_file, torch_object
from hwzo.deploy.sources.chain import activation_named
from hwzo.deploy.sources.foreign import for_task, foreign_weights
from hwzo.errors import ConfigError, FileError
from hwzo.network import Network
from hwzo.parameters import Array
from hwzo.say import Say
from hwzo.train.evaluate import load_weights
from hwzo.train.weights import Weights

KINDS = "a run's folder, .safetensors, .pt or .pth (a state dict), .onnx, .nir, a bundle's .zip, or a deployment's .h5"


def load_source(
    source: str | Path | object,
    *,
    task: str | None = None,
    layers: str | None = None,
    activation: str | None = None,
    say: Say = lambda text: None,
) -> Weights:
    """Learned weights from wherever they lie.

    Args:
        source: a run's folder; a file of weights (.safetensors, .pt, .pth, .onnx, .nir, a bundle's .zip, a deployment's
            .h5); or an object: `Weights`, a scikit-learn MLP, a torch module, a state dict.
        task: what they were learned for, if the source doesn't say, or instead of what it says.
        layers: the network, such as ``"28x28x1-16c3-p2-10"``, where tensors alone don't tell it.
        activation: of the hidden layers, where the source doesn't say: tanh, relu, sigmoid or linear.
        say: is told what a user should know, a line each.

    Raises:
        FileError: missing, damaged, or of a kind that isn't read.
        ConfigError: a network that hwzo has no layers for; names what it is. Another one than ``layers``: shows both.
    """
    if isinstance(source, str | Path):
        path = Path(source)
        return _from_file(path, task=task, layers=layers, activation=activation, say=say)
    if isinstance(source, Weights):
        return for_task(source, task)
    if sklearn_mlp.looks_like_one(source):
        where = f"scikit-learn's {type(source).__name__}"
        found = sklearn_mlp.network_of(source, say)
    elif torch_object.is_module(source) or torch_object.is_state_dict(source):
        where = type(source).__name__
        found = torch_object.network_of(source, layers=layers, activation=activation, say=say)
    else:
        if hasattr(source, "named_steps"):
            raise ConfigError(
                f"a {type(source).__name__} has more steps than a network; give its last one, and what the others make "
                "of the inputs as a task's inputs",
                key="source",
            )
        raise ConfigError(
            f"a {type(source).__name__} is no source of weights; give Weights, a fitted MLPClassifier, a torch module, "
            f"a state dict, or the path of {KINDS}",
            key="source",
        )
    return _made(found, where, task, layers, activation, say)


def _from_file(path: Path, *, task: str | None, layers: str | None, activation: str | None, say: Say) -> Weights:
    try:
        is_file, exists, kind = path.is_file(), path.exists(), path.suffix.lower()
    except (OSError, ValueError) as error:
        raise FileError(f"{str(path)!r} can't be looked at: {getattr(error, 'strerror', None) or error}") from error
    if not is_file:
        if not exists:
            raise FileError(f"{path} does not exist; expected {KINDS}", key="source")
        return for_task(load_weights(path), task)
    where = str(path)
    if kind == ".safetensors":
        if safetensors_file.is_ours(path):
            return for_task(Weights.load(path), task)
        found = _from_tensors(safetensors_file.tensors_of(path), where, False, layers, activation, say)
    elif kind in (".pt", ".pth"):
        found = _from_tensors(torch_file.tensors_of(path), where, True, layers, activation, say)
    elif kind == ".onnx":
        found = onnx_file.network_of(path, layers=layers, say=say)
    elif kind == ".nir":
        found = nir_file.network_of(path, activation=activation, say=say)
    elif kind == ".h5":
        from hwzo.deploy.deployment import Deployment  # it takes h5py, which nothing else here does

        return for_task(Deployment.load(path).weights, task)
    elif kind == ".zip":
        return for_task(read_bundle(path).weights, task)
    else:
        raise FileError(f"{path} is of no kind that holds weights; expected {KINDS}", key="source")
    return _made(found, where, task, layers, activation, say)


def _from_tensors(
    tensors: dict[str, state_dict.Tensor],
    where: str,
    ordered: bool,
    layers: str | None,
    activation: str | None,
    say: Say,
) -> tuple[Network, Array]:
    return state_dict.network_of(tensors, where=where, layers=layers, activation=activation, ordered=ordered, say=say)


def _made(
    found: tuple[Network, Array], where: str, task: str | None, layers: str | None, activation: str | None, say: Say
) -> Weights:
    network, theta = found
    if layers is not None and network.label != Network.parse(layers).label:
        raise ConfigError(f"{where} is {network.label}; asked for was {layers}", key="layers")
    if activation is not None and len(network.stages) > 1 and not _alike(activation, network.activation):
        raise ConfigError(
            f"{where} has {network.activation} between its layers; activation = {activation!r} was asked for",
            key="activation",
        )
    return foreign_weights(network, theta, task=task, where=where, say=say)


def _alike(asked: str, found: str) -> bool:
    return activation_named(asked) == found
