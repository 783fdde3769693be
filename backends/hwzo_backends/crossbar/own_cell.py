"""A user's own preset from a Python file: ``crossbar:file.py:NAME``."""

from __future__ import annotations

import importlib.util
import sys
import traceback
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

from hwzo.errors import ConfigError, FileError, HwzoError
from hwzo_backends.crossbar.preset import Preset


def load_preset(path: str, name: str) -> Preset:
    """The preset ``name`` of a Python file: a `Preset`, or something to call without arguments that gives one.

    A subclass of `Preset` whose fields have defaults is such a thing. The file runs as it would when imported.

    Raises:
        FileError: the file isn't there or can't be looked up.
        ConfigError: it can't be run, has no such name, or what it gives makes no sense, see `Preset.check`.
    """
    file = existing_file(path)
    module = _run(file)
    made: Any = getattr(module, name, None)
    if made is None:
        public = [key for key, value in vars(module).items() if isinstance(value, Preset)]
        raise ConfigError(
            f"crossbar preset: {file} has no {name!r}; presets in it: {', '.join(public) or 'none'}", key="device"
        )
    if callable(made):
        try:
            made = made()
        except HwzoError:
            raise  # says what is wrong better than we could
        except (Exception, SystemExit) as error:  # a user's file may do anything, such as sys.exit
            raise ConfigError(
                f"crossbar preset: {name}() in {file} failed: {_told(error, file)}", key="device"
            ) from error
    if not isinstance(made, Preset):
        raise ConfigError(f"crossbar preset: {name} in {file} is a {type(made).__name__}, not a Preset", key="device")
    return replace(made, source=f"{file}:{name}").check()


def existing_file(path: str) -> Path:
    """The file of a user's own preset, absolute.

    Raises:
        FileError: it isn't there or can't be looked up.
    """
    try:
        file = Path(path).expanduser().resolve()
        there = file.is_file()
    except (OSError, ValueError, RuntimeError) as error:  # a folder that may not be entered, a NUL, an unknown ~user
        raise FileError(f"crossbar preset: {path!r} can't be looked up: {error}", key="device") from error
    if not there:
        raise FileError(f"crossbar preset: {file} doesn't exist", key="device")
    return file


def _run(file: Path) -> ModuleType:
    name = f"hwzo_cell_{file.stem}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise FileError(f"crossbar preset: {file} can't be loaded as Python", key="device")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their own module up there
    try:
        spec.loader.exec_module(module)
    except HwzoError:
        del sys.modules[name]
        raise
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise ConfigError(f"crossbar preset: {file} can't be run: {_told(error, file)}", key="device") from error
    return module


def _told(error: BaseException, file: Path) -> str:
    """The error in one line, with the last line of the user's own file that led to it."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename) == file]
    return f"{type(error).__name__}: {error}" + (f" (line {lines[-1]})" if lines else "")
