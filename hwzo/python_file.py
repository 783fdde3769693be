"""Files of the user's own that are named by an option, and Python files among them, run as an import would run them."""

from __future__ import annotations

import importlib.util
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from hwzo.errors import ConfigError, FileError, HwzoError

Made = TypeVar("Made")


def existing(path: str, what: str, key: str) -> Path:
    """The file, absolute; ``~`` stands for the user's home.

    Args:
        path: as typed.
        what: messages begin with it, such as ``task``.
        key: the option that named the file.

    Raises:
        FileError: it isn't there or can't be looked up.
    """
    try:
        file = Path(path).expanduser().resolve()
        there = file.is_file()
    except (OSError, ValueError, RuntimeError) as error:  # a folder that may not be entered, a NUL, an unknown ~user
        raise FileError(f"{what}: {path!r} can't be looked up: {error}", key=key) from error
    if not there:
        raise FileError(f"{what}: {file} doesn't exist", key=key)
    return file


def run(file: Path, what: str, key: str) -> ModuleType:
    """The module that a Python file makes. Its folder is not searched for other modules.

    Args:
        file: absolute.
        what, key: as for `existing`.

    Raises:
        FileError: Python can't load such a file.
        ConfigError: it can't be run; says on which line.
    """
    name = f"hwzo_{key}_{file.stem}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise FileError(f"{what}: {file} can't be loaded as Python", key=key)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their own module up there
    try:
        spec.loader.exec_module(module)
    except HwzoError:
        del sys.modules[name]
        raise  # says what is wrong better than we could
    except (Exception, SystemExit) as error:  # a user's file may do anything, such as sys.exit
        del sys.modules[name]
        raise ConfigError(f"{what}: {file} can't be run: {_told(error, file)}", key=key) from error
    return module


def call(make: Callable[[], Made], name: str, file: Path, what: str, key: str) -> Made:
    """What the file's ``name`` gives when it is called without arguments.

    Args:
        make: that function or class.
        name: as the file has it.
        file, what, key: as for `run`.

    Raises:
        ConfigError: it fails; says on which line.
    """
    try:
        return make()
    except HwzoError:
        raise
    except (Exception, SystemExit) as error:
        raise ConfigError(f"{what}: {name}() in {file} failed: {_told(error, file)}", key=key) from error


def _told(error: BaseException, file: Path) -> str:
    """The error in one line, with the last line of the user's own file that led to it."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename) == file]
    return f"{type(error).__name__}: {error}" + (f" (line {lines[-1]})" if lines else "")
