"""How much of a board's memory its firmware takes: flash, static RAM, and the deepest that the stack has been."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from hwzo.errors import CapabilityError
from hwzo.firmware.boards import Requirement, board_of
from hwzo.firmware.toolchain import ToolchainError, require, run
from hwzo.firmware.virtual import VirtualBoard


@dataclass(frozen=True)
class Sizes:
    """Bytes.

    Args:
        flash: code, tables, and what static variables begin as.
        static_ram: static variables.
    """

    flash: int
    static_ram: int


def sizes(board: str, elf: Path) -> Sizes:
    """What firmware takes before it runs.

    Args:
        board: its name.
        elf: what `hwzo.firmware.build` gave.

    Raises:
        ConfigError: there is no such board.
        ToolchainError: the compiler's ``size`` is missing, or fails.
    """
    chosen = board_of(board)
    size = chosen.compiler.name.removesuffix("gcc").removesuffix("cc") + "size"
    package = "binutils" if size == "size" else chosen.compiler.package
    require([Requirement(size, package)], f"measure firmware for {board}")
    lines = run([shutil.which(size) or size, "-B", str(elf)], f"measure {elf}").splitlines()
    try:
        text, data, bss = (int(column) for column in lines[1].split()[:3])
    except (IndexError, ValueError) as error:
        raise ToolchainError(f"can't measure {elf}: {size} said {lines!r}") from error
    return Sizes(flash=text + data, static_ram=data + bss)


def deepest_stack(board: VirtualBoard) -> int:
    """The deepest that a virtual board's stack has been since its power was last switched on, bytes.

    Its memory is painted before it starts; what has lost the paint has been used.

    Raises:
        CapabilityError: this board's memory isn't painted.
        DeviceError: it doesn't run.
    """
    if board.board.virtual != "simavr":
        raise CapabilityError(f"the stack of {board.board.name} isn't measured; that of boards on simavr is")
    return int(board.ask("stack"))
