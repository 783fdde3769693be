"""Packages that hwzo is installed without unless they are asked for, as ``hwzo[onnx]``."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from hwzo.errors import ConfigError


def extra(module: str, what: str, *, of: str = "", key: str | None = None) -> Any:  # noqa: ANN401  (it carries no types)
    """A module of a package that an extra installs.

    Args:
        module: such as ``"onnx"``.
        what: the package is needed for, such as ``"ONNX files"``.
        of: the extra; "": it is named as the package is.
        key: the configuration key that asked for it, if there is one.

    Raises:
        ConfigError: it isn't installed; says how to install it.
    """
    try:
        return import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise ConfigError(
            f"the package {package} is needed for {what} ({error}); "
            f'install it with: pip install "hwzo[{of or package}]"',
            key=key,
        ) from None
