"""Node perturbation: a layer's gradient from the noise of its own outputs, by two noisy passes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hwzo.errors import CapabilityError, ConfigError
from hwzo.estimate.population import ROUNDING
from hwzo.network import ACTIVATIONS, Network
from hwzo.parameters import Array


def node_gradient(
    network: Network, theta: Array, inputs: Array, nodes: Sequence[Array], losses: Array
) -> tuple[Array, Array]:
    """Gradient from two passes over the same samples, both noisy and both read back.

    For layer l, with a_l the pre-activations as read, x_{l-1} the layer's inputs and dL = L(1) - L(2) of each sample::

        d_l = a_l(1) - a_l(2) - (x_{l-1}(1) - x_{l-1}(2)) W_l      the layer's own noise, of the two passes
        v_l = mean over samples and units of d_l^2                 2 sd_l^2
        g_l = mean over samples of xbar_{l-1}^T (dL d_l) / v_l     xbar: mean of the two passes, 1 for the bias

    A layer that applies its matrix to several vectors of a sample has an x, an a and a d for each of these reads, and
    g_l is the sum over them: a convolution's over its positions, a recurrent layer's over its time steps.

    A node that a pool passed over in both passes had no part in dL: its d_l is left out of g_l, where it would only be
    noise (3.4 to 9 times the error's energy in a convolutional layer, measured on 28x28x1-16c3-p2-32c3-p2-32c3-p2-10).

    Without taking off the propagated part the deeper layers' own noise drowns in what the earlier ones pass on.
    Node perturbation: Werfel, Xie and Seung, Neural Computation 17, 2699 (2005); activity differences between passes:
    Dalm, Offergeld, Ahmad and van Gerven 2023, https://arxiv.org/abs/2310.00965.

    To first order in the noise it is unbiased with scale 1, whatever the noise's size in each layer.

    Outside its domain: it needs the losses sample by sample (with the batch's mean loss only, the samples' noises can't
    be told apart); units or reads of one layer whose noise differs in size get gradients in proportion to their
    variance; large noise measures the gradient of a smoothed loss, and decides itself which nodes a pool passes over
    (on a small network with noise of .3: .78 of the gradient instead of the .91 of all nodes); converters much coarser
    than the noise hide it, and a device whose weights are far from ``theta`` passes on something else than what is
    taken off.

    Args:
        network: what the parameters and nodes mean.
        theta: (n_params,) the parameters that the host believes are programmed, weight units.
        inputs: (batch, network.layers[0]).
        nodes: a layer each, (2, batch, units): pre-activations as read in the two passes.
        losses: (2, batch): loss of each sample in the two passes.

    Returns:
        The gradient (n_params,) of the mean loss, and the measured standard deviation of the noise that each layer adds
        in one pass, (layers,), in units of its pre-activations.

    Raises:
        ConfigError: shapes.
        CapabilityError: a layer's outputs were the same in both passes but for what the layers before it passed on.
    """
    batch = len(inputs)
    shapes = [(2, batch, units) for units in network.layers[1:]]
    if [array.shape for array in nodes] != shapes or losses.shape != (2, batch):
        raise ConfigError(
            f"node_gradient: two passes of {network.label} over {batch} samples need nodes {shapes} and losses "
            f"{(2, batch)}, got {[array.shape for array in nodes]} and {losses.shape}"
        )
    activate, _ = ACTIVATIONS[network.activation]
    gradient = np.empty_like(theta)
    deviations = np.empty(len(nodes))
    weighed: Array = (losses[0] - losses[1]) / batch
    passed = inputs
    blocks = zip(network.stages, network.blocks(theta), network.blocks(gradient), strict=True)
    for index, (stage, weight, slot) in enumerate(blocks):
        # A read of a sample each row, from here on.
        noise: Array = (nodes[index][0] - nodes[index][1]).reshape(-1, stage.columns)
        driven = stage.driven(passed, nodes[index], activate)
        if driven.ndim == 4:  # what drove the rows differed between the passes
            one, two = driven.reshape(2, -1, stage.rows)
            noise -= (one - two) @ weight[:-1]
            x = 0.5 * (one + two)
        else:
            x = driven.reshape(-1, stage.rows)
        variance = float(np.vdot(noise, noise)) / noise.size
        outputs: Array = nodes[index][0]
        if variance <= ROUNDING * float(np.vdot(outputs, outputs)) / outputs.size:
            raise CapabilityError(
                f"layer {index} added no noise of its own in either pass, or less than its converter resolves: nothing "
                "to learn from; use weight perturbation, commanded or by the device's parameter noise"
            )
        deviations[index] = np.sqrt(0.5 * variance)
        heard = stage.heard(nodes[index], activate)
        if heard is not None:
            noise *= (heard[0] | heard[1]).reshape(noise.shape)
        delta: Array = noise * (np.repeat(weighed, stage.reads)[:, None] / variance)
        np.matmul(np.transpose(x), delta, out=slot[:-1])
        np.sum(delta, axis=0, out=slot[-1])
        passed = stage.passed(nodes[index], activate)
    return gradient, deviations
