"""A graph of Lava processes of the user's own as a device: ``lava:FILE.py:FUNCTION?option=value``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from hwzo.device import Capabilities, DeviceInfo, Update
from hwzo.directions import directions
from hwzo.errors import CapabilityError, ConfigError, DeviceError, MeasurementError
from hwzo.parameters import Array, ParameterSpec, TensorSpec
from hwzo.probes import Batch, Cost, Law, Probes, Readings
from hwzo.python_file import existing
from hwzo.registry import DeviceURL
from hwzo_backends.lava import environment
from hwzo_backends.lava.coding import CODINGS
from hwzo_backends.lava.options import PATIENCE_S, refuse
from hwzo_backends.lava.plan import coded
from hwzo_backends.lava.worker import RefusedError, Worker

MOST_PROBES = 64
OURS = ("precision", "timeout", "seed")
"""Options of the URL that are the device's; the function is given all others."""


class OwnGraphDevice:
    """A black box with a loss: parameters in, losses out; implements `Device`.

    What its graph remembers from one sample to the next, unless it is reset, is in the worker and nowhere else: so
    there are no snapshots of it.

    Args:
        file: the user's Python file.
        function: builds the graph, see `hwzo_backends.lava.graph`.
        url: as typed.

    Raises:
        ConfigError: the file, the function, or what it returns can't be used; says why.
        DeviceError: Lava isn't installed, or its worker doesn't start.
    """

    def __init__(self, file: Path, function: str, url: DeviceURL) -> None:
        self._file, self._function = file, function
        self._fixed, self._timeout, self._seed = _ours(url.options)
        self._options = {key: _value(text) for key, text in url.options.items() if key not in OURS}
        self._python = environment.python()
        self._closed = False
        full = DeviceURL("lava", f"{file}:{function}", url.options)
        self.info = DeviceInfo(
            url=str(full),
            model=f"lava:{file.name}:{function}",
            serial=str(self._seed),
            firmware=f"lava-nc {environment.LAVA}",
            emulated=True,
        )
        self._worker: Worker | None = None
        about = self._start().about
        self.parameters: ParameterSpec = _spec(about["parameters"])
        self._grid: Array = np.concatenate([np.full(t.size, t.resolution) for t in self.parameters.tensors])
        self._inputs, self._targets, self._steps = int(about["inputs"]), int(about["targets"]), int(about["steps"])
        self._coding: str = about["coding"]
        self._theta: Array = self.parameters.clip(np.zeros(self.parameters.size))
        self.capabilities = Capabilities(
            readback="loss",
            laws=frozenset(get_args(Law)),
            probe_writes=True,
            max_probes=MOST_PROBES,
            timeout_s=self._timeout + 10.0,
        )

    def __repr__(self) -> str:
        return f"<OwnGraphDevice {self.info.url}, emulated>"

    def program(self, theta: Array, *, mask: NDArray[np.bool_] | None = None) -> Cost:
        """See `hwzo.device.Device.program`. They are written with the next evaluation."""
        self._open()
        theta = self.parameters.check(theta)
        if mask is not None:
            where: NDArray[np.bool_] = np.asarray(mask)
            if where.shape != theta.shape or where.dtype != np.bool_:
                raise ConfigError(
                    f"mask is {where.dtype} of shape {where.shape}, expected bool {theta.shape}; nothing was written"
                )
            theta = np.where(where, theta, self._theta)
        changed = int(np.count_nonzero(self._nearest(theta) != self._nearest(self._theta)))
        self._theta = np.array(theta)
        return Cost(cell_writes=changed)

    def apply(self, update: Update) -> Cost:
        """See `hwzo.device.Device.apply`."""
        return self.program(update.target, mask=np.asarray(update.step) != 0)

    def measure(self, probes: Probes, batch: Batch) -> Readings:
        """See `hwzo.device.Device.measure`: one probe after the other, a time step of Lava's each 0.6 ms or so."""
        self._open()
        self.capabilities.check(probes)
        inputs, targets = self._shown(batch)
        held = self._nearest(self._theta)
        rows = np.broadcast_to(held, (len(probes), len(held)))
        written = 0
        if probes.scales.any():
            moved = directions(probes.law, self.parameters, key=probes.key, step=probes.step, counters=probes.counters)
            rows = self._nearest(self.parameters.clip(self._theta + probes.scales[:, None] * moved))
            written = 2 * int(np.count_nonzero(rows != held))
        slices = self.parameters.slices
        arrays: dict[str, NDArray[Any]] = {f"parameter:{name}": rows[:, at] for name, at in slices.items()}
        _, told = self._running().ask({}, {**arrays, "inputs": inputs, "targets": targets}, timeout_s=self._timeout)
        losses = told["losses"].mean(axis=1)
        if not np.isfinite(losses).all():
            raise MeasurementError(f"device {self.info.url} answered with a loss that is not a finite number")
        return Readings(losses, cost=Cost(reads=len(probes) * len(batch) * self._steps, cell_writes=written))

    def read(self, repeats: int = 1) -> Array:
        """Not here: see `hwzo.device.Device.read`."""
        self._open()
        raise CapabilityError(f"device {self.info.url} reads back a loss, not weights; use spsa, block or mgd")

    def close(self) -> None:
        """See `hwzo.device.Device.close`: ends the worker."""
        self._closed = True
        if self._worker is not None:
            self._worker.close()

    def _nearest(self, theta: Array) -> Array:
        grid = np.where(self._grid > 0, self._grid, 1.0)
        return np.where(self._grid > 0, np.rint(theta / grid) * grid, theta)

    def _shown(self, batch: Batch) -> tuple[Array, Array]:
        """Inputs (batch, steps, n_inputs) and targets (batch, n_targets), as the graph's ports take them."""
        samples = len(batch)
        inputs, targets = np.zeros((samples, self._steps, 1)), np.zeros((samples, 1))
        if self._inputs:
            if batch.inputs.shape[1] != self._inputs:
                raise ConfigError(
                    f"the batch has {batch.inputs.shape[1]} inputs a sample; the graph of {self.info.model} takes "
                    f"{self._inputs}",
                    key="task",
                )
            inputs = self._coded(batch.inputs)
        if self._targets:
            given = np.asarray(batch.targets, dtype=np.float64)
            classes = given.ndim == 1
            if classes and self._targets > 1:
                if not 0 <= given.min() <= given.max() < self._targets:
                    raise ConfigError(
                        f"class numbers go from {given.min():g} to {given.max():g}; the graph of {self.info.model} has "
                        f"a target port of {self._targets}",
                        key="task",
                    )
                given = np.eye(self._targets)[given.astype(np.intp)]
            targets = given[:, None] if given.ndim == 1 else given
            if targets.shape != (samples, self._targets):
                raise ConfigError(
                    f"targets have shape {targets.shape}; the graph of {self.info.model} has a target port of "
                    f"{self._targets}",
                    key="task",
                )
        return inputs, targets

    def _coded(self, inputs: Array) -> Array:
        for coding in CODINGS:
            if self._coding == coding:
                try:
                    spikes = coded(inputs, self._steps, coding, self._seed)
                except ValueError as error:
                    raise ConfigError(f"device {self.info.url}: {error}") from None
                return spikes.astype(np.float64)
        return np.repeat(inputs[:, None, :], self._steps, axis=1)

    def _start(self) -> Worker:
        setup = {
            "mode": "own",
            "file": str(self._file),
            "function": self._function,
            "options": self._options,
            "precision": "fixed" if self._fixed else "float",
        }
        try:
            self._worker = Worker(self._python, setup, f"device {self.info.url}")
        except RefusedError as error:
            if error.kind == "GraphError":
                raise ConfigError(error.told, key="device") from None
            raise
        return self._worker

    def _running(self) -> Worker:
        """The worker; another one, if the last has failed and an error has said so."""
        worker = self._worker
        return worker if worker is not None and not worker.closed else self._start()

    def _open(self) -> None:
        if self._closed:
            raise DeviceError(f"device {self.info.url} is closed; connect to it again")


