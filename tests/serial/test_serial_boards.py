"""The conformance kit on the boards that need a compiler and a simulator of their own."""

import os

import pytest

from hwzo import firmware
from hwzo.testing.conformance import run_conformance


@pytest.mark.parametrize("url", ["board:atmega328p?layers=4-4-3", "board:cortex-m3?layers=4-4-3&node_noise=0.05"])
def test_conformance(url):
    board = firmware.BOARDS[url.removeprefix("board:").partition("?")[0]]
    lacking = firmware.missing((*board.to_build, *board.to_run))
    if lacking:
        reason = f"needs Debian's {' '.join(sorted({each.package for each in lacking}))}"
        assert not os.environ.get("CI"), reason
        pytest.skip(reason)
    report = run_conformance(url)
    assert report.failed == 0, report.failures
    assert report.passed >= 20
