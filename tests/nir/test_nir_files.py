"""NIR files: what hwzo takes, what it refuses and in which words, and that writing and reading give the same."""

from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwzo import nir
from hwzo.errors import ConfigError, FileError
from hwzo.network import Network
from hwzo.nir import Layer, Model, Neurons, reading
from hwzo.stages import Convolution, Dense

reference = pytest.importorskip("nir")
VECTORS = Path(__file__).parents[1] / "vectors" / "nir"


def neurons_of(rng, kind, units):
    return Neurons(kind, {name: rng.uniform(0.5, 2, units) for name in nir.CONSTANTS[kind]})


def same(one, other, tolerance=1e-6):
    assert len(one.layers) == len(other.layers)
    for a, b in zip(one.layers, other.layers, strict=True):
        assert a.stage == b.stage
        assert b.weight == pytest.approx(a.weight, rel=tolerance)
        assert b.bias == pytest.approx(a.bias, rel=tolerance)
        assert (a.neurons is None) == (b.neurons is None)
        if a.neurons:
            assert a.neurons.kind == b.neurons.kind
            for name in a.neurons.constants:
                units = a.stage.units
                assert b.neurons.each(name, units) == pytest.approx(a.neurons.each(name, units), rel=tolerance)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    units=st.lists(st.integers(1, 5), min_size=2, max_size=4),
    kinds=st.lists(st.sampled_from([*nir.CONSTANTS, None]), min_size=3, max_size=3),
)
def test_writing_and_reading_give_the_same_chain(seed, units, kinds, tmp_path_factory):
    """Files of our own making: nothing tries them out first, for which 25 are too many."""
    rng = np.random.default_rng(seed)
    layers = []
    for n, m, kind in zip(units[:-1], units[1:], kinds, strict=False):
        neurons = neurons_of(rng, kind, m) if kind else None
        layers.append(Layer(Dense(n, m), rng.normal(size=(n, m)), rng.normal(size=m), neurons, f"layer {n}/{m}"))
    model = Model(tuple(layers), {"dt": "0.001", "activation": "tanh"})
    path = tmp_path_factory.mktemp("nir") / "chain.nir"
    nir.save(path, model)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "_try_out", lambda path: None)
        back = nir.load(path)
    same(model, back)
    assert back.metadata == model.metadata
    assert back.network.label == model.network.label


