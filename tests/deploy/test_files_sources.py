"""Weights of other libraries compute here what they compute there; what can't be taken is named."""

from __future__ import annotations

import json
import sys
import warnings
import zipfile
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from hwzo.deploy.sources import load_source, write_nir, write_onnx
from hwzo.deploy.sources.foreign import in_range, window_of
from hwzo.deploy.sources.torch_file import tensors_of
from hwzo.errors import ConfigError, FileError
from hwzo.network import Network
from hwzo.train.weights import Weights

FIXTURES = Path(__file__).with_name("fixtures")
EXPECTED: dict[str, Any] = json.loads((FIXTURES / "expected.json").read_text())


def outputs_of(weights: Weights, inputs: np.ndarray) -> np.ndarray:
    return Network.parse(weights.layers, weights.activation).forward(weights.theta, inputs)[-1]


def as_images(inputs: np.ndarray) -> np.ndarray:
    """Images (batch, channel, y, x) as hwzo's rows."""
    return np.moveaxis(inputs, 1, 3).reshape(len(inputs), -1)


def weights_of(label: str, activation: str = "tanh", seed: int = 100, scale: float = 1.0) -> Weights:
    network = Network.parse(label, activation)
    spec = network.parameter_spec(100.0)
    theta = np.random.default_rng(seed).normal(0.0, 0.5 * scale, spec.size).astype(np.float32).astype(np.float64)
    return Weights(theta, spec, "", network.label, activation, 100.0, "", emulated=False)


# --- torch ---


@pytest.mark.parametrize(
    ("file", "name", "options", "tolerance"),
    [
        ("mlp.pt", "mlp", {"activation": "tanh"}, 1e-11),
        ("checkpoint.pt", "mlp", {"activation": "tanh"}, 1e-11),
        ("mlp.onnx", "mlp", {}, 1e-11),
        ("plain.pt", "plain", {"activation": "tanh", "layers": "9x11x2-3c3s2-p2-3"}, 1e-11),
        ("cnn.onnx", "cnn", {}, 1e-7),  # torch folds the batch norm into float32
    ],
)
def test_torch_files_compute_what_torch_computed(file: str, name: str, options: dict[str, str], tolerance: float):
    weights = load_source(FIXTURES / file, **options)
    inputs = np.array(EXPECTED[name]["inputs"])
    inputs = as_images(inputs) if inputs.ndim == 4 else inputs
    np.testing.assert_allclose(outputs_of(weights, inputs), EXPECTED[name]["outputs"], rtol=0, atol=tolerance)
    assert weights.window is not None
    assert np.abs(weights.theta).max() <= weights.window <= 1.01 * np.abs(weights.theta).max()
    assert not weights.emulated


def test_torch_number_types_and_views():
    kinds = tensors_of(FIXTURES / "kinds.pt")
    for name in ("half", "bfloat16", "double"):
        np.testing.assert_array_equal(kinds[f"{name}.weight"].astype(np.float64), EXPECTED[name]["weight"])
    views = tensors_of(FIXTURES / "views.pt")
    whole = np.arange(12.0).reshape(3, 4)
    np.testing.assert_array_equal(views["a.weight"], whole)
    np.testing.assert_array_equal(views["b.weight"], whole.T)
    np.testing.assert_array_equal(views["c.weight"], whole[1:, ::2])


@pytest.mark.parametrize(
    ("file", "says"),
    [
        ("module.pt", r"__main__\.Custom, which would have to be run.*state_dict"),
        ("legacy.pt", r"before 1\.6.*state_dict"),
    ],
)
def test_pickled_programs_are_refused_by_name(file: str, says: str):
    with pytest.raises(FileError, match=says):
        load_source(FIXTURES / file, activation="tanh")


def repacked(path: Path, changes: dict[str, bytes | None], compression: int = zipfile.ZIP_STORED) -> Path:
    """mlp.pt with other parts."""
    with zipfile.ZipFile(FIXTURES / "mlp.pt") as source:
        parts = {name: source.read(name) for name in source.namelist()}
    for name, content in changes.items():
        if content is None:
            del parts[name]
        else:
            parts[name] = content
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return path


