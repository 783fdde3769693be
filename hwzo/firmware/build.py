"""Builds firmware, and what runs it, into the user's cache: once for each state of sources, flags and compiler."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hwzo.errors import ConfigError
from hwzo.firmware.boards import HOST_COMPILER, SIMAVR, WARNINGS, board_of
from hwzo.firmware.image import HEADER, Image
from hwzo.firmware.sources import source_folder, sources_in
from hwzo.firmware.toolchain import ToolchainError, require, run, version_of

Array = Literal["sim", "spi"]
ARRAYS: tuple[Array, ...] = ("sim", "spi")
F_CPU = 16_000_000
"""Of AVR boards, Hz."""
BAUDS = (300, 4_000_000)
"""Least and largest rate."""


@dataclass(frozen=True)
class Recipe:
    """How something is built.

    Args:
        name: of the file that comes out.
        compiler: a program.
        options: before the sources; ``{sources}`` in them is the folder of the firmware's sources.
        libraries: after the sources.
        folders: of the sources, whose C files are compiled and whose headers are found.
        headers: more folders whose headers are found.
        image: weights that become part of it.
    """

    name: str
    compiler: str
    options: tuple[str, ...]
    folders: tuple[str, ...]
    libraries: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    image: Image | None = None

    def command(self, output: Path) -> list[str]:
        """The compiler's command line."""
        root = source_folder()
        includes = [f"-I{root / folder}" for folder in (*self.folders, *self.headers)]
        if self.image is not None:
            includes += ["-DHZ_BOOT_WEIGHTS", f"-I{output.parent}"]
        files = [str(path) for path in sources_in(self.folders, ".c")]
        options = [option.replace("{sources}", str(root)) for option in self.options]
        return [self.compiler, *options, *includes, *files, "-o", str(output), *self.libraries]

    def key(self) -> str:
        """What tells one state of sources, options and compiler from another, in 24 hex digits."""
        digest = hashlib.sha256()
        root = source_folder()
        for path in sources_in(self.folders, ".c", ".ld") + sources_in((*self.folders, *self.headers), ".h"):
            digest.update(f"{path.relative_to(root)}\0".encode() + path.read_bytes() + b"\0")
        digest.update("\0".join((self.compiler, version_of(self.compiler), *self.options, *self.libraries)).encode())
        digest.update(self.image.key.encode() if self.image is not None else b"")
        return digest.hexdigest()[:24]


def build(board: str, *, array: Array = "sim", baud: int | None = None, image: Image | None = None) -> Path:
    """Build a board's firmware, or find it built.

    Args:
        board: its name.
        array: ``sim``, a noisy chip in software on the board, or ``spi``, a crossbar behind SPI DACs and the ADC.
        baud: rate of its UART; 115200 if none is given.
        image: a network that it begins with after every reset; None: none, until a host gives it one.

    Returns:
        The ELF file, in the user's cache.

    Raises:
        ConfigError: there is no such board, array or rate; or the board is too small for the image's network.
        ToolchainError: a compiler is missing, or fails; or the cache can't be written.
    """
    chosen = board_of(board)
    what = recipe(board, array=array, baud=baud, image=image)
    require(chosen.to_build, f"build firmware for {board}")
    return made(what)


def recipe(board: str, *, array: Array = "sim", baud: int | None = None, image: Image | None = None) -> Recipe:
    """How a board's firmware is built; see `build`."""
    chosen = board_of(board)
    if image is not None:
        image.check_fits(chosen)
    if array not in ARRAYS:
        raise ConfigError(f"there is no array driver {array!r}; there are {', '.join(ARRAYS)}", key="array")
    baud = 115_200 if baud is None else baud
    if not BAUDS[0] <= baud <= BAUDS[1]:
        raise ConfigError(f"a rate of {baud} baud is not between {BAUDS[0]} and {BAUDS[1]}", key="baud")
    if array == "spi" and not chosen.avr:
        raise ConfigError(f"array={array}: {board} has no driver of SPI and ADC; AVR boards have", key="array")
    if chosen.avr and not made_by_avr(baud):
        raise ConfigError(
            f"baud={baud}: an AVR at 16 MHz makes no rate within 3% of it; 9600, 115200, 250000 and 1000000 are some "
            "that it makes",
            key="baud",
        )
    options = (
        *("-std=c99", *WARNINGS, *chosen.flags, '-DHZ_CONFIG="board_config.h"', f"-DHZ_ARRAY=hz_array_{array}"),
        *(f"-DHZ_BAUD={baud}UL", *(("-DHZ_SPI",) if array == "spi" else ())),
    )
    folders = ("core", *chosen.folders)
    return Recipe(f"{board}.elf", chosen.compiler.name, options, folders, chosen.libraries, image=image)


def made_by_avr(baud: int) -> bool:
    """Whether an AVR's UART at 16 MHz and double speed makes a rate within 3%, as boards/avr/uart.c asks for."""
    divisor = (F_CPU + 4 * baud) // (8 * baud) - 1
    return 0 <= divisor <= 4095 and abs(F_CPU / (8 * (divisor + 1)) / baud - 1) < 0.03


def simavr_board() -> Path:
    """The program that runs AVR firmware; see ``firmware/sim/avr_board.c``.

    Raises:
        ToolchainError: a compiler or library is missing, or fails.
    """
    require(SIMAVR, "run a virtual AVR board")
    options = ("-std=c99", "-O2", "-Wall", "-Wextra", "-Wshadow")
    libraries = ("-lsimavr", "-lelf", "-lutil", "-lm")
    return made(Recipe("avr_board", HOST_COMPILER.name, options, ("sim",), libraries, ("core",)))


def made(what: Recipe) -> Path:
    """Its file in the cache, built if need be; one process builds, others wait for it.

    Raises:
        ToolchainError: the compiler fails, or the cache can't be written.
    """
    from filelock import FileLock  # here, so that importing hwzo stays light
    from platformdirs import user_cache_path

    cache = user_cache_path("hwzo") / "firmware"
    key = what.key()
    built = cache / key / what.name
    if built.exists():
        return built
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with FileLock(cache / f"{key}.lock"):
            if not built.exists():
                _make(what, cache, built)
    except OSError as error:
        raise ToolchainError(
            f"can't keep what is built in {cache}: {error}; set XDG_CACHE_HOME to a folder that can be written"
        ) from error
    return built


def _make(what: Recipe, cache: Path, built: Path) -> None:
    folder = Path(tempfile.mkdtemp(prefix="building-", dir=cache))
    try:
        if what.image is not None:
            (folder / HEADER).write_text(what.image.header, encoding="utf-8")
        run(what.command(folder / what.name), f"build {what.name}")
        shutil.rmtree(built.parent, ignore_errors=True)  # of a build whose file was deleted
        folder.replace(built.parent)  # whole, or not at all
    finally:
        shutil.rmtree(folder, ignore_errors=True)
