"""Errors and times of the fast approximation of IR drop, against the exact solve of Kirchhoff's equations.

    python benchmarks/ir_drop.py [--json] [--largest 256]

Pairs of tiles with conductances of three kinds: ``dense``, uniform from 0 to g_max in both; ``weights``, normal weights
of sd g_max / 3, one cell of each pair at 0; ``uneven``, the same with rows of very different size, a third of them at 0
(the edge pixels of images). An error is given as a share of the drop G - T: its rms over that of the drop, and its
largest over the largest of the drop; for the conductances of one tile, and for the difference of the two, the weights.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable

import numpy as np
from machine import MACHINE

from hwzo_backends.crossbar.nodal import effective_conductances
from hwzo_backends.crossbar.wires import approximate_conductances, attenuation

SHAPES = [(16, 16), (64, 64), (128, 128), (256, 64), (64, 256), (256, 256)]
KINDS = ("dense", "weights", "uneven")
WIRES = [(25, 0.35), (25, 2.0), (200, 0.35), (200, 5.0)]  # g_max in microsiemens, ohm a segment


def pair(shape: tuple[int, int], kind: str, g_max: float) -> np.ndarray:
    """Conductances (2, N, M) of the positive and the negative cells, siemens."""
    rng = np.random.default_rng(0)
    if kind == "dense":
        return rng.uniform(0.0, g_max, (2, *shape))
    weights = rng.standard_normal(shape) / 3
    if kind == "uneven":
        weights *= np.exp(rng.standard_normal((shape[0], 1)))
        weights *= rng.random((shape[0], 1)) < 2 / 3
    return g_max * np.clip(np.stack([weights, -weights]), 0.0, 1.0)


def drops(g: np.ndarray, ohm: float) -> np.ndarray:
    """First order: the voltages lost along rows and columns, each cell carrying its full current."""
    along_rows = np.cumsum(np.cumsum(g[..., ::-1], axis=-1)[..., ::-1], axis=-1)
    along_columns = np.cumsum(np.cumsum(g, axis=-2)[..., ::-1, :], axis=-2)[..., ::-1, :]
    return ohm * (along_rows + along_columns)


FORMS: dict[str, Callable[[np.ndarray, float], np.ndarray]] = {
    "G (1 - R - C)": lambda g, ohm: g * (1.0 - drops(g, ohm)),
    "G / (1 + R + C)": lambda g, ohm: g / (1.0 + drops(g, ohm)),
    "G a b": lambda g, ohm: g * attenuation(g, ohm, ohm),
    "G a b, sneak": lambda g, ohm: approximate_conductances(g, ohm, ohm),
}


def share(error: np.ndarray, drop: np.ndarray) -> tuple[float, float]:
    """Rms and largest error, as shares of the drop's."""
    return float(np.sqrt(np.mean(error**2) / np.mean(drop**2))), float(np.abs(error).max() / np.abs(drop).max())


def seconds(function: Callable[[], object], repeats: int) -> float:
    """Median time of a call."""
    times: list[float] = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def main() -> None:
    """Print errors by case, and times by size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--largest", type=int, default=256, help="leave out tiles with more rows or columns")
    options = parser.parse_args()
    shapes = [shape for shape in SHAPES if max(shape) <= options.largest]
    rows: list[dict[str, object]] = []
    for shape in shapes:
        for kind in KINDS:
            for g_max, ohm in WIRES:
                g = pair(shape, kind, 1e-6 * g_max)
                exact = np.stack([effective_conductances(tile, ohm, ohm) for tile in g])
                drop = g - exact
                row: dict[str, object] = {"case": f"{shape[0]}x{shape[1]}", "kind": kind, "g_max_us": g_max}
                row |= {"ohm": ohm, "drop": float(drop.sum() / g.sum())}
                for name, form in FORMS.items():
                    error = form(g, ohm) - exact
                    rms, most = share(error, drop)
                    weight_rms, weight_most = share(error[0] - error[1], drop[0] - drop[1])
                    row[name] = {"rms": rms, "max": most, "weight_rms": weight_rms, "weight_max": weight_most}
                rows.append(row)
    times: list[dict[str, object]] = []
    for shape in shapes:
        g = pair(shape, "weights", 25e-6)
        times.append(
            {
                "case": f"{shape[0]}x{shape[1]}, both tiles of a pair",
                "attenuation_ms": 1e3 * seconds(lambda g=g: attenuation(g, 0.35, 0.35), 21),
                "fast_ms": 1e3 * seconds(lambda g=g: approximate_conductances(g, 0.35, 0.35), 21),
                "exact_ms": 1e3 * seconds(lambda g=g: [effective_conductances(t, 0.35, 0.35) for t in g], 3),
            }
        )
    if options.json:
        machine = f"{MACHINE}, numpy {np.__version__}"
        print(json.dumps({"machine": machine, "rows": rows, "times": times}))
        return
    print("error in % of the drop: rms / max of conductances; rms / max of weights")
    print(f"{'tile':8} {'kind':8} {'g_max':>5} {'ohm':>5} {'drop %':>6}  " + "".join(f"{name:^30}" for name in FORMS))
    for row in rows:
        print(f"{row['case']:8} {row['kind']:8} {row['g_max_us']:5} {row['ohm']:5} {100 * row['drop']:6.2f}  ", end="")
        for name in FORMS:
            print("".join(f"{100 * value:7.2f}" for value in row[name].values()), end="  ")
        print()
    for row in times:
        print(f"{row['case']}: " + ", ".join(f"{key[:-3]} {row[key]:.2f} ms" for key in list(row)[1:]))


if __name__ == "__main__":
    main()