def test_pickles_that_call_something_else_are_refused_and_not_run(tmp_path: Path):
    marker = tmp_path / "ran"
    attack = b"cos\nsystem\n(X" + len(command := f"touch {marker}".encode()).to_bytes(4, "little") + command + b"tR."
    for name, content in {"protocol0": attack, "protocol2": b"\x80\x02" + attack}.items():
        path = repacked(tmp_path / f"{name}.pt", {"mlp/data.pkl": content})
        with pytest.raises(FileError, match=r"os\.system, which would have to be run"):
            load_source(path, activation="tanh")
    # A function of torch that is not on the list, and one that is, called with something else.
    for content, says in {
        b"\x80\x02ctorch.hub\nload\n)R.": r"torch\.hub\.load",
        b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n)R.": "more than tensors",
        b"\x80\x02}(X\x01\x00\x00\x00aK\x01u.": "'a' is a int, not a tensor",
        b"\x80\x02I1\n.": "opcode INT",
        b"\x80\x02.": "can't be read",
        b"": "can't be read|too early",
        # Tuples of the same tuple twice, 60 deep: to show or to hash one would take 2^60 steps.
        b"\x80\x02}" + (bomb := b")" + b"q\x00h\x00\x86" * 60) + b"K\x01s.": "keys are not names",
        b"\x80\x02" + bomb + b"Q.": "names a storage",
        b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n" + bomb + b"R.": "more than tensors",
    }.items():
        with pytest.raises(FileError, match=says):
            load_source(repacked(tmp_path / "x.pt", {"mlp/data.pkl": content}), activation="tanh")
    assert not marker.exists()


def test_damaged_torch_archives_are_told(tmp_path: Path):
    cases: list[tuple[dict[str, bytes | None], int, str]] = [
        ({"mlp/data/0": b"\0" * 4}, zipfile.ZIP_STORED, "storage 0 has 1 numbers, not 30"),
        ({"mlp/data/0": None}, zipfile.ZIP_STORED, "it has no data/0"),
        ({"mlp/data.pkl": None}, zipfile.ZIP_STORED, "no data.pkl"),
        ({"mlp/byteorder": b"big"}, zipfile.ZIP_STORED, "big-endian"),
        ({"mlp/code/a.py": b""}, zipfile.ZIP_STORED, "TorchScript"),
        ({}, zipfile.ZIP_DEFLATED, "compressed, as torch never does"),
    ]
    for changes, compression, says in cases:
        with pytest.raises(FileError, match=says):
            load_source(repacked(tmp_path / "x.pt", changes, compression), activation="tanh")


def test_a_tensor_that_claims_more_than_is_stored_takes_no_memory(tmp_path: Path):
    with zipfile.ZipFile(FIXTURES / "mlp.pt") as archive:
        pickled = archive.read("mlp/data.pkl")
    size, stride = b"K\x05K\x06\x86", b"K\x06K\x01\x86"
    assert pickled.count(size) == pickled.count(stride) == 1
    huge = b"".join(b"J" + (2**31 - 1).to_bytes(4, "little") for _ in range(2)) + b"\x86"
    for other, says in (
        (pickled.replace(size, huge).replace(stride, b"K\x00K\x00\x86"), "more numbers than its storage"),
        (pickled.replace(size, huge), "reaches beyond its storage"),
        (pickled.replace(size, b"K\x05J\xff\xff\xff\xff\x86"), "reaches beyond its storage"),
        (pickled.replace(size, b"K\x05)\x86"), "isn't made of whole numbers"),
        (pickled.replace(stride, b"K\x06\x85"), "can't be read"),
    ):
        with pytest.raises(FileError, match=says):
            load_source(repacked(tmp_path / "x.pt", {"mlp/data.pkl": other}), activation="tanh")


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 3044), st.integers(1, 255), st.booleans())
def test_torch_files_with_a_wrong_byte_or_cut_short_never_end_in_a_traceback(at: int, xor: int, cut: bool):
    content = bytearray((FIXTURES / "mlp.pt").read_bytes())
    at %= len(content)
    content[at] ^= xor
    path = Path(_SCRATCH) / "flipped.pt"
    path.write_bytes(content[:at] if cut else content)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile warns of names that are there twice
        told = str(path)
        try:
            load_source(path, activation="tanh")
        except ConfigError as error:
            told = str(error)
    assert str(path) in told


# --- named tensors ---


