"""A method that asks for candidates, programs and reads each, and is told their losses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from hwzo.device import Device
from hwzo.explore.evidence import Evidence
from hwzo.explore.programmed import ProgrammedExploration, program
from hwzo.methods.composition import Rate
from hwzo.methods.method import Outcome, Record, State
from hwzo.methods.settings import Exploration
from hwzo.parameters import Array
from hwzo.probes import Batch


class Search(Protocol):
    """What is particular to a method: two pure functions of what went before, so that a record replays them."""

    @property
    def candidates(self) -> int:
        """How many candidates one round has."""
        ...

    @property
    def scale(self) -> float:
        """Typical size of a candidate's displacement of each parameter, weight units: what a journal keeps."""
        ...

    def begin(self, n_params: int) -> State:
        """State before the first round."""
        ...

    def ask(self, theta: Array, state: State, i: int) -> Array:
        """The candidates (N, n_params) of round i, weight units; what can't be programmed is moved into bounds."""
        ...

    def tell(
        self, theta: Array, state: State, i: int, candidates: Array, losses: Array, rate: float
    ) -> tuple[Array, State]:
        """What was learnt: new parameters (n_params,) and state.

        Args:
            theta, state, i: as for ``ask``.
            candidates: (N, n_params), as they were programmed.
            losses: (N,).
            rate: learning rate.
        """
        ...


@dataclass(frozen=True)
class Programmed:
    """Rounds of ask, program, read and tell.

    Args:
        search: the method's own part.
        explore: programs and reads the candidates.
        rate: (t, progress) -> learning rate.
        reason: why it works this way on this device.
        rounds: of one step, all with the same samples; what was learnt is programmed after the last one.
    """

    search: Search
    explore: ProgrammedExploration
    rate: Rate
    reason: str
    rounds: int = 1
    exploration: Exploration = "commanded"
    regenerable: bool = True

    @property
    def evaluations(self) -> int:
        """Loss readings a step."""
        return self.rounds * self.search.candidates

    def begin(self, n_params: int) -> State:
        """State of the search."""
        return self.search.begin(n_params)

    def step(self, device: Device, theta: Array, state: State, batch: Batch, t: int, progress: float) -> Outcome:
        """One step, see `Method`."""
        n, rate, held = self.search.candidates, self.rate(t, progress), theta
        losses, scales = np.empty(self.evaluations), np.full(self.evaluations, self.search.scale)
        for at in range(0, self.evaluations, n):
            i = t * self.rounds + at // n
            candidates = self.explore.placed(self.search.ask(theta, state, i))
            losses[at : at + n] = self.explore.measure(device, held, candidates, batch)
            scales[at : at + n][(candidates == theta).all(axis=1)] = 0.0
            held = candidates[-1]
            theta, state = self._told(theta, state, i, candidates, losses[at : at + n], rate)
        program(device, held, theta)
        evidence = Evidence(losses, np.arange(self.evaluations, dtype=np.int64), scales)
        return Outcome(theta, state, evidence, rate)

    def replay(self, theta: Array, state: State, record: Record) -> tuple[Array, State]:
        """A recorded step again, see `Method`."""
        n = self.search.candidates
        for at in range(0, self.evaluations, n):
            i = record.t * self.rounds + at // n
            candidates = self.explore.placed(self.search.ask(theta, state, i))
            theta, state = self._told(theta, state, i, candidates, record.losses[at : at + n], record.rate)
        return theta, state

    def _told(
        self, theta: Array, state: State, i: int, candidates: Array, losses: Array, rate: float
    ) -> tuple[Array, State]:
        theta, state = self.search.tell(theta, state, i, candidates, losses, rate)
        return self.explore.parameters.clip(theta), state
