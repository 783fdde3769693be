"""Convolution and recurrence against SciPy, loops written out, and finite differences."""

import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from scipy.signal import correlate

from hwzo.errors import ConfigError
from hwzo.network import ACTIVATIONS, LIF_RATIO, LIF_STEEPEST, Network, sample_losses
from hwzo.stages import Convolution, Dense, Recurrent

MIXED = ["6x6x2-3c3s2p1-a2-4", "5x5x2-3c2-p2-4c2p1-3", "7x8x1-2c3p2-a2-3c2s2-2", "4x3-5r-4-2", "5x3x1-4"]


def problem(label, seed=0, batch=5, activation="tanh"):
    network = Network.parse(label, activation)
    rng = np.random.default_rng(seed)
    theta = 0.7 * rng.standard_normal(network.parameter_spec().size)
    inputs = rng.uniform(-1, 1, (batch, network.layers[0]))
    return network, theta, inputs, rng.integers(0, network.layers[-1], batch)


@st.composite
def convolutions(draw):
    kernel = draw(st.integers(1, 4))
    padding = draw(st.integers(0, kernel - 1))
    side = st.integers(max(1, kernel - 2 * padding), 8)
    image = (draw(side), draw(side), draw(st.integers(1, 3)))
    whole = Convolution(image, draw(st.integers(1, 4)), kernel, draw(st.integers(1, 3)), padding)
    most = min(whole.positions)
    pool = draw(st.integers(1, most))
    pooling = draw(st.sampled_from("pa")) if pool > 1 else "p"
    return Convolution(image, whole.columns, kernel, whole.stride, padding, pool, pooling)


@given(convolutions(), st.integers(0, 99))
@settings(deadline=None)
def test_a_convolution_is_scipys_correlation_and_its_pool_a_loop(stage, seed):
    rng = np.random.default_rng(seed)
    height, width, channels = stage.image
    x = rng.standard_normal((2, stage.n_in))
    kernels = rng.standard_normal((stage.kernel, stage.kernel, channels, stage.columns))
    matrix = kernels.reshape(stage.rows, stage.columns)
    nodes = stage.run(x, lambda driven: driven @ matrix, np.tanh)
    passed = stage.passed(nodes, np.tanh)

    edge, s, k = stage.padding, stage.stride, stage.pool
    square = np.max if stage.pooling == "p" else np.mean
    for sample in range(2):
        image = np.pad(x[sample].reshape(height, width, channels), ((edge, edge), (edge, edge), (0, 0)))
        found = nodes[sample].reshape(*stage.positions, stage.columns)
        for column in range(stage.columns):
            expected = correlate(image, kernels[..., column], mode="valid", method="direct")[::s, ::s, 0]
            np.testing.assert_allclose(found[..., column], expected, atol=1e-12)
            for y, across in np.ndindex(stage.output[:2]):
                part = np.tanh(expected[y * k : y * k + k, across * k : across * k + k])
                got = passed[sample].reshape(stage.output)[y, across, column]
                assert got == pytest.approx(square(part), abs=1e-12)


def test_recurrence_is_the_loop_it_says():
    network, theta, inputs, _ = problem("4x3-5r-2")
    views = network.parameter_spec().views(theta)
    in_, back = views["0.weight"][:3], views["0.weight"][3:]
    nodes, output = network.forward(theta, inputs)
    for sample in range(len(inputs)):
        h = np.zeros(5)
        for step, x in enumerate(inputs[sample].reshape(4, 3)):
            a = x @ in_ + h @ back + views["0.bias"]
            np.testing.assert_allclose(nodes[sample].reshape(4, 5)[step], a, atol=1e-14)
            h = np.tanh(a)
        np.testing.assert_allclose(output[sample], h @ views["1.weight"] + views["1.bias"], atol=1e-14)


