"""What a profile says about how to train: settings, each with its reason.

With sigma the size of the displacements that explore, |g| the gradient's norm, s the sd of a loss reading and e the
error of reading a displacement back, a block estimate from N readings of P parameters points along the gradient with::

    cosine = 1 / sqrt(1 + P (1 + q^2) (1 + r^2) / N)        q = s / (sigma |g|),  r = e / sigma

so (1 + q^2)(1 + r^2) is how many times the readings of a noiseless device it takes. Where q is large the device's own
noise is too small to explore with alone, and a commanded displacement is added.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hwzo.noise.profile import Profile
from hwzo.noise.quantity import Quantity

Q_MOST = 0.5
"""Above this a commanded displacement is added to the device's own noise. The gradient at the start, where it is
measured, is some four times that at 90% on digits: by then q is 2, and readings go five times less far."""
Q_MANY = 2.0
"""Above this a step takes more readings."""
FEW, MANY = 8, 32
SHARED = 0.02
"""Share of common noise that counts; the interval must lie above it."""
UNEQUAL = 1.0
"""Squared coefficient of variation of the parameters' noise variances that counts."""
SLOW = 0.5
"""Spectral slope that counts; the interval must lie above it."""
ROOM = 10
"""Parameters a reading of a step above which least squares is as good as any: it doesn't run out of directions."""
PER_PARAMETER = 0.9
"""Evaluations a parameter to 90% on digits by block estimates on an ideal device (2,125 for 2,410): a scale only."""
SMALLEST, LARGEST = 0.01, 0.2
"""Range of commanded displacements, weight units: as far as derivatives were measured, and no less than is useful."""


@dataclass(frozen=True)
class Advice:
    """A setting and why.

    Args:
        value: as a configuration of training takes it.
        reason: a sentence with the numbers behind it.
    """

    value: str | int | float
    reason: str


def advise(profile: Profile) -> dict[str, Advice]:
    """Settings of `hwzo.train` by name, as far as the profile tells of them: exploration, estimator, probes, scale.

    Exploration is ``auto``, and the only one, where a budget left out what would decide it; the reason names that.

    ``expected_evaluations`` is no setting: it is an order of magnitude, for planning.
    """
    device, found = profile.manifest.device, profile.quantities
    weights = device.readback == "weights"
    nodes = [q for name, q in found.items() if name.startswith("node_noise_sd/") and q.significant]
    if device.layers and device.node_noise and nodes and (weights or device.readback == "nodes"):
        about = " and ".join(f"{q.value:.3g}" for q in nodes)
        reason = f"nodes are read back, and carry noise of their own of sd {about}: two noisy passes explore"
        return {"exploration": Advice("intrinsic-node", reason)}
    unknown = _unknown(profile)
    if unknown:
        reason = f"not known: {unknown}; calibrate with a larger budget, or the method goes by what the device can do"
        return {"exploration": Advice("auto", reason)}
    own = own_noise(found) if weights else None
    if own is not None:
        return _by_own_noise(profile, *own)
    if device.laws:
        return _commanded(profile)
    return {"exploration": Advice("selection", "only a loss comes back, and no direction can be commanded")}


def own_noise(found: Mapping[str, Quantity]) -> tuple[Quantity, str] | None:
    """The parameters' noise that explores, and what it is called."""
    new, written = found.get("parameter_noise_sigma"), found.get("programming_noise_sd")
    if new is not None and new.significant and (written is None or new.value >= 0.5 * written.value):
        return new, "each evaluation"
    if written is not None and written.significant:
        return written, "each write"
    return (new, "each evaluation") if new is not None and new.significant else None


def _unknown(profile: Profile) -> str:
    """What of the device's own noise wasn't measured, though it might explore, and why; "" if nothing."""
    device, found, left_out = profile.manifest.device, profile.quantities, profile.manifest.left_out
    weights = device.readback == "weights"
    wanted: list[str] = []
    if device.layers and device.node_noise and (weights or device.readback == "nodes"):
        wanted.append("node_noise_sd")
    if weights and own_noise(found) is None:
        wanted += ["parameter_noise_sigma", "programming_noise_sd"]
    missing = [name for name in wanted if name in left_out and name not in found]
    return "; ".join(f"{name} wasn't measured ({left_out[name]})" for name in missing)


