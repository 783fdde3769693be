"""Node perturbation with learned feedback. Lansdell, Prakash and Kording, ICLR 2020, https://arxiv.org/abs/1906.00889.

Node perturbation finds each hidden node's derivative delta_l anew for each sample, with an error some sqrt(nodes) times
its size. But delta_l follows from the outputs' derivative, which the host knows since it computes the loss from them.
How, is learned from node perturbation itself, as feedback weights F_l a layer::

    expected_l = (d F_l) f'(a_l),      d = dL/d outputs, mean of the passes
    dL'        = dL - sum over all layers of expected_l . e_l        what was not expected; d itself for the outputs
    delta_l    = expected_l + dL' e_l / v_l
    F_l       <- F_l + feedback * mean over samples of d^T (dL' e_l / v_l) f'(a_l) / mean of d^2

with e_l the layer's own noise in two noisy passes and v_l its variance, as in `hwzo.methods.node_perturbation`. The
published method uses expected_l alone. Here it is a control variate: whatever F_l, the mean of delta_l over noise of
one size in a layer is what node perturbation's is, so feedback that is wrong costs only precision. The device's weights
are never transposed, no derivative goes backwards through it.

Learning F_l is least mean squares, with an input for each output and hidden node. It is stable as long as its rate is
below some 2 / (1 + outputs * f'^2 summed over the nodes / comparisons), where R passes over a batch are (R - 1) batch
comparisons (Widrow and Stearns, Adaptive Signal Processing, 1985). The rate taken is ``feedback``, at most a quarter of
that bound: where nodes are many for the samples, it is learned slowly.

An output that read the same in all passes, and as large as any so far, stands at its converter's end: there d counts
only if it leads back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field

from hwzo.estimate.nodes_passes import own_noise
from hwzo.explore.evidence import Nodes
from hwzo.methods.method import Start, State
from hwzo.methods.node_learning import NodeLearning, learning
from hwzo.methods.options import Options
from hwzo.methods.settings import Settings
from hwzo.network import ACTIVATIONS, Network, output_gradient
from hwzo.parameters import Array
from hwzo.probes import Batch

DEFAULTS = Settings(probes=2, update="adam", rate=0.01, schedule="linear")
STABLE = 0.5
"""Rate of learning feedback, times 1 + inputs a comparison; above 2 it grows without bounds."""


class FeedbackOptions(Options):
    """Of learned feedback.

    Args:
        feedback: rate at which feedback weights are learned, 0 to 1; 0 leaves them at 0, where only the outputs'
            derivative is known. Where nodes are many for the samples, less is taken, see the module.
    """

    feedback: Annotated[float, Field(ge=0, lt=1)] = 0.05


@dataclass(frozen=True)
class LearnedFeedback:
    """See the module; it remembers a matrix (outputs, units) for each hidden layer, and the largest output so far.

    Args:
        network: what the nodes are.
        feedback: rate of learning the feedback weights.
    """

    network: Network
    feedback: float

    def begin(self) -> State:
        """Feedback of 0: nothing is expected; no output was seen yet."""
        *hidden, outputs = self.network.layers[1:]
        feedback = {f"feedback.{index}": np.zeros((outputs, units)) for index, units in enumerate(hidden)}
        return feedback | {"largest_output": np.zeros(1)}

    def gradient(self, state: State, theta: Array, nodes: Nodes, batch: Batch) -> tuple[State, Array]:
        """See `NodeRule`."""
        losses = nodes.sample_losses
        passes, samples = losses.shape
        network, (activate, slope) = self.network, ACTIVATIONS[self.network.activation]
        layers = own_noise(network, theta, nodes.inputs, nodes.activities)
        noise: list[Array] = [layer.explored.reshape(passes, samples, -1) for layer in layers]

        outputs, sizes = nodes.activities[-1], np.abs(nodes.activities[-1][0])
        known: Array = np.add.reduce(output_gradient(outputs, batch.targets, batch.loss)) / passes
        largest = max(float(state["largest_output"][0]), float(sizes.max()))
        at_its_end = (sizes >= largest) & np.logical_and.reduce(outputs[1:] == outputs[0])
        known *= ~at_its_end | (known * outputs[0] > 0.0)
        size = float(np.vdot(known, known)) / known.size
        slopes: list[Array] = []
        expected: list[Array] = []
        inputs = 0.0
        for index, layer in enumerate(layers[:-1]):
            steep: Array = slope(activate(np.add.reduce(nodes.activities[index]) / passes))
            if layer.heard is not None:
                steep *= layer.heard.reshape(steep.shape)
            slopes.append(steep)
            inputs += float(np.vdot(steep, steep))
            expected.append(known @ state[f"feedback.{index}"] * steep)
        expected.append(known)

        surprise: Array = losses - np.add.reduce(losses) / passes
        for guess, moved in zip(expected, noise, strict=True):
            surprise -= np.add.reduce(guess * moved, axis=-1)
        surprise /= passes - 1

        load = inputs * known.shape[-1] / (samples * samples * (passes - 1))
        rate = min(self.feedback, STABLE / (1.0 + load))
        learned: State = {"largest_output": np.array([largest])}
        gradient = np.empty_like(theta)
        for index, (layer, guess, slot) in enumerate(zip(layers, expected, network.blocks(gradient), strict=True)):
            delta = guess
            if index < len(slopes):
                correction: Array = np.add.reduce((surprise / layer.variance)[..., None] * noise[index])
                name = f"feedback.{index}"
                missed: Array = np.transpose(known) @ (correction * slopes[index]) / samples
                learned[name] = state[name] + (rate / size * missed if size > 0.0 else 0.0)
                if layer.heard is not None:
                    correction *= layer.heard.reshape(correction.shape)
                delta = guess + correction
            flat = delta.reshape(-1, layer.explored.shape[-1]) / samples
            driven = layer.driven[0] if len(layer.driven) == 1 else np.add.reduce(layer.driven) / passes
            np.matmul(np.transpose(driven), flat, out=slot[:-1])
            np.add.reduce(flat, axis=0, out=slot[-1])
        return learned, gradient


def build(settings: Settings, start: Start, options: FeedbackOptions | None = None) -> NodeLearning:
    """The method, on a layered device with noisy nodes that reads them back."""
    feedback = (options or FeedbackOptions()).feedback
    reason = "{passes} noisy passes explore; feedback weights, learned from them, say what to expect"
    return learning(
        "learned-feedback", settings, DEFAULTS, start, lambda network: LearnedFeedback(network, feedback), reason
    )
