"""A mapped device is the network that it was given, whatever its cells hold: against plain NumPy, and by the kit."""

import os
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hwzo
from hwzo.deploy.layout import Mapping
from hwzo.deploy.mapped import MappedDevice
from hwzo.device import Update
from hwzo.errors import CapabilityError, ConfigError, FileError
from hwzo.estimate.nodes import node_gradient
from hwzo.network import sample_losses
from hwzo.probes import Batch, Probes
from hwzo.testing.conformance import run_conformance

NETWORKS = {
    "dense": "6-5-4-3",
    "one layer": "5-3",
    "convolution": "6x6x1-3c3-p2-4c2p1-a2-3",
    "recurrent": "4x3-5r-4-3",
}


def random_mapping(device, seed, spread=0.7):
    rng = np.random.default_rng(seed)
    first = Mapping.identity(device)
    columns = [stage.columns for stage in first.network.stages]
    orders = tuple(rng.permutation(n) for n in columns[:-1])
    return replace(first, gains=np.exp(rng.normal(0.0, spread, len(first.gains))), orders=orders)


def small_case(layers, seed, options=""):
    """A device, a mapping, and weights that its cells can hold."""
    device = hwzo.connect(f"crossbar:ideal?layers={layers}&engine=numpy{options}")
    mapping = random_mapping(device, seed)
    rng = np.random.default_rng([seed, 1])
    theta = rng.uniform(-0.9, 0.9, device.parameters.size) * mapping.bounds.upper
    network = device.capabilities.network
    batch = Batch(rng.uniform(-1, 1, (5, network.layers[0])), rng.integers(0, 3, 5))
    return device, mapping, theta, batch