def test_named_tensors_of_another_file(tmp_path: Path):
    rng = np.random.default_rng(101)
    shapes = {"stem": (5, 6), "body": (4, 5), "head": (3, 4)}  # the alphabet's order is another
    tensors = {f"{name}.weight": rng.normal(size=shape) for name, shape in shapes.items()}
    tensors |= {f"{name}.bias": rng.normal(size=shape[0]) for name, shape in shapes.items()}
    save_file(tensors, path := tmp_path / "x.safetensors")
    said: list[str] = []
    weights = load_source(path, activation="relu", say=said.append)
    assert (weights.layers, weights.activation) == ("6-5-4-3", "relu")
    assert any("stem, body, head" in text for text in said)
    inputs = rng.uniform(-1, 1, (9, 6))
    x = inputs
    for name in shapes:
        x = x @ tensors[f"{name}.weight"].T + tensors[f"{name}.bias"]
        x = np.maximum(x, 0.0) if name != "head" else x
    np.testing.assert_allclose(outputs_of(weights, inputs), x, rtol=0, atol=1e-12)


def test_numbers_in_names_count_as_numbers(tmp_path: Path):
    tensors = {f"net.{2 * i}.weight": np.full((4, 4), float(i)) for i in range(7)}
    save_file(tensors, path := tmp_path / "x.safetensors")
    weights = load_source(path, activation="tanh")
    network = Network.parse(weights.layers)
    assert [float(block[0, 0]) for block in network.blocks(weights.theta)] == [0, 1, 2, 3, 4, 5, 6]


def test_our_own_files_are_known(tmp_path: Path):
    saved = weights_of("6-5-3", "sigmoid")
    saved.save(path := tmp_path / "ours.safetensors")
    for loaded in (load_source(path), load_source(str(path)), load_source(saved)):
        np.testing.assert_array_equal(loaded.theta, saved.theta)
        assert (loaded.layers, loaded.activation, loaded.window) == ("6-5-3", "sigmoid", 100.0)
    assert load_source(path, task="digits").task == "digits"


@pytest.mark.parametrize(
    ("tensors", "options", "says"),
    [
        ({"a.weight": (5, 6), "b.weight": (3, 5)}, {}, "--activation"),
        ({"a.weight": (5, 6), "b.weight": (3, 5)}, {"activation": "gelu"}, "gelu.*tanh, relu, sigmoid, logistic"),
        ({"a.weight": (5, 6), "b.weight": (3, 4)}, {"activation": "tanh"}, "b: takes 4 numbers.*gives 5"),
        ({"a.weight": (5, 6), "b.weight": (3, 5)}, {"activation": "tanh", "layers": "6-7-3"}, "6-5-3.*6-7-3"),
        ({"a.weight": (5, 6), "b.weight": (3, 5)}, {"activation": "tanh", "layers": "6-3"}, "2 layers.*6-3"),
        ({"a.weight": (5, 1, 3, 3), "b.weight": (3, 5)}, {"activation": "tanh"}, "--layers"),
        ({"a.weight": (5,), "b.weight": (3, 5)}, {"activation": "tanh"}, r"'a\.weight' \(5,\)"),
        ({"bn.running_mean": (5,), "b.weight": (3, 5)}, {"activation": "tanh"}, "batch norm"),
        ({"rnn.weight_ih_l0": (5, 4)}, {"activation": "tanh"}, "recurrent"),
        ({"a.bias": (5,), "b.weight": (3, 5)}, {"activation": "tanh"}, "a.bias has no a.weight"),
        ({"a.weight": (5, 6), "a.bias": (4,)}, {}, "bias has 4 numbers for 5 units"),
    ],
)
def test_named_tensors_that_make_no_network(
    tensors: dict[str, tuple[int, ...]], options: dict[str, str], says: str, tmp_path: Path
):
    save_file({name: np.ones(shape) for name, shape in tensors.items()}, path := tmp_path / "x.safetensors")
    with pytest.raises(ConfigError, match=says):
        load_source(path, **options)


def test_numbers_that_are_not_finite_are_named(tmp_path: Path):
    weight = np.ones((3, 4))
    weight[1, 2] = np.nan
    save_file({"a.weight": weight}, path := tmp_path / "x.safetensors")
    with pytest.raises(ConfigError, match=r"a: its weight holds 1 numbers that are not finite, the first at \[2, 1\]"):
        load_source(path)


@pytest.mark.parametrize("kind", [".safetensors", ".pt", ".pth", ".onnx", ".nir", ".zip"])
@pytest.mark.parametrize("content", [b"", b"PK\3\4", b"\x80\x02}.", bytes(range(256)) * 4, b"\xff" * 64])
def test_files_of_anything_else_are_told(kind: str, content: bytes, tmp_path: Path):
    (path := tmp_path / f"x{kind}").write_bytes(content)
    with pytest.raises(FileError, match="x" + kind):
        load_source(path, activation="tanh")


