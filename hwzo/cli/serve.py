"""``hwzo serve``."""

from __future__ import annotations

import os
import secrets
from typing import Annotated

import typer
from threadpoolctl import threadpool_limits  # pyright: ignore[reportMissingTypeStubs]

from hwzo.cli.options import DeviceOption, Json
from hwzo.cli.signals import Signalled
from hwzo.cli.streams import emit
from hwzo.cli.terminal import show
from hwzo.device import Device
from hwzo.errors import ConfigError
from hwzo.network import Network
from hwzo.registry import DeviceURL, connect
from hwzo.wire.server import SocketServer, TerminalServer
from hwzo.wire.service import DeviceService, endpoint_of

NAME = "serve"


def command(
    device: DeviceOption,
    pty: Annotated[bool, typer.Option("--pty", help="At a pseudo-terminal. \\[default]")] = False,
    tcp: Annotated[str | None, typer.Option(metavar="HOST:PORT", help="At a TCP port; 0 takes a free one.")] = None,
    json: Json = False,
) -> int:
    """Put HZ1, the boards' protocol, in front of any device, so that it stands in for a board, until it is ended.

    What the device URL doesn't set, layers and window, hosts choose.
    """
    if pty and tcp is not None:
        raise ConfigError("--pty and --tcp don't go together: choose one", key="tcp")
    chosen = DeviceURL.parse(device)

    def reopen(network: Network, window: float) -> Device:
        return connect(device, network=network, window=window)

    with threadpool_limits(1):  # one BLAS thread: the same bytes on any machine load
        service = DeviceService(connect(device), reopen, any_window="window" not in chosen.options)
        try:
            endpoint = endpoint_of(service, boot_id=secrets.randbits(32))
            with TerminalServer(endpoint) if tcp is None else SocketServer(endpoint, tcp) as server:
                if json:
                    emit({"url": server.url, "device": device, "emulated": service.emulated, "pid": os.getpid()})
                else:
                    kind = "emulated" if service.emulated else "hardware"
                    show(f"{server.url} speaks for {device} ({kind}); end it with Ctrl-C")
                server.run()
        except Signalled as signalled:  # that is how it is meant to end: nothing to be told of
            raise SystemExit(128 + signalled.number) from None
        finally:
            service.close()
    return 0
