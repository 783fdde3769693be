"""``hwzo firmware``: build it for a board, or run a virtual board."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Annotated, cast

import typer

from hwzo import firmware
from hwzo.cli.options import Json
from hwzo.cli.signals import Signalled
from hwzo.cli.streams import apart, emit
from hwzo.cli.terminal import say, show, table
from hwzo.errors import DeviceError

NAME = "firmware"
LOOK_S = 0.2
"""How often a running board is looked after."""

group = typer.Typer(name=NAME, help="Build firmware for boards, and run virtual ones.", no_args_is_help=True)

Board = Annotated[str, typer.Argument(metavar="BOARD", help=f"One of {', '.join(firmware.BOARDS)}.")]
ArrayOption = Annotated[
    str,
    typer.Option("--array", help="sim: a noisy chip in software on the board; spi: one behind SPI and the ADC."),
]
Baud = Annotated[int | None, typer.Option(help="Rate of the UART.")]
WeightsOption = Annotated[
    str | None,
    typer.Option("--weights", help="What the board begins with after every reset: a run, a weights file, a bundle."),
]
LayersOption = Annotated[str | None, typer.Option("--layers", help="The network, where the weights don't tell it.")]
ActivationOption = Annotated[str | None, typer.Option("--activation", help="Of its hidden layers, likewise.")]


def build(
    board: Board,
    array: ArrayOption = "sim",
    baud: Baud = None,
    weights: WeightsOption = None,
    layers: LayersOption = None,
    activation: ActivationOption = None,
    json: Json = False,
) -> int:
    """Compile the firmware for a board into the user's cache; print the file and the memory that it takes."""
    image = _image(weights, layers, activation)
    elf = firmware.build(board, array=cast("firmware.Array", array), baud=baud, image=image)
    sizes = firmware.sizes(board, elf)
    if json:
        emit({"board": board, "path": str(elf), "flash": sizes.flash, "static_ram": sizes.static_ram})
        return 0
    chosen = firmware.BOARDS[board]
    of = ("", "")
    if image is not None and chosen.flash is not None:
        of = (f", weights among them; {chosen.flash:,} there are beside a boot loader", "")
    elif chosen.budget is not None:
        of = (f" of {chosen.budget[0]:,} allowed", f" of {chosen.budget[1]:,} allowed, stack included")
    rows = [("flash", f"{sizes.flash:,} bytes{of[0]}"), ("static RAM", f"{sizes.static_ram:,} bytes{of[1]}")]
    if image is not None:
        rows.append(("begins with", f"{image.network.label} {image.network.activation}, {image.units.size:,} weights"))
    table(f"firmware for {board}, array {array}", ("", ""), rows)
    show(str(elf))
    return 0


def run(
    board: Board,
    array: ArrayOption = "sim",
    baud: Baud = None,
    paced: Annotated[bool, typer.Option("--paced", help="Hold an AVR back to its real speed.")] = False,
    eeprom: Annotated[
        Path | None, typer.Option(help="File of its non-volatile memory. \\[default: one that goes with the board]")
    ] = None,
    weights: WeightsOption = None,
    layers: LayersOption = None,
    activation: ActivationOption = None,
    json: Json = False,
) -> int:
    """Start a virtual board, print its device URL, and keep it up until this command is ended."""
    image = _image(weights, layers, activation)
    kind = cast("firmware.Array", array)
    with firmware.start(board, array=kind, baud=baud, paced=paced, eeprom=eeprom, image=image) as running:
        try:
            if json:
                emit({"url": running.url, "board": board, "pid": os.getpid()})
            else:
                show(f"{running.url} is a virtual {board}; end it with Ctrl-C")
            while running.running:
                time.sleep(LOOK_S)
        except Signalled as signalled:  # that is how it is meant to end: nothing to be told of
            raise SystemExit(128 + signalled.number) from None
    raise DeviceError(f"the virtual board {board} has ended by itself")


def _image(weights: str | None, layers: str | None, activation: str | None) -> firmware.Image | None:
    """What the board begins with."""
    if weights is None:
        return None
    from hwzo.deploy.board_image import board_image
    from hwzo.deploy.sources import load_source

    return board_image(load_source(weights, layers=layers, activation=activation, say=say))


group.command(name="build")(apart(build))
group.command(name="run")(apart(run))
