"""The twin of a measured device: ``crossbar:profile.h5``, from what ``hwzo calibrate`` found.

What is taken over: the network and window, programming noise against the magnitude of the weight, drift, the noise of
parameters that is new in each evaluation, slow noise as 1/f noise if its spectrum is near to that, noise of the nodes,
the error of reading back, the share of stuck parameters, what is read back and how displacements are made. Where the
steps of the converters fit one number of bits, they round as the device's do; otherwise they are ideal, and their
rounding is in the measured noise.

Conductances are in arbitrary units, one a weight unit, above a resting conductance so large that noise never takes a
cell to 0. A parameter's programming noise of sd s(w) is that of two cells: ``s(w)^2 = a(|w|)^2 + s(0)^2 / 2``, where a
is the active cell's and the other one rests.

What is not: errors of writing that have a mean, converters' gain and offset, slow noise of another spectrum, and how
cells differ from each other.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from hwzo.errors import ConfigError
from hwzo.parameters import Array
from hwzo.python_file import existing
from hwzo_backends.crossbar.converters import READ_HEADROOM
from hwzo_backends.crossbar.curves import constant, polynomial
from hwzo_backends.crossbar.preset import Curve, Drift, Flicker, Preset

if TYPE_CHECKING:
    from hwzo.noise.profile import Profile
    from hwzo.noise.quantity import Quantity

RESTS = 4.0
"""Resting conductance over the window's."""
T0 = 20.0
"""Age at which drift begins to count, seconds: assumed, small beside the ages that drift is measured at."""
T_SAMPLE = 1e-6
"""Seconds a sample: assumed."""
SLOPES = (0.4, 2.0)
"""Exponents of a spectrum that is taken for 1/f: over a short series drift, too, makes it look steeper."""
SAMPLES = 128
"""Of the evaluations that were read back."""


def read_profile(path: str) -> Preset:
    """The twin of a profile.

    Raises:
        FileError: the file isn't there, is damaged or no profile.
        ConfigError: the profile is of no layered network, or has bounds that a crossbar can't have.
    """
    from hwzo.noise.profile import Profile

    file = existing(path, "crossbar preset", "device")
    profile = Profile.load(file)
    device, found = profile.manifest.device, profile.quantities
    window = _window(profile)
    rest = RESTS * window
    sigma = _value(found, "parameter_noise_sigma") if device.parameter_noise == "per-evaluation" else 0.0
    stuck = found.get("stuck_share")
    exponent = found.get("drift_exponent")
    bits, full_scale = _converters(found, window)
    options: dict[str, object] = {
        "layers": device.layers,
        "activation": device.activation,
        "window": window,
        "readback": device.readback,
        "perturb": "write" if device.probe_writes else "overlay",
        "sigma": sigma,
        # Of two cells, either of which may be stuck.
        "stuck": 1.0 - math.sqrt(1.0 - stuck.value) if stuck is not None else 0.0,
    }
    if bits:
        options |= {"adc_bits": bits, "adc_max": full_scale}
    slow, slow_square = _slow(profile, rest + window)
    curve = _programming(profile, rest, slow_square)
    return Preset(
        name=file.stem,
        summary=f"twin of {device.model}, serial {device.serial}, measured {profile.manifest.date or 'some day'}",
        g_min=rest,
        g_max=rest + window,
        fits={} if curve is None else {"measured": curve},
        t0=T0,
        drift=Drift(constant(exponent.value), constant(0.0)) if exponent is not None and exponent.low > 0 else None,
        flicker=slow,
        bits=0,
        node_noise=_less(_nodes(found), _value(found, "adc_step") if bits else 0.0),
        read_error=_less(_value(found, "read_error_sd"), _value(found, "read_resolution") if bits else 0.0) / window,
        # Times and energies: assumed, order of magnitude only.
        t_sample=T_SAMPLE,
        t_write=10e-6,
        options=options,
        source=str(file),
    ).check()


def _window(profile: Profile) -> float:
    device = profile.manifest.device
    where = f"crossbar preset: profile {profile.path}"
    if not device.layers:
        raise ConfigError(f"{where} is of a black box; a twin needs a layered network", key="device")
    bounds = {(tensor.lower, tensor.upper) for tensor in device.tensors}
    low, high = next(iter(bounds))
    if len(bounds) > 1 or low is None or high is None or low != -high:
        raise ConfigError(
            f"{where} has parameters in {sorted(bounds, key=str)}; a twin needs one range [-window, window]",
            key="device",
        )
    return high


