"""What a board holds, asked over HZ1 before anything is written to it: opening it as a device would give it zeros."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from hwzo.errors import ConfigError, DeviceError
from hwzo.lease import Lease
from hwzo.network import Network
from hwzo.parameters import Array
from hwzo.registry import DeviceURL, backends, load
from hwzo.stages import Dense
from hwzo.wire.client import Client
from hwzo.wire.errors import CommandError
from hwzo.wire.schema import ArrayCode, Fetch, LatchWeights, Read, Reads, SafeClear, SafeEnter, Status
from hwzo.wire.transport import SerialTransport, SocketTransport, Transport

GREETING_S = 5.0
BAUD = 115_200


@dataclass(frozen=True)
class BoardMemory:
    """What a board holds.

    Args:
        network: as the URL says; the board's number of parameters is that of it.
        targets: (n_params,) what its parameters were last given, weight units.
        reads: (repeats, n_params) what its array is read to hold, weight units; the targets, if it isn't read.
        from_array: whether the array was read.
        emulated: whether that array is in software.
    """

    network: Network
    targets: Array
    reads: Array
    from_array: bool
    emulated: bool


def read_board(url: DeviceURL, repeats: int) -> BoardMemory:
    """Read what a board at a ``serial:`` URL holds; nothing is written.

    Args:
        url: with ``layers``, and with ``activation``, ``baud`` and ``timeout_s`` if they aren't tanh, 115200 and 10;
            its other options say how to use a board, not what it holds.
        repeats: readings of the array.

    Raises:
        ConfigError: an option that is none; no layers; layers with another number of parameters than the board holds.
        DeviceError: nobody there, or a board that holds no network: it was reset since it was given one.
    """
    network = _network(url.options)
    baud, timeout_s = _number(url.options, "baud", BAUD), _number(url.options, "timeout_s", 10)
    name = load(backends()[url.scheme]).lock_name(url) or str(url)
    lease = Lease.of_device(name, str(url))
    try:
        client = Client(_transport(url, baud), timeout_s=timeout_s)
        try:
            client.connect(GREETING_S)
            return _read(client, network, repeats)
        finally:
            client.close()
    finally:
        lease.release()


def _read(client: Client, network: Network, repeats: int) -> BoardMemory:
    board = client.description
    held, needed = _parameters(client), network.parameter_spec().size
    if held == 0:
        raise DeviceError(
            f"{client.where} holds no network: it was reset or switched off since it was given one, as opening its "
            "port does to an Arduino; an image with weights is there after each reset: hwzo firmware build --weights"
        )
    if held != needed:
        raise ConfigError(
            f"{client.where} holds {held:,} parameters; layers={network.label} has {needed:,}: name its own layers in "
            "the URL",
            key="layers",
        )
    unit = 2.0**-board.weight_bits
    most = client.hello.max_payload // 2
    targets = _joined(client, (Read(at, min(most, held - at)) for at in range(0, held, most))) * unit
    emulated = board.array in (ArrayCode.SIM, ArrayCode.EMULATED)
    if not board.reads & Reads.WEIGHTS:
        return BoardMemory(network, targets, np.tile(targets, (repeats, 1)), False, emulated)
    client.request(SafeClear())
    try:
        reads = [_latched(client, held, repeat, most) * unit for repeat in range(repeats)]
    finally:
        client.request(SafeEnter())
    return BoardMemory(network, targets, np.stack(reads), True, emulated)


def _latched(client: Client, held: int, repeat: int, most: int) -> Array:
    """One reading of the array, units."""
    room = client.description.latch_values
    parts: list[Array] = []
    for start in range(0, held, room):
        count = min(room, held - start)
        client.request(LatchWeights(start, count, repeat & 0xFFFF))
        parts.append(_joined(client, (Fetch(at, min(most, count - at)) for at in range(0, count, most))))
    return np.concatenate(parts)


def _joined(client: Client, requests: Iterator[Read] | Iterator[Fetch]) -> Array:
    return np.concatenate([np.array(reply.values, dtype=np.float64) for reply in client.requests(requests)])


def _parameters(client: Client) -> int:
    """How many parameters a board holds: reading none of them from an offset on is refused beyond the last."""

    def fits(offset: int) -> bool:
        try:
            client.request(Read(offset, 0))
        except CommandError as error:
            if error.status != Status.E_RANGE:
                raise
            return False
        return True

    least, beyond = 0, client.hello.max_parameters + 1
    if not fits(0):
        return 0
    while beyond - least > 1:
        middle = (least + beyond) // 2
        least, beyond = (middle, beyond) if fits(middle) else (least, middle)
    return least


def _network(options: Mapping[str, str]) -> Network:
    if "layers" not in options:
        raise ConfigError(
            "a board doesn't tell its layers: name them in the URL, as in serial:/dev/ttyACM0?layers=49-4-4",
            key="layers",
        )
    network = Network.parse(options["layers"], options.get("activation", "tanh"))
    if not all(isinstance(stage, Dense) for stage in network.stages):
        raise ConfigError(f"layers={network.label}: boards hold dense layers", key="layers")
    return network


def _number(options: Mapping[str, str], key: str, usual: int) -> int:
    text = options.get(key, str(usual))
    try:
        number = round(float(text))
        if number < 1:
            raise ValueError
    except (ValueError, OverflowError):
        raise ConfigError(f"{key}={text} is no whole number from 1 on", key=key) from None
    return number


def _transport(url: DeviceURL, baud: int) -> Transport:
    target = url.target
    if not target.startswith("socket:"):
        if not target:
            raise ConfigError("serial: needs a port, such as serial:/dev/ttyACM0", key="from")
        return SerialTransport(target, baud)
    host, _, port = target.removeprefix("socket:").removeprefix("//").rpartition(":")
    if not host or not port.isdecimal():
        raise ConfigError(f"serial:{target} is not of the form serial:socket://host:port", key="from")
    return SocketTransport(host.strip("[]"), int(port))
