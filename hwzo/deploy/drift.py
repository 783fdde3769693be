"""Keeping a deployment right while its cells drift: gains from a reference read, and rewriting what went too far."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from hwzo.deploy.mapped import MappedDevice
from hwzo.errors import CapabilityError
from hwzo.network import Network
from hwzo.parameters import Array
from hwzo.probes import Batch, Cost, Probes

Scope = Literal["global", "layer"]
READS = 4
"""A factor is a mean over all weights of a layer: what reading errs is soon averaged away."""
PASSES = 4
SAMPLES = 64


@dataclass(frozen=True, eq=False)
class Reference:
    """What a device gave when its weights were right.

    Args:
        weights: (n,) as read back, the network's weight units; None where they aren't read back.
        nodes: a layer each, (samples, units), for ``batch``; None where weights are.
        batch: what was applied for them.
    """

    weights: Array | None = None
    nodes: tuple[Array, ...] | None = None
    batch: Batch | None = None

    @classmethod
    def taken(cls, device: MappedDevice) -> Reference:
        """Of a device as it is now: of its weights if they are read back, else of its nodes, on random inputs.

        Raises:
            CapabilityError: it reads back neither.
        """
        if device.capabilities.reads_back("weights"):
            return cls(device.read(READS).mean(axis=0))
        network = _network(device)
        inputs = np.random.default_rng(0).uniform(-1.0, 1.0, (SAMPLES, network.layers[0]))
        batch = Batch(inputs, np.zeros((SAMPLES, network.layers[-1])), "squared-error")
        return cls(None, _nodes(device, batch), batch)


def compensate(device: MappedDevice, reference: Reference, scope: Scope = "layer") -> Array:
    """Multiply gains so that what has faded comes out as it did; nothing is written.

    A layer's factor is the one that brings what is read now nearest, in least squares, to the reference::

        f = sum(r w) / (sum(w^2) - m s^2)

    with r the reference, w the mean now of m numbers, and s^2 the variance that reading adds to each. One factor for
    all columns of an array, after its converters, is the compensation of V. Joshi et al., Nat. Commun. 11, 2473 (2020),
    doi:10.1038/s41467-020-16108-9.

    Args:
        device: mapped; its columns have gains.
        reference: of the same device, when it was right.
        scope: one factor for all layers, or one for each.

    Returns:
        The factors, (layers,). A layer of which nothing can be seen keeps 1.

    Raises:
        CapabilityError: a device without gains, or one that reads back neither weights nor nodes.
    """
    network = _network(device)
    if reference.weights is not None:
        reads = device.read(READS)
        noise = float(reads.var(axis=0, ddof=1).mean()) / READS if READS > 1 else 0.0
        was, now = network.blocks(reference.weights), network.blocks(reads.mean(axis=0))
        if scope == "global":
            factors = np.full(len(was), _factor(reference.weights, reads.mean(axis=0), noise))
        else:
            factors = np.array([_factor(a, b, noise) for a, b in zip(was, now, strict=True)])
        _scale(device, network, factors)
        return factors
    assert reference.nodes is not None
    assert reference.batch is not None
    # A layer is driven by those before it: these are put right first.
    factors = np.ones(len(network.stages))
    for layer, was in enumerate(reference.nodes):
        own = np.ones_like(factors)
        factor = _factor(was, _nodes(device, reference.batch)[layer], 0.0)
        own[layer:] = factor if scope == "global" else own[layer:]
        own[layer] = factor
        _scale(device, network, own)
        factors *= own
        if scope == "global":
            break
    return factors


def refresh(device: MappedDevice, theta: Array, tolerance: float) -> tuple[int, Cost]:
    """Write again what has moved further than that from where it shall be, at the scale that the gains now have.

    Args:
        device: mapped, reads back its weights.
        theta: (n,) the network's weights.
        tolerance: in the device's weight units, of its cells.

    Returns:
        How many were written, and what it took.

    Raises:
        CapabilityError: the device doesn't read back its weights.
    """
    wanted = device.parameters.clip(theta)
    off = device.mapping.cells(device.read(READS).mean(axis=0)) - device.mapping.cells(wanted)
    beyond = np.abs(off) > tolerance
    where = np.asarray(device.mapping.to_weights(beyond), dtype=np.bool_)
    return int(beyond.sum()), device.rewrite(wanted, where)


def _factor(was: Array, now: Array, noise: float) -> float:
    power = float(np.vdot(now, now)) - now.size * noise
    along = float(np.vdot(was, now))
    if not (power > 0.0 and along > 0.0):
        return 1.0
    factor = along / power
    return factor if np.isfinite(factor) else 1.0


def _scale(device: MappedDevice, network: Network, factors: Array) -> None:
    device.scale(np.repeat(factors, [stage.columns for stage in network.stages]))


def _network(device: MappedDevice) -> Network:
    network = device.capabilities.network
    if network is None or not device.capabilities.reads_back("nodes"):
        raise CapabilityError(
            f"{device.info} reads back neither weights nor nodes of a network, so drift can't be seen in it; write its "
            "weights again now and then"
        )
    return network


def _nodes(device: MappedDevice, batch: Batch) -> tuple[Array, ...]:
    nodes = device.measure(Probes.plain(PASSES, want="nodes"), batch).nodes
    assert nodes is not None
    return tuple(layer.mean(axis=0) for layer in nodes)