def _by_own_noise(profile: Profile, own: Quantity, renewed: str) -> dict[str, Advice]:
    found, device = profile.quantities, profile.manifest.device
    advice: dict[str, Advice] = {}
    sigma = own.value
    noise = f"the parameters' own noise, new in {renewed}, has sd {sigma:.3g}"
    gradient = _value(found, "gradient_norm")
    loss, surely = _unread(found, sigma if renewed == "each evaluation" else 0.0)
    q, least = _ratio(loss, gradient, sigma), _ratio(surely, gradient, sigma)
    small, awkward = least is not None and least > Q_MOST, _awkward(profile)
    scale = _added(found, sigma, loss) if small and device.laws else None
    if scale is not None:
        told = f"{noise}, too small beside the loss noise: q = {q:.2g} is above {Q_MOST:g}, and grows as gradients fall"
    elif awkward and device.laws and not device.probe_writes:
        told = f"{noise}, and is awkward to explore with: {awkward}"
        best = _c_star(found, loss)
        size = sigma if best is None else max(sigma, float(best.value))
        scale = Advice(float(f"{min(max(size, SMALLEST), LARGEST):.3g}"), "as large as the noise itself, c* at least")
    else:
        told = "" if q is None else f"; beside the loss noise it is large enough: q = {q:.2g}"
        if small:
            told = f"; q = {q:.2g} is large, and no displacement that is larger can be commanded or is known to be good"
        advice["exploration"] = Advice("intrinsic-weight", f"{noise}, and is read back{told}")
    if scale is not None:
        advice["exploration"] = Advice("mixed", f"{told}; a commanded displacement is added")
        advice["scale"] = scale
        sigma = math.hypot(sigma, float(scale.value))
        q = _ratio(loss, gradient, sigma)
    advice["probes"] = _probes(q)
    advice["estimator"] = _estimator(profile, int(advice["probes"].value))
    read = found.get("read_error_sd")
    advice |= _expected(device.n_parameters, q, None if read is None else read.value / sigma)
    return advice


def _commanded(profile: Profile) -> dict[str, Advice]:
    found, device = profile.quantities, profile.manifest.device
    reason = f"no noise of its own to explore with in what is read back, {device.readback!r}; directions are commanded"
    advice = {"exploration": Advice("commanded", reason)}
    scale = _c_star(found, _value(found, "loss_noise_sd"))
    if scale is not None:
        advice["scale"] = scale
    q = _ratio(
        _value(found, "loss_noise_sd"), _value(found, "gradient_norm"), None if scale is None else float(scale.value)
    )
    if q is not None:
        advice["probes"] = _probes(q)
        if device.n_parameters >= ROOM * int(advice["probes"].value):
            advice["estimator"] = _estimator(profile, int(advice["probes"].value))
    advice |= _expected(device.n_parameters, q, 0.0)
    return advice


def _value(found: Mapping[str, Quantity], name: str) -> float | None:
    return found[name].value if name in found else None


def _unread(found: Mapping[str, Quantity], sigma: float) -> tuple[float | None, float | None]:
    """sd of the loss noise that isn't made by parameter noise of sd sigma: that part is read back, and is signal.

    And what it is at least, a standard error below: the difference of two numbers that are known to some tenths.
    """
    loss, gradient = found.get("loss_noise_sd"), found.get("gradient_norm")
    if loss is None or gradient is None:
        return None, None
    square = loss.value**2 - (sigma * gradient.value) ** 2
    errors = (loss.value * (loss.standard_error or 0.0), sigma**2 * gradient.value * (gradient.standard_error or 0.0))
    # What is left is not said to be less than the loss noise's own error.
    value = math.sqrt(max(square, (loss.standard_error or 0.0) ** 2))
    return value, math.sqrt(max(square - 2.0 * math.hypot(*errors), 0.0))


