"""Host-side references: forward gradients and Gauss-Newton steps against closed forms, and that they learn."""

import numpy as np
import pytest

import hwzo
from hwzo.directions import Directions
from hwzo.methods.forward_gradient import ForwardGradient, pushed_forward
from hwzo.methods.gauss_newton import GaussNewton, conjugate_gradients, curvature_product
from hwzo.methods.method import Record, Start
from hwzo.methods.registry import method_named
from hwzo.methods.settings import Settings
from hwzo.network import Network, output_gradient
from hwzo.probes import Batch

LABELS = ["5-4-4-3", "5x6x1-3c2-p2-4c2p1-a2-3", "4x3-5r-4-3"]


def problem(network, samples, seed=0):
    spec, rng = network.parameter_spec(), np.random.default_rng(seed)
    theta = spec.initial(rng) + 0.1 * rng.standard_normal(spec.size)
    inputs = rng.uniform(-1, 1, (samples, network.layers[0]))
    return theta, Batch(inputs, rng.integers(0, network.layers[-1], samples))


@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "relu"])
@pytest.mark.parametrize("label", LABELS)
def test_forward_mode_agrees_with_backpropagation(label, activation):
    """A derivative along a direction is the gradient's product with it, to rounding."""
    network = Network.parse(label, activation)
    theta, batch = problem(network, 7)
    direction = np.random.default_rng(1).standard_normal(theta.size)
    outputs, moved = pushed_forward(network, theta, direction, batch.inputs)
    np.testing.assert_allclose(outputs, network.forward(theta, batch.inputs)[-1], atol=1e-12)
    _, gradient = network.gradient(theta, batch.inputs, batch.targets, batch.loss)
    along = np.vdot(output_gradient(outputs, batch.targets, batch.loss), moved) / len(batch)
    assert along == pytest.approx(gradient @ direction, rel=1e-9)


def test_the_forward_gradient_is_unbiased_and_as_noisy_as_theory_says():
    """E[(g.v) v] = g, E|(g.v) v - g|^2 = (P + 1) |g|^2 for Gaussian v; each component within 4.5 errors (7e-6)."""
    network = Network.parse("5-4-3")
    theta, batch = problem(network, 10)
    _, gradient = network.gradient(theta, batch.inputs, batch.targets, batch.loss)
    rule = ForwardGradient(network, Directions("gaussian", network.parameter_spec(), key=5), 1)
    found = np.array([rule.descent({}, theta, batch, t)[2] for t in range(3000)])
    errors = found.std(axis=0, ddof=1) / np.sqrt(len(found))
    assert np.abs((found.mean(axis=0) - gradient) / errors).max() < 4.5
    squares = np.square(found - gradient).sum(axis=1) / (gradient @ gradient)
    assert abs(squares.mean() - (theta.size + 1)) < 4.5 * squares.std() / np.sqrt(len(squares))


def test_one_gauss_newton_step_solves_linear_least_squares():
    network, rng = Network((5, 3), "linear"), np.random.default_rng(2)
    batch = Batch(rng.uniform(-1, 1, (40, 5)), rng.standard_normal((40, 3)), "squared-error")
    theta = rng.standard_normal(18)
    rule = GaussNewton(network, 0.0, 100)
    _, loss, against = rule.descent(rule.begin(18), theta, batch, 0)
    with_bias = np.column_stack([batch.inputs, np.ones(40)])
    solution, *_ = np.linalg.lstsq(with_bias, batch.targets, rcond=None)
    np.testing.assert_allclose((theta - against).reshape(6, 3), solution, atol=1e-8)
    assert loss == pytest.approx(np.square(with_bias @ theta.reshape(6, 3) - batch.targets).mean())


