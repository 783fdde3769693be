"""HTML from values: whatever isn't markup already is escaped, so that no file or user can write into the page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape


class Markup(str):
    """Text that is HTML; a plain ``str`` is not, and is escaped wherever it is put in."""

    __slots__ = ()


def markup(value: object) -> Markup:
    """The value as HTML: unchanged if it is `Markup`, else its text, escaped."""
    return value if isinstance(value, Markup) else Markup(escape(str(value)))


def join(parts: Iterable[object], between: str = "\n") -> Markup:
    """Parts one after another."""
    return Markup(between.join(markup(part) for part in parts))


def element(tag: str, *content: object, **attributes: str) -> Markup:
    """``<tag attributes>content</tag>``; a trailing underscore in an attribute's name is dropped: ``class_``."""
    given = "".join(f' {name.rstrip("_")}="{escape(value)}"' for name, value in attributes.items())
    return Markup(f"<{tag}{given}>{join(content, '')}</{tag}>")


def paragraph(*content: object) -> Markup:
    """A paragraph."""
    return element("p", *content)


def section(title: str, *content: object) -> Markup:
    """A section under its heading."""
    return element("section", element("h2", title), *content)


def figure(svg: Markup, caption: object) -> Markup:
    """A drawing and what it shows."""
    return element("figure", svg, element("figcaption", caption))


def figures(*drawn: Markup) -> Markup:
    """Figures side by side, as many as there is room for."""
    return element("div", *drawn, class_="figures")


def facts(rows: Iterable[tuple[object, object]]) -> Markup:
    """A table of names and values."""
    lines = (element("tr", element("th", name, scope="row"), element("td", value)) for name, value in rows)
    return element("table", element("tbody", *lines), class_="facts")


def table(header: Sequence[object], rows: Iterable[Sequence[object]], *, narrow: bool = False) -> Markup:
    """A table with a header; on a narrow page its rows become blocks, unless it is ``narrow`` itself."""
    head = element("tr", *(element("th", name, scope="col") for name in header))
    body = (
        element(
            "tr", *(element("td", value, **{"data-name": str(name)}) for name, value in zip(header, row, strict=True))
        )
        for row in rows
    )
    return element("table", element("thead", head), element("tbody", *body), class_="narrow" if narrow else "rows")