@pytest.mark.parametrize("label", MIXED)
@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "relu"])
def test_gradient_is_the_central_difference(label, activation):
    network, theta, inputs, targets = problem(label, activation=activation)
    value, gradient = network.gradient(theta, inputs, targets, "cross-entropy")
    h = 1e-6
    steps = np.concatenate([h * np.eye(len(theta)), -h * np.eye(len(theta))])
    losses = sample_losses(network.forward(theta + steps, inputs)[-1], targets, "cross-entropy").mean(axis=-1)
    ahead, behind = losses.reshape(2, -1)
    # Rounding is about eps/h = 2e-10; kinks of relu and of the largest of a square are hit with negligible chance.
    np.testing.assert_allclose(gradient, (ahead - behind) / (2 * h), atol=1e-8)
    here = sample_losses(network.forward(theta, inputs)[-1], targets, "cross-entropy").mean()
    assert value == pytest.approx(here, rel=1e-14)


@pytest.mark.parametrize("label", MIXED)
def test_probes_at_once_are_probes_one_by_one(label):
    network, theta, inputs, _ = problem(label)
    probes = theta + 0.1 * np.random.default_rng(1).standard_normal((3, len(theta)))
    together = network.forward(probes, inputs)
    for index, probe in enumerate(probes):
        for layer, alone in zip(together, network.forward(probe, inputs), strict=True):
            np.testing.assert_allclose(layer[index], alone, rtol=1e-12, atol=1e-12)
    assert [layer.shape for layer in together] == [(3, len(inputs), units) for units in network.layers[1:]]


@pytest.mark.parametrize("label", MIXED)
def test_driven_rows_times_the_matrix_are_the_nodes(label):
    """Also where only the nodes, not the input, have an axis of probes."""
    network, theta, inputs, _ = problem(label)
    blocks = network.blocks(theta + 0.1 * np.random.default_rng(1).standard_normal((3, len(theta))))
    nodes = network.forward(np.concatenate([b.reshape(3, -1) for b in blocks], axis=1), inputs)
    x = inputs
    for stage, block, layer in zip(network.stages, blocks, nodes, strict=True):
        driven = stage.driven(x, layer, np.tanh)
        assert driven.shape[-2:] == (stage.reads, stage.rows)
        again = driven @ block[:, None, :-1] + block[:, None, -1:]
        np.testing.assert_allclose(again.reshape(layer.shape), layer, rtol=1e-12, atol=1e-12)
        x = stage.passed(layer, np.tanh)
        assert x.shape[-1] == stage.n_out


@pytest.mark.parametrize("label", MIXED)
def test_what_is_not_heard_changes_nothing(label):
    """And what is heard does, to first order, wherever the activation isn't flat."""
    network, theta, inputs, _ = problem(label)
    for stage, nodes in zip(network.stages[:-1], network.forward(theta, inputs), strict=False):
        heard = stage.heard(nodes, np.tanh)
        moves = np.zeros(nodes.shape, dtype=bool)
        for unit in range(stage.units):
            moved = nodes.copy()
            moved[:, unit] += 1e-7
            changed = stage.passed(moved, np.tanh) != stage.passed(nodes, np.tanh)
            moves[:, unit] = changed.any(axis=1)
        if isinstance(stage, Recurrent):  # earlier states matter, but by way of the matrix
            assert heard is None
        else:
            np.testing.assert_array_equal(moves, True if heard is None else heard)


@pytest.mark.parametrize("stage", [Dense(7, 3), Convolution((5, 4, 2), 3, 2, 2, 1), Recurrent(3, 4, 2)])
def test_inward_is_the_transposed_map(stage):
    """<delta, reads of x> = <inward(delta), x>: for a recurrent layer with the states held fixed."""
    rng = np.random.default_rng(0)
    x, weight = rng.standard_normal((2, stage.n_in)), rng.standard_normal((stage.rows, stage.columns))
    delta = rng.standard_normal((2, stage.reads, stage.columns))
    driven = stage.driven(x, np.zeros((2, stage.units)), np.tanh)
    np.testing.assert_allclose(np.vdot(delta, driven @ weight), np.vdot(stage.inward(delta, weight), x), rtol=1e-12)


