"""The fast engine against the reference, number for number where there is no noise; and whose bits nothing changes."""

import os
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from hwzo.network import Network, sample_losses
from hwzo.probes import Batch, Probes
from hwzo_backends.crossbar.converters import Converter
from hwzo_backends.crossbar.engine import Engine, Realised, displaced
from hwzo_backends.crossbar.noise import CounterNoise, Stream
from hwzo_backends.crossbar.tiles import map_layers

if find_spec("numba") is None and not os.environ.get("CI"):
    pytest.skip("numba is not installed", allow_module_level=True)

from hwzo_backends.crossbar.fast.engine import FastEngine
from hwzo_backends.crossbar.fast.noise import FastNoise

ROUNDING = {"rtol": 1e-5, "atol": 3e-6}  # of float32 sums of some dozens of terms


class Case:
    """A network with random weights, and a batch, on both engines."""

    def __init__(
        self,
        layers="20-13-11-3",
        activation="tanh",
        tile=256,
        bits=0,
        node=0.0,
        loss="cross-entropy",
        n=9,
        threads=1,
        scales=(1.0,),
        seed=1,
    ):
        rng = np.random.default_rng(seed)
        self.network = Network.parse(layers, activation)
        self.spec = self.network.parameter_spec(1.0)
        tiles = map_layers(self.network, tile, tile)
        parts = (self.network, tiles, Converter(bits, 1.0), Converter(bits, 4.0), node)
        self.slow = Engine(*parts, CounterNoise(3), scales)
        self.fast = FastEngine(*parts, FastNoise(3), scales, threads)
        self.realised = Realised(0.4 * rng.standard_normal((1, len(scales) * self.spec.size)))
        inputs, n_out = rng.uniform(-1.2, 1.2, (n, self.network.layers[0])), self.network.layers[-1]
        targets = rng.integers(0, n_out, n) if loss == "cross-entropy" else rng.standard_normal((n, n_out))
        self.batch = Batch(inputs, targets, loss)

    def losses(self, engine, probes, events=None, **more):
        events = np.arange(len(probes)) if events is None else events
        return engine.losses(self.batch, self.realised, probes, events, self.spec, **more)