def test_what_is_no_source_is_told(tmp_path: Path):
    (tmp_path / "x.txt").touch()
    for source, says in {
        tmp_path / "x.txt": r"no kind that holds weights.*\.onnx",
        tmp_path / "none.pt": r"does not exist.*\.onnx",
        tmp_path: "run",
        "a\0b.pt": "can't be looked at|does not exist",
    }.items():
        with pytest.raises(FileError, match=says):
            load_source(source)
    with pytest.raises(ConfigError, match="a int is no source"):
        load_source(3)
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline

    with pytest.raises(ConfigError, match="Pipeline has more steps"):
        load_source(make_pipeline(MLPClassifier()))


def test_a_deployment_is_a_source(tmp_path: Path):
    import hwzo
    from hwzo.deploy.deploying import deploy

    weights = weights_of("4-3-2", scale=0.2)
    device = hwzo.connect("crossbar:ideal?layers=4-3-2")
    deploy(weights, device, output=tmp_path / "x.h5")
    device.close()
    loaded = load_source(tmp_path / "x.h5")
    np.testing.assert_allclose(loaded.theta, weights.theta, rtol=0, atol=1e-12)
    (tmp_path / "y.h5").write_bytes(b"nothing")
    with pytest.raises(FileError, match=r"y\.h5"):
        load_source(tmp_path / "y.h5")


def test_bfloat16_in_a_safetensors_file(tmp_path: Path):
    import json as text

    values = np.array([[1.0, -2.5], [0.15625, 3.0e5]], np.float32)  # their lower halves are 0, but for the last
    kept = values.view(np.uint32) >> 16
    header = text.dumps({"a.weight": {"dtype": "BF16", "shape": [2, 2], "data_offsets": [0, 8]}}).encode()
    path = tmp_path / "x.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + kept.astype("<u2").tobytes())
    block = Network.parse("2-2").blocks(load_source(path).theta)[0]
    np.testing.assert_allclose(block[:-1].T, values, rtol=2**-7)
    np.testing.assert_array_equal(block[:-1].T[0], values[0])
    path.write_bytes(path.read_bytes().replace(b"BF16", b"F8_9"))
    with pytest.raises(FileError, match=r"x\.safetensors is damaged, or can't be read"):
        load_source(path)


# --- scikit-learn ---


@pytest.mark.parametrize("activation", ["tanh", "relu", "logistic", "identity"])
@pytest.mark.parametrize("classes", [2, 4])
def test_classifiers_of_scikit_learn(activation: str, classes: int):
    from sklearn.neural_network import MLPClassifier

    rng = np.random.default_rng(102)
    inputs, labels = rng.uniform(-1, 1, (80, 6)), np.arange(80) % classes
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # so short a training doesn't converge
        model = MLPClassifier((7, 5), activation=activation, max_iter=5, random_state=0).fit(inputs, labels)
    weights = load_source(model)
    logits = outputs_of(weights, inputs)
    exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
    chances = exponents / exponents.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(chances, model.predict_proba(inputs), rtol=0, atol=1e-12)
    assert weights.layers == f"6-7-5-{classes}"


def test_a_classifier_that_is_not_fitted_or_has_names_for_classes():
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    with pytest.raises(ConfigError, match="not fitted"):
        load_source(MLPClassifier())
    rng = np.random.default_rng(103)
    inputs = rng.uniform(-1, 1, (30, 3))
    said: list[str] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        named = MLPClassifier((4,), max_iter=2).fit(inputs, np.array(["cat", "dog", "owl"])[np.arange(30) % 3])
        load_source(named, say=said.append)
        number = MLPRegressor(hidden_layer_sizes=(4,), activation="tanh", max_iter=2).fit(inputs, inputs[:, 0])
    assert any("cat, dog, owl" in text for text in said)
    np.testing.assert_allclose(outputs_of(load_source(number), inputs)[:, 0], number.predict(inputs), atol=1e-12)


# --- torch objects ---


class Module:
    """What the reader looks at of a torch module."""

    def __init__(self, **attributes: object) -> None:
        self.__dict__.update(attributes)

    def state_dict(self) -> dict[str, np.ndarray]:
        return {}

    def children(self) -> list[Module]:
        return [child for _, child in self.named_children()]

    def named_children(self) -> list[tuple[str, Module]]:
        return [(str(i), child) for i, child in enumerate(getattr(self, "modules", []))]


def module(kind: str, **attributes: object) -> Module:
    return type(kind, (Module,), {})(**attributes)


def sequential(*modules: Module) -> Module:
    return module("Sequential", modules=list(modules))


