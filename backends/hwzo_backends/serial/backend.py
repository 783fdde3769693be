"""Opens boards: the backends behind ``serial:PORT?option=value`` and ``board:NAME?option=value``."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from hwzo import firmware
from hwzo.errors import ConfigError
from hwzo.network import Network
from hwzo.registry import DeviceURL, Listing
from hwzo_backends.serial.device import BoardDevice
from hwzo_backends.serial.lines import BoardLine, line_of
from hwzo_backends.serial.options import BoardOptions, PortOptions, resolve
from hwzo_backends.serial.twin_service import BUILDS, TwinLine

TWIN = "twin"
"""A board without firmware: see `hwzo_backends.serial.twin_service`."""


class SerialBackend:
    """Implements `hwzo.registry.Backend` for boards at a serial port, or behind a TCP connection."""

    def open(self, url: DeviceURL, *, network: Network | None, window: float | None, seed: int | None) -> BoardDevice:
        """See `hwzo.registry.Backend.open`; what neither URL nor arguments give is 64-32-10 tanh, window 1, seed 0."""
        options = resolve(PortOptions, url, network=network, window=window, seed=seed)
        return BoardDevice(line_of(url, options.baud), options, url)

    def listings(self) -> Sequence[Listing]:
        """One line a port that is plugged in, by its name that stays the same where it has one."""
        from serial.tools import list_ports

        lasting = {str(path.resolve()): str(path) for path in sorted(Path("/dev/serial/by-id").glob("*"))}
        lines: list[Listing] = []
        for info in sorted(list_ports.comports()):
            usable = os.access(info.device, os.R_OK | os.W_OK)
            if info.hwid == "n/a" and not usable:
                continue  # the ttyS of a PC, of which most lead nowhere
            what = "a serial port" if info.description == "n/a" else info.description
            if info.serial_number:
                what += f", serial number {info.serial_number}"
            if not usable:
                what += "; no permission: join its group, as by `sudo usermod -aG dialout $USER`"
            lines.append(Listing(f"serial:{lasting.get(info.device, info.device)}", False, usable, what))
        return lines

    def lock_name(self, url: DeviceURL) -> str | None:
        """The port, whatever it was called; a connection has no name that would tell."""
        target = url.target
        return f"serial-{target}" if target.startswith("socket:") else f"serial-{Path(target).resolve()}"


class BoardBackend:
    """Implements `hwzo.registry.Backend` for virtual boards: each connection starts one of its own, and ends it."""

    def open(self, url: DeviceURL, *, network: Network | None, window: float | None, seed: int | None) -> BoardDevice:
        """See `hwzo.registry.Backend.open`; what neither URL nor arguments give is 64-32-10 tanh, window 1, seed 0."""
        if url.target not in (*firmware.BOARDS, TWIN):
            raise ConfigError(
                f"there is no board {url.target!r}; there are {', '.join((*firmware.BOARDS, TWIN))}, as in board:posix",
                key="device",
            )
        options = resolve(BoardOptions, url, network=network, window=window, seed=seed)
        if url.target == TWIN:
            for key in ("array", "adc_noise", "baud", "paced"):
                if getattr(options, key) != BoardOptions.model_fields[key].default:
                    raise ConfigError(f"board:twin has neither pins nor a UART, and takes no {key}", key=key)
            return BoardDevice(TwinLine(BUILDS[options.like or "posix"]), options, url)
        if options.like is not None:
            raise ConfigError(f"like={options.like}: only board:twin is like another board", key="like")
        if options.adc_noise and options.array != "spi":
            raise ConfigError("adc_noise goes with array=spi; a simulated array has read_noise", key="adc_noise")
        crossbar = (options.seed, options.adc_noise) if options.array == "spi" else None
        board = firmware.start(
            url.target, array=options.array, baud=options.baud, paced=options.paced, crossbar=crossbar
        )
        return BoardDevice(BoardLine(board), options, url)

    def listings(self) -> Sequence[Listing]:
        """One line a board, with what is missing to run it."""
        lines: list[Listing] = []
        for board in firmware.BOARDS.values():
            lacking = firmware.missing((*board.to_build, *board.to_run))
            packages = " ".join(dict.fromkeys(each.package for each in lacking))
            reason = f"{board.about}; needs: sudo apt-get install {packages}" if lacking else board.about
            lines.append(Listing(f"board:{board.name}", True, not lacking, reason))
        lines.append(Listing(f"board:{TWIN}", True, True, "the arithmetic of a board, in this process; no compiler"))
        return lines

    def lock_name(self, url: DeviceURL) -> str | None:
        """Nothing to hold: each connection has a board of its own."""
        return None
