"""Node methods' estimates against mathematics; passes here are made by forward code of their own.

Means over independent repeats are compared within 4.5 standard errors, a false-alarm rate of 7e-6 a comparison.
"""

import numpy as np
import pytest

from hwzo.errors import CapabilityError, ConfigError
from hwzo.estimate.nodes import node_gradient
from hwzo.estimate.nodes_decorrelation import decorrelated, preconditioned
from hwzo.estimate.nodes_passes import activity_changes, credit, own_noise
from hwzo.explore.evidence import Nodes
from hwzo.methods.anp import ActivityPerturbation, activity_gradient
from hwzo.methods.danp import DecorrelatedPerturbation
from hwzo.methods.hebbian import RewardedHebb
from hwzo.methods.learned_feedback import LearnedFeedback
from hwzo.methods.node_perturbation import NodePerturbation
from hwzo.methods.nrl import RewardModulation
from hwzo.network import ACTIVATIONS, Network, output_gradient, sample_losses
from hwzo.probes import Batch
from hwzo.update import UPDATES

LABELS = ["5-4-4-3", "5x6x1-3c2-p2-4c2p1-a2-3", "4x3-5r-3"]


def problem(network, samples, seed=0):
    spec, rng = network.parameter_spec(), np.random.default_rng(seed)
    theta = spec.initial(rng) + 0.1 * rng.standard_normal(spec.size)
    inputs = rng.uniform(-1, 1, (samples, network.layers[0]))
    return theta, Batch(inputs, rng.integers(0, network.layers[-1], samples))


def passes(network, theta, batch, deviations, count, rng):
    """Nodes of noisy passes, the noise of one layer carried on to the next."""
    activate, _ = ACTIVATIONS[network.activation]
    nodes, x = [], np.stack([batch.inputs] * count)
    for stage, block, sd in zip(network.stages, network.blocks(theta), deviations, strict=True):

        def read(driven, block=block, sd=sd):
            clean = driven @ block[:-1] + block[-1]
            return clean + sd * rng.standard_normal(clean.shape)

        nodes.append(stage.run(x, read, activate))
        x = stage.passed(nodes[-1], activate)
    return Nodes(tuple(nodes), sample_losses(nodes[-1], batch.targets, batch.loss), batch.inputs)


def scores(estimates, expected):
    estimates = np.asarray(estimates)
    return (estimates.mean(axis=0) - expected) / (estimates.std(axis=0, ddof=1) / np.sqrt(len(estimates)) + 1e-300)


def share(estimates, expected):
    """How much of ``expected`` the mean estimate holds, and the standard error of that."""
    each = np.asarray(estimates) @ expected / (expected @ expected)
    return each.mean(), each.std(ddof=1) / np.sqrt(len(each))


