"""The firmware's own tests, in C with sanitizers; what compilers and the fuzzer have to say about the core."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

FIRMWARE = Path(__file__).parents[2] / "firmware"
CORE, TESTS = FIRMWARE / "core", FIRMWARE / "tests"
WARNINGS = ["-std=c99", "-pedantic", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Wsign-conversion", "-Werror"]
SANITIZERS = ["-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
BENCH = [f"-I{TESTS}", f"-I{CORE}", '-DHZ_CONFIG="bench_config.h"']


def tool(name, package):
    """The program; skip where a laptop lacks it, fail where CI is set."""
    path = shutil.which(name)
    if path is None:
        assert "CI" not in os.environ, f"needs {name}, of Debian's {package}"
        pytest.skip(f"needs {name} (sudo apt-get install {package})")
    return path


def run(*command, **kwargs):
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, **kwargs)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout


def built(program, path):
    sources = [*sorted(CORE.glob("*.c")), TESTS / "bench.c", TESTS / f"{program}.c"]
    run(tool("gcc", "gcc"), *WARNINGS[:1], *WARNINGS[2:], *SANITIZERS, *BENCH, *sources, "-o", path / program)
    return path / program


def test_core_keeps_the_promises_of_the_protocol(tmp_path):
    assert "0 failed" in run(built("test_core", tmp_path), timeout=60)


def test_fuzzer_finds_nothing_and_reaches_every_command(tmp_path):
    """A few seconds; minutes are benchmarks/fuzz_firmware.py's."""
    assert "0 ops never reached" in run(built("fuzz", tmp_path), 4, 2026, timeout=60)


@pytest.mark.parametrize(
    ("compiler", "package", "flags"),
    [
        ("gcc", "gcc", ["-O2", "-fanalyzer", *BENCH]),
        ("avr-gcc", "gcc-avr", ["-Os", "-mmcu=atmega328p", *BENCH]),
        ("arm-none-eabi-gcc", "gcc-arm-none-eabi", ["-O2", "-mcpu=cortex-m3", "-mthumb", "-ffreestanding", *BENCH]),
    ],
)
def test_core_compiles_without_a_warning(compiler, package, flags, tmp_path):
    program = tool(compiler, package)
    for source in sorted(CORE.glob("*.c")):
        run(program, *WARNINGS, *flags, "-c", source, "-o", tmp_path / "core.o")


def test_core_needs_no_library(tmp_path):
    """Nothing but the compiler's own arithmetic and the two functions of an array's hardware is left to link."""
    program = tool("arm-none-eabi-gcc", "gcc-arm-none-eabi")
    flags = ["-O2", "-mcpu=cortex-m3", "-mthumb", "-ffreestanding", "-nostdlib", "-r", *BENCH]
    run(program, *flags, *sorted(CORE.glob("*.c")), "-o", tmp_path / "core.o")
    left = run("arm-none-eabi-nm", "--undefined-only", tmp_path / "core.o").split()[1::2]
    arithmetic = {"memset", "memcpy"}  # which a freestanding compiler may call, and a board has to have
    assert {name for name in left if not name.startswith("__aeabi")} <= {"hz_spi_transfer", "hz_adc_read"} | arithmetic


def test_template_compiles(tmp_path):
    folder = FIRMWARE / "template"
    flags = [f"-I{folder}", f"-I{CORE}", '-DHZ_CONFIG="board_config.h"', "-DHZ_ARRAY=hz_array_mine"]
    run(tool("gcc", "gcc"), *WARNINGS, "-O2", *flags, *CORE.glob("*.c"), *folder.glob("*.c"), "-o", tmp_path / "board")
