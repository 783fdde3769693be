"""The engine against a slow twin, per cell and per sample, and against per-device noise."""

import math
from itertools import pairwise

import numpy as np
import pytest
from scipy import stats

from hwzo.network import Network
from hwzo.probes import Batch, Probes
from hwzo.registry import connect
from hwzo_backends.crossbar.converters import Converter
from hwzo_backends.crossbar.engine import Engine, Realised
from hwzo_backends.crossbar.noise import CounterNoise
from hwzo_backends.crossbar.tiles import map_layers

SILENT = "engine=numpy&programming=0&drift=off&flicker=0&node_noise=0&read_error=0"


def quantise(value, full_scale, bits):
    levels = 2 ** (bits - 1) - 1
    return max(-levels, min(levels, round(value / full_scale * levels))) * full_scale / levels


def twin(theta, layers, activation, window, g_range, sample, tile_rows, adc_max, bits):
    """One sample through conductance pairs, cell by cell, in plain Python; all pre-activations."""
    g_min, g_max = g_range
    k = (g_max - g_min) / window
    functions = {
        "tanh": math.tanh,
        "relu": lambda a: max(a, 0.0),
        "sigmoid": lambda a: 1 / (1 + math.exp(-a)),
        "linear": lambda a: a,
    }
    x, nodes, at = list(sample), [], 0
    for n_in, n_out in pairwise(layers):
        rows = [quantise(min(1.0, max(-1.0, v)), 1.0, bits) for v in x] + [1.0]
        outputs = []
        for column in range(n_out):
            total = 0.0
            for first in range(0, n_in + 1, tile_rows):
                current_plus = current_minus = 0.0
                for row in range(first, min(first + tile_rows, n_in + 1)):
                    w = theta[at + row * n_out + column]
                    current_plus += rows[row] * (min(max(w * k, 0.0), g_max - g_min) + g_min)
                    current_minus += rows[row] * (min(max(-w * k, 0.0), g_max - g_min) + g_min)
                total += quantise((current_plus - current_minus) / k, adc_max, bits)
            outputs.append(total)
        nodes.append(outputs)
        x = [functions[activation](a) for a in outputs]
        at += (n_in + 1) * n_out
    return nodes


@pytest.mark.parametrize("activation", ["tanh", "relu", "sigmoid", "linear"])
@pytest.mark.parametrize(("tile", "tile_rows"), [("256", 256), ("5x3", 5)])
def test_equal_to_the_twin_with_noise_off(activation, tile, tile_rows):
    layers = (9, 7, 4)
    # 2.37: a full scale at which no digitised sum lies half-way between two levels of the next layer's input.
    url = f"crossbar:pcm?layers=9-7-4&activation={activation}&window=1.5&tile={tile}&adc_max=2.37&adc_bits=7&dac_bits=7"
    device = connect(f"{url}&{SILENT}")
    rng = np.random.default_rng(7)
    theta = rng.uniform(-1.5, 1.5, device.parameters.size)
    inputs = rng.uniform(-1.3, 1.3, (6, 9))
    device.program(theta)
    readings = device.measure(Probes.plain(want="nodes"), Batch(inputs, rng.integers(0, 4, 6)))
    assert readings.nodes is not None
    for i, sample in enumerate(inputs):
        expected = twin(theta, layers, activation, 1.5, (0.0, 25.0), sample, tile_rows, 2.37, 7)
        for nodes, layer in zip(readings.nodes, expected, strict=True):
            np.testing.assert_allclose(nodes[0, i], layer, atol=1e-12)


@pytest.mark.parametrize(("engine", "rounding"), [("numpy", 1e-12), ("numba", 1e-5)])
@pytest.mark.parametrize("preset", ["pcm", "reram-wan"])
def test_without_noise_and_with_ideal_converters_it_is_the_network(preset, engine, rounding):
    extra = "&read_noise=0" if preset == "reram-wan" else "&drift=off&flicker=0"
    url = f"crossbar:{preset}?layers=30-20-5&programming=0&node_noise=0&adc_bits=0&dac_bits=0&tile=8{extra}"
    device = connect(f"{url}&engine={engine}")
    rng = np.random.default_rng(8)
    theta = rng.uniform(-1, 1, device.parameters.size)
    inputs = rng.uniform(-1, 1, (12, 30))
    device.program(theta)
    readings = device.measure(Probes.plain(want="nodes"), Batch(inputs, rng.integers(0, 5, 12)))
    assert readings.nodes is not None
    for nodes, expected in zip(readings.nodes, Network((30, 20, 5)).forward(theta, inputs), strict=True):
        np.testing.assert_allclose(nodes[0], expected, rtol=0, atol=rounding)


