"""Configurations: what is refused and by which name, and that TOML loses nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwzo.errors import ConfigError, FileError
from hwzo.train.config import TrainConfig, read_toml

configs = st.fixed_dictionaries(
    {},
    optional={
        "task": st.sampled_from(["xor", "digits", "my file.py:make"]),
        "device": st.sampled_from(["crossbar:pcm", "crossbar:ideal?layers=2-2-1&seed=3"]),
        "method": st.text(st.characters(codec="utf-8"), min_size=1, max_size=8),
        "budget": st.sampled_from(["100 evaluations", "1e6 writes, 10 min"]),
        "target": st.floats(0, 1, exclude_min=True),
        "seed": st.integers(0, 2**32 - 1),
        "layers": st.just("64-10"),
        "batch": st.integers(1, 10**9),
        "validate_every": st.integers(1, 10**9),
        "timeout_s": st.floats(0, 1e6, exclude_min=True),
        "exploration": st.sampled_from(["auto", "commanded", "mixed"]),
        "probes": st.integers(1, 10**6),
        "scale": st.floats(0, 1e6, exclude_min=True),
        "law": st.sampled_from(["rademacher", "sparse"]),
        "estimator": st.sampled_from(["block", "least-squares"]),
        "update": st.sampled_from(["sgd", "normalised-momentum"]),
        "rate": st.floats(0, 1e300, exclude_min=True),
        "schedule": st.sampled_from(["constant", "linear"]),
        "gains": st.sampled_from(["constant", "spall"]),
    },
)


@given(configs)
def test_toml_loses_nothing(tmp_path_factory, values):
    config = TrainConfig.build(values)
    path = tmp_path_factory.mktemp("config") / "run.toml"
    path.write_text(config.to_toml(), encoding="utf-8")
    assert TrainConfig.load(path) == config


@given(configs)
def test_assignments_say_the_same_as_a_file(values):
    plain = {key: value for key, value in values.items() if key != "method"}  # any text needs quoting there
    assert TrainConfig.load(None, [f"{key}={value}" for key, value in plain.items()]) == TrainConfig.build(plain)


@pytest.mark.parametrize(
    ("values", "key", "says"),
    [
        ({"buget": "5 s"}, "buget", "did you mean 'budget'"),
        ({"zzz": 1}, "zzz", "allowed are activation, batch"),
        ({"budget": "-5 evaluations"}, "budget", "above 0"),
        ({"budget": 5}, "budget", "string"),
        ({"probes": 0}, "probes", "greater than or equal to 1"),
        ({"probes": 1.5}, "probes", "integer"),
        ({"probes": "4"}, "probes", "integer"),
        ({"seed": True}, "seed", "integer"),
        ({"seed": -1}, "seed", "greater than or equal to 0"),
        ({"batch": 0}, "batch", "greater than or equal to 1"),
        ({"target": 1.5}, "target", "less than or equal to 1"),
        ({"target": float("nan")}, "target", "nan"),
        ({"rate": 0}, "rate", "greater than 0"),
        ({"rate": float("inf")}, "rate", "finite"),
        ({"scale": -0.1}, "scale", "greater than 0"),
        ({"timeout_s": 0}, "timeout_s", "greater than 0"),
        ({"timeout_s": 1e300}, "timeout_s", "less than or equal to 1000000"),
        ({"scale": 1e308}, "scale", "less than or equal to 1000000"),
        ({"rate": True}, "rate", "number"),
        ({"target": True}, "target", "number"),
        ({"layers": ""}, "layers", "form 64-32-10"),
        ({"layers": "６４-10"}, "layers", "form 64-32-10"),
        ({"layers": "64-1_0"}, "layers", "form 64-32-10"),
        ({"layers": "64-0"}, "layers", "at least one unit"),
        ({"layers": "64-" + "9" * 5000}, "layers", "form 64-32-10"),
        ({"activation": ""}, "activation", "'tanh'"),
        ({"law": "uniform"}, "law", "'rademacher'"),
        ({"estimator": "best"}, "estimator", "'block'"),
        ({"update": "rmsprop"}, "update", "'adam'"),
        ({"device": "crossbar"}, "device", "scheme:target"),
        ({"device": {"url": "crossbar:pcm"}}, "device", "string"),
    ],
)
def test_a_wrong_value_is_refused_by_key(values, key, says):
    with pytest.raises(ConfigError, match=says) as caught:
        TrainConfig.build(values)
    assert caught.value.key == key
    assert key in str(caught.value)


def test_whole_numbers_are_numbers():
    config = TrainConfig.build({"rate": 1, "target": 1, "scale": 2, "timeout_s": 10})
    assert (config.rate, config.target, config.scale, config.timeout_s) == (1.0, 1.0, 2.0, 10.0)


def test_the_later_wins(tmp_path):
    path = tmp_path / "c.toml"
    path.write_text('seed = 1\nbatch = 8\ntask = "xor"\n')
    config = TrainConfig.load(path, ["seed=2", "batch=16"], {"seed": 3, "device": None})
    assert (config.seed, config.batch, config.task, config.device) == (3, 16, "xor", "crossbar:pcm")


@pytest.mark.parametrize(
    ("assignment", "key"), [("seed", "seed"), ("=3", None), ("", None), ("seed 3", "seed 3"), ("sede=3", "sede")]
)
def test_an_assignment_that_is_none_is_refused(assignment, key):
    with pytest.raises(ConfigError) as caught:
        TrainConfig.load(None, [assignment])
    assert caught.value.key == key


def test_layers_that_look_like_a_date_are_layers():
    assert TrainConfig.load(None, ["layers=1024-10-10"]).layers == "1024-10-10"


@pytest.mark.parametrize("content", [b"seed = ", b"seed = 1\nseed = 2\n", b"[", b"\xff\xfe", b"a = 'x\n"])
def test_a_file_that_is_not_toml_is_said(tmp_path, content):
    path = tmp_path / "c.toml"
    path.write_bytes(content)
    with pytest.raises(FileError, match=r"c\.toml"):
        TrainConfig.load(path)


def test_a_missing_file_is_said(tmp_path):
    with pytest.raises(FileError, match="nosuch"):
        read_toml(tmp_path / "nosuch.toml")
    with pytest.raises(FileError):
        read_toml(tmp_path)