@pytest.mark.parametrize("label", LABELS)
def test_two_passes_in_general_are_the_special_case_of_two(label):
    network = Network.parse(label)
    theta, batch = problem(network, 20)
    seen = passes(network, theta, batch, [0.1] * len(network.stages), 2, np.random.default_rng(1))
    _, general = NodePerturbation(network).gradient({}, theta, seen, batch)
    special, _ = node_gradient(network, theta, seen.inputs, seen.activities, seen.sample_losses)
    np.testing.assert_allclose(general, special, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize("count", [1, 3])
def test_node_perturbation_is_backpropagation_on_average(label, count):
    """Small noise, unlike in each layer, against a clean pass and against the mean of three: scale 1."""
    network = Network.parse(label)
    theta, batch = problem(network, 12)
    _, gradient = network.gradient(theta, batch.inputs, batch.targets, batch.loss)
    rng, deviations = np.random.default_rng(2), np.array([1e-5, 2e-5, 5e-6])[: len(network.stages)]
    rule = NodePerturbation(network)
    found = [
        rule.gradient({}, theta, passes(network, theta, batch, deviations, count, rng), batch)[1] for _ in range(500)
    ]
    assert np.abs(scores(found, gradient)).max() < 4.5
    part, error = share(found, gradient)
    assert abs(part - 1.0) < 4.5 * error
    assert error < 0.12  # a wrong factor would be seen


LINEAR = Network((4, 3), "linear")


def linear_problem(samples=3):
    rng = np.random.default_rng(3)
    theta = rng.standard_normal(15)
    batch = Batch(rng.uniform(-1, 1, (samples, 4)), rng.standard_normal((samples, 3)), "squared-error")
    return theta, batch, LINEAR.gradient(theta, batch.inputs, batch.targets, batch.loss)[1]


def test_on_a_linear_layer_large_noise_is_as_good_as_small():
    """A quadratic loss of one layer: odd moments vanish, so NP, ANP and NRL are unbiased at any noise, here sd 1."""
    theta, batch, gradient = linear_problem()
    rng, old = np.random.default_rng(4), 2.5

    def seen(count):
        return passes(LINEAR, theta, batch, [1.0], count, rng)

    found = {"np": [], "anp": [], "nrl": []}
    for _ in range(4000):
        two = seen(2)
        found["np"].append(NodePerturbation(LINEAR).gradient({}, theta, two, batch)[1])
        changes = activity_changes(LINEAR, two.inputs, two.activities)
        found["anp"].append(activity_gradient(LINEAR, changes, two.sample_losses - two.sample_losses.mean(axis=0)))
        rule, state = RewardModulation(LINEAR), {"reward": np.array([-old])}
        found["nrl"].append(old * rule.gradient(state, theta, seen(1), batch)[1])  # -> gradient / |Rbar|
    for estimates in found.values():
        assert np.abs(scores(estimates, gradient)).max() < 4.5
        part, error = share(estimates, gradient)
        assert abs(part - 1.0) < 4.5 * error < 0.4


def deep_linear(seed=5):
    """A deep linear network, one sample: Jacobians are products of weights."""
    network, rng = Network((4, 3, 3, 2), "linear"), np.random.default_rng(seed)
    theta = network.parameter_spec().initial(rng)
    batch = Batch(rng.uniform(-1, 1, (1, 4)), rng.standard_normal((1, 2)), "squared-error")
    w = [block[:-1] for block in network.blocks(theta)]
    nodes = network.forward(theta, batch.inputs)
    output = 2.0 * (nodes[-1] - batch.targets) / 2
    return network, theta, batch, w, nodes, [output @ w[2].T @ w[1].T, output @ w[2].T, output]


def test_the_bias_of_activity_perturbation_is_what_layers_pass_on():
    """E[dL da_l] / sd^2 of two small passes is (I + sum_k<l J_lk J_lk^T) delta_l, times 2 for the two of them."""
    network, theta, batch, w, nodes, delta = deep_linear()
    gains = [np.eye(3), np.eye(3) + w[1].T @ w[1], np.eye(2) + w[2].T @ w[2] + (w[1] @ w[2]).T @ (w[1] @ w[2])]
    expected = np.concatenate(
        [
            np.concatenate([x.T @ d @ gain, d @ gain]).ravel()
            for x, d, gain in zip([batch.inputs, *nodes[:-1]], delta, gains, strict=True)
        ]
    )
    rng, sd, found = np.random.default_rng(6), 1e-5, []
    for _ in range(6000):
        seen = passes(network, theta, batch, [sd] * 3, 2, rng)
        layers = activity_changes(network, seen.inputs, seen.activities)
        above = (seen.sample_losses - seen.sample_losses.mean(axis=0)) / sd**2
        found.append(credit(network, layers, [above] * 3))
    assert np.abs(scores(found, expected)).max() < 4.5
    part, error = share(found, expected)
    assert abs(part - 1.0) < 4.5 * error < 0.3
    # And it does matter here: without the gains the deepest layer's share would be off by far.
    plain = np.concatenate(
        [np.concatenate([x.T @ d, d]).ravel() for x, d in zip([batch.inputs, *nodes[:-1]], delta, strict=True)]
    )
    assert np.abs(scores(found, plain)).max() > 10


def test_the_own_noise_of_a_layer_is_found_whatever_it_is_passed():
    """As drawn, to rounding: with one pass all of it, with three less their mean."""
    network = Network.parse("5-4-4-3")
    theta, batch = problem(network, 6)

    class Drawn:
        def __init__(self):
            self.rng, self.kept = np.random.default_rng(7), []

        def standard_normal(self, shape):
            self.kept.append(self.rng.standard_normal(shape))
            return self.kept[-1]

    for count in (1, 3):
        drawn = Drawn()
        seen = passes(network, theta, batch, [0.3] * 3, count, drawn)
        for layer, noise in zip(own_noise(network, theta, seen.inputs, seen.activities), drawn.kept, strict=True):
            own = 0.3 * noise[:, :, 0, :]
            np.testing.assert_allclose(layer.explored, own - own.mean(axis=0) * (count > 1), atol=1e-12)


def test_rewarded_hebb_goes_down_each_sample_by_the_same_length():
    """-sd delta / (2 sqrt(pi) |delta|) for two passes, at any size of a linear loss."""
    theta, batch, _ = linear_problem(samples=1)
    outputs = LINEAR.forward(theta, batch.inputs)[-1]
    delta = 2.0 * (outputs - batch.targets) / 3
    sd = 1e-4
    step = sd * delta / (2 * np.sqrt(np.pi) * np.linalg.norm(delta))
    expected = np.concatenate([batch.inputs.T @ step, step]).ravel()
    rng, rule = np.random.default_rng(8), RewardedHebb(LINEAR)
    found = [rule.gradient({}, theta, passes(LINEAR, theta, batch, [sd], 2, rng), batch)[1] for _ in range(4000)]
    assert np.abs(scores(found, expected)).max() < 4.5
    part, error = share(found, expected)
    assert abs(part - 1.0) < 4.5 * error < 0.15


@pytest.mark.parametrize("label", LABELS)
def test_feedback_however_wrong_leaves_the_mean_as_it_is(label):
    network = Network.parse(label)
    theta, batch = problem(network, 12)
    _, gradient = network.gradient(theta, batch.inputs, batch.targets, batch.loss)
    rule, rng = LearnedFeedback(network, 0.0), np.random.default_rng(9)
    state = {name: rng.standard_normal(array.shape) for name, array in rule.begin().items()}
    deviations = [1e-5] * len(network.stages)
    found = [
        rule.gradient(state, theta, passes(network, theta, batch, deviations, 2, rng), batch)[1] for _ in range(400)
    ]
    last = -network.blocks(theta)[-1].size
    assert np.abs(scores(found, gradient)[:last]).max() < 4.5
    # The outputs' derivative is known.
    np.testing.assert_allclose(np.mean(found, axis=0)[last:], gradient[last:], rtol=1e-3, atol=1e-5)


def test_true_feedback_leaves_no_error_and_is_what_is_learned():
    """One hidden layer: the true feedback is W^T, exactly; from 0 it is approached."""
    network = Network.parse("6-5-4")
    theta, batch = problem(network, 200, seed=1)
    _, gradient = network.gradient(theta, batch.inputs, batch.targets, batch.loss)
    rng, truth = np.random.default_rng(10), network.blocks(theta)[1][:-1].T
    exact = LearnedFeedback(network, 0.0)
    seen = passes(network, theta, batch, [1e-5, 1e-5], 2, rng)
    _, found = exact.gradient(exact.begin() | {"feedback.0": truth}, theta, seen, batch)
    np.testing.assert_allclose(found, gradient, rtol=1e-3, atol=1e-6)

    rule = LearnedFeedback(network, 0.1)
    state = rule.begin()
    for _ in range(600):
        state, _ = rule.gradient(state, theta, passes(network, theta, batch, [1e-3, 1e-3], 2, rng), batch)
    learned = state["feedback.0"]
    # Softmax derivatives add up to 0 over the classes, so that part of the feedback has no effect and isn't learned.
    learned, truth = learned - learned.mean(axis=0), truth - truth.mean(axis=0)
    assert np.linalg.norm(learned - truth) < 0.1 * np.linalg.norm(truth)


def test_feedback_of_many_nodes_and_few_samples_is_learned_without_growing():
    """Least mean squares with 4,000 inputs for 4 comparisons a step, stable below a rate of 2 / 1001: no error grows.

    At the rate 0.05 that it was given, errors would double in a step or two.
    """
    network = Network.parse("6-400-10")
    theta, batch = problem(network, 4, seed=2)
    rng, truth = np.random.default_rng(12), network.blocks(theta)[1][:-1].T
    rule = LearnedFeedback(network, 0.05)
    state = rule.begin()
    for _ in range(400):
        state, _ = rule.gradient(state, theta, passes(network, theta, batch, [1e-3, 1e-3], 2, rng), batch)
    assert 0.0 < np.linalg.norm(state["feedback.0"]) < 2.0 * np.linalg.norm(truth)


def test_inputs_lose_their_correlations_and_stay_so():
    """Gaussian inputs of known covariance: what is left of it off the diagonal, by the covariance itself."""
    rng = np.random.default_rng(11)
    mixing = rng.standard_normal((6, 6))
    covariance = mixing @ mixing.T / 6
    root = np.linalg.cholesky(covariance)

    def left(matrix):
        turned = matrix @ covariance @ matrix.T
        scale = np.sqrt(np.diag(turned))
        return np.abs(turned / np.outer(scale, scale) - np.eye(6)).max()

    matrix = np.eye(6)
    assert left(matrix) > 0.5
    for step in range(6000):
        x = rng.standard_normal((64, 6)) @ root.T
        matrix = decorrelated(matrix, x, 0.2 / (1 + step / 500))
    assert left(matrix) < 0.05  # of samples, off by 1 / sqrt(64) in each step
    whitened = np.linalg.inv(root).T  # R with R covariance R^T = I: a fixed point for inputs of exactly that covariance
    exact = np.sqrt(6) * root.T  # six samples x with mean of x x^T = covariance
    np.testing.assert_allclose(decorrelated(whitened.T, exact, 0.5), whitened.T, atol=1e-12)


def test_preconditioning_is_learning_on_decorrelated_inputs():
    """The outputs of x W move as those of x* W* do, with x* = R x and a step on W*."""
    rng = np.random.default_rng(12)
    matrix, x, delta = rng.standard_normal((5, 5)), rng.standard_normal((8, 5)), rng.standard_normal((8, 3))
    star = x @ matrix.T
    np.testing.assert_allclose(x @ preconditioned(matrix, x.T @ delta), star @ (star.T @ delta))


def test_decorrelated_perturbation_is_activity_perturbation_until_something_is_learned():
    network = Network.parse("5-4-3")
    theta, batch = problem(network, 10)
    seen = passes(network, theta, batch, [0.1, 0.1], 2, np.random.default_rng(13))
    rule = DecorrelatedPerturbation(network, 0.3)
    learned, found = rule.gradient(rule.begin(), theta, seen, batch)
    above = seen.sample_losses - seen.sample_losses.mean(axis=0)
    plain = activity_gradient(network, activity_changes(network, seen.inputs, seen.activities), above)
    np.testing.assert_allclose(found, plain)
    _, other = rule.gradient(learned, theta, seen, batch)
    assert set(learned) == {"decorrelation.0", "decorrelation.1"}
    blocks = zip(network.blocks(other), network.blocks(plain), learned.values(), strict=True)
    for block, before, matrix in blocks:
        np.testing.assert_allclose(block[:-1], matrix.T @ matrix @ before[:-1])
        np.testing.assert_allclose(block[-1], before[-1])


def test_the_mean_reward_is_remembered():
    theta, batch, _ = linear_problem()
    rule, rng = RewardModulation(LINEAR, 0.75), np.random.default_rng(14)
    state, means = rule.begin(), []
    for _ in range(3):
        seen = passes(LINEAR, theta, batch, [0.1], 1, rng)
        means.append(-seen.sample_losses.mean())
        state, _ = rule.gradient(state, theta, seen, batch)
    expected = 0.75 * (0.75 * means[0] + 0.25 * means[1]) + 0.25 * means[2]
    assert state["reward"][0] == pytest.approx(expected)


def test_no_noise_is_nothing_to_learn_from():
    network = Network.parse("5-4-3")
    theta, batch = problem(network, 4)
    still = passes(network, theta, batch, [0.0, 0.0], 2, np.random.default_rng(15))
    for rule in (NodePerturbation(network), LearnedFeedback(network, 0.1), RewardedHebb(network)):
        with pytest.raises(CapabilityError, match="layer 0"):
            rule.gradient({"feedback.0": np.zeros((3, 4))}, theta, still, batch)


def test_shapes_that_do_not_fit_are_told():
    network = Network.parse("5-4-3")
    theta, batch = problem(network, 4)
    one = passes(network, theta, batch, [0.1, 0.1], 1, np.random.default_rng(16))
    with pytest.raises(ConfigError, match="two passes"):
        activity_changes(network, one.inputs, one.activities)
    with pytest.raises(ConfigError, match="5-4-3"):
        own_noise(network, theta, one.inputs[:2], one.activities)


def test_reward_modulation_of_pooled_nodes_has_its_scale():
    """It is 1 / |mean reward|, pool or none; all 67 nodes by the energy of the 19 that were heard would be 67 / 19."""
    network = Network.parse("6x6x1-4c3-p2-3")
    theta, batch = problem(network, 1, seed=3)
    _, gradient = network.gradient(theta, batch.inputs, batch.targets, batch.loss)
    rule, rng = RewardModulation(network), np.random.default_rng(13)
    clean = sample_losses(network.forward(theta, batch.inputs)[-1], batch.targets, batch.loss)
    state = {"reward": np.array([-clean.mean()])}
    deviations = [1e-3] * 2
    found = [
        rule.gradient(state, theta, passes(network, theta, batch, deviations, 1, rng), batch)[1] for _ in range(3000)
    ]
    part, error = share(found, gradient / clean.mean())
    assert abs(part - 1.0) < 4.5 * error < 0.3


def test_reward_modulation_of_pooled_nodes_is_not_drawn_to_what_was_heard():
    """In one pass the nodes that a max pool lets through are those whose noise was high: crediting only those, the
    first layer of this network would learn nothing (-.01 of the gradient, where all nodes' part is 1)."""
    network = Network.parse("6x6x1-4c3-p2-3")
    theta, batch = problem(network, 16)
    loss, gradient = network.gradient(theta, batch.inputs, batch.targets, batch.loss)
    rule, rng, state = RewardModulation(network, 1.0), np.random.default_rng(31), {"reward": np.array([-loss])}
    first = slice(0, network.blocks(gradient)[0].size)
    found = [
        rule.gradient(state, theta, passes(network, theta, batch, [0.05] * 2, 1, rng), batch)[1][first]
        for _ in range(4000)
    ]
    part, error = share(found, gradient[first] / loss)
    assert abs(part - 1.0) < 4.5 * error < 0.8


RULES = (ActivityPerturbation, RewardedHebb, NodePerturbation, RewardModulation)


def test_what_node_methods_remember_has_no_update_rules_name():
    network = Network.parse("5-4-3")
    own = [rule(network).begin() for rule in RULES]
    own += [DecorrelatedPerturbation(network, 0.1).begin(), LearnedFeedback(network, 0.1).begin(), {"silent": None}]
    for remembered in own:
        for update in UPDATES.values():
            assert set(remembered).isdisjoint(update.init(network.n_params))


def test_an_output_that_reads_the_same_twice_teaches_unless_it_stands_at_its_end():
    """The last layer's gradient is exact, however coarse the converter; of outputs at its end d counts only inwards."""
    network = Network.parse("6-5-4")
    theta, batch = problem(network, 40, seed=4)
    rng, rule = np.random.default_rng(14), LearnedFeedback(network, 0.0)
    hidden, outputs = passes(network, theta, batch, [1e-2, 1e-2], 2, rng).activities
    coarse = np.round(outputs * 4.0) / 4.0
    equal = coarse[0] == coarse[1]
    assert 0.5 < equal.mean() < 1.0

    def last_layer(largest):
        nodes = Nodes((hidden, coarse), sample_losses(coarse, batch.targets, batch.loss), batch.inputs)
        state = rule.begin() | {"largest": np.array([largest])}
        return network.blocks(rule.gradient(state, theta, nodes, batch)[1])[-1][-1]  # the bias: the mean derivative

    derivatives = np.mean([output_gradient(out, batch.targets, batch.loss) for out in coarse], axis=0)
    np.testing.assert_allclose(last_layer(8.0), derivatives.mean(axis=0), atol=1e-12)
    ended = equal & (np.abs(coarse[0]) == np.abs(coarse).max()) & (derivatives * coarse[0] <= 0.0)
    np.testing.assert_allclose(last_layer(0.0), (derivatives * ~ended).mean(axis=0), atol=1e-12)
