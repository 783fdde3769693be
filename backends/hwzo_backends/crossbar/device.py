"""The emulated crossbar as a device: cells, slow noise, converters and a clock behind hwzo's contract."""

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
from hwzo_backends.crossbar import snapshot
from hwzo_backends.crossbar.cells import Cells, Imperfections
from hwzo_backends.crossbar.converters import Converter
from hwzo_backends.crossbar.engine import Engine
from hwzo_backends.crossbar.noise import CounterNoise, Stream
from hwzo_backends.crossbar.options import Options
from hwzo_backends.crossbar.preset import Preset
from hwzo_backends.crossbar.slow_noise import FlickerBands, Telegraph
from hwzo_backends.crossbar.tiles import map_layers

READ_HEADROOM = 1.25
"""Full scale of the read-back converter over the window: noise at a bound must not be cut off."""

_CHUNK = 1 << 21  # numbers that a batch of probes may take in memory at a time

_WORKS_WITH: dict[Readback, str] = {
    "loss": "spsa, block, mgd, selection",
    "outputs": "spsa, block, mgd, selection",
    "nodes": "intrinsic, node-perturbation",
    "weights": "intrinsic",
}


class CrossbarDevice:
    """An emulated crossbar of noisy cells that evaluates a multilayer perceptron; implements `EmulatedDevice`.

    Same seed and same calls give the same bytes. K probes in one call, in K calls or anything between are the same
    measurement. Its clock starts at 0 and advances with each evaluation, write and read-back.

    A commanded displacement is made by writing the cells (``perturb=write``: clipped to the window; each costs two
    writes a displaced parameter, and so does putting back), or by a volatile one that costs nothing and isn't clipped
    (``perturb=overlay``).

    Args:
        preset: physics of the cells.
        options: everything else, resolved.
    """

    def __init__(self, preset: Preset, options: Options) -> None:
        self._preset, self._options = preset, options
        network = options.network
        self._network = network
        self.parameters: ParameterSpec = network.parameter_spec(options.window)
        n = self.parameters.size
        self._noise = CounterNoise(options.seed)
        fit = preset.fits.get(options.fit)
        self._cells = Cells(
            n,
            options.window,
            preset,
            Imperfections(fit, options.programming, options.drift, options.flicker, options.d2d, options.stuck),
            self._noise,
        )
        law = preset.flicker
        self._flicker = FlickerBands(n, law.t_read, preset.t0, self._noise) if law and options.flicker else None
        telegraph = options.telegraph > 0 and options.telegraph_fraction > 0
        self._telegraph = (
            Telegraph(2 * n, options.telegraph, options.telegraph_fraction, options.telegraph_tau, self._noise)
            if telegraph
            else None
        )
        layers = map_layers(network, *options.tile_size)
        self._engine = Engine(
            network,
            layers,
            Converter(options.dac_bits, 1.0),
            Converter(options.adc_bits, options.adc_max),
            options.node_noise,
        )
        self._read_converter = Converter(options.adc_bits, READ_HEADROOM * options.window)
        # Variance of a weight's white read noise: both cells of the pair, in weight units.
        self._white_variance = 2.0 * (options.read_noise * preset.g_max / self._cells.k) ** 2

        # Layers run one after another, the tiles of a layer at the same time; so do the rows of a read-back.
        self._tiles = sum(layer.n_tiles for layer in layers)
        self._sample_seconds = len(layers) * preset.t_sample
        row_reads = sum(layer.n_rows * layer.n_columns for layer in layers)
        self._read_cost = Cost(
            reads=row_reads,
            device_seconds=sum(layer.longest for layer in layers) * preset.t_sample,
            joules=row_reads * preset.read_joules,
        )
        self._theta: Array = np.zeros(n)  # what was programmed, without displacements
        self._displaced = False  # whether the cells hold something else
        self._latched: Array | None = None  # what the last evaluation realised, before read error
        self._clock = 0.0
        self._evaluations = 0
        self._writes = 0
        self._reads = 0
        self._closed = False

        self.info = DeviceInfo(
            url=str(options.url(preset)),
            model=f"crossbar:{preset.name}",
            serial=str(options.seed),
            firmware=f"hwzo crossbar emulator {snapshot.FORMAT}",
            emulated=True,
        )
        noise: ParameterNoise = "none"
        if options.sigma:
            noise = "per-evaluation"
        elif options.programming or options.flicker or telegraph:
            noise = "retained"
        self.capabilities = Capabilities(
            readback=options.readback,
            laws=frozenset(get_args(Law)),
            probe_writes=options.perturb == "write",
            node_noise=bool(options.node_noise or options.read_noise),
            parameter_noise=noise,
            network=network,
            deterministic=True,
            snapshot=True,
            read_cost=self._read_cost if options.readback == "weights" else Cost(),
        )
        self._write_cells(slice(None), self._theta)  # a new chip: every cell at rest

    def __repr__(self) -> str:
        return f"<CrossbarDevice {self.info.url}, emulated>"

    @property
    def clock(self) -> float:
        """Seconds on the device's own clock."""
        return self._clock

    # --- writing ---

    def program(self, theta: Array, *, mask: NDArray[np.bool_] | None = None) -> Cost:
        """See `hwzo.device.Device.program`. Every cell written gets new noise, also where its target didn't change."""
        self._open()
        theta = self.parameters.check(theta)
        if mask is None:
            self._theta = np.array(theta)
            return self._write_cells(slice(None), self._theta)
        where: NDArray[np.bool_] = np.asarray(mask)
        if where.shape != theta.shape or where.dtype != np.bool_:
            raise ConfigError(
                f"mask is {where.dtype} of shape {where.shape}, expected bool {theta.shape}; nothing was written"
            )
        if where.all():
            return self.program(theta)
        self._theta = np.where(where, theta, self._theta)
        if self._displaced:
            where = where | (self._cells.held != self._theta)
        self._displaced = False
        return self._write_cells(np.flatnonzero(where), self._theta[where])

    def apply(self, update: Update) -> Cost:
        """See `hwzo.device.Device.apply`."""
        return self.program(update.target, mask=np.asarray(update.step) != 0)

    def _write_cells(self, at: slice | NDArray[np.intp], weights: Array) -> Cost:
        n_cells = 2 * len(weights)
        if n_cells == 0:
            return Cost()
        preset = self._preset
        cost = Cost(cell_writes=n_cells, device_seconds=n_cells * preset.t_write, joules=n_cells * preset.write_joules)
        self._clock += cost.device_seconds
        self._cells.write(at, weights, self._clock, self._writes)
        if self._flicker is not None:
            self._flicker.restart(at, self._clock, cost.device_seconds, self._writes)
        self._writes += 1
        self._latched = None
        if isinstance(at, slice):
            self._displaced = False
        return cost

    def _hold(self, weights: Array) -> Cost:
        """Write whatever it takes for the cells to hold ``weights``."""
        at = np.flatnonzero(self._cells.held != weights)
        whole = len(at) == len(weights)
        return self._write_cells(slice(None) if whole else at, weights if whole else weights[at])

    # --- measuring ---

    def measure(self, probes: Probes, batch: Batch) -> Readings:
        """See `hwzo.device.Device.measure`."""
        self._open()
        self._check(probes, batch)
        n_probes, n_samples, n = len(probes), len(batch), self.parameters.size
        per_probe = 4 * n + 3 * n_samples * sum(self._network.layers)
        step = max(1, _CHUNK // per_probe)
        want_weights = probes.want == "weights"
        losses = np.empty(n_probes)
        realised = np.empty((n_probes, n)) if want_weights else None
        nodes: list[list[Array]] = []
        cost = Cost(
            reads=n_samples * self._tiles * n_probes,
            device_seconds=n_samples * self._sample_seconds * n_probes,
            joules=n_samples * self._tiles * n_probes * self._preset.read_joules,
        )
        for start in range(0, n_probes, step):
            part = probes.part(start, min(start + step, n_probes))
            here, written = self._measure_part(part, batch, realised, start)
            cost += written
            losses[start : start + len(part)] = sample_losses(here[-1], batch.targets, batch.loss).mean(axis=-1)
            if probes.want != "loss":
                nodes.append(here)
        if not np.isfinite(losses).all():
            raise MeasurementError(
                f"device {self.info.url} answered with a loss that is not a finite number: its signals overflowed; "
                "use converters of finite range, or a smaller window"
            )
        if want_weights:
            cost += self._read_cost * n_probes
        layers = [p[0] if len(p) == 1 else np.concatenate(p) for p in zip(*nodes, strict=True)]
        return Readings(
            losses,
            outputs=layers[-1] if layers else None,
            nodes=tuple(layers) if probes.want in ("nodes", "weights") else None,
            realised=realised,
            cost=cost,
        )

    def _measure_part(
        self, probes: Probes, batch: Batch, realised: Array | None, start: int
    ) -> tuple[list[Array], Cost]:
        """Nodes of a few probes, and the cost of their writes; fills ``realised`` from row ``start`` on."""
        n_probes, n_samples, n = len(probes), len(batch), self.parameters.size
        duration = n_samples * self._sample_seconds
        displaced = probes.scales != 0
        displacements = self._displacements(probes) if displaced.any() else None
        by_writing = self._options.perturb == "write"
        has_white = self._white_variance > 0 or (self._flicker is not None and self._flicker.n_white(duration) > 0)
        has_noise = has_white or self._options.node_noise > 0
        n_normals = n_samples * self._engine.normals_per_sample
        weights = np.empty((n_probes, n))
        variances = np.empty((n_probes, n)) if has_white else None
        normals = np.empty((n_probes, n_normals)) if has_noise else None
        cost = Cost()
        for i in range(n_probes):
            overlay: Array | None = None
            if displacements is not None and displaced[i]:
                if by_writing:
                    cost += self._hold(self.parameters.clip(self._theta + displacements[i]))
                    self._displaced = True
                else:
                    overlay = displacements[i]
            elif self._displaced:
                cost += self._hold(self._theta)
                self._displaced = False
            event = self._evaluations
            weights[i] = latched = self._realise(duration)
            if overlay is not None:
                weights[i] += overlay
                latched = np.array(weights[i])
            self._latched = latched
            if variances is not None:
                self._white_variances(duration, variances[i])
            if normals is not None:
                self._noise.at(Stream.NODES, event).standard_normal(out=normals[i])
            self._clock += duration
            if realised is not None:
                realised[start + i] = self._read_back(latched)
        return self._engine.forward(batch.inputs, weights, variances, normals), cost

    def _displacements(self, probes: Probes) -> Array:
        rows = directions(probes.law, self.parameters, key=probes.key, step=probes.step, counters=probes.counters)
        return probes.scales[:, None] * rows

    def _realise(self, duration: float) -> Array:
        """Effective weights (n_params,) of the next evaluation, which takes so many seconds; a new array."""
        event = self._evaluations
        self._evaluations += 1
        cells = self._cells
        cells.refresh(self._clock)
        weights = np.array(cells.weights)
        if self._flicker is not None:
            weights += cells.flicker_sd * self._flicker.move(self._clock, duration, event)
        if self._telegraph is not None:
            excursion = self._telegraph.move(self._clock, event).reshape(2, -1) * cells.conductances
            weights += (excursion[0] - excursion[1]) / cells.k
        if self._options.sigma:
            own = self._noise.at(Stream.PARAMETERS, event).standard_normal(len(weights))
            own *= self._options.sigma
            weights += own
        return weights

    def _white_variances(self, duration: float, out: Array) -> None:
        """Variance of each weight's noise that is new in every sample."""
        if self._flicker is None:
            out[:] = self._white_variance
            return
        np.multiply(self._cells.flicker_sd, self._cells.flicker_sd, out=out)
        out *= self._flicker.n_white(duration) * np.log(10.0)
        out += self._white_variance

    # --- reading back ---

    def read(self, repeats: int = 1) -> Array:
        """See `hwzo.device.Device.read`. After a write or `advance` nothing is latched, and the cells are read anew."""
        self._open()
        if not self.capabilities.reads_back("weights"):
            self._refuse("weights")
        if repeats < 1:
            raise ConfigError(f"repeats={repeats}: should be at least 1", key="repeats")
        if self._latched is None:
            self._latched = self._realise(self._read_cost.device_seconds)
        return np.stack([self._read_back(self._latched) for _ in range(repeats)])

    def _read_back(self, latched: Array) -> Array:
        """One reading of the weights: error, then the converter."""
        reading = np.array(latched)
        if self._options.read_error:
            error = self._noise.at(Stream.READ_ERROR, self._reads).standard_normal(len(reading))
            error *= self._options.read_error
            reading += error
        self._reads += 1
        self._clock += self._read_cost.device_seconds
        return self._read_converter.convert(reading)

    # --- checks ---

    def _open(self) -> None:
        if self._closed:
            raise DeviceError(f"device {self.info.url} is closed; connect to it again")

    def _refuse(self, want: Readback) -> NoReturn:
        has = self.capabilities.readback
        raise CapabilityError(
            f"device {self.info.url} reads back {has!r}, not {want!r}; "
            f"methods that work with {has!r}: {_WORKS_WITH[has]}; or open it with readback={want}"
        )

    def _check(self, probes: Probes, batch: Batch) -> None:
        if not self.capabilities.reads_back(probes.want):
            self._refuse(probes.want)
        if probes.law not in self.capabilities.laws:
            raise CapabilityError(
                f"law {probes.law!r} is not known; there are: {', '.join(sorted(self.capabilities.laws))}"
            )
        if len(probes) > self.capabilities.max_probes:
            raise CapabilityError(f"{len(probes)} probes in one call; at most {self.capabilities.max_probes} fit")
        if not np.isfinite(probes.scales).all():
            raise ConfigError("a probe's scale is not a finite number")
        batch.check(self._network)

    # --- what only an emulated device can do ---

    def advance(self, seconds: float) -> None:
        """See `hwzo.device.EmulatedDevice.advance`.

        Raises:
            ConfigError: negative or not finite.
        """
        self._open()
        if not (seconds >= 0 and np.isfinite(seconds)):
            raise ConfigError(f"seconds={seconds}: time passes forwards, by a finite number", key="seconds")
        self._clock += float(seconds)
        self._latched = None

    def snapshot(self) -> bytes:
        """See `hwzo.device.EmulatedDevice.snapshot`."""
        self._open()
        arrays: dict[str, Any] = {
            "theta": self._theta,
            "latched": self._latched if self._latched is not None else np.empty(0),
            "clock": np.array(self._clock),
            "counts": np.array([self._displaced, self._evaluations, self._writes, self._reads], dtype=np.int64),
            **{f"cells.{name}": array for name, array in self._cells.state().items()},
        }
        if self._flicker is not None:
            arrays |= {"flicker.values": self._flicker.values, "flicker.moved": self._flicker.moved}
        if self._telegraph is not None:
            arrays |= {"telegraph.signs": self._telegraph.signs, "telegraph.moved": np.array(self._telegraph.moved)}
        return snapshot.pack(arrays, self.info.url)

    def restore(self, state: bytes) -> None:
        """See `hwzo.device.EmulatedDevice.restore`. After an error the device is as it was."""
        self._open()
        arrays = snapshot.unpack(state, self.info.url)
        self._theta = arrays["theta"]
        self._latched = arrays["latched"] if len(arrays["latched"]) else None
        self._clock = float(arrays["clock"])
        displaced, self._evaluations, self._writes, self._reads = (int(i) for i in arrays["counts"])
        self._displaced = bool(displaced)
        self._cells.restore({k.removeprefix("cells."): v for k, v in arrays.items() if k.startswith("cells.")})
        if self._flicker is not None:
            self._flicker.values = arrays["flicker.values"].astype(np.float32, copy=False)
            self._flicker.moved = arrays["flicker.moved"]
        if self._telegraph is not None:
            self._telegraph.signs = arrays["telegraph.signs"]
            self._telegraph.moved = float(arrays["telegraph.moved"])

    def close(self) -> None:
        """See `hwzo.device.Device.close`."""
        self._closed = True
