"""Where Lava lives: a virtual environment of its own in the user's cache, made by ``hwzo doctor --install lava``.

lava-nc 0.10.0 asks for Python 3.10, which is past its end of life, so hwzo doesn't live there. Where a Python 3.10 is
found, Lava gets it; elsewhere it gets the Python that runs hwzo, and an import hook for the one thing that breaks there
(`hwzo_backends.lava.inside.hook`). Either way its spikes are compared with what they must be before it counts as made.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from hwzo.errors import DeviceError
from hwzo.say import Say
from hwzo_backends.lava.inside.vitals import die_by
from hwzo_backends.lava.worker_process import COMMAND, MAIN, VARIABLE, mended_by

LAVA = "0.10.0"
OF_ITS_OWN = "3.10"
"""The Python that this Lava asks for."""
DEPENDENCIES = (
    "asteval>=0.9.31,<0.10.0",
    "networkx<=2.8.7",
    "numpy>=1.26",
    "scikit-learn>=1.5.0,<2.0.0",
    "scipy>=1.11,<2.0.0",
)
"""Lava's own, without its upper bound on numpy, which a newer Python couldn't keep."""
_RECORD = "hwzo.json"
_BUILDING = "lava-building-"
_UV_OF_PIP = {
    "PIP_INDEX_URL": "UV_DEFAULT_INDEX",
    "PIP_EXTRA_INDEX_URL": "UV_INDEX",
    "PIP_FIND_LINKS": "UV_FIND_LINKS",
    "PIP_TRUSTED_HOST": "UV_INSECURE_HOST",
    "PIP_CERT": "SSL_CERT_FILE",
}
_INSTALL_S = 1800.0
_CHECK_S = 120.0


@dataclass(frozen=True)
class Environment:
    """An interpreter that has Lava.

    Args:
        python: its path.
        version: its version.
        lava: version of lava-nc.
        numpy: version of NumPy.
        hooked: whether Lava takes the import hook there.
    """

    python: str
    version: str
    lava: str
    numpy: str
    hooked: bool

    def __str__(self) -> str:
        hooked = ", import hook" if self.hooked else ""
        return f"lava-nc {self.lava}, Python {self.version}{hooked}, NumPy {self.numpy}: {self.python}"


def folder() -> Path:
    """Where the environment lies, or would."""
    from platformdirs import user_cache_path  # here, so that listing devices stays light

    return user_cache_path("hwzo") / f"lava-{LAVA}"


def find() -> Environment | None:
    """The environment that is there; None if there is none. Whether it still works, `checked` tells."""
    named = os.environ.get(VARIABLE)
    if named:
        there = shutil.which(named)  # a path, or a command's name
        return Environment(there, "unknown", LAVA, "unknown", hooked=False) if there else None
    with suppress(OSError, ValueError, TypeError):
        record = folder() / _RECORD
        found = Environment(**json.loads(record.read_text()))
        # Of a link to an interpreter that was removed or replaced, exists() tells; the check at its making tells more.
        if Path(found.python).exists():
            return found
    return None


def python() -> Path:
    """The interpreter that has Lava.

    Raises:
        DeviceError: there is none; names the command that makes it.
    """
    found = find()
    if found is None:
        raise DeviceError(lacking())
    return Path(found.python)


def lacking() -> str:
    """What is missing where nothing is found, and what to do."""
    named = os.environ.get(VARIABLE)
    if named:
        return f"there is no Python {named}, which {VARIABLE} names: name one that has lava-nc {LAVA}, or unset it"
    return f"Lava is not installed; this installs it, in an environment of its own: {COMMAND}"


def install(say: Say) -> Environment:
    """Make the environment unless it is there and counts as it should; one process makes it, others wait.

    Raises:
        DeviceError: no interpreter serves, a package can't be fetched, or Lava doesn't count as it should there.
    """
    from filelock import FileLock

    if os.environ.get(VARIABLE):
        return checked(python())
    place = folder()
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{place}.lock"):
            found = find()
            if found is not None:
                try:
                    return checked(Path(found.python))
                except DeviceError as error:
                    say(f"{error}: it is made anew")
            return _made(place, say)
    except OSError as error:
        raise DeviceError(
            f"Lava can't be installed in {place}: {error}; set XDG_CACHE_HOME to a folder that can be written"
        ) from error


def checked(interpreter: Path) -> Environment:
    """What is there, after Lava has counted spikes as it should.

    Raises:
        DeviceError: it isn't Python, has no Lava, or Lava's spikes aren't what they must be.
    """
    command = [str(interpreter), "-I", "-W", "ignore", str(MAIN), "check"]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_CHECK_S, stdin=subprocess.DEVNULL, start_new_session=True
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DeviceError(f"Lava doesn't work under {interpreter}: {error}; {mended_by()}") from error
    try:
        told: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    except (ValueError, IndexError):
        said = _last_line(done.stderr)
        raise DeviceError(f"Lava doesn't work under {interpreter}: {said}; {mended_by()}") from None
    if not told["right"]:
        raise DeviceError(
            f"Lava miscounts under {interpreter} (Python {told['python']}, NumPy {told['numpy']}): its spikes are "
            f"{told['counts']}, by its own equations they are {told['expected']}"
        )
    return Environment(str(interpreter), told["python"], told["lava"], told["numpy"], told["hooked"])


def _made(place: Path, say: Say) -> Environment:
    interpreter, why = _interpreter()
    say(f"installing lava-nc {LAVA} under {why}, in {place} (once, some 400 MB)")
    for left in (
        place,
        *place.parent.glob(f"{_BUILDING}*"),
    ):  # damaged, or of somebody who was killed: the lock is ours
        shutil.rmtree(left, ignore_errors=True)
    building = Path(tempfile.mkdtemp(prefix=_BUILDING, dir=place.parent))
    try:
        _fill(building, interpreter)
        say("checking that its spikes are what they must be")
        made = checked(building / "bin" / "python")
        made = Environment(str(place / "bin" / "python"), made.version, made.lava, made.numpy, made.hooked)
        (building / _RECORD).write_text(json.dumps(asdict(made)))
        building.replace(place)  # whole, or not at all
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return made


def _fill(building: Path, interpreter: str) -> None:
    """A virtual environment with Lava in it, by uv if it is there, else by venv and pip."""
    uv = shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent))
    theirs = str(building / "bin" / "python")
    if uv:
        _run([uv, "venv", "--quiet", "--allow-existing", "--python", interpreter, str(building)])
        get = [uv, "pip", "install", "--quiet", "--python", theirs]
        regardless = get
    else:
        _run([interpreter, "-m", "venv", str(building)])
        get = [theirs, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        regardless = [*get, "--ignore-requires-python"]
    if _minor(interpreter) == OF_ITS_OWN:
        _run([*get, f"lava-nc=={LAVA}"])
    else:  # to ignore what it asks of Python would be to ignore that of its dependencies too: those first
        _run([*get, *DEPENDENCIES])
        _run([*regardless, "--no-deps", f"lava-nc=={LAVA}"])


def _interpreter() -> tuple[str, str]:
    """The interpreter that Lava shall have, and what it is."""
    for candidate in _candidates():
        if _minor(candidate) == OF_ITS_OWN:
            return candidate, f"its own Python {OF_ITS_OWN} ({candidate})"
    mine: str = getattr(sys, "_base_executable", None) or sys.executable
    return mine, f"Python {sys.version_info[0]}.{sys.version_info[1]} ({mine}), as no Python {OF_ITS_OWN} was found"


def _candidates() -> Sequence[str]:
    found = [sys.executable, shutil.which(f"python{OF_ITS_OWN}")]
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    with suppress(OSError):
        found += [str(p) for p in sorted(root.glob(f"versions/{OF_ITS_OWN}.*/bin/python"), reverse=True)]
    uv = shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent))
    if uv:
        with suppress(OSError, subprocess.TimeoutExpired):
            asked = [uv, "python", "find", "--no-python-downloads", OF_ITS_OWN]
            told = subprocess.run(asked, capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL)
            found.append(told.stdout.strip() if told.returncode == 0 else None)
    return [each for each in found if each]


def _minor(interpreter: str) -> str:
    """Such as 3.10; empty if it doesn't run."""
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    with suppress(OSError, subprocess.TimeoutExpired):
        told = subprocess.run([interpreter, "-I", "-c", code], capture_output=True, text=True, timeout=30)
        return told.stdout.strip()
    return ""


def index_settings(environment: Mapping[str, str]) -> dict[str, str]:
    """Where packages come from, as uv wants to be told, of what pip was told; nothing that uv was told itself."""
    told: dict[str, str] = {}
    for ours, theirs in _UV_OF_PIP.items():
        if theirs not in environment and environment.get(ours):
            told[theirs] = environment[ours]
    if "UV_INDEX_URL" in environment:  # uv's older name for the same
        told.pop("UV_DEFAULT_INDEX", None)
    return told


def _run(command: Sequence[str]) -> None:
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=_INSTALL_S,
            stdin=subprocess.DEVNULL,
            env={**os.environ, **index_settings(os.environ)},
            preexec_fn=partial(die_by, signal.SIGKILL),  # with us: nobody would look after it
        )
    except subprocess.TimeoutExpired as error:
        raise DeviceError(f"installing Lava took longer than {_INSTALL_S:g} s: {' '.join(command)}") from error
    if done.returncode:
        raise DeviceError(
            f"Lava can't be installed: {_last_line(done.stderr or done.stdout)} (of: {' '.join(command)}); is there a "
            "network? Of a package index of yours, UV_DEFAULT_INDEX or PIP_INDEX_URL tells"
        )


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1].strip() if lines else "it says nothing"