def _ratio(loss: float | None, gradient: float | None, sigma: float | None) -> float | None:
    if loss is None or gradient is None or sigma is None or gradient <= 0 or sigma <= 0:
        return None
    return loss / (sigma * gradient)


def _c_star(found: Mapping[str, Quantity], loss: float | None) -> Advice | None:
    """One-sided, see `hwzo.noise.probe_size`, for a loss noise of sd ``loss``; None where nothing is known."""
    second = found.get("curvature_d2_rms")
    if loss is None or loss <= 0 or second is None or not second.significant:
        return None
    scale = min(max((8.0 * loss**2) ** 0.25 / math.sqrt(second.value), SMALLEST), LARGEST)
    reason = f"c* = (8 s^2)^(1/4) / sqrt(D2), with loss noise s = {loss:.3g} and D2 = {second.value:.3g}"
    return Advice(float(f"{scale:.3g}"), reason)


def _added(found: Mapping[str, Quantity], sigma: float, loss: float | None) -> Advice | None:
    """A commanded displacement beside own noise of sd sigma; None if one as large as is good isn't above that."""
    scale = _c_star(found, loss)
    gradient = _value(found, "gradient_norm")
    if scale is None and loss is not None and gradient is not None:
        wanted = min(max(loss / (Q_MOST * gradient), SMALLEST), LARGEST)
        scale = Advice(float(f"{wanted:.3g}"), f"brings q = s / (sigma |g|) to {loss / (gradient * wanted):.2g}")
    return scale if scale is not None and float(scale.value) > sigma else None


def _probes(q: float | None) -> Advice:
    if q is None or q <= Q_MANY:
        return Advice(FEW, f"{'q is unknown' if q is None else f'q = {q:.2g}'}: few readings a step suffice")
    return Advice(MANY, f"q = {q:.2g}: the loss noise is averaged over more readings a step")


def _awkward(profile: Profile) -> str:
    """What the parameters' noise has that explores badly, in words; "" if it is equal, independent and white."""
    found = profile.quantities
    share, slope = found.get("common_mode_share"), found.get("noise_slope")
    if share is not None and share.low > SHARED:
        return f"{100 * share.value:.2g}% of the noise is common to all parameters"
    each = profile.curves.get("parameter_noise_sigma_each")
    if each is not None and each.standard_error is not None:
        squares, error = np.square(each.values), 2 * each.values * each.standard_error
        mean = float(squares.mean())
        spread = (float(squares.var()) - float(np.square(error).mean())) / mean**2 if mean > 0 else 0.0
        if spread > UNEQUAL:
            return f"parameters differ in their noise: its variance varies by {spread:.2g}"
    if slope is not None and slope.low > SLOW:
        return f"the noise is slow, with spectral slope {slope.value:.2g}"
    return ""


def _estimator(profile: Profile, probes: int) -> Advice:
    n, awkward = profile.manifest.device.n_parameters, _awkward(profile)
    if n >= ROOM * probes:
        why = f"{awkward}; " if awkward else ""
        return Advice(
            "least-squares",
            f"{why}with {probes} readings a step for {n} parameters it asks nothing of the noise and costs nothing",
        )
    slope = profile.quantities.get("noise_slope")
    if awkward and (slope is None or slope.low <= SLOW):
        return Advice("least-squares", awkward)
    if awkward:
        return Advice("difference", awkward)
    return Advice("block", "nothing speaks for another: no common noise, equal parameters, or it isn't known")


def _expected(n_parameters: int, q: float | None, r: float | None) -> dict[str, Advice]:
    if q is None or r is None:
        return {}
    factor = (1 + q * q) * (1 + r * r)
    about = PER_PARAMETER * n_parameters * factor
    return {
        "expected_evaluations": Advice(
            int(float(f"{about:.1g}")),
            f"order of magnitude to 90% on a task like digits: {PER_PARAMETER:g} a parameter without noise, times "
            f"(1 + q^2)(1 + r^2) = {factor:.2g}, with q = {q:.2g} and r = {r:.2g}",
        )
    }
