"""Exploration in weight space: D = commanded perturbation + readable intrinsic noise, one code path for both."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hwzo.device import Device
from hwzo.directions import Directions
from hwzo.errors import CapabilityError, ConfigError
from hwzo.explore.evidence import Evidence
from hwzo.parameters import Array, ParameterSpec
from hwzo.probes import Batch, Probes

SPALL_GAMMA = 0.101


@dataclass(frozen=True)
class WeightExploration:
    """N loss readings a step, each with its own displacement of all parameters.

    Args:
        directions: regenerates commanded directions; its law and key are what the device is asked for.
        probes: N, readings a step.
        scale: c, weight units; 0 commands nothing.
        antithetic: readings come in pairs +c z, -c z.
        baseline: the first reading is undisplaced (MGD's C0).
        read_back: take the displacements from what the device realised instead of from what was commanded.
        reprogram: write the parameters again before each reading, so that a device which keeps its programming noise
            until the next write shows a new displacement.
        decay: scale falls as (step + 1)^-decay (Spall's gamma, .101).
        resolution: grid of the device's parameters, weight units: scales are rounded to it (at least one grid point),
            since that is what the device can displace by. 0: any scale.
    """

    directions: Directions
    probes: int
    scale: float = 0.0
    antithetic: bool = False
    baseline: bool = False
    read_back: bool = False
    reprogram: bool = False
    decay: float = 0.0
    resolution: float = 0.0

    def __post_init__(self) -> None:
        if self.antithetic:
            check_pairs(self.probes)
        if self.scale == 0 and not self.read_back:
            raise CapabilityError("nothing displaces the parameters: command a scale, or read the device's noise back")

    @property
    def evaluations(self) -> int:
        """Readings a step."""
        return self.probes + self.baseline

    @cached_property
    def _pattern(self) -> tuple[NDArray[np.int64], Array]:
        """Counters and scales of step 0."""
        n = self.probes
        counters, signs = np.arange(n, dtype=np.int64), np.ones(n)
        if self.antithetic:
            counters //= 2
            signs[1::2] = -1.0
        if self.baseline:
            counters, signs = np.concatenate([counters[:1], counters]), np.concatenate([[0.0], signs])
        counters.flags.writeable = False  # the same array each step, so that the directions need not be looked up anew
        return counters, signs * self.scale

    def request(self, step: int) -> Probes:
        """The probes of one step."""
        counters, scales = self._pattern
        if self.directions.law == "coordinate":  # its counter is the parameter's number: walk through all of them
            counters = counters + step * (self.probes // 2 if self.antithetic else self.probes)
        if self.decay:
            scales = scales * (step + 1.0) ** -self.decay
        if self.resolution:
            points = np.maximum(np.round(np.abs(scales) / self.resolution), 1.0)
            scales = np.sign(scales) * points * self.resolution
        return Probes(
            counters,
            scales,
            law=self.directions.law,
            key=self.directions.key,
            step=step,
            want="weights" if self.read_back else "loss",
        )

    def measure(self, device: Device, theta: Array, batch: Batch, step: int) -> Evidence:
        """Take one step's readings on a device that holds theta (n_params,)."""
        probes = self.request(step)
        if probes.law == "coordinate":
            spec = self.directions.spec
            probes = replace(probes, scales=inward(probes.scales, probes.counters, theta, spec, paired=self.antithetic))
        chunk = 1 if self.reprogram else device.capabilities.max_probes
        losses = np.empty(len(probes))
        realised = np.empty((len(probes), theta.size)) if self.read_back else None
        for start in range(0, len(probes), chunk):
            if self.reprogram and start:  # the first reading has the noise of the write that ended the last step
                device.program(theta)
            readings = device.measure(probes.part(start, start + chunk), batch)
            losses[start : start + chunk] = readings.losses
            if realised is not None:
                if readings.realised is None:
                    raise CapabilityError(f"{device.info} did not return the realised parameters that it declares")
                realised[start : start + chunk] = readings.realised
        if realised is not None:
            realised -= theta
            return Evidence(losses, probes.counters, probes.scales, realised)
        return self.recall(losses, probes.counters, probes.scales, step)

    def recall(self, losses: Array, counters: NDArray[np.int64], scales: Array, step: int) -> Evidence:
        """The same evidence again, from what the journal kept of a commanded step."""
        displacements = np.empty((len(counters), self.directions.spec.size))
        if self.antithetic:  # both of a pair are displaced along one direction, which needs to be made only once
            rows = self.directions.at(step, counters[0::2])
            np.multiply(rows, scales[0::2, None], out=displacements[0::2])
            np.multiply(rows, scales[1::2, None], out=displacements[1::2])
        elif self.baseline:
            displacements[0] = 0.0
            np.multiply(self.directions.at(step, counters[1:]), scales[1:, None], out=displacements[1:])
        else:
            np.multiply(self.directions.at(step, counters), scales[:, None], out=displacements)
        return Evidence(losses, counters, scales, displacements)


def check_pairs(probes: int) -> None:
    """Check that readings of a step can be taken in pairs.

    Raises:
        ConfigError: an odd number, or none.
    """
    if probes < 2 or probes % 2:
        raise ConfigError(f"probes = {probes}: readings come in pairs; use an even number", key="probes")


def inward(
    scales: Array, counters: NDArray[np.int64], theta: Array, parameters: ParameterSpec, *, paired: bool = False
) -> Array:
    """Scales (N,) of displacements of one parameter each, such that no bound cuts them off.

    One-sided ones are taken downwards near an upper bound; both of a pair are moved inwards, as far from each other as
    elsewhere. Where all parameters are displaced at once no sign suits them all, and those at a bound show half of
    their slope.

    Args:
        scales: (N,) wanted, from 0 unless paired.
        counters: (N,) numbers of the parameters, counted on and on.
        theta: (n_params,) from where.
        parameters: whose bounds.
        paired: readings come in pairs, either side of theta.
    """
    at = counters % parameters.size
    above, below = (parameters.upper - theta)[at], (theta - parameters.lower)[at]
    if paired:
        reach = np.abs(scales)
        inwards = np.minimum(above - reach, 0.0) + np.maximum(reach - below, 0.0)
        return np.minimum(np.maximum(scales + inwards, -below), above)
    down = (above < scales) & (below > above)
    return np.where(down, -np.minimum(scales, below), np.minimum(scales, above))
