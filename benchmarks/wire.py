"""Commands a second through a pseudo-terminal: the client, beside a raw file descriptor that does nothing for it.

    python benchmarks/wire.py [--json] [--rounds N]

The board is firmware/boards/posix, compiled here with gcc. All take turns in one run, with the board's window in flight
and one write a burst:

    client        the whole client through a serial port: pack, frame, window, check, unpack
    client, bare  the same client on a file descriptor that it reads and writes blockingly, nothing in between
    client, one   one command in flight
    raw           no client: the same frames, made beforehand, and the zeros of the replies counted
    echo          the same, with a process that gives back what it is sent in place of the board

The ratios client/bare (what the serial port costs) and client/raw (what everything costs) are taken within each round.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import tty
from collections.abc import Iterator
from pathlib import Path

from machine import MACHINE

from hwzo.wire.client import Client
from hwzo.wire.frames import burst, request_block
from hwzo.wire.messages import pack
from hwzo.wire.schema import SafeTimeout, Statistics, command_of
from hwzo.wire.transport import SerialTransport

FIRMWARE = Path(__file__).parents[1] / "firmware"
ECHO = "import os, sys\nwhile data := os.read(0, 65536):\n    os.write(1, data)\n"
COMMAND = SafeTimeout(0)
TURN = 4_000  # commands: short, so that a round has one kind of weather


@contextlib.contextmanager
def posix_board(folder: Path) -> Iterator[str]:
    """The path of a posix board's pseudo-terminal."""
    binary = folder / "board"
    sources = [*FIRMWARE.glob("core/*.c"), *FIRMWARE.glob("boards/posix/*.c")]
    includes = [f"-I{FIRMWARE / 'core'}", f"-I{FIRMWARE / 'boards' / 'posix'}"]
    subprocess.run(["gcc", "-std=c99", "-O2", *includes, *map(str, sources), "-o", str(binary)], check=True)
    process = subprocess.Popen([str(binary), "--pty"], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().split()[-1]
    finally:
        process.kill()
        process.communicate()


@contextlib.contextmanager
def echo() -> Iterator[int]:
    """A descriptor whose other end gives back what is written to it."""
    here, there = os.openpty()
    tty.setraw(here)
    tty.setraw(there)
    process = subprocess.Popen([sys.executable, "-c", ECHO], stdin=there, stdout=there)
    try:
        yield here
    finally:
        process.kill()
        process.wait()
        os.close(here)
        os.close(there)


def opened(path: str) -> int:
    """A descriptor whose reads wait for a byte; pyserial leaves the line so that they don't wait at all."""
    descriptor = os.open(path, os.O_RDWR | os.O_NOCTTY)
    tty.setraw(descriptor)
    return descriptor


class Bare:
    """A transport that is a file descriptor and nothing else."""

    description = "a file descriptor"

    def __init__(self, path: str) -> None:
        self.descriptor = opened(path)

    def write(self, data: bytes) -> None:
        os.write(self.descriptor, data)

    def read(self, timeout_s: float) -> bytes:
        return os.read(self.descriptor, 65536)

    def close(self) -> None:
        os.close(self.descriptor)


def counted(descriptor: int, bursts: list[tuple[bytes, int]]) -> float:
    """Seconds to write each burst and read until as many zeros have come back as go with it."""
    start = time.perf_counter()
    for data, zeros in bursts:
        os.write(descriptor, data)
        while zeros > 0:
            zeros -= os.read(descriptor, 65536).count(0)
    return time.perf_counter() - start


def bursts_of(blocks: list[bytes], window: int, zeros: int | None) -> list[tuple[bytes, int]]:
    """Bursts of a window each, and how many zeros answer them: ``zeros`` a frame, or those of the burst itself."""
    made: list[tuple[bytes, int]] = []
    for i in range(0, len(blocks), window):
        data = burst(blocks[i : i + window])
        made.append((data, data.count(0) if zeros is None else zeros * len(blocks[i : i + window])))
    return made


def turn(path: str, echoing: int, n: int) -> dict[str, float]:
    """Commands a second of each, once."""
    client = Client(SerialTransport(path))
    try:
        client.connect()
        window = client.hello.window
        op, payload = command_of(SafeTimeout).op, pack(COMMAND)
        rates: dict[str, float] = {}

        bare = Client(Bare(path))
        for case, with_ in (("client, bare", bare), ("client", client)):
            with_.connect()
            start = time.perf_counter()
            for _ in with_.requests(COMMAND for _ in range(n)):
                pass
            rates[case] = n / (time.perf_counter() - start)
        bare.close()

        start = time.perf_counter()
        for _ in range(n // 10):
            client.request(COMMAND)
        rates["client, one"] = n / 10 / (time.perf_counter() - start)
        assert client.statistics.resent == client.statistics.dropped == 0

        hello = client.connect()  # numbers begin anew; DESCRIBE took the first
        blocks = [request_block(hello.session, hello.next_seq + 1 + i, op, payload) for i in range(n)]
        descriptor = opened(path)
        try:
            os.write(descriptor, burst(blocks[:1]))
            time.sleep(0.05)
            zeros = os.read(descriptor, 65536).count(0)  # a reply has one delimiter, or two
            made = bursts_of(blocks[1:], window, zeros)
            rates["raw"] = (n - 1) / counted(descriptor, made)
        finally:
            os.close(descriptor)
        client.connect()
        seen = client.request(Statistics())
        assert (seen.bad, seen.gaps, seen.duplicates, seen.overruns) == (0, 0, 0, 0), seen
        rates["echo"] = n / counted(echoing, bursts_of(blocks, window, None))
        return rates
    finally:
        client.close()


def main() -> None:
    """Take turns and print medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    parser.add_argument("--rounds", type=int, default=25, help="turns of each")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, posix_board(Path(folder)) as path, echo() as echoing:
        rounds = [turn(path, echoing, TURN) for _ in range(options.rounds)]
    rows: list[dict[str, object]] = []
    for case in rounds[0]:
        rates = [rates[case] for rates in rounds]
        spread = max(rates) - min(rates)
        rows.append({"case": case, "per_second": statistics.median(rates), "spread": spread, "n": len(rates)})
    for name, other in (("client/bare", "client, bare"), ("client/raw", "raw")):
        ratios = [rates["client"] / rates[other] for rates in rounds]
        spread = max(ratios) - min(ratios)
        rows.append({"case": name, "ratio": statistics.median(ratios), "spread": spread, "n": len(ratios)})
    if options.json:
        print(json.dumps({"machine": MACHINE, "rows": rows}))
        return
    for row in rows:
        value = f"{row['per_second']:10.0f} /s" if "per_second" in row else f"{row['ratio']:10.2f}   "
        print(f"{row['case']:>12}  {value}  spread {row['spread']:.3g}  n {row['n']}")


if __name__ == "__main__":
    main()