def linear(n_in: int, n_out: int, seed: int) -> Module:
    rng = np.random.default_rng(seed)
    return module("Linear", weight=rng.normal(size=(n_out, n_in)), bias=rng.normal(size=n_out))


def test_a_sequential_tells_its_activations():
    one, two = linear(4, 5, 1), linear(5, 3, 2)
    drop = module("Dropout")
    weights = load_source(sequential(one, sequential(module("Sigmoid"), drop), two, module("LogSoftmax")))
    assert (weights.layers, weights.activation) == ("4-5-3", "sigmoid")
    inputs = np.random.default_rng(104).uniform(-1, 1, (6, 4))
    hidden = 1.0 / (1.0 + np.exp(-(inputs @ one.weight.T + one.bias)))
    np.testing.assert_allclose(outputs_of(weights, inputs), hidden @ two.weight.T + two.bias, atol=1e-12)


def test_a_state_dict_keeps_its_order():
    one, two = linear(4, 4, 1), linear(4, 4, 2)
    weights = load_source({"z.weight": one.weight, "a.weight": two.weight}, activation="tanh")
    blocks = Network.parse(weights.layers).blocks(weights.theta)
    np.testing.assert_array_equal(blocks[0][:-1], one.weight.T)
    np.testing.assert_array_equal(blocks[1][:-1], two.weight.T)


@pytest.mark.parametrize(
    ("modules", "says"),
    [
        ([linear(4, 5, 1), module("GELU"), linear(5, 3, 2)], r"1 \(GELU\): hwzo has no layer"),
        ([linear(4, 5, 1), module("Tanh"), linear(5, 4, 2), module("ReLU"), linear(4, 3, 3)], "tanh.*relu.*the same"),
        ([module("Tanh"), linear(4, 5, 1)], "before the first layer of weights"),
        ([linear(4, 5, 1), module("Tanh"), linear(5, 3, 2), module("ReLU")], "relu behind the last layer"),
        ([linear(4, 5, 1), module("Tanh"), linear(6, 3, 2)], "takes 6 numbers.*gives 5"),
        ([linear(4, 5, 1), module("Softmax"), linear(5, 3, 2)], "softmax between layers"),
        ([module("Conv2d")], "28x28x1-16c3-p2-10"),
        ([], "no layer of weights"),
    ],
)
def test_modules_that_are_not_taken_are_named(modules: list[Module], says: str):
    with pytest.raises(ConfigError, match=says):
        load_source(sequential(*modules))


def test_real_torch_modules():
    torch = pytest.importorskip("torch")
    nn = torch.nn
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(2, 3, 3, padding=1), nn.BatchNorm2d(3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 4)
    )
    model(torch.randn(32, 2, 6, 8))
    model = model.eval().double()
    inputs = torch.rand(5, 2, 6, 8, dtype=torch.float64)
    weights = load_source(model, layers="6x8x2-3c3p1-p2-4")
    expected = model(inputs).detach().numpy()
    np.testing.assert_allclose(outputs_of(weights, as_images(inputs.numpy())), expected, rtol=0, atol=1e-12)
    again = load_source(nn.Sequential(nn.Linear(3, 2)).state_dict())
    assert again.layers == "3-2"


# --- ONNX and NIR ---


def computed(path: Path, inputs: np.ndarray) -> np.ndarray:
    """What ONNX's own interpreter makes of a file."""
    onnx = pytest.importorskip("onnx")
    from onnx.reference import ReferenceEvaluator

    onnx.checker.check_model(str(path), full_check=True)
    session = ReferenceEvaluator(str(path))
    return np.asarray(session.run(None, {session.input_names[0]: inputs.astype(np.float32)})[0])


LABELS = [
    "5-3",
    "6-7-4-3",
    "4x5x2-6",
    "6x7x1-3c3-4",
    "6x7x2-3c3p1-p2-4",
    "8x8x2-3c3s2p1-4c2-a2-5-3",
    "9x7x3-2c2-p3-3",
]


