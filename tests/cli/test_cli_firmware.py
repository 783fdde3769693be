"""``hwzo firmware``: what is built, what runs until it is ended, what is missing and how to get it."""

import json
import os
import signal
from pathlib import Path

import pytest

from hwzo import firmware
from hwzo.wire.client import Client
from hwzo.wire.transport import SerialTransport


def need(name):
    board = firmware.BOARDS[name]
    lacking = firmware.missing((*board.to_build, *board.to_run))
    if lacking:
        reason = f"needs Debian's {' '.join(sorted({requirement.package for requirement in lacking}))}"
        assert not os.environ.get("CI"), reason
        pytest.skip(reason)


@pytest.mark.parametrize("name", ["posix", "atmega328p"])
def test_build_prints_the_file_and_its_sizes(hwzo, name):
    need(name)
    done = hwzo("firmware", "build", name, "--json")
    assert done.code == 0
    assert done.json.keys() == {"board", "path", "flash", "static_ram"}
    elf = Path(done.json["path"])
    assert elf.read_bytes()[:4] == b"\x7fELF"
    assert elf == firmware.build(name)
    assert (done.json["flash"], done.json["static_ram"]) == (
        firmware.sizes(name, elf).flash,
        firmware.sizes(name, elf).static_ram,
    )
    assert hwzo("firmware", "build", name).out.splitlines()[-1] == str(elf)


@pytest.mark.parametrize(("name", "number"), [("posix", signal.SIGTERM), ("atmega328p", signal.SIGINT)])
def test_run_keeps_a_board_up_until_it_is_ended(process, ended, name, number):
    need(name)
    child = process("firmware", "run", name, "--json")
    line = json.loads(child.stdout.readline())
    assert (line["board"], line["pid"]) == (name, child.pid)
    assert line.keys() == {"url", "board", "pid"}
    port = line["url"].removeprefix("serial:")
    client = Client(SerialTransport(port))
    client.connect()
    assert client.description.model == name
    client.close()
    child.send_signal(number)
    done = ended(child)
    assert (done.code, done.out) == (128 + number, "")
    assert not Path(port).exists()


def test_a_board_that_there_is_not(hwzo):
    for verb in ("build", "run"):
        done = hwzo("firmware", verb, "uno", "--json")
        assert done.code == 2
        assert all(name in done.json["error"]["message"] for name in firmware.BOARDS)
    assert hwzo("firmware", "build", "posix", "--array", "nosuch").code == 2
    assert hwzo("firmware", "build", "posix", "--baud", "1").code == 2
    assert hwzo("firmware", "run", "posix", "--paced").code == 2


def test_a_compiler_that_is_missing_is_named_with_its_package(hwzo, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    for verb, name, package in (
        ("build", "atmega328p", "gcc-avr"),
        ("build", "cortex-m3", "gcc-arm-none-eabi"),
        ("run", "cortex-m3", "qemu-system-arm"),
        ("run", "posix", "gcc"),
    ):
        done = hwzo("firmware", verb, name, "--json")
        assert done.code == 3
        assert package in done.json["error"]["message"].split("apt-get install ")[1].split()


def test_the_doctor_names_them_too(hwzo, monkeypatch, tmp_path):
    checks = {check["name"]: check for check in hwzo("doctor", "--json").json["checks"]}
    wanted = {
        "cc": "gcc",
        "avr-gcc": "gcc-avr",
        "avr/io.h": "avr-libc",
        "simavr/sim_avr.h": "libsimavr-dev",
        "libelf.h": "libelf-dev",
        "arm-none-eabi-gcc": "gcc-arm-none-eabi",
        "qemu-system-arm": "qemu-system-arm",
    }
    assert wanted.keys() <= checks.keys()
    monkeypatch.setenv("PATH", str(tmp_path))
    checks = {check["name"]: check for check in hwzo("doctor", "--json").json["checks"]}
    for name, package in wanted.items():
        assert not checks[name]["ok"]
        assert checks[name]["install"] == f"sudo apt-get install {package}"
    assert "board:atmega328p" in checks["avr-gcc"]["detail"]
