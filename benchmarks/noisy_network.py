"""A network whose parameters have noise of any law, as an emulated black box: for benchmarks of advice.

The crossbar emulator has the noise that its presets' sources publish. This one takes a law: common to all parameters,
slow, unequal, or what else there is to try. It reads back a loss, and weights if asked for, in float32.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np

from hwzo.device import Capabilities, DeviceInfo, Update
from hwzo.directions import directions
from hwzo.network import Network, sample_losses
from hwzo.parameters import Array, ParameterSpec
from hwzo.probes import Batch, Cost, Law, Probes, Readback, Readings

Kind = Literal["none", "equal", "common-mode", "slow", "unequal"]
TIMES = 2.0 ** np.array([1, 3, 5, 7, 9])
"""Correlation times of slow noise, evaluations: processes a factor of 4 apart add up to nearly 1/f."""
SPREAD = 1.0
"""sd of the logarithm of a parameter's own sigma, where they are unequal."""
SHARE = 0.2
"""Of the variance that is common to all parameters, where some is."""


@dataclass
class NoisyNetwork:
    """An emulated device; see the module.

    Args:
        kind: law of the parameters' noise, new in each evaluation but for ``slow``.
        sigma: its rms over the parameters, weight units.
        loss_sd: of the noise on each loss.
        read_sd: error of reading a parameter back, weight units.
        readback: ``weights`` or ``loss``.
        seed: of which device it is, and of its noise.
    """

    kind: Kind
    sigma: float = 0.0
    loss_sd: float = 0.0
    read_sd: float = 0.0
    readback: Readback = "weights"
    seed: int = 0
    network: Network = field(default_factory=lambda: Network.parse("64-32-10"))

    def __post_init__(self) -> None:
        self.parameters: ParameterSpec = self.network.parameter_spec(1.0)
        n = self.parameters.size
        own = np.random.default_rng([self.seed, 0])
        sigmas = np.exp(SPREAD * own.standard_normal(n))
        self._sigmas = (self.sigma * sigmas / np.sqrt(np.mean(sigmas**2))).astype(np.float32)
        self.info = DeviceInfo(f"noisy-network:{self.kind}", "noisy-network", str(self.seed), "1", emulated=True)
        self.capabilities = Capabilities(
            readback=self.readback,
            laws=frozenset(get_args(Law)),
            parameter_noise="none" if self.kind == "none" else "per-evaluation",
            deterministic=True,
            snapshot=True,
        )
        self.reseed(self.seed)
        self._theta = np.zeros(n)
        self._last = np.zeros(n)

    def reseed(self, seed: int) -> None:
        """The same device with other draws of its noise."""
        self._rng = np.random.default_rng([seed, 1])
        rows = len(TIMES) if self.kind == "slow" else 0
        self._slow = self._rng.standard_normal((rows, self.parameters.size), dtype=np.float32)

    def program(self, theta: Array, *, mask: np.ndarray | None = None) -> Cost:
        """Exact writes."""
        self._theta = np.array(theta) if mask is None else np.where(mask, theta, self._theta)
        self._last = self._theta
        return Cost(cell_writes=len(theta) if mask is None else int(mask.sum()))

    def apply(self, update: Update) -> Cost:
        """A step."""
        return self.program(update.target, mask=update.step != 0)

    def measure(self, probes: Probes, batch: Batch) -> Readings:
        """Losses, and what the parameters were meanwhile."""
        k = len(probes)
        effective = self._theta.astype(np.float32) + self._noise(k)
        if probes.scales.any():
            z = directions(
                probes.law, self.parameters, key=probes.key, step=probes.step, counters=np.asarray(probes.counters)
            )
            effective += (probes.scales[:, None] * z).astype(np.float32)
        losses = self._losses(effective, batch) + self.loss_sd * self._rng.standard_normal(k)
        self._last = effective[-1]
        realised = self._read(effective) if probes.want == "weights" else None
        return Readings(losses, realised=realised, cost=Cost(reads=k * len(batch)))

    def read(self, repeats: int = 1) -> Array:
        """What the last evaluation realised."""
        return self._read(np.broadcast_to(self._last, (repeats, self.parameters.size)))

    def close(self) -> None:
        """Nothing to let go of."""

    def snapshot(self) -> bytes:
        """The whole state."""
        file = io.BytesIO()
        rng = np.frombuffer(json.dumps(self._rng.bit_generator.state).encode(), dtype=np.uint8)
        np.savez(file, rng=rng, theta=self._theta, last=self._last, slow=self._slow)
        return file.getvalue()

    def restore(self, state: bytes) -> None:
        """Put it back."""
        with np.load(io.BytesIO(state), allow_pickle=False) as arrays:
            self._rng.bit_generator.state = json.loads(arrays["rng"].tobytes())
            self._theta, self._last, self._slow = arrays["theta"], arrays["last"], arrays["slow"]

    def advance(self, seconds: float) -> None:
        """Nothing here ages."""

    def _losses(self, effective: np.ndarray, batch: Batch) -> Array:
        """(K,) of parameters (K, n): first layer as one product, for speed."""
        first, *rest = self.network.blocks(effective)
        k, rows, columns = first.shape
        inputs = batch.inputs.astype(np.float32)
        a = inputs @ first[:, :-1].transpose(1, 0, 2).reshape(rows - 1, k * columns)
        a = a.reshape(len(inputs), k, columns).transpose(1, 0, 2) + first[:, -1:]
        for block in rest:
            a = np.tanh(a) @ block[:, :-1] + block[:, -1:]
        return sample_losses(a.astype(np.float64), batch.targets, batch.loss).mean(axis=-1)

    def _noise(self, k: int) -> np.ndarray:
        n = self.parameters.size
        if self.kind == "none":
            return np.zeros((k, n), dtype=np.float32)
        if self.kind == "slow":
            return self._wandered(k)
        white = self._rng.standard_normal((k, n), dtype=np.float32)
        if self.kind == "unequal":
            return white * self._sigmas
        if self.kind == "common-mode":
            white = np.float32((1 - SHARE) ** 0.5) * white + np.float32(SHARE**0.5) * white[:, :1]
        return np.float32(self.sigma) * white

    def _wandered(self, k: int) -> np.ndarray:
        """Ornstein-Uhlenbeck processes of equal variance, one evaluation after the other."""
        decay = np.exp(-1.0 / TIMES).astype(np.float32)[:, None]
        kick = np.sqrt(1.0 - decay**2)
        noise = np.empty((k, self.parameters.size), dtype=np.float32)
        for row in noise:
            self._slow *= decay
            self._slow += kick * self._rng.standard_normal(self._slow.shape, dtype=np.float32)
            row[:] = self._slow.sum(axis=0)
        return noise * np.float32(self.sigma / len(TIMES) ** 0.5)

    def _read(self, effective: np.ndarray) -> Array:
        error = self._rng.standard_normal(effective.shape, dtype=np.float32)
        return (effective + np.float32(self.read_sd) * error).astype(np.float64)
