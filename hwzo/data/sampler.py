"""Minibatches without replacement, each a pure function of (seed, step)."""

from __future__ import annotations

import zlib

import numpy as np
from numpy.typing import NDArray

from hwzo.errors import ConfigError
from hwzo.probes import Batch

RUN_BYTES = 1 << 22
"""How much of the shuffled inputs is kept at a time, bytes: enough to make gathering rare, and near the cache."""

_STREAM = zlib.crc32(b"hwzo minibatches")  # keeps these draws apart from whatever else is seeded with the run's seed


class Sampler:
    """Draws minibatches from a split.

    Epochs follow each other without a gap: minibatch ``step`` holds positions step*size to step*size+size of the
    endless sequence of each epoch's permutation, so that no sample is left out when size doesn't divide the split, and
    between two visits of one sample lie fewer than two epochs. Minibatches may be asked for in any order.

    Args:
        split_batch: the whole split.
        size: samples a minibatch; if that is the whole split, every minibatch is the split itself, unshuffled.
        seed: of the order, at least 0.

    Raises:
        ConfigError: size below 1 or above the number of samples, or a negative seed.
    """

    def __init__(self, split_batch: Batch, size: int, seed: int) -> None:
        n = len(split_batch)
        if not 1 <= size <= n:
            raise ConfigError(f"batch={size} is outside 1 to {n}, the number of samples to train on", key="batch")
        if seed < 0:
            raise ConfigError(f"seed={seed} must be at least 0", key="seed")
        self.split_batch = split_batch
        self.size = size
        self.seed = seed
        # Consecutive minibatches are gathered together, a run of them: one gather's overhead for many, then slices.
        sample_bytes = split_batch.inputs.nbytes // n
        self._per_run = min(max(1, RUN_BYTES // (size * sample_bytes)), -(-n // size))
        self._run: int | None = None
        self._batches: list[Batch] = []
        self._orders: dict[int, NDArray[np.int64]] = {}

    def at(self, step: int) -> Batch:
        """The minibatch of one step, counted from 0; its arrays are shared, so don't write to them."""
        if self.size == len(self.split_batch):
            return self.split_batch
        run, index = divmod(step, self._per_run)
        if run != self._run:
            self._gather(run)
        return self._batches[index]

    def order(self, epoch: int) -> NDArray[np.int64]:
        """The permutation of one epoch, (n,) int64: a pure function of (seed, epoch)."""
        sequence = np.random.SeedSequence(self.seed, spawn_key=(_STREAM, epoch))
        return np.random.default_rng(sequence).permutation(len(self.split_batch)).astype(np.int64, copy=False)

    def _gather(self, run: int) -> None:
        n, whole = len(self.split_batch), self.split_batch
        start = run * self._per_run * self.size
        stop = start + self._per_run * self.size
        epochs = range(start // n, (stop - 1) // n + 1)
        self._orders = {epoch: self._orders[epoch] if epoch in self._orders else self.order(epoch) for epoch in epochs}
        first = start - epochs.start * n
        positions = np.concatenate([self._orders[epoch] for epoch in epochs])[first : first + stop - start]
        inputs, targets = whole.inputs.take(positions, axis=0), whole.targets.take(positions, axis=0)
        edges = range(0, len(positions), self.size)
        self._batches = [Batch(inputs[i : i + self.size], targets[i : i + self.size], whole.loss) for i in edges]
        self._run = run
