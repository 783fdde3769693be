"""QEMU's debugger port, as far as it takes to hang a program.

Packets are those of GDB's remote serial protocol: ``$data#checksum``, each acknowledged by ``+``.
"""

from __future__ import annotations

import re
import socket
from pathlib import Path

from hwzo.errors import DeviceError

TIMEOUT_S = 5.0
PROGRAM_COUNTER = slice(15 * 8, 16 * 8)
"""Hex digits of register 15 in the answer to ``g``, all registers."""
BRANCH_TO_SELF = "fee7"
"""Thumb, as it lies in memory; a reset loads the program anew."""


def hang(port: Path) -> None:
    """Put a branch to itself where a Cortex-M's program stands, and let it run on.

    Args:
        port: the debugger's UNIX socket.

    Raises:
        DeviceError: nobody answers there, or with an error.
    """
    try:
        with socket.socket(socket.AF_UNIX) as stream:
            stream.settimeout(TIMEOUT_S)
            stream.connect(str(port))  # stops the machine
            at = int.from_bytes(bytes.fromhex(_ask(stream, "g")[PROGRAM_COUNTER]), "little")
            _ask(stream, f"M{at:x},{len(BRANCH_TO_SELF) // 2:x}:{BRANCH_TO_SELF}")
            _ask(stream, "D")  # detach
    except (OSError, ValueError) as error:
        raise DeviceError(f"the emulator's debugger at {port} can't hang the program: {error}") from error


def _ask(stream: socket.socket, command: str) -> str:
    # The first + is for a packet T..., told unasked when the machine has stopped; alone it means nothing.
    stream.sendall(f"+${command}#{sum(command.encode()) & 0xFF:02x}".encode())
    said = b""
    while (answer := re.search(rb"\$([^T#][^#]*)#..", said)) is None:
        more = stream.recv(4096)
        if not more:
            raise OSError("it has hung up")
        said += more
        stream.sendall(b"+" * more.count(b"#"))
    text = answer.group(1).decode()
    if text.startswith("E"):
        raise ValueError(f"it answers {command} with error {text}")
    return text
