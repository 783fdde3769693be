"""Fuzz the firmware's frame parser and all behind it: `python benchmarks/fuzz_firmware.py [--minutes 10] [--json]`.

firmware/tests/fuzz.c is built with the address and undefined-behaviour sanitizers: with libFuzzer where clang is there,
else with its own driver (a seeded generator, gcc). Its requests carry a right CRC and nearly right fields; what gets
through is shown as commands done by op, and as lines of firmware/core that ran in a second build, with gcov.
Status 1 if anything was found; the input is kept then.
"""

from __future__ import annotations

import argparse
import json
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

FIRMWARE = Path(__file__).parents[1] / "firmware"
CORE, TESTS = FIRMWARE / "core", FIRMWARE / "tests"
FLAGS = ["-std=c99", "-g", f"-I{TESTS}", f"-I{CORE}", '-DHZ_CONFIG="bench_config.h"']
SANITIZERS = ["-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
COVERAGE_S = 20


def build(compiler: str, flags: list[str], folder: Path) -> Path:
    """The fuzzer's program."""
    sources = [*sorted(CORE.glob("*.c")), TESTS / "bench.c", TESTS / "fuzz.c"]
    subprocess.run([compiler, *FLAGS, *flags, *map(str, sources), "-o", "fuzz"], cwd=folder, check=True)
    return folder / "fuzz"


def coverage(folder: Path) -> dict[str, float]:
    """Percent of the lines of each file of the core that the fuzzer's own driver runs."""
    program = build("gcc", ["-O0", "--coverage"], folder)
    subprocess.run([program, str(COVERAGE_S), "1"], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    notes = sorted(str(path) for path in folder.glob("*.gcda"))
    told = subprocess.run(["gcov", "-n", *notes], cwd=folder, check=True, capture_output=True, text=True).stdout
    lines = re.findall(r"File '(.*)'\nLines executed:([\d.]+)%", told)
    return {Path(name).name: float(percent) for name, percent in lines if Path(name).parent.resolve() == CORE}


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    compiler = shutil.which("gcc")
    if compiler is None:
        print("needs gcc (sudo apt-get install gcc)", file=sys.stderr)
        return 3
    seconds = round(arguments.minutes * 60)
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    clang = shutil.which("clang")
    if clang:
        program = build(clang, ["-O1", "-DLIBFUZZER", "-fsanitize=fuzzer,address,undefined"], folder)
        command = [str(program), f"-max_total_time={seconds}", f"-seed={arguments.seed}", "-max_len=4096"]
    else:
        program = build(compiler, SANITIZERS, folder)
        command = [str(program), str(seconds), str(arguments.seed)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    ran = coverage(folder)
    rows = [
        {"case": f"lines of {name} run", "percent": percent, "spread": 0.0, "n": 1} for name, percent in ran.items()
    ]
    engine = "libFuzzer" if clang else "own driver"
    tail = (done.stdout + done.stderr).strip().splitlines()
    rows.append({"case": "fuzz", "engine": engine, "seconds": seconds, "findings": int(done.returncode != 0), "n": 1})
    if arguments.json:
        print(json.dumps({"machine": f"{platform.machine()} {platform.system()}", "rows": rows}))
    else:
        print("\n".join(tail[-25:] if not clang else tail[-3:]))
        print("\n".join(f"{percent:6.1f}% of the lines of {name}" for name, percent in ran.items()))
        print(
            f"{seconds} s with {engine}: {'FOUND SOMETHING, see ' + str(folder) if done.returncode else 'no finding'}"
        )
    if done.returncode == 0:
        shutil.rmtree(folder)
    return int(done.returncode != 0)


if __name__ == "__main__":
    sys.exit(main())
