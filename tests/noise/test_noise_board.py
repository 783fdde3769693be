"""A board with a crossbar at its pins, under simavr: what its model has is recovered through its UART."""

import math
import os

import pytest

from hwzo import firmware
from hwzo.train.calibration import calibrate

NOISE_MV = 20.0
BIT = 1 / 64
"""Of the ADC, in units of a pre-activation, and of a weight that is read alone."""


@pytest.mark.parametrize("name", ["atmega328p"])
def test_gain_offset_and_noise_of_an_array_at_the_pins(name):
    """4.5 standard errors: a false alarm once in 100,000 for each."""
    board = firmware.BOARDS[name]
    lacking = firmware.missing((*board.to_build, *board.to_run))
    if lacking:
        reason = f"needs Debian's {' '.join(sorted({requirement.package for requirement in lacking}))}"
        assert not os.environ.get("CI"), reason
        pytest.skip(reason)
    url = f"board:{name}?array=spi&adc_noise={NOISE_MV:g}&layers=6-4-2&seed=3"
    profile = calibrate(url, seed=90, only=frozenset({"read error", "nodes"}))
    # A bit is 5 V / 1023 at the pin; rounding to bits adds 1/12 of a bit's square.
    noise = BIT * math.hypot(NOISE_MV / (5000 / 1023), math.sqrt(1 / 12))
    expected = {
        "node_noise_sd/layer1": noise,
        "node_noise_sd/layer2": noise,
        "read_error_sd": noise,
        "adc_gain": 1.0,
        "adc_offset": 0.0,
    }
    for quantity, truth in expected.items():
        found = profile.quantities[quantity]
        assert abs(found.value - truth) < 4.5 * found.standard_error, (quantity, found)
    assert profile.quantities["adc_gain"].standard_error < 0.02
    assert profile.quantities["adc_step"].value == pytest.approx(BIT)
    assert not any("saturates" in warning for warning in profile.manifest.warnings)