def test_images_keep_their_places(tmp_path):
    """Two convolutions of several channels, a dense layer after them: sums as by the definition, in NIR's own order."""
    rng = np.random.default_rng(4)
    stages = [Convolution((6, 5, 2), 3, 3, 1, 1), Convolution((6, 5, 3), 4, 2, 2, 0), Dense(3 * 2 * 4, 5)]
    layers = []
    for index, stage in enumerate(stages):
        weight, bias = rng.normal(size=(stage.rows, stage.columns)), rng.normal(size=stage.columns)
        neurons = neurons_of(rng, "LIF", stage.units) if index < 2 else None
        layers.append(Layer(stage, weight, bias, neurons, f"n{index}"))
    model = Model(tuple(layers))
    nir.save(tmp_path / "images.nir", model)
    same(model, nir.load(tmp_path / "images.nir"))

    graph = reference.read(tmp_path / "images.nir")  # its own check of types passes
    image = rng.normal(size=(2, 6, 5))  # NIR: (channel, y, x)
    x = image
    for name in ("n0", "n1"):
        node = graph.nodes[name]
        (pad, _), (stride, _) = np.asarray(node.padding), np.asarray(node.stride)
        padded = np.pad(x, [(0, 0), (pad, pad), (pad, pad)])
        k = node.weight.shape[2]
        height, width = ((padded.shape[i] - k) // stride + 1 for i in (1, 2))
        out = np.empty((len(node.weight), height, width))
        for c in range(len(node.weight)):
            for i in range(height):
                for j in range(width):
                    patch = padded[:, i * stride : i * stride + k, j * stride : j * stride + k]
                    out[c, i, j] = (node.weight[c] * patch).sum() + node.bias[c]
        x = out
    theirs = graph.nodes["n2"].weight @ x.ravel() + graph.nodes["n2"].bias
    ours = np.moveaxis(image, 0, 2).reshape(1, -1)  # hwzo: (y, x, channel)
    for layer in model.layers:
        ours = layer.dense().weight.T @ ours.ravel() + layer.dense().bias
    assert ours == pytest.approx(theirs, rel=1e-5)
    # A neuron's constants belong to its place.
    tau = np.asarray(graph.nodes["neurons_0"].tau)
    assert tau.shape == (3, 6, 5)
    assert np.moveaxis(tau, 0, 2).ravel() == pytest.approx(model.layers[0].neurons.constants["tau"], rel=1e-6)


def test_a_perceptron_goes_there_and_back(tmp_path):
    network = Network((5, 4, 3), "sigmoid")
    theta = np.random.default_rng(1).normal(size=network.parameter_spec().size)
    nir.save(tmp_path / "mlp.nir", Model.of(network, theta))
    back = nir.load(tmp_path / "mlp.nir")
    assert back.network == network
    assert back.theta == pytest.approx(theta, rel=1e-6)
    doubled = back.with_theta(2 * back.theta)
    assert doubled.theta == pytest.approx(2 * back.theta)
    with pytest.raises(ConfigError, match="shape"):
        back.with_theta(theta[1:])
    with pytest.raises(ConfigError, match="recurrent"):
        Model.of(Network.parse("3x2-4r-2"), np.zeros(Network.parse("3x2-4r-2").parameter_spec().size))


@pytest.mark.parametrize("path", sorted(VECTORS.glob("*.nir")), ids=lambda path: path.stem)
def test_files_of_other_libraries_load(path):
    model = nir.load(path)
    graph = reference.read(path, type_check=False)
    weights = [node for node in graph.nodes.values() if hasattr(node, "weight")]
    assert sorted(layer.weight.size for layer in model.layers) == sorted(np.size(node.weight) for node in weights)
    assert all(layer.neurons is not None for layer in model.layers)
    assert "LIF" in repr(model)


def write(path, nodes, edges):
    graph = reference.NIRGraph(nodes=nodes, edges=edges, type_check=False)
    reference.write(path, graph, compression=None)
    return path


def parts():
    return {
        "input": reference.Input(np.array([3])),
        "fc": reference.Affine(np.ones((2, 3)), np.zeros(2)),
        "lif": reference.LIF(*(np.ones(2) for _ in range(4))),
        "output": reference.Output(np.array([2])),
    }


STRAIGHT = [("input", "fc"), ("fc", "lif"), ("lif", "output")]
CASES = {
    "an unknown node": (
        {"pool": reference.SumPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0]))},
        [("input", "fc"), ("fc", "pool"), ("pool", "lif"), ("lif", "output")],
        "node 'pool' is a SumPool2d; hwzo takes Linear, Affine, Conv2d",
    ),
    "a recurrent edge": ({}, [*STRAIGHT, ("lif", "fc")], "'lif' leads to 'output', 'fc'"),
    "a loop": ({"again": parts()["lif"]}, [("input", "fc"), ("fc", "lif"), ("lif", "fc")], "goes back"),
    "a branch": ({"other": parts()["lif"]}, [*STRAIGHT, ("fc", "other")], "'fc' leads to 'lif', 'other'"),
    "a dead end": ({}, STRAIGHT[:2], "'lif' leads nowhere"),
    "a loose node": ({"loose": parts()["lif"]}, STRAIGHT, "'loose' isn't on the way"),
    "an edge to nowhere": ({}, [*STRAIGHT, ("lif", "ghost")], "names a node that isn't there"),
    "two inputs": ({"input2": parts()["input"]}, STRAIGHT, "2 Input nodes"),
    "neurons first": ({}, [("input", "lif"), ("lif", "fc"), ("fc", "output")], r"'lif' \(LIF\) doesn't follow"),
    "no weights": ({}, [("input", "output")], "isn't on the way|no layer of weights"),
    "shapes": ({"fc": reference.Linear(np.ones((2, 4)))}, STRAIGHT, "'fc' takes 4 numbers"),
    "constants": ({"lif": reference.LIF(*(np.ones(5) for _ in range(4)))}, STRAIGHT, r"'lif': tau has shape \(5,\)"),
    "a time constant of 0": (
        {"lif": reference.LIF(np.zeros(2), *(np.ones(2) for _ in range(3)))},
        STRAIGHT,
        "'lif': LIF neurons: tau = 0",
    ),
    "infinity": ({"fc": reference.Linear(np.full((2, 3), np.inf))}, STRAIGHT, "'fc': weight or bias.*not finite"),
}


@pytest.mark.parametrize("name", CASES)
def test_what_isnt_taken_is_named(name, tmp_path):
    nodes, edges, words = CASES[name]
    path = write(tmp_path / "bad.nir", {**parts(), **nodes}, edges)
    with pytest.raises(ConfigError, match=words) as caught:
        nir.load(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"groups": 2}, "groups"),
        ({"dilation": 2}, "dilation"),
        ({"stride": np.array([1, 2])}, "differs by direction"),
        ({"weight": np.ones((2, 1, 3, 2))}, "square kernels"),
        ({"weight": np.ones((2, 3, 3, 3))}, "3 channels"),
        ({"padding": 3}, "padding 3"),
        ({"padding": "same", "weight": np.ones((2, 1, 2, 2))}, "odd kernel"),
    ],
)
def test_convolutions_that_arent_taken(change, word, tmp_path):
    usual = {"weight": np.ones((2, 1, 3, 3)), "stride": 1, "padding": 0, "dilation": 1, "groups": 1}
    conv = reference.Conv2d(input_shape=(4, 4), bias=np.zeros(2), **usual)
    for key, value in change.items():
        setattr(conv, key, value)
    nodes = {
        "input": reference.Input(np.array([1, 4, 4])),
        "conv": conv,
        "output": reference.Output(np.array([2, 2, 2])),
    }
    path = write(tmp_path / "bad.nir", nodes, [("input", "conv"), ("conv", "output")])
    with pytest.raises(ConfigError, match=rf"node 'conv'.*{word}"):
        nir.load(path)


