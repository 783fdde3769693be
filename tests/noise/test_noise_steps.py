"""How commanded steps are followed: against the law of the emulated pulses, and against mathematics."""

from dataclasses import replace

import numpy as np
import pytest

from hwzo import connect
from hwzo.noise import step_response
from hwzo.registry import DeviceURL
from hwzo.train.calibration import calibrate
from hwzo_backends.crossbar.device import CrossbarDevice
from hwzo_backends.crossbar.options import resolve

STEPS = frozenset({"ends", "steps"})
OPEN_LOOP = "layers=16-12-6&engine=numpy&verify=0&seed=240"


def pulsed(name, options, **changes):
    """A pulsed preset with another constant or two."""
    preset, resolved = resolve(DeviceURL.parse(f"crossbar:{name}?{options}"), network=None, window=None, seed=None)
    return CrossbarDevice(replace(preset, pulses=replace(preset.pulses, **changes)), resolved)


@pytest.mark.parametrize("up_down", [-0.15, 0.1])
def test_the_symmetry_point_of_linear_steps(up_down):
    """4.5 standard errors: a false alarm once in 100,000."""
    device = pulsed("ecram-mo", f"{OPEN_LOOP}&pulse_spread=0", up_down=up_down)
    cells = device._chip._cells
    truth = float((cells._devices.symmetry_point() * cells._scale).mean())
    assert abs(truth) > 0.05  # not by accident at 0
    found = calibrate(device, seed=70, only=STEPS).quantities
    point = found["symmetry_point"]
    assert abs(point.value - truth) < 4.5 * point.standard_error
    assert point.standard_error < 0.05


def test_steps_that_are_followed_are_left_out():
    for url in (f"crossbar:pcm?{OPEN_LOOP.replace('&verify=0', '')}", "crossbar:ideal?layers=16-12-6&engine=numpy"):
        profile = calibrate(url, seed=71, only=STEPS)
        assert not set(step_response.NAMES) & set(profile.quantities)
        assert "as they are commanded" in profile.manifest.left_out["symmetry_point"]


def test_constant_steps_are_followed():
    profile = calibrate(connect(f"crossbar:pulsed-ideal?{OPEN_LOOP}&pulse_spread=0"), seed=72, only=STEPS)
    assert "as they are commanded" in profile.manifest.left_out["symmetry_point"]


def test_noise_of_reading_makes_no_slope():
    """Steps of 0.3 that are followed wholly, read with an error as large: an ordinary regression would see a slope."""
    rng = np.random.default_rng(73)
    levels = rng.uniform(-0.6, 0.6, (8, 2000))
    steps = 0.3 * rng.choice((-1.0, 1.0), levels.shape)
    held = 0.9 * levels
    before = held + 0.3 * rng.standard_normal(levels.shape)
    after = held + 0.8 * steps + 0.3 * rng.standard_normal(levels.shape)
    found = step_response.estimate(levels, steps, before, after, np.ones(2000, dtype=bool))
    for way in ("up", "down"):
        assert abs(found.quantities[f"step_response/{way}"].value - 0.8) < 0.05
    assert "can't be seen to change" in found.left_out["symmetry_point"]


def test_too_few_parameters_say_how_many():
    nothing = np.zeros((2, 20))
    found = step_response.estimate(nothing, nothing, nothing, nothing, np.zeros(20, dtype=bool))
    assert "at least 16" in found.left_out["symmetry_point"]


def test_what_cannot_be_read_back_is_named():
    profile = calibrate(
        "crossbar:reram-sb?layers=6-4-3&engine=numpy&readback=nodes&verify=0", seed=74, only=STEPS | {"loss"}
    )
    assert "reads back 'nodes'" in profile.manifest.left_out["symmetry_point"]
