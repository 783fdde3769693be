"""Drawings: bins against their definition, and SVG that is well-formed and of the page."""

import re
import sys
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwzo.errors import ConfigError
from hwzo.report import drawing

FINITE = st.floats(min_value=-1e6, max_value=1e6, allow_subnormal=False)


@given(st.lists(FINITE, min_size=1, max_size=200))
def test_every_value_has_its_bin(numbers: list[float]):
    values = np.array(numbers)
    edges = drawing.bin_edges(values)
    widths = np.diff(edges)
    assert 1 <= widths.size <= 62
    assert np.histogram(values, edges)[0].sum() == values.size
    assert widths.max() == pytest.approx(widths.min(), rel=1e-6)


@given(st.integers(-200, 200), st.integers(2, 400), st.floats(min_value=1e-3, max_value=10.0), st.randoms())
def test_whole_steps_fill_their_bins_evenly(start: int, n: int, step: float, random):
    """One of each code of a converter: every bin but the last holds the same number, so there is no comb."""
    codes = list(range(start, start + n))
    random.shuffle(codes)
    counts, _ = np.histogram(np.array(codes) * step, drawing.bin_edges(np.array(codes) * step))
    assert len(set(counts[:-1])) <= 1
    assert 0 < counts[-1] <= counts[0]


def test_a_long_curve_is_drawn_by_its_means():
    steps = np.arange(10_000.0)
    lines: list[np.ndarray] = []

    def plot(axes):
        drawing.curve(axes, steps, steps, label="x", colour=drawing.BLUE)
        lines.append(axes.lines[0].get_xydata())

    drawing.draw("", plot, alt="")
    assert lines[0].shape == (drawing.BINS, 2)
    width = 10_000 / drawing.BINS  # a group's mean lies half its width below its last step
    assert np.allclose(lines[0][:, 0] - lines[0][:, 1], (width - 1) / 2, atol=0.51)


def test_svg_is_well_formed_and_in_the_colours_of_the_page():
    name = '<b>"$x_1$" & 字</b>'

    def plot(axes):
        drawing.histogram(axes, [(name, np.arange(50.0), drawing.GREEN)], name, normal=True)

    svg = drawing.draw(name, plot, alt=name, tag="emulated")
    root = ElementTree.fromstring(svg)
    assert root.attrib["aria-label"] == name
    texts = [element.text for element in root.iter() if element.tag.endswith("text")]
    assert texts.count(name) == 3  # the title, the legend and the axis
    assert "emulated" in texts
    assert "var(--green)" in svg
    assert not re.search("#(111213|676869|dadbdc|0072b2|d55e00|009e73)", svg)
    assert "<style" not in svg


def test_every_reference_in_a_drawing_has_its_target():
    def plot(axes):
        drawing.curve(axes, np.arange(5.0), np.arange(5.0), label="x", colour=drawing.BLUE, dots=True)

    svg = drawing.draw("t", plot, alt="")
    targets = set(re.findall(r' id="([^"]+)"', svg))
    assert set(re.findall(r'(?:url\(|href=")#([^")]+)', svg)) == targets


def test_confusion_shows_each_count_that_is_not_0():
    counts = np.array([[7, 0, 1], [0, 9, 0], [2, 0, 8]])
    svg = drawing.draw("", lambda axes: drawing.confusion(axes, counts, ["a", "b", "c"]), alt="")
    texts = [element.text for element in ElementTree.fromstring(svg).iter() if element.tag.endswith("text")]
    assert sorted(text for text in texts if text.isdigit()) == ["1", "2", "7", "8", "9"]


def test_missing_matplotlib_is_named_with_its_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ConfigError, match=r'pip install "hwzo\[viz\]"'):
        drawing.require_matplotlib()
