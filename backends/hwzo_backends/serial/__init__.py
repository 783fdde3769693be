"""Boards that speak HZ1 (docs/hz1.md): at a serial port, behind a TCP connection, or virtual ones.

``hwzo.connect("serial:/dev/ttyACM0?baud=1000000")``, ``hwzo.connect("board:atmega328p?layers=49-4-4")``;
`options.Options` lists what a URL may set.
"""

from __future__ import annotations

from hwzo_backends.serial.backend import BoardBackend, SerialBackend
from hwzo_backends.serial.device import BoardDevice

BACKEND = SerialBackend()
BOARDS = BoardBackend()

__all__ = ["BACKEND", "BOARDS", "BoardBackend", "BoardDevice", "SerialBackend"]
