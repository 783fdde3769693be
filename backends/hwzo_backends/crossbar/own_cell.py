"""A user's own preset from a Python file: ``crossbar:file.py:NAME``."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hwzo.errors import ConfigError
from hwzo.python_file import call, existing, run
from hwzo_backends.crossbar.preset import Preset


def load_preset(path: str, name: str) -> Preset:
    """The preset ``name`` of a Python file: a `Preset`, or something to call without arguments that gives one.

    A subclass of `Preset` whose fields have defaults is such a thing. The file runs as it would when imported.

    Raises:
        FileError: the file isn't there or can't be looked up.
        ConfigError: it can't be run, has no such name, or what it gives makes no sense, see `Preset.check`.
    """
    file = existing(path, "crossbar preset", "device")
    module = run(file, "crossbar preset", "device")
    made: Any = getattr(module, name, None)
    if made is None:
        public = [key for key, value in vars(module).items() if isinstance(value, Preset)]
        raise ConfigError(
            f"crossbar preset: {file} has no {name!r}; presets in it: {', '.join(public) or 'none'}", key="device"
        )
    if callable(made):
        made = call(made, name, file, "crossbar preset", "device")
    if not isinstance(made, Preset):
        raise ConfigError(f"crossbar preset: {name} in {file} is a {type(made).__name__}, not a Preset", key="device")
    return replace(made, source=f"{file}:{name}").check()
