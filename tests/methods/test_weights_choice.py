"""What weight-space methods take, and what they say when they can't: settings, options, capabilities."""

import sys
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import hwzo
from hwzo.data.logic import xor
from hwzo.errors import CapabilityError, ConfigError
from hwzo.methods.method import Start
from hwzo.methods.mgd import MgdOptions
from hwzo.methods.options import parse_options
from hwzo.methods.registry import METHODS, method_named
from hwzo.methods.settings import Settings
from hwzo.testing.quadratic import QuadraticDevice

BATCH = xor().batch("train")
COMMON = {"probes", "scale", "rate", "schedule"}
TAKES = {
    "zo-sgd": COMMON | {"law", "update"},
    "zo-signsgd": COMMON | {"law"},
    "zo-adamm": COMMON | {"law"},
    "mezo": COMMON | {"law"},
    "fzoo": COMMON | {"law", "update"},
    "hizoo": COMMON - {"probes"},
    "coordinate": COMMON | {"estimator", "update"},
    "lozo": COMMON | {"update"},
    "eggroll": COMMON | {"law", "update"},
    "openes": COMMON | {"law", "update"},
    "cma-es": {"probes", "scale"},
    "sep-cma": {"probes", "scale"},
    "cbo": COMMON,
    "guided-es": COMMON | {"update"},
    "reszo": COMMON | {"law", "update"},
    "oua": COMMON,
    "metropolis": {"scale", "law"},
    "noisezo": {"probes", "update", "rate", "schedule"},
}
PROGRAMMED = ("hizoo", "lozo", "cma-es", "sep-cma", "cbo", "guided-es", "reszo", "oua", "metropolis")


def device_of(name="crossbar:pcm"):
    return hwzo.connect(f"{name}{'&' if '?' in name else '?'}layers=2-2-1&window=3&seed=1")


def built(device, method, **settings):
    theta = device.parameters.initial(np.random.default_rng(0))
    device.program(theta)
    start = Start(device, theta, BATCH, key=1)
    return method_named(method).build(Settings(**settings), start), start


@pytest.mark.parametrize("method", sorted(TAKES))
def test_takes_the_settings_that_it_understands_and_no_others(method):
    every = {
        "probes": 4,
        "scale": 0.1,
        "law": "rademacher",
        "estimator": "forward",
        "update": "sgd",
        "rate": 0.1,
        "schedule": "constant",
        "gains": "spall",
        "exploration": "commanded",
    }
    device = device_of()
    for key, value in every.items():
        if key in TAKES[method]:
            assert getattr(built(device, method, **{key: value})[1].settings, key) == value
            continue
        with pytest.raises(ConfigError, match="it takes") as caught:
            built(device, method, **{key: value})
        assert caught.value.key == key
        assert key in str(caught.value)


@pytest.mark.parametrize("method", sorted({*TAKES, "mgd"}))
def test_resolved_settings_build_the_same_method(method):
    """As a resumed run does: with what the first building settled and measured, and without measuring anything."""
    device = device_of()
    first, start = built(device, method)
    again = Start(device, start.theta, BATCH, 1, dict(start.measured))
    second = method_named(method).build(start.settings, again)
    assert again.evaluations == 0
    assert again.settings == start.settings
    assert (first.evaluations, first.exploration, first.reason) == (
        second.evaluations,
        second.exploration,
        second.reason,
    )


@pytest.mark.parametrize(
    ("method", "settings", "key"),
    [
        ("block", {"probes": 1}, "probes"),
        ("fzoo", {"probes": 1}, "probes"),
        ("openes", {"probes": 1}, "probes"),
        ("openes", {"probes": 5}, "probes"),
        ("eggroll", {"probes": 1}, "probes"),
        ("mezo", {"probes": 1}, "probes"),
        ("lozo", {"probes": 3}, "probes"),
        ("guided-es", {"probes": 3}, "probes"),
        ("cbo", {"probes": 1}, "probes"),
        ("cma-es", {"probes": 3}, "probes"),
        ("sep-cma", {"probes": 1}, "probes"),
        ("noisezo", {"probes": 1}, "probes"),
        ("coordinate", {"estimator": "block"}, "estimator"),
        ("coordinate", {"estimator": "antithetic", "probes": 3}, "probes"),
        ("coordinate?scores=32", {}, "scores"),
        ("coordinate?scores=1&sparsity=0.5", {}, "scores"),
        ("reszo", {"probes": 1}, "probes"),
        ("mgd?tau_p=2&tau_theta=5", {}, "tau_theta"),
        ("mgd?tau_p=3&tau_theta=6&tau_x=4", {}, "tau_x"),
        ("mgd?tau_theta=8", {"probes": 8}, "probes"),
        ("mgd?multiplexing=walsh", {"law": "gaussian"}, "law"),
        ("mgd?multiplexing=frequency", {"law": "rademacher"}, "law"),
        ("mgd?analogue=true&multiplexing=time", {}, "law"),
        ("mgd?analogue=true", {"probes": 4}, "probes"),
        ("mgd?analogue=true", {"update": "adam"}, "update"),
        ("mgd?tau_hp=2", {}, "tau_hp"),
    ],
)
def test_settings_and_options_that_do_not_go_together(method, settings, key):
    with pytest.raises(ConfigError) as caught:
        built(device_of(), method, **settings)
    assert caught.value.key == key
    assert key in str(caught.value)