def test_a_recurrent_layer_reads_step_by_step_and_others_once():
    for label, calls in (("4x3-5r-2", [(5, 1, 8)] * 4), ("5x5x1-2c3-2", [(5, 9, 9)])):
        network, _, inputs, _ = problem(label)
        stage, seen = network.stages[0], []

        def read(driven, columns=stage.columns, seen=seen):
            seen.append(driven.shape)
            return np.zeros((*driven.shape[:-1], columns))

        stage.run(inputs, read, np.tanh)
        assert seen == calls


# --- in a line ---


def test_the_networks_of_the_papers():
    """McCaughan et al. 2023, https://doi.org/10.1063/5.0157645: 14,378 parameters; 28, 26, 13, 11, 5, 3, 1 pixels."""
    network = Network.parse("28x28x1-16c3-p2-32c3-p2-32c3-p2-10")
    sizes = [(stage.rows + 1) * stage.columns for stage in network.stages]
    assert sizes == [160, 4640, 9248, 330]
    assert network.parameter_spec().size == 14378
    assert network.layers == (784, 26 * 26 * 16, 11 * 11 * 32, 3 * 3 * 32, 10)
    recurrent = Network.parse("28x28-64r-10")
    assert recurrent.layers == (784, 28 * 64, 10)
    assert recurrent.parameter_spec().size == (28 + 64 + 1) * 64 + 65 * 10
    assert recurrent.parameter_spec().tensors[0].initial_sd == pytest.approx(92**-0.5)


@st.composite
def labels(draw):
    tokens = [draw(st.sampled_from(["20", "6x5", "12x11x2"]))]
    if tokens[0] == "6x5" and draw(st.booleans()):
        tokens.append(f"{draw(st.integers(1, 99))}r")
    if tokens[0] == "12x11x2":
        for _ in range(draw(st.integers(0, 2))):
            stride, padding = draw(st.sampled_from(["", "s2"])), draw(st.sampled_from(["", "p1"]))
            tokens.append(f"{draw(st.integers(1, 9))}c2{stride}{padding}")
            tokens += draw(st.sampled_from([[], ["p2"], ["a2"]]))
    tokens += [str(n) for n in draw(st.lists(st.integers(1, 99), min_size=1, max_size=3))]
    return "-".join(tokens)


@given(labels())
def test_label_and_parse_are_each_others_inverse(label):
    try:
        network = Network.parse(label, "relu")
    except ConfigError:
        reject()  # two strides and two pools leave nothing of 12 x 11 pixels
    assert Network.parse(network.label, "relu") == network
    if any(mark in label for mark in "rc"):
        assert network.label == label
    else:  # an image that is only seen as a whole is so many numbers
        assert network.stages == Network(network.layers).stages


def test_a_perceptron_is_the_same_however_it_is_made():
    assert Network.parse("064-32-10") == Network((64, 32, 10))
    assert Network.parse("28x28x1-10") == Network((784, 10))
    assert hash(Network.parse("64-10")) == hash(Network((64, 10)))


@pytest.mark.parametrize(
    ("label", "says"),
    [
        ("28x28x1-16c3-p2", "'p2': the last layer"),
        ("28x28-64r", "'64r': the last layer"),
        ("28x28x1-64c3", "'64c3': the last layer"),
        ("28x28x1-16c29-10", "29x29 kernel is larger than its 28x28 image; at most 28"),
        ("8x6x1-2c9p1-10", "with padding 1; at most 8 fits"),
        ("8x6x1-2c3p3-10", "padding 3 must be less than the kernel's side, 3"),
        ("784-64-p2-10", "'p2': a pool follows a convolution, not '64'"),
        ("28x28x1-p2-10", "'p2': a pool follows a convolution, not '28x28x1'"),
        ("28x28x1-4c3-p2-a2-10", "'a2': a pool follows a convolution, not 'p2'"),
        ("28x28x1-4c3-p27-10", "must be 2 to 26"),
        ("28x28x1-4c3-p1-10", "must be 2 to 26"),
        ("28x28x1-64r-10", "'64r': a recurrent layer comes first, after an input of steps x features"),
        ("28x28-64r-64r-10", "'64r': a recurrent layer comes first"),
        ("28x28x1-4c3-8r-10", "'8r': a recurrent layer comes first"),
        ("784-16c3-10", "'16c3': a convolution needs an image of height x width x channels, and is given 784"),
        ("28x28-16c3-10", "and is given 28x28"),
        ("28x28x1-16c0-10", "'16c0': needs at least one"),
        ("28x28x1-16c3s0-10", "'16c3s0': needs at least one"),
        ("28x0-4r-10", "'28x0': needs at least one"),
        ("28x28x1x1-10", "not of the form"),
        ("28x28-64q-10", "'64q': is not of the form"),
        ("28x28-p-10", "'p': is not of the form"),
    ],
)
def test_a_token_that_does_not_fit_is_named(label, says):
    with pytest.raises(ConfigError) as caught:
        Network.parse(label)
    assert caught.value.key == "layers"
    assert says in str(caught.value)


