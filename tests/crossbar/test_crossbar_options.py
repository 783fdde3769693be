"""Device URLs of the crossbar: defaults, round trips, errors."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwzo.errors import ConfigError
from hwzo.network import Network
from hwzo.registry import DeviceURL, connect
from hwzo_backends.crossbar import BACKEND
from hwzo_backends.crossbar.options import resolve


def options_of(url, **suggested):
    arguments = {"network": None, "window": None, "seed": None, **suggested}
    return resolve(DeviceURL.parse(url), **arguments)[1]


@pytest.mark.parametrize(
    ("url", "key"),
    [
        ("crossbar:pmc", "device"),
        ("crossbar:pcm?sigm=0.1", "sigm"),
        ("crossbar:pcm?sigma=-1", "sigma"),
        ("crossbar:pcm?sigma=nan", "sigma"),
        ("crossbar:pcm?sigma=much", "sigma"),
        ("crossbar:pcm?window=0", "window"),
        ("crossbar:pcm?window=inf", "window"),
        ("crossbar:pcm?layers=64", "layers"),
        ("crossbar:pcm?layers=64-x-10", "layers"),
        ("crossbar:pcm?layers=64-0-10", "layers"),
        ("crossbar:pcm?layers=100000-100000", "layers"),
        ("crossbar:pcm?activation=step", "activation"),
        ("crossbar:pcm?readback=all", "readback"),
        ("crossbar:pcm?seed=-1", "seed"),
        ("crossbar:pcm?seed=18446744073709551616", "seed"),
        ("crossbar:pcm?seed=1.5", "seed"),
        ("crossbar:pcm?tile=0", "tile"),
        ("crossbar:pcm?tile=16x", "tile"),
        ("crossbar:pcm?adc_bits=1", "adc_bits"),
        ("crossbar:pcm?dac_bits=99", "dac_bits"),
        ("crossbar:pcm?adc_max=0", "adc_max"),
        ("crossbar:pcm?fit=guess", "fit"),
        ("crossbar:pcm?stuck=1.1", "stuck"),
        ("crossbar:pcm?telegraph_tau=0", "telegraph_tau"),
        ("crossbar:pcm?drift=maybe", "drift"),
        ("crossbar:pcm?perturb=push", "perturb"),
        ("crossbar:reram-wan?flicker=1", "flicker"),
        ("crossbar:ideal?drift=on", "drift"),
        ("crossbar:pcm?iv=on", "iv"),
        ("crossbar:pcm?verify=3", "verify"),
        ("crossbar:pcm?pulse_noise=1", "pulse_noise"),
        ("crossbar:gokmen-vlasov?corrupt=on", "corrupt"),
        ("crossbar:gokmen-vlasov?d2d=0.1", "d2d"),
        ("crossbar:pcm?temperature=0", "temperature"),
        ("crossbar:pcm?temperature=nan", "temperature"),
        ("crossbar:pcm?endurance=-1", "endurance"),
        ("crossbar:pcm?ir_drop=slow", "ir_drop"),
        ("crossbar:pcm?ir_drop=fast&wire_ohm=-1", "wire_ohm"),
        ("crossbar:pcm?ir_drop=exact&layers=784-1024-10&tile=1024", "ir_drop"),
        ("crossbar:pcm?slices=0", "slices"),
        ("crossbar:pcm?slices=9&slice_bits=3", "slices"),
        ("crossbar:pcm?slice_bits=0&slices=2", "slice_bits"),
        ("crossbar:pcm?proportional=-0.1", "proportional"),
        ("crossbar:pcm?variance=some", "variance"),
        ("crossbar:pcm?engine=fortran", "engine"),
        ("crossbar:pcm?threads=0", "threads"),
        ("crossbar:pcm?layers=28x28x1-40c40-10", "layers"),
        ("crossbar:ideal?programming=1", "programming"),
    ],
)
def test_a_bad_url_is_refused_by_the_name_of_its_key(url, key):
    with pytest.raises(ConfigError) as caught:
        connect(url)
    assert caught.value.key == key
    assert (key if key != "device" else "pmc") in str(caught.value)


def test_an_unknown_option_is_answered_with_a_near_one():
    with pytest.raises(ConfigError, match="did you mean 'node_noise'"):
        connect("crossbar:pcm?node_nose=0.1")


def test_a_bad_suggestion_is_refused_by_name():
    url = DeviceURL.parse("crossbar:pcm")
    with pytest.raises(ConfigError) as caught:
        BACKEND.open(url, network=None, window=-1.0, seed=None)
    assert caught.value.key == "window"


def test_the_url_wins_over_suggestions_and_they_over_defaults():
    network = Network((5, 4, 3), "relu")
    suggested = {"network": network, "window": 2.0, "seed": 9}
    options = options_of("crossbar:pcm", **suggested)
    assert (options.layers, options.activation, options.window, options.seed) == ("5-4-3", "relu", 2.0, 9)
    options = options_of("crossbar:pcm?layers=7-2&activation=tanh&window=0.5&seed=1", **suggested)
    assert (options.layers, options.activation, options.window, options.seed) == ("7-2", "tanh", 0.5, 1)
    options = options_of("crossbar:pcm")
    assert (options.layers, options.activation, options.window, options.seed) == ("64-32-10", "tanh", 1.0, 0)


@pytest.mark.parametrize(("preset", "node_noise"), [("ideal", 0.0), ("pcm", 0.1), ("reram-wan", 0.1)])
def test_defaults_of_the_presets(preset, node_noise):
    options = options_of(f"crossbar:{preset}?window=2")
    assert options.node_noise == node_noise
    assert options.read_error == (0.0 if preset == "ideal" else 0.01)
    assert options.adc_max == 16.0
    assert options.sigma == 0.0


amounts = st.floats(0, 1e6, allow_nan=False)
fractions = st.floats(0, 1, allow_nan=False)


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(["ideal", "pcm", "reram-wan"]),
    st.fixed_dictionaries(
        {},
        optional={
            "layers": st.lists(st.integers(1, 50), min_size=2, max_size=4).map(lambda n: "-".join(map(str, n))),
            "activation": st.sampled_from(["tanh", "relu", "sigmoid", "linear"]),
            "window": st.floats(1e-3, 1e3),
            "seed": st.integers(0, 2**64 - 1),
            "sigma": amounts,
            "node_noise": amounts,
            "read_noise": amounts,
            "read_error": amounts,
            "telegraph": fractions,
            "telegraph_fraction": fractions,
            "d2d": fractions,
            "stuck": fractions,
            "readback": st.sampled_from(["loss", "outputs", "nodes", "weights"]),
            "perturb": st.sampled_from(["write", "overlay"]),
            "tile": st.sampled_from(["16", "256x128"]),
            "dac_bits": st.integers(2, 24),
            "adc_bits": st.sampled_from([0, 8, 12]),
        },
    ),
)
def test_the_url_of_a_device_opens_the_same_device(preset, query):
    url = DeviceURL("crossbar", preset, {key: str(value) for key, value in query.items()})
    found, options = resolve(url, network=None, window=None, seed=None)
    again = resolve(DeviceURL.parse(str(options.url(found))), network=None, window=None, seed=None)
    assert again == (found, options)


def test_the_info_opens_the_same_device_and_says_that_it_is_emulated():
    device = connect("crossbar:pcm?sigma=0.03&drift=off&seed=5")
    assert "sigma=0.03" in device.info.url
    assert "drift=off" in device.info.url
    again = connect(device.info.url)
    assert again.info == device.info
    assert device.info.emulated
    assert "emulated" in repr(device)
    np.testing.assert_array_equal(device.read(), again.read())


def test_listings_open():
    for listing in BACKEND.listings():
        assert listing.available
        assert listing.emulated
        assert connect(listing.url).info.model == listing.url
        assert BACKEND.lock_name(DeviceURL.parse(listing.url)) is None
