"""A method that learns from its nodes' own noise, and remembers more than its update rule does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from hwzo.device import Device, Update
from hwzo.errors import CapabilityError, ConfigError
from hwzo.explore.evidence import Nodes
from hwzo.explore.nodes import NodeExploration
from hwzo.methods.composition import Rate
from hwzo.methods.method import Outcome, Record, Start, State, kept_gradient, stepped
from hwzo.methods.serving import instead
from hwzo.methods.settings import Exploration, Settings, known
from hwzo.methods.weight_perturbation import rate_of, update_of
from hwzo.network import Network
from hwzo.parameters import Array, ParameterSpec
from hwzo.probes import Batch
from hwzo.update import UpdateRule

MOST_SILENT = 100
"""Steps in a row in which a layer's nodes showed no noise, before that is an error."""


class NodeRule(Protocol):
    """Makes a gradient of what the nodes did: a pure function of what it remembers and what was seen."""

    @property
    def network(self) -> Network:
        """What the device's nodes are."""
        ...

    def begin(self) -> State:
        """What it remembers before the first step; names that no update rule uses."""
        ...

    def gradient(self, state: State, theta: Array, nodes: Nodes, batch: Batch) -> tuple[State, Array]:
        """What it remembers afterwards, and the gradient (n_params,).

        Raises:
            CapabilityError: a layer's nodes showed no noise.
        """
        ...


@dataclass(frozen=True)
class NodeLearning:
    """Noisy passes -> a rule with a memory -> update -> back to the device. See `Method`.

    Few samples through few nodes may fall on the same codes of a converter in all passes: such a step teaches nothing,
    and the update rule goes on by what it remembers. A device on which that goes on is no device for this.

    Args:
        rule: makes the gradient.
        passes: a step, each an evaluation.
        update: (state, gradient, rate) -> (state, step).
        rate: (t, progress) -> learning rate.
        parameters: of the device, whose bounds the targets keep to.
        reason: why it works this way on this device.
    """

    rule: NodeRule
    passes: int
    update: UpdateRule
    rate: Rate
    parameters: ParameterSpec
    reason: str
    exploration: Exploration = "intrinsic-node"
    regenerable: bool = False

    @property
    def evaluations(self) -> int:
        """Passes a step."""
        return self.passes

    def begin(self, n_params: int) -> State:
        """What the rule and the update rule remember at first."""
        return {"silent": np.zeros(1), **self.rule.begin(), **self.update.init(n_params)}

    def step(self, device: Device, theta: Array, state: State, batch: Batch, t: int, progress: float) -> Outcome:
        """One step, see `Method`."""
        evidence, nodes = self._explore.measure(device, batch)
        silent = 0.0
        try:
            learned, estimate = self.rule.gradient(state, theta, nodes, batch)
        except CapabilityError:
            silent = float(state["silent"][0]) + 1.0
            if silent >= MOST_SILENT:
                raise
            learned, estimate = {}, np.zeros_like(theta)
        gradient, rate = estimate.astype(np.float32), self.rate(t, progress)
        target, moved = stepped(self.update, self.parameters, theta, state, gradient, rate)
        device.apply(Update(target, target - theta, t))
        return Outcome(target, {**moved, **learned, "silent": np.array([silent])}, evidence, rate, gradient)

    def replay(self, theta: Array, state: State, record: Record) -> tuple[Array, State]:
        """A recorded step again, see `Method`. What the rule remembers of activities is left as it was."""
        return stepped(self.update, self.parameters, theta, state, kept_gradient(record), record.rate)

    @cached_property
    def _explore(self) -> NodeExploration:
        return NodeExploration(self.passes)


def learning(
    method: str,
    settings: Settings,
    defaults: Settings,
    start: Start,
    rule: Callable[[Network], NodeRule],
    reason: str,
    *,
    takes: Sequence[str] = ("probes", "update", "rate", "schedule"),
    least: int = 2,
) -> NodeLearning:
    """A method of this kind, on a layered device with noisy nodes that reads them back.

    Args:
        method: its name.
        settings: what the user set.
        defaults: what is taken where nothing is set; probes are the passes of a step.
        start: the device.
        rule: makes the rule for the device's network.
        reason: for the user, with ``{passes}`` in it.
        takes: the settings that it takes.
        least: passes that it needs.

    Raises:
        CapabilityError: the device's nodes aren't noisy, or aren't read back.
        ConfigError: a setting that it doesn't take, or too few passes.
    """
    chosen = settings.only(method, takes).over(defaults)
    network, passes = noisy_network(start, method), known(chosen.probes)
    if passes < least:
        raise ConfigError(
            f"probes = {passes}: method {method!r} compares noisy passes over the same samples and needs at least "
            f"{least}; 'node-perturbation' can do with 1",
            key="probes",
        )
    start.settings = chosen.keep(takes)
    return NodeLearning(
        rule(network),
        passes,
        update_of(chosen),
        rate_of(chosen),
        start.device.parameters,
        reason.format(passes=passes),
    )


def noisy_network(start: Start, method: str) -> Network:
    """The device's network, after checking that its nodes are noisy and read back.

    Raises:
        CapabilityError: they aren't; names the methods that this device can do.
    """
    capabilities = start.device.capabilities
    network = capabilities.network
    if network is not None and capabilities.reads_back("nodes") and capabilities.node_noise:
        return network
    raise CapabilityError(
        f"method {method!r} needs a layered device whose nodes are noisy and read back, as no probe can command noise "
        f"at a node; {start.device.info} reads back {capabilities.readback!r}, node noise: {capabilities.node_noise}, "
        f"layered: {network is not None}; {instead(start.device)}"
    )
