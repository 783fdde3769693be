"""Weights that are read off another device, with how sure they are."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import cast

import numpy as np

from hwzo.deploy.board_memory import read_board
from hwzo.deploy.sources.foreign import window_of
from hwzo.device import Device, GainedDevice
from hwzo.errors import CapabilityError, ConfigError
from hwzo.network import Network
from hwzo.parameters import Array, ParameterSpec
from hwzo.registry import DeviceURL, connect
from hwzo.say import Say
from hwzo.train.weights import Weights

REPEATS = 32


@dataclass(frozen=True)
class Clone:
    """What was read.

    Args:
        weights: means of the reads.
        standard_error: of each mean, (n_params,), weight units; 0 where all reads gave the same.
        repeats: how often each weight was read.
    """

    weights: Weights
    standard_error: Array
    repeats: int


def clone(device: str | Device, *, task: str = "", repeats: int = REPEATS, say: Say = lambda text: None) -> Clone:
    """Read a device's weights.

    A board is asked for what it holds before anything is written to it. It doesn't tell its layers: the URL does, as in
    ``serial:/dev/ttyACM0?layers=49-4-4``, and their number of parameters must be the board's.

    Args:
        device: URL or open device; what is opened here is closed again.
        task: what it was trained for, if anyone knows.
        repeats: reads of each weight, at least 2.
        say: is told how sure the weights are.

    Raises:
        CapabilityError: it doesn't read back its weights.
        ConfigError: a URL whose device begins anew with each connection; layers that are not the board's.
        DeviceError: the device is absent, failed, or holds no network.
    """
    if repeats < 2:
        raise ConfigError(f"repeats = {repeats}: at least 2 tell how sure a mean is", key="repeats")
    if isinstance(device, str):
        url = DeviceURL.parse(device)
        found = _of_board(url, task, repeats) if url.scheme == "serial" else _opened(device, task, repeats)
    else:
        found = _of_device(device, task, repeats)
    typical = float(np.sqrt(np.mean(np.square(found.standard_error))))
    sure = f"their means are known to {typical:.2g} weight units (rms of their standard errors)"
    say(
        f"read {found.standard_error.size:,} weights {repeats} times each from {found.weights.device}: "
        + (sure if typical else "each gave the same number every time")
    )
    return found


def _opened(url: str, task: str, repeats: int) -> Clone:
    opened = connect(url)
    try:
        if opened.info.emulated:
            raise ConfigError(
                f"{opened.info.url} is emulated and begins anew with each connection: it holds nothing to be cloned; "
                "name the run that its weights came from, or give hwzo.deploy.clone.clone the open device",
                key="from",
            )
        return _of_device(opened, task, repeats)
    finally:
        opened.close()


def _of_device(device: Device, task: str, repeats: int) -> Clone:
    can = device.capabilities
    if not can.reads_back("weights"):
        raise CapabilityError(
            f"{device.info} reads back {can.readback!r}, not its weights, so that it can't be cloned; deploy the run "
            "or the file that its weights came from"
        )
    reads = device.read(repeats)
    network, spec = can.network, device.parameters
    factors = np.ones(spec.size)
    if can.output_gains and network is not None:
        factors = _factors(network, cast(GainedDevice, device).gains)
    means = spec.clip(reads.mean(axis=0)) * factors
    if (factors != 1.0).any():
        spec = _scaled(spec, factors)
    weights = replace(Weights.learned(means, device, task), parameters=spec, window=float(spec.upper.max()))
    return Clone(weights, _error(reads) * factors, repeats)


def _of_board(url: DeviceURL, task: str, repeats: int) -> Clone:
    memory = read_board(url, repeats)
    network = memory.network
    theta = memory.reads.mean(axis=0)
    window = window_of(theta)
    weights = Weights(
        theta,
        network.parameter_spec(window),
        task,
        network.label,
        network.activation,
        window,
        str(url),
        emulated=memory.emulated,
    )
    return Clone(weights, _error(memory.reads), repeats)


def _error(reads: Array) -> Array:
    return np.asarray(reads.std(axis=0, ddof=1) / np.sqrt(len(reads)))


def _factors(network: Network, gains: Array) -> Array:
    """What each weight is multiplied by on its way to the outputs, (n_params,)."""
    factors = np.ones(network.parameter_spec().size)
    start = 0
    for block in network.blocks(factors):
        columns = block.shape[-1]
        block *= gains[start : start + columns]
        start += columns
    return factors


def _scaled(spec: ParameterSpec, factors: Array) -> ParameterSpec:
    """Bounds that hold every weight of a device with output gains."""
    largest = float((np.maximum(np.abs(spec.lower), np.abs(spec.upper)) * factors).max())
    return ParameterSpec(
        tuple(replace(tensor, lower=-largest, upper=largest, resolution=0.0) for tensor in spec.tensors)
    )
