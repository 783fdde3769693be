"""A network of LIF layers in Lava as a device: parameters, noise and readings; a worker evaluates."""

from __future__ import annotations

from typing import Any, NoReturn, get_args

import numpy as np
from numpy.typing import NDArray

from hwzo.device import Capabilities, DeviceInfo, ParameterNoise, Update
from hwzo.directions import directions
from hwzo.errors import CapabilityError, ConfigError, DeviceError, MeasurementError
from hwzo.network import sample_losses
from hwzo.parameters import Array, ParameterSpec
from hwzo.probes import Batch, Cost, Law, Probes, Readback, Readings
from hwzo_backends.lava import environment, snapshot
from hwzo_backends.lava.lif import SHIFT
from hwzo_backends.lava.options import REGISTER, Options
from hwzo_backends.lava.plan import Answer, Output, answered, question
from hwzo_backends.lava.registers import Registers
from hwzo_backends.lava.verify import SETS, Verified, verify
from hwzo_backends.lava.worker import Worker

MOST_PROBES = 256
MOST_AT_ONCE = 1 << 22
"""Input spikes, samples times steps times inputs, that one question carries; more go out in parts."""

_WORKS_WITH: dict[Readback, str] = {
    "loss": "spsa, block, mgd",
    "outputs": "spsa, block, mgd",
    "nodes": "intrinsic",
    "weights": "intrinsic",
}


