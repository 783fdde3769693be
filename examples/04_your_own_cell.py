"""Your own memory cell: a law of a few lines, or a table of measurements; then the emulator has a crossbar of it.

    python examples/04_your_own_cell.py
    hwzo train --task digits --device crossbar:examples/04_your_own_cell.py:LAB_CELL
    hwzo train --task digits --device crossbar:examples/measured_cells.csv

Every curve takes an array and gives one of the same shape; conductances are in microsiemens.
"""

from pathlib import Path

import numpy as np

import hwzo
from hwzo_backends.crossbar.preset import Drift, Flicker, Preset

HERE = Path(__file__).parent


def programming_sd(g: np.ndarray) -> np.ndarray:
    return 0.2 + 0.03 * g


LAB_CELL = Preset(
    name="lab-cell",
    summary="a made-up cell: noise that grows with conductance, slow drift, some 1/f noise",
    g_min=1.0,
    g_max=30.0,
    fits={"measured": programming_sd},
    t0=10.0,  # seconds after programming at which drift and 1/f noise begin to count
    drift=Drift(mean=lambda r: np.full_like(r, 0.02), sd=lambda r: np.full_like(r, 0.005)),
    flicker=Flicker(t_read=1e-6, q=lambda r: 0.005 / np.sqrt(np.maximum(r, 0.01))),
    read_error=0.005,
)


def spread(url: str) -> float:
    """Standard deviation of weights of half the window, as programmed and read back."""
    device = hwzo.connect(url + "?layers=199-100&drift=off&flicker=0&read_error=0&adc_bits=0&seed=1")
    device.program(np.full(device.parameters.size, 0.5))
    return float(device.read()[0].std())


if __name__ == "__main__":
    mine = f"crossbar:{Path(__file__)}:LAB_CELL"
    # Half the window: one cell of the pair at 1 + 29/2 = 15.5 uS, the other one resting at 1 uS.
    law = np.hypot(*programming_sd(np.array([15.5, 1.0]))) / 29
    print(f"spread of a weight of 0.5: {spread(mine):.4f}, by the law {law:.4f}")

    table = f"crossbar:{HERE / 'measured_cells.csv'}"
    device = hwzo.connect(table + "?seed=1")
    print(f"a table opens too: {device.info.model}, emulated: {device.info.emulated}")

    result = hwzo.train("xor", mine, budget="12000 evaluations", seed=0)
    print(f"exploration: {result.exploration}")
    print(f"mean squared error on xor: {result.loss:.3f} after {result.evaluations} evaluations")
