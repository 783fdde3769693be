"""Where the firmware's sources are: in the wheel, or in the repository of an editable installation."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from hwzo.errors import FileError


def source_folder() -> Path:
    """The folder that holds ``core/``, ``boards/`` and ``sim/``.

    Raises:
        FileError: the installation doesn't have it.
    """
    carried = Path(str(files("hwzo.firmware"))) / "sources"
    repository = Path(__file__).parents[2] / "firmware"
    for folder in (carried, repository):
        if (folder / "core").is_dir():
            return folder
    raise FileError(f"this installation of hwzo carries no firmware: neither {carried} nor {repository} is there")


def sources_in(folders: tuple[str, ...], *suffixes: str) -> list[Path]:
    """Files of these suffixes in folders of the sources, in an order that doesn't depend on the machine."""
    root = source_folder()
    return sorted(path for folder in folders for path in (root / folder).iterdir() if path.suffix in suffixes)
