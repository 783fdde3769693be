"""The kernel against stock Lava, against a slow twin of the documented arithmetic, and against statistics."""

import subprocess
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwzo_backends.lava import lif, loihi_noise
from hwzo_backends.lava.lif import Neurons, simulate
from hwzo_backends.lava.loihi_noise import Noise

STOCK = Path(__file__).with_name("stock_lif.py")
FULL = 4095
USUAL = Neurons(FULL, 0, vth=4, weight_exp=-6, bias_exp=0)
"""As a device has them by default: the exponent takes back the shift of inputs, and the threshold is 256 weights."""
READOUT = Neurons(FULL, 0, vth=lif.LARGEST_VTH, weight_exp=-6, bias_exp=0)
"""A last layer that integrates and doesn't spike."""


def case(seed, units, layers, *, precision="fixed", steps=20, share=0.4, largest=254, bias=200):
    """Random weights (K = 1), biases and input spikes: parameters (1, P) and spikes (1, T, n_in)."""
    rng = np.random.default_rng(seed)
    blocks = []
    for n, m in pairwise(units):
        if precision == "fixed":
            weights = rng.integers(-largest, largest + 1, (n, m)) >> 1 << 1  # Dense drops the lowest bit
            blocks += [weights.astype(float), rng.integers(-bias, bias + 1, (1, m)).astype(float)]
        else:  # multiples of 2^-10: any order of their sum is exact
            blocks += [np.round(rng.normal(0, 100, (n, m)) * 1024) / 1024, np.round(rng.normal(0, 50, (1, m)))]
    parameters = np.concatenate([block.ravel() for block in blocks])[None]
    spikes = (rng.random((1, steps, units[0])) < share).astype(np.int8)
    return parameters, spikes


def blocks_of(parameters, units):
    start = 0
    for n, m in pairwise(units):
        yield parameters[start : start + (n + 1) * m].reshape(n + 1, m)
        start += (n + 1) * m


