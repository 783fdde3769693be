"""The boards that firmware can be built for, what that takes, and what runs it without hardware."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from hwzo.errors import ConfigError

WARNINGS = ("-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Wsign-conversion")


@dataclass(frozen=True)
class Requirement:
    """Something of the system that has to be there.

    Args:
        name: a program, or a C header as it is included.
        package: the Debian package that has it.
    """

    name: str
    package: str

    @property
    def is_header(self) -> bool:
        """True if it is looked for by a compiler, False if on PATH."""
        return self.name.endswith(".h")


HOST_COMPILER = Requirement("cc", "gcc")
SIMAVR = (
    HOST_COMPILER,
    Requirement("simavr/sim_avr.h", "libsimavr-dev"),
    Requirement("libelf.h", "libelf-dev"),
)


@dataclass(frozen=True)
class Board:
    """A board.

    Args:
        name: its folder in ``firmware/boards``.
        about: one line.
        compiler: a requirement that is also the program to call.
        flags: of the compiler, beside warnings and include folders.
        folders: whose C files it is built of, beside the core.
        virtual: what runs it.
        headers: which the compiler must find.
        baud: a rate that its UART can make exactly, for virtual boards.
        libraries: what comes last on the command line.
        budget: most bytes of (flash, static RAM and stack) of the firmware itself; None if nobody counts.
        flash: bytes of flash that the chip has beside a boot loader, for the firmware and weights in it; None if nobody
            counts.
    """

    name: str
    about: str
    compiler: Requirement
    flags: tuple[str, ...]
    folders: tuple[str, ...]
    virtual: Literal["process", "simavr", "qemu"]
    headers: tuple[Requirement, ...] = ()
    baud: int = 1_000_000
    libraries: tuple[str, ...] = ()
    budget: tuple[int, int] | None = None
    flash: int | None = None

    @property
    def avr(self) -> bool:
        """True for an 8-bit AVR."""
        return self.virtual == "simavr"

    @property
    def to_build(self) -> tuple[Requirement, ...]:
        """What building takes."""
        return (self.compiler, *self.headers)

    @property
    def to_run(self) -> tuple[Requirement, ...]:
        """What running it without hardware takes, beside building it."""
        if self.virtual == "simavr":
            return SIMAVR
        return (Requirement("qemu-system-arm", "qemu-system-arm"),) if self.virtual == "qemu" else ()


def _avr(name: str, about: str, budget: tuple[int, int], flash: int) -> Board:
    return Board(
        name,
        about,
        Requirement("avr-gcc", "gcc-avr"),
        # Small before fast: prologues are shared, functions are not copied, dead ones are dropped.
        (
            *(f"-mmcu={name}", "-DF_CPU=16000000UL", "-Os", "-flto", "-mcall-prologues", "-fno-inline-small-functions"),
            *("-ffunction-sections", "-fdata-sections", "-Wl,--gc-sections", "-Wl,--relax"),
        ),
        ("boards/avr", f"boards/{name}"),
        "simavr",
        headers=(Requirement("avr/io.h", "avr-libc"),),
        budget=budget,
        flash=flash,
    )


BOARDS: Mapping[str, Board] = {
    board.name: board
    for board in (
        Board(
            "posix",
            "a process of this machine",
            HOST_COMPILER,
            ("-O2",),
            ("boards/posix",),
            "process",
        ),
        _avr("atmega328p", "Arduino Uno or Nano: 16 MHz, 2 KB of SRAM", (16 * 1024, 1843), 30 * 1024),
        _avr("atmega2560", "Arduino Mega: 16 MHz, 8 KB of SRAM", (32 * 1024, 7680), 248 * 1024),
        Board(
            "cortex-m3",
            "ARM MPS2 AN385: 25 MHz, 4 MB of SRAM",
            Requirement("arm-none-eabi-gcc", "gcc-arm-none-eabi"),
            (
                *("-mcpu=cortex-m3", "-mthumb", "-O2", "-ffreestanding", "-fno-tree-loop-distribute-patterns"),
                *("-nostdlib", "-T{sources}/boards/cortex-m3/link.ld"),
            ),
            ("boards/cortex-m3",),
            "qemu",
            libraries=("-lgcc",),
        ),
    )
}
"""By name."""


def board_of(name: str) -> Board:
    """The board of this name.

    Raises:
        ConfigError: there is none.
    """
    board = BOARDS.get(name)
    if board is None:
        raise ConfigError(f"there is no board {name!r}; there are {', '.join(BOARDS)}", key="board")
    return board
