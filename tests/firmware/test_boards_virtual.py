"""Virtual boards: started at once, reset for the reason that is told, never left behind; noise at an AVR's pins."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from hwzo import firmware
from hwzo.errors import CapabilityError, DeviceError
from hwzo.wire.client import Client
from hwzo.wire.schema import (
    Action,
    BeginBatch,
    Cause,
    Checkpoint,
    Describe,
    Evaluate,
    Fetch,
    Hash,
    HelloReply,
    Latch,
    LatchWeights,
    LossCode,
    Request,
    Sample,
    SetKey,
    SetNetwork,
    Statistics,
    Write,
)
from hwzo.wire.transport import SerialTransport

AVRS = ("atmega328p", "atmega2560")


def need(name: str) -> None:
    """Skip with the reason where a laptop lacks the tools; fail where CI is set."""
    board = firmware.BOARDS[name]
    lacking = firmware.missing((*board.to_build, *board.to_run))
    if lacking:
        reason = f"needs Debian's {' '.join(sorted({requirement.package for requirement in lacking}))}"
        assert not os.environ.get("CI"), reason
        pytest.skip(reason)


@contextmanager
def connected(board: firmware.VirtualBoard) -> Iterator[tuple[Client, HelloReply]]:
    client = Client(SerialTransport(board.port))
    try:
        yield client, client.connect()
    finally:
        client.close()


def greeted(board: firmware.VirtualBoard) -> HelloReply:
    with connected(board) as (_, hello):
        return hello


def session_of(pid: int) -> list[int]:
    """Processes of a session that still run."""
    found: list[int] = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                state, _, _, session = (entry / "stat").read_text().rpartition(")")[2].split()[:4]
            except (OSError, ValueError):
                continue  # it ended while we looked
            if int(session) == pid and state != "Z":
                found.append(int(entry.name))
    return found


def leash_of(board: firmware.VirtualBoard) -> int:
    process = board._held.process  # pyright: ignore[reportPrivateUsage]
    assert process is not None
    return process.pid


def gone_within(pid: int, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while session_of(pid) and time.monotonic() < end:
        time.sleep(0.02)
    return not session_of(pid)


@pytest.mark.parametrize("name", firmware.BOARDS)
def test_starts_within_a_second_and_answers(name: str):
    need(name)
    firmware.start(name).close()  # built, from here on
    begun = time.monotonic()
    with firmware.start(name) as board:
        with connected(board) as (client, hello):
            assert time.monotonic() - begun < 1.0
            assert Cause(hello.reset_cause) is Cause.POWER_ON
            assert client.request(Describe()).model == name
        assert board.url == f"serial:{board.port}"
        assert "running" in repr(board)


@pytest.mark.parametrize("name", firmware.BOARDS)
def test_every_start_has_its_cause_and_another_boot_id(name: str):
    need(name)
    with firmware.start(name) as board:
        port, seen = board.port, [greeted(board)]
        for act in (board.reset, board.power_cycle):
            act()
            seen.append(greeted(board))
        board.kill()
        assert not board.running
        board.restart()
        seen.append(greeted(board))
        assert board.port == port
    causes = [Cause(hello.reset_cause) for hello in seen]
    assert causes == [Cause.POWER_ON, Cause.RESET_PIN, Cause.POWER_ON, Cause.POWER_ON]
    assert len({hello.boot_id for hello in seen}) == 4


@pytest.mark.parametrize("name", AVRS)
def test_a_program_that_hangs_is_reset_by_its_watchdog(name: str):
    need(name)
    with firmware.start(name) as board:
        first = greeted(board)
        for boot in (1, 2, 3):
            before = int(board.ask("cycles"))
            board.hang()
            again = greeted(board)
            assert Cause(again.reset_cause) is Cause.WATCHDOG
            assert again.boot_id == first.boot_id + boot
            assert int(board.ask("cycles")) - before >= 0.2 * 16e6  # it waited for what it was set to, 250 ms


def test_a_cortex_m3_that_hangs_is_reset_by_its_watchdog():
    need("cortex-m3")
    with firmware.start("cortex-m3") as board:
        first, begun = greeted(board), time.monotonic()
        board.hang()
        again = greeted(board)
        assert time.monotonic() - begun > 1.5  # it is set to 2 s
    assert Cause(again.reset_cause) is Cause.WATCHDOG
    assert again.boot_id == first.boot_id + 1


@pytest.mark.parametrize("name", AVRS)
def test_a_watchdog_that_is_fed_never_bites(name: str):
    need(name)
    with firmware.start(name) as board, connected(board) as (client, hello):
        for _ in client.requests(Statistics() for _ in range(3000)):
            pass  # some four seconds of the board's time, most of it sending
        time.sleep(0.5)
        used = client.request(Statistics())
        assert (used.bad, used.overruns, used.boots) == (0, 0, hello.boot_id & 0xFFFF)


@pytest.mark.parametrize("name", ["posix", *AVRS])
def test_what_is_saved_survives_a_restart(name: str, tmp_path: Path):
    need(name)
    memory, weights = tmp_path / "eeprom", tuple(range(-200, 200, 10))

    def program(client: Client) -> None:
        client.request(SetNetwork(1, -32767, 32767, (9, 4)))
        client.request(SetKey(5, 0, 17))
        for offset in range(0, 40, 20):
            client.request(Write(offset, weights[offset : offset + 20]))

    with firmware.start(name, eeprom=memory) as board, connected(board) as (client, first):
        program(client)
        client.request(Checkpoint(Action.SAVE))
        saved = client.request(Hash())
        board.kill()  # no farewell: what is saved is saved
    with firmware.start(name, eeprom=memory) as board, connected(board) as (client, second):
        assert client.request(Checkpoint(Action.LOAD)).step == 17
        assert client.request(Hash()) == saved
    assert first.boot_id != second.boot_id


def test_an_eeprom_file_of_another_chip_is_refused(tmp_path: Path):
    need("atmega328p")
    (tmp_path / "eeprom").write_bytes(bytes(100))
    with pytest.raises(DeviceError, match="EEPROM file"):
        firmware.start("atmega328p", eeprom=tmp_path / "eeprom")


@pytest.mark.parametrize("name", firmware.BOARDS)
def test_ten_starts_and_stops_leave_no_process(name: str):
    need(name)
    leashes: list[int] = []
    for _ in range(10):
        with firmware.start(name) as board:
            leashes.append(leash_of(board))
            assert session_of(leashes[-1])
    assert [leash for leash in leashes if session_of(leash)] == []


@pytest.mark.parametrize("name", firmware.BOARDS)
def test_a_board_does_not_outlive_its_owner(name: str):
    need(name)
    program = (
        "import sys, time; from hwzo import firmware; board = firmware.start(sys.argv[1]); "
        "print(board._held.process.pid, board._held.folder, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", program, name], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        number, folder = owner.stdout.readline().split()
        leash = int(number)
        assert len(session_of(leash)) == 2
        assert Path(folder).is_dir()
        owner.kill()
    assert gone_within(leash, 5.0)
    assert not Path(folder).exists()


@pytest.mark.parametrize("name", firmware.BOARDS)
def test_a_board_does_not_outlive_its_leash(name: str):
    need(name)
    with firmware.start(name) as board:
        leash = leash_of(board)
        os.kill(leash, signal.SIGKILL)
        assert gone_within(leash, 5.0)
        assert not board.running


def test_a_board_whose_leash_is_stopped_is_killed_all_the_same(monkeypatch: pytest.MonkeyPatch):
    need("posix")
    monkeypatch.setattr("hwzo.firmware.virtual.END_S", 0.1)
    with firmware.start("posix") as board:
        leash = leash_of(board)
        os.kill(leash, signal.SIGSTOP)
        board.kill()
        assert gone_within(leash, 5.0)


def test_a_board_that_is_killed_while_it_is_restarted_is_one_board():
    """Another thread's kill ends the old process or the new one, and nothing of the other."""
    need("posix")
    delays = np.random.default_rng(0).uniform(0.0, 0.02, 20)
    with firmware.start("posix") as board:
        for delay in delays:
            killer = threading.Timer(delay, board.kill)
            killer.start()
            board.restart()
            killer.join()
            if not board.running:
                board.restart()
            assert len(session_of(leash_of(board))) == 2
        greeted(board)


