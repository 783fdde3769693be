"""What a method makes of a device: `intrinsic` picks by what it declares; what can't be done names what would work."""

from dataclasses import replace

import numpy as np
import pytest

import hwzo
from hwzo.data.logic import xor
from hwzo.errors import CapabilityError, ConfigError
from hwzo.methods.method import Start
from hwzo.methods.registry import method_named
from hwzo.methods.settings import Settings
from hwzo.methods.weight_perturbation import rate_of
from hwzo.testing.quadratic import QuadraticDevice

BATCH = xor().batch("train")
URL = "crossbar:{}?layers=2-2-1&window=3&seed=1{}"


def crossbar(preset, more=""):
    return hwzo.connect(URL.format(preset, more))


def start(device):
    theta = device.parameters.initial(np.random.default_rng(0))
    device.program(theta)
    return Start(device, theta, BATCH, key=1)


def built(device, method="intrinsic", **settings):
    return method_named(method).build(Settings(**settings), start(device))


def black_box(**options):
    return QuadraticDevice(6, **options)


NO_LAWS = frozenset()


@pytest.mark.parametrize(
    ("make", "exploration"),
    [
        (lambda: crossbar("pcm"), "intrinsic-node"),
        (lambda: crossbar("pcm", "&readback=nodes"), "intrinsic-node"),
        (lambda: crossbar("pcm", "&node_noise=0&read_noise=0"), "intrinsic-weight"),  # programming noise, 1/f
        (lambda: crossbar("ideal", "&sigma=0.03"), "intrinsic-weight"),
        (lambda: crossbar("ideal", "&sigma=0.03&node_noise=0.1"), "intrinsic-node"),
        (lambda: crossbar("ideal", "&sigma=0.03&readback=nodes"), "commanded"),  # weights aren't read back
        (lambda: crossbar("ideal"), "commanded"),
        (lambda: crossbar("pcm", "&readback=outputs"), "commanded"),
        (lambda: crossbar("pcm", "&readback=loss"), "commanded"),
        (lambda: black_box(loss_sd=0.01), "commanded"),
        (lambda: black_box(sigma=0.1, parameter_noise="retained", readback="weights"), "intrinsic-weight"),
        (lambda: black_box(loss_sd=0.01, laws=NO_LAWS), "selection"),
        (lambda: black_box(sigma=0.1, parameter_noise="retained", laws=NO_LAWS), "selection"),
    ],
)
def test_intrinsic_picks_what_the_device_serves_best(make, exploration):
    method = built(make())
    assert method.exploration == exploration
    assert method.reason


def test_the_reason_says_what_is_read_back():
    assert "'loss'" in built(crossbar("pcm", "&readback=loss")).reason
    assert "read back" in built(crossbar("pcm")).reason


@pytest.mark.parametrize(
    ("make", "method", "settings", "works"),
    [
        (lambda: crossbar("ideal"), "intrinsic", {"exploration": "intrinsic-node"}, ["intrinsic"]),
        (lambda: black_box(loss_sd=0.1), "intrinsic", {"exploration": "intrinsic-node"}, ["intrinsic"]),
        (lambda: crossbar("ideal"), "intrinsic", {"exploration": "intrinsic-weight"}, ["intrinsic", "block"]),
        (lambda: crossbar("pcm", "&readback=loss"), "intrinsic", {"exploration": "mixed"}, ["intrinsic", "block"]),
        (lambda: black_box(laws=NO_LAWS), "intrinsic", {"exploration": "commanded"}, ["selection"]),
        (lambda: black_box(laws=NO_LAWS), "block", {}, ["selection"]),
        (lambda: black_box(laws=NO_LAWS), "spsa", {}, ["selection"]),
        (lambda: black_box(laws=NO_LAWS), "mgd", {}, ["selection"]),
        (lambda: black_box(laws=frozenset({"rademacher"})), "block", {"law": "gaussian"}, ["selection"]),
        (black_box, "backprop", {}, ["intrinsic"]),
    ],
)
def test_what_a_device_cannot_do_names_what_would_work(make, method, settings, works):
    with pytest.raises(CapabilityError) as caught:
        built(make(), method, **settings)
    for name in works:
        assert f"'{name}'" in str(caught.value)
        built(make(), name)  # and it does


