"""What a device is said to serve is what it serves: every method, on devices of every kind."""

import sys

import numpy as np
import pytest

import hwzo
from hwzo.data.logic import xor
from hwzo.errors import CapabilityError
from hwzo.methods.method import Start
from hwzo.methods.registry import METHODS, method_named
from hwzo.methods.serving import served
from hwzo.methods.settings import Settings
from hwzo.testing.quadratic import QuadraticDevice

CROSSBARS = (
    *("crossbar:pcm", "crossbar:pcm?readback=loss", "crossbar:pcm?readback=nodes", "crossbar:pcm?readback=outputs"),
    *("crossbar:ideal", "crossbar:ideal?node_noise=0.1", "crossbar:ideal?sigma=0.03"),
)
LAWS = (frozenset(), frozenset({"rademacher"}), frozenset({"gaussian"}), frozenset({"coordinate", "gaussian-rank1"}))


def built(device, method, settings=Settings()):  # noqa: B008  (frozen)
    """What a run's configuration keeps of a method that was built."""
    theta = device.parameters.initial(np.random.default_rng(0))
    device.program(theta)
    start = Start(device, theta, xor().batch("train"), key=1)
    method_named(method).build(settings, start)
    return start.settings


def crossbar(url):
    return hwzo.connect(f"{url}{'&' if '?' in url else '?'}layers=2-2-1&window=3&seed=1")


def black_box(laws):
    return QuadraticDevice(6, loss_sd=0.01, laws=laws)


@pytest.mark.parametrize("make", [lambda url=url: crossbar(url) for url in CROSSBARS], ids=CROSSBARS)
def test_layered_devices(make):
    check(make)


@pytest.mark.parametrize("laws", LAWS)
def test_black_boxes(laws):
    check(lambda: black_box(laws))


def test_a_device_of_many_parameters():
    check(lambda: QuadraticDevice(1001, loss_sd=0.01))


def check(make):
    names = served(make())
    for method in METHODS:
        if method in names:
            settled = built(make(), method)
            assert built(make(), method, settled) == settled  # as a resumed run does
        else:
            with pytest.raises(CapabilityError, match="use method 'intrinsic'") as caught:
                built(make(), method)
            assert all(f"'{name}'" in str(caught.value) for name in names)


@pytest.mark.parametrize("method", METHODS)
def test_the_first_line_of_a_methods_file_has_its_papers_address(method):
    documented = sys.modules[METHODS[method].build.__module__].__doc__
    assert "https://" in documented.splitlines()[0]