def test_a_board_that_is_dropped_or_closed_twice_is_gone():
    need("posix")
    board = firmware.start("posix")
    leash = leash_of(board)
    del board
    assert gone_within(leash, 5.0)
    board = firmware.start("posix")
    board.close()
    board.close()
    with pytest.raises(DeviceError, match="closed"):
        board.restart()
    with pytest.raises(CapabilityError):
        board.hang()


def test_a_paced_board_is_never_faster_than_its_crystal():
    need("atmega328p")
    with firmware.start("atmega328p", paced=True) as board, connected(board) as (client, _):
        begun, before = time.monotonic(), int(board.ask("cycles"))
        for _ in client.requests(Hash() for _ in range(200)):
            pass
        took, cycles = time.monotonic() - begun, int(board.ask("cycles")) - before
    assert cycles <= 16e6 * (took + 0.005)


def ready(client: Client, widths: tuple[int, int], weights: np.ndarray, *more: Request[object]) -> None:
    client.request(SetNetwork(1, -32767, 32767, widths))
    client.request(SetKey(1, 0, 0))
    for offset in range(0, weights.size, 20):
        client.request(Write(offset, tuple(int(weight) for weight in weights[offset : offset + 20])))
    for request in more:
        client.request(request)


@pytest.mark.parametrize("name", AVRS)
def test_the_crossbar_multiplies_within_half_a_bit_of_the_converter(name: str):
    need(name)
    rng = np.random.default_rng(3)
    weights = rng.integers(-4000, 4000, size=(8, 3))  # units of 2^-12; the last row is the bias
    inputs = rng.integers(-127, 128, size=(2, 7))
    rows = (Sample(i, 0, (*(int(x) for x in inputs[i]), 0)) for i in range(2))
    with firmware.start(name, array="spi") as board, connected(board) as (client, _):
        ready(client, (7, 3), weights.ravel(), BeginBatch(2, LossCode.CROSS_ENTROPY), *rows)
        client.request(Evaluate(0, 0, 0, Latch.NODES))
        nodes = np.reshape(client.request(Fetch(0, 6)).values, (2, 3))  # units of 2^-10
    exact = np.column_stack([inputs, [127, 127]]) @ weights / 127 / 4
    # A bit is 16 node units; the pin is set to whole millivolts, a tenth of a bit more.
    assert np.abs(nodes - exact).max() <= 16 * 0.61


