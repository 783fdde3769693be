"""Memory cells that are programmed by pulses: how devices differ, how pulses differ, and what trains of them do.

Weights here are in device units, in which a source gives its constants (about -1 to 1). Each pulse moves a device by
the step of its law, see `hwzo_backends.crossbar.steps`, and adds c2c a xi (additive noise) or c2c |step| xi
(multiplicative), xi standard normal; then the weight is clipped to the device's bounds.

Sources: those of the step laws.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwzo.errors import ConfigError
from hwzo.parameters import Array
from hwzo_backends.crossbar.noise import Draws
from hwzo_backends.crossbar.steps import Devices, StepLaw

MAX_STATES = 100_000  # a train of that many pulses is sent one by one

_CLEAR = 6.0  # standard deviations: a bound that far is out of a train's reach (less than 1e-8 of the trains)


_RANGES = {
    "a number above 0, up to 1e6": (1e-9, 1e6),
    "a number below 0, down to -1e6": (-1e6, -1e-9),
    "a number from 0 to 1e6": (0.0, 1e6),
    "a number from -1 to 1": (-1.0, 1.0),
    "a share from 0 to 1": (0.0, 1.0),
    "a number of seconds from 0 to 1e12": (0.0, 1e12),
}
_ABOVE, _BELOW, _SPREAD, _SIGNED, _SHARE, _SECONDS = _RANGES
_ALLOWED = {
    "dw_min": _ABOVE,
    "w_min": _BELOW,
    "w_max": _ABOVE,
    "up_down": _SIGNED,
    "lifetime": _SECONDS,
    "corrupt": _SHARE,
    **dict.fromkeys(("dw_min_d2d", "up_down_d2d", "w_min_d2d", "w_max_d2d", "c2c", "write_noise"), _SPREAD),
    **dict.fromkeys(("lifetime_d2d", "reference_sd", "corrupt_range"), _SPREAD),
}


@dataclass(frozen=True)
class PulseDevice:
    """One kind of pulsed device: its step law, how devices differ and how pulses differ. Device units.

    A device draws ``b_max = w_max (1 + w_max_d2d xi)``, likewise b_min, a gain of ``1 + dw_min_d2d xi`` (or
    ``exp(dw_min_d2d xi)`` if lognormal) and ``r = up_down_d2d xi``; then ``a+ = dw_min (gain + min(up_down, 0) + r)``
    and ``a- = dw_min (gain - max(up_down, 0) - r)``. What comes out with the wrong sign is turned around.

    Args:
        law: how the step depends on the weight.
        dw_min: mean step size where w = 0, before ``up_down``.
        w_min, w_max: mean bounds, below and above 0.
        dw_min_d2d: spread of the step size between devices, relative.
        lognormal: whether that is the sd of its logarithm.
        up_down, up_down_d2d: systematic asymmetry, which makes one direction's steps smaller, and its spread between
            devices; in units of dw_min.
        w_min_d2d, w_max_d2d: spread of the bounds between devices, relative.
        c2c: standard deviation of the steps of one device, relative to its a (additive) or to its mean step there.
        additive: which of the two.
        write_noise: what is read is off by a number of this sd that is drawn anew in each train of pulses, in units
            of dw_min; the next pulse starts from what is hidden beneath.
        lifetime: of the weight, which decays towards 0 exponentially, seconds; 0 for ever.
        lifetime_d2d: its spread between devices, relative.
        centred: whether a reference of each device's own symmetry point is subtracted.
        reference_sd: error of the reference, standard deviation.
        corrupt: share of devices that were found not to move; emulated only where asked for.
        corrupt_range: those lie within this of 0.
    """

    law: StepLaw
    dw_min: float
    w_min: float = -1.0
    w_max: float = 1.0
    dw_min_d2d: float = 0.0
    lognormal: bool = False
    up_down: float = 0.0
    up_down_d2d: float = 0.0
    w_min_d2d: float = 0.0
    w_max_d2d: float = 0.0
    c2c: float = 0.0
    additive: bool = True
    write_noise: float = 0.0
    lifetime: float = 0.0
    lifetime_d2d: float = 0.0
    centred: bool = False
    reference_sd: float = 0.0
    corrupt: float = 0.0
    corrupt_range: float = 0.01

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ConfigError: one makes no sense; names it, its value and what is allowed.
        """
        for name, kind in _ALLOWED.items():
            value = getattr(self, name)
            low, high = _RANGES[kind]
            if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
                raise ConfigError(f"pulsed device: {name}={value!r} should be {kind}", key=name)
        if self.states > MAX_STATES:
            raise ConfigError(
                f"pulsed device: dw_min={self.dw_min:g} makes {self.states:.0f} states from w_min={self.w_min:g} to "
                f"w_max={self.w_max:g}; at most {MAX_STATES} can be emulated",
                key="dw_min",
            )

    @property
    def states(self) -> float:
        """Number of steps of dw_min from bound to bound."""
        return (self.w_max - self.w_min) / self.dw_min

    def draw(self, n: int, rng: Draws, d2d: float = 1.0) -> Devices:
        """n devices; ``d2d`` is a factor on all spreads between them."""
        nominal = np.array([[self.w_min], [self.w_max]])
        spread = np.array([[self.w_min_d2d], [self.w_max_d2d]])
        bound = nominal * (1.0 + d2d * spread * rng.standard_normal((2, n)))
        bound.sort(axis=0)
        bound = np.abs(bound) * np.array([[-1.0], [1.0]])
        xi = d2d * self.dw_min_d2d * rng.standard_normal(n)
        gain = np.exp(xi) if self.lognormal else 1.0 + xi
        r = d2d * self.up_down_d2d * rng.standard_normal(n)
        scale = np.stack([gain - max(self.up_down, 0.0) - r, gain + min(self.up_down, 0.0) + r])
        scale = np.abs(scale) * self.dw_min
        slope = self.law.slopes(nominal, bound, rng.standard_normal((2, n)), d2d)
        lifetime = np.zeros(0)
        if self.lifetime:
            lifetime = self.lifetime * (1.0 + d2d * self.lifetime_d2d * rng.standard_normal(n))
            # A draw below zero is a device that holds nothing, for which a millionth of the lifetime is short enough.
            lifetime = np.maximum(lifetime, 1e-6 * self.lifetime)
        devices = Devices(scale, bound, slope, np.zeros(n), lifetime)
        if self.centred:
            devices.reference[:] = devices.symmetry_point()
        if self.reference_sd:
            devices.reference[:] += d2d * self.reference_sd * rng.standard_normal(n)
        return devices

    def send(
        self,
        w: Array,
        counts: NDArray[np.int64],
        up: bool,
        devices: Devices,
        rng: Draws,
        c2c: float = 1.0,
    ) -> None:
        """Move weights by trains of pulses that all go one way; in place.

        Pulses are sent one by one, each with its own noise. Where the step is constant and both bounds are out of
        reach, n of them are one normal number of mean n a and standard deviation sqrt(n) c2c a, which is exact.

        Args:
            w: (m,) weights of the devices themselves, before the reference is subtracted.
            counts: (m,) how many pulses each gets, in descending order.
            up: which way.
            devices: the m of them.
            rng: of the noise.
            c2c: factor on it.
        """
        if self.law.constant:
            clear = self._send_at_once(w, counts, up, devices, rng, c2c)
            rest = np.flatnonzero(~clear)
            if len(rest) < len(w):
                if len(rest):
                    part = w[rest]
                    self._send_one_by_one(part, counts[rest], up, devices.take(rest), rng, c2c)
                    w[rest] = part
                return
        self._send_one_by_one(w, counts, up, devices, rng, c2c)

    def _send_at_once(
        self,
        w: Array,
        counts: NDArray[np.int64],
        up: bool,
        devices: Devices,
        rng: Draws,
        c2c: float,
    ) -> NDArray[np.bool_]:
        """Send whole trains to those whose bounds are out of reach; which those are, (m,)."""
        sd = self.c2c * c2c * np.sqrt(counts) * devices.scale[int(up)]
        end = w + counts * self.law.step(w, up, devices)
        clear: NDArray[np.bool_] = np.minimum(w, end) - _CLEAR * sd >= devices.bound[0]
        clear &= np.maximum(w, end) + _CLEAR * sd <= devices.bound[1]
        end += sd * rng.standard_normal(len(w))
        w[clear] = end[clear]
        return clear

    def _send_one_by_one(
        self,
        w: Array,
        counts: NDArray[np.int64],
        up: bool,
        devices: Devices,
        rng: Draws,
        c2c: float,
    ) -> None:
        sd = self.c2c * c2c
        low, high = devices.bound
        noise = np.empty_like(w)
        # Descending counts: the devices that get a j-th pulse are the first so many.
        receivers = len(w) - np.cumsum(np.bincount(counts))[:-1]
        for m in receivers.tolist():
            now, xi = w[:m], noise[:m]
            step = self.law.step(now, up, devices if m == len(w) else devices.take(slice(m)))
            if sd:
                rng.standard_normal(out=xi)
                xi *= sd
                if self.additive:
                    xi *= devices.scale[int(up), :m]
                else:
                    xi *= step
                step += xi
            now += step
            np.maximum(now, low[:m], out=now)
            np.minimum(now, high[:m], out=now)
