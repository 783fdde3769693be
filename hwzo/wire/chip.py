"""A device as HZ1 knows chips: a network of dense layers that a host may ask to be another one."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable

from hwzo.device import Device
from hwzo.errors import CapabilityError, ConfigError
from hwzo.network import Activation, Network
from hwzo.probes import Law, Readback
from hwzo.stages import Dense
from hwzo.wire.endpoint import RefusalError
from hwzo.wire.samples import BATCH_BYTES, MOST_SAMPLES
from hwzo.wire.schema import ActivationCode, ArrayCode, DescribeReply, LawCode, LossCode, Reads, SetNetwork, Status

WEIGHT_BITS, NODE_BITS, LOSS_BITS = 12, 10, 16
UNIT = 2.0**-WEIGHT_BITS
MOST = 32767
MOST_PARAMETERS = 1 << 24
MOST_WIDTH = 0xFFFF
MOST_LAYERS = 64
LATCH_VALUES = 1 << 24
RECEIVE_BUFFER = 4095
"""What a pseudo-terminal holds."""

LAWS: dict[int, Law] = {LawCode.RADEMACHER: "rademacher", LawCode.RANK1_SIGN: "rank1-sign"}
ACTIVATIONS: dict[int, Activation] = {
    ActivationCode.LINEAR: "linear",
    ActivationCode.TANH: "tanh",
    ActivationCode.RELU: "relu",
}
READS: tuple[tuple[Readback, Reads], ...] = (
    ("outputs", Reads.OUTPUTS),
    ("nodes", Reads.NODES),
    ("weights", Reads.WEIGHTS),
)

Open = Callable[[Network, float], Device]
"""Opens the device as another network, whose weights lie in [-window, window]."""


class Chip:
    """A device and its description.

    Args:
        device: a network of dense layers with tanh, relu or linear nodes.
        reopen: opens the device anew as the network that a host asks for; None if it is the network that it is.
        any_window: True if ``reopen`` heeds the window.

    Raises:
        CapabilityError: the device is no such network.
    """

    def __init__(self, device: Device, reopen: Open | None, *, any_window: bool) -> None:
        self.network = _dense(device)
        self.device = device
        self._reopen = reopen
        info = device.info
        self.emulated = info.emulated
        self.reads = Reads(0)
        """What can be read back."""
        for level, flag in READS:
            if device.capabilities.reads_back(level):
                self.reads |= flag
        # The same before and after NETWORK, by which hosts tell one board from another.
        self._reach = (-MOST, MOST) if reopen is not None and any_window else _bounds(device)
        self._name = info.model.encode("ascii", "replace").decode()[:24]
        self._serial = zlib.crc32(info.serial.encode())

    def describe(self) -> DescribeReply:
        """As DESCRIBE tells it."""
        (lower, upper), can = self._reach, self.device.capabilities
        resolution = max(tensor.resolution for tensor in self.device.parameters.tensors)
        laws = sum(1 << code for code, law in LAWS.items() if law in can.laws)
        known = (code for code, name in ACTIVATIONS.items() if self._reopen or name == self.network.activation)
        activations = sum(1 << code for code in known)
        losses = 1 << LossCode.CROSS_ENTROPY | 1 << LossCode.SQUARED_ERROR
        array = ArrayCode.EMULATED if self.emulated else ArrayCode.OTHER
        return DescribeReply(
            *(lower, upper, min(max(1, round(resolution / UNIT)), 0xFFFF), WEIGHT_BITS, NODE_BITS, LOSS_BITS, array),
            *(self.reads, laws, activations, losses, MOST_LAYERS, MOST_WIDTH, MOST_SAMPLES, BATCH_BYTES),
            *(LATCH_VALUES, RECEIVE_BUFFER, 0, self._serial, self._name),
        )

    def become(self, request: SetNetwork) -> None:
        """Be the network that a host asks for; stay the one that it was, if that can't be.

        Raises:
            RefusalError: the device can't be that.
            DeviceError: it can't be opened any more.
        """
        lower, upper, widths = request.lower, request.upper, tuple(request.widths)
        activation = ACTIVATIONS.get(request.activation)
        if activation is None:
            raise RefusalError(Status.E_RANGE, 0)
        if not self._reach[0] <= lower <= 0:
            raise RefusalError(Status.E_RANGE, 1)
        if not max(0, lower + 1) <= upper <= self._reach[1]:
            raise RefusalError(Status.E_RANGE, 2)
        if not (2 <= len(widths) <= MOST_LAYERS + 1 and all(widths)):
            raise RefusalError(Status.E_RANGE, 3)
        network = Network(widths, activation)
        if network.parameter_spec().size > MOST_PARAMETERS:
            raise RefusalError(Status.E_RANGE, 3)
        if self._reopen is None:
            _check(self.device, self.network, network, lower, upper)
            return
        before, window = self.network, float(self.device.parameters.upper.max())
        self.device.close()
        try:
            self.device = self._reopen(network, max(-lower, upper) * UNIT)
            self.network = _dense(self.device)
            _check(self.device, self.network, network, lower, upper)
        except (ConfigError, CapabilityError, RefusalError) as error:
            self.device.close()
            self.device, self.network = self._reopen(before, window), before
            if isinstance(error, RefusalError):
                raise
            raise RefusalError(Status.E_RANGE, 3) from None


def _check(device: Device, mine: Network, asked: Network, lower: int, upper: int) -> None:
    if mine.layers != asked.layers:
        raise RefusalError(Status.E_RANGE, 3)
    if len(mine.layers) > 2 and mine.activation != asked.activation:
        raise RefusalError(Status.E_RANGE, 0)
    least, most = _bounds(device)
    if lower < least:
        raise RefusalError(Status.E_RANGE, 1)
    if upper > most:
        raise RefusalError(Status.E_RANGE, 2)


def _dense(device: Device) -> Network:
    """The device's network, which must be one that HZ1 can name.

    Raises:
        CapabilityError: it isn't.
    """
    network = device.capabilities.network
    if network is None or not all(isinstance(stage, Dense) for stage in network.stages):
        what = "a black box" if network is None else network.label
        raise CapabilityError(f"{device.info} is {what}: HZ1 knows networks of dense layers only, such as 64-32-10")
    if len(network.layers) > 2 and network.activation not in ACTIVATIONS.values():
        raise CapabilityError(
            f"{device.info} has {network.activation} nodes: HZ1 knows {', '.join(ACTIVATIONS.values())}"
        )
    return network


def _bounds(device: Device) -> tuple[int, int]:
    """What every parameter can be, units."""
    spec = device.parameters
    lower = math.ceil(max(float(spec.lower.max()), -MOST * UNIT) / UNIT)
    upper = math.floor(min(float(spec.upper.min()), MOST * UNIT) / UNIT)
    return lower, upper