@pytest.mark.parametrize("layers", NETWORKS.values(), ids=NETWORKS)
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_losses_and_nodes_are_those_of_the_network(layers, seed):
    device, mapping, theta, batch = small_case(layers, seed)
    mapped = MappedDevice(device, mapping)
    mapped.program(theta)
    nodes = device.capabilities.network.forward(theta, batch.inputs)
    expected = sample_losses(nodes[-1], batch.targets, batch.loss).mean()
    readings = mapped.measure(Probes.plain(2, want="weights"), batch)
    np.testing.assert_allclose(readings.losses, expected, rtol=1e-9)
    for layer, mine in zip(nodes, readings.nodes, strict=True):
        np.testing.assert_allclose(mine[0], layer, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(readings.outputs[1], nodes[-1], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(readings.realised[0], theta, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(mapped.read(2)[1], theta, rtol=1e-9, atol=1e-12)


@settings(max_examples=30, deadline=None)
@given(layers=st.sampled_from(list(NETWORKS.values())), seed=st.integers(0, 2**32 - 1))
def test_cells_and_weights_are_each_others_inverse(layers, seed):
    device, mapping, theta, _ = small_case(layers, seed)
    np.testing.assert_allclose(mapping.weights(mapping.cells(theta)), theta, rtol=1e-14)
    again = Mapping.from_arrays(device, mapping.arrays())
    np.testing.assert_array_equal(again.cells(theta), mapping.cells(theta))
    flags = np.random.default_rng(seed).random(theta.size) < 0.5
    np.testing.assert_array_equal(mapping.to_weights(mapping.to_cells(flags)), flags)
    cells = mapping.cells(theta)
    assert (np.abs(cells) <= 1.0).all(), "weights within a mapping's bounds fit into the cells"


def test_a_weight_of_the_first_dense_layer_lies_where_its_order_says():
    device = hwzo.connect("crossbar:ideal?layers=2-3-2")
    order = np.array([2, 0, 1])
    gains = np.array([0.5, 1.0, 2.0, 4.0, 4.0])
    mapping = replace(Mapping.identity(device), gains=gains, orders=(order,))
    theta = np.arange(17.0)  # rows x columns of the first layer with its bias: 3 x 3; of the second: 4 x 2
    first, second = device.capabilities.network.blocks(mapping.cells(theta))
    np.testing.assert_array_equal(first, np.array([[2, 0, 1], [5, 3, 4], [8, 6, 7]]) / [0.5, 1.0, 2.0])
    np.testing.assert_array_equal(second, np.array([[13, 14], [9, 10], [11, 12], [15, 16]]) / 4.0)


def test_bounds_and_steps_are_the_cells_times_their_gains():
    device = hwzo.connect("crossbar:ideal?layers=2-2&window=2")
    mapping = Mapping.identity(device).with_gains(np.array([0.5, 3.0]))
    np.testing.assert_allclose(mapping.bounds.upper, [1.0, 6.0] * 3)
    np.testing.assert_allclose(mapping.bounds.lower, [-1.0, -6.0] * 3)
    assert [tensor.upper for tensor in mapping.bounds.tensors] == [6.0, 6.0]
    mapped = MappedDevice(device, mapping)
    mapped.program(np.array([1.0, 6.0] * 3))
    with pytest.raises(ConfigError, match="outside"):
        mapped.program(np.array([1.1, 6.0] * 3))


@pytest.mark.parametrize("layers", NETWORKS.values(), ids=NETWORKS)
@pytest.mark.parametrize("law", ["rademacher", "rank1-sign", "gaussian"])
def test_the_fast_engine_multiplies_by_the_same_gains(layers, law):
    """In its kernel and layer by layer, with displacements; to float32's rounding."""
    if find_spec("numba") is None and not os.environ.get("CI"):
        pytest.skip("numba is not installed")
    losses, outputs = [], []
    for engine in ("numpy", "numba"):
        device = hwzo.connect(f"crossbar:ideal?layers={layers}&engine={engine}&perturb=overlay")
        rng = np.random.default_rng(3)
        device.program(rng.uniform(-0.5, 0.5, device.parameters.size))
        device.set_gains(rng.uniform(0.5, 2.0, device.gains.size))
        network = device.capabilities.network
        batch = Batch(rng.uniform(-1, 1, (5, network.layers[0])), rng.integers(0, 3, 5))
        probes = Probes(np.arange(4), np.array([0.1, -0.1, 0.0, 0.2]), law, key=7)
        losses.append(device.measure(probes, batch).losses)
        outputs.append(device.measure(replace(probes, want="outputs"), batch).outputs)
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-5, atol=3e-6)
    np.testing.assert_allclose(outputs[1], outputs[0], rtol=1e-5, atol=3e-6)


def test_gains_of_1_change_no_bit():
    for engine in ("numpy", "numba" if find_spec("numba") is not None else "numpy"):
        seen = []
        for gains in (None, 2.0, 1.0):
            device = hwzo.connect(f"crossbar:pcm?layers=6-5-3&engine={engine}&seed=4")
            if gains is not None:
                device.set_gains(np.full(8, gains))
            if gains == 2.0:
                device.set_gains(np.ones(8))
            device.program(np.linspace(-0.5, 0.5, device.parameters.size))
            batch = Batch(np.linspace(-1, 1, 24).reshape(4, 6), np.array([0, 1, 2, 1]))
            seen.append(device.measure(Probes.plain(3), batch).losses.tobytes())
        assert len(set(seen)) == 1


def test_only_cells_of_which_something_else_is_asked_are_written():
    device, mapping, theta, _ = small_case("6-5-4-3", 3)
    mapped = MappedDevice(device, mapping)
    n = theta.size
    assert mapped.program(theta).cell_writes == 2 * n  # two cells a weight
    assert mapped.program(theta).cell_writes == 0
    moved = theta.copy()
    moved[[4, 17, n - 1]] *= 0.5
    assert mapped.program(moved).cell_writes == 6
    np.testing.assert_allclose(mapped.read(1)[0], moved, rtol=1e-12)
    mask = np.zeros(n, dtype=bool)
    mask[4] = True
    assert mapped.program(theta, mask=mask).cell_writes == 2
    step = theta - np.where(mask, theta, moved)
    assert mapped.apply(Update(theta, step)).cell_writes == 4
    np.testing.assert_allclose(mapped.read(1)[0], theta, rtol=1e-12)
    mapped.forget()
    assert mapped.program(theta).cell_writes == 2 * n


def test_corrections_are_asked_on_top_and_what_is_held_is_left_alone():
    device, mapping, theta, _ = small_case("6-5-3", 5)
    corrections = np.zeros(theta.size)
    corrections[7] = 0.02
    first = MappedDevice(device, mapping, corrections)
    first.program(theta)
    np.testing.assert_allclose(device.read(1)[0], mapping.cells(theta) + corrections, rtol=1e-12)
    again = MappedDevice(device, mapping, corrections, first.held)
    assert again.program(theta).cell_writes == 0


def test_scaling_gains_multiplies_columns_and_writes_nothing():
    device, mapping, theta, batch = small_case("6-5-3", 9)
    mapped = MappedDevice(device, mapping)
    mapped.program(theta)
    before = mapped.measure(Probes.plain(want="nodes"), batch).nodes[0][0]
    factors = np.random.default_rng(9).uniform(0.8, 1.2, len(mapping.gains))
    mapped.scale(factors)
    after = mapped.measure(Probes.plain(want="nodes"), batch).nodes[0][0]
    columns = Mapping.identity(device).nodes(0, factors[:5])  # physical order
    np.testing.assert_allclose(after, before * mapping.nodes(0, columns), rtol=1e-9)
    theta_now = mapped.parameters.clip(theta)
    assert mapped.program(np.where(np.abs(theta_now - theta) > 0, theta_now, theta)).cell_writes < 2 * theta.size
    inside = np.abs(theta) < 0.7 * mapped.parameters.upper
    np.testing.assert_array_equal(mapped._differs(mapped.asked(theta))[mapping.to_cells(inside)], False)


def test_no_law_is_declared_where_a_direction_would_be_another_one_in_the_cells():
    device, mapping, theta, batch = small_case("6-5-3", 1)
    plain, mapped = MappedDevice(device, Mapping.identity(device)), MappedDevice(device, mapping)
    assert plain.capabilities.laws == device.capabilities.laws
    assert mapped.capabilities.laws == frozenset()
    mapped.program(theta)
    with pytest.raises(CapabilityError, match="intrinsic"):
        mapped.measure(Probes(np.arange(2), np.array([0.1, -0.1])), batch)


def test_its_state_comes_back_with_gains_and_what_is_held():
    device, mapping, theta, batch = small_case("6-5-3", 2, "&node_noise=0.1")
    mapped = MappedDevice(device, mapping)
    mapped.program(theta)
    state = mapped.snapshot()
    one = mapped.measure(Probes.plain(3), batch).losses
    mapped.scale(np.full(8, 1.1))
    mapped.program(0.5 * theta)
    mapped.restore(state)
    np.testing.assert_array_equal(mapped.measure(Probes.plain(3), batch).losses, one)
    assert mapped.program(theta).cell_writes == 0
    for damaged in (b"", state[:-1], state + b"\0", b"something else"):
        with pytest.raises(FileError, match="mapped"):
            mapped.restore(damaged)


def test_what_cannot_be_is_refused_in_words():
    device = hwzo.connect("crossbar:ideal?layers=4-3-2")
    first = Mapping.identity(device)
    for change in ({"gains": np.ones(4)}, {"gains": np.zeros(5)}, {"gains": np.full(5, np.inf)}):
        with pytest.raises(ConfigError, match="gains"):
            replace(first, **change)
    for orders in ((np.array([0, 1]),), (np.array([0, 1, 1]),), (np.arange(3), np.arange(2))):
        with pytest.raises(ConfigError, match="permutations"):
            replace(first, orders=orders)
    with pytest.raises(ConfigError, match="4-4-2"):
        MappedDevice(hwzo.connect("crossbar:ideal?layers=4-4-2"), first)
    with pytest.raises(ConfigError, match="corrections"):
        MappedDevice(device, first, np.zeros(3))


class WithoutGains:
    """A device that has no gains."""

    def __init__(self, device):
        self.device = device
        self.info, self.parameters = device.info, device.parameters
        self.capabilities = replace(device.capabilities, output_gains=False)


def test_a_device_without_gains_takes_orders_only():
    device, mapping, _, _ = small_case("6-5-3", 1)
    bare = WithoutGains(device)
    with pytest.raises(CapabilityError, match="no gains"):
        MappedDevice(bare, mapping)
    mapped = MappedDevice(bare, mapping.with_gains(np.ones(8)))
    with pytest.raises(CapabilityError, match="rewrite"):
        mapped.scale(np.full(8, 1.1))


@pytest.mark.parametrize("preset", ["ideal", "pcm"])
def test_it_keeps_the_contract_of_a_device(preset):
    def opened():
        device = hwzo.connect(f"crossbar:{preset}?layers=6-5-3&engine=numpy")
        return MappedDevice(device, random_mapping(device, 4, spread=0.2))

    assert run_conformance(opened).failures == []


def test_gradients_by_node_noise_are_right_with_gains():
    """Over many pairs of passes, the mean of the estimate is the gradient, scale included: gains are a layer each."""
    device = hwzo.connect("crossbar:ideal?layers=6-5-3&engine=numpy&node_noise=0.05&seed=3")
    mapping = random_mapping(device, 8).with_gains(np.repeat([0.4, 2.5], [5, 3]))
    mapped = MappedDevice(device, mapping)
    rng = np.random.default_rng(2)
    theta = rng.uniform(-0.5, 0.5, device.parameters.size) * mapping.bounds.upper
    mapped.program(theta)
    network = device.capabilities.network
    batch = Batch(rng.uniform(-1, 1, (64, 6)), rng.integers(0, 3, 64))
    _, truth = network.gradient(theta, batch.inputs, batch.targets, batch.loss)
    readings = mapped.measure(Probes.plain(600, want="nodes"), batch)
    losses = sample_losses(readings.outputs, batch.targets, batch.loss)
    estimates = []
    for at in range(0, 600, 2):
        pair = slice(at, at + 2)
        nodes = [layer[pair] for layer in readings.nodes]
        gradient, sd = node_gradient(network, theta, batch.inputs, nodes, losses[pair])
        estimates.append(gradient)
    np.testing.assert_allclose(sd, [0.02, 0.125], rtol=0.2)  # node noise times the gain; some 200 numbers each
    # The squared distance of the mean from the truth, over its own expectation, is about chi-square over its degrees
    # of freedom, of which there are at least some 10: above 4 with probability below 1e-5.
    error = np.mean(estimates, axis=0) - truth
    expected = np.var(estimates, axis=0, ddof=1) / len(estimates)
    for block, spread in zip(network.blocks(error), network.blocks(expected), strict=True):
        assert np.square(block).sum() < 4.0 * spread.sum()
