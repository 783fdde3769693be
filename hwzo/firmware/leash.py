"""Keeps a virtual board from outliving whoever started it; a script, `leash.py FOLDER SERIAL PROGRAM ARGUMENT...`.

The program runs until it ends by itself, until SIGTERM asks for its end, or until this process's standard input is
closed, as it is when the process at its other end dies, however it dies; then FOLDER is removed too, which was the
board's. When this process has ended, so has the program. Nothing is read from that input: it is the program's too, for
commands. Unless SERIAL is -1, it is a descriptor that becomes the program's standard input and output. Once the program
runs, "started" is printed.

It imports nothing of hwzo, so that it starts within some 10 ms.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import sys

PR_SET_PDEATHSIG = 1


def _become(program: list[str], serial: int, leash: int) -> None:
    try:
        prctl = getattr(ctypes.CDLL(None), "prctl", None)  # Linux; elsewhere a killed leash leaves the program
        if prctl is not None:
            prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != leash:  # it died before it was asked to tell
            return
        if serial >= 0:
            os.dup2(serial, 0)
            os.dup2(serial, 1)
        os.execvp(program[0], program)
    except OSError as error:
        print(f"{program[0]}: {error.strerror}", file=sys.stderr)


def _heard(number: int, frame: object) -> None:
    """Nothing: its number is written to the descriptor."""


def main() -> int:
    """Run the program; its exit code, or 0 if the leash was let go."""
    leash = os.getpid()
    signals, signalled = os.pipe()  # numbers of the signals that came
    os.set_blocking(signalled, False)
    signal.set_wakeup_fd(signalled)
    for number in (signal.SIGTERM, signal.SIGCHLD):
        signal.signal(number, _heard)
    started, starting = os.pipe()  # the second is closed by the program's start, or by its failure
    child = os.fork()
    if child == 0:
        _become(sys.argv[3:], int(sys.argv[2]), leash)
        os.write(starting, b"!")
        os._exit(127)
    os.close(starting)
    if not os.read(started, 1):
        os.write(1, b"started\n")
    events = select.poll()
    events.register(0, 0)  # hang-ups are always told
    events.register(signals, select.POLLIN)
    while True:
        told = [descriptor for descriptor, _ in events.poll()]
        if 0 in told or signal.SIGTERM in os.read(signals, 64):
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            if 0 in told:
                import shutil  # here, so that starting takes no longer

                shutil.rmtree(sys.argv[1], ignore_errors=True)
            return 0
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status) & 0xFF


if __name__ == "__main__":
    sys.exit(main())
