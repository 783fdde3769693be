"""The kit notices gains that aren't what they should be, and nothing else with them."""

import numpy as np
import pytest

import hwzo
from hwzo.registry import DeviceURL
from hwzo.testing.conformance import run_conformance
from hwzo_backends.crossbar.device import CrossbarDevice
from hwzo_backends.crossbar.options import resolve


class Ignoring(CrossbarDevice):
    """Keeps gains, and doesn't use them."""

    @property
    def gains(self):
        return self._kept if hasattr(self, "_kept") else super().gains

    def set_gains(self, gains):
        before = super().gains
        super().set_gains(gains)
        self._kept = np.array(gains)
        super().set_gains(before)


class Careless(CrossbarDevice):
    """Takes any gains."""

    def set_gains(self, gains):
        if np.shape(gains) == self.gains.shape:
            super().set_gains(np.maximum(np.nan_to_num(gains), 1e-3))


class Raised(CrossbarDevice):
    """Opens with gains of 2."""

    def __init__(self, preset, options):
        super().__init__(preset, options)
        self.set_gains(np.full_like(self.gains, 2.0))


@pytest.mark.parametrize(
    ("kind", "reason"), [(Ignoring, "multiplied"), (Careless, "was accepted"), (Raised, "all of its 8 gains at 1")]
)
def test_broken_gains_fail_one_check(kind, reason):
    url = DeviceURL.parse("crossbar:ideal?layers=6-5-3&engine=numpy")
    preset, options = resolve(url, network=None, window=None, seed=None)
    report = run_conformance(lambda: kind(preset, options))
    assert [failure["name"] for failure in report.failures] == ["gains at the outputs"]
    assert reason in report.failures[0]["reason"]


@pytest.mark.parametrize(
    ("target", "verified"),
    [
        ("pcm?", True),
        ("reram-wan?", True),
        ("generic?", True),
        ("pcm?programming=0&", False),
        ("ideal?", False),
        ("gokmen-vlasov?", False),
        ("gokmen-vlasov?verify=0&", False),
    ],
)
def test_writes_are_verified_where_noise_is_what_iterative_programming_leaves(target, verified):
    device = hwzo.connect(f"crossbar:{target}layers=4-3-2&engine=numpy")
    assert device.capabilities.verified_writes is verified
    assert device.capabilities.output_gains
