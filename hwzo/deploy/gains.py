"""Gains that put a layer's weights into the window where it costs least: noise, clipping and converters weighed up."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from hwzo.deploy.columns import Columns
from hwzo.deploy.layout import Mapping
from hwzo.network import ACTIVATIONS, Network
from hwzo.parameters import Array

FILLED = 12
STEPS = 2.0 ** (np.arange(-FILLED, 9) / 4.0)
"""Gains that are tried, as multiples of the one at which the layer's largest weight fills the window."""
LATER = 2.0
"""Cells are taken to be so many times as noisy as right after a write: they drift apart and flicker more as they age.
Chosen on validation data for four kinds of emulated cells, from a second to a month: 1 loses up to .005, 1.4 to 2 are
alike."""
VECTORS = 2048
"""Driven vectors that a layer's error is averaged over, at most."""


@dataclass(frozen=True, eq=False)
class Signals:
    """What runs through a network for some inputs, a layer each.

    Args:
        driven: (vectors, rows + 1) what its rows see, the bias's 1 last.
        sums: (vectors, columns) its pre-activations.
        slopes: (vectors, columns) square derivative of the activation there; 1 in the last layer.
    """

    driven: list[Array]
    sums: list[Array]
    slopes: list[Array]

    @classmethod
    def of(cls, network: Network, theta: Array, inputs: Array | None = None) -> Signals:
        """Of inputs (samples, n_inputs); None: random ones, even in [-1, 1]."""
        if inputs is None:
            inputs = np.random.default_rng(0).uniform(-1.0, 1.0, (256, network.layers[0]))
        inputs = inputs[:512]
        activate, slope = ACTIVATIONS[network.activation]
        nodes = network.forward(theta, inputs)
        driven: list[Array] = []
        sums: list[Array] = []
        slopes: list[Array] = []
        x = inputs
        for at, stage in enumerate(network.stages):
            rows = stage.driven(x, nodes[at], activate).reshape(-1, stage.rows)
            flat = nodes[at].reshape(-1, stage.columns)
            every = -(-len(rows) // VECTORS)
            picked: Array = rows[::every]
            driven.append(np.hstack([picked, np.ones((len(picked), 1))]))
            sums.append(flat[::every])
            last = at == len(network.stages) - 1
            slopes.append(np.ones_like(sums[at]) if last else np.square(slope(activate(sums[at]))))
            x = stage.passed(nodes[at], activate)
        return cls(driven, sums, slopes)


def expected_squares(gain: float, block: Array, at: int, signals: Signals, columns: Columns, window: float) -> Array:
    """Expected square error (columns,) of what a layer passes on with that gain, to first order, network's units.

    Of cells that hold ``w / gain`` clipped to the window: what clipping leaves out, the cells' noise, the column's
    noise, and what its converter cuts off; the last three come out multiplied by the gain. Each by the square slope of
    the activation where it happens: an error of a sum that saturates does no harm.
    """
    driven, sums, slopes = signals.driven[at], signals.sums[at], signals.slopes[at]
    wanted = block / gain
    cells = np.clip(wanted, -window, window)
    systematic = gain * (driven @ (cells - wanted))
    over = gain * np.maximum(np.abs(sums / gain) - columns.full_scale, 0.0)
    noise = np.square(driven).mean(axis=0) @ columns.cell_variance(cells) + columns.node_noise**2
    return (slopes * (np.square(systematic) + np.square(over))).mean(axis=0) + slopes.mean(axis=0) * gain**2 * noise


def choose_gains(
    mapping: Mapping, theta: Array, columns: Columns, inputs: Array | None = None, *, clip: bool = True
) -> tuple[Array, Array]:
    """Gains, one value a layer, that make the expected error of each layer's pre-activations least.

    Within a layer they are equal, so that node noise stays equal among its units: methods that learn from it weigh a
    unit by its noise.

    Args:
        mapping: of a network; its gains don't matter.
        theta: (n,) the network's weights.
        columns: what the device does to a sum.
        inputs: (samples, n_inputs) such as will come; None: random ones.
        clip: whether the largest weights may be cut off where the others gain more by it.

    Returns:
        The gains (n_columns,), and the rms errors (2,) that are expected without gains and with them, as a share of
        the pre-activations' own rms, over layers; both weighed by the slopes of the activation.
    """
    network = mapping.network
    if network is None:
        return mapping.gains, np.zeros(2)
    columns = replace(columns, sd=LATER * columns.sd)
    signals = Signals.of(network, theta, inputs)
    window = float(np.min(np.abs([mapping.parameters.lower, mapping.parameters.upper])))
    gains: list[Array] = []
    shares = np.zeros((2, len(network.stages)))
    for at, block in enumerate(network.blocks(theta)):
        power = float((signals.slopes[at] * np.square(signals.sums[at])).mean()) or 1.0
        filled = float(np.abs(block).max()) / window if np.isfinite(window) else 1.0
        tried = STEPS[0 if clip else FILLED :] * (filled or 1.0)
        errors = [expected_squares(gain, block, at, signals, columns, window).mean() for gain in tried]
        best = int(np.argmin(errors))
        plain = expected_squares(1.0, block, at, signals, columns, window).mean()
        kept = plain <= errors[best] and (clip or filled <= 1.0)
        gain = 1.0 if kept else float(tried[best])
        shares[:, at] = plain / power, (plain if kept else errors[best]) / power
        gains.append(np.repeat(gain, network.stages[at].columns))
    return np.concatenate(gains), np.sqrt(shares.mean(axis=1))