def open_graph(url: DeviceURL, seed: int | None) -> OwnGraphDevice:
    """The device of a URL whose target is a file and a function.

    Raises:
        FileError: the file isn't there.
        ConfigError: no function is named, or the graph can't be used.
    """
    path, _, function = url.target.rpartition(":")
    if not path or not function.isidentifier():
        raise ConfigError(
            f"lava:{url.target}: say which function builds the graph, as in lava:my_graph.py:build", key="device"
        )
    file = existing(path, "lava", "device")
    return OwnGraphDevice(file, function, url if seed is None else url.with_defaults(seed=str(seed)))


def _ours(options: Mapping[str, str]) -> tuple[bool, float, int]:
    """precision is fixed, timeout in seconds, seed."""
    precision = options.get("precision", "float")
    if precision not in ("fixed", "float"):
        raise refuse("precision", precision, "should be fixed or float")
    values: list[float] = []
    for key, usual in (("timeout", str(PATIENCE_S)), ("seed", "0")):
        value = _value(options.get(key, usual))
        if isinstance(value, str) or not 0 <= value < 2**64 or (key == "timeout" and not 0.1 <= value <= 1e6):
            allowed = "should be seconds, 0.1 to 1e6" if key == "timeout" else "should be a whole number, 0 to 2^64 - 1"
            raise refuse(key, options[key], allowed)
        values.append(value)
    return precision == "fixed", values[0], int(values[1])


def _value(text: str) -> int | float | str:
    """An option as the function gets it: a number if it is one."""
    for kind in (int, float):
        try:
            value = kind(text)
        except ValueError:
            continue
        if math.isfinite(value):
            return value
    return text


def _spec(told: list[dict[str, Any]]) -> ParameterSpec:
    return ParameterSpec(
        tuple(
            TensorSpec(
                each["name"], tuple(each["shape"]), each["lower"], each["upper"], each["resolution"], each["initial_sd"]
            )
            for each in told
        )
    )
