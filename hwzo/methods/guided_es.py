"""Guided ES: more samples where a guide points. Maheswaranathan et al., ICML 2019, https://arxiv.org/abs/1806.10230.

Antithetic pairs along directions that lie partly in a subspace U (n_params, k), orthonormal::

    D = c (sqrt(alpha) u + sqrt((1 - alpha) n_params / k) U v),      u, v standard normal
    g = 1 / (2 K c^2) sum_k (L+ - L-) D_k

so that elements of D have a mean variance of c^2. Guides:

``past``  the last ``memory`` estimates.
``twin``  the gradient of the host's own float64 copy of the network on the same minibatch: wrong by all that the device
          does differently, and right about most. It is not zeroth-order; the device decides what is followed of it.

The estimate is biased towards the guide (its expectation is the gradient times the directions' covariance), with far
less noise if the guide is any good. The directions are of no law that a device knows, so the host programs them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from hwzo.device import Device
from hwzo.directions import Directions
from hwzo.errors import CapabilityError
from hwzo.estimate.antithetic import antithetic
from hwzo.explore.evidence import Evidence
from hwzo.explore.programmed import ProgrammedExploration, pairs, program
from hwzo.explore.weights import check_pairs
from hwzo.methods.composition import Rate
from hwzo.methods.method import Outcome, Record, Start, State
from hwzo.methods.options import Options
from hwzo.methods.serving import instead
from hwzo.methods.settings import Exploration, Settings, known
from hwzo.methods.weight_perturbation import rate_of, scale_of, update_of
from hwzo.network import Network
from hwzo.parameters import Array, ParameterSpec, TensorSpec
from hwzo.probes import Batch
from hwzo.update import UpdateRule

DEFAULTS = Settings(probes=8, update="normalised-momentum", rate=0.02, schedule="linear")
IN_SUBSPACE = 2**31
"""First counter of the numbers v; those of u are below it."""


class GuidedOptions(Options):
    """Of guided ES.

    Args:
        guide: what points, see the module.
        alpha: share of the displacements' variance that is not in the subspace.
        memory: how many past estimates span it.
    """

    guide: Literal["past", "twin"] = "past"
    alpha: Annotated[float, Field(ge=0, le=1)] = 0.5
    memory: Annotated[int, Field(ge=1, le=1000)] = 16


@dataclass(frozen=True)
class Guided:
    """See the module.

    Args:
        directions: u.
        within: v, as many as the subspace may have dimensions.
        explore: programs and reads the pairs.
        scale: c, weight units.
        evaluations: two for each pair.
        options: see `GuidedOptions`.
        update, rate: turn the estimate into a step.
        network: of the twin; None for the other guide.
        reason: why it works this way on this device.
    """

    directions: Directions
    within: Directions
    explore: ProgrammedExploration
    scale: float
    evaluations: int
    options: GuidedOptions
    update: UpdateRule
    rate: Rate
    network: Network | None
    reason: str
    exploration: Exploration = "commanded"

    @property
    def regenerable(self) -> bool:
        """True unless the twin points, for which the samples would be needed again."""
        return self.network is None

    def begin(self, n_params: int) -> State:
        """Past estimates, newest last, and the update rule's state."""
        past = np.zeros((self.options.memory if self.network is None else 0, n_params))
        return {"past": past} | self.update.init(n_params)

    def step(self, device: Device, theta: Array, state: State, batch: Batch, t: int, progress: float) -> Outcome:
        """One step, see `Method`."""
        candidates = self._pairs(theta, state, t, batch)
        losses = self.explore.measure(device, theta, candidates, batch)
        gradient = self._estimate(candidates, losses)
        rate = self.rate(t, progress)
        target, state = self._stepped(theta, state, gradient, rate)
        program(device, candidates[-1], target)
        counters = np.arange(self.evaluations, dtype=np.int64) // 2
        scales = self.scale * np.tile([1.0, -1.0], self.evaluations // 2)
        evidence = Evidence(losses, counters, scales)
        return Outcome(target, state, evidence, rate, gradient)

    def replay(self, theta: Array, state: State, record: Record) -> tuple[Array, State]:
        """A recorded step again, see `Method`."""
        gradient = record.gradient
        if gradient is None:
            if self.network is not None:
                raise CapabilityError(
                    f"step {record.t} was guided by the host's twin and no step vector was kept: it can be rerun on "
                    "the emulated device, not replayed"
                )
            gradient = self._estimate(self._pairs(theta, state, record.t, None), record.losses)
        return self._stepped(theta, state, gradient, record.rate)

    def _pairs(self, theta: Array, state: State, t: int, batch: Batch | None) -> Array:
        counters, n, alpha = np.arange(self.evaluations // 2), theta.size, self.options.alpha
        guide = self._guide(theta, state, batch)
        moved: Array = np.copy(self.directions.at(t, counters))
        k = int(guide.shape[1])
        if k:
            numbers = self.within.at(t, IN_SUBSPACE + counters)[:, :k]
            moved *= math.sqrt(alpha)
            moved += np.matmul(numbers * math.sqrt((1.0 - alpha) * n / k), np.transpose(guide))
        moved *= self.scale
        return self.explore.placed(pairs(self.explore.parameters, theta, moved))

    def _guide(self, theta: Array, state: State, batch: Batch | None) -> Array:
        """The subspace's basis (n_params, k), orthonormal; k is 0 as long as nothing points."""
        if self.network is not None and batch is not None:
            _, gradient = self.network.gradient(theta, batch.inputs, batch.targets, batch.loss)
            size = float(np.linalg.norm(gradient))
            return gradient[:, None] / size if size > 0 else np.empty((theta.size, 0))
        past = state["past"]
        known: Array = past[past.any(axis=1)]
        return np.linalg.qr(np.transpose(known))[0]

    def _estimate(self, candidates: Array, losses: Array) -> np.ndarray:
        return antithetic(candidates, losses, variance=self.scale**2).astype(np.float32)

    def _stepped(self, theta: Array, state: State, gradient: np.ndarray, rate: float) -> tuple[Array, State]:
        exact = gradient.astype(np.float64)
        kept, step = self.update.step(state, exact, rate)
        past = state["past"]
        if len(past):
            past = np.concatenate([past[1:], exact[None]])
        return self.explore.parameters.clip(theta + step), {"past": past} | kept


def build(settings: Settings, start: Start, options: GuidedOptions | None = None) -> Guided:
    """The method; any device that can be programmed will do, a layered one for the twin's guide."""
    takes = ("probes", "scale", "update", "rate", "schedule")
    chosen, options = settings.only("guided-es", takes).over(DEFAULTS), options or GuidedOptions()
    device = start.device
    probes, parameters, network = known(chosen.probes), device.parameters, device.capabilities.network
    check_pairs(probes)
    if options.guide == "twin" and network is None:
        raise CapabilityError(
            f"{device.info} is not a layered network, so the host has no twin of it; take 'guided-es?guide=past', or "
            f"{instead(device)}"
        )
    scale = scale_of(chosen, start, central=True)
    start.settings = replace(chosen, scale=scale)
    twin = network if options.guide == "twin" else None
    reason = "programmed pairs, partly along " + (
        "the gradient of the host's twin" if twin is not None else f"the last {options.memory} estimates"
    )
    return Guided(
        Directions("gaussian", parameters, start.key),
        Directions("gaussian", ParameterSpec((TensorSpec("v", (options.memory,)),)), start.key),
        ProgrammedExploration(parameters),
        scale,
        probes,
        options,
        update_of(chosen),
        rate_of(chosen),
        twin,
        reason,
    )
