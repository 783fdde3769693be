"""Node perturbation from two noisy passes against backpropagation; the passes here are made by their own forward code.

Means over independent repeats are compared within 4.5 standard errors, a false-alarm rate of 7e-6 a comparison.
"""

import numpy as np
import pytest

from hwzo.errors import CapabilityError, ConfigError
from hwzo.estimate import node_gradient
from hwzo.network import Network, sample_losses

NETWORK = Network.parse("5-4-4-3")
SPEC = NETWORK.parameter_spec()


def problem(batch, seed=0):
    rng = np.random.default_rng(seed)
    theta = SPEC.initial(rng) + 0.1 * rng.standard_normal(SPEC.size)
    return theta, rng.uniform(-1, 1, (batch, 5)), rng.integers(0, 3, batch)


def noisy_passes(theta, inputs, targets, deviations, rng):
    """Two passes with fresh noise at every node, carried on through the layers."""
    views, nodes = SPEC.views(theta), []
    x = np.stack([inputs, inputs])
    for index, sd in enumerate(deviations):
        a = x @ views[f"{index}.weight"] + views[f"{index}.bias"]
        a = a + sd * rng.standard_normal(a.shape)
        nodes.append(a)
        x = np.tanh(a)
    return tuple(nodes), sample_losses(nodes[-1], np.stack([targets, targets])[0], "cross-entropy")


def test_mean_over_many_repeats_is_backpropagations_gradient():
    """59 parameters in the small-noise limit, unlike noise in each layer; every component within 4.5 errors."""
    theta, inputs, targets = problem(20)
    _, gradient = NETWORK.gradient(theta, inputs, targets, "cross-entropy")
    rng, deviations = np.random.default_rng(1), (1e-3, 2e-3, 5e-4)
    estimates = np.array(
        [
            node_gradient(NETWORK, theta, inputs, *noisy_passes(theta, inputs, targets, deviations, rng))[0]
            for _ in range(3000)
        ]
    )
    scores = (estimates.mean(axis=0) - gradient) / (estimates.std(axis=0, ddof=1) / np.sqrt(len(estimates)))
    assert np.abs(scores).max() < 4.5
    share = estimates @ gradient / (gradient @ gradient)
    assert abs(share.mean() - 1.0) < 4.5 * share.std() / np.sqrt(len(share))
    assert share.std() / np.sqrt(len(share)) < 0.05  # the test above could tell a wrong factor from 1


def test_measured_deviations_are_the_noises():
    """A layer's v is a mean of batch x units chi-squares: relative standard error of the sd 1 / sqrt(2 batch units)."""
    theta, inputs, targets = problem(2000)
    rng, deviations = np.random.default_rng(2), np.array([0.02, 0.1, 0.05])
    _, found = node_gradient(NETWORK, theta, inputs, *noisy_passes(theta, inputs, targets, deviations, rng))
    errors = 1 / np.sqrt(2 * 2000 * np.array(NETWORK.layers[1:]))
    assert (np.abs(found / deviations - 1) < 4.5 * errors).all()


@pytest.mark.parametrize("label", ["5x6x1-3c2-p2-4c2p1-a2-3", "4x3-5r-3", "4x3-4r-4-3"])
def test_mean_is_backpropagations_gradient_for_convolution_and_recurrence(label):
    """In the small-noise limit, unlike noise in each layer; at most 145 components, each within 4.5 errors: a false
    alarm at 1e-3 a network."""
    network = Network.parse(label)
    spec, rng = network.parameter_spec(), np.random.default_rng(8)
    theta = spec.initial(rng) + 0.1 * rng.standard_normal(spec.size)
    inputs, targets = rng.uniform(-1, 1, (12, network.layers[0])), rng.integers(0, 3, 12)
    _, gradient = network.gradient(theta, inputs, targets, "cross-entropy")
    deviations = np.array([1e-5, 2e-5, 5e-6][: len(network.stages)])

    def once():
        nodes, x = [], np.stack([inputs, inputs])
        for stage, block, sd in zip(network.stages, network.blocks(theta), deviations, strict=True):

            def read(driven, block=block, sd=sd):
                clean = driven @ block[:-1] + block[-1]
                return clean + sd * rng.standard_normal(clean.shape)

            nodes.append(stage.run(x, read, np.tanh))
            x = stage.passed(nodes[-1], np.tanh)
        return node_gradient(network, theta, inputs, nodes, sample_losses(nodes[-1], targets, "cross-entropy"))

    found = [once() for _ in range(3000)]
    estimates = np.array([estimate for estimate, _ in found])
    scores = (estimates.mean(axis=0) - gradient) / (estimates.std(axis=0, ddof=1) / np.sqrt(len(estimates)))
    assert np.abs(scores).max() < 4.5
    share = estimates @ gradient / (gradient @ gradient)
    assert abs(share.mean() - 1.0) < 4.5 * share.std() / np.sqrt(len(share))
    assert share.std() / np.sqrt(len(share)) < 0.05  # the test above could tell a wrong factor from 1
    measured = np.sqrt(np.mean([np.square(each) for _, each in found], axis=0))
    np.testing.assert_allclose(measured, deviations, rtol=4.5 / np.sqrt(2 * 3000 * 12 * 3))