def test_curvature_is_the_hessian_where_outputs_are_linear():
    """Softmax regression: Gauss-Newton's matrix is the Hessian, here by differences of exact gradients."""
    network = Network((4, 3), "linear")
    theta, batch = problem(network, 20)
    p, h = np.random.default_rng(3).standard_normal(theta.size), 1e-5
    ahead, behind = (
        network.gradient(theta + sign * h * p, batch.inputs, batch.targets, batch.loss)[1] for sign in (1, -1)
    )
    np.testing.assert_allclose(curvature_product(network, theta, p, batch), (ahead - behind) / (2 * h), atol=1e-9)


@pytest.mark.parametrize("label", LABELS)
def test_curvature_is_symmetric_and_nowhere_negative(label):
    network = Network.parse(label)
    theta, batch = problem(network, 7)
    one, two = np.random.default_rng(4).standard_normal((2, theta.size))
    first, second = (curvature_product(network, theta, p, batch) for p in (one, two))
    assert one @ second == pytest.approx(two @ first, rel=1e-9)
    assert min(one @ first, two @ second) >= 0.0


def test_conjugate_gradients_solve_in_as_many_steps_as_there_are_unknowns():
    rng = np.random.default_rng(5)
    root = rng.standard_normal((12, 8))
    matrix, right = root.T @ root, rng.standard_normal(8)
    np.testing.assert_allclose(conjugate_gradients(lambda p: matrix @ p, right, 8), np.linalg.solve(matrix, right))


def test_damping_follows_how_well_the_model_foretells():
    """Of a quadratic it foretells all; a step that would go uphill is not taken, and damping rises."""
    network, rng = Network((5, 3), "linear"), np.random.default_rng(6)
    batch = Batch(rng.uniform(-1, 1, (40, 5)), rng.standard_normal((40, 3)), "squared-error")
    state, _, _ = GaussNewton(network, 0.3, 50).descent({"damping": np.array([0.3])}, np.zeros(18), batch, 0)
    assert state["damping"][0] == pytest.approx(0.2)

    steep = Network((1, 1, 1), "tanh")
    one = Batch(np.array([[1.0]]), np.array([[3.0]]), "squared-error")
    theta = np.array([3.0, 0.0, 0.05, 0.0])  # flat tanh, tiny output weight: an undamped step is enormous
    state, _, against = GaussNewton(steep, 1e-9, 50).descent({"damping": np.array([1e-9])}, theta, one, 0)
    loss = np.square(steep.forward(theta - against, one.inputs)[-1] - 3.0).mean()
    assert loss <= np.square(steep.forward(theta, one.inputs)[-1] - 3.0).mean()


def test_gauss_newton_learns_letters_in_a_few_steps(tmp_path):
    """A hundredth of a first-order method's steps; the bar is far above chance, 0.25, and below what was measured."""
    device = "crossbar:ideal?dac_bits=0&adc_bits=0"
    given = {"method": "gauss-newton", "budget": "10 evaluations", "batch": 250}
    result = hwzo.train("nist7x7", device, run=tmp_path / "run", **given)
    assert result.exploration == "none"
    assert result.test_accuracy > 0.9


def test_the_forward_gradient_learns_xor(tmp_path):
    result = hwzo.train(
        "parity-2", "crossbar:ideal", method="forward-gradient", budget="1500 evaluations", run=tmp_path / "run"
    )
    assert result.test_accuracy == 1.0


@pytest.mark.parametrize("name", ["forward-gradient", "gauss-newton"])
def test_a_recorded_step_is_taken_again_bit_for_bit(name):
    device = hwzo.connect("crossbar:ideal?layers=5-4-3&seed=1")
    theta, batch = problem(Network.parse("5-4-3"), 10)
    theta = device.parameters.clip(theta)
    device.program(theta)
    method = method_named(name).build(Settings(), Start(device, theta, batch, key=1))
    state = method.begin(theta.size)
    outcome = method.step(device, theta, state, batch, 0, 0.0)
    record = Record(0, outcome.evidence.losses, outcome.evidence.counters, np.zeros(1), outcome.rate, outcome.gradient)
    again, _ = method.replay(theta, state, record)
    np.testing.assert_array_equal(again, outcome.theta)