@pytest.mark.parametrize("label", [label for label in LABELS if label != "4x5x2-6"])
@pytest.mark.parametrize("activation", ["tanh", "relu", "sigmoid", "linear"])
def test_onnx_there_and_back(label: str, activation: str, tmp_path: Path):
    weights = weights_of(label, activation)
    write_onnx(weights, path := tmp_path / "x.onnx")
    network = Network.parse(label, activation)
    inputs = np.random.default_rng(105).uniform(-1, 1, (6, network.layers[0]))
    sides = [int(n) for n in label.split("-")[0].split("x")]
    shaped = np.moveaxis(inputs.reshape(6, *sides), 3, 1) if len(sides) == 3 else inputs
    expected = network.forward(weights.theta, inputs)[-1]
    scale = np.abs(expected).max()
    np.testing.assert_allclose(computed(path, shaped), expected, rtol=0, atol=2e-5 * scale)
    back = load_source(path)
    np.testing.assert_array_equal(back.theta, weights.theta)  # they are float32 already
    assert (back.layers, back.activation) == (network.label, activation if len(network.stages) > 1 else "linear")


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.integers(1, 9), min_size=2, max_size=5),
    st.sampled_from(["Tanh", "Relu", "Sigmoid"]),
    st.lists(
        st.sampled_from(["gemm", "gemm-t", "gemm-scaled", "matmul-add", "matmul-mul-add"]), min_size=4, max_size=4
    ),
    st.integers(0, 2**32 - 1),
)
def test_random_perceptrons_compute_what_onnx_computes(sides: list[int], activation: str, ways: list[str], seed: int):
    onnx = pytest.importorskip("onnx")
    helper, rng = onnx.helper, np.random.default_rng(seed)
    nodes: list[Any] = []
    constants: list[Any] = []

    def constant(values: np.ndarray) -> str:
        constants.append(onnx.numpy_helper.from_array(values.astype(np.float32), f"c{len(constants)}"))
        return constants[-1].name

    now = "x"

    def add(kind: str, *given: str, **attributes: object) -> None:
        nonlocal now
        nodes.append(helper.make_node(kind, [now, *given], [f"v{len(nodes)}"], **attributes))
        now = nodes[-1].output[0]

    for index, (n_in, n_out) in enumerate(pairwise(sides)):
        weight, bias, way = rng.normal(size=(n_in, n_out)), rng.normal(size=n_out), ways[index]
        if way == "gemm-t":
            add("Gemm", constant(weight.T), constant(bias), transB=1)
        elif way == "gemm-scaled":
            add("Gemm", constant(weight), constant(bias), alpha=0.5, beta=2.0)
        elif way == "gemm":
            add("Gemm", constant(weight))
        else:
            add("MatMul", constant(weight))
            if way == "matmul-mul-add":
                add("Mul", constant(rng.uniform(0.5, 2.0, n_out)))
            add("Add", constant(bias[None]))
        if index + 2 < len(sides):
            add(activation)
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "random",
        [value("x", 1, ["n", sides[0]])],
        [value(now, 1, ["n", sides[-1]])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    path = Path(_SCRATCH) / "random.onnx"
    path.write_bytes(model.SerializeToString())
    inputs = rng.uniform(-1, 1, (5, sides[0]))
    expected = computed(path, inputs)
    found = outputs_of(load_source(path), inputs.astype(np.float32).astype(np.float64))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * max(1.0, float(np.abs(expected).max())))


