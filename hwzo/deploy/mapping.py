"""Choosing a mapping: gains that use the window, orders that keep clear of stuck cells, and what each of them buys."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from hwzo.deploy.columns import Columns
from hwzo.deploy.gains import choose_gains
from hwzo.deploy.layout import Mapping
from hwzo.deploy.orders import choose_orders, importance, unreached
from hwzo.deploy.stuck import StuckCells
from hwzo.device import Device
from hwzo.noise.profile import Profile
from hwzo.parameters import Array
from hwzo.say import Say

__all__ = ["Bought", "Mapping", "StuckCells", "choose_mapping"]


@dataclass(frozen=True)
class Bought:
    """What one part of a mapping buys.

    Args:
        name: ``"gains"``, ``"orders"`` or ``"resolution"``.
        what: what ``before`` and ``after`` are, in words.
        before, after: without it, and with it; each part on top of those before it.
    """

    name: str
    what: str
    before: float
    after: float


def choose_mapping(
    theta: Array,
    device: Device,
    profile: Profile | None = None,
    *,
    gains: bool = True,
    orders: bool = True,
    clip: bool = True,
    stuck: StuckCells | None = None,
    inputs: Array | None = None,
    measure: bool = True,
    say: Say = lambda text: None,
) -> tuple[Mapping, list[Bought]]:
    """A mapping of the network's weights ``theta`` (n,) onto a device, and what each part of it buys.

    Args:
        theta: weight units; may lie outside of the device's window, which gains may take in.
        device: unmapped.
        profile: of the device, if it was calibrated: noise against the level, and which cells are stuck.
        gains: whether layers get gains, see `hwzo.deploy.gains.choose_gains`; not where the device has none.
        orders: whether hidden units are reordered, see `hwzo.deploy.orders.choose_orders`; not where no cell is known
            to be stuck.
        clip: whether gains may cut off the largest weights, where the others gain more by it.
        stuck: which cells are stuck; None: as the profile says.
        inputs: (samples, n_inputs) such as will come, of the training split; None: random ones.
        measure: whether one column may be written, twice (`Columns.measured_cells`), to see its noise and the end of
            its converter's range; if not, what the profile doesn't tell is assumed.
        say: is told what a user should know.

    Raises:
        DeviceError: the device failed.
    """
    mapping = Mapping.identity(device)
    network, can = mapping.network, device.capabilities
    bought: list[Bought] = []
    steps = rounding_errors(mapping, theta)
    if network is None:
        return mapping, _rounded(steps)
    if gains and can.output_gains:
        known = None if profile is None else Columns.of(profile)
        if measure and can.reads_back("nodes"):
            columns = Columns.measured(device, network, known)
        else:
            columns = known or Columns.assumed(device.parameters)
            if known is None:
                say("gains are chosen for assumed noise: calibrate the device (hwzo calibrate) and give --profile")
        values, errors = choose_gains(mapping, theta, columns, inputs, clip=clip)
        mapping = mapping.with_gains(values)
        what = "expected rms error of the pre-activations, as a share of them"
        bought.append(Bought("gains", what, float(errors[0]), float(errors[1])))
    elif gains:
        say("the device has no gains at its columns' outputs: weights lie in its cells as they are")
    if stuck is None and profile is not None:
        stuck = StuckCells.of(profile, device.parameters)
    if orders and stuck is not None and stuck.stuck.any():
        weight = importance(network, theta, inputs)
        before = unreached(mapping, theta, stuck, weight)
        mapping = replace(mapping, orders=choose_orders(mapping, theta, stuck, inputs))
        after = unreached(mapping, theta, stuck, weight)
        what = "expected rms error of the outputs from what pairs with stuck cells can't reach"
        bought.append(Bought("orders", what, math.sqrt(before), math.sqrt(after)))
    elif orders and stuck is None:
        say("which cells are stuck is not known, so units keep their order: a calibration (--profile) would tell")
    return mapping, [*bought, *_rounded(rounding_errors(mapping, theta))]


def rounding_errors(mapping: Mapping, theta: Array) -> tuple[float, float] | None:
    """Rms errors of the weights ``theta`` (n,), rounded to the device's steps towards 0 and to the nearest.

    Weights that the window clips are left out.

    Returns:
        Both, weight units of the network; None for cells without steps.
    """
    spec = mapping.parameters
    steps = np.concatenate([np.full(tensor.size, tensor.resolution) for tensor in spec.tensors])
    cells = mapping.cells(theta)
    inside = (cells > spec.lower) & (cells < spec.upper) & (steps > 0)
    if not inside.any():
        return None
    units, scale = cells[inside] / steps[inside], steps[inside] * mapping.gain_of_cells[inside]
    rms = [float(np.sqrt(np.mean(np.square((whole - units) * scale)))) for whole in (np.trunc(units), np.rint(units))]
    return rms[0], rms[1]


def _rounded(errors: tuple[float, float] | None) -> list[Bought]:
    if errors is None:
        return []
    what = "rms error of the weights from the device's steps, rounded towards 0 and to the nearest"
    return [Bought("resolution", what, *errors)]