def test_padding_by_name(tmp_path):
    for padding, expected in (("same", 1), ("valid", 0)):
        conv = reference.Conv2d((4, 4), np.ones((2, 1, 3, 3)), 1, padding, 1, 1, np.zeros(2))
        side = 4 if padding == "same" else 2
        nodes = {"input": reference.Input(np.array([1, 4, 4])), "conv": conv}
        nodes["output"] = reference.Output(np.array([2, side, side]))
        model = nir.load(write(tmp_path / f"{padding}.nir", nodes, [("input", "conv"), ("conv", "output")]))
        assert model.layers[0].stage.padding == expected


def test_files_that_are_none(tmp_path):
    with pytest.raises(FileError, match="there is no such file"):
        nir.load(tmp_path / "absent.nir")
    (tmp_path / "text.nir").write_text("not HDF5")
    with pytest.raises(FileError, match="can't be read"):
        nir.load(tmp_path / "text.nir")
    whole = (VECTORS / "snntorch-leaky.nir").read_bytes()
    (tmp_path / "cut.nir").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(FileError, match="can't be read"):
        nir.load(tmp_path / "cut.nir")
    with pytest.raises(FileError, match="can't be written"):
        nir.save(tmp_path / "no" / "folder.nir", nir.load(VECTORS / "snntorch-leaky.nir"))


def test_a_file_on_which_hdf5_loops_for_ever_is_damaged(tmp_path, monkeypatch):
    """One bit of it: a continuation of an object's header that leads to itself."""
    damaged = bytearray((VECTORS / "snntorch-leaky.nir").read_bytes())
    damaged[2400] ^= 0x80
    (tmp_path / "loop.nir").write_bytes(damaged)
    monkeypatch.setattr(reading, "READ_S", 2.0)
    with pytest.raises(FileError, match=r"loop\.nir is damaged: HDF5 doesn't come to its end within 2 s"):
        nir.load(tmp_path / "loop.nir")


@settings(max_examples=10, deadline=None, derandomize=True)
@given(
    name=st.sampled_from(sorted(path.name for path in VECTORS.glob("*.nir"))),
    flips=st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 7)), min_size=1, max_size=12),
)
def test_damaged_files_load_or_are_refused(name, flips, tmp_path_factory):
    """Bits of them are flipped: nothing but hwzo's own errors comes out."""
    damaged = bytearray((VECTORS / name).read_bytes())
    for where, bit in flips:
        damaged[where % len(damaged)] ^= 1 << bit
    path = tmp_path_factory.mktemp("damaged") / "damaged.nir"
    path.write_bytes(damaged)
    with pytest.MonkeyPatch.context() as patch, suppress(ConfigError):
        patch.setattr(reading, "READ_S", 2.0)
        assert nir.load(path).layers


def test_layers_that_dont_fit_each_other():
    with pytest.raises(ConfigError, match="'b' takes 4 numbers, and 'a' before it gives 2"):
        Model(
            tuple(
                Layer(Dense(n, m), np.ones((n, m)), np.zeros(m), name=name) for n, m, name in ((3, 2, "a"), (4, 1, "b"))
            )
        )
    with pytest.raises(ConfigError, match="at least one layer"):
        Model(())
    with pytest.raises(ConfigError, match="LIF neurons have constants tau, r"):
        Neurons("LIF", {"tau": np.ones(1)})
    with pytest.raises(ConfigError, match="not known"):
        Neurons("Izhikevich", {})
    with pytest.raises(ConfigError, match="pool"):
        Layer(Convolution((4, 4, 1), 2, 3, pool=2), np.ones((9, 2)), np.zeros(2), name="c")


def test_without_the_package_nir_the_command_that_installs_it_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "nir", None)
    with pytest.raises(ConfigError, match=r'pip install "hwzo\[nir\]"'):
        nir.load("any.nir")


def test_the_examples_of_the_page_run(tmp_path, monkeypatch):
    root = Path(__file__).parents[2]
    page = (root / "docs" / "nir.md").read_text(encoding="utf-8")
    blocks = [part.split("```")[0] for part in page.split("```python\n")[1:]]
    assert len(blocks) == 2
    (tmp_path / "tests").symlink_to(root / "tests")
    monkeypatch.chdir(tmp_path)
    for block in blocks:
        exec(compile(block, "docs/nir.md", "exec"), {})
    assert nir.load("trained.nir").layers[0].stage == nir.load("from-lava.nir").layers[0].stage
