"""A profile's twin: it is what was measured, and a device and its twin can't be told apart, but for what differs."""

import math

import numpy as np
import pytest

from hwzo import connect
from hwzo.errors import ConfigError, FileError
from hwzo.noise.twin import Gap, _judged
from hwzo.testing.quadratic import QuadraticDevice
from hwzo.train.calibration import calibrate
from hwzo.train.twin import compare_with_twin, twin_url

URL = "crossbar:pcm?layers=16-16-6&engine=numpy&seed=230"


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    return calibrate(URL, tmp_path_factory.mktemp("twin") / "pcm.h5", seed=50)


def test_a_twin_measures_like_its_device(measured):
    """Calibrated in its turn: 5 standard errors of either."""
    again = calibrate(twin_url(measured, 7) + "&engine=numpy", seed=51)
    for name in ("programming_noise_sd", "node_noise_sd/layer1", "node_noise_sd/layer2", "read_error_sd"):
        a, b = measured.quantities[name], again.quantities[name]
        assert abs(a.value - b.value) < 5 * math.hypot(a.standard_error, b.standard_error), name
    # Its exponent has no spread, and its cells rest at a conductance that drifts too.
    a, b = measured.quantities["drift_exponent"], again.quantities["drift_exponent"]
    assert abs(a.value - b.value) < 5 * math.hypot(a.standard_error, b.standard_error)


def test_programming_noise_grows_with_the_weight_as_measured(measured):
    device = connect(twin_url(measured) + "&engine=numpy&read_error=0")
    n = device.parameters.size
    for level in (0.05, 0.8):
        theta = np.full(n, level)
        seen = []
        for _ in range(12):
            device.program(theta)
            device.read(1)
            seen.append(device._latched)
        sd = math.sqrt(float(np.var(seen, axis=0, ddof=1).mean()))
        curve = measured.curves["programming_noise_curve/up"]
        near = np.interp(level, curve.axis, curve.values)
        assert sd == pytest.approx(near, rel=0.25)  # a bin holds 60 parameters with 8 writes: 5% each, and a parabola


def test_nothing_differs_of_a_device_and_its_twin(measured):
    twin, gaps = compare_with_twin(measured, URL, seed=52)
    assert twin.startswith("crossbar:")
    assert [gap.name for gap in gaps if gap.differs] == []
    assert len(gaps) == 5


def test_what_differs_is_found(measured):
    """A device that has since become noisier at its nodes and writes."""
    changed = connect(f"{URL}&node_noise=0.3&programming=2.5")
    _, gaps = compare_with_twin(measured, changed, seed=53)
    differing = {gap.name for gap in gaps if gap.differs}
    assert "loss of one write, from reading to reading" in differing
    assert "parameters read back, less what was written" in differing
    assert "parameters, between two evaluations" not in differing


def test_the_device_is_left_as_it_was(measured):
    device = connect(URL)
    before = device.snapshot()
    compare_with_twin(measured, device, seed=54)
    assert device.snapshot() == before


def test_false_alarms_are_held_down_together():
    """Of 5 comparisons without a difference any alarms in 1%: of 4,000 more than 68 once in 10^5 runs."""
    rng = np.random.default_rng(55)
    alarms = 0
    for _ in range(4000):
        gaps = [Gap(str(i), (0, 1), (0, 1), 0.1, float(p), 9, "1") for i, p in enumerate(rng.random(5))]
        alarms += any(gap.differs for gap in _judged(gaps))
    assert alarms <= 68


def test_options_of_the_url_come_first(measured):
    device = connect(twin_url(measured) + "&engine=numpy&node_noise=0.5&readback=nodes")
    assert device.capabilities.readback == "nodes"
    again = connect(device.info.url)
    assert again.info.url == device.info.url


def test_what_has_no_twin(tmp_path):
    with pytest.raises(FileError, match="doesn't exist"):
        connect("crossbar:none.h5")
    (tmp_path / "bad.h5").write_text("x")
    with pytest.raises(FileError, match="no HDF5"):
        connect(f"crossbar:{tmp_path / 'bad.h5'}")
    calibrate(QuadraticDevice(4, seed=1, loss_sd=0.1), tmp_path / "box.h5", seed=56)
    with pytest.raises(ConfigError, match="black box"):
        connect(f"crossbar:{tmp_path / 'box.h5'}")


def test_slow_noise_stays_slow(tmp_path):
    """1/f noise read back accurately; the twin's, of one process a decade, is within a tenth of it in size."""
    url = "crossbar:pcm?layers=16-16-6&engine=numpy&seed=231&flicker=2&read_error=0.0005&adc_bits=0&dac_bits=0"
    slow = calibrate(url, tmp_path / "slow.h5", seed=57)
    twin = calibrate(twin_url(slow, 7) + "&engine=numpy", seed=58)
    for name in ("parameter_noise_sigma", "programming_noise_sd"):
        assert twin.quantities[name].value == pytest.approx(slow.quantities[name].value, rel=0.12), name
    assert twin.quantities["noise_slope"].low > 1.0  # far from white
    _, gaps = compare_with_twin(slow, url, seed=59)
    assert [gap.name for gap in gaps if gap.differs] == []
