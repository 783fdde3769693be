"""Networks from and to NIR files; see `hwzo.nir` for what is taken of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from hwzo import nir
from hwzo.deploy.sources.chain import activation_named
from hwzo.errors import ConfigError
from hwzo.network import Network
from hwzo.parameters import Array
from hwzo.say import Say
from hwzo.train.weights import Weights


def network_of(path: Path, *, activation: str | None, say: Say = lambda text: None) -> tuple[Network, Array]:
    """The network of a NIR file, and its parameters (n_params,).

    Raises:
        FileError: missing, or not a NIR file.
        ConfigError: a node that isn't taken, named; spiking neurons, and no activation to put in their place.
    """
    model = nir.load(path)
    neurons = [f"{layer.neurons.kind} behind {layer.name!r}" for layer in model.layers if layer.neurons is not None]
    named = model.metadata.get("activation", activation)
    if named is None and neurons:
        raise ConfigError(
            f"NIR file {path} has neurons, {', '.join(neurons)}, and weights alone don't make the network; "
            "hwzo_backends.lava.nir_lif places neurons on Lava; to take its weights for a network without, add "
            "--activation lif-rate (or relu, tanh, sigmoid, linear)",
            key="activation",
        )
    if neurons:
        say(f"neurons are left off: {', '.join(neurons)}; {named} stands in their place")
    network = model.network
    if named is not None:
        network = replace(network, activation=activation_named(named))
    elif len(network.stages) > 1:
        say(f"NIR file {path} names no activation, so layers follow each other without one")
    return network, model.theta


def write_nir(weights: Weights, path: str | Path) -> None:
    """Write weights as a NIR file, float32; the activation goes into its metadata, since NIR has no node for one.

    Raises:
        FileError: not writable.
        ConfigError: recurrent layers or pools, for which NIR has no node; weights of no network; no package ``nir``.
    """
    if not weights.layers:
        raise ConfigError("these weights are of a device that is no network; there is nothing to write as NIR")
    network = Network.parse(weights.layers, weights.activation)
    nir.save(path, nir.Model.of(network, weights.theta))