@given(st.text(alphabet="0123456789xcrspa- ", max_size=30))
def test_any_text_is_a_network_or_refused_by_key(text):
    refused = None
    try:
        network = Network.parse(text)
    except ConfigError as error:
        refused = error
    else:
        assert Network.parse(network.label) == network
    assert refused is None or refused.key == "layers"


def test_layers_that_are_not_the_stages_are_refused():
    with pytest.raises(ConfigError, match=r"Network\.parse") as caught:
        Network((784, 11, 10), "tanh", Network.parse("28x28-64r-10").stages)
    assert caught.value.key == "layers"


# --- a neuron ---


def test_lif_rate_is_the_rate_of_a_simulated_neuron():
    """Euler steps of tau dv/dt = -v + input, threshold 1, reset 0, rest for t_ref: steps of 1e-4 t_ref, 200 spikes.

    Both ends of the interval round to a step, and Euler's error is of first order: 1e-3 relative is allowed.
    """
    activate, _ = ACTIVATIONS["lif-rate"]
    drive = np.array([-0.5, 0.0, 0.05, 0.3, 1.0, 4.0])
    dt, steps = 1e-4, 400_000
    potential, resting = np.zeros_like(drive), np.zeros_like(drive)
    first, last, spikes = np.zeros_like(drive), np.zeros_like(drive), np.zeros_like(drive)
    for step in range(steps):
        awake = resting <= 0
        potential = np.where(awake, potential + dt / LIF_RATIO * (drive + 1.0 - potential), 0.0)
        resting -= dt
        fired = potential > 1.0
        if fired.any():
            first = np.where(fired & (spikes == 0), step, first)
            last = np.where(fired, step, last)
            spikes += fired
            resting = np.where(fired, 1.0 - dt / 2, resting)
            potential = np.where(fired, 0.0, potential)
    rate = np.where(spikes > 1, (spikes - 1) / np.maximum(last - first, 1) / dt, 0.0)  # a time unit is t_ref
    np.testing.assert_allclose(activate(drive), rate, rtol=1e-3)
    assert (spikes[:2] == 0).all()


def test_lif_slope_is_its_derivative_but_for_the_steepest_part():
    activate, slope = ACTIVATIONS["lif-rate"]
    a = np.concatenate([-np.logspace(-3, 2, 20), np.logspace(-5, 3, 60)])
    h = 1e-6 * np.abs(a)
    true = (activate(a + h) - activate(a - h)) / (2 * h)
    with np.errstate(divide="raise", over="raise", invalid="raise"):
        got = slope(activate(a))
    np.testing.assert_allclose(got, np.minimum(true, LIF_STEEPEST), rtol=1e-4, atol=1e-9)
    assert got.max() == LIF_STEEPEST
    with np.errstate(divide="raise", over="raise", invalid="raise"):
        far = activate(np.array([-np.inf, -1e308, -0.0, 0.0, 5e-324, 1e308]))
    assert (far[:4] == 0).all()
    assert far[-1] == 1.0
    assert (slope(far[:4]) == 0).all()