def _programming(profile: Profile, rest: float, slow_square: float) -> Curve | None:
    """sd of a cell's programming noise against its conductance, arbitrary units; None if writes are exact.

    What slow noise adds after a write, of variance ``slow_square``, was measured with it, and is taken off.
    """
    sd = profile.quantities.get("programming_noise_sd")
    if sd is None or not sd.significant:
        return None
    parts = [profile.curves.get(f"programming_noise_curve/{way}") for way in ("down", "up")]
    seen = [(curve.axis, np.square(curve.values)) for curve in parts if curve and curve.axis is not None]
    measured = [(np.abs(axis), np.maximum(square - slow_square, 0.0)) for axis, square in seen]
    if not measured:
        return constant(math.sqrt(max(sd.value**2 - slow_square, 0.0) / 2.0))
    magnitude, square = (np.concatenate(arrays) for arrays in zip(*measured, strict=True))
    # A parabola through the bins: their errors are larger than what it misses of a law.
    degree = min(2, len(magnitude) - 1)
    coefficients = [float(c) for c in np.polyfit(magnitude, square, degree)[::-1]]
    law = polynomial(*coefficients)
    idle = max(coefficients[0], 0.0) / 2.0
    reach = float(magnitude.max())

    def curve(g: Array) -> Array:
        at = np.clip(g.astype(np.float64) - rest, 0.0, reach)
        return np.sqrt(np.maximum(law(at) - idle, idle)).astype(g.dtype)

    return curve


def _slow(profile: Profile, g_max: float) -> tuple[Flicker | None, float]:
    """1/f noise of the measured sd from one evaluation to the next, and its variance just after a write, weight units.

    It is the same at each weight: Q falls as 1/g. Of its bands, one a decade, the fastest has a time constant of
    sqrt(10) evaluations, so that from one to the next ``ln(10) sum (1 - exp(-10^-(j + 1/2)))`` of its unit is new.
    None if the noise isn't slow, or of another kind.
    """
    device, found = profile.manifest.device, profile.quantities
    slope, sigma, network = found.get("noise_slope"), found.get("parameter_noise_sigma"), device.network
    if device.parameter_noise != "retained" or slope is None or sigma is None or network is None:
        return None, 0.0
    if not (sigma.significant and SLOPES[0] < slope.value < SLOPES[1]):
        return None, 0.0
    evaluation = SAMPLES * T_SAMPLE * sum(stage.reads for stage in network.stages)
    t_read = evaluation / (4.0 * math.exp(float(np.euler_gamma)))
    unit = sigma.value**2 / (math.log(10.0) * sum(-math.expm1(-(10.0 ** -(j + 0.5))) for j in range(8)))
    q = math.sqrt(0.5 * unit) / g_max  # of both cells of a pair, each with Q g = q g_max
    return Flicker(t_read, lambda r: q / np.maximum(r, 0.5)), unit * math.log(T0 / (2.0 * t_read))


def _converters(found: Mapping[str, Quantity], window: float) -> tuple[int, float]:
    """Bits and full scale of the columns' converters, if the read-back's step is one that this emulator's has."""
    read, column = _value(found, "read_resolution"), _value(found, "adc_step")
    if not (read and column):
        return 0, 0.0
    levels = READ_HEADROOM * window / read
    bits = round(math.log2(levels + 1)) + 1
    if not 2 <= bits <= 24 or abs(levels - (2 ** (bits - 1) - 1)) > 1e-3 * levels:
        return 0, 0.0
    return bits, column * (2 ** (bits - 1) - 1)


def _less(sd: float, step: float) -> float:
    """Noise before rounding to a step, from noise with it."""
    return math.sqrt(max(sd**2 - step**2 / 12.0, 0.0))


def _nodes(found: Mapping[str, Quantity]) -> float:
    squares = [q.value**2 for name, q in found.items() if name.startswith("node_noise_sd/")]
    return math.sqrt(sum(squares) / len(squares)) if squares else 0.0


def _value(found: Mapping[str, Quantity], name: str) -> float:
    return found[name].value if name in found else 0.0
