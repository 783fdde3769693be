"""Boards that need no hardware: a process, a cycle-accurate AVR (simavr) or a Cortex-M3 (QEMU), on a pseudo terminal.

The terminal is this process's, so it stays the same while the board behind it is reset, killed and started again, as a
USB adapter does. The board never outlives this process.
"""

from __future__ import annotations

import os
import re
import secrets
import select
import signal
import subprocess
import sys
import tempfile
import termios
import threading
import time
import tty
import weakref
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from hwzo.errors import CapabilityError, ConfigError, DeviceError
from hwzo.firmware.boards import Board, board_of
from hwzo.firmware.build import Array, build, simavr_board
from hwzo.firmware.debugger import hang
from hwzo.firmware.image import Image
from hwzo.firmware.toolchain import require

LEASH = Path(__file__).with_name("leash.py")
READY = {"simavr": rb"pty ", "qemu": rb"\(qemu\) ", "process": rb"started"}
POWER_ON, RESET_PIN = 1, 2
"""What a process is told about its start."""
END_S = 5.0
"""How long a board may take to end before it and its leash are killed together."""
QEMU_SEED_AT = 0x203FFFF0
"""See boards/cortex-m3/link.ld."""


class VirtualBoard:
    """A board that runs; `start` makes them. A context manager, and closed when it is collected or Python ends.

    Args:
        board: which.
        firmware: its ELF file.
        eeprom: file of its non-volatile memory, made if it isn't there; None for one that goes with the board.
        paced: hold an AVR back to its real speed.
        crossbar: seed and standard deviation (mV) of the noise of the crossbar at an AVR's pins; None for none.
        timeout_s: how long it may take to start.
    """

    def __init__(
        self,
        board: Board,
        firmware: Path,
        *,
        eeprom: Path | None = None,
        paced: bool = False,
        crossbar: tuple[int, float] | None = None,
        timeout_s: float = 10.0,
    ) -> None:
        self.board, self.firmware = board, firmware
        self._held = _Held()
        self._finalizer = weakref.finalize(self, _Held.release, self._held)
        self.eeprom = eeprom if eeprom is not None else self._held.folder / "eeprom"
        self._paced, self._crossbar, self._timeout_s = paced, crossbar, timeout_s
        self.port = os.ttyname(self._held.slave)
        """Path of its terminal."""
        try:
            self._run(POWER_ON)
        except BaseException:
            self.close()
            raise

    @property
    def url(self) -> str:
        """What `hwzo.connect` takes."""
        return f"serial:{self.port}"

    @property
    def running(self) -> bool:
        """False after `kill` and `close`, or if it has failed."""
        process = self._held.process
        return process is not None and process.poll() is None

    def reset(self) -> None:
        """Pull its reset pin: what it has in RAM is lost to the program, EEPROM stays.

        Raises:
            DeviceError: it doesn't run.
        """
        if self.board.virtual == "process":
            self._again(RESET_PIN)
        else:
            self._command("reset" if self.board.virtual == "simavr" else "system_reset")

    def power_cycle(self) -> None:
        """Switch its power off and on.

        Raises:
            DeviceError: it doesn't run.
        """
        if self.board.virtual == "simavr":
            self._command("power")
        else:
            self._again(POWER_ON)

    def hang(self) -> None:
        """Hang its program where it stands, as a defect would; its watchdog will reset it.

        Raises:
            CapabilityError: this board has no watchdog.
            DeviceError: it doesn't run.
        """
        if self.board.virtual == "process":
            raise CapabilityError(f"{self.board.name} has no watchdog that would end it; other boards have")
        if self.board.virtual == "simavr":
            self._command("hang")
        elif self.running:
            hang(self._held.debugger)
        else:
            raise DeviceError(f"virtual board {self.board.name} doesn't run{self._why()}")

    def kill(self) -> None:
        """Kill it as `kill -9` would; the terminal stays, and `restart` starts it again."""
        self._held.kill()

    def restart(self) -> None:
        """Start it again after `kill`, on the same terminal, with the same non-volatile memory.

        Raises:
            DeviceError: it doesn't start.
        """
        self._again(POWER_ON)

    def ask(self, what: str) -> str:
        """Ask the runner of an AVR: ``stack``, bytes, or ``cycles``, since it was started.

        Raises:
            CapabilityError: this board's runner answers no questions.
            DeviceError: it doesn't run, or doesn't answer.
        """
        if self.board.virtual != "simavr":
            raise CapabilityError(f"{self.board.name} answers no questions; boards on simavr do")
        self._command(what)
        return self._said(rf"^{what} (.*)\n".encode())

    def close(self) -> None:
        """End it; its terminal goes too."""
        self._finalizer()

    def __enter__(self) -> VirtualBoard:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<virtual board {self.board.name} at {self.url}, {'running' if self.running else 'ended'}>"

    def _again(self, cause: int) -> None:
        with self._held.turn:
            self._held.kill()
            if self._held.closed:
                raise DeviceError(f"virtual board {self.board.name} was closed; start another one")
            termios.tcflush(self._held.slave, termios.TCIOFLUSH)  # what was under way is lost
            self._run(cause)

    def _run(self, cause: int) -> None:
        held, process = self._held, self.board.virtual == "process"
        leash = (sys.executable, "-I", "-S", str(LEASH))
        with (held.folder / "log.txt").open("wb") as log:
            held.process = subprocess.Popen(
                [*leash, str(held.folder), str(held.master if process else -1), *self._arguments(cause)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                bufsize=0,
                pass_fds=(held.master,),
                start_new_session=True,
            )
        self._said(READY[self.board.virtual])

    def _arguments(self, cause: int) -> list[str]:
        elf, master = str(self.firmware), self._held.master
        if self.board.virtual == "process":
            return [elf, "--reset-cause", str(cause), "--nonvolatile", str(self.eeprom)]
        if self.board.virtual == "simavr":
            options = ["--mcu", self.board.name, "--fd", str(master), "--eeprom", str(self.eeprom), "--control"]
            if self._paced:
                options.append("--paced")
            if self._crossbar is not None:
                options += ["--crossbar", f"{self._crossbar[0]}:{self._crossbar[1]}"]
            return [str(simavr_board()), *options, elf]
        # A serial line to the terminal's own end: QEMU's pty would look for a host once a second only.
        serial = ["-add-fd", f"fd={master},set=1", "-chardev", "serial,id=uart,path=/dev/fdset/1", "-serial"]
        seed = ["-device", f"loader,addr={QEMU_SEED_AT:#x},data={secrets.randbits(32):#x},data-len=4"]
        machine = ["qemu-system-arm", "-M", "mps2-an385", "-display", "none", "-nic", "none", "-monitor", "stdio"]
        debugger = ["-gdb", f"unix:{self._held.debugger},server=on,wait=off"]
        return [*machine, *serial, "chardev:uart", *seed, *debugger, "-kernel", elf]

    def _command(self, line: str) -> None:
        pipe = self._held.process.stdin if self._held.process is not None else None
        if not self.running or pipe is None:
            raise DeviceError(f"virtual board {self.board.name} doesn't run{self._why()}")
        try:
            pipe.write(f"{line}\n".encode())
        except OSError as error:
            raise DeviceError(f"virtual board {self.board.name} has ended{self._why()}") from error

    def _said(self, pattern: bytes) -> str:
        """Wait until its standard output holds this; the pattern's first group, if there is one."""
        process, said, end = self._held.process, b"", time.monotonic() + self._timeout_s
        assert process is not None
        assert process.stdout is not None
        while (match := re.search(pattern, said, re.MULTILINE)) is None:
            left = end - time.monotonic()
            if left <= 0:
                raise DeviceError(f"virtual board {self.board.name} said nothing for {self._timeout_s} s{self._why()}")
            if select.select([process.stdout], [], [], left)[0]:
                more = os.read(process.stdout.fileno(), 4096)
                if not more:
                    process.wait()
                    raise DeviceError(f"virtual board {self.board.name} ended at once{self._why()}")
                said += more
        return match.group(1).decode() if match.lastindex else ""

    def _why(self) -> str:
        with suppress(OSError):
            said = (self._held.folder / "log.txt").read_text(errors="replace").strip()
            if said:
                return ": " + said[-500:]
        return ""


def start(
    board: str,
    *,
    array: Array = "sim",
    baud: int | None = None,
    eeprom: Path | None = None,
    paced: bool = False,
    crossbar: tuple[int, float] | None = None,
    image: Image | None = None,
    timeout_s: float = 10.0,
) -> VirtualBoard:
    """Build a board's firmware if need be, and run it.

    Args:
        board: its name; see `hwzo.firmware.BOARDS`.
        array: ``sim``, or ``spi`` for the crossbar at an AVR's pins.
        baud: rate of the UART, which sets the pace of an AVR's bytes; None for one that the board makes exactly.
        eeprom: file of the non-volatile memory; None for one that goes with the board.
        paced: hold an AVR back to its real speed.
        crossbar: seed, and standard deviation (mV) of the noise at the ADC's pin; None for (0, 0) with ``spi``.
        image: a network that it begins with after every reset.
        timeout_s: how long it may take to start, beside building.

    Raises:
        ConfigError: there is no such board, or it can't have this option.
        DeviceError: a compiler or simulator is missing (`ToolchainError`), or it doesn't start.
    """
    chosen = board_of(board)
    if chosen.virtual != "simavr":
        for key, given in {"paced": paced, "array": array != "sim", "crossbar": crossbar is not None}.items():
            if given:
                raise ConfigError(f"the virtual {board} takes no option {key!r}; boards on simavr do", key=key)
    if crossbar is not None and (array != "spi" or crossbar[0] < 0 or crossbar[1] < 0):
        raise ConfigError("a crossbar goes with array='spi', and takes a seed and millivolts from 0", key="crossbar")
    if array == "spi" and crossbar is None:
        crossbar = (0, 0.0)
    require((*chosen.to_build, *chosen.to_run), f"run a virtual {board}")
    firmware = build(board, array=array, baud=baud or chosen.baud, image=image)
    return VirtualBoard(chosen, firmware, eeprom=eeprom, paced=paced, crossbar=crossbar, timeout_s=timeout_s)


class _Held:
    """What has to be given back: the terminal, the process, the folder."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[bytes] | None = None
        self.closed = False
        self.turn = threading.RLock()
        """Of a thread that starts the process or ends it; another's waits, so that neither ends half of the other's."""
        self._owner = os.getpid()
        self._folder = tempfile.TemporaryDirectory(prefix="hwzo-board-", ignore_cleanup_errors=True)
        self.folder = Path(self._folder.name)
        self.debugger = self.folder / "gdb"
        self.master, self.slave = os.openpty()
        tty.setraw(self.slave)

    def kill(self) -> None:
        """End the process and its children, and wait for that."""
        with self.turn:
            if self.process is None:
                return
            self.process.terminate()  # the leash, which alone can wait until the board is gone
            try:
                self.process.wait(END_S)
            except subprocess.TimeoutExpired:  # it is stopped, say; its session is its own
                with suppress(ProcessLookupError):
                    os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
            for pipe in (self.process.stdin, self.process.stdout):
                if pipe is not None:
                    pipe.close()
            self.process = None

    def release(self) -> None:
        """Give everything back, once; a fork of the owner gives nothing back."""
        if self.closed or os.getpid() != self._owner:
            return
        self.closed = True
        self.kill()
        os.close(self.master)
        os.close(self.slave)
        self._folder.cleanup()
