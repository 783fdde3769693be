"""Noise at the columns' outputs, and the converters behind them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hwzo.network import ACTIVATIONS, Network
from hwzo.noise.jackknife import jackknife
from hwzo.noise.quantity import Findings, Quantity
from hwzo.noise.read_error import resolution
from hwzo.noise.setup import Raw, Setup
from hwzo.parameters import Array
from hwzo.probes import Batch

COPIES = 4
FEWEST = 2
EDGE = 1e-3
"""A converter is said to saturate if more than this share of its readings stand at one end of its range."""
PILED = 8
"""And so many at least: of a tail that just ends there a few may share its last level."""


SAMPLES = 128


def copied(batch: Batch, room: int = SAMPLES) -> Batch:
    """A quarter of ``room`` samples, each `COPIES` times: what copies differ by within one evaluation is noise of the
    nodes alone, whatever the weights do from one evaluation to the next. A small batch is gone through again."""
    where = np.repeat(np.arange(max(1, room // COPIES)) % len(batch), COPIES)
    return Batch(batch.inputs[where], batch.targets[where], batch.loss)


def take(setup: Setup, evaluations: int) -> Raw:
    """``layer0``, ``layer1``, ...: (evaluations, batch, units) pre-activations as digitised, of `copied` samples.

    ``inputs`` (batch, n_inputs) are what was applied; where the device reads back its weights, ``realised``
    (evaluations, n) are those of each evaluation, and ``inside`` (n,) is 0 where they read outside of their bounds.
    """
    device = setup.device
    device.program(setup.theta)
    room: int | None = getattr(device.capabilities, "max_batch", None)  # only a device that is short of room says
    batch = copied(setup.batch, min(SAMPLES, room or SAMPLES))
    reads_weights = device.capabilities.reads_back("weights")
    layers: list[list[NDArray[np.float32]]] = []
    realised: list[NDArray[np.float32]] = []
    for _ in range(evaluations):
        readings = setup.evaluate(1, "weights" if reads_weights else "nodes", batch)
        assert readings.nodes is not None
        layers.append([layer[0].astype(np.float32) for layer in readings.nodes])
        if readings.realised is not None:
            realised.append(readings.realised[0].astype(np.float32))
    raw: dict[str, NDArray[np.float64] | NDArray[np.float32]] = {
        f"layer{index}": np.stack(rows) for index, rows in enumerate(zip(*layers, strict=True))
    }
    raw["inputs"] = batch.inputs
    if reads_weights:
        spec, values = device.parameters, np.stack(realised)
        mean = values.mean(axis=0)
        raw |= {"realised": values, "inside": ((mean >= spec.lower) & (mean <= spec.upper)).astype(np.float32)}
    return raw


def estimate(
    layers: list[Array],
    inputs: Array,
    realised: Array | None,
    inside: Array | None,
    network: Network,
    read_square: float,
) -> Findings:
    """``node_noise_sd/layerN`` (layers counted from 1), ``adc_step``, ``adc_saturated_share``, ``adc_gain``,
    ``adc_offset``.

    Node noise: the variance among copies of a sample, less what differences of the layer's own input explain: a layer
    behind a noisy one is driven differently by each copy. They are explained by the weights read back, and by least
    squares in what remains of them. It counts everything that is new in each sample, the converter's rounding included.

    Gain and offset, of the first layer: a straight line through mean readings against what inputs and the weights read
    back give, a column each, less what errors of the read-back add to the spread of the latter. Weights that read
    outside of their bounds may have been cut off: what they add is left free.

    Args:
        layers: (evaluations, batch, units) each.
        inputs: (batch, n_inputs); `COPIES` of each sample stand together.
        realised: (evaluations, n) parameters read back, or None.
        inside: (n,) 0 where those lie outside of their bounds, or None.
        network: the device's.
        read_square: mean square error of a read-back, weight units squared.
    """
    found = Findings()
    activate, _ = ACTIVATIONS[network.activation]
    for index, (stage, nodes) in enumerate(zip(network.stages, layers, strict=True)):
        nodes = nodes.astype(np.float64)
        many, samples = nodes.shape[:2]
        before = layers[index - 1].astype(np.float64) if index else None
        x = (
            np.broadcast_to(inputs, (many, *inputs.shape))
            if before is None
            else network.stages[index - 1].passed(before, activate)
        )
        flat_x, flat_nodes = x.reshape(many * samples, -1), nodes.reshape(many * samples, -1)
        driven = stage.driven(flat_x, flat_nodes, activate).reshape(many * samples, stage.reads, stage.rows)
        matrices = network.blocks(realised)[index][:, :-1] if realised is not None else None
        found.add(_noise(index, flat_nodes.reshape(-1, stage.reads, stage.columns), driven, matrices, read_square))
    found.add(_converter(layers))
    if realised is None:
        reason = "needs weights that are read back: a gain can't be told from errors of writing"
        found.left_out |= dict.fromkeys(("adc_gain", "adc_offset"), reason)
    else:
        found.add(_line(layers, inputs, realised.mean(axis=0), inside, network, read_square / len(realised)))
    return found


def _noise(index: int, nodes: Array, driven: Array, matrices: Array | None, read_square: float) -> Findings:
    """Of one layer: nodes (readings, reads, columns), driven (readings, reads, rows); copies stand together;
    matrices (evaluations, rows, columns) as read back."""
    found = Findings()
    name = f"node_noise_sd/layer{index + 1}"
    y, x = _among_copies(nodes), _among_copies(driven)  # (groups, rows of a group, ...)
    groups, rows, columns = y.shape
    flat_y, flat_x = y.reshape(-1, columns), x.reshape(groups * rows, -1)
    rank, misread = 0, 0.0
    if np.abs(flat_x).max() > 1e-12:
        if matrices is not None:
            flat_y = flat_y - np.matmul(flat_x.reshape(len(matrices), -1, x.shape[-1]), matrices).reshape(-1, columns)
            misread = read_square * float(np.square(flat_x).sum(axis=1).mean()) * COPIES / (COPIES - 1)
        solution, _, rank, _ = np.linalg.lstsq(flat_x, flat_y, rcond=1e-10)
        flat_y = flat_y - flat_x @ solution
    free = groups * rows * (COPIES - 1) / COPIES - rank  # a group's mean takes a degree of freedom for each read
    if free < 0.25 * groups * rows:
        found.left_out[name] = (
            f"{groups * rows} readings for {rank} inputs of the layer; at least {2 * rank} are needed"
        )
        return found
    squares = np.square(flat_y).reshape(groups, rows, columns).sum(axis=1).mean(axis=1) * groups / free - misread
    value, error, dof = jackknife(squares[:, None], lambda row: row[0], unbiased=False).scalars
    about = (
        f"sd of what is new in each sample's pre-activations of layer {index + 1}, the converter's rounding included"
    )
    found.quantities[name] = Quantity.root(value, error, "pre-activation", nodes.size, dof=dof, about=about)
    return found


def _among_copies(values: Array) -> Array:
    """(groups, COPIES * reads, ...) of (readings, reads, ...), each read less its mean over the copies of a sample."""
    readings, reads, width = values.shape
    grouped = values.reshape(readings // COPIES, COPIES, reads, width)
    return (grouped - grouped.mean(axis=1, keepdims=True)).reshape(readings // COPIES, COPIES * reads, width)


def _converter(layers: list[Array]) -> Findings:
    found = Findings()
    values = np.concatenate([layer.ravel() for layer in layers])
    step = resolution(values)
    if step:
        about = "step of the columns' converter"
        found.quantities["adc_step"] = Quantity.exact(step, "pre-activation", values.size, about)
    top, bottom = float(values.max()), float(values.min())
    at_end = int(max(np.count_nonzero(values == top), np.count_nonzero(values == bottom)))
    # Clipped readings pile up at the very end; those of a mere tail don't: the level next to it must hold fewer.
    near = sorted(
        (int(np.count_nonzero(np.abs(values - end) < 1.5 * step)) - int(np.count_nonzero(values == end)))
        for end in (top, bottom)
    )[0]
    piled = bool(step) and top > bottom and at_end > max(2 * near, EDGE * values.size, PILED)
    # A row a sample and half of the evaluations: its copies, all units of all layers.
    ends = np.concatenate([((layer == top) | (layer == bottom)) & piled for layer in layers], axis=2).mean(axis=2)
    halves = np.stack([half.mean(axis=0) for half in np.array_split(ends, 2)])
    each = halves.reshape(-1, COPIES).mean(axis=1)
    share, error, dof = jackknife(each[:, None], lambda row: row[0]).scalars
    about = "share of pre-activations at an end of the converter's range"
    found.quantities["adc_saturated_share"] = Quantity.mean(share, error, "1", values.size, dof=dof, about=about)
    if piled:
        found.warnings.append(
            f"the columns' converter saturates: {100 * share:.2g}% of the pre-activations stand at an end of its range "
            f"({bottom:.3g} or {top:.3g}); give it a larger full scale, or smaller weights"
        )
    return found


def _line(
    layers: list[Array], inputs: Array, realised: Array, inside: Array | None, network: Network, misread: float
) -> Findings:
    found = Findings()
    stage = network.stages[0]
    samples = len(inputs)
    mean = layers[0].astype(np.float64).mean(axis=0)
    activate, _ = ACTIVATIONS[network.activation]
    block = network.blocks(realised)[0]
    driven = stage.driven(inputs, mean, activate).reshape(-1, stage.rows)
    trusted = np.ones_like(block) if inside is None else network.blocks(inside)[0]
    expected: Array = driven @ block[:-1] + block[-1]
    seen: Array = mean.reshape(samples * stage.reads, stage.columns)
    for column in np.flatnonzero((trusted == 0).any(axis=0)):
        free = np.hstack([driven, np.ones((len(driven), 1))])[:, trusted[:, column] == 0]
        for values in (expected, seen):
            solution, *_ = np.linalg.lstsq(free, values[:, column], rcond=None)
            values[:, column] -= free @ solution
    spread = np.square(expected - expected.mean(axis=0)).mean(axis=0)
    if stage.columns < 2 or not (spread > 0).all():
        reason = f"{stage.columns} columns, with inputs that drive them; at least 2 are needed"
        found.left_out = dict.fromkeys(("adc_gain", "adc_offset"), reason)
        return found
    # A row a column: sums of which pooled least squares is made. Columns differ in offset, not in gain. Errors of
    # reading weights back, of mean square ``misread``, spread what is expected further than what is seen.
    centred = expected - expected.mean(axis=0)
    unseen = misread * float(np.var(driven, axis=0).sum())
    features = np.stack([np.square(centred).mean(axis=0) - unseen, (centred * seen).mean(axis=0)], axis=1)
    value, error, dof = jackknife(features, lambda row: row[1] / row[0]).scalars
    about = "readings of the first layer's columns over what inputs and weights read back give"
    found.quantities["adc_gain"] = Quantity.mean(value, error, "1", seen.size, dof=dof, about=about)
    offsets = seen.mean(axis=0) - value * expected.mean(axis=0)
    value, error, dof = jackknife(offsets[:, None], lambda row: row[0]).scalars
    about = "mean over the first layer's columns of what they read where inputs and weights give 0"
    found.quantities["adc_offset"] = Quantity.mean(value, error, "pre-activation", seen.size, dof=dof, about=about)
    return found
