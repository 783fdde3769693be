"""Checks of what a device says of itself: who it is, what it can do, what its parameters are."""

from __future__ import annotations

import math
from typing import get_args

from hwzo.device import Device, DeviceInfo, ParameterNoise
from hwzo.probes import READBACK_LEVELS, Cost, Law
from hwzo.registry import connect
from hwzo.testing.check import Bench, Check, check, needs, require

METHODS = ("program", "measure", "apply", "read", "close")
EMULATED_METHODS = ("snapshot", "restore", "advance")


def check_cost(cost: Cost, what: str) -> None:
    """Fail unless every entry of a cost is a finite number, at least 0, and counts are whole."""
    for name in ("reads", "cell_writes", "bytes", "device_seconds", "joules"):
        value = float(getattr(cost, name))
        require(math.isfinite(value) and value >= 0, f"{what}: cost.{name} is {value}, must be finite, at least 0")
        if name in ("reads", "cell_writes", "bytes"):
            require(value.is_integer(), f"{what}: cost.{name} is {value}, must be a whole number")


@check("info")
def info(bench: Bench) -> str:
    """Info is complete, and the device has every operation of the contract."""
    device = bench.device
    described = device.info
    require(isinstance(described, DeviceInfo), f"info is a {type(described).__name__}, not a DeviceInfo")  # pyright: ignore[reportUnnecessaryIsInstance]
    for name in ("url", "model", "serial", "firmware"):
        value = getattr(described, name)
        require(isinstance(value, str) and value != "", f"info.{name} is {value!r}; it must be text, not empty")
    require(isinstance(described.emulated, bool), f"info.emulated is {described.emulated!r}, must be True or False")  # pyright: ignore[reportUnnecessaryIsInstance]
    missing = [name for name in METHODS if not callable(getattr(device, name, None))]
    require(not missing, f"the device lacks {', '.join(missing)}")
    require(device.info == described, "info changes from one look to the next")
    return str(described)


@check("capabilities")
def capabilities(bench: Bench) -> str:
    """Capabilities are well-formed and agree with each other, with the parameters and with the operations."""
    device = bench.device
    can = device.capabilities
    require(can.readback in READBACK_LEVELS, f"readback={can.readback!r} is not one of {', '.join(READBACK_LEVELS)}")
    unknown = sorted(set(can.laws) - set(get_args(Law)))
    require(not unknown, f"laws {unknown} are not among {', '.join(get_args(Law))}")
    require(
        can.parameter_noise in get_args(ParameterNoise),
        f"parameter_noise={can.parameter_noise!r} is not one of {', '.join(get_args(ParameterNoise))}",
    )
    for name in ("probe_writes", "node_noise", "deterministic", "snapshot"):
        require(isinstance(getattr(can, name), bool), f"{name}={getattr(can, name)!r} must be True or False")
    require(can.max_probes >= 1, f"max_probes={can.max_probes}; it must be at least 1")
    require(can.timeout_s > 0, f"timeout_s={can.timeout_s}; it must be above 0")
    check_cost(can.read_cost, "read_cost")
    if can.reads_back("weights"):
        require(can.read_cost.reads > 0, "weights are read back, but read_cost.reads is 0: reading is never free")
    if can.snapshot:
        require(device.info.emulated, "snapshot=True, but info.emulated is False: hardware can't be put back")
        missing = [name for name in EMULATED_METHODS if not callable(getattr(device, name, None))]
        require(not missing, f"snapshot=True, but the device lacks {', '.join(missing)}")
    if can.network is None:
        require(can.readback not in ("outputs", "nodes"), f"readback={can.readback!r} needs a network to say of what")
    else:
        expected = [(tensor.name, tensor.shape) for tensor in can.network.parameter_spec().tensors]
        found = [(tensor.name, tensor.shape) for tensor in device.parameters.tensors]
        require(found == expected, f"network {can.network.label} has parameters {expected}, the device has {found}")
    network = can.network.label if can.network else "a black box"
    return f"{network}, reads back {can.readback}, {len(can.laws)} laws, parameter noise {can.parameter_noise}"


@check("parameters")
def parameters(bench: Bench) -> str:
    """The parameter spec is sane: resolutions fit into bounds, and a fresh start is one the device can hold."""
    spec = bench.device.parameters
    for tensor in spec.tensors:
        require(
            math.isfinite(tensor.resolution) and tensor.resolution <= tensor.upper - tensor.lower,
            f"{tensor.name}: resolution {tensor.resolution} doesn't fit into [{tensor.lower}, {tensor.upper}]",
        )
        require(math.isfinite(tensor.initial_sd), f"{tensor.name}: initial_sd is {tensor.initial_sd}")
    theta = spec.check(spec.initial(bench.rng))
    cost = bench.device.program(theta)
    check_cost(cost, "program")
    return f"{spec.size} in {len(spec.tensors)} tensors; a fresh start is accepted"


@check("info.url opens the same device")
def url_opens(bench: Bench) -> str:
    """Opening ``info.url`` gives a device that says the same of itself."""
    needs(bench.by_url, "the device was opened by a factory, not by a URL")
    first = bench.device
    described, can, spec = first.info, first.capabilities, first.parameters
    bench.close()
    second: Device = connect(described.url)
    try:
        require(second.info == described, f"{described.url} opens {second.info}")
        require(second.capabilities == can, f"{described.url} opens a device with other capabilities")
        require(second.parameters == spec, f"{described.url} opens a device with other parameters")
    finally:
        second.close()
    return described.url


CHECKS: tuple[Check, ...] = (info, capabilities, parameters, url_opens)
