"""The network as plain arrays: against arithmetic by hand, finite differences and SciPy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, log_softmax

from hwzo.errors import ConfigError
from hwzo.network import Network, accuracy, output_gradient, sample_losses


def test_forward_is_a_sum_of_products():
    # 2-2-1 by hand: hidden = tanh([1*x0 - 1*x1 + .5, 2*x0 + 0*x1 - 1]), output = 3*h0 - 2*h1 + .25.
    theta = np.array([1.0, 2.0, -1.0, 0.0, 0.5, -1.0, 3.0, -2.0, 0.25])
    x0, x1 = 0.3, -0.7
    hidden, output = Network((2, 2, 1)).forward(theta, np.array([[x0, x1]]))
    np.testing.assert_allclose(hidden, [[x0 - x1 + 0.5, 2 * x0 - 1]], rtol=1e-15)
    np.testing.assert_allclose(output, [[3 * np.tanh(x0 - x1 + 0.5) - 2 * np.tanh(2 * x0 - 1) + 0.25]], rtol=1e-15)


def test_blocks_are_the_specs_tensors():
    network = Network((3, 4, 2))
    spec = network.parameter_spec(window=2.0)
    theta = np.random.default_rng(0).standard_normal(spec.size)
    views = spec.views(theta)
    for index, block in enumerate(network.blocks(theta)):
        np.testing.assert_array_equal(block[:-1], views[f"{index}.weight"])
        np.testing.assert_array_equal(block[-1], views[f"{index}.bias"])
    assert {tensor.upper for tensor in spec.tensors} == {2.0}
    assert spec.tensors[0].initial_sd == pytest.approx(3**-0.5)


@pytest.mark.parametrize("activation", ["tanh", "relu", "sigmoid", "linear", "lif-rate"])
@pytest.mark.parametrize("loss", ["cross-entropy", "squared-error"])
def test_gradient_is_the_central_difference(activation, loss):
    rng = np.random.default_rng(3)
    network = Network((5, 4, 6, 3), activation)
    theta = 0.7 * rng.standard_normal(network.parameter_spec().size)
    inputs = rng.uniform(-1, 1, (7, 5))
    targets = rng.integers(0, 3, 7) if loss == "cross-entropy" else rng.uniform(0, 1, (7, 3))

    def mean_loss(at):
        return sample_losses(network.forward(at, inputs)[-1], targets, loss).mean()

    value, gradient = network.gradient(theta, inputs, targets, loss)
    assert value == pytest.approx(mean_loss(theta), rel=1e-14)
    h = 1e-5
    steps = h * np.eye(len(theta))
    numeric = np.array([(mean_loss(theta + step) - mean_loss(theta - step)) / (2 * h) for step in steps])
    # Truncation h^2/6 * f''' and rounding eps/h, both about 1e-10 here.
    np.testing.assert_allclose(gradient, numeric, atol=1e-8)


@given(st.integers(1, 5), st.integers(1, 4), st.integers(2, 6), st.floats(0.1, 300.0), st.integers(0, 999))
def test_cross_entropy_is_scipys(passes, batch, classes, size, seed):
    rng = np.random.default_rng(seed)
    outputs = size * rng.standard_normal((passes, batch, classes))
    targets = rng.integers(0, classes, batch)
    expected = -log_softmax(outputs, axis=-1)[:, np.arange(batch), targets]
    np.testing.assert_allclose(sample_losses(outputs, targets, "cross-entropy"), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("loss", ["cross-entropy", "squared-error"])
def test_output_gradient_is_the_derivative_of_the_loss(loss):
    rng = np.random.default_rng(0)
    outputs = rng.standard_normal((2, 4, 3))  # of two passes
    targets = rng.integers(0, 3, 4) if loss == "cross-entropy" else rng.uniform(0, 1, (4, 3))
    h, got = 1e-6, output_gradient(outputs, targets, loss)
    for unit in range(3):
        step = h * np.eye(3)[unit]
        difference = sample_losses(outputs + step, targets, loss) - sample_losses(outputs - step, targets, loss)
        np.testing.assert_allclose(got[..., unit], difference / (2 * h), atol=1e-8)


def test_sigmoid_is_the_logistic_function_far_out_too():
    network = Network((1, 1, 1), "sigmoid")
    a = np.array([[-800.0], [-1.0], [0.0], [2.0], [800.0]])
    out = network.forward(np.array([1.0, 0.0, 1.0, 0.0]), a)[-1]
    np.testing.assert_allclose(out, expit(a), rtol=1e-12, atol=1e-300)


def test_accuracy_of_classes_and_of_sides():
    outputs = np.array([[1.0, 2.0], [3.0, 0.0], [0.0, 1.0], [0.5, 0.4]])
    assert accuracy(outputs, np.array([1, 0, 0, 0]), "cross-entropy") == 0.75
    targets = np.array([[0.0], [1.0], [1.0], [0.0]])
    assert accuracy(np.array([[0.4], [0.6], [0.3], [-2.0]]), targets, "squared-error") == 0.75
    stacked = accuracy(np.stack([outputs, -outputs]), np.array([1, 0, 0, 0]), "cross-entropy")
    np.testing.assert_array_equal(stacked, [0.75, 0.25])


@given(st.lists(st.integers(1, 2000), min_size=2, max_size=6).map(tuple))
def test_label_and_parse_are_each_others_inverse(layers):
    assert Network.parse(Network(layers).label) == Network(layers)


@pytest.mark.parametrize("layers", ["64", "", "64-", "64-0-10", "64-x-10", "64--10", "6.4-10"])
def test_layers_that_are_none_are_refused(layers):
    with pytest.raises(ConfigError) as caught:
        Network.parse(layers)
    assert caught.value.key == "layers"


def test_an_unknown_activation_lists_those_there_are():
    with pytest.raises(ConfigError, match="tanh, relu, sigmoid, linear, lif-rate") as caught:
        Network.parse("2-1", "swish")
    assert caught.value.key == "activation"
