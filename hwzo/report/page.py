"""One self-contained HTML page about a run: no script, nothing loaded from anywhere."""

from __future__ import annotations

from pathlib import Path

from hwzo.report import curves, noise, sections, weights
from hwzo.report.document import check_page, document
from hwzo.report.material import Material, gather
from hwzo.train.tensors import write_atomically


def write_run_page(run: Path, page: Path) -> None:
    """Draw the page of the run in a folder, finished or not, without changing the run.

    For an emulated run the emulated device is opened, put back as the last checkpoint kept it, read, and closed;
    hardware is never touched.

    Args:
        run: the run's folder.
        page: the HTML file; what was there before is replaced in one piece.

    Raises:
        ConfigError: matplotlib is missing; says how to install it.
        FileError: not a run's folder, a damaged one, or the page can't be written.
    """
    check_page(page)
    write_atomically(page, run_page(gather(run)).encode())


def run_page(material: Material) -> str:
    """The page as text."""
    config = material.run.config
    title = f"{config.task} on {config.device} ({material.kind}), hwzo"
    body = (
        sections.headline(material),
        sections.results(material),
        curves.learning_curves(material),
        noise.noise(material),
        weights.weights(material),
        noise.confusion(material),
        sections.events(material),
        sections.configuration(material),
        sections.counting(material),
    )
    return document(title, body, _footer(material))


def _footer(material: Material) -> str:
    made_by = material.table("versions").get("hwzo", "an unknown version")
    return f"Run {material.run.path}, made by hwzo {made_by}."
