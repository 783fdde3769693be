"""The emulated crossbar as a device: a chip, converters and an engine behind hwzo's contract."""

from __future__ import annotations

from dataclasses import replace
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
from hwzo_backends.crossbar.chip import Chip
from hwzo_backends.crossbar.converters import READ_HEADROOM, Converter
from hwzo_backends.crossbar.engine import CHUNK, Realised, displaced
from hwzo_backends.crossbar.engines import make_engine, make_noise, settled
from hwzo_backends.crossbar.noise import Stream
from hwzo_backends.crossbar.options import Options
from hwzo_backends.crossbar.preset import Preset
from hwzo_backends.crossbar.tiles import map_layers

_WORKS_WITH: dict[Readback, str] = {
    "loss": "spsa, block, mgd, selection",
    "outputs": "spsa, block, mgd, selection",
    "nodes": "intrinsic",
    "weights": "intrinsic",
}


class CrossbarDevice:
    """An emulated crossbar of noisy cells that evaluates a layered network: an `EmulatedDevice` and a `GainedDevice`.

    Same seed, engine and calls give the same bytes. K probes in one call, in K calls or anything between are the same
    measurement. Its clock starts at 0 and advances with each evaluation, write and read-back.

    A commanded displacement is made by writing the cells (``perturb=write``: clipped to the window; each costs its
    writes, and so does putting back), or by a volatile one that costs nothing and isn't clipped (``perturb=overlay``).

    Args:
        preset: physics of the cells.
        options: everything else, resolved.
    """

    def __init__(self, preset: Preset, options: Options) -> None:
        options = settled(options)
        self._preset, self._options = preset, options
        network = options.network
        self._network = network
        self.parameters: ParameterSpec = network.parameter_spec(options.window)
        n = self.parameters.size
        layers = map_layers(network, *options.tile_size)
        self._noise = make_noise(options)
        self._chip = Chip(preset, options, layers, self._noise, n)
        self._engine = make_engine(options, layers, self._noise, self._chip.scales)
        self._edges = np.cumsum([layer.n_outputs for layer in layers])  # where each layer's columns end
        self._gains: Array = np.ones(int(self._edges[-1]))
        self._read_converter = Converter(options.adc_bits, READ_HEADROOM * options.window)

        # Layers, positions and steps run one after another, tiles and slices of a layer at the same time; so do the
        # rows of a read-back.
        slices = len(self._chip.scales)
        self._sample_reads = slices * sum(layer.n_tiles * layer.reads for layer in layers)
        self._sample_seconds = sum(layer.reads for layer in layers) * preset.t_sample
        row_reads = slices * sum(layer.n_rows * len(layer.columns) for layer in layers)
        self._read_cost = Cost(
            reads=row_reads,
            device_seconds=sum(layer.longest for layer in layers) * preset.t_sample,
            joules=row_reads * preset.read_joules,
        )
        self._theta: Array = np.zeros(n)  # what was programmed, without displacements
        self._displaced = False  # whether the cells hold something else
        self._latched: Array | None = None  # what the last evaluation realised, before read error
        self._last: tuple[Realised, Probes, NDArray[np.int64]] | None = (
            None  # the same, where nobody has asked for it yet
        )
        self._reads = 0
        self._closed = False

        self.info = DeviceInfo(
            url=str(options.url(preset)),
            model=f"crossbar:{preset.name}",
            serial=str(options.seed),
            firmware=f"hwzo crossbar emulator {snapshot.FORMAT}, {options.engine}",
            emulated=True,
        )
        noise: ParameterNoise = "none"
        if options.sigma:
            noise = "per-evaluation"
        elif self._chip.retains_noise:
            noise = "retained"
        self.capabilities = Capabilities(
            readback=options.readback,
            laws=frozenset(get_args(Law)),
            probe_writes=options.perturb == "write",
            node_noise=bool(
                options.node_noise or options.read_noise or options.proportional or preset.read_sd is not None
            ),
            parameter_noise=noise,
            network=network,
            deterministic=True,
            snapshot=True,
            read_cost=self._read_cost if options.readback == "weights" else Cost(),
            # A preset's programming noise is what its source's own iterative programming leaves.
            verified_writes=bool(preset.fits) and options.programming > 0 and preset.pulses is None,
            output_gains=True,
            endurance=options.endurance,
        )
        self._write_cells(slice(None), self._theta)  # a new chip: every cell at rest

    def __repr__(self) -> str:
        return f"<CrossbarDevice {self.info.url}, emulated>"

    @property
    def clock(self) -> float:
        """Seconds on the device's own clock."""
        return self._chip.clock

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
            where = where | (self._chip.held != self._theta)
        self._displaced = False
        return self._write_cells(np.flatnonzero(where), self._theta[where])

    def apply(self, update: Update) -> Cost:
        """See `hwzo.device.Device.apply`."""
        return self.program(update.target, mask=np.asarray(update.step) != 0)

    def _write_cells(self, at: slice | NDArray[np.intp], weights: Array) -> Cost:
        cost = self._chip.write(at, weights)
        if len(weights):
            self._latched = self._last = None
            if isinstance(at, slice):
                self._displaced = False
        return cost

    def _hold(self, weights: Array) -> Cost:
        """Write whatever it takes for the cells to hold ``weights``."""
        at = np.flatnonzero(self._chip.held != weights)
        whole = len(at) == len(weights)
        return self._write_cells(slice(None) if whole else at, weights if whole else weights[at])

    # --- gains ---

    @property
    def gains(self) -> Array:
        """See `hwzo.device.GainedDevice.gains`."""
        return np.array(self._gains)

    def set_gains(self, gains: Array) -> None:
        """See `hwzo.device.GainedDevice.set_gains`; the columns of tiles that share a layer's rows have one factor."""
        self._open()
        values = np.asarray(gains, dtype=np.float64)
        if values.shape != self._gains.shape:
            raise ConfigError(
                f"gains have shape {values.shape}, the device has {len(self._gains)} columns; nothing was changed",
                key="gains",
            )
        if not ((values > 0) & np.isfinite(values)).all():
            at = int(np.argmin((values > 0) & np.isfinite(values)))
            raise ConfigError(
                f"the gain of column {at} is {values[at]:g}; it must be above 0 and finite; nothing was changed",
                key="gains",
            )
        self._gains = np.array(values)
        plain = bool((values == 1.0).all())  # left out, so that it costs nothing
        self._engine = replace(self._engine, gains=() if plain else tuple(np.split(self._gains, self._edges[:-1])))

    # --- measuring ---

    def measure(self, probes: Probes, batch: Batch) -> Readings:
        """See `hwzo.device.Device.measure`."""
        self._open()
        self._check(probes, batch)
        n_probes, n_samples = len(probes), len(batch)
        cost = Cost(
            reads=n_samples * self._sample_reads * n_probes,
            device_seconds=n_samples * self._sample_seconds * n_probes,
            joules=n_samples * self._sample_reads * n_probes * self._preset.read_joules,
        )
        overlaid = self._options.perturb == "overlay" or not (self._displaced or probes.scales.any())
        if probes.want == "loss" and overlaid:
            readings = Readings(self._population(probes, batch))
        else:
            readings, written = self._one_by_one(probes, batch)
            cost += written
        if not np.isfinite(readings.losses).all():
            raise MeasurementError(
                f"device {self.info.url} answered with a loss that is not a finite number: its signals overflowed; "
                "use converters of finite range, or a smaller window"
            )
        if probes.want == "weights":
            cost += self._read_cost * n_probes
        return replace(readings, cost=cost)

    def _population(self, probes: Probes, batch: Batch) -> Array:
        """Losses (K,) of evaluations between which nothing is written: those that see the same cells go together."""
        duration = len(batch) * self._sample_seconds
        losses = np.empty(len(probes))
        start = 0
        while start < len(probes):
            realised, event, count = self._chip.realise(duration, len(probes) - start)
            part = probes.part(start, start + count)
            events = np.arange(event, event + count)
            losses[start : start + count] = self._engine.losses(
                batch, realised, part, events, self.parameters, sigma=self._options.sigma
            )
            start += count
            self._last = realised, part.part(count - 1, count), events[-1:]
        return losses

    def _one_by_one(self, probes: Probes, batch: Batch) -> tuple[Readings, Cost]:
        """Readings of evaluations each of which may write, and whose nodes or weights are read back."""
        n_probes, n_samples, n = len(probes), len(batch), self.parameters.size
        per_probe = 4 * n * len(self._chip.scales) + 3 * n_samples * sum(self._network.layers)
        step = max(1, CHUNK // per_probe)
        losses = np.empty(n_probes)
        realised = np.empty((n_probes, n)) if probes.want == "weights" else None
        nodes: list[list[Array]] = []
        cost = Cost()
        for start in range(0, n_probes, step):
            part = probes.part(start, min(start + step, n_probes))
            here, written = self._measure_part(part, batch, realised, start)
            cost += written
            losses[start : start + len(part)] = sample_losses(here[-1], batch.targets, batch.loss).mean(axis=-1)
            if probes.want != "loss":
                nodes.append(here)
        layers = [p[0] if len(p) == 1 else np.concatenate(p) for p in zip(*nodes, strict=True)]
        readings = Readings(
            losses,
            outputs=layers[-1] if layers else None,
            nodes=tuple(layers) if probes.want in ("nodes", "weights") else None,
            realised=realised,
        )
        return readings, cost

    def _measure_part(
        self, probes: Probes, batch: Batch, read_back: Array | None, start: int
    ) -> tuple[list[Array], Cost]:
        """Nodes of a few probes, those wanted, and the cost of their writes; fills ``read_back`` from row ``start``."""
        duration = len(batch) * self._sample_seconds
        displacements: Array | None = None
        if probes.scales.any():
            rows = directions(probes.law, self.parameters, key=probes.key, step=probes.step, counters=probes.counters)
            displacements = probes.scales[:, None] * rows
        by_writing = self._options.perturb == "write"
        cost = Cost()
        seen: list[Realised] = []
        events = np.empty(len(probes), dtype=np.int64)
        for i, scale in enumerate(probes.scales):
            if by_writing and scale != 0 and displacements is not None:
                cost += self._hold(self.parameters.clip(self._theta + displacements[i]))
                self._displaced = True
            elif self._displaced:
                cost += self._hold(self._theta)
                self._displaced = False
            realised, events[i], _ = self._chip.realise(duration)
            realised = self._own(realised, events[i : i + 1])
            if not by_writing:
                realised = displaced(realised, probes.part(i, i + 1), self.parameters, self._chip.scales)
            seen.append(realised)
            self._latched, self._last = np.array(realised.weights[0]), None
            if read_back is not None:
                read_back[start + i] = self._read_back(self._latched)
        last = probes.want in ("loss", "outputs")
        return self._engine.forward(batch.inputs, Realised.stack(seen), events, last=last), cost

    # --- reading back ---

    def read(self, repeats: int = 1) -> Array:
        """See `hwzo.device.Device.read`. After a write or `advance` nothing is latched, and the cells are read anew."""
        self._open()
        if not self.capabilities.reads_back("weights"):
            self._refuse("weights")
        if repeats < 1:
            raise ConfigError(f"repeats={repeats}: should be at least 1", key="repeats")
        self._latch()
        latched = self._latched
        if latched is None:
            realised, event, _ = self._chip.realise(self._read_cost.device_seconds, sensed=True)
            latched = self._latched = self._own(realised, np.array([event])).weights[0]
        return np.stack([self._read_back(latched) for _ in range(repeats)])

    def _latch(self) -> None:
        if self._last is not None:
            realised, probe, event = self._last
            own = self._own(realised, event)
            self._latched = displaced(own, probe, self.parameters, self._chip.scales).weights[0]
            self._last = None

    def _own(self, realised: Realised, event: NDArray[np.int64]) -> Realised:
        """``realised`` (one row) with each parameter's own noise at that evaluation."""
        return self._engine.with_own_noise(realised, self._options.sigma, event, self.parameters.size)

    def _read_back(self, latched: Array) -> Array:
        """One reading of the weights (n_params,): each cell pair with its error, through the converter."""
        reading = np.array(latched)
        if self._options.read_error:
            error = self._noise.at(Stream.READ_ERROR, self._reads).standard_normal(len(reading))
            error *= self._options.read_error
            reading += error
        self._reads += 1
        self._chip.clock += self._read_cost.device_seconds
        return self._chip.join(self._read_converter.convert(reading))

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
        self.capabilities.check(probes)
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
        self._chip.clock += float(seconds)
        self._latched = self._last = None

    def snapshot(self) -> bytes:
        """See `hwzo.device.EmulatedDevice.snapshot`."""
        self._open()
        self._latch()
        arrays: dict[str, Any] = {
            "theta": self._theta,
            "latched": self._latched if self._latched is not None else np.empty(0),
            "device": np.array([self._displaced, self._reads], dtype=np.int64),
            "gains": self._gains,
            **self._chip.state(),
        }
        return snapshot.pack(arrays, self.info.url)

    def restore(self, state: bytes) -> None:
        """See `hwzo.device.EmulatedDevice.restore`. After an error the device is as it was."""
        self._open()
        arrays = snapshot.unpack(state, self.info.url)
        self._theta = arrays["theta"]
        self._latched = arrays["latched"] if len(arrays["latched"]) else None
        self._last = None
        displaced_now, self._reads = (int(i) for i in arrays["device"])
        self._displaced = bool(displaced_now)
        self._chip.restore(arrays)
        self.set_gains(arrays["gains"])

    def close(self) -> None:
        """See `hwzo.device.Device.close`."""
        self._closed = True