def run_stock(python, folder, parameters, spikes, units, layers, precision):
    arrays = {"precision": precision, "spikes": spikes}
    for index, block in enumerate(blocks_of(parameters, units)):
        arrays[f"weights{index}"], arrays[f"bias{index}"] = block[:-1], block[-1]
    for name in ("du", "dv", "vth", "weight_exp", "bias_exp"):
        arrays[name] = np.array([getattr(neurons, name) for neurons in layers])
    np.savez(folder / "case.npz", **arrays)
    command = [str(python), str(STOCK), str(folder / "case.npz"), str(folder / "answer.npz")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    with np.load(folder / "answer.npz") as file:
        return {name: file[name] for name in file.files}


STOCK_CASES = {
    "leaks in both": ((12, 9, 5), [Neurons(1000, 300, 300), Neurons(FULL, 0, 200)], {}),
    "exponents, both ways": ((12, 9, 5), [Neurons(0, 0, 300, -2, 3), Neurons(500, 1, 900, 2, 7)], {}),
    "the constants that learn": ((64, 32, 10), [USUAL, READOUT], {"steps": 16, "largest": 120}),
    "u goes round, v is clipped": (
        (64, 16, 5),
        [Neurons(0, 0, lif.LARGEST_VTH, 6, 7), Neurons(0, 0, lif.LARGEST_VTH, 0, 7)],
        {"share": 0.9, "bias": 4000},
    ),
    "float": (
        (12, 9, 5),
        [Neurons(0.3, 0.1, 300.0), Neurons(1.0, 0.0, 200.0)],
        {"precision": "float"},
    ),
}


@pytest.mark.parametrize("name", STOCK_CASES)
def test_stock_lava_spike_for_spike(name, lava_python, tmp_path):
    units, layers, options = STOCK_CASES[name]
    parameters, spikes = case(5, units, layers, **options)
    precision = options.get("precision", "fixed")
    stock = run_stock(lava_python, tmp_path, parameters[0], spikes[0], units, layers, precision)
    for steps in (spikes.shape[1] // 2, spikes.shape[1]):  # a trial cut short is the beginning of the whole one
        trial = simulate(parameters, spikes[:, :steps], units, layers, precision=precision, raster=True)
        for index in range(len(layers)):
            fired = stock[f"spikes{index}"][:steps]
            assert np.array_equal(trial.raster[index][0, 0], fired), f"layer {index}, {steps} steps"
    assert np.array_equal(trial.membrane[0, 0], stock["v"])
    assert np.array_equal(trial.counts[0, 0], stock[f"spikes{len(layers) - 1}"].sum(axis=0))
    assert sum(stock[f"spikes{i}"].sum() for i in range(len(layers))) > 20, "a case in which nothing happens"


def twin(parameters, spikes, units, layers):
    """Fixed precision in Python's own whole numbers, one neuron after another: (T, n) spikes a layer, last v."""
    passed = spikes.astype(int).tolist()
    fired = []
    for block, neurons in zip(blocks_of(parameters, units), layers, strict=True):
        weights, bias = block[:-1].astype(int).tolist(), block[-1].astype(int).tolist()
        m = len(bias)
        u, v = [0] * m, [0] * m
        steps = []
        for inputs in passed:
            row = []
            for j in range(m):
                a = sum(w[j] * s for w, s in zip(weights, inputs, strict=True))
                a = a << neurons.weight_exp if neurons.weight_exp > 0 else a >> -neurons.weight_exp
                kept = abs(u[j]) * (4096 - neurons.du - 1) >> 12
                u[j] = (kept if u[j] > 0 else -kept) + (a << 6)
                if u[j] > 2**23:
                    u[j] -= 2**24
                elif u[j] <= -(2**23):
                    u[j] += 2**24
                kept = abs(v[j]) * (4096 - neurons.dv) >> 12
                v[j] = (kept if v[j] > 0 else -kept) + u[j] + (bias[j] << neurons.bias_exp)
                v[j] = min(max(v[j], 1 - 2**23), 2**23 - 1)
                row.append(int(v[j] > neurons.vth << 6))
                if row[-1]:
                    v[j] = 0
            steps.append(row)
        fired.append(np.array(steps))
        passed = steps
    return fired, np.array(v)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    du=st.sampled_from([0, 1, 100, 2048, FULL]),
    dv=st.sampled_from([0, 1, 256, FULL]),
    vth=st.sampled_from([0, 4, 300, 20_000, lif.LARGEST_VTH]),
    exponent=st.integers(-8, 7),
    bias_exp=st.integers(0, 7),
    bias=st.sampled_from([0, 254, 4095]),
    share=st.sampled_from([0.1, 0.5, 1.0]),
)
def test_whole_number_arithmetic_is_exact_whatever_kind_carries_it(seed, du, dv, vth, exponent, bias_exp, bias, share):
    units, layers = (17, 6, 3), [Neurons(du, dv, vth, exponent, bias_exp), Neurons(FULL, 0, vth, 0, bias_exp)]
    parameters, spikes = case(seed, units, layers, share=share, bias=bias, steps=12)
    fired, v = twin(parameters[0], spikes[0], units, layers)
    trial = simulate(parameters, spikes, units, layers, raster=True)
    for index in range(2):
        assert np.array_equal(trial.raster[index][0, 0], fired[index])
    assert np.array_equal(trial.membrane[0, 0], v)


@pytest.mark.parametrize("precision", ["fixed", "float"])
@pytest.mark.parametrize("target", ["current", "membrane", "weights"])
def test_an_evaluation_is_a_function_of_its_number(precision, target):
    """K sets in one call, in several or one by one, any batch of samples: the same bytes."""
    units, layers = (20, 8, 4), [Neurons(FULL, 256, 400), Neurons(FULL, 0, 200)]
    if precision == "float":
        layers = [Neurons(1.0, 1 / 16, 400.0), Neurons(1.0, 0.0, 200.0)]
    parameters = np.concatenate([case(seed, units, layers)[0] for seed in range(9)])
    spikes = np.concatenate([case(seed, units, layers)[1] for seed in range(5)])
    options = {"precision": precision, "noise": Noise(target, 9 if target != "weights" else 3), "seed": 4}
    options |= {"record": True, "raster": True}
    whole = simulate(parameters, spikes, units, layers, evaluation=70, **options)
    for start, stop in ((0, 1), (1, 5), (5, 9)):
        part = simulate(parameters[start:stop], spikes, units, layers, evaluation=70 + start, **options)
        assert np.array_equal(part.membrane, whole.membrane[start:stop])
        assert np.array_equal(part.counts, whole.counts[start:stop])
        for name in ("raster", "drives", "draws"):
            for one, other in zip(getattr(part, name), getattr(whole, name), strict=True):
                assert np.array_equal(one, other[start:stop])
        if target == "weights":
            assert np.array_equal(part.realised, whole.realised[start:stop])
    other = simulate(parameters, spikes, units, layers, evaluation=71, **options)
    assert not np.array_equal(other.membrane, whole.membrane)


def test_noise_is_uniform_and_white():
    """Chi-square of 255 values in 512,000 draws, mean, and correlation of neighbours: each false once in 10^5."""
    values = loihi_noise._raw(3, 11, 0, 512_000).astype(int)
    assert values.min() == -127
    assert values.max() == 127
    counts = np.bincount(values + 127, minlength=255)
    assert np.square(counts - 512_000 / 255).sum() / (512_000 / 255) < 362  # 254 degrees of freedom
    assert abs(values.mean()) < 4.4 * 73.6 / np.sqrt(512_000)
    assert abs(np.corrcoef(values[1:], values[:-1])[0, 1]) < 4.4 / np.sqrt(512_000)
    for seed, evaluation, stream in ((4, 11, 0), (3, 12, 0), (3, 11, 1)):
        other = loihi_noise._raw(seed, evaluation, stream, 512_000)
        assert abs(np.corrcoef(values, other)[0, 1]) < 4.4 / np.sqrt(512_000)
    assert Noise("current", 9).sd == pytest.approx(values.std() * 4, rel=0.01)


def test_what_is_read_back_is_what_was_added():
    """A layer that only integrates sums drive and noise: its membrane is T times their means, to the last bit."""
    units, layers = (6, 5), [Neurons(FULL, 0, lif.LARGEST_VTH)]
    parameters, spikes = case(2, units, layers)
    for target in ("current", "membrane"):
        trial = simulate(parameters, spikes, units, layers, noise=Noise(target, 10, 1), seed=1, record=True)
        assert np.array_equal(trial.membrane, np.rint((trial.drives[0] + trial.draws[0]) * 20))
        drive = spikes[0].sum(axis=0) @ parameters[0].reshape(7, 5)[:-1] / 20 + parameters[0].reshape(7, 5)[-1]
        assert trial.drives[0][0, 0] == pytest.approx(drive * 64)
        # mant_offset moves the mean to 64 * 8; 100 draws of sd 589 each.
        assert trial.draws[0].mean() == pytest.approx(512, abs=4.5 * 589 / 10)


def test_noisy_weights_are_weights_that_dense_can_hold():
    units, layers = (30, 20), [READOUT]
    parameters, spikes = case(3, units, layers, bias=4095)
    trial = simulate(np.repeat(parameters, 40, axis=0), spikes, units, layers, noise=Noise("weights", 3), seed=2)
    assert trial.realised is not None
    weights, biases = trial.realised[:, :600], trial.realised[:, 600:]
    assert (weights % 2 == 0).all()
    assert weights.min() == -256
    assert weights.max() == 254
    assert biases.min() >= -4096
    assert biases.max() <= 4095
    free = np.abs(parameters[0]) < 220
    moved = (trial.realised - parameters)[:, free]
    # r / 16 rounded to the nearest: sd 4.6 and the grid's 1/sqrt(12), in levels of 2; 20,000 draws.
    assert moved.std() == pytest.approx(2 * np.hypot(73.61 / 16, 1 / np.sqrt(12)), rel=0.02)
    assert abs(moved.mean()) < 4.5 * 9.3 / np.sqrt(moved.size)
    again = simulate(trial.realised, spikes, units, layers)
    assert np.array_equal(again.membrane, trial.membrane), "what was realised is what was computed with"


@pytest.mark.parametrize(
    ("parameters", "spikes", "layers"),
    [
        (np.zeros((1, 9)), np.zeros((1, 4, 3)), [USUAL]),
        (np.zeros((1, 8)), np.zeros((1, 4, 2)), [USUAL]),
        (np.zeros((1, 8)), np.zeros((1, 4, 3)), [USUAL] * 2),
        (np.zeros((1, 8)), np.zeros((1, 0, 3)), [USUAL]),
    ],
)
def test_shapes_that_dont_fit(parameters, spikes, layers):
    with pytest.raises(ValueError, match=r"must be|nothing to simulate"):
        simulate(parameters, spikes, (3, 2), layers)
