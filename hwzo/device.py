"""The contract: what a device is, what it says of itself, and the few things that are asked of it.

Whoever implements `Device` can be trained. `Capabilities` is declared, never found out by trying; asking for more than
it declares raises `CapabilityError`. No operation retries a measurement: a new read is new noise.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from numbers import Integral, Real
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from hwzo.errors import CapabilityError, ConfigError
from hwzo.network import Network
from hwzo.parameters import Array, ParameterSpec
from hwzo.probes import READBACK_LEVELS, Batch, Cost, Law, Probes, Readback, Readings

ParameterNoise = Literal["none", "retained", "per-evaluation"]


@dataclass(frozen=True)
class DeviceInfo:
    """Who the device is.

    Args:
        url: what opens it again, with every option that matters.
        model: such as ``"crossbar:pcm"``.
        serial: serial number, or the seed of an emulated one.
        firmware: version of what runs on it.
        emulated: True if no hardware is involved; every figure made from it is labelled so.
    """

    url: str
    model: str
    serial: str
    firmware: str
    emulated: bool

    def __str__(self) -> str:
        return f"{self.url} ({'emulated' if self.emulated else 'hardware'}, {self.model}, serial {self.serial})"


@dataclass(frozen=True)
class Capabilities:
    """What the device can do, declared.

    Args:
        readback: how much can be read back; levels nest: loss < outputs < nodes < weights.
        laws: laws of commanded directions that the device can displace its parameters along; empty if it can't.
        probe_writes: True if a commanded displacement is made by writing cells (each probe then costs writes).
        node_noise: True if node outputs carry noise of their own, drawn anew for each evaluation and sample.
        parameter_noise: ``"none"``; ``"retained"``: the effective parameters differ from those programmed and keep the
            difference until the next write; ``"per-evaluation"``: drawn anew for each evaluation.
        network: what parameters and nodes mean, if the device is a layered feed-forward network; None for a black box.
        deterministic: same seed and same calls give the same bytes.
        snapshot: True if it is an `EmulatedDevice`, whose state can be saved and put back.
        max_probes: most probes in one call of ``measure``.
        max_batch: most samples that are evaluated at once; what is larger is evaluated in parts, each with its own
            noise; None: no such limit.
        timeout_s: the longest that one call may take, seconds.
        read_cost: what one repeat of ``read`` takes.
        verified_writes: True if a write ends with the device's own iterative programming: the error that is left is
            what verification can't remove, and writing again until it happens to be small would pick noise, not shrink
            it.
        output_gains: True if it is a `GainedDevice`.
        endurance: writes, or pulses, that each cell bears; 0: no such limit is known.

    Raises:
        ConfigError: an unknown level of readback, no probe at all in one call, or a timeout that is none.
    """

    readback: Readback = "loss"
    laws: frozenset[Law] = frozenset()
    probe_writes: bool = False
    node_noise: bool = False
    parameter_noise: ParameterNoise = "none"
    network: Network | None = None
    deterministic: bool = False
    snapshot: bool = False
    max_probes: int = 1024
    max_batch: int | None = None
    timeout_s: float = 60.0
    read_cost: Cost = field(default_factory=Cost)
    verified_writes: bool = False
    output_gains: bool = False
    endurance: int = 0

    def __post_init__(self) -> None:
        if self.readback not in READBACK_LEVELS:
            raise ConfigError(
                f"capabilities: readback={self.readback!r} is not one of {', '.join(READBACK_LEVELS)}", key="readback"
            )
        if not (isinstance(self.max_probes, Integral) and self.max_probes >= 1):
            raise ConfigError(
                f"capabilities: max_probes={self.max_probes!r} must be a whole number, at least 1", key="max_probes"
            )
        if not (isinstance(self.timeout_s, Real) and 0 < self.timeout_s <= 1e8):
            raise ConfigError(
                f"capabilities: timeout_s={self.timeout_s!r} must be above 0 and at most 1e8 seconds", key="timeout_s"
            )

    def reads_back(self, level: Readback) -> bool:
        """True if the device reads back at least ``level``."""
        return READBACK_LEVELS.index(self.readback) >= READBACK_LEVELS.index(level)

    def check(self, probes: Probes) -> None:
        """Check that the device can do what probes want of it; ``measure`` may begin with this.

        Raises:
            CapabilityError: they want more read back than is declared, are too many, or displace along another law.
            ConfigError: a scale is not a finite number.
        """
        if not self.reads_back(probes.want):
            raise CapabilityError(
                f"the device reads back {self.readback!r}, not {probes.want!r}; method 'intrinsic' picks what works "
                f"with {self.readback!r}"
            )
        if len(probes) > self.max_probes:
            raise CapabilityError(f"{len(probes)} probes in one call; at most {self.max_probes} fit")
        if not np.isfinite(probes.scales).all():
            raise ConfigError("a probe's scale is not a finite number")
        if probes.scales.any() and probes.law not in self.laws:
            raise CapabilityError(
                f"the device can't displace its parameters along law {probes.law!r}; it has: "
                f"{', '.join(sorted(self.laws)) or 'none'}"
            )


@dataclass(frozen=True)
class Update:
    """A training step on its way to the device.

    Args:
        target: (n_params,) float64, weight units, within bounds: what the parameters shall be.
        step: (n_params,) float64, weight units: target minus the previous target.
        t: number of the training step.
        counters, coefficients: (K,) each; where the step is exactly ``sum_k coefficients[k] * direction(counters[k])``,
            a board may replay it from these; None otherwise.
    """

    target: Array
    step: Array
    t: int = 0
    counters: NDArray[np.int64] | None = None
    coefficients: Array | None = None


@runtime_checkable
class Device(Protocol):
    """A noisy chip that computes a loss. Implement this and every method, command and test of hwzo works with it."""

    @property
    def info(self) -> DeviceInfo:
        """Who it is."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """What it can do."""
        ...

    @property
    def parameters(self) -> ParameterSpec:
        """What its parameters are."""
        ...

    def program(self, theta: Array, *, mask: NDArray[np.bool_] | None = None) -> Cost:
        """Write theta (n_params,), weight units, into the device; with ``mask`` (n_params,), only where it is True.

        Raises:
            ConfigError: wrong shape, not finite or out of bounds; nothing was written.
            DeviceError: the device failed.
        """
        ...

    def measure(self, probes: Probes, batch: Batch) -> Readings:
        """Evaluate ``batch`` once for each of the K probes, in order.

        Raises:
            CapabilityError: ``probes`` wants what the device doesn't read back, or a law that it can't do.
            ConfigError: the batch doesn't fit the device.
            MeasurementError: the device answered with something that isn't a number.
            DeviceError: the device failed.
        """
        ...

    def apply(self, update: Update) -> Cost:
        """Take a training step: write ``update.target`` where ``update.step`` isn't 0, or replay its coefficients.

        Raises:
            ConfigError, DeviceError: as for ``program``.
        """
        ...

    def read(self, repeats: int = 1) -> Array:
        """Read the parameters back: (repeats, n_params) float64, weight units, with the read's error.

        What is read is what the last evaluation realised; between repeats only the read's error differs. Each repeat
        costs ``capabilities.read_cost``.

        Raises:
            CapabilityError: the device doesn't read back its weights.
        """
        ...

    def close(self) -> None:
        """Leave the device safe and let go of it; closing twice is fine."""
        ...


@runtime_checkable
class EmulatedDevice(Device, Protocol):
    """What only an emulated device can do; for the journal and for drift, never for learning."""

    def snapshot(self) -> bytes:
        """The whole state: cells, slow noise, clock, position in its noise."""
        ...

    def restore(self, state: bytes) -> None:
        """Put back what ``snapshot`` gave.

        Raises:
            FileError: the bytes are damaged or belong to another device.
        """
        ...

    def advance(self, seconds: float) -> None:
        """Let time pass on the device's clock."""
        ...


@runtime_checkable
class GainedDevice(Device, Protocol):
    """A device that multiplies what its columns' converters give by digital factors, one a column."""

    @property
    def gains(self) -> Array:
        """The factors as they are set, (n_columns,) float64: layer after layer, as `Network.blocks` has its columns."""
        ...

    def set_gains(self, gains: Array) -> None:
        """Set the factors (n_columns,), until they are set again; a device opens with all at 1.

        Parameters, bounds, noise and what ``read`` gives stay those of the cells; nodes and outputs are multiplied.

        Raises:
            ConfigError: wrong shape, or a factor that is not above 0 and finite; nothing was changed.
            DeviceError: the device failed.
        """
        ...


@runtime_checkable
class LinkedDevice(Device, Protocol):
    """A device at the end of a line, which has something to say of it."""

    def link_report(self) -> str:
        """How the line and the device's end of it were used so far, a line for the user; empty if there is nothing.

        Raises:
            DeviceError: the device was asked, and failed.
        """
        ...

    def link_events(self) -> list[str]:
        """What happened on the line since this was last asked, such as a reset of the device, a sentence each."""
        ...
