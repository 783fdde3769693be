# pyright: basic, reportMissingImports=false
# Lava carries no types, and isn't installed where hwzo is checked.
"""Models of Lava's own LIFReset with noise in it, of the form that Loihi 1 has it: an emulation, Lava has none.

A run configuration maps the process to one of these instead of Lava's models; the process stays the same. The draws are
those of `hwzo_backends.lava.loihi_noise`, a function of (seed, evaluation, layer), so that both count the same spikes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol
from lava.proc.lif.models import PyLifResetModelBitAcc, PyLifResetModelFloat
from lava.proc.lif.process import LIFReset

from hwzo_backends.lava.lif import SHIFT
from hwzo_backends.lava.plan import Plan
from hwzo_backends.lava.processes.graph_io import first_step, windows

PARAMETER = "noise"
"""Of a LIFReset's ``proc_params``: plan, layer, copies and shared, as for `Feed`."""


class _Draws:
    """The noise of one layer, step by step."""

    def __init__(self, told: Mapping[str, Any]) -> None:
        self._plan = Plan.of_words(told["plan"])
        self._layer, self._copies, self._shared = told["layer"], told["copies"], told["shared"]
        self._step = 0
        self.target = self._plan.noise.target if self._plan.noise else "current"

    def next(self) -> np.ndarray:
        """Of the next step of Lava's, (copies * units,); zeros between calls."""
        plan, layer = self._plan, self._layer
        if self._step == 0:
            self._samples = self._shared.samples
            self._drawn = plan.layer_noise(self._shared.evaluation, self._copies, layer, self._samples)
            self._last = windows(len(plan.layers), plan.steps, self._samples) * plan.steps
        self._step += 1
        sample, step = divmod(self._step - first_step(layer), plan.steps)
        if self._step == self._last:
            self._step = 0
        if 0 <= sample < self._samples:
            return self._drawn[:, step, sample].reshape(-1)
        return np.zeros(self._copies * plan.units[layer + 1])


@implements(proc=LIFReset, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PyNoisyLifResetFixed(PyLifResetModelBitAcc):
    """Lava's fixed-point model, with whole numbers added to u or v in each step."""

    def __init__(self, proc_params: Mapping[str, Any]) -> None:
        super().__init__(proc_params)
        self._draws = _Draws(proc_params[PARAMETER])
        self._input_shift, self.act_shift = self.act_shift, 0  # shifted here, so that noise below it counts

    def subthr_dynamics(self, activation_in: np.ndarray) -> None:
        """Lava's, on noisier input or with a noisier bias."""
        added = self._draws.next().astype(np.int64)
        shifted = np.left_shift(activation_in.astype(np.int64), self._input_shift)
        if self._draws.target == "current":
            shifted += added
        else:
            self.effective_bias = self.effective_bias + added
        super().subthr_dynamics(shifted)


@implements(proc=LIFReset, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt")
class PyNoisyLifResetFloat(PyLifResetModelFloat):
    """The same in float precision, whose u and v aren't shifted up by 6 bits."""

    def __init__(self, proc_params: Mapping[str, Any]) -> None:
        super().__init__(proc_params)
        self._draws = _Draws(proc_params[PARAMETER])

    def subthr_dynamics(self, activation_in: np.ndarray) -> None:
        """One operation after the other, as `hwzo_backends.lava.lif` has them."""
        added = self._draws.next() * 2.0**-SHIFT
        current = self._draws.target == "current"
        self.u[:] = self.u * (1 - self.du)
        self.u[:] += activation_in
        if current:
            self.u[:] += added
        self.v[:] = self.v * (1 - self.dv) + self.u + self.bias_mant
        if not current:
            self.v[:] += added
