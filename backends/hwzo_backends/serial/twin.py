"""The arithmetic of a board with a simulated array, in NumPy: docs/firmware-arithmetic.md, bit for bit.

Whatever a board answers can be had here without one: to check a board, to choose settings for one, or to make up for a
compiler that is missing (see `hwzo_backends.serial.twin_service`). It is written from that page, not from the firmware.

Sums of products are taken in float64, which is exact: a column's sum is below 2.13e9 by the bounds that a network may
have, and every number of less than 2^53 is a float64.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from hwzo.directions import directions
from hwzo.network import Network
from hwzo.parameters import Array
from hwzo.philox import philox4x32
from hwzo.probes import Law
from hwzo.wire.schema import ActivationCode, LawCode, LossCode

Integers = NDArray[np.int64]

MOST = 32767
LAWS: dict[LawCode, Law] = {LawCode.RADEMACHER: "rademacher", LawCode.RANK1_SIGN: "rank1-sign"}
PROGRAMMING, READING, NODE, LATCH_ERROR = 16, 17, 18, 19
"""Streams of the simulated noise."""

_TANH: Integers = np.array([round(127 * math.tanh((8 * n + 3.5) / 1024)) if n < 400 else 127 for n in range(4096)])
_EXP: Integers = np.array([round(32768 * 2 ** (-n / 64)) for n in range(65)])
_ONES: Integers = np.array([bin(n).count("1") for n in range(1 << 16)])
_LOG: Integers = np.array([round(65536 * math.log(1 + n / 64)) for n in range(65)])


@dataclass
class SimulatedArray:
    """The noise of an array in software, as ``NOISE`` sets it, and the counters that it is drawn by.

    Args:
        seed: its Philox key, 64 bits.
        read_sd, programming_sd, node_sd: standard deviations, units, each at most 4096.
        evaluation, write: how often it was evaluated and programmed, modulo 2^32.
    """

    seed: int = 0
    read_sd: int = 0
    programming_sd: int = 0
    node_sd: int = 0
    evaluation: int = 0
    write: int = 0

    def set_noise(self, seed: int, read_sd: int, programming_sd: int, node_sd: int) -> None:
        """``NOISE``."""
        self.seed, self.read_sd, self.programming_sd, self.node_sd = seed, read_sd, programming_sd, node_sd
        self.evaluation = self.write = 0

    def evaluated(self) -> None:
        """An evaluation starts."""
        self.evaluation = (self.evaluation + 1) & 0xFFFFFFFF

    def written(self) -> None:
        """The whole array was programmed anew."""
        self.write = (self.write + 1) & 0xFFFFFFFF

    def gain(self, stream: int) -> int:
        """What a draw of this stream is multiplied by; 0 if there is no noise."""
        sd = {PROGRAMMING: self.programming_sd, NODE: self.node_sd}.get(stream, self.read_sd)
        gain = (sd * 4013 + 128) >> 8
        return gain >> 2 if stream == LATCH_ERROR else gain

    def draws(self, stream: int, count: int, repeat: int = 0) -> Integers:
        """The first draws of a stream, (count,) units."""
        gain = self.gain(stream)
        if gain == 0:
            return np.zeros(count, dtype=np.int64)
        counters = np.empty((-(-count // 4), 4), dtype=np.uint32)
        counters[:, 0] = np.arange(len(counters))
        counters[:, 1:] = self.write if stream == PROGRAMMING else self.evaluation, repeat, stream
        words = philox4x32(counters, self.seed).ravel()[:count].astype(np.int64)
        g = 256 * _ONES[words & 0xFFFF] + ((words >> 16) & 0xFF) + (words >> 24) - 2303
        return (g * gain + 4096) >> 13

    def realised(self, displaced: Integers, limit: int) -> Integers:
        """What it makes of parameters (n_params,), units, in the evaluation that was started last."""
        r = displaced
        for stream in (PROGRAMMING, READING):
            if self.gain(stream):
                r = np.clip(r + self.draws(stream, len(r)), -limit, limit)
        return r


def limit_of(widths: Sequence[int]) -> int:
    """How far from 0 the bounds of a network may be, units, so that no sum overflows on a board."""
    return min(MOST, 2113000000 // (127 * (max(widths[:-1]) + 1)))


class Twin:
    """A board after ``NETWORK``. What it is told is taken to be in range; `TwinService` looks after that.

    Args:
        widths: number of inputs, then of each layer's nodes.
        activation: of the hidden layers.
        lower, upper: bounds of the parameters, units.
        array: holds the parameters, and stays the same from network to network.
    """

    def __init__(
        self,
        widths: Sequence[int],
        activation: ActivationCode = ActivationCode.TANH,
        lower: int = -MOST,
        upper: int = MOST,
        array: SimulatedArray | None = None,
    ) -> None:
        self.widths = tuple(widths)
        self.activation = activation
        self.bounds = (lower, upper)
        self.limit = limit_of(widths)
        self.nodes_per_sample = sum(self.widths[1:])
        self.spec = Network(self.widths).parameter_spec()
        self.array = array or SimulatedArray()
        self.key: int | None = None
        self.law = LawCode.RADEMACHER
        self.step = 0
        self.parameters: Integers
        """Targets, (n_params,) units."""
        self.displaced: Integers
        """What the last evaluation made of them, before noise, (n_params,) units."""
        self._write(np.zeros(self.spec.size, dtype=np.int64))
        self.set_batch(np.empty((0, self.widths[0] + 1), dtype=np.int8), LossCode.CROSS_ENTROPY)

    # --- what it is told ---

    def set_key(self, key: int, law: LawCode, step: int) -> None:
        """``KEY``."""
        self.key, self.law, self.step = key, law, step
        self.displaced = self.parameters

    def set_batch(self, rows: NDArray[np.int8], loss: LossCode) -> None:
        """``BATCH`` and ``SAMPLE``: rows (batch, n_0 + 1) of inputs and a class number, or (batch, n_0 + n_L)."""
        n = self.widths[0]
        self.inputs: Integers = rows[:, :n].astype(np.int64)
        last = rows[:, n:]
        self.targets: Integers = (last.view(np.uint8) if loss == LossCode.CROSS_ENTROPY else last).astype(np.int64)
        self.loss = loss
        self.nodes: Integers = np.zeros((len(rows), self.nodes_per_sample), dtype=np.int64)
        """Pre-activations of the last evaluation, (batch, nodes of all layers), units of 2^-10."""

    def program(self, offset: int, values: Sequence[int] | Integers) -> None:
        """``WRITE``."""
        parameters: Integers = np.array(self.parameters)
        parameters[offset : offset + len(values)] = values
        self._write(parameters)

    def copy(self) -> Twin:
        """``CHECKPOINT``: another one like it, without batch and displacement, with an array of its own."""
        twin = Twin(self.widths, self.activation, *self.bounds)
        twin.key, twin.law, twin.step = self.key, self.law, self.step
        twin.parameters = twin.displaced = self.parameters
        twin.array = replace(self.array)
        return twin

    # --- what it computes ---

    def directions(self, counters: Sequence[int]) -> Integers:
        """Signs (K, n_params) of the directions at the step that it is at; there has to be a key."""
        if self.key is None:
            raise RuntimeError("a direction needs a key; call set_key() first")
        rows = directions(LAWS[self.law], self.spec, key=self.key, step=self.step, counters=np.array(counters))
        return rows.astype(np.int64)

    def evaluate(self, k: int = 0, scale: int = 0) -> int:
        """``EVALUATE``: loss of the batch, units of 2^-16; see `nodes` for the rest."""
        self.array.evaluated()
        d = self.parameters
        self.displaced = np.clip(d + scale * self.directions([k])[0], *self.bounds) if scale else d
        self.nodes = self._forward(self.realised())
        losses = self._losses(self.nodes[:, -self.widths[-1] :])
        return (int(losses.sum()) + len(losses) // 2) // len(losses)

    def update(self, pairs: Sequence[tuple[int, int]]) -> None:
        """``UPDATE``: coefficient times direction for each pair (k, coefficient), and on to the next step."""
        parameters = self.parameters
        if pairs:
            signs = self.directions([k for k, _ in pairs])
            parameters = parameters + np.array([c for _, c in pairs], dtype=np.int64) @ signs
        self._write(np.clip(parameters, *self.bounds))
        self.step += 1

    def realised(self) -> Integers:
        """What the array made of the parameters in the last evaluation, (n_params,) units."""
        return self.array.realised(self.displaced, self.limit)

    def reading(self, repeat: int = 0) -> Integers:
        """``LATCH``: `realised` with a read's error of its own, (n_params,) units."""
        error = self.array.draws(LATCH_ERROR, self.spec.size, repeat)
        return np.clip(self.realised() + error, -MOST, MOST)

    def crc(self) -> int:
        """``HASH``."""
        return zlib.crc32(self.parameters.astype("<i2").tobytes())

    # --- how ---

    def _write(self, parameters: Integers) -> None:
        self.parameters = parameters
        self.displaced = parameters
        self.array.written()

    def _forward(self, weights: Integers) -> Integers:
        """Pre-activations (batch, nodes of all layers) of the batch."""
        batch = len(self.inputs)
        x, fine = self.inputs, True  # fine: x is in 1/127, else in 1/32
        noise = self.array.draws(NODE, batch * self.nodes_per_sample).reshape(batch, -1)
        layers: list[Integers] = []
        start = column = 0
        for n, m in pairwise(self.widths):
            block = weights[start : start + (n + 1) * m].reshape(n + 1, m)
            start += block.size
            sums = _product(x, block[:n]) + (127 if fine else 32) * block[n]
            a = (sums + (sums >> 7) + 256) >> 9 if fine else (sums + 64) >> 7
            a = np.clip(np.clip(a, -MOST, MOST) + noise[:, column : column + m], -MOST, MOST)
            column += m
            layers.append(a)
            x, fine = self._activated(a), self.activation == ActivationCode.TANH
        return np.concatenate(layers, axis=1)

    def _activated(self, a: Integers) -> Integers:
        if self.activation == ActivationCode.TANH:
            return np.sign(a) * _TANH[np.abs(a) >> 3]
        least = 0 if self.activation == ActivationCode.RELU else -127
        return np.clip((a + 16) >> 5, least, 127)

    def _losses(self, outputs: Integers) -> Integers:
        """Loss of each sample, (batch,), units of 2^-16."""
        if self.loss == LossCode.SQUARED_ERROR:
            difference = np.minimum(np.abs(outputs - ((1032 * self.targets + 64) >> 7)), 8191)
            n = outputs.shape[1]
            return (((difference**2 + 8) >> 4).sum(axis=1) + n // 2) // n
        peak = outputs.max(axis=1)
        chosen = np.take_along_axis(outputs, self.targets, axis=1)[:, 0]
        return _logarithm(_exponential(peak[:, None] - outputs).sum(axis=1)) + ((peak - chosen) << 6)


def _product(x: Integers, block: Integers) -> Integers:
    left: Array = x.astype(np.float64)
    right: Array = block.astype(np.float64)
    return (left @ right).astype(np.int64)


def _exponential(d: Integers) -> Integers:
    """exp(-d) of d in units of 2^-10, in units of 2^-24."""
    q = d * 47274
    m, n, r = q >> 25, (q >> 19) & 63, (q >> 9) & 1023
    e = (_EXP[n] - (((_EXP[n] - _EXP[n + 1]) * r + 512) >> 10)) << 9
    return np.where(m > 24, 0, e >> np.minimum(m, 24))


def _logarithm(s: Integers) -> Integers:
    """The natural logarithm of s >= 2^24 in units of 2^-24, in units of 2^-16."""
    m = np.frexp(s.astype(np.float64))[1].astype(np.int64) - 25  # so that s >> m is in [2^24, 2^25)
    s = s >> m
    n, r = (s >> 18) & 63, (s >> 8) & 1023
    return 45426 * m + _LOG[n] + (((_LOG[n + 1] - _LOG[n]) * r + 512) >> 10)
