"""The pytest plug-in of the conformance kit: ``pytest --hwzo-device URL`` runs every check as a test of its own.

Without the option nothing is added, and this module imports nothing of hwzo.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

if TYPE_CHECKING:
    from hwzo.testing.check import Check


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options ``--hwzo-device`` and ``--hwzo-seed``."""
    group = parser.getgroup("hwzo", "conformance of neuromorphic devices")
    group.addoption(
        "--hwzo-device",
        action="append",
        default=[],
        metavar="URL",
        help="run the conformance kit on this device, a test a check; may be given more than once",
    )
    group.addoption("--hwzo-seed", type=int, default=0, metavar="SEED", help="seed of the kit's random numbers")


# First, so that -k and --deselect see these tests as any other.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(session: pytest.Session, config: pytest.Config, items: list[pytest.Item]) -> None:
    """Add one item for each check and device."""
    urls = cast("list[str]", config.getoption("--hwzo-device"))
    if not urls:
        return
    from hwzo.testing.conformance import CHECKS

    for url in dict.fromkeys(urls):
        for check in CHECKS:
            items.append(ConformanceItem.from_parent(session, url=url, check=check))


class ConformanceItem(pytest.Item):
    """One check of the kit on one device."""

    def __init__(self, *, parent: pytest.Session, url: str, check: Check) -> None:
        name = f"hwzo::{url}::{check.name}"
        super().__init__(name, parent, nodeid=name)
        self.url, self.check = url, check

    @classmethod
    def from_parent(cls, parent: pytest.Session, *, url: str, check: Check) -> ConformanceItem:  # pyright: ignore[reportIncompatibleMethodOverride]
        """As pytest wants its nodes made."""
        return super().from_parent(parent, url=url, check=check)

    def runtest(self) -> None:
        """Run the check; skip or fail with its reason."""
        from hwzo.testing.check import BreachError, run_check
        from hwzo.testing.conformance import url_opener

        seed = cast(int, self.config.getoption("--hwzo-seed"))
        result = run_check(self.check, url_opener(self.url, seed=seed), seed=seed, by_url=True)
        if result.status == "skipped":
            pytest.skip(result.detail)
        if result.status == "failed":
            raise BreachError(result.detail)
        self.add_report_section("call", "hwzo", result.detail)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: object = None) -> str:
        """The reason alone; a traceback through the kit would say nothing of the device."""
        chance = f"\n(a correct device fails this check with probability {self.check.false_alarm:g})"
        return f"{self.url}: {excinfo.value}" + (chance if self.check.false_alarm else "")

    def reportinfo(self) -> tuple[Path, None, str]:
        """Where the item is said to be: not in a file."""
        return Path("hwzo"), None, f"{self.url}: {self.check.name}"