def test_error_falls_with_the_number_of_samples():
    """The same 25 samples once and four times over, noise always fresh: the error's energy falls to a quarter."""
    theta, inputs, targets = problem(25)
    _, gradient = NETWORK.gradient(theta, inputs, targets, "cross-entropy")
    rng, deviations, energies, cosines = np.random.default_rng(3), (0.01, 0.01, 0.01), [], []
    for times in (1, 4):
        x, y = np.tile(inputs, (times, 1)), np.tile(targets, times)
        found = np.array(
            [node_gradient(NETWORK, theta, x, *noisy_passes(theta, x, y, deviations, rng))[0] for _ in range(1200)]
        )
        energies.append(np.square(found - gradient).sum(axis=1))
        cosines.append(np.mean(found @ gradient / np.linalg.norm(found, axis=1)) / np.linalg.norm(gradient))
    errors = [e.std() / e.mean() / np.sqrt(len(e)) for e in energies]
    ratio = energies[0].mean() / energies[1].mean()
    # v is measured on the same samples, which costs about 2 / (batch x units) of the energy: 2% here.
    assert abs(ratio / 4 - 1) < 4.5 * np.hypot(*errors) + 0.02
    # The cosine's law, 1/cos^2 - 1 ~ 1/samples, so that it grows as the square root while it is small.
    assert (cosines[0] ** -2 - 1) / (cosines[1] ** -2 - 1) == pytest.approx(4.0, rel=0.1)


def test_linear_network_with_squared_error_is_exact_to_second_order():
    """One layer, squared error: L(1) - L(2) = (a1 - a2) . (slope at the mean), so g is known for any noise."""
    network = Network.parse("3-2", "linear")
    rng = np.random.default_rng(4)
    theta, inputs, targets = rng.standard_normal(8), rng.standard_normal((6, 3)), rng.standard_normal((6, 2))
    clean = network.forward(theta, inputs)[0]
    nodes = clean + 0.3 * rng.standard_normal((2, 6, 2))
    losses = sample_losses(nodes, targets, "squared-error")
    got, (sd,) = node_gradient(network, theta, inputs, (nodes,), losses)
    noise, middle = nodes[0] - nodes[1], nodes.mean(axis=0)
    change = np.sum((middle - targets) * noise, axis=1)  # mean over 2 units of 2 (a - y)
    delta = change[:, None] * noise / np.mean(noise**2)
    expected = np.concatenate([(inputs.T @ delta / 6).ravel(), delta.mean(axis=0)])
    assert np.allclose(got, expected, rtol=1e-10)
    assert sd == pytest.approx(np.sqrt(np.mean(noise**2) / 2))


def test_nothing_that_was_passed_in_is_changed():
    theta, inputs, targets = problem(4)
    nodes, losses = noisy_passes(theta, inputs, targets, (0.1, 0.1, 0.1), np.random.default_rng(5))
    held = [theta.copy(), inputs.copy(), losses.copy(), *(n.copy() for n in nodes)]
    node_gradient(NETWORK, theta, inputs, nodes, losses)
    assert all(np.array_equal(a, b) for a, b in zip(held, [theta, inputs, losses, *nodes], strict=True))


def test_a_device_without_node_noise_is_told():
    theta, inputs, targets = problem(4)
    nodes, losses = noisy_passes(theta, inputs, targets, (0.1, 0.0, 0.0), np.random.default_rng(6))
    with pytest.raises(CapabilityError, match=r"layer 1 .* weight perturbation"):  # layer 0's only is passed on
        node_gradient(NETWORK, theta, inputs, nodes, losses)
    nodes, losses = noisy_passes(theta, inputs, targets, (0.0, 0.1, 0.1), np.random.default_rng(6))
    with pytest.raises(CapabilityError, match=r"layer 0 .* weight perturbation"):
        node_gradient(NETWORK, theta, inputs, nodes, losses)


def test_shapes_that_do_not_fit_are_refused():
    theta, inputs, targets = problem(4)
    nodes, losses = noisy_passes(theta, inputs, targets, (0.1, 0.1, 0.1), np.random.default_rng(7))
    for wrong_nodes, wrong_losses in ((nodes[:2], losses), (nodes, losses.mean(axis=1)), (nodes[::-1], losses)):
        with pytest.raises(ConfigError, match="two passes of 5-4-4-3 over 4 samples"):
            node_gradient(NETWORK, theta, inputs, wrong_nodes, wrong_losses)
