"""Firmware for boards: built into the user's cache, and run on virtual boards that need no hardware.

::

    from hwzo import firmware

    elf = firmware.build("atmega328p")              # for a real board; avrdude and others take it as it is
    with firmware.start("atmega328p") as board:     # or a virtual one
        board.url                                   # 'serial:/dev/pts/5?baud=1000000'
        board.reset()
"""

from __future__ import annotations

from hwzo.firmware.boards import BOARDS, Board, Requirement
from hwzo.firmware.build import Array, build
from hwzo.firmware.image import Image
from hwzo.firmware.sizes import Sizes, deepest_stack, sizes
from hwzo.firmware.sources import source_folder
from hwzo.firmware.toolchain import ToolchainError, missing
from hwzo.firmware.virtual import VirtualBoard, start

__all__ = [
    "BOARDS",
    "Array",
    "Board",
    "Image",
    "Requirement",
    "Sizes",
    "ToolchainError",
    "VirtualBoard",
    "build",
    "deepest_stack",
    "missing",
    "sizes",
    "source_folder",
    "start",
]
