"""What the nodes of each layer did in R passes over the same samples, and the gradient that a three-factor rule makes
of it: presynaptic input x modulation x what the node did beyond its usual.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwzo.errors import CapabilityError, ConfigError
from hwzo.estimate.population import ROUNDING
from hwzo.network import ACTIVATIONS, Network
from hwzo.parameters import Array


@dataclass(frozen=True)
class LayerPasses:
    """One layer in R passes, a read of a sample each row (a dense layer has one read a sample).

    Args:
        driven: (R, batch * reads, rows): what was applied to the matrix; (1, ...) if it was the same in all passes.
        explored: (R, batch * reads, columns), units of the pre-activation: what the nodes did beyond their usual.
        heard: (batch * reads, columns): nodes that any pass passed on, see `hwzo.stages.Stage.heard`; None: all.
        reads: reads of a sample.
        variance: of what was explored in one pass, mean over samples and units.
    """

    driven: Array
    explored: Array
    heard: NDArray[np.bool_] | None
    reads: int
    variance: float

    @property
    def count(self) -> Array | float:
        """The layer's nodes of a sample that count in `energy`: (batch,), or one number for all samples."""
        if self.heard is None:
            return float(self.reads * self.explored.shape[2])
        heard: Array = self.heard.astype(np.float64).reshape(self.explored.shape[1] // self.reads, -1)
        return heard.sum(axis=-1)

    @property
    def energy(self) -> Array:
        """(R, batch): sum over the layer's nodes of what was explored, squared; nodes nobody heard don't count."""
        part = self.explored if self.heard is None else self.explored * self.heard
        squares: Array = np.add.reduce(np.square(part), axis=-1)
        return squares if self.reads == 1 else squares.reshape(len(squares), -1, self.reads).sum(axis=-1)


def heard_nodes(layers: Sequence[LayerPasses]) -> Array | float:
    """Nodes of all layers that counted in a sample, all but those that a pool passed over: (batch,), or one number."""
    return sum((layer.count for layer in layers), 0.0)


def own_noise(network: Network, theta: Array, inputs: Array, nodes: Sequence[Array]) -> list[LayerPasses]:
    """Each layer's own noise, without what the change of its input explains::

        R > 1:  e_l(r) = a_l(r) - x_{l-1}(r) W_l, less its mean over the R passes
        R = 1:  e_l    = a_l - x_{l-1} W_l - b_l

    W is the host's. With several passes, what the device's weights differ by from it cancels to first order; with one,
    it counts as noise, the same for every unit's samples.

    Args:
        network: what parameters and nodes mean.
        theta: (n_params,) what the host believes is programmed, weight units.
        inputs: (batch, network.layers[0]).
        nodes: a layer each, (R, batch, units), pre-activations as read.

    Raises:
        ConfigError: shapes.
        CapabilityError: a layer did nothing of its own, or less than its converter resolves.
    """
    passes = _checked(network, inputs, nodes)
    layers: list[LayerPasses] = []
    for (driven, activity, heard, reads), block in zip(
        _driven(network, inputs, nodes), network.blocks(theta), strict=True
    ):
        known: Array = driven @ block[:-1]
        if passes == 1:  # with more, the bias goes with the mean
            known += block[-1]
        explored: Array = activity - known
        variance = _beyond(explored, activity, f"layer {len(layers)} added no noise of its own")
        layers.append(LayerPasses(driven, explored, heard, reads, variance))
    return layers


def activity_changes(network: Network, inputs: Array, nodes: Sequence[Array]) -> list[LayerPasses]:
    """How each layer's activities differ from their mean over R > 1 passes, whatever it comes from.

    Nothing is known of the weights. A layer's changes hold those that the layers before it passed on.

    Args, Raises: as for `own_noise`.
    """
    passes = _checked(network, inputs, nodes)
    if passes < 2:
        raise ConfigError("activity changes need at least two passes over the same samples", key="probes")
    layers: list[LayerPasses] = []
    for driven, activity, heard, reads in _driven(network, inputs, nodes):
        changes = np.array(activity)
        variance = _beyond(changes, activity, f"layer {len(layers)} did the same in all passes")
        layers.append(LayerPasses(driven, changes, heard, reads, variance))
    return layers


def credit(network: Network, layers: Sequence[LayerPasses], modulation: Sequence[Array]) -> Array:
    """The gradient of a three-factor rule, (n_params,)::

        g_l = sum over passes r, samples s and reads of x_{l-1}(r,s)^T m_l(r,s) e_l(r,s),   x = 1 for the bias

    Args:
        network: whose parameters.
        layers: what they did.
        modulation: a layer each, (R, batch), loss a unit of exploration.
    """
    gradient = np.empty(network.n_params)
    for layer, slot, factor in zip(layers, network.blocks(gradient), modulation, strict=True):
        each = factor if layer.reads == 1 else np.repeat(factor, layer.reads, axis=-1)
        delta: Array = layer.explored * each[..., None]
        if layer.heard is not None:
            delta *= layer.heard
        if len(layer.driven) == 1 < len(delta):
            delta = np.add.reduce(delta, axis=0)
        flat = delta.reshape(-1, delta.shape[-1])
        np.matmul(np.transpose(layer.driven.reshape(-1, layer.driven.shape[-1])), flat, out=slot[:-1])
        np.add.reduce(flat, axis=0, out=slot[-1])
    return gradient


def _driven(
    network: Network, inputs: Array, nodes: Sequence[Array]
) -> list[tuple[Array, Array, NDArray[np.bool_] | None, int]]:
    """A layer each: what drove it, its activities, who was heard, and reads, as in `LayerPasses`."""
    activate, _ = ACTIVATIONS[network.activation]
    layers: list[tuple[Array, Array, NDArray[np.bool_] | None, int]] = []
    passed = inputs
    for stage, activity in zip(network.stages, nodes, strict=True):
        driven = stage.driven(passed, activity, activate)
        heard = stage.heard(activity, activate)
        passes = len(activity)
        layers.append(
            (
                driven.reshape(passes if driven.ndim == 4 else 1, -1, stage.rows),
                activity.reshape(passes, -1, stage.columns),
                None if heard is None else np.logical_or.reduce(heard).reshape(-1, stage.columns),
                stage.reads,
            )
        )
        if len(layers) < len(nodes):  # nobody listens to the last one
            passed = stage.passed(activity, activate)
    return layers


def _beyond(explored: Array, activity: Array, silent: str) -> float:
    """The variance of what was explored, from which the mean over several passes is taken off in place."""
    freedom = explored.size
    if len(explored) > 1:
        explored -= np.add.reduce(explored, axis=0) / len(explored)
        freedom -= freedom // len(explored)
    variance = float(np.vdot(explored, explored)) / freedom
    if variance <= ROUNDING * float(np.vdot(activity, activity)) / activity.size:
        raise CapabilityError(
            f"{silent}, or less than its converter resolves: nothing to learn from; use weight perturbation, commanded "
            "or by the device's parameter noise"
        )
    return variance


def _checked(network: Network, inputs: Array, nodes: Sequence[Array]) -> int:
    passes = len(nodes[0]) if len(nodes) else 0
    shapes = [(passes, len(inputs), units) for units in network.layers[1:]]
    if passes < 1 or [array.shape for array in nodes] != shapes:
        raise ConfigError(
            f"passes of {network.label} over {len(inputs)} samples have nodes (R, batch, units) of "
            f"{network.layers[1:]} units, got {[array.shape for array in nodes]}"
        )
    return passes