def probes(law, k=6, scale=0.1):
    signs = np.where(np.arange(k) % 2, scale, -scale)
    signs[k // 2] = 0.0
    return Probes(np.arange(k) + 2**31, signs, law, key=2**63 + 11, step=2**32 - 1)


@pytest.mark.parametrize("activation", ["tanh", "relu", "sigmoid", "linear", "lif-rate"])
@pytest.mark.parametrize("loss", ["cross-entropy", "squared-error"])
@pytest.mark.parametrize("tile", [256, 7, 1])
@pytest.mark.parametrize("law", ["rademacher", "rank1-sign", "gaussian"])
def test_losses_without_noise_are_the_references(activation, loss, tile, law):
    case = Case(activation=activation, loss=loss, tile=tile)
    np.testing.assert_allclose(case.losses(case.fast, probes(law)), case.losses(case.slow, probes(law)), **ROUNDING)


@pytest.mark.parametrize("n", [1, 15, 16, 17, 300])
def test_batches_of_any_size(n):
    case = Case(n=n)
    for law in ("rademacher", "rank1-sign"):
        np.testing.assert_allclose(case.losses(case.fast, probes(law)), case.losses(case.slow, probes(law)), **ROUNDING)


@pytest.mark.parametrize("layers", ["3-1", "1-1-1", "300-9-2", "5-140-3", "33-17-6-2"])
def test_layers_of_any_size(layers):
    case = Case(layers)
    for law in ("rademacher", "rank1-sign"):
        np.testing.assert_allclose(
            case.losses(case.fast, probes(law)), case.losses(case.slow, probes(law)), rtol=1e-5, atol=1e-5
        )


@pytest.mark.parametrize("layers", ["20-13-3", "6x6x2-4c3p1-p2-5c2-3", "7x4-6r-3"])
@pytest.mark.parametrize("tile", [256, 5])
def test_nodes_without_noise_are_the_references(layers, tile):
    """Dense, convolutional and recurrent; more vectors than are read in one go; K realisations."""
    case = Case(layers, tile=tile, n=30)
    rng = np.random.default_rng(2)
    for rows in (1, 3):
        realised = Realised(0.4 * rng.standard_normal((rows, case.spec.size)))
        expected = case.slow.forward(case.batch.inputs, realised, np.arange(3))
        got = case.fast.forward(case.batch.inputs, realised, np.arange(3))
        for a, b in zip(got, expected, strict=True):
            assert a.dtype == np.float64
            np.testing.assert_allclose(a, b, **ROUNDING)


def test_bent_cells_and_bit_slices_are_the_references():
    rng = np.random.default_rng(3)
    for scales in ((1.0,), (1.0, 0.125)):
        case = Case(tile=6, scales=scales)
        shape = case.realised.weights.shape
        case.realised = replace(
            case.realised, second=0.1 * rng.standard_normal(shape), third=0.1 * rng.standard_normal(shape)
        )
        for law in ("rademacher", "rank1-sign", "walsh"):
            np.testing.assert_allclose(
                case.losses(case.fast, probes(law)), case.losses(case.slow, probes(law)), **ROUNDING
            )


@pytest.mark.parametrize("layers", ["20-13-3", "6x6x2-4c3p1-p2-3"])
@pytest.mark.parametrize("bits", [4, 8])
def test_converters_differ_in_rare_neighbouring_codes_only(layers, bits):
    """Of pre-activations of the first layer, which see the same inputs: fewer than 1 in 1000, by one step."""
    case = Case(layers, bits=bits, tile=8, n=200)
    fast = case.fast.forward(case.batch.inputs, case.realised, np.arange(1))[0]
    slow = case.slow.forward(case.batch.inputs, case.realised, np.arange(1))[0]
    step = 4.0 / (2 ** (bits - 1) - 1)
    apart = np.abs(fast - slow) > 1e-5
    assert apart.mean() < 1e-3
    np.testing.assert_allclose(fast[apart], slow[apart], atol=1.001 * step)
    np.testing.assert_allclose(fast / step, np.rint(fast / step), atol=1e-4)


@pytest.mark.parametrize("law", ["rademacher", "rank1-sign"])
@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("tile", [256, 8])
def test_losses_are_those_of_the_nodes_of_the_same_events(law, exact, tile):
    """A population's kernel and the tiles read one by one draw the same noise: equal to rounding, noise and all."""
    case = Case(tile=tile, node=0.1, n=20)
    rng = np.random.default_rng(4)
    variances = rng.uniform(0, 0.01, case.realised.weights.shape)
    case.realised = replace(case.realised, variances=variances, relative=0.3, exact=exact)
    p, events = probes(law), np.arange(6) + 2**40
    nodes = case.fast.forward(case.batch.inputs, displaced(case.realised, p, case.spec), events)
    expected = sample_losses(nodes[-1], case.batch.targets, case.batch.loss).mean(axis=-1)
    np.testing.assert_allclose(case.losses(case.fast, p, events), expected, rtol=1e-4)


@pytest.mark.parametrize("layers", ["20-13-3", "7x4-6r-3", "150-3"])
@pytest.mark.parametrize("law", ["rademacher", "rank1-sign", "coordinate"])
def test_snapshots_are_what_their_stream_says(layers, law):
    """sigma displaces every weight by sigma times the normal numbers that anyone can draw from the same event."""
    case = Case(layers)
    p, events, sigma = probes(law), np.arange(6) + 9, 0.2
    moved = displaced(case.realised, p, case.spec)
    own = [FastNoise(3).at(Stream.PARAMETERS, event).standard_normal(case.spec.size) for event in events]
    nodes = case.slow.forward(case.batch.inputs, replace(moved, weights=moved.weights + sigma * np.array(own)), events)
    expected = sample_losses(nodes[-1], case.batch.targets, case.batch.loss).mean(axis=-1)
    np.testing.assert_allclose(case.losses(case.fast, p, events, sigma=sigma), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("layers", ["20-13-3", "6x6x2-4c3p1-p2-3"])
@pytest.mark.parametrize("law", ["rademacher", "rank1-sign"])
@pytest.mark.parametrize("sigma", [0.0, 0.1])
def test_bits_do_not_depend_on_threads_or_on_how_probes_are_divided(layers, law, sigma):
    one, many = Case(layers, node=0.1, tile=8), 12
    p, events = probes(law, many), np.arange(many) + 5
    one.realised = replace(one.realised, relative=0.1, exact=True)
    expected = one.losses(one.fast, p, events, sigma=sigma)
    assert len(set(expected.tolist())) == many
    for threads in (2, 3, 4, 64):
        other = Case(layers, node=0.1, tile=8, threads=threads)
        other.realised = one.realised
        np.testing.assert_array_equal(other.losses(other.fast, p, events, sigma=sigma), expected)
    for edges in ((0, 1, 2, 12), (0, 7, 12), tuple(range(13))):
        parts = [one.losses(one.fast, p.part(a, b), events[a:b], sigma=sigma) for a, b in pairwise(edges)]
        np.testing.assert_array_equal(np.concatenate(parts), expected)
    rows = replace(one.realised, weights=np.repeat(one.realised.weights, many, axis=0))
    whole = one.fast.forward(one.batch.inputs, rows, events)[-1]
    threaded = replace(one.fast, threads=3).forward(one.batch.inputs, rows, events)[-1]
    np.testing.assert_array_equal(threaded, whole)
    single = one.fast.forward(one.batch.inputs, one.realised, events[4:5])[-1]
    np.testing.assert_array_equal(single[0], whole[4])


PROGRAM = """
from pathlib import Path
import numpy as np
from hwzo.network import Network
from hwzo.probes import Batch, Probes
from hwzo_backends.crossbar.converters import Converter
from hwzo_backends.crossbar.engine import Realised
from hwzo_backends.crossbar.fast.engine import FastEngine
from hwzo_backends.crossbar.fast.noise import FastNoise
from hwzo_backends.crossbar.tiles import map_layers

network, k = Network((784, 256, 10)), 256
spec = network.parameter_spec(1.0)
rng = np.random.default_rng(0)
engine = FastEngine(network, map_layers(network, 256, 256), Converter(8, 1.0), Converter(8, 8.0), 0.1, FastNoise(1))
batch = Batch(rng.uniform(-1, 1, (32, 784)), rng.integers(0, 10, 32))
realised = Realised(spec.initial(rng)[None], relative=0.1, exact=True)
for law in ("rank1-sign", "rademacher"):
    probes = Probes(np.arange(k), np.full(k, 0.01), law)
    print(engine.losses(batch, realised, probes, np.arange(k), spec).tobytes().hex())
# Not getrusage: its peak is that of the process that started this one, if that was larger.
peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
print(int(peak.split()[1]) * 1024)
"""


def test_two_processes_agree_and_a_population_fits_in_memory():
    """784-256-10 with 256 probes: below 500 MB in all, interpreter and compiler included."""
    if not Path("/proc/self/status").exists():
        pytest.skip("memory is measured on Linux")
    answers = [
        subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True).stdout.split()
        for _ in range(2)
    ]
    assert answers[0][:2] == answers[1][:2]
    assert int(answers[0][2]) < 500e6


@pytest.mark.parametrize("law", ["rademacher", "rank1-sign"])
def test_what_is_not_finite_comes_out(law):
    case = Case(activation="relu")
    for bad in (np.nan, 1e30):
        case.realised = Realised(np.full((1, case.spec.size), bad))
        with np.errstate(all="ignore"):
            assert not np.isfinite(case.losses(case.fast, probes(law))).any()


def test_other_noise_is_refused():
    case = Case()
    engine = replace(case.fast, noise=CounterNoise(3))
    with pytest.raises(TypeError, match="FastNoise"):
        case.losses(engine, probes("rademacher"))


def test_read_only_arrays_and_other_orders_compile_nothing_new():
    case = Case(n=12)
    p = probes("rademacher")
    expected = case.losses(case.fast, p)
    for array in (p.counters, p.scales, case.batch.inputs, case.batch.targets, case.realised.weights):
        array.flags.writeable = False
    np.testing.assert_array_equal(case.losses(case.fast, p), expected)
    case.batch = replace(case.batch, inputs=np.asfortranarray(case.batch.inputs))
    np.testing.assert_array_equal(case.losses(case.fast, p), expected)
    from hwzo_backends.crossbar.fast import population

    assert len(population.evaluate.signatures) == 1  # type: ignore[attr-defined]
