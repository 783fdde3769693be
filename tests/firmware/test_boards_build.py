"""Firmware is built clean, once, within its budget; what is missing is named."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hwzo import firmware
from hwzo.errors import CapabilityError, ConfigError, DeviceError
from hwzo.firmware.build import made_by_avr, recipe
from hwzo.firmware.toolchain import require
from hwzo.wire.client import Client
from hwzo.wire.schema import (
    Action,
    BeginBatch,
    Checkpoint,
    Evaluate,
    Hash,
    Latch,
    LatchWeights,
    LossCode,
    Noise,
    Sample,
    SetKey,
    SetNetwork,
    Step,
    Write,
)
from hwzo.wire.transport import SerialTransport


def need(name: str, *, run: bool = False) -> None:
    """Skip with the reason where a laptop lacks the tools; fail where CI is set."""
    board = firmware.BOARDS[name]
    lacking = firmware.missing((*board.to_build, *(board.to_run if run else ())))
    if lacking:
        reason = f"needs Debian's {' '.join(sorted({requirement.package for requirement in lacking}))}"
        assert not os.environ.get("CI"), reason
        pytest.skip(reason)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


BUILDS = [(name, "sim") for name in firmware.BOARDS] + [("atmega328p", "spi"), ("atmega2560", "spi")]


@pytest.mark.parametrize(("name", "array"), BUILDS)
def test_builds_without_warnings(name: str, array: firmware.Array, tmp_path: Path):
    need(name)
    command = recipe(name, array=array).command(tmp_path / "out.elf")
    for warning in ("-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Wsign-conversion"):
        assert warning in command
    done = subprocess.run([*command, "-Werror"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_builds_once_and_anew_for_other_options(cache: Path):
    need("posix")
    first = firmware.build("posix")
    assert first.is_relative_to(cache)
    written = first.stat().st_mtime_ns
    assert firmware.build("posix") == first
    assert first.stat().st_mtime_ns == written
    assert recipe("posix", baud=9600).key() != recipe("posix").key()
    first.unlink()
    assert firmware.build("posix") == first
    assert first.exists()


def test_processes_that_build_at_once_get_one_whole_file(cache: Path):
    need("posix")
    program = "from hwzo import firmware; print(firmware.build('posix'))"
    builders = [subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) for _ in range(3)]
    assert len({builder.communicate()[0] for builder in builders}) == 1
    assert [builder.returncode for builder in builders] == [0, 0, 0]
    left = sorted(path.name for path in (cache / "hwzo" / "firmware").iterdir() if not path.name.endswith(".lock"))
    assert len(left) == 1


@pytest.mark.parametrize(("name", "package"), [("atmega328p", "gcc-avr"), ("cortex-m3", "gcc-arm-none-eabi")])
def test_a_missing_compiler_is_named_with_its_package(name: str, package: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(firmware.ToolchainError, match=rf"apt-get install .*{package}") as caught:
        firmware.build(name)
    assert caught.value.exit_code == 3
    assert isinstance(caught.value, DeviceError)


def test_a_missing_header_is_named_with_its_package():
    need("posix")
    here, absent = firmware.Requirement("stdint.h", "libc6-dev"), firmware.Requirement("no/such.h", "libnosuch-dev")
    cc = firmware.BOARDS["posix"].compiler
    assert firmware.missing([cc, here, absent]) == [absent]
    with pytest.raises(firmware.ToolchainError, match=r"no/such.h is missing.*libnosuch-dev"):
        require([cc, here, absent], "try")


def test_a_compiler_that_fails_says_why(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    compiler = tmp_path / "cc"
    compiler.write_text("#!/bin/sh\ncase $1 in -dump*) echo 1;; *) echo 'main.c:1: no room' >&2; exit 1;; esac\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(firmware.ToolchainError, match=r"(?s)can't build posix\.elf.*main\.c:1: no room"):
        firmware.build("posix")
    assert not list((cache / "hwzo" / "firmware").glob("*/posix.elf"))


def test_a_cache_that_cannot_be_written_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    need("posix")
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(firmware.ToolchainError, match="XDG_CACHE_HOME"):
        firmware.build("posix")


def test_what_cannot_be_built_is_a_config_error():
    for key, build in {
        "board": lambda: firmware.build("z80"),
        "array": lambda: firmware.build("posix", array="optical"),  # pyright: ignore[reportArgumentType]
        "baud": lambda: firmware.build("posix", baud=7),
        "paced": lambda: firmware.start("posix", paced=True),
        "crossbar": lambda: firmware.start("atmega328p", crossbar=(1, 2.0)),
    }.items():
        with pytest.raises(ConfigError) as caught:
            build()
        assert caught.value.key == key


def exercise(client: Client) -> None:
    """Everything that computes, on 49-4-4 with a batch of 8, the most that the small board is made for."""
    client.request(SetNetwork(1, -32767, 32767, (49, 4, 4)))
    client.request(SetKey(1, 0, 0))
    client.request(Noise(2, 20, 20, 20))
    client.request(BeginBatch(8, LossCode.CROSS_ENTROPY))
    for index in range(8):
        client.request(Sample(index, 0, (*((7 * index + 5 * i) % 255 - 127 for i in range(49)), index % 4)))
    for offset in range(0, 220, 20):
        client.request(Write(offset, tuple((31 * (offset + i)) % 2001 - 1000 for i in range(20))))
    for law in (0, 1):
        client.request(SetKey(1, law, 0))
        client.request(Evaluate(0, 0, 50, Latch.NODES))
        client.request(Step(0, ((0, 3), (1, -3)), ((0, 50), (0, -50), (1, 50))))
    client.request(LatchWeights(0, 220, 1))
    client.request(Checkpoint(Action.SAVE))
    client.request(Checkpoint(Action.LOAD))
    client.request(Hash())


@pytest.mark.parametrize("name", [name for name, board in firmware.BOARDS.items() if board.budget])
def test_memory_is_within_the_budget(name: str):
    need(name, run=True)
    flash, ram = firmware.BOARDS[name].budget or (0, 0)
    with firmware.start(name) as board:
        client = Client(SerialTransport(board.port))
        client.connect()
        exercise(client)
        client.close()
        size, stack = firmware.sizes(name, board.firmware), firmware.deepest_stack(board)
    assert size.flash <= flash
    assert size.static_ram + stack <= ram, f"{size.static_ram} B static and {stack} B of stack"


def test_the_stack_of_a_process_is_not_measured():
    need("posix")
    with firmware.start("posix") as board, pytest.raises(CapabilityError, match="simavr"):
        firmware.deepest_stack(board)


@pytest.mark.parametrize(
    ("board", "options", "key"),
    [
        ("posix", {"array": "spi"}, "array"),
        ("cortex-m3", {"array": "spi"}, "array"),
        ("atmega328p", {"baud": 300}, "baud"),
        ("atmega2560", {"baud": 1_500_000}, "baud"),
    ],
)
def test_what_a_board_can_not_be_built_for_is_said_without_a_compiler(board, options, key):
    with pytest.raises(ConfigError) as caught:
        firmware.build(board, **options)
    assert caught.value.key == key


def test_rates_that_an_avr_makes():
    """Datasheet of the ATmega328P, table of UBRR settings at 16 MHz, U2X = 1: errors in percent."""
    listed = {
        2400: 0.0,
        9600: 0.2,
        14400: -0.1,
        57600: 2.1,
        76800: 0.2,
        115200: 2.1,
        230400: -3.5,
        250000: 0.0,
        1_000_000: 0.0,
    }
    for baud, error in listed.items():
        assert made_by_avr(baud) == (abs(error) < 3), baud
