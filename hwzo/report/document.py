"""What all pages are: one self-contained HTML document, without a script, that loads nothing from anywhere."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path

from hwzo.errors import FileError
from hwzo.report.drawing import require_matplotlib
from hwzo.report.markup import Markup, element, join, markup


def document(title: str, body: Iterable[Markup], footer: str) -> str:
    """A page as text, with the style sheet of all pages in it."""
    style = files("hwzo.report").joinpath("page.css").read_text(encoding="utf-8")
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<title>{markup(title)}</title>
<style>
{style}</style>
</head>
<body>
<main>
{join(body)}
{element("footer", footer)}
</main>
</body>
</html>
"""


def check_page(page: Path) -> None:
    """Say that a page couldn't be drawn, or not be written there, before anything is read or measured for it.

    Raises:
        ConfigError: matplotlib is missing; says how to install it.
        FileError: it is a folder, or in none.
    """
    require_matplotlib()
    if not page.parent.is_dir():
        raise FileError(
            f"page {page} can't be written: there is no folder {page.parent}; name a file in one that is there",
            key="output",
        )
    if page.is_dir():
        raise FileError(
            f"page {page} can't be written: it is a folder; name a file in it, such as {page / 'report.html'}",
            key="output",
        )