class LavaDevice:
    """Layers of LIF neurons in Lava's simulation; implements `EmulatedDevice`.

    Same seed and calls give the same bytes. K probes in one call, in K calls or anything between are the same
    measurement. Its whole state is here: a worker that is lost takes nothing with it, and the next call starts another.

    A commanded displacement is made by writing weights: registers are set to those nearest to the displaced parameters,
    within bounds, and set back; each costs its writes. Batches of more than `MOST_AT_ONCE` spikes are evaluated in
    parts.

    Args:
        options: resolved.

    Raises:
        DeviceError: Lava isn't installed, or its worker doesn't start.
    """

    def __init__(self, options: Options) -> None:
        self._options = options
        self._network = options.network
        self._plan = options.plan()
        self._registers = Registers.by(options)
        self.parameters: ParameterSpec = self._registers.spec()
        n = self.parameters.size
        self._theta: Array = np.zeros(n)
        self._writes = 0
        self._dither: Array = self._registers.dither(0)  # of each parameter's last write, where rounding is stochastic
        self._held: NDArray[Any] = self._registers.of(self._theta, self._dither)
        self._evaluations = 0  # the noise of each is a function of its number
        self._reads = 0
        self._seconds = 0.0  # let pass by `advance`; an evaluation has no time of its own here
        self._latched: Array | None = None  # registers that the last evaluation realised, where weights are noisy
        self._closed = False
        url = str(options.url())
        self.info = DeviceInfo(
            url=url,
            model=f"lava:lif, {options.precision}, {options.mode}",
            serial=str(options.seed),
            firmware=f"lava-nc {environment.LAVA}",
            emulated=True,
        )
        noise = self._plan.noise
        on_weights = noise is not None and noise.target == "weights"
        parameter_noise: ParameterNoise = "per-evaluation" if on_weights else "none"
        self.capabilities = Capabilities(
            readback=options.readback,
            laws=frozenset(get_args(Law)),
            probe_writes=True,
            node_noise=noise is not None and not on_weights,
            parameter_noise=parameter_noise,
            network=self._network,
            deterministic=True,
            snapshot=True,
            max_probes=MOST_PROBES,
            timeout_s=options.timeout + 10.0,  # the worker's own comes first, and says more
            read_cost=Cost(reads=n) if options.readback == "weights" else Cost(),
        )
        self._python = environment.python()
        self._worker: Worker | None = None
        self._start()

    def __repr__(self) -> str:
        return f"<LavaDevice {self.info.url}, emulated>"

    # --- writing ---

    def program(self, theta: Array, *, mask: NDArray[np.bool_] | None = None) -> Cost:
        """See `hwzo.device.Device.program`. A cell is written where its register changes."""
        self._open()
        theta = self.parameters.check(theta)
        dither = self._registers.dither(self._writes + 1)
        if mask is not None:
            where: NDArray[np.bool_] = np.asarray(mask)
            if where.shape != theta.shape or where.dtype != np.bool_:
                raise ConfigError(
                    f"mask is {where.dtype} of shape {where.shape}, expected bool {theta.shape}; nothing was written"
                )
            theta = np.where(where, theta, self._theta)
            if len(dither):
                dither = np.where(where, dither, self._dither)
        held = self._registers.of(theta, dither)
        changed = int(np.count_nonzero(held != self._held))
        self._theta, self._held, self._dither, self._latched = np.array(theta), held, dither, None
        self._writes += 1
        return Cost(cell_writes=changed)

    def apply(self, update: Update) -> Cost:
        """See `hwzo.device.Device.apply`."""
        return self.program(update.target, mask=np.asarray(update.step) != 0)

    # --- measuring ---

    def measure(self, probes: Probes, batch: Batch) -> Readings:
        """See `hwzo.device.Device.measure`."""
        self._open()
        self._check(probes, batch)
        registers, written = self._displaced(probes)
        n_probes, n_samples = len(probes), len(batch)
        nodal = probes.want in ("nodes", "weights")
        step = max(1, MOST_AT_ONCE // (self._plan.steps * self._network.layers[0]))
        answers = [
            self._answer(registers, batch.inputs[start : start + step], nodal) for start in range(0, n_samples, step)
        ]
        outputs = np.concatenate([self._outputs(answer) for answer in answers], axis=1)
        heard = [np.concatenate(parts, axis=1) * self._unit for parts in zip(*(a.heard for a in answers), strict=True)]
        losses = sample_losses(outputs, batch.targets, batch.loss).mean(axis=-1)
        if not np.isfinite(losses).all():
            raise MeasurementError(f"device {self.info.url} answered with a loss that is not a finite number")
        realised = answers[-1].realised
        if realised is not None:
            self._latched = np.array(realised[-1])
        read = None
        cost = Cost(reads=n_probes * n_samples * self._plan.steps, cell_writes=written)
        if probes.want == "weights" and realised is not None:
            read = np.stack([self._read_back(row) for row in realised])
            cost += self.capabilities.read_cost * n_probes
        return Readings(
            losses,
            outputs=outputs if probes.want != "loss" else None,
            nodes=(*heard, outputs) if nodal else None,
            realised=read,
            cost=cost,
        )

    def _displaced(self, probes: Probes) -> tuple[NDArray[Any], int]:
        """Registers of each probe (K, n_params), and how many are written for them and put back."""
        if not probes.scales.any():
            return np.broadcast_to(self._held, (len(probes), len(self._held))), 0
        rows = directions(probes.law, self.parameters, key=probes.key, step=probes.step, counters=probes.counters)
        rows *= probes.scales[:, None]
        rows += self._theta
        np.clip(rows, self.parameters.lower, self.parameters.upper, out=rows)
        registers = self._registers.of(rows, self._dither)
        return registers, 2 * int(np.count_nonzero(registers != self._held))

    def _answer(self, registers: NDArray[Any], inputs: Array, nodes: bool) -> Answer:
        outputs: tuple[Output, ...] = (self._options.readout,)
        words, arrays = question(registers, inputs, evaluation=self._evaluations, nodes=nodes, outputs=outputs)
        _, told = self._running().ask(words, arrays, timeout_s=self._options.timeout)
        self._evaluations += len(registers)  # only now: what failed was no evaluation
        return answered(told)

    def _outputs(self, answer: Answer) -> Array:
        """(K, batch, n_outputs)."""
        gain, steps = self._options.output_gain, self._plan.steps
        if self._options.readout == "counts":
            return answer.counts * (gain / steps)
        return answer.membrane * (gain / steps * self._unit)

    @property
    def _unit(self) -> float:
        """Weight units of 1 in u and v."""
        unit = self._options.window / REGISTER
        return unit * 2.0 ** (-self._options.weight_exp - SHIFT) if self._plan.fixed else unit

    # --- reading back ---

    def read(self, repeats: int = 1) -> Array:
        """See `hwzo.device.Device.read`. Before the first evaluation of what was written, it is what was written."""
        self._open()
        if not self.capabilities.reads_back("weights"):
            self._refuse("weights")
        if repeats < 1:
            raise ConfigError(f"repeats={repeats}: should be at least 1", key="repeats")
        latched = self._held if self._latched is None else self._latched
        return np.stack([self._read_back(latched) for _ in range(repeats)])

    def _read_back(self, registers: NDArray[Any]) -> Array:
        reading = self._registers.parameters(registers)
        if self._options.read_error:
            key = np.array([self._options.seed, 2], dtype=np.uint64)
            bits = np.random.Philox(key=key, counter=np.array([0, 0, 0, self._reads], dtype=np.uint64))
            reading = reading + self._options.read_error * np.random.Generator(bits).standard_normal(len(reading))
        self._reads += 1
        return reading

    # --- the worker ---

    def _start(self) -> Worker:
        options = self._options
        setup = {
            "mode": options.mode,
            "plan": self._plan.as_words(),
            "copies": options.copies,
            "hardware": options.hardware,
            "raster": False,
        }
        self._worker = Worker(self._python, setup, f"device {self.info.url}")
        return self._worker

    def _running(self) -> Worker:
        """The worker; another one, if the last has failed and an error has said so."""
        worker = self._worker
        return worker if worker is not None and not worker.closed else self._start()

    def verify(self, inputs: Array | None = None, *, sets: int = SETS, seed: int = 0) -> Verified:
        """Run what is programmed, and random parameters, through trial and graph mode: see `hwzo_backends.lava.verify`.

        Raises:
            VerificationError: they count differently; says where.
            DeviceError: Lava fails.
        """
        self._open()
        return verify(self._options, theta=self._theta, inputs=inputs, sets=sets, seed=seed)

    # --- checks ---

    def _open(self) -> None:
        if self._closed:
            raise DeviceError(f"device {self.info.url} is closed; connect to it again")

    def _refuse(self, want: Readback) -> NoReturn:
        has = self.capabilities.readback
        hint = "noise=loihi1&target=weights" if want == "weights" else f"readback={want}"
        raise CapabilityError(
            f"device {self.info.url} reads back {has!r}, not {want!r}; "
            f"methods that work with {has!r}: {_WORKS_WITH[has]}; or open it with {hint}"
        )

    def _check(self, probes: Probes, batch: Batch) -> None:
        if not self.capabilities.reads_back(probes.want):
            self._refuse(probes.want)
        self.capabilities.check(probes)
        batch.check(self._network)
        worst = float(np.abs(batch.inputs).max())
        if worst > 1.0:
            raise ConfigError(
                f"the batch's inputs reach {worst:g}; device {self.info.url} takes [-1, 1]: scale them",
                key="inputs",
            )

    # --- what only an emulated device can do ---

    def advance(self, seconds: float) -> None:
        """See `hwzo.device.EmulatedDevice.advance`. Nothing here ages: only the clock moves.

        Raises:
            ConfigError: negative or not finite.
        """
        self._open()
        if not (seconds >= 0 and np.isfinite(seconds)):
            raise ConfigError(f"seconds={seconds}: time passes forwards, by a finite number", key="seconds")
        self._seconds += float(seconds)

    def snapshot(self) -> bytes:
        """See `hwzo.device.EmulatedDevice.snapshot`."""
        self._open()
        arrays: dict[str, NDArray[Any]] = {
            "theta": self._theta,
            "dither": self._dither,
            "latched": self._latched if self._latched is not None else np.empty(0),
            "numbers": np.array([self._writes, self._evaluations, self._reads], dtype=np.int64),
            "seconds": np.array([self._seconds]),
        }
        return snapshot.pack(arrays, self._identity)

    def restore(self, state: bytes) -> None:
        """See `hwzo.device.EmulatedDevice.restore`. After an error the device is as it was."""
        self._open()
        arrays = snapshot.unpack(state, self._identity)
        self._theta, self._dither = np.array(arrays["theta"]), np.array(arrays["dither"])
        self._latched = np.array(arrays["latched"]) if len(arrays["latched"]) else None
        self._writes, self._evaluations, self._reads = (int(i) for i in arrays["numbers"])
        self._held = self._registers.of(self._theta, self._dither)
        self._seconds = float(arrays["seconds"][0])

    @property
    def _identity(self) -> str:
        """Of the state: all options but those that change nothing in it."""
        same: dict[str, object] = {"timeout": 60.0, "mode": "trial", "copies": 32, "hardware": "none"}
        same |= {"readback": "loss", "read_error": 0.0}
        return str(self._options.model_copy(update=same).url())

    def close(self) -> None:
        """See `hwzo.device.Device.close`: ends the worker."""
        self._closed = True
        if self._worker is not None:
            self._worker.close()
