"""Loss evaluations a second of the emulated crossbar, against NumPy, against other simulators, and against the machine.

    python benchmarks/engine.py [--json] [--only ENGINE ...]

An evaluation regenerates its direction from (key, counter), reads every crossbar of the network with fresh noise, 8-bit
DAC and ADC, and takes the cross-entropy on the batch. Read noise is proportional (sd = RHO |w|, every read of every
cell), node noise is added at each column. Before anything is timed, all engines must agree on the mean and the sd of
the loss of one probe. Engines then take turns, round by round, in one process and one thread; medians and ranges over
the rounds are printed. README.md beside this file says what each engine does and what isn't like for like.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import threadpoolctl
from numpy.typing import NDArray

from hwzo import Batch, Network, Probes
from hwzo.directions import STREAMS, directions
from hwzo.philox import philox4x32
from hwzo.probes import Law
from hwzo_backends.crossbar.converters import Converter
from hwzo_backends.crossbar.engine import Realised
from hwzo_backends.crossbar.tiles import map_layers

Floats = NDArray[np.float32]
Counters = NDArray[np.int64]
Losses = Callable[[Counters], NDArray[Any]]

NETWORKS = ("64-32-10", "784-256-10")
BATCH = 32
PROBES = (1, 16, 256)
RHO = 0.1  # sd of a weight's read noise over |w|
NODE = 0.05  # sd of a column's own noise, pre-activation units
SCALE = 0.005  # of a displacement, weight units
LEVELS = 127  # of an 8-bit converter, each side of 0
ADC_MAX = 8.0
KEY = 0x5EED
PEERS = {
    "aihwkit": "aihwkit",
    "crosssim": "simulator",  # module that the package installs
    "analoglib": "analoglib",
}
SLOW = {"naive", "aihwkit-pcm", *PEERS}  # one probe by one: timed at K = 16 only
FROZEN = {"numba-snapshot"}  # noise is drawn once an evaluation, not once a read


@dataclass(frozen=True)
class Model:
    """One network with its weights, and the batch it is evaluated on."""

    network: Network
    theta: Floats
    inputs: Floats
    targets: NDArray[np.int64]

    @classmethod
    def random(cls, label: str) -> Model:
        network = Network.parse(label)
        rng = np.random.default_rng(7)
        theta = np.empty(network.parameter_spec(1.0).size, dtype=np.float32)
        for block in network.blocks(theta):  # type: ignore[arg-type]
            block[:] = np.clip(rng.normal(0.0, 1.0 / math.sqrt(len(block)), block.shape), -0.9, 0.9)
        inputs = rng.uniform(-1.0, 1.0, (BATCH, network.layers[0])).astype(np.float32)
        return cls(network, theta, inputs, rng.integers(0, network.layers[-1], BATCH))

    @property
    def blocks(self) -> list[Floats]:
        return self.network.blocks(self.theta)  # type: ignore[arg-type, return-value]

    @property
    def rows(self) -> Floats:
        """The inputs as the first crossbar's rows see them, (batch, inputs + 1): DAC, and the bias row's constant 1."""
        return convert(np.column_stack([self.inputs, np.ones(BATCH, np.float32)]), 1.0)

    def displacements(self, counters: Counters, law: Law) -> Floats:
        """(K, n_params) directions."""
        if law == "rademacher":
            return signs(len(self.theta), law, counters)
        spec = self.network.parameter_spec(1.0)
        return directions(law, spec, key=KEY, step=0, counters=counters).astype(np.float32)


# --- NumPy, as well as it goes: float32, in place, no more calls than needed ---

_BITS = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1, bitorder="little").astype(np.float32) * 2.0 - 1.0


def signs(n: int, law: Law, counters: Counters) -> Floats:
    """The first n signs of each counter's stream, (K, n): what hwzo.directions makes its rows of, without float64."""
    grid = np.empty((len(counters), -(-n // 128), 4), dtype=np.uint32)
    grid[..., 0] = np.arange(grid.shape[1])
    grid[..., 1] = 0
    grid[..., 2] = counters[:, None]
    grid[..., 3] = STREAMS[law]
    octets = philox4x32(grid, KEY).reshape(len(counters), -1).astype("<u4", copy=False).view(np.uint8)
    return _BITS[octets[:, : -(-n // 8)]].reshape(len(counters), -1)[:, :n]


def convert(signal: Floats, full_scale: float) -> Floats:
    """A converter's rounding and clipping, in place."""
    signal *= LEVELS / full_scale
    np.rint(signal, out=signal)
    np.maximum(signal, -LEVELS, out=signal)
    np.minimum(signal, LEVELS, out=signal)
    signal *= full_scale / LEVELS
    return signal


def cross_entropy(outputs: Floats, targets: NDArray[np.int64]) -> NDArray[Any]:
    """Mean loss (...) of outputs (..., batch, classes); overwrites them."""
    picked = outputs[..., np.arange(len(targets)), targets].mean(axis=-1)
    np.exp(outputs, out=outputs)  # the ADC keeps outputs within 8: no overflow
    return np.log(outputs.sum(axis=-1)).mean(axis=-1) - picked


def generator() -> np.random.Generator:
    """NumPy's fastest."""
    return np.random.Generator(np.random.SFC64(11))


def one_by_one(model: Model, law: Law, read: Callable[[int, Floats, Floats], Floats], *, ahead: bool = False) -> Losses:
    """Losses of probes whose weights are written out, W + c D; ``read(layer, rows, weights)`` gives pre-activations.

    ``ahead``: directions of many probes are generated in one go, and wait in cache.
    """
    n = len(model.theta)
    weights = np.empty(n, dtype=np.float32)
    blocks = model.network.blocks(weights)  # type: ignore[arg-type]
    hidden = [np.ones((BATCH, m + 1), dtype=np.float32) for m in model.network.layers[1:-1]]
    chunk = max(1, (1 << 18) // n) if ahead else 1

    def losses(counters: Counters) -> NDArray[Any]:
        rows = model.rows
        result = np.empty(len(counters))
        for start in range(0, len(counters), chunk):
            for k, direction in enumerate(model.displacements(counters[start : start + chunk], law), start):
                np.multiply(direction, SCALE, out=weights)
                np.add(weights, model.theta, out=weights)
                outputs = read(0, rows, blocks[0])
                for layer, x in enumerate(hidden, 1):
                    np.tanh(outputs, out=x[:, :-1])
                    outputs = read(layer, convert(x, 1.0), blocks[layer])
                result[k] = cross_entropy(outputs, model.targets)
        return result

    return losses


def snapshot_sd(model: Model) -> float:
    """Noise of all weights alike that has the mean variance of the proportional one."""
    return RHO * float(np.sqrt(np.square(model.theta).mean()))


def naive(model: Model, law: Law, *, frozen: bool = False) -> Losses:
    """A noise of its own for every weight, sample and read.

    ``frozen``: drawn once an evaluation instead, of `snapshot_sd` for every weight; for the check of snapshots only.
    """
    rng = generator()
    # Samples at a time: as many noisy copies of a layer as fit a cache.
    sizes = [BATCH if frozen else min(BATCH, max(1, (1 << 16) // block.size)) for block in model.blocks]
    noises = [
        np.empty((1 if frozen else size, *block.shape), dtype=np.float32)
        for size, block in zip(sizes, model.blocks, strict=True)
    ]

    def read(layer: int, rows: Floats, weights: Floats) -> Floats:
        outputs = np.empty((BATCH, weights.shape[1]), dtype=np.float32)
        sd = np.full_like(weights, snapshot_sd(model)) if frozen else np.abs(weights) * np.float32(RHO)
        noise = noises[layer]
        for start in range(0, BATCH, sizes[layer]):
            part = slice(start, start + sizes[layer])
            rng.standard_normal(out=noise, dtype=np.float32)
            np.multiply(noise, sd, out=noise)
            np.add(noise, weights, out=noise)
            if frozen:
                np.matmul(rows, noise[0], out=outputs)
            else:
                outputs[part] = np.matmul(rows[part, None, :], noise[: len(rows[part])])[:, 0]
        outputs += NODE * rng.standard_normal(outputs.shape, dtype=np.float32)
        return convert(outputs, ADC_MAX)

    return one_by_one(model, law, read)


def output_referred(model: Model, law: Law, *, ahead: bool = False) -> Losses:
    """A column's noise drawn in one go: its variance is that of the displaced weights, exactly."""
    rng = generator()
    squares = [np.empty_like(block) for block in model.blocks]
    shapes = [(BATCH, block.shape[1]) for block in model.blocks]
    sds, noises, means = ([np.empty(shape, dtype=np.float32) for shape in shapes] for _ in range(3))
    scaled = [np.empty((BATCH, len(block)), dtype=np.float32) for block in model.blocks]

    def read(layer: int, rows: Floats, weights: Floats) -> Floats:
        sd, noise, outputs = sds[layer], noises[layer], means[layer]
        np.multiply(weights, weights, out=squares[layer])
        np.multiply(rows, RHO, out=scaled[layer])
        np.multiply(scaled[layer], scaled[layer], out=scaled[layer])
        np.matmul(scaled[layer], squares[layer], out=sd)
        sd += NODE**2
        np.sqrt(sd, out=sd)
        rng.standard_normal(out=noise, dtype=np.float32)
        sd *= noise
        np.matmul(rows, weights, out=outputs)
        outputs += sd
        return convert(outputs, ADC_MAX)

    return one_by_one(model, law, read, ahead=ahead)


def rank1(model: Model) -> Losses:
    """A population at once: x (W + c u v^T) = x W + c (x.u) v; variance of the weights as they are without D."""
    rng = generator()
    blocks = model.blocks
    variances = [np.square(RHO * block) for block in blocks]
    n_draws = sum(n + 2 * m for n, m in zip(model.network.layers[:-1], model.network.layers[1:], strict=True))
    chunk = max(1, (1 << 17) // (BATCH * max(model.network.layers[1:])))

    def losses(counters: Counters) -> NDArray[Any]:
        first = model.rows
        mean, sd = first @ blocks[0], np.sqrt(np.square(first) @ variances[0] + np.float32(NODE**2))
        result = np.empty(len(counters))
        for start in range(0, len(counters), chunk):
            draws = signs(n_draws, "rank1-sign", counters[start : start + chunk])
            n_probes, taken = len(draws), 0
            x = first  # (batch, rows), or (K, batch, rows) from the second layer on
            outputs = np.empty(0, np.float32)
            for layer, block in enumerate(blocks):
                n, m = len(block) - 1, block.shape[1]
                u, v, bias = np.split(draws[:, taken : taken + n + 2 * m], [n, n + m], axis=1)
                taken += n + 2 * m
                outputs = rng.standard_normal((n_probes, BATCH, m), dtype=np.float32)
                if layer == 0:
                    outputs *= sd
                    outputs += mean
                    along = (u @ first[:, :-1].T)[..., None]  # (K, batch, 1)
                else:
                    flat = x.reshape(-1, n + 1)
                    spread = np.square(flat) @ variances[layer]
                    spread += NODE**2
                    outputs *= np.sqrt(spread, out=spread).reshape(outputs.shape)
                    outputs += (flat @ block).reshape(outputs.shape)
                    along = np.matmul(x[..., :-1], u[:, :, None])
                outputs += (along * SCALE) * v[:, None, :]
                outputs += (bias * np.float32(SCALE))[:, None, :]
                convert(outputs, ADC_MAX)
                if layer < len(blocks) - 1:
                    x = np.ones((n_probes, BATCH, m + 1), dtype=np.float32)
                    np.tanh(outputs, out=x[..., :-1])
                    convert(x, 1.0)
            result[start : start + n_probes] = cross_entropy(outputs, model.targets)
        return result

    return losses


# --- the toolkit's fast engine ---


def numba_engine(model: Model, law: Law, kind: str) -> Losses:
    """The engine that devices use, called as they call it; ``kind`` exact, base or snapshot."""
    from hwzo_backends.crossbar.fast.engine import FastEngine
    from hwzo_backends.crossbar.fast.noise import FastNoise

    network, theta = model.network, model.theta[None].astype(np.float64)
    spec = network.parameter_spec(1.0)
    layers = map_layers(network, 1024, 1024)  # one tile a layer
    fast = FastEngine(network, layers, Converter(8, 1.0), Converter(8, ADC_MAX), NODE, FastNoise(13))
    snapshot = kind == "snapshot"
    realised = Realised(theta, relative=0.0 if snapshot else RHO, exact=kind == "exact")
    sigma = snapshot_sd(model) if snapshot else 0.0
    batch = Batch(model.inputs.astype(np.float64), model.targets)
    evaluations = 0

    def losses(counters: Counters) -> NDArray[Any]:
        nonlocal evaluations
        events = np.arange(evaluations, evaluations + len(counters))
        evaluations += len(counters)
        probes = Probes(counters, np.full(len(counters), SCALE), law, KEY)
        return fast.losses(batch, realised, probes, events, spec, sigma=sigma)

    return losses


def fast_engine_lacks() -> str:
    """Why the fast engine can't run here; empty if it can."""
    try:
        from hwzo_backends.crossbar import fast
    except ImportError as missing:
        return str(missing)
    works, reason = fast.available()
    return "" if works else reason


# --- other simulators: one probe by one, weights set, every sample read ---


def read_sd(block: Floats) -> float:
    """Read noise of all weights alike that has the same mean variance as the proportional one."""
    return RHO * float(np.sqrt(np.square(block).mean()))


def aihwkit(model: Model, law: Law, noise: str) -> Losses:
    """C++ tiles, one a layer; DAC, ADC and both noises are the tile's own.

    ``noise`` additive: all weights' alike, which costs the tile one norm a sample; pcm: variance proportional to |w|.
    """
    import torch
    from aihwkit.simulator.configs import SingleRPUConfig
    from aihwkit.simulator.configs.devices import IdealDevice
    from aihwkit.simulator.parameters.enums import BoundManagementType, NoiseManagementType, WeightNoiseType
    from aihwkit.simulator.tiles.analog import AnalogTile

    torch.set_num_threads(1)
    tiles: list[Any] = []
    for block in model.blocks:
        config = SingleRPUConfig(device=IdealDevice())
        io = config.forward
        io.noise_management, io.bound_management = NoiseManagementType.NONE, BoundManagementType.NONE
        io.inp_bound, io.inp_res, io.out_bound, io.out_res = 1.0, 0.5 / LEVELS, ADC_MAX, 0.5 / LEVELS
        io.out_noise = NODE
        if noise == "additive":
            io.w_noise_type, io.w_noise = WeightNoiseType.ADDITIVE_CONSTANT, read_sd(block)
        else:  # variance w_noise^2 |w| x^2
            mean = float(np.abs(block).mean())
            io.w_noise_type, io.w_noise = WeightNoiseType.PCM_READ, read_sd(block) / math.sqrt(mean)
        tiles.append(AnalogTile(block.shape[1], block.shape[0], config))  # it owns the memory of its C++ tile's weights

    def read(layer: int, rows: Floats, weights: Floats) -> Floats:
        tile = tiles[layer].tile  # called directly: a layer's Python costs more than its crossbar
        tile.set_weights(torch.from_numpy(weights).T.contiguous())
        return tile.forward(torch.from_numpy(rows), False, False, False, True).numpy()

    return one_by_one(model, law, read)


def crosssim(model: Model, law: Law) -> Losses:
    """An analog core a layer, a balanced pair a weight; it has no node noise: that and the ADC are added here."""
    from simulator import AnalogCore, CrossSimParameters

    cores: list[Any] = []
    for block in model.blocks:
        parameters = CrossSimParameters()
        mapping = parameters.core.mapping
        mapping.weights.min, mapping.weights.max = -1.0, 1.0
        for inputs in (mapping.inputs.mvm, mapping.inputs.vmm):
            inputs.min, inputs.max = -1.0, 1.0
        device = parameters.xbar.device
        device.infinite_on_off_ratio = True
        device.read_noise.enable, device.read_noise.model = True, "NormalProportionalDevice"
        device.read_noise.magnitude = RHO
        parameters.xbar.dac.mvm.model, parameters.xbar.dac.mvm.bits = "SignMagnitudeDAC", 8
        cores.append(AnalogCore(np.ascontiguousarray(block.T), parameters))
    rng = generator()

    def read(layer: int, rows: Floats, weights: Floats) -> Floats:
        core = cores[layer]
        core.set_matrix(weights.T)
        # Vector by vector: its matrix product, which copies the array for each vector, is slower.
        outputs = np.stack([core.matvec(row) for row in rows]).astype(np.float32)
        outputs += NODE * rng.standard_normal(outputs.shape, dtype=np.float32)
        return convert(outputs, ADC_MAX)

    return one_by_one(model, law, read)


def analoglib(model: Model, law: Law) -> Losses:
    """A differential crossbar a layer; noise is drawn a call, so each sample is one; node noise and converters here."""
    import analoglib as al

    bars: list[Any] = []
    for block in model.blocks:
        # sd of a pair's weight: sqrt(2) read_noise_sigma w_max. No cell comes near its bounds, where noise is clipped.
        device = al.ReRAM(g_min=0.0, g_max=1.0, num_states=0, read_noise_sigma=read_sd(block) / math.sqrt(2.0))
        bars.append(al.Crossbar(*block.shape, device=device, mapping=al.DifferentialMapping(w_max=1.0)))
    rng = generator()

    def read(layer: int, rows: Floats, weights: Floats) -> Floats:
        bar = bars[layer]
        bar.load_weights(weights, quantize=False)
        reads = [bar.vmm(row, noise=True, mode=al.SimulationMode.DEVICE) for row in rows]
        outputs = np.stack(reads).astype(np.float32)
        outputs += NODE * rng.standard_normal(outputs.shape, dtype=np.float32)
        return convert(outputs, ADC_MAX)

    return one_by_one(model, law, read)


# --- floors: what an evaluation can't do without, and nothing else ---


def floor(model: Model, kind: str, n_probes: int) -> Losses:
    """Normal numbers and float32 products of one call, at those sizes, from the fastest source there is.

    full: a column noise each and two products a layer (mean and variance) an evaluation; rank1: the same, but those of
    the first layer once a call; snapshot: a number for each weight too, and one product a layer.
    """
    normals = fast_normals()
    columns = BATCH * sum(model.network.layers[1:])
    need = columns + (len(model.theta) if kind == "snapshot" else 0)
    pool = np.empty(min(need, 1 << 15), dtype=np.float32)  # refilled again and again, in cache
    products: list[tuple[Floats, Floats, Floats]] = []
    rng = np.random.default_rng(3)
    for layer, block in enumerate(model.blocks):
        times = 1 if kind == "snapshot" else 2
        together = 1 if kind == "rank1" and layer == 0 else n_probes
        stack = min(together, 16)  # products of one call of matmul: its own cost isn't the machine's
        x = rng.uniform(-1.0, 1.0, (stack, BATCH, len(block))).astype(np.float32)
        out = np.empty((stack, BATCH, block.shape[1]), dtype=np.float32)
        products += [(x, block, out)] * (times * -(-together // stack))
        if kind == "rank1" and layer == 0 and n_probes > 1:  # x.u of every probe
            u = np.ones((len(block), n_probes), dtype=np.float32)
            products.append((x[0], u, np.empty((BATCH, n_probes), dtype=np.float32)))

    def losses(counters: Counters) -> NDArray[Any]:
        left = need * len(counters)
        while left > 0:
            normals(pool)
            left -= len(pool)
        for x, weights, out in products:
            np.matmul(x, weights, out=out)
        return np.zeros(len(counters))

    return losses


def fast_normals() -> Callable[[Floats], Any]:
    """Fills an array with normal numbers: the fast engine's generator, or NumPy's where numba is absent."""
    if not fast_engine_lacks():
        from hwzo_backends.crossbar.fast.noise import FastNoise
        from hwzo_backends.crossbar.noise import Stream

        draws = FastNoise(5).at(Stream.NODES, 0)
        return lambda out: draws.standard_normal(out=out)
    rng = generator()
    return lambda out: rng.standard_normal(out=out, dtype=np.float32)


# --- engines by name ---


def engine(name: str, model: Model, law: Law | None, n_probes: int) -> Losses:
    """The engine called ``name``; ``law`` None: the one that it is timed with."""
    full, fast = law or "rademacher", law or "rank1-sign"
    if name.startswith("floor-"):
        return floor(model, name.removeprefix("floor-"), n_probes)
    if name in ("numba", "numba-rank1", "numba-snapshot"):
        kind = {"numba": "exact", "numba-rank1": "base", "numba-snapshot": "snapshot"}[name]
        return numba_engine(model, fast if name == "numba-rank1" else full, kind)
    makers: dict[str, Callable[[], Losses]] = {
        "naive": lambda: naive(model, full),
        "naive-frozen": lambda: naive(model, full, frozen=True),
        "numpy": lambda: output_referred(model, full),
        "numpy-ahead": lambda: output_referred(model, full, ahead=True),
        "numpy-rank1": lambda: rank1(model),
        "aihwkit": lambda: aihwkit(model, full, "additive"),
        "aihwkit-pcm": lambda: aihwkit(model, full, "pcm"),
        "crosssim": lambda: crosssim(model, full),
        "analoglib": lambda: analoglib(model, full),
    }
    return makers[name]()


OWN = ["naive", "numpy", "numpy-ahead", "numpy-rank1"]
FAST = ["numba", "numba-rank1", "numba-snapshot"]
FLOORS = ["floor-full", "floor-rank1", "floor-snapshot"]
RATIOS = [
    ("numba-rank1", "numpy"),
    ("numba-rank1", "numpy-ahead"),
    ("numba", "numpy"),
    ("numba", "floor-full"),
    ("numba-rank1", "floor-rank1"),
    ("numba-snapshot", "floor-snapshot"),
    ("numba", "aihwkit"),
    ("numba-rank1", "aihwkit"),
    ("numba", "aihwkit-pcm"),
    ("numba", "crosssim"),
    ("numba", "analoglib"),
]


def check(names: list[str]) -> list[str]:
    """Names of the engines whose losses don't agree with the reference; prints what it saw on standard error.

    One probe, n readings an engine, its mean and the logarithm of its sd against the reference's: both within 4
    standard errors. For 9 engines in two networks that is a false alarm in about 1 of 500 runs. At n = 400 a mean off
    by 0.3 sd is seen, or an sd off by a quarter: a direction of wrong sign, a noise left out, but not the little by
    which the variance of displaced weights differs from that of the base's.
    """
    wrong: list[str] = []
    for label in NETWORKS:
        model, n = Model.random(label), 400
        if not np.array_equal(model.displacements(np.arange(3), "rademacher"), _reference_rows(model)):
            raise SystemExit("the directions of this script are not those of hwzo.directions")
        probe = np.full(n, telling_probe(model), dtype=np.int64)
        small = label == NETWORKS[0]
        # The naive way is the reference where it doesn't take too long; there it vouches for the others.
        fresh = engine("naive" if small else "numpy", model, "rank1-sign", n)(probe)
        frozen = engine("naive-frozen", model, "rank1-sign", n)(probe)
        for name in names:
            if name in (*FLOORS, "naive" if small else "numpy") or (name in SLOW and not small):
                continue
            reference = frozen if name in FROZEN else fresh
            losses = engine(name, model, "rank1-sign", n)(probe)
            sds = float(reference.std(ddof=1)), float(losses.std(ddof=1))
            shift = float(losses.mean() - reference.mean()) / math.sqrt((sds[0] ** 2 + sds[1] ** 2) / n)
            ratio = math.log(sds[1] / sds[0]) / math.sqrt(1.0 / (n - 1))
            verdict = "agrees"
            if not (abs(shift) < 4.0 and abs(ratio) < 4.0):
                verdict = "DISAGREES"
                wrong.append(name)
            print(
                f"{label} {name}: loss {losses.mean():.5f}, sd {sds[1]:.5f}; {shift:+.1f} and {ratio:+.1f} standard "
                f"errors from the reference; {verdict}",
                file=sys.stderr,
            )
    return wrong


def telling_probe(model: Model) -> int:
    """The counter, of the first 64, whose direction moves the loss most when there is no noise."""
    rows = model.displacements(np.arange(64), "rank1-sign")
    thetas = model.theta + np.float32(SCALE) * np.concatenate([np.zeros_like(rows[:1]), rows])
    outputs = [model.network.forward(theta, model.inputs)[-1] for theta in thetas]
    losses = cross_entropy(np.stack(outputs), model.targets)
    return int(np.abs(losses[1:] - losses[0]).argmax())


def _reference_rows(model: Model) -> NDArray[Any]:
    spec = model.network.parameter_spec(1.0)
    return directions("rademacher", spec, key=KEY, step=0, counters=np.arange(3))


def available(only: list[str]) -> list[str]:
    """Engines that can run here; says of the others how to get them."""
    names = [*OWN]
    if reason := fast_engine_lacks():
        print(
            f"no fast engine ({reason}); pip install 'hwzo[fast]'. Floors use NumPy's normal numbers", file=sys.stderr
        )
    else:
        names += FAST
    for name, module in PEERS.items():
        if not importlib.util.find_spec(module):
            print(f"{name} is absent: benchmarks/README.md says how to install it", file=sys.stderr)
        else:
            names += [name, "aihwkit-pcm"] if name == "aihwkit" else [name]
    names += FLOORS
    return [name for name in names if not only or name in only]


def time_case(label: str, n_probes: int, names: list[str], rounds: int, seconds: float) -> dict[str, list[float]]:
    """Evaluations a second of each engine, a number a round; engines take turns.

    Seconds of the processor: those of the clock where one thread has a core to itself, and without the time that a busy
    machine gave to others.
    """
    model, counters = Model.random(label), np.arange(n_probes)
    calls: dict[str, tuple[Losses, int, int]] = {}
    for name in names:
        if name in SLOW and n_probes != 16:
            continue
        losses = engine(name, model, None, n_probes)
        losses(counters)  # warm: compiled, allocated
        start = time.process_time()
        losses(counters)
        took = time.process_time() - start
        calls[name] = losses, max(1, round(seconds / took)), rounds if took < 0.5 else min(3, rounds)
    speeds: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(rounds):
        for name, (losses, repeats, turns) in calls.items():
            if turn >= turns:
                continue
            start = time.process_time()
            for _ in range(repeats):
                losses(counters)
            speeds[name].append(repeats * n_probes / (time.process_time() - start))
    return speeds


def summary(values: list[float]) -> dict[str, Any]:
    return {"spread": [min(values), max(values)], "n": len(values)}


def machine() -> str:
    """Processor, cores and libraries."""
    name = platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        name = next((s.split(":")[1].strip() for s in cpuinfo.read_text().splitlines() if "model name" in s), name)
    blas = {f"{pool['internal_api']} {pool['version']}" for pool in threadpoolctl.threadpool_info() if pool["version"]}
    return f"{name}, {os.cpu_count()} cores, one thread; NumPy {np.__version__}, {', '.join(sorted(blas))}"


def main() -> None:
    """Check that the engines agree, then time them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one object on standard output")
    parser.add_argument("--only", nargs="+", default=[], metavar="ENGINE", help="time these only")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.05, help="a turn at least")
    options = parser.parse_args()
    known = [*OWN, *FAST, *PEERS, "aihwkit-pcm", *FLOORS]
    if unknown := [name for name in options.only if name not in known]:
        parser.error(f"--only {' '.join(unknown)}: there are {', '.join(known)}")
    if options.rounds < 1 or not 0 < options.seconds <= 60:
        parser.error("--rounds should be at least 1, --seconds above 0 and at most 60")
    names = available(options.only)
    rows: list[dict[str, Any]] = []
    ratios: list[dict[str, Any]] = []
    with threadpoolctl.threadpool_limits(1):
        if wrong := check(names):
            print(f"not comparable: {', '.join(sorted(set(wrong)))}; nothing was timed", file=sys.stderr)
            sys.exit(1)
        for label in NETWORKS:
            for n_probes in PROBES:
                case = f"{label} B{BATCH} K{n_probes}"
                speeds = time_case(label, n_probes, names, options.rounds, options.seconds)
                for name, values in speeds.items():
                    rows.append({"case": case, "engine": name, "per_second": statistics.median(values)})
                    rows[-1] |= summary(values)
                for a, b in RATIOS:
                    pairs = [x / y for x, y in zip(speeds.get(a, []), speeds.get(b, []), strict=False)]  # same rounds
                    if pairs:
                        ratios.append({"case": case, "ratio": f"{a}/{b}", "value": statistics.median(pairs)})
                        ratios[-1] |= summary(pairs)
        about = machine()
    if options.json:
        print(json.dumps({"machine": about, "rows": rows, "ratios": ratios}))
        return
    print(f"{about}\n\n| case | engine | evaluations/s, median | spread | n |\n| --- | --- | ---: | --- | ---: |")
    for row in rows:
        low, high = row["spread"]
        figures = f"{row['per_second']:,.0f} | {low:,.0f} to {high:,.0f}"
        print(f"| {row['case']} | {row['engine']} | {figures} | {row['n']} |")
    print("\n| case | ratio, round by round | median | spread | n |\n| --- | --- | ---: | --- | ---: |")
    for row in ratios:
        low, high = row["spread"]
        figures = f"{row['value']:.2f} | {low:.2f} to {high:.2f}"
        print(f"| {row['case']} | {row['ratio']} | {figures} | {row['n']} |")


if __name__ == "__main__":
    main()
