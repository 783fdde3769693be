"""Packages that hwzo is installed without unless they are asked for, as ``hwzo[onnx]``."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from hwzo.errors import ConfigError


def extra(name: str, what: str) -> Any:  # noqa: ANN401  (it carries no types)
    """The package ``name``, which the extra of the same name installs.

    Args:
        name: such as ``"onnx"``.
        what: needs it, such as ``"ONNX files"``.

    Raises:
        ConfigError: it isn't installed; says how to install it.
    """
    try:
        return import_module(name)
    except ImportError as error:
        raise ConfigError(
            f'{what} need the package {name} ({error}); install it with: pip install "hwzo[{name}]"'
        ) from None
