"""Losses of the fast engine against noise drawn for every cell, read and sample: the same law.

Each mode is compared by Kolmogorov-Smirnov and by the sd. With 80,000 losses on either side, an sd that is wrong by 5%
moves the distribution functions apart by .012 or so, where .0125 is found significant; the sd itself has a standard
error of .4%, so that 2% is. False alarms: 1e-3 for all of them together (Bonferroni), with fixed seeds.
"""

import os
from importlib.util import find_spec

import numpy as np
import pytest
from scipy import stats

from hwzo.directions import directions
from hwzo.network import ACTIVATIONS, Network, sample_losses
from hwzo.probes import Batch, Probes
from hwzo_backends.crossbar.converters import Converter
from hwzo_backends.crossbar.engine import Realised
from hwzo_backends.crossbar.tiles import map_layers

if find_spec("numba") is None and not os.environ.get("CI"):
    pytest.skip("numba is not installed", allow_module_level=True)

from hwzo_backends.crossbar.fast.engine import FastEngine
from hwzo_backends.crossbar.fast.noise import FastNoise

NETWORK = Network((5, 4, 3))
SPEC = NETWORK.parameter_spec(2.0)
N, SAMPLES, SCALE = 80_000, 2, 0.3
MODES = {
    # name: law, relative, exact, variance of each weight, node noise, sigma, rows of a tile, bits
    "node noise": ("rademacher", 0.0, False, 0.0, 0.2, 0.0, 256, 0),
    "node noise over tiles": ("rank1-sign", 0.0, False, 0.0, 0.2, 0.0, 2, 0),
    "additive": ("rademacher", 0.0, False, 0.02, 0.0, 0.0, 256, 0),
    "additive, rank-1": ("rank1-sign", 0.0, False, 0.02, 0.1, 0.0, 256, 0),
    "base": ("rademacher", 0.4, False, 0.0, 0.05, 0.0, 256, 0),
    "base, rank-1": ("rank1-sign", 0.4, False, 0.01, 0.05, 0.0, 256, 0),
    "exact": ("rademacher", 0.4, True, 0.0, 0.05, 0.0, 256, 0),
    "exact, rank-1": ("rank1-sign", 0.4, True, 0.01, 0.05, 0.0, 256, 0),
    "exact, rank-1, tiles": ("rank1-sign", 0.4, True, 0.01, 0.05, 0.0, 2, 0),
    "tiles and converters": ("rademacher", 0.4, True, 0.01, 0.1, 0.0, 2, 7),
    "snapshot": ("rademacher", 0.0, False, 0.0, 0.0, 0.3, 256, 0),
    "snapshot and read noise": ("rank1-sign", 0.3, True, 0.0, 0.1, 0.2, 2, 0),
}
RATE = 1e-3 / (2 * len(MODES))


@pytest.mark.parametrize("mode", MODES)
def test_losses_have_the_law_of_noise_drawn_cell_by_cell(mode):
    law, relative, exact, additive, node, sigma, tile, bits = MODES[mode]
    rng = np.random.default_rng(20 + list(MODES).index(mode))
    dac, adc, tiles = Converter(bits, 1.0), Converter(bits, 3.0), map_layers(NETWORK, tile, tile)
    theta = rng.normal(0.0, 0.6, SPEC.size)
    additives = additive * rng.uniform(0.5, 1.5, SPEC.size)
    batch = Batch(rng.uniform(-1, 1, (SAMPLES, 5)), rng.integers(0, 3, SAMPLES))
    probes = Probes(np.zeros(N, dtype=np.int64), np.full(N, SCALE), law, key=4, step=1)
    engine = FastEngine(NETWORK, tiles, dac, adc, node, FastNoise(8))
    realised = Realised(theta[None], additives[None] if additive else None, relative=relative, exact=exact)
    fast = engine.losses(batch, realised, probes, np.arange(N), SPEC, sigma=sigma)

    held = theta + SCALE * directions(law, SPEC, key=4, step=1, counters=np.zeros(1, dtype=np.int64))[0]
    slow = np.empty(N)
    for part in np.split(np.arange(N), 8):
        weights = held + sigma * rng.standard_normal((len(part), SPEC.size))
        cells = additives + relative**2 * np.square(weights if exact else np.broadcast_to(theta, weights.shape))
        x = np.broadcast_to(batch.inputs, (len(part), *batch.inputs.shape))
        for layer, (block, variance) in enumerate(zip(NETWORK.blocks(weights), NETWORK.blocks(cells), strict=True)):
            if layer:
                x = ACTIVATIONS["tanh"][0](x)
            x = dac.convert(np.concatenate([x, np.ones((len(part), SAMPLES, 1))], axis=-1))
            read = rng.standard_normal((len(part), SAMPLES, *block.shape[1:]))
            read *= np.sqrt(variance)[:, None]
            read += block[:, None]
            rows = tiles[layer].rows
            sums = [np.einsum("kbi,kbij->kbj", x[..., a:b], read[:, :, a:b]) for a, b in rows]
            x = sum(adc.convert(s + node / len(rows) ** 0.5 * rng.standard_normal(s.shape)) for s in sums)
        slow[part] = sample_losses(x, batch.targets, batch.loss).mean(axis=-1)

    assert stats.ks_2samp(fast, slow).pvalue > RATE
    # The sd's own standard error, from the fourth moments.
    se = [np.sqrt((stats.kurtosis(x) + 2.0) / (4.0 * N)) for x in (fast, slow)]
    assert abs(np.log(fast.std() / slow.std())) < stats.norm.isf(RATE / 2) * np.hypot(*se)


def test_nodes_of_other_layers_have_the_noise_of_their_columns():
    """Convolution and recurrence: sd of each pre-activation of the first read against the formula, anew for each
    vector; six standard errors, 1e-6 for some 100 checks.
    """
    for label, n_first in (("4x4x1-3c2-3", 27), ("3x4-5r-3", 5)):
        network = Network.parse(label)
        rng = np.random.default_rng(1)
        n, k = network.parameter_spec(1.0).size, 20_000
        weights, variances = rng.normal(0, 0.5, (1, n)), rng.uniform(0.01, 0.05, (1, n))
        engine = FastEngine(network, map_layers(network, 3, 3), Converter(0, 1.0), Converter(0, 1.0), 0.1, FastNoise(2))
        inputs = rng.uniform(-1, 1, (1, network.layers[0]))
        seen = engine.forward(inputs, Realised(weights, variances), np.arange(k))[0][:, 0, :n_first]
        stage = network.stages[0]
        nodes = np.zeros((1, 1, stage.units))
        driven = stage.driven(inputs[None], nodes, np.tanh)[0, 0]
        rows = np.column_stack([driven, np.ones(len(driven))])
        spread = np.sqrt(0.01 + np.square(rows) @ network.blocks(variances)[0][0]).ravel()[:n_first]
        mean = (rows @ network.blocks(weights)[0][0]).ravel()[:n_first]
        np.testing.assert_allclose(seen.std(axis=0), spread, rtol=6 / np.sqrt(2 * k))
        assert (np.abs(seen.mean(axis=0) - mean) < 6 * spread / np.sqrt(k)).all()
        between = np.corrcoef(seen.T)[np.triu_indices(n_first, 1)]
        assert np.abs(between).max() < 6 / np.sqrt(k)
