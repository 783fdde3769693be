"""From raw readings to quantities: every estimator, on whatever was measured."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from hwzo.network import Network
from hwzo.noise import (
    common_mode,
    curvature,
    drift,
    loss_noise,
    nodes,
    parameter_noise,
    programming_noise,
    read_error,
    slow_noise,
    step_response,
    stuck_cells,
)
from hwzo.noise.quantity import Findings
from hwzo.noise.setup import Raw
from hwzo.parameters import Array


def analyse(readings: Mapping[str, Raw], network: Network | None) -> Findings:
    """All that readings tell.

    Args:
        readings: arrays by name, of each measurement by its name, see `hwzo.noise.measurements`.
        network: the device's, if it is one.
    """
    found = Findings()
    raw = {name: {key: _float64(array) for key, array in arrays.items()} for name, arrays in readings.items()}
    if "response" in raw:
        found.add(loss_noise.response(raw["response"]["losses"]))
    if "loss" in raw:
        found.add(loss_noise.estimate(raw["loss"]["losses"]))
    if "rewrites" in raw:
        found.add(loss_noise.rewrites(raw["rewrites"]["losses"]))
    if "curvature" in raw:
        found.add(curvature.estimate(raw["curvature"]["losses"], raw["curvature"]["scales"]))
    _weights(found, raw)
    if "nodes" in raw and network is not None:
        layers = [raw["nodes"][f"layer{index}"] for index in range(len(network.stages))]
        read = found.quantities.get("read_error_sd")
        read_square = read.value**2 if read is not None else 0.0
        given = raw["nodes"]
        found.add(
            nodes.estimate(layers, given["inputs"], given.get("realised"), given.get("inside"), network, read_square)
        )
    return found


def _weights(found: Findings, raw: dict[str, dict[str, Array]]) -> None:
    read_square = 0.0
    if "read error" in raw:
        found.add(read_error.estimate(raw["read error"]["reads"]))
        read_square = found.quantities["read_error_sd"].value ** 2
    if "parameters" in raw:
        realised = raw["parameters"]["realised"]
        found.add(parameter_noise.estimate(realised, raw["read error"]["reads"]))
        inside = realised[:, read_error.unclipped(realised)]
        found.add(common_mode.estimate(inside, read_square))
        found.add(slow_noise.estimate(inside, read_square, float(raw["parameters"]["seconds"][0])))
    working: NDArray[np.bool_] | None = None
    if "ends" in raw:
        found.add(stuck_cells.estimate(raw["ends"]["ends"], raw["ends"]["reached"]))
        working = ~stuck_cells.stuck(raw["ends"]["ends"], raw["ends"]["reached"])
    if "programming" in raw:
        low, high, levels = (raw["programming"][name] for name in ("low", "high", "levels"))
        those = np.ones(levels.shape[1], dtype=np.bool_) if working is None else working
        beside = [
            found.quantities[name] for name in ("read_error_sd", "parameter_noise_sigma") if name in found.quantities
        ]
        found.add(programming_noise.estimate(low, high, levels, those, beside))
    if "steps" in raw:
        of = raw["steps"]
        those = np.ones(of["levels"].shape[1], dtype=np.bool_) if working is None else working
        found.add(step_response.estimate(of["levels"], of["steps"], of["before"], of["after"], those))
    if "drift" in raw:
        values, ages, levels = (raw["drift"][name] for name in ("values", "ages", "levels"))
        those = np.ones(len(levels), dtype=np.bool_) if working is None else working
        found.add(drift.estimate(values, ages, levels, those))


def _float64(array: NDArray[np.float64] | NDArray[np.float32]) -> Array:
    return array.astype(np.float64, copy=False)