@pytest.mark.parametrize(
    ("text", "key", "says"),
    [
        ("mgd?tau=3", "tau", "tau_hp, tau_p, tau_theta, tau_x"),
        ("mgd?tau_thta=3", "tau_thta", "did you mean 'tau_theta'"),
        ("mgd?tau_p=0", "tau_p", "greater than or equal to 1"),
        ("mgd?tau_p=1.5", "tau_p", "integer"),
        ("mgd?tau_p=1&tau_p=2", "tau_p", "twice"),
        ("mgd?tau_p", "method", "option=value"),
        ("mgd?multiplexing=wavelength", "multiplexing", "'frequency'"),
        ("hizoo?smooth=nan", "smooth", "smooth"),
        ("cbo?alpha=-1", "alpha", "greater than 0"),
        ("oua?lam=inf", "lam", "finite"),
        ("spsa?probes=2", "method", "no options"),
        ("mgdd", "method", "did you mean 'mgd'"),
    ],
)
def test_options_are_refused_with_what_is_allowed(text, key, says):
    with pytest.raises(ConfigError) as caught:
        method_named(text)
    assert caught.value.key == key
    assert says in str(caught.value)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "tau_p": st.integers(1, 1000),
            "tau_theta": st.integers(1, 1000),
            "tau_x": st.integers(1, 1000),
            "tau_hp": st.floats(1e-6, 1e6),
            "analogue": st.booleans(),
            "multiplexing": st.sampled_from(["code", "walsh", "time", "frequency"]),
        },
    )
)
def test_options_are_what_was_written(values):
    text = "&".join(f"{key}={str(value).lower()}" for key, value in values.items())
    assert parse_options(MgdOptions, "mgd", text) == MgdOptions(**values)


@given(st.text(max_size=20))
def test_no_text_behind_a_name_is_a_crash(text):
    with suppress(ConfigError):
        method_named(f"mgd?{text}")


def test_an_option_is_kept_in_the_runs_configuration(tmp_path):
    device = QuadraticDevice(4, seed=1)
    result = hwzo.train("xor", device, method="mgd?tau_theta=4&tau_x=2", budget="200 evaluations", run=tmp_path / "run")
    assert result.method == "mgd?tau_theta=4&tau_x=2"
    assert hwzo.load_run(tmp_path / "run").config.method == result.method
    with pytest.raises(ConfigError, match="differs") as caught:
        hwzo.train("xor", device, method="mgd?tau_theta=4&tau_x=4", run=tmp_path / "run", resume=True)
    assert caught.value.key == "method"


NO_LAWS = {"laws": frozenset()}


@pytest.mark.parametrize("method", sorted(set(TAKES) - {p.partition("?")[0] for p in PROGRAMMED}))
def test_what_a_device_cannot_be_commanded_to_names_what_works(method):
    device = QuadraticDevice(6, **NO_LAWS)
    with pytest.raises(CapabilityError, match="use method") as caught:
        built(device, method)
    assert "'selection'" in str(caught.value) or method == "noisezo"


@pytest.mark.parametrize("method", [*PROGRAMMED, "mgd?multiplexing=frequency", "mgd?analogue=true"])
def test_a_device_that_can_only_be_programmed_is_enough(method):
    learner, start = built(QuadraticDevice(6, loss_sd=0.01, **NO_LAWS), method)
    outcome = learner.step(start.device, start.theta, learner.begin(6), BATCH, 0, 0.0)
    assert 0 < len(outcome.evidence.losses) <= learner.evaluations
    assert start.evaluations == 0  # nothing can be measured along directions there


def test_noisezo_is_for_noise_of_writing_that_is_read_back():
    for device in ("crossbar:ideal", "crossbar:ideal?sigma=0.03", "crossbar:pcm?readback=nodes"):
        with pytest.raises(CapabilityError, match=r"'intrinsic'.*'spsa'"):
            built(device_of(device), "noisezo")
    method, _ = built(device_of("crossbar:pcm"), "noisezo")
    assert method.exploration == "intrinsic-weight"
    assert method.evaluations == 2


def test_the_twins_guide_needs_a_network():
    with pytest.raises(CapabilityError, match="guide=past"):
        built(QuadraticDevice(6), "guided-es?guide=twin")
    assert not built(device_of(), "guided-es?guide=twin")[0].regenerable


def test_cma_es_says_which_method_is_for_many_parameters():
    with pytest.raises(CapabilityError, match="'sep-cma' for more"):
        built(QuadraticDevice(1001), "cma-es")
    built(QuadraticDevice(1001), "sep-cma")


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "cmaes", None)
    with pytest.raises(ConfigError, match=r"hwzo\[cma\]"):
        built(device_of(), "sep-cma")


def test_normal_directions_become_signs_on_a_device_that_has_no_others():
    device = QuadraticDevice(6, laws=frozenset({"rademacher"}))
    for method in ("zo-sgd", "zo-signsgd", "zo-adamm", "mezo", "openes"):
        assert built(device, method)[1].settings.law == "rademacher"
        assert built(QuadraticDevice(6), method)[1].settings.law == "gaussian"
        with pytest.raises(CapabilityError):  # what was asked for is not replaced
            built(device, method, law="gaussian")


def test_every_method_says_what_it_is():
    for entry in METHODS.values():
        assert entry.about
        assert replace(entry, about="").budget
