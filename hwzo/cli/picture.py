"""Pages that commands draw of what they have done."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from hwzo.cli.terminal import say
from hwzo.errors import HwzoError


def draw(page: Path, write: Callable[[Path], None]) -> Path | None:
    """Draw a page of work that is done; what is in its way is said and ends nothing: it can be drawn later.

    Args:
        page: the HTML file.
        write: draws it there.

    Returns:
        The page; None where there is none.
    """
    if find_spec("matplotlib") is None:
        say('no picture: matplotlib is missing; pip install "hwzo[viz]" draws one')
        return None
    try:
        write(page)
    except HwzoError as error:
        say(f"no picture: {error}")
        return None
    return page