def graph_of(*nodes: tuple[Any, ...], shape: tuple[object, ...] = ("n", 4), **constants: np.ndarray) -> bytes:
    """An ONNX file of nodes (type, inputs, output, attributes) from x to y."""
    onnx = pytest.importorskip("onnx")
    helper = onnx.helper
    made = [helper.make_node(kind, given, [output], **dict(*rest)) for kind, given, output, *rest in nodes]
    stored = [onnx.numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(made, "g", [value("x", 1, shape)], [value("y", 1, ["n", "m"])], stored)
    return helper.make_model(graph).SerializeToString()


W, B, KERNELS = np.ones((4, 3), np.float32), np.ones(3, np.float32), np.ones((2, 1, 3, 3), np.float32)
IMAGE = ("n", 1, 6, 6)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (graph_of(("Gemm", ["x", "w"], "a"), ("Elu", ["a"], "y"), w=W), r"'y' \(Elu\): hwzo has no layer for it.*Gemm"),
        (graph_of(("Gemm", ["x", "w"], "a"), ("Add", ["a", "a"], "y"), w=W), r"\(Add\): takes 'a', 'a'.*branches"),
        (graph_of(("MatMul", ["w", "x"], "y"), w=W.T), "from the left"),
        (graph_of(("Gemm", ["x", "w"], "y", {"transA": 1}), w=W), "transA"),
        (graph_of(("Gemm", ["x", "w"], "a"), ("Relu", ["a"], "y"), w=W), "relu behind the last layer"),
        (graph_of(("Gemm", ["x", "w"], "a"), ("Mul", ["a", "b"], "y"), w=W, b=np.ones((3, 1), "f4")), "one for each"),
        (graph_of(("Sub", ["x", "b"], "a"), ("Gemm", ["a", "w"], "y"), w=W, b=B), r"\(Sub\)"),
        (graph_of(("Add", ["x", "b"], "a"), ("Gemm", ["a", "w"], "y"), w=W, b=np.ones(4, "f4")), "before the first"),
        (graph_of(("Conv", ["x", "k"], "y", {"group": 2}), shape=IMAGE, k=KERNELS), "groups"),
        (graph_of(("Conv", ["x", "k"], "y", {"strides": [1, 2]}), shape=IMAGE, k=KERNELS), "differ by direction"),
        (graph_of(("Conv", ["x", "k"], "y"), shape=("n", 1, "h", "w"), k=KERNELS), "--layers"),
        (graph_of(("Conv", ["x", "k"], "y"), shape=("n", 1, 2, 2), k=KERNELS), "don't suit images of 2x2"),
        (graph_of(("Conv", ["x", "k"], "y"), shape=IMAGE, k=KERNELS), "the last layer must be dense"),
        (
            graph_of(("Conv", ["x", "k"], "a"), ("Gemm", ["a", "w"], "y"), shape=IMAGE, k=KERNELS, w=W),
            "flatten comes before it",
        ),
        (graph_of(("Softmax", ["x"], "y")), "before the first layer"),
        (graph_of(("Gemm", ["x", "w"], "z"), w=W), "'z', which is not among its outputs"),
        (graph_of(("Gemm", ["x"], "y")), "damaged"),
        (graph_of(("Gemm", ["x", "w"], "y"), w=np.full((4, 3), np.inf, "f4")), "not finite"),
    ],
)
def test_onnx_files_that_are_not_taken(content: bytes, says: str, tmp_path: Path):
    (path := tmp_path / "x.onnx").write_bytes(content)
    with pytest.raises(ConfigError, match=says):
        load_source(path)


def test_onnx_decisions_behind_the_outputs_are_left_off(tmp_path: Path):
    content = graph_of(
        ("Cast", ["x"], "x1", {"to": 1}),
        ("MatMul", ["x1", "w"], "a"),
        ("Add", ["a", "b"], "c"),
        ("Softmax", ["c"], "p"),
        ("ArgMax", ["p"], "i"),
        ("Cast", ["i"], "y", {"to": 7}),
        w=W,
        b=B,
    )
    (path := tmp_path / "x.onnx").write_bytes(content)
    said: list[str] = []
    assert load_source(path, say=said.append).layers == "4-3"
    assert any("softmax" in text for text in said)
    assert any("ArgMax, Cast" in text for text in said)


def test_onnx_files_of_two_classes_have_two_outputs(tmp_path: Path):
    weight, bias, one = np.ones((4, 1), np.float32), np.full(1, 0.5, np.float32), np.ones(1, np.float32)
    nodes = [("MatMul", ["x", "w"], "a"), ("Add", ["a", "b"], "z"), ("Sigmoid", ["z"], "p"), ("Sub", ["one", "p"], "q")]
    (path := tmp_path / "x.onnx").write_bytes(
        graph_of(*nodes, ("Concat", ["q", "p"], "y", {"axis": 1}), w=weight, b=bias, one=one)
    )
    inputs = np.random.default_rng(107).uniform(-1, 1, (5, 4)).astype(np.float32).astype(np.float64)
    logits = outputs_of(load_source(path), inputs)
    chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(chances, computed(path, inputs), rtol=0, atol=1e-6)
    wrong = [("MatMul", ["x", "w"], "p"), ("Sub", ["one", "p"], "q"), ("Concat", ["q", "p"], "y", {"axis": 1})]
    path.write_bytes(graph_of(*wrong, w=weight, one=one))
    with pytest.raises(ConfigError, match=r"\(Concat\): it makes two chances of something else"):
        load_source(path)
    path.write_bytes(graph_of(*nodes, ("Concat", ["p", "q"], "y", {"axis": 1}), w=weight, b=bias, one=one))
    with pytest.raises(ConfigError, match=r"\(Concat\): takes 'p', 'q'.*branches"):
        load_source(path)


