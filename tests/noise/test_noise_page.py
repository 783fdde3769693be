"""The page of a profile."""

import re
from html.parser import HTMLParser

import pytest

from hwzo.cli.main import main
from hwzo.errors import FileError
from hwzo.report.drawing import log_label
from hwzo.report.profile_page import write_profile_page
from hwzo.testing.quadratic import QuadraticDevice
from hwzo.train.calibration import calibrate

pytest.importorskip("matplotlib")


class Balanced(HTMLParser):
    """Raises where a tag isn't closed."""

    void = frozenset({"meta", "br", "hr", "img", "link"})

    def __init__(self):
        super().__init__()
        self.open = []

    def handle_starttag(self, tag, attrs):
        if tag not in self.void:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_tells_what_was_measured(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    device = "crossbar:pcm?layers=12-8-4&engine=numpy&sigma=0.03&seed=240"
    profile = calibrate(device, tmp_path / "p.h5", seed=70)
    with pytest.raises(SystemExit) as ended:
        main(["report", "p.h5"])
    assert ended.value.code == 0
    page = (tmp_path / "p.html").read_text()
    parser = Balanced()
    parser.feed(page)
    assert parser.open == []
    assert page.count("<svg") == 7  # noise and offset by level, histogram, Allan, spectrum, two maps
    for name in (*profile.quantities, *profile.manifest.left_out, "exploration", "emulated"):
        assert name in page
    assert not re.search(r'(src|href)="http', page)  # nothing is loaded from anywhere
    assert "mathdefault" not in page  # numbers of logarithmic axes are text, not TeX


@pytest.mark.parametrize(
    ("value", "label"),
    [(1e-4, "10⁻⁴"), (2e-12, "2×10⁻¹²"), (1e-3, "0.001"), (0.5, "0.5"), (20.0, "20"), (5000.0, "5,000"), (1e6, "10⁶")],
)
def test_numbers_on_logarithmic_axes(value, label):
    assert log_label(value) == label


def test_the_response_to_steps_is_drawn(tmp_path):
    url = "crossbar:ecram-mo?layers=8-6-3&engine=numpy&seed=241&verify=0&pulse_spread=0"
    calibrate(url, tmp_path / "p.h5", seed=72, only=frozenset({"ends", "steps"}))
    write_profile_page(tmp_path / "p.h5", tmp_path / "p.html")
    assert "Response to a step" in (tmp_path / "p.html").read_text()


def test_a_device_that_shows_little_has_a_page(tmp_path):
    calibrate(QuadraticDevice(4, seed=1, loss_sd=0.1), tmp_path / "p.h5", seed=71)
    write_profile_page(tmp_path / "p.h5", tmp_path / "p.html")
    assert "loss_noise_sd" in (tmp_path / "p.html").read_text()


def test_bad_places(tmp_path):
    with pytest.raises(FileError, match="doesn't exist"):
        write_profile_page(tmp_path / "none.h5", tmp_path / "p.html")
    with pytest.raises(FileError, match="can't be written"):
        write_profile_page(tmp_path / "none.h5", tmp_path / "none" / "p.html")
