"""What a calibration measures, most important first, and what each takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from hwzo.device import Device
from hwzo.noise import (
    curvature,
    drift,
    loss_noise,
    nodes,
    parameter_noise,
    programming_noise,
    read_error,
    step_response,
    stuck_cells,
)
from hwzo.noise.setup import Raw, Setup

MOST_NUMBERS = 2**24
"""Numbers that a series of read-backs may hold; devices with many parameters are read fewer times."""


def _nothing(device: Device) -> str:
    return ""


def _zero(rounds: int) -> int:
    return 0


@dataclass(frozen=True)
class Measurement:
    """One measurement, which takes a number of rounds.

    Args:
        name: of its readings in a profile.
        gives: the quantities that are made of them.
        take: measures; gets the number of rounds.
        usual, least: rounds with enough budget, and those without which nothing can be said.
        evaluations, programs: loss readings, and writes of all parameters, that so many rounds take.
        lacks: what the device hasn't that it would need; "" if nothing.
        waits: seconds that pass meanwhile.
    """

    name: str
    gives: tuple[str, ...]
    take: Callable[[Setup, int], Raw]
    usual: int
    least: int
    evaluations: Callable[[int], int] = _zero
    programs: Callable[[int], int] = _zero
    lacks: Callable[[Device], str] = _nothing
    waits: float = 0.0
    needs: tuple[str, ...] = field(default=())
    """Measurements whose readings its estimators can't do without."""


def _no_weights(device: Device) -> str:
    can = device.capabilities
    return "" if can.reads_back("weights") else f"the device reads back {can.readback!r}, not weights"


def _no_nodes(device: Device) -> str:
    can = device.capabilities
    if can.network is None:
        return "the device is a black box without nodes"
    return "" if can.reads_back("nodes") else f"the device reads back {can.readback!r}, not nodes"


def _no_directions(device: Device) -> str:
    if curvature.law_of(device.capabilities.laws) is None:
        return "the device can't be displaced along random directions on command"
    return ""


def measurements(device: Device) -> list[Measurement]:
    """All of them, for this device: whether it can do each is told by ``lacks``."""
    can = device.capabilities
    # A series long enough for its spectrum; for many parameters shorter, since each of them tells of the same law.
    series = max(24, min(128, MOST_NUMBERS // device.parameters.size))
    reads = max(4, min(16, MOST_NUMBERS // device.parameters.size))
    ages = drift.EMULATED_AGES if can.snapshot else drift.WAITED_AGES
    return [
        Measurement(
            "response",
            (),
            loss_noise.take_response,
            usual=2,
            least=2,
            evaluations=lambda rounds: rounds * loss_noise.STARTS,
            programs=lambda rounds: loss_noise.STARTS,
        ),
        Measurement(
            "loss",
            ("loss_noise_sd", "loss_noise_excess_kurtosis"),
            loss_noise.take,
            usual=128,
            least=loss_noise.FEWEST,
            evaluations=lambda rounds: rounds,
            programs=lambda rounds: 1,
        ),
        Measurement(
            "read error",
            ("read_error_sd",),
            read_error.take,
            usual=reads,
            least=2,
            evaluations=lambda rounds: 1,
            programs=lambda rounds: 1,
            lacks=_no_weights,
        ),
        Measurement(
            "parameters",
            ("parameter_noise_sigma", "common_mode_share", "noise_slope", "correlation_time"),
            parameter_noise.take,
            usual=series,
            least=parameter_noise.FEWEST,
            evaluations=lambda rounds: rounds,
            programs=lambda rounds: 1,
            lacks=_no_weights,
            needs=("read error",),
        ),
        Measurement(
            "nodes",
            ("node_noise_sd", "adc_saturated_share", "adc_gain", "adc_offset"),
            nodes.take,
            usual=16,
            least=nodes.FEWEST,
            evaluations=lambda rounds: rounds,
            programs=lambda rounds: 1,
            lacks=_no_nodes,
        ),
        Measurement(
            "rewrites",
            ("loss_rewrite_sd",),
            loss_noise.take_rewrites,
            usual=24,
            least=4,
            evaluations=lambda rounds: rounds * loss_noise.READS,
            programs=lambda rounds: 2 * rounds,
        ),
        Measurement(
            "curvature",
            ("gradient_norm", "curvature_d2_rms", "curvature_d3_rms"),
            curvature.take,
            usual=24,
            least=curvature.FEWEST,
            evaluations=lambda rounds: rounds * curvature.EVALUATIONS,
            programs=lambda rounds: 1 + (rounds * curvature.EVALUATIONS if can.probe_writes else 0),
            lacks=_no_directions,
        ),
        Measurement(
            "ends",
            ("stuck_share",),
            stuck_cells.take,
            usual=2,
            least=1,
            programs=lambda rounds: 2,
            lacks=_no_weights,
        ),
        Measurement(
            "programming",
            ("programming_noise_sd", "programming_offset"),
            programming_noise.take,
            usual=8,
            least=programming_noise.FEWEST,
            evaluations=lambda rounds: 2 * rounds,
            programs=lambda rounds: 2 * rounds + 1,
            lacks=_no_weights,
            needs=("read error", "parameters"),
        ),
        Measurement(
            "steps",
            step_response.NAMES,
            step_response.take,
            usual=8,
            least=2,
            evaluations=lambda rounds: 2 * rounds,
            programs=lambda rounds: 2 * rounds,
            lacks=_no_weights,
        ),
        Measurement(
            "drift",
            ("drift_exponent",),
            lambda setup, rounds: drift.take(setup, rounds, ages),
            usual=4,
            least=1,
            programs=lambda rounds: 1,
            lacks=_no_weights,
            waits=0.0 if can.snapshot else ages[-1],
        ),
    ]
