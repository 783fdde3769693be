"""Checks of reading the weights back, and of what is declared about the parameters' own noise and the nodes'."""

from __future__ import annotations

import numpy as np

from hwzo.parameters import Array
from hwzo.testing.check import ALPHA, Bench, BreachError, Check, check, needs, require
from hwzo.testing.student import Mean

READS = 4
SLOPE_TOLERANCE = 0.1
"""Share by which read-back may be smaller or larger than what was programmed: gain errors and a few stuck cells."""
BIAS_TOLERANCE = 0.05
"""Offset of read-back, in standard deviations of the parameters programmed."""


def _rounds(bench: Bench) -> int:
    """How often to write and read: more often if there are few parameters to take the mean over."""
    return max(16, min(64, 1024 // bench.device.parameters.size))


def _read(bench: Bench) -> Array:
    reads = bench.device.read(READS)
    expected = (READS, bench.device.parameters.size)
    require(reads.shape == expected, f"read({READS}) has shape {reads.shape}, expected {expected}")
    require(reads.dtype == np.float64, f"read gives {reads.dtype}, expected float64")
    require(bool(np.isfinite(reads).all()), "read gives numbers that aren't finite")
    return reads


def _needs_weights(bench: Bench) -> None:
    needs(bench.device.capabilities.reads_back("weights"), "the weights are not read back")


def _read_variance(reads: Array) -> float:
    """Variance of one read, mean over the parameters, unbiased."""
    return float(reads.var(axis=0, ddof=1).mean())


@check("program and read agree", false_alarm=ALPHA)
def round_trip(bench: Bench) -> str:
    """Read-back follows what was programmed with slope 1 and offset 0, within noise and tolerance."""
    _needs_weights(bench)
    slopes: list[float] = []
    offsets: list[float] = []
    spreads: list[float] = []
    for theta in bench.points(_rounds(bench)):
        bench.device.program(theta)
        bench.measure()
        mean = _read(bench).mean(axis=0)
        # About the origin, so that one parameter alone has a slope as well.
        slopes.append(float(mean @ theta / (theta @ theta)))
        offsets.append(float((mean - theta).mean()))
        spreads.append(float(np.sqrt(np.square(theta).mean())))
    slope, offset = Mean.of(np.array(slopes)), Mean.of(np.array(offsets))
    size = float(np.mean(spreads))
    require(
        abs(slope.value - 1) <= SLOPE_TOLERANCE + slope.margin(ALPHA / 2),
        f"read-back against programmed has slope {slope}, must be 1 within {SLOPE_TOLERANCE} and its noise",
    )
    require(
        abs(offset.value) <= BIAS_TOLERANCE * size + offset.margin(ALPHA / 2),
        f"read-back is offset by {offset}, must be 0 within {BIAS_TOLERANCE * size:.2g} and its noise",
    )
    return f"slope {slope}, offset {offset}"


@check("realised is what read reads", false_alarm=ALPHA)
def realised(bench: Bench) -> str:
    """What ``measure`` says it realised in its last probe, and a read right after it, differ by read error only."""
    _needs_weights(bench)
    count = min(2, bench.device.capabilities.max_probes)
    excess: list[float] = []
    allowed: list[float] = []
    for theta in bench.points(_rounds(bench)):
        bench.device.program(theta)
        found = bench.measure(count, "weights").realised
        if found is None:
            raise BreachError("measure with want='weights' gives no realised parameters")
        reads = _read(bench)
        variance = _read_variance(reads)
        # Realised and the mean of R reads differ by a variance of (1 + 1/R) read errors.
        excess.append(float(np.square(found[-1] - reads.mean(axis=0)).mean()) - variance * (1 + 1 / READS))
        allowed.append(0.5 * variance)
    mean = Mean.of(np.array(excess))
    limit = float(np.mean(allowed)) + mean.margin(ALPHA) + 1e-18 * float(np.square(bench.unit).mean())
    require(
        mean.value <= limit,
        f"realised parameters differ from those read right afterwards by a variance of {mean} more than the read's "
        "own error explains",
    )
    return f"variance beyond the read's own error {mean}"


@check("node noise as declared")
def node_noise(bench: Bench) -> str:
    """Repeats differ where node noise is declared, and are equal where no noise is."""
    device = bench.device
    can = device.capabilities
    device.program(bench.points(1)[0])
    repeats = min(8, can.max_probes)
    level = "outputs" if can.network is not None and can.reads_back("outputs") else "loss"
    readings = [bench.measure(repeats, level), bench.measure(repeats, level)]
    values = np.concatenate([r.losses if r.outputs is None or level == "loss" else r.outputs for r in readings])
    same = bool((values == values[0]).all())
    if can.node_noise:
        require(not same, f"node noise is declared, but {len(values)} repeats are equal")
        return f"{len(values)} repeats differ"
    needs(can.parameter_noise == "none", f"no node noise is declared, but {can.parameter_noise} parameter noise is")
    spread = float(np.ptp(values, axis=0).max())
    require(same, f"no noise is declared, but {len(values)} repeats differ, by up to {spread:.3g}")
    return f"{len(values)} repeats are equal"


@check("parameter noise as declared", false_alarm=ALPHA)
def parameter_noise(bench: Bench) -> str:
    """Noise that is declared retained stays between writes, per-evaluation doesn't, and none isn't there.

    With e1, e2 the deviations from the programmed parameters in two evaluations after one write, read error taken off:
    D = mean (e1 - e2)^2 is 0 for retained noise and V = mean e^2 is its variance; per-evaluation noise has D > 0.
    """
    _needs_weights(bench)
    device = bench.device
    can, spec = device.capabilities, device.parameters
    changes: list[float] = []
    variances: list[float] = []
    rewrites: list[float] = []
    first, second = bench.points(2)
    earlier: tuple[Array, float] | None = None
    for _ in range(_rounds(bench)):
        device.program(second)
        device.program(first)
        bench.measure()
        one = _read(bench)
        bench.measure()
        two = _read(bench)
        error = 0.5 * (_read_variance(one) + _read_variance(two)) / READS
        e1, e2 = one.mean(axis=0) - first, two.mean(axis=0) - first
        changes.append(float(np.square(e1 - e2).mean()) - 2 * error)
        variances.append(float(0.5 * (np.square(e1).mean() + np.square(e2).mean())) - error)
        own = _read_variance(one) / READS
        if earlier is not None:
            rewrites.append(float(np.square(e1 - earlier[0]).mean()) - own - earlier[1])
        earlier = (e1, own)
    change, variance = np.array(changes), np.array(variances)
    tiny = 1e-18 * float(np.square(bench.unit).mean())
    if can.parameter_noise == "none":
        step = max(tensor.resolution for tensor in spec.tensors)
        # Neighbours in this list share a round; every other one doesn't.
        for name, mean in (("two evaluations", Mean.of(change)), ("two writes", Mean.of(np.array(rewrites[::2])))):
            require(
                mean.value <= mean.margin(ALPHA / 2) + step**2 + tiny,
                f"no parameter noise is declared, but between {name} parameters change by a variance of {mean}",
            )
        return f"change between two evaluations: variance {Mean.of(change)}"
    if can.parameter_noise == "retained":
        require(
            float(variance.max()) > tiny, "retained noise is declared, but read-back is exactly what was programmed"
        )
        mean = Mean.of(change - variance)
        require(
            mean.value <= mean.margin(ALPHA) + tiny,
            f"retained noise is declared, but between two evaluations it changes: by a variance of {Mean.of(change)}, "
            f"of {Mean.of(variance)} in all",
        )
    else:
        require(
            bool(np.any(np.abs(change) > tiny)), "per-evaluation noise is declared, but two evaluations read back alike"
        )
        mean = Mean.of(change - 0.05 * variance)
        require(
            mean.value >= -mean.margin(ALPHA),
            f"per-evaluation noise is declared, but between two evaluations parameters change by a variance of "
            f"{Mean.of(change)} only, of {Mean.of(variance)} in all",
        )
    return f"variance {Mean.of(variance)}, of which {Mean.of(change)} changes between two evaluations"


CHECKS: tuple[Check, ...] = (round_trip, realised, node_noise, parameter_noise)
