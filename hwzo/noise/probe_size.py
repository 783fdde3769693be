"""The c* rule: how large a commanded displacement should be around noise that can't be read back.

With a loss reading of standard deviation s and directional derivatives D2, D3 along the directions used, a one-sided
estimate is best near ``c* = (8 s^2)^(1/4) / sqrt(rms D2)``, a central one near ``c* = (3 s / rms D3)^(1/3)``: there the
mean square error is least, which noise and curvature leave in a slope, 2 s^2 / c^2 + c^2 D2^2 / 4 of a reading and an
undisplaced one, s^2 / 2 c^2 + c^4 D3^2 / 36 of a pair. (Compare Spall, IEEE Trans. Aerosp. Electron. Syst. 34, 817
(1998), whose rule of thumb c = s is too small.) Readings that are centred on their own mean are free of the mean of
D2, and could do with a larger c wherever D2 is much the same along all directions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwzo.device import Device
from hwzo.errors import MeasurementError
from hwzo.parameters import Array
from hwzo.philox import philox4x32
from hwzo.probes import Batch, Law, Probes

DIRECTIONS = 8
REPEATS = 8
EVALUATIONS = REPEATS + 4 * DIRECTIONS
STREAM = 37
"""Of Philox, for which parameters are taken."""
FLOOR = 0.01
"""Weight units: on a noiseless device less than this gains nothing."""


@dataclass(frozen=True)
class ProbeSize:
    """A measured probe size.

    Args:
        scale: c*, weight units, within [`FLOOR`, 4 trial].
        loss_sd: standard deviation of one loss reading.
        curvature: rms D2 along the directions (one-sided), or rms D3 (central).
    """

    scale: float
    loss_sd: float
    curvature: float


def probe_size(device: Device, batch: Batch, *, law: Law, key: int, central: bool, trial: float = 0.05) -> ProbeSize:
    """Measure c* on a device that holds its starting parameters, with `EVALUATIONS` loss readings.

    D2 and D3 are differences of readings at +-c and +-2c along a few directions, c = ``trial``; what their noise adds
    to the mean square is taken off. The result is kept within [`FLOOR`, 4 trial]: above that the derivatives weren't
    measured.

    Args:
        device: commands displacements of ``law``.
        batch: one batch, the same for all readings.
        law, key: of the directions; step 2**32 - 1 of the key is used, which no training step is.
        central: for antithetic pairs; else one-sided.
        trial: weight units.
    """
    still = device.measure(Probes.plain(REPEATS), batch).losses
    counters = np.repeat(_numbers(device.parameters.size, law, key), 4)
    scales = np.tile([1.0, -1.0, 2.0, -2.0], DIRECTIONS) * trial
    probes = Probes(counters.astype(np.int64), scales, law=law, key=key, step=2**32 - 1)
    moved = device.measure(probes, batch).losses.reshape(DIRECTIONS, 4)
    variance = float(still.var(ddof=1))
    if central:
        third = (moved[:, 2] - 2 * moved[:, 0] + 2 * moved[:, 1] - moved[:, 3]) / (2 * trial**3)
        curvature = _rms(third, 10 * variance / (4 * trial**6))
        scale = (3 * np.sqrt(variance) / curvature) ** (1 / 3)
    else:
        second = (moved[:, 0] + moved[:, 1] - 2 * still.mean()) / trial**2
        curvature = _rms(second, (2 + 4 / REPEATS) * variance / trial**4)
        scale = (8 * variance) ** 0.25 / np.sqrt(curvature)
    if not np.isfinite(moved).all():
        raise MeasurementError(f"{device.info} returned a loss that isn't finite while the probe size was measured")
    return ProbeSize(float(np.clip(scale, FLOOR, 4 * trial)), float(np.sqrt(variance)), curvature)


def _numbers(n_params: int, law: Law, key: int) -> NDArray[np.int64]:
    """Which directions are taken, (DIRECTIONS,): of ``coordinate``, whose number is the parameter's, some at random.

    The first ones would be a neighbourhood, such as the weights of one input.
    """
    if law != "coordinate":
        return np.arange(DIRECTIONS)
    counters = np.zeros((n_params, 4), dtype=np.uint32)
    counters[:, 0], counters[:, 3] = np.arange(n_params), STREAM
    return np.resize(np.argsort(philox4x32(counters, key)[:, 0], kind="stable"), DIRECTIONS)


def _rms(values: Array, noise_variance: float) -> float:
    """Root mean square less what noise added, kept away from 0 by a tenth of what was seen."""
    square = float(np.mean(np.square(values)))
    return max(float(np.sqrt(max(square - noise_variance, square / 100))), 1e-12)