@pytest.mark.parametrize("name", AVRS)
def test_noise_at_the_pin_reaches_the_reading_with_its_standard_deviation(name: str):
    need(name)
    noise_mv, repeats = 20.0, 80
    weights = np.random.default_rng(4).integers(-4000, 4000, size=24)
    readings = np.empty((repeats, weights.size))
    with firmware.start(name, array="spi", crossbar=(7, noise_mv)) as board, connected(board) as (client, _):
        ready(client, (7, 3), weights)
        for repeat in range(repeats):
            client.request(LatchWeights(0, weights.size, repeat))
            readings[repeat] = client.request(Fetch(0, weights.size)).values
    # A bit is 5 V / 1023 at the pin and 64 weight units; rounding to bits adds 1/12 of a bit's square.
    expected = 64 * np.hypot(noise_mv / (5000 / 1023), np.sqrt(1 / 12))
    error, n = readings - weights, readings.size
    # Two-sided at 5 standard errors: each of the three is a false alarm once in 1.7 million.
    assert abs(error.std(ddof=1) / expected - 1) < 5 / np.sqrt(2 * n)
    assert abs(error.mean()) < 5 * expected / np.sqrt(n) + 64 * 0.1
    flat = error.ravel()  # in the order of the conversions
    assert abs(np.mean(flat[1:] * flat[:-1])) < 5 * expected**2 / np.sqrt(n)