def test_one_tile_and_many_agree_with_ideal_converters():
    rng = np.random.default_rng(9)
    inputs, classes = rng.uniform(-1, 1, (20, 64)), rng.integers(0, 10, 20)
    nodes = []
    for tile in ("256", "16", "7x3"):
        device = connect(f"crossbar:ideal?tile={tile}&engine=numpy")
        device.program(device.parameters.initial(np.random.default_rng(10)))
        nodes.append(device.measure(Probes.plain(want="nodes"), Batch(inputs, classes)).nodes)
    for other in nodes[1:]:
        for a, b in zip(nodes[0], other, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-12)


@pytest.mark.parametrize("tile", ["256", "16"])
def test_node_noise_has_the_stated_sd_over_any_number_of_tiles(tile):
    """Five standard errors: false alarms below 1e-6 a check."""
    device = connect(f"crossbar:ideal?layers=64-40&node_noise=0.1&tile={tile}&seed=3")
    batch = Batch(np.zeros((500, 64)), np.zeros(500, dtype=np.int64))
    outputs = device.measure(Probes.plain(4, want="outputs"), batch).outputs
    assert outputs is not None
    assert outputs.std() == pytest.approx(0.1, rel=5 / np.sqrt(2 * outputs.size))
    between = np.corrcoef(outputs.reshape(4, -1))[np.triu_indices(4, 1)]
    assert np.abs(between).max() < 5 / np.sqrt(outputs[0].size)  # anew for each evaluation


def test_output_referred_noise_is_that_of_the_cells():
    """Kolmogorov-Smirnov against a draw for every cell and sample; p below 1e-5 by chance once in 1e5."""
    rng = np.random.default_rng(11)
    n_in, n_out, n_samples = 40, 3, 4000
    network = Network((n_in, n_out))
    engine = Engine(network, map_layers(network, 16, 256), Converter(0, 1.0), Converter(0, 1.0), 0.0, CounterNoise(5))
    weights = rng.uniform(-1, 1, (1, (n_in + 1) * n_out))
    variances = rng.uniform(0, 0.01, weights.shape)
    x = rng.uniform(-1, 1, n_in)
    inputs = np.tile(x, (n_samples, 1))
    fast = engine.forward(inputs, Realised(weights, variances), np.array([0]))[0][0]
    block, sd = weights.reshape(n_in + 1, n_out), np.sqrt(variances.reshape(n_in + 1, n_out))
    driven = np.append(x, 1.0)
    slow = np.array([driven @ (block + sd * rng.standard_normal(block.shape)) for _ in range(n_samples)])
    for column in range(n_out):
        assert stats.ks_2samp(fast[:, column], slow[:, column]).pvalue > 1e-5
    correlations = np.corrcoef(fast.T)[np.triu_indices(n_out, 1)]
    assert np.abs(correlations).max() < 5 / np.sqrt(n_samples)


def test_read_noise_reaches_the_columns_through_both_cells_of_a_pair():
    """sd of a column: read_noise g_max / k sqrt(2 (|x|^2 + 1)); five standard errors."""
    device = connect("crossbar:ideal?layers=20-30&read_noise=0.01&window=2&seed=4")
    x = np.linspace(-1, 1, 20)
    batch = Batch(np.tile(x, (1000, 1)), np.zeros(1000, dtype=np.int64))
    outputs = device.measure(Probes.plain(want="outputs"), batch).outputs
    expected = 0.01 * 2.0 * np.sqrt(2 * (x @ x + 1))
    assert outputs.std() == pytest.approx(expected, rel=5 / np.sqrt(2 * outputs.size))
    assert device.capabilities.node_noise


def test_flicker_faster_than_an_evaluation_is_white_noise_of_the_columns():
    """Two bands are, in 500 samples of 250 ns: variance 2 ln(10) Q^2 (|x|^2 + 1), Q = .0088; five standard errors."""
    device = connect(
        f"crossbar:pcm?layers=39-100&adc_bits=0&dac_bits=0&seed=5&{SILENT.replace('flicker=0', 'flicker=1')}"
    )
    device.program(np.ones(device.parameters.size))
    x = np.linspace(-1, 1, 39)
    batch = Batch(np.tile(x, (500, 1)), np.zeros(500, dtype=np.int64))
    outputs = device.measure(Probes.plain(want="outputs"), batch).outputs
    sd = outputs[0].std(axis=0, ddof=1)  # over samples; what stands still is the column's mean
    expected = 0.0088 * np.sqrt(2 * np.log(10) * (x @ x + 1))
    assert np.sqrt((sd**2).mean()) == pytest.approx(expected, rel=5 / np.sqrt(2 * outputs.size))
