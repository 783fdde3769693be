"""A small black-box device whose loss, gradient and noise are known in closed form, for tests of hwzo and of yours.

Its loss is ``floor + 1/2 sum_i h_i (w_i - optimum_i)^2`` of the effective parameters ``w = theta + own noise +
commanded displacement``, plus readout noise. What a batch holds is ignored; only its length counts, as reads.

A black box has no outputs and no nodes. Where it reads back ``"weights"``, the levels between are empty: asked for
them it raises `CapabilityError`, as one that gives a loss only would.
"""

from __future__ import annotations

import json
import math
import zlib
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from hwzo.device import Capabilities, DeviceInfo, ParameterNoise, Update
from hwzo.directions import directions
from hwzo.errors import CapabilityError, ConfigError, DeviceError, FileError
from hwzo.parameters import Array, ParameterSpec, TensorSpec
from hwzo.probes import Batch, Cost, Law, Probes, Readback, Readings

EVALUATION_S = 1e-3
"""Device seconds that one evaluation takes; a write of one cell takes a tenth of it."""


class QuadraticDevice:
    """An emulated black box with a quadratic loss; every number it gives follows from ``seed`` and the calls.

    Args:
        n: number of parameters.
        seed: draws the optimum, the curvatures and all noise.
        loss_sd: standard deviation of the readout noise on each loss.
        parameter_noise: whether the effective parameters carry noise of their own, and how long it stays.
        sigma: standard deviation of that noise, weight units.
        readback: ``"loss"``, or ``"weights"`` to read the effective parameters back.
        read_sd: standard deviation of the error of each such reading, weight units.
        window: the parameters lie in [-window, window], weight units.
        resolution: the step that programmed values are rounded to, weight units; 0 if continuous.
        laws: laws of commanded directions that it can do; default all.
        optimum, curvature: (n,) each, instead of drawn ones: optimum within half the window, curvature in [0.5, 2].

    Raises:
        ConfigError: an argument out of range.
    """

    def __init__(
        self,
        n: int = 8,
        *,
        seed: int = 0,
        loss_sd: float = 0.0,
        parameter_noise: ParameterNoise = "none",
        sigma: float = 0.0,
        readback: Readback = "loss",
        read_sd: float = 0.0,
        window: float = 2.0,
        resolution: float = 0.0,
        laws: frozenset[Law] | None = None,
        optimum: Array | None = None,
        curvature: Array | None = None,
    ) -> None:
        if readback not in ("loss", "weights"):
            raise ConfigError(f"readback={readback!r}: a black box gives loss or weights", key="readback")
        for key, value in (("loss_sd", loss_sd), ("sigma", sigma), ("read_sd", read_sd)):
            if not (math.isfinite(value) and value >= 0):
                raise ConfigError(f"{key}={value} must be a finite number, at least 0", key=key)
        if not (math.isfinite(window) and window > 0):
            raise ConfigError(f"window={window} must be a finite number above 0", key="window")
        if (parameter_noise != "none") != (sigma > 0):
            raise ConfigError(
                f"parameter_noise={parameter_noise!r} with sigma={sigma}: noise needs sigma > 0, none needs sigma = 0",
                key="sigma",
            )
        start = np.random.default_rng([seed, 0])
        drawn_optimum, drawn_curvature = start.uniform(-window / 2, window / 2, n), start.uniform(0.5, 2.0, n)
        self.floor = 0.1
        self.optimum: Array = drawn_optimum if optimum is None else np.asarray(optimum, dtype=np.float64)
        self.curvature: Array = drawn_curvature if curvature is None else np.asarray(curvature, dtype=np.float64)
        if self.optimum.shape != (n,) or self.curvature.shape != (n,):
            raise ConfigError(f"optimum {self.optimum.shape} and curvature {self.curvature.shape} must be ({n},)")
        self.loss_sd, self.sigma, self.read_sd = loss_sd, sigma, read_sd
        self._spec = ParameterSpec((TensorSpec("theta", (n,), -window, window, resolution, initial_sd=window / 8),))
        self._info = DeviceInfo(f"quadratic:n{n}?seed={seed}", "quadratic", str(seed), "1", emulated=True)
        self._capabilities = Capabilities(
            readback=readback,
            laws=frozenset(get_args(Law)) if laws is None else laws,
            # Noise on the loss is noise of the evaluation; a black box has no other node.
            node_noise=loss_sd > 0,
            parameter_noise=parameter_noise,
            deterministic=True,
            snapshot=True,
            timeout_s=10.0,
            read_cost=Cost(reads=n, device_seconds=n * EVALUATION_S),
        )
        self._rng = np.random.default_rng([seed, 1])
        self._seed = seed
        self._theta: Array = np.zeros(n)  # as programmed
        self._held: Array = np.zeros(n)  # retained noise on top of it
        self._realised: Array = np.zeros(n)  # what the last evaluation saw
        self._clock = 0.0
        self._closed = False

    @property
    def info(self) -> DeviceInfo:
        """Who it is; the URL is a label, no backend opens it."""
        return self._info

    @property
    def capabilities(self) -> Capabilities:
        """What it can do."""
        return self._capabilities

    @property
    def parameters(self) -> ParameterSpec:
        """One tensor, ``"theta"``."""
        return self._spec

    def loss_at(self, theta: Array) -> float:
        """The loss of theta (n,) without any noise."""
        return self.floor + 0.5 * float(self.curvature @ np.square(theta - self.optimum))

    def gradient_at(self, theta: Array) -> Array:
        """Its gradient (n,)."""
        return self.curvature * (theta - self.optimum)

    def program(self, theta: Array, *, mask: NDArray[np.bool_] | None = None) -> Cost:
        """Write theta (n,); every cell written gets new noise, also where its value stays as it was.

        Raises:
            ConfigError, DeviceError: as for `hwzo.device.Device.program`.
        """
        self._check_open()
        target = self._spec.check(theta)
        if mask is not None:
            if mask.shape != target.shape:
                raise ConfigError(f"mask has shape {mask.shape}, the device needs {target.shape}; nothing was written")
            target = np.where(mask, target, self._theta)
        written = np.ones(target.shape, dtype=np.bool_) if mask is None else mask
        resolution = self._spec.tensors[0].resolution
        if resolution:
            target = self._spec.clip(np.round(target / resolution) * resolution)
        count = int(written.sum())
        self._theta = np.array(target)
        if self._capabilities.parameter_noise == "retained":
            self._held[written] = self.sigma * self._rng.standard_normal(count)
        self._realised = self._theta + self._held
        self._clock += 0.1 * EVALUATION_S * count
        return Cost(cell_writes=count, device_seconds=0.1 * EVALUATION_S * count)

    def measure(self, probes: Probes, batch: Batch) -> Readings:
        """The losses of K probes, with their noise.

        Raises:
            CapabilityError, DeviceError: as for `hwzo.device.Device.measure`.
        """
        self._check_open()
        can, count = self._capabilities, len(probes)
        if probes.want != "loss" and not (probes.want == "weights" and can.reads_back("weights")):
            raise CapabilityError(f"want={probes.want!r}: this black box reads back {can.readback} only")
        can.check(probes)
        moved = bool(np.any(probes.scales))
        # One row of noise a probe, so that the noise is the same however the probes are sharded.
        n = self._spec.size
        noise = self._rng.standard_normal((count, 2 * n + 1))
        w = self._theta + self._held + np.zeros((count, 1))
        if can.parameter_noise == "per-evaluation":
            w = w + self.sigma * noise[:, :n]
        if moved:
            z = directions(
                probes.law, self._spec, key=probes.key, step=probes.step, counters=np.asarray(probes.counters)
            )
            w = w + probes.scales[:, None] * z
        # A sum along rows, not a matrix product: BLAS may round one row and many rows differently.
        losses = self.floor + 0.5 * np.sum(self.curvature * np.square(w - self.optimum), axis=1)
        losses = losses + self.loss_sd * noise[:, -1]
        self._realised = w[-1].copy()
        self._clock += count * EVALUATION_S
        reads = count * len(batch)
        cost = Cost(reads=reads, device_seconds=count * EVALUATION_S, joules=1e-9 * reads)
        if probes.want == "loss":
            return Readings(losses, cost=cost)
        return Readings(losses, realised=w + self.read_sd * noise[:, n : 2 * n], cost=cost + can.read_cost * count)

    def apply(self, update: Update) -> Cost:
        """Write ``update.target`` where its step isn't 0.

        Raises:
            ConfigError, DeviceError: as for ``program``.
        """
        return self.program(update.target, mask=update.step != 0)

    def read(self, repeats: int = 1) -> Array:
        """What the last evaluation realised, (repeats, n), each with the read's error.

        Raises:
            CapabilityError: the device gives losses only.
        """
        self._check_open()
        if not self._capabilities.reads_back("weights"):
            raise CapabilityError("this black box gives losses only; open it with readback='weights'")
        self._clock += repeats * self._capabilities.read_cost.device_seconds
        return self._realised + self.read_sd * self._rng.standard_normal((repeats, self._spec.size))

    def close(self) -> None:
        """Let go of it."""
        self._closed = True

    def snapshot(self) -> bytes:
        """The whole state: CRC-32 (4 bytes, little-endian) and JSON."""
        state: dict[str, Any] = {
            "device": [self._seed, self._spec.size],
            "theta": self._theta.tolist(),
            "held": self._held.tolist(),
            "realised": self._realised.tolist(),
            "clock": self._clock,
            "rng": self._rng.bit_generator.state,
        }
        body = json.dumps(state).encode()
        return zlib.crc32(body).to_bytes(4, "little") + body

    def restore(self, state: bytes) -> None:
        """Put back what ``snapshot`` gave.

        Raises:
            FileError: damaged, or of another device.
        """
        body = state[4:]
        if len(state) < 5 or zlib.crc32(body) != int.from_bytes(state[:4], "little"):
            raise FileError("this is not a snapshot of a quadratic device, or it is damaged; nothing was restored")
        values: dict[str, Any] = json.loads(body)
        if values["device"] != [self._seed, self._spec.size]:
            raise FileError(f"the snapshot is of a device with seed and size {values['device']}; nothing was restored")
        self._theta, self._held = np.array(values["theta"]), np.array(values["held"])
        self._realised, self._clock = np.array(values["realised"]), float(values["clock"])
        self._rng.bit_generator.state = values["rng"]

    def advance(self, seconds: float) -> None:
        """Move the clock; nothing here drifts."""
        self._clock += seconds

    def _check_open(self) -> None:
        if self._closed:
            raise DeviceError("the quadratic device is closed; open a new one")
