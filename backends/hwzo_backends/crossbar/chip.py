"""The chip: cells, their slow noise, wires and bit slices on one clock; what is programmed, and what it really is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwzo.parameters import Array
from hwzo.probes import Cost
from hwzo_backends.crossbar.cells import Cells, Imperfections
from hwzo_backends.crossbar.engine import Realised
from hwzo_backends.crossbar.noise import NoiseSource
from hwzo_backends.crossbar.options import Options
from hwzo_backends.crossbar.preset import Preset
from hwzo_backends.crossbar.pulsed_cells import PulsedCells, PulsedImperfections
from hwzo_backends.crossbar.slices import BitSlices
from hwzo_backends.crossbar.slow_noise import FlickerBands, Telegraph
from hwzo_backends.crossbar.tiles import LayerTiles
from hwzo_backends.crossbar.wires import Wires


class Chip:
    """Differential pairs that hold ``n`` weights; time passes on ``clock``, seconds from 0.

    Args:
        preset: physics of the cells.
        options: everything else, resolved.
        layers: how the weights lie on tiles.
        noise: where the draws come from.
        n: number of weights.
    """

    def __init__(
        self, preset: Preset, options: Options, layers: Sequence[LayerTiles], noise: NoiseSource, n: int
    ) -> None:
        self._preset, self._options, self._noise = preset, options, noise
        self._slices = BitSlices(options.slices, options.slice_bits, options.window) if options.slices > 1 else None
        self.scales: tuple[float, ...] = tuple(self._slices.scales.tolist()) if self._slices is not None else (1.0,)
        self._n = n
        pairs = n * len(self.scales)
        self._cells = self._make_cells(pairs, layers)
        law = preset.flicker if options.flicker else None
        self._flicker = FlickerBands(pairs, law.t_read, preset.t0, noise) if law is not None else None
        telegraph = options.telegraph > 0 and options.telegraph_fraction > 0
        self._telegraph = (
            Telegraph(2 * pairs, options.telegraph, options.telegraph_fraction, options.telegraph_tau, noise)
            if telegraph
            else None
        )
        self.held: Array = np.zeros(n)  # what was last asked of the cells, weight units
        self.clock = 0.0
        self._evaluations = 0
        self._writes = 0

    def _make_cells(self, pairs: int, layers: Sequence[LayerTiles]) -> Cells | PulsedCells:
        options, preset = self._options, self._preset
        attenuate = None
        if options.ir_drop != "off":
            wires = Wires(layers, len(self.scales), options.wire_ohm, options.wire_ohm, 1e-6, options.ir_drop)
            attenuate = wires.effective
        if preset.pulses is not None:
            return PulsedCells(
                pairs,
                options.window,
                preset,
                PulsedImperfections(
                    verify=options.verify,
                    read_error=options.read_error,
                    endurance=options.endurance,
                    c2c=options.pulse_noise,
                    d2d=options.pulse_spread,
                    stuck=options.stuck,
                    corrupt=options.corrupt,
                    read_noise=options.read_noise,
                    temperature_k=options.temperature,
                    attenuate=attenuate,
                ),
                self._noise,
            )
        return Cells(
            pairs,
            options.window,
            preset,
            Imperfections(
                preset.fits.get(options.fit),
                options.programming,
                options.drift,
                options.flicker,
                options.d2d,
                options.stuck,
                read_noise=options.read_noise,
                iv=options.iv,
                temperature_k=options.temperature,
                attenuate=attenuate,
                endurance=options.endurance,
            ),
            self._noise,
        )

    @property
    def retains_noise(self) -> bool:
        """True if what the cells hold differs from what was asked of them until the next write."""
        options = self._options
        return bool(
            options.programming
            or self._flicker is not None
            or self._telegraph is not None
            or self._preset.pulses is not None
        )

    # --- writing ---

    def write(self, at: slice | NDArray[np.intp], weights: Array) -> Cost:
        """Program the weights ``at`` (indices, or slice(None) for all) to ``weights`` (m,), within the window."""
        if len(weights) == 0:
            return Cost()
        preset = self._preset
        self.held[at] = weights
        where: slice | NDArray[np.intp] = at
        if self._slices is not None:
            weights = self._slices.split(weights).reshape(-1)
            if not isinstance(at, slice):
                where = np.concatenate([at + index * self._n for index in range(len(self.scales))])
        writes = self._cells.write(where, weights, self.clock, self._writes)
        cost = Cost(cell_writes=writes, device_seconds=writes * preset.t_write, joules=writes * preset.write_joules)
        self.clock += cost.device_seconds
        if self._flicker is not None:
            self._flicker.restart(where, self.clock, cost.device_seconds, self._writes)
        self._writes += 1
        return cost

    # --- what it is at the next evaluations ---

    def realise(self, duration: float, most: int = 1, *, sensed: bool = False) -> tuple[Realised, int, int]:
        """The cells during the next evaluations, of ``duration`` seconds each.

        Args:
            duration: seconds.
            most: how many evaluations are wanted.
            sensed: the cells are only looked at, by a read-back that keeps its own time.

        Returns:
            Them, one row, without each parameter's own noise; the number of the first of these evaluations; and how
            many of them, up to ``most``, see the same: one only where slow noise moves.
        """
        event = self._evaluations
        cells, options = self._cells, self._options
        cells.refresh(self.clock)
        weights = np.array(cells.weights)
        if self._flicker is not None:
            weights += cells.flicker_sd * self._flicker.move(self.clock, duration, event)
        if self._telegraph is not None:
            excursion = self._telegraph.move(self.clock, event).reshape(2, -1) * cells.conductances
            weights += (excursion[0] - excursion[1]) / cells.k
        alone = self._flicker is not None or self._telegraph is not None
        count = 1
        if not sensed:
            self.clock += duration
        # One addition each, so that the clock has the same bits however a population is divided.
        while not alone and count < most and self.clock <= cells.fresh_until:
            count += 1
            self.clock += duration
        self._evaluations += count
        realised = Realised(
            weights[None],
            _row(self._variances(duration)),
            _row(cells.second),
            _row(cells.third),
            options.proportional,
            options.variance == "exact",
        )
        return realised, event, count

    def _variances(self, duration: float) -> Array | None:
        """Variance of each weight's noise that is new in every sample, (pairs,)."""
        white = self._cells.white_variance
        bands = 0 if self._flicker is None else self._flicker.n_white(duration)
        if not bands:
            return white
        fast = np.square(self._cells.flicker_sd)
        fast *= bands * np.log(10.0)
        return fast if white is None else fast + white

    def join(self, pairs: Array) -> Array:
        """The weights (n,) that ``pairs`` (slices * n,) stand for."""
        return pairs if self._slices is None else self._slices.join(pairs.reshape(-1, self._n))

    # --- state ---

    def state(self) -> dict[str, Any]:
        """All arrays and numbers that writing and time have made, by name."""
        arrays: dict[str, Any] = {
            "held": self.held,
            "clock": np.array(self.clock),
            "counts": np.array([self._evaluations, self._writes], dtype=np.int64),
            **{f"cells.{name}": array for name, array in self._cells.state().items()},
        }
        if self._flicker is not None:
            arrays |= {"flicker.values": self._flicker.values, "flicker.moved": self._flicker.moved}
        if self._telegraph is not None:
            arrays |= {"telegraph.signs": self._telegraph.signs, "telegraph.moved": np.array(self._telegraph.moved)}
        return arrays

    def restore(self, arrays: dict[str, Any]) -> None:
        """Put back what `state` gave."""
        self.held = arrays["held"]
        self.clock = float(arrays["clock"])
        self._evaluations, self._writes = (int(i) for i in arrays["counts"])
        self._cells.restore({k.removeprefix("cells."): v for k, v in arrays.items() if k.startswith("cells.")})
        if self._flicker is not None:
            self._flicker.values = arrays["flicker.values"].astype(np.float32, copy=False)
            self._flicker.moved = arrays["flicker.moved"]
        if self._telegraph is not None:
            self._telegraph.signs = arrays["telegraph.signs"]
            self._telegraph.moved = float(arrays["telegraph.moved"])


def _row(array: Array | None) -> Array | None:
    return None if array is None else array[None]
