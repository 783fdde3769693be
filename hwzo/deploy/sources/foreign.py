"""A network of another library's as `Weights`: what device it suits, and its relu kept within a device's range."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from hwzo.data.catalogue import load_task
from hwzo.data.task import Task
from hwzo.errors import ConfigError
from hwzo.network import ACTIVATIONS, Network
from hwzo.parameters import Array
from hwzo.say import Say
from hwzo.train.weights import Weights

SAMPLES = 2000
"""Most samples that a relu's range is looked up on."""


def foreign_weights(network: Network, theta: Array, *, task: str | None, where: str, say: Say) -> Weights:
    """Weights that were learned elsewhere, (n_params,).

    Their window is the least that holds them, rounded up to three digits. Where the task is known, a relu network is
    scaled by `in_range`.

    Raises:
        ConfigError: the task's inputs or outputs are not the network's.
    """
    if task:
        chosen = load_task(task)
        _check_fit(network, chosen, where)
        if network.activation == "relu":
            theta = in_range(network, theta, chosen.train.inputs[:SAMPLES], say)
    elif network.activation == "relu" and len(network.stages) > 1:
        say("relu: a crossbar's inputs end at 1; name the task, and layers are scaled so that theirs stay below")
    window = window_of(theta)
    return Weights(
        theta, network.parameter_spec(window), task or "", network.label, network.activation, window, "", False
    )


def in_range(network: Network, theta: Array, inputs: Array, say: Say = lambda text: None) -> Array:
    """The same relu network with hidden activations of at most 1 on some inputs (samples, n_in).

    A relu is positively homogeneous, relu(c a) = c relu(a) for c > 0, and so are pools. With s_l the largest activation
    that layer l passes on, or 1 if that is larger, and s_0 = s_L = 1::

        W_l -> W_l s_(l-1) / s_l,    b_l -> b_l / s_l

    leaves every output as it was, to rounding.

    Returns:
        theta, (n_params,).
    """
    activate, _ = ACTIVATIONS[network.activation]
    nodes = network.forward(theta, inputs)
    scaled = np.array(theta)
    before = 1.0
    largest: list[float] = []
    for index, block in enumerate(network.blocks(scaled)):
        hidden = index + 1 < len(network.stages)
        peak = float(network.stages[index].passed(nodes[index], activate).max()) if hidden else 1.0
        here = max(peak, 1.0)
        block[:-1] *= before / here
        block[-1] /= here
        before = here
        if hidden:
            largest.append(peak)
    if any(peak > 1.0 for peak in largest):
        told = ", ".join(f"{peak:.3g}" for peak in largest)
        say(
            f"relu: the largest activations on {len(inputs)} training samples, layer by layer, are {told}; weights "
            "were scaled so that none is above 1, where a crossbar's inputs end; the outputs stay the same"
        )
        return scaled
    return theta


def window_of(theta: Array) -> float:
    """The least window [-w, w] that holds theta (n_params,), rounded up to three digits; 1 if all are 0."""
    largest = float(np.abs(theta).max())
    if largest == 0.0:
        return 1.0
    unit = 10.0 ** (math.floor(math.log10(largest)) - 2)
    window = float(f"{math.ceil(largest / unit) * unit:.6g}")
    return window if window >= largest else largest


def for_task(weights: Weights, task: str | None) -> Weights:
    """The same weights, for the task that was named, if one was."""
    return replace(weights, task=task) if task else weights


def _check_fit(network: Network, task: Task, where: str) -> None:
    n_in, n_out = network.layers[0], network.layers[-1]
    expected = task.network.layers[0], task.network.layers[-1]
    if (n_in, n_out) != expected:
        raise ConfigError(
            f"{where} is {network.label}, with {n_in} inputs and {n_out} outputs; task {task.name!r} has {expected[0]} "
            f"and {expected[1]}",
            key="task",
        )
