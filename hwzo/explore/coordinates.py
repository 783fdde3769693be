"""Exploration one parameter at a time, of all parameters or of a part that changes from sweep to sweep."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hwzo.explore.evidence import Evidence
from hwzo.explore.weights import WeightExploration
from hwzo.parameters import Array, ParameterSpec
from hwzo.philox import philox4x32
from hwzo.probes import Probes

STREAM = 36
"""Of Philox, for which parameters a sweep takes, in which order."""

Indices = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class CoordinateExploration(WeightExploration):
    """As many parameters a step as it has probes (or pairs), in random order, without repeats within a sweep.

    Args:
        shares: of each tensor's parameters that a sweep takes, above 0 to 1; at least one parameter of each.
    """

    shares: tuple[float, ...]
    _sweep: dict[int, Indices] = field(default_factory=dict[int, Indices], repr=False, compare=False)

    def request(self, step: int) -> Probes:
        """The probes of one step."""
        probes = super().request(step)
        each = 2 if self.antithetic else 1
        taken = self.probes // each
        counters = np.repeat(self._between(step * taken, (step + 1) * taken), each)
        if self.baseline:
            counters = np.concatenate([counters[:1], counters])
        return Probes(counters, probes.scales, law=probes.law, key=probes.key, step=step, want=probes.want)

    def recall(self, losses: Array, counters: Indices, scales: Array, step: int) -> Evidence:
        """Evidence whose counters and scales say it all: a displacement would be zeros but for one parameter."""
        return Evidence(losses, counters, scales)

    def _between(self, start: int, stop: int) -> Indices:
        """The parameters from one place in the order of the whole run to another."""
        parts: list[Indices] = []
        while start < stop:
            number, within = divmod(start, self._length)
            if number not in self._sweep:
                self._sweep.clear()  # sweeps come one after the other
                self._sweep[number] = sweep(self.directions.spec, self.shares, self.directions.key, number)
            parts.append(self._sweep[number][within : within + stop - start])
            start += len(parts[-1])
        return np.concatenate(parts)

    @cached_property
    def _length(self) -> int:
        return sweep_length(self.directions.spec, self.shares)


def _counts(parameters: ParameterSpec, shares: tuple[float, ...]) -> list[int]:
    return [max(1, round(share * t.size)) for t, share in zip(parameters.tensors, shares, strict=True)]


def sweep_length(parameters: ParameterSpec, shares: tuple[float, ...]) -> int:
    """How many parameters a sweep takes."""
    return sum(_counts(parameters, shares))


def sweep(parameters: ParameterSpec, shares: tuple[float, ...], key: int, number: int) -> Indices:
    """The parameters of one sweep, in its order: of each tensor its share, at random.

    Args:
        parameters: of the device.
        shares: of each tensor.
        key: of the run.
        number: of the sweep, 0 to 2^32 - 1.
    """
    counters = np.zeros((parameters.size, 4), dtype=np.uint32)
    counters[:, 0], counters[:, 1], counters[:, 3] = np.arange(parameters.size), number, STREAM
    draws = philox4x32(counters, key)[:, :2]
    parts: list[Indices] = []
    start = 0
    for tensor, count in zip(parameters.tensors, _counts(parameters, shares), strict=True):
        stop = start + tensor.size
        parts.append(start + np.argsort(draws[start:stop, 0], kind="stable")[:count])
        start = stop
    chosen = np.concatenate(parts)
    return chosen[np.argsort(draws[chosen, 1], kind="stable")]
