"""What a device's cells and columns do to a sum: noise of a cell against its level, noise and range of a column."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwzo.device import Device
from hwzo.network import Network
from hwzo.noise.profile import Profile
from hwzo.noise.setup import ranges
from hwzo.parameters import Array, ParameterSpec
from hwzo.probes import Batch, Probes
from hwzo.stages import Recurrent

ASSUMED = 0.03
"""Noise of a cell where nothing is known of it, as a share of the window; published ones: a third to three times it."""
SHORT = 0.8
"""A column whose sum reads below this share of what it must be is at the end of its converter's range."""
SAMPLES = 32


@dataclass(frozen=True, eq=False)
class Columns:
    """What is known of a device's cells and columns.

    Args:
        levels: (k,) magnitudes of a cell's weight, rising, the device's weight units.
        sd: (k,) standard deviation at these of what a write leaves and what is new later.
        node_noise: sd at a column's output, pre-activation units of the device.
        full_scale: largest sum of a column that comes out, in the same units; infinite if no end was seen.
    """

    levels: Array
    sd: Array
    node_noise: float = 0.0
    full_scale: float = math.inf

    def arrays(self) -> dict[str, Array]:
        """To be kept, by name: ``levels`` (k,), ``sd`` (k,), and ``column`` (2,), its noise and its full scale."""
        return {"levels": self.levels, "sd": self.sd, "column": np.array([self.node_noise, self.full_scale])}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array]) -> Columns:
        """What `arrays` gave."""
        noise, full_scale = (float(x) for x in arrays["column"])
        return cls(np.asarray(arrays["levels"]), np.asarray(arrays["sd"]), noise, full_scale)

    @staticmethod
    def measured_cells(network: Network) -> NDArray[np.bool_]:
        """(n,) True for the cells that `measured` writes, twice each: the first column of the first layer."""
        first = network.stages[0]
        cells = np.zeros(network.n_params, dtype=np.bool_)
        cells[: (first.rows + 1) * first.columns : first.columns] = True
        return cells

    def cell_variance(self, cells: Array) -> Array:
        """Of each of ``cells``, any shape, weight units squared."""
        return np.interp(np.abs(cells), self.levels, np.square(self.sd))

    @classmethod
    def assumed(cls, parameters: ParameterSpec) -> Columns:
        """Where nothing is known: cells with noise of `ASSUMED`, columns without end."""
        _, high = ranges(parameters)
        return cls(np.zeros(1), np.full(1, ASSUMED * float(high.max())))

    @classmethod
    def of(cls, profile: Profile) -> Columns | None:
        """As a calibration found them; None if it found nothing of the cells."""
        square = np.empty(0)
        level = np.empty(0)
        for way in ("up", "down"):
            curve = profile.curves.get(f"programming_noise_curve/{way}")
            if curve is not None and curve.axis is not None:
                level = np.append(level, np.abs(curve.axis))
                square = np.append(square, np.square(curve.values))
        if not level.size:
            return None
        own = profile.quantities.get("parameter_noise_sigma")
        # Levels of both signs and ways lie close together: neighbours are averaged.
        bins = [part for part in np.array_split(np.argsort(level), max(1, level.size // 4)) if part.size]
        levels = np.array([level[part].mean() for part in bins])
        sd = np.sqrt([square[part].mean() + (own.value**2 if own is not None else 0.0) for part in bins])
        noise = [q.value for name, q in profile.quantities.items() if name.startswith("node_noise_sd/")]
        return cls(levels, sd, float(np.sqrt(np.mean(np.square(noise)))) if noise else 0.0)

    @classmethod
    def measured(cls, device: Device, network: Network, known: Columns | None = None) -> Columns:
        """Measured now, at the first column of the first layer alone, whose cells are written twice.

        At the top of their range, and driven by inputs of 1, their sum shows where the column's converter ends; at 0,
        the column shows its noise. Where weights are read back, so do the cells.

        Args:
            device: reads back its nodes, or more.
            network: the device's.
            known: from a profile; only the converter's end is measured then.
        """
        spec, first = device.parameters, network.stages[0]
        _, high = ranges(spec)
        column = cls.measured_cells(network)
        batch = Batch(np.ones((SAMPLES, network.layers[0])), np.zeros((SAMPLES, network.layers[-1])), "squared-error")
        reads_weights = device.capabilities.reads_back("weights")

        def seen(level: Array) -> tuple[Array, float]:
            """Nodes of that column, and the rms error of its cells."""
            device.program(level, mask=column)
            nodes = device.measure(Probes.plain(2, want="nodes"), batch).nodes
            assert nodes is not None
            sums = nodes[0][..., :: first.columns]
            if not reads_weights:
                return sums, math.nan
            missed = device.read(4).mean(axis=0)[column] - level[column]
            return sums, 1.4826 * float(np.median(np.abs(missed)))  # stuck cells aside; sd of a normal law

        sums, top_sd = seen(high)
        if isinstance(first, Recurrent):  # its states are 0 at the first step, and what they will is not known
            sums, driven = sums[..., :1], np.append(np.ones(first.features), np.zeros(first.columns))
        else:  # at its edges a padded image drives fewer rows
            sums, driven = sums.max(axis=-1, keepdims=True), np.ones(first.rows)
        expected = float(high[column] @ np.append(driven, 1.0))
        full_scale = float(np.median(sums))
        if isinstance(known, Columns):
            noise, levels, sd = known.node_noise, known.levels, known.sd
        else:
            sums, low_sd = seen(np.zeros(spec.size))
            noise = float(np.std(sums, axis=(0, 1)).mean())
            guess = ASSUMED * float(high.max())
            levels = np.array([0.0, float(high[column].mean())])
            sd = np.array([low_sd, top_sd]) if reads_weights else np.full(2, guess)
        return cls(levels, sd, noise, full_scale if 0 < full_scale < SHORT * expected else math.inf)