TAKEN = {
    "intrinsic": {"update", "rate", "schedule", "exploration"},  # here; more, if it commands
    "block": {"probes", "scale", "law", "estimator", "update", "rate", "schedule"},
    "spsa": {"probes", "scale", "law", "update", "rate", "schedule", "gains"},
    "mgd": {"probes", "scale", "law", "update", "rate", "schedule"},
    "selection": {"scale", "law"},
    "backprop": {"update", "rate", "schedule"},
}


@pytest.mark.parametrize("method", TAKEN)
def test_a_method_refuses_settings_that_it_would_not_heed(method):
    device = crossbar("pcm")
    every = {
        "probes": 4,
        "scale": 0.1,
        "law": "gaussian",
        "estimator": "block",
        "update": "sgd",
        "rate": 0.1,
        "schedule": "constant",
        "gains": "spall",
        "exploration": "commanded",
    }
    refused = set()
    for key, value in every.items():
        try:
            built(device, method, **{key: value})
        except ConfigError as error:
            refused.add(error.key)
            message = str(error)
            assert key in message
            assert "it takes" in message
    assert set(every) - refused == TAKEN[method]


@pytest.mark.parametrize(
    ("method", "settings", "key"),
    [
        ("spsa", {"probes": 3}, "probes"),
        ("block", {"probes": 1}, "probes"),
        ("block", {"probes": 2, "estimator": "difference"}, "probes"),
        ("intrinsic", {"exploration": "intrinsic-weight", "estimator": "antithetic"}, "estimator"),
        ("intrinsic", {"exploration": "mixed", "estimator": "forward"}, "estimator"),
        ("intrinsic", {"exploration": "intrinsic-weight", "scale": 0.1}, "scale"),
    ],
)
def test_settings_that_do_not_go_together(method, settings, key):
    at = start(crossbar("ideal", "&sigma=0.05"))
    with pytest.raises(ConfigError) as caught:
        method_named(method).build(Settings(**settings), at)
    assert caught.value.key == key
    assert key in str(caught.value)
    assert at.evaluations == 0  # nothing was measured for it


def test_an_unknown_method_lists_those_there_are():
    with pytest.raises(ConfigError, match="intrinsic, block, spsa, mgd, selection, backprop") as caught:
        method_named("magic")
    assert caught.value.key == "method"


def test_rates_fall_as_they_are_said_to():
    linear = rate_of(Settings(rate=0.1, schedule="linear"))
    assert [linear(7, progress) for progress in (0.0, 0.5, 1.0, 1.2)] == pytest.approx([0.1, 0.051, 0.002, 0.002])
    constant = rate_of(Settings(rate=0.1, schedule="constant"))
    assert constant(0, 0.0) == constant(9, 1.0) == 0.1
    spall = rate_of(Settings(rate=0.1, schedule="linear", gains="spall"))
    assert [spall(t, 0.5) for t in (0, 101)] == pytest.approx([0.1, 0.1 * 0.5**0.602])


def test_a_quantity_is_measured_once():
    device = black_box(loss_sd=0.01)
    first = start(device)
    method = method_named("block").build(Settings(), first)
    assert first.evaluations == 40
    assert first.commanded == 32
    again = replace(first, evaluations=0, commanded=0)
    assert method_named("block").build(Settings(), again).explore.scale == method.explore.scale
    assert again.evaluations == 0


def test_a_scale_that_is_given_is_not_measured():
    at = start(black_box(loss_sd=0.01))
    assert method_named("block").build(Settings(scale=0.07), at).explore.scale == 0.07
    assert at.evaluations == 0