def test_what_onnx_and_nir_have_no_node_for(tmp_path: Path):
    for label, activation, says in (("4-3-2", "lif-rate", "lif-rate"), ("3x4-5r-2", "tanh", "recurrent")):
        with pytest.raises(ConfigError, match=says):
            write_onnx(weights_of(label, activation), tmp_path / "x.onnx")
    with pytest.raises(ConfigError, match="recurrent"):
        write_nir(weights_of("3x4-5r-2"), tmp_path / "x.nir")
    with pytest.raises(FileError, match=r"nowhere/x\.onnx"):
        write_onnx(weights_of("4-3-2"), tmp_path / "nowhere" / "x.onnx")


@pytest.mark.parametrize(("name", "write"), [("onnx", write_onnx), ("nir", write_nir)])
def test_a_package_that_is_missing_is_named_with_how_to_install_it(
    name: str, write: Callable[[Weights, Path], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    write(weights_of("4-3-2", "relu"), path := tmp_path / f"x.{name}")
    monkeypatch.setitem(sys.modules, name, None)
    for use in (lambda: write(weights_of("4-3-2", "relu"), path), lambda: load_source(path)):
        with pytest.raises(ConfigError, match=rf'pip install "hwzo\[{name}\]"'):
            use()


@pytest.mark.parametrize("label", ["6-7-4-3", "6x7x2-3c3p1-5-3"])
def test_nir_there_and_back(label: str, tmp_path: Path):
    weights = weights_of(label, "relu")
    write_nir(weights, path := tmp_path / "x.nir")
    back = load_source(path)
    np.testing.assert_array_equal(back.theta, weights.theta)
    assert (back.layers, back.activation) == (weights.layers, "relu")
    with pytest.raises(ConfigError, match=r"relu between its layers.*tanh"):
        load_source(path, activation="tanh")


def test_spiking_neurons_take_an_activation_in_their_place():
    path = Path(__file__).parents[1] / "vectors" / "nir" / "snntorch-leaky.nir"
    with pytest.raises(ConfigError, match=r"LIF.*--activation"):
        load_source(path)
    said: list[str] = []
    assert load_source(path, activation="lif-rate", say=said.append).layers == "8-6-3"
    assert any("left off" in text for text in said)


# --- relu ---


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(["6-9-3", "6-9-7-5-3", "4x4x1-3c2-p2-5-3"]), st.integers(0, 2**32 - 1), st.floats(0.1, 8.0))
def test_relu_networks_scaled_into_range_compute_the_same(label: str, seed: int, scale: float):
    network = Network.parse(label, "relu")
    rng = np.random.default_rng(seed)
    theta = scale * rng.normal(size=network.parameter_spec().size)
    inputs = rng.uniform(-1, 1, (40, network.layers[0]))
    scaled = in_range(network, theta, inputs)
    before, after = network.forward(theta, inputs), network.forward(scaled, inputs)
    bound = 1e-12 * max(1.0, float(np.abs(before[-1]).max()))
    np.testing.assert_allclose(after[-1], before[-1], rtol=0, atol=bound)
    for nodes in after[:-1]:
        assert nodes.max() <= 1.0 + 1e-9 or "c" in label
    passed = [stage.passed(a, lambda x: np.maximum(x, 0)) for stage, a in zip(network.stages, after, strict=True)]
    assert all(each.max() <= 1.0 + 1e-9 for each in passed[:-1])


def test_a_relu_network_of_a_known_task_is_scaled_and_said():
    from hwzo.data.catalogue import load_task

    rng = np.random.default_rng(106)
    tensors = {"a.weight": rng.normal(size=(20, 64)), "b.weight": rng.normal(size=(10, 20))}
    said: list[str] = []
    scaled = load_source(tensors, activation="relu", task="digits", say=said.append)
    plain = load_source(tensors, activation="relu")
    assert any("none is above 1" in text for text in said)
    inputs = load_task("digits").test.inputs
    np.testing.assert_allclose(outputs_of(scaled, inputs), outputs_of(plain, inputs), rtol=0, atol=1e-10)
    with pytest.raises(ConfigError, match=r"64-20-10.*nist7x7"):
        load_source(tensors, activation="relu", task="nist7x7")


@settings(max_examples=200, deadline=None)
@given(st.floats(1e-30, 1e30))
def test_the_window_holds_the_largest_weight_and_little_more(largest: float):
    window = window_of(np.array([0.0, -largest]))
    assert largest <= window <= 1.011 * largest


@pytest.fixture(autouse=True, scope="module")
def _scratch(tmp_path_factory: pytest.TempPathFactory):  # pyright: ignore[reportUnusedFunction]
    global _SCRATCH
    _SCRATCH = str(tmp_path_factory.mktemp("sources"))


_SCRATCH = ""
