"""What is asked of a device (Batch, Probes) and what came back (Readings): arrays over K probes, never objects."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from hwzo.errors import ConfigError
from hwzo.network import Loss, Network
from hwzo.parameters import Array

Law = Literal["rademacher", "rank1-sign", "gaussian", "gaussian-rank1", "walsh", "coordinate", "sparse"]
Readback = Literal["loss", "outputs", "nodes", "weights"]
READBACK_LEVELS: tuple[Readback, ...] = get_args(Readback)


@dataclass(frozen=True)
class Cost:
    """What an operation took from the device; costs add.

    Args:
        reads: input vectors applied to a crossbar tile (or the device's nearest equivalent).
        cell_writes: programming operations on single memory cells.
        bytes: bytes that crossed the link, both ways.
        device_seconds: time on the device's own clock.
        joules: energy, by the device's own account or a stated model.
    """

    reads: int = 0
    cell_writes: int = 0
    bytes: int = 0
    device_seconds: float = 0.0
    joules: float = 0.0

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.reads + other.reads,
            self.cell_writes + other.cell_writes,
            self.bytes + other.bytes,
            self.device_seconds + other.device_seconds,
            self.joules + other.joules,
        )

    def __sub__(self, other: Cost) -> Cost:
        return self + other * -1

    def __mul__(self, times: int) -> Cost:
        return Cost(
            self.reads * times,
            self.cell_writes * times,
            self.bytes * times,
            self.device_seconds * times,
            self.joules * times,
        )


@dataclass(frozen=True)
class Batch:
    """Samples that a device is evaluated on.

    Args:
        inputs: (batch, n_inputs) float64, in [-1, 1].
        targets: (batch,) int64 class numbers for cross-entropy; (batch, n_outputs) float64 for squared error.
        loss: which loss the device, or its host, computes from the outputs.
    """

    inputs: Array
    targets: NDArray[np.int64] | Array
    loss: Loss = "cross-entropy"

    def __post_init__(self) -> None:
        if self.inputs.ndim != 2 or len(self.inputs) != len(self.targets) or len(self.inputs) == 0:
            raise ConfigError(
                f"a batch needs inputs (batch, n_inputs) and as many targets, got inputs {self.inputs.shape} "
                f"and targets {self.targets.shape}"
            )

    def __len__(self) -> int:
        return len(self.inputs)

    def check(self, network: Network) -> None:
        """Check that a device which is this network can be evaluated on it.

        Raises:
            ConfigError: other widths, numbers that aren't finite, classes that the network hasn't, an unknown loss.
        """
        n_in, n_out = network.layers[0], network.layers[-1]
        if self.inputs.shape[1] != n_in:
            raise ConfigError(
                f"the batch has {self.inputs.shape[1]} inputs a sample; the device's network {network.label} takes "
                f"{n_in}",
                key="layers",
            )
        if not np.isfinite(self.inputs).all():
            raise ConfigError("the batch's inputs hold a number that is not finite")
        targets = self.targets
        if self.loss == "cross-entropy":
            if targets.ndim != 1 or not np.issubdtype(targets.dtype, np.integer):
                raise ConfigError(
                    f"cross-entropy needs class numbers (batch,), got {targets.dtype} of shape {targets.shape}"
                )
            if targets.min() < 0 or targets.max() >= n_out:
                raise ConfigError(
                    f"class numbers go from {targets.min()} to {targets.max()}; the device's network {network.label} "
                    f"has classes 0 to {n_out - 1}"
                )
        elif self.loss == "squared-error":
            if targets.shape != (len(self), n_out):
                raise ConfigError(f"targets have shape {targets.shape}, expected ({len(self)}, {n_out})")
            if not np.isfinite(targets).all():
                raise ConfigError("the batch's targets hold a number that is not finite")
        else:
            raise ConfigError(f"loss={self.loss!r} is not one of {', '.join(get_args(Loss))}", key="loss")


@dataclass(frozen=True)
class Probes:
    """K evaluations of one batch, each with the parameters displaced by ``scales[k] * direction(counters[k])``.

    A direction is never an array here: it is regenerated from (key, step, counter) by whoever needs it, see
    `hwzo.directions`. A scale of 0 displaces nothing.

    Args:
        counters: (K,) int64, which direction of this step; two probes may share one with opposite scales.
        scales: (K,) float64, weight units.
        law: the law the directions are drawn from.
        key: the run's 64-bit key.
        step: the training step, part of the counter.
        want: how much to read back, a level of ``Readback``; a device answers at least this or refuses.
    """

    counters: NDArray[np.int64]
    scales: Array
    law: Law = "rademacher"
    key: int = 0
    step: int = 0
    want: Readback = "loss"

    def __post_init__(self) -> None:
        if self.counters.ndim != 1 or self.counters.shape != self.scales.shape or len(self.counters) == 0:
            raise ConfigError(
                f"probes need counters and scales of one shape (K,), K >= 1; got {self.counters.shape} "
                f"and {self.scales.shape}"
            )

    def __len__(self) -> int:
        return len(self.counters)

    @classmethod
    def plain(cls, repeats: int = 1, *, want: Readback = "loss") -> Probes:
        """``repeats`` evaluations without a commanded displacement."""
        return cls(np.zeros(repeats, dtype=np.int64), np.zeros(repeats), want=want)

    def part(self, start: int, stop: int) -> Probes:
        """Probes start..stop, in order: a shard of this request."""
        if start == 0 and stop >= len(self):
            return self
        return replace(self, counters=self.counters[start:stop], scales=self.scales[start:stop])


@dataclass(frozen=True)
class Readings:
    """What came back from K probes. What the device didn't read back is None.

    Args:
        losses: (K,) float64, mean loss over the batch.
        outputs: (K, batch, n_outputs) float64, pre-activations of the last layer as the device digitised them.
        nodes: a layer each, (K, batch, units) float64, pre-activations as digitised; the last one is ``outputs``.
        realised: (K, n_params) float64, weight units: the effective parameters of each evaluation, as read back,
            with the read's error.
        cost: what it took.
    """

    losses: Array
    outputs: Array | None = None
    nodes: tuple[Array, ...] | None = None
    realised: Array | None = None
    cost: Cost = field(default_factory=Cost)
