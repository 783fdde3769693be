"""Memory cells that are programmed by pulses: how far one pulse moves a cell, and how pulses and cells differ.

Weights here are in device units, in which a source gives its constants (about -1 to 1); the step of device d for one
pulse at weight w is

    step law          up                               down
    constant          a+                               -a-
    linear            a+ (1 - gamma+ w / w_max)        -a- (1 - gamma- w / w_min)
    soft bounds       a+ (1 - w / b_max)               -a- (1 - w / b_min)
    exponential       a+ max(1 - A+ exp(gamma+ z), 0)  -a- max(1 - A- exp(-gamma- z), 0)

with a+, a- the device's own step sizes, b_min, b_max its own bounds, w_min, w_max their means and
z = 2 a w / (b_max - b_min) + b. Each pulse adds c2c a xi (additive noise) or c2c |step| xi (multiplicative), xi
standard normal; then the weight is clipped to the bounds.

Sources:
    T. Gokmen, Y. Vlasov, "Acceleration of deep neural network training with resistive cross-point devices: design
    considerations", Front. Neurosci. 10, 333 (2016), doi:10.3389/fnins.2016.00333 (constant step; the spreads).
    S. Fusi, L. F. Abbott, "Limits on the memory storage capacity of bounded synapses", Nat. Neurosci. 10, 485 (2007),
    doi:10.1038/nn1859 (soft bounds).
    M. J. Rasch et al., "A flexible and fast PyTorch toolkit for simulating training and inference on analog crossbar
    arrays", AICAS 2021, doi:10.1109/AICAS51828.2021.9458494 (all laws in these forms).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from hwzo.parameters import Array
from hwzo_backends.crossbar.noise import Draws

_CLEAR = 6.0  # standard deviations: a bound that far is out of a train's reach (less than 1e-8 of the trains)


@dataclass(frozen=True)
class Devices:
    """The constants of each device, drawn once, device units. Row 0 is for pulses down, row 1 for pulses up.

    Args:
        scale: (2, n) a-, a+: size of a step where w = 0, or what the law makes of it; >= 0.
        bound: (2, n) b_min, b_max; b_min <= 0 <= b_max.
        slope: (2, n) relative decrease of the step per unit of w: gamma / w_min or w_max, 1 / b; 0 if there is none.
        reference: (n,) what is subtracted from the device's own weight when it is read.
        lifetime: (n,) time constant of decay towards 0, seconds; empty if the weight stays.
    """

    scale: Array
    bound: Array
    slope: Array
    reference: Array
    lifetime: Array

    def take(self, at: slice | NDArray[np.intp]) -> Devices:
        """Those of some cells."""
        return Devices(
            self.scale[:, at],
            self.bound[:, at],
            self.slope[:, at],
            self.reference[at],
            self.lifetime[at] if len(self.lifetime) else self.lifetime,
        )

    def symmetry_point(self) -> Array:
        """Weight (n,) at which a pulse up and a pulse down cancel, for steps that fall linearly with w.

        ``(a+ - a-) / (a+ s+ - a- s-)``; soft bounds: ``(a+ - a-) / (a+ / b_max - a- / b_min)``. Alternating pulses take
        a device there (H. Kim et al., "Zero-shifting technique for deep neural network training on resistive
        cross-point arrays", arXiv:1907.10228). Infinite or not a number for constant steps, which have none.
        """
        down, up = self.scale
        slope_down, slope_up = self.slope
        with np.errstate(divide="ignore", invalid="ignore"):
            return (up - down) / (up * slope_up - down * slope_down)


class StepLaw(Protocol):
    """Mean change of the weight by one pulse, as a function of the weight."""

    constant: ClassVar[bool]
    """Whether the step is the same at each weight."""

    def slopes(self, nominal: Array, bound: Array, xi: Array, d2d: float) -> Array:
        """The (2, n) slopes of devices.

        Args:
            nominal: (2, 1) mean bounds, lower and upper.
            bound: (2, n) the devices' own.
            xi: (2, n) standard normal.
            d2d: factor on the spread between devices.
        """
        ...

    def step(self, w: Array, up: bool, devices: Devices) -> Array:
        """Mean change (n,) of weights (n,) by one pulse up or down, device units."""
        ...


def _linear_step(w: Array, up: bool, devices: Devices) -> Array:
    step = devices.slope[int(up)] * w
    np.subtract(1.0, step, out=step)
    step *= devices.scale[int(up)]
    return step if up else np.negative(step, out=step)


@dataclass(frozen=True)
class ConstantStep:
    """The same step at each weight."""

    constant: ClassVar[bool] = True

    def slopes(self, nominal: Array, bound: Array, xi: Array, d2d: float) -> Array:
        """See `StepLaw`."""
        return np.zeros_like(bound)

    def step(self, w: Array, up: bool, devices: Devices) -> Array:
        """See `StepLaw`."""
        return devices.scale[1].copy() if up else -devices.scale[0]


@dataclass(frozen=True)
class LinearStep:
    """A step that falls linearly towards the bound it moves to, by a share of gamma at the mean bound.

    Args:
        gamma_up, gamma_down: that share.
        d2d: its spread between devices, standard deviation, absolute.
    """

    gamma_up: float
    gamma_down: float
    d2d: float = 0.0
    constant: ClassVar[bool] = False

    def slopes(self, nominal: Array, bound: Array, xi: Array, d2d: float) -> Array:
        """See `StepLaw`."""
        gamma = np.array([[self.gamma_down], [self.gamma_up]]) + self.d2d * d2d * xi
        return np.abs(gamma) / nominal

    def step(self, w: Array, up: bool, devices: Devices) -> Array:
        """See `StepLaw`."""
        return _linear_step(w, up, devices)


@dataclass(frozen=True)
class SoftBounds:
    """A step that falls linearly to zero at the device's own bound."""

    constant: ClassVar[bool] = False

    def slopes(self, nominal: Array, bound: Array, xi: Array, d2d: float) -> Array:
        """See `StepLaw`."""
        return 1.0 / bound

    def step(self, w: Array, up: bool, devices: Devices) -> Array:
        """See `StepLaw`."""
        return _linear_step(w, up, devices)


@dataclass(frozen=True)
class ExponentialStep:
    """A step that changes exponentially with the weight, as fitted; never backwards.

    Args:
        a_up, a_down: A+ and A-.
        gamma_up, gamma_down: gamma+ and gamma-.
        a, b: scale and offset of z.
    """

    a_up: float
    a_down: float
    gamma_up: float
    gamma_down: float
    a: float
    b: float
    constant: ClassVar[bool] = False

    def slopes(self, nominal: Array, bound: Array, xi: Array, d2d: float) -> Array:
        """See `StepLaw`."""
        return np.zeros_like(bound)

    def step(self, w: Array, up: bool, devices: Devices) -> Array:
        """See `StepLaw`."""
        amplitude, rate = (self.a_up, self.gamma_up) if up else (self.a_down, -self.gamma_down)
        step = 2.0 * self.a * rate * w
        step /= devices.bound[1] - devices.bound[0]
        step += self.b * rate
        np.exp(step, out=step)
        step *= -amplitude
        step += 1.0
        np.maximum(step, 0.0, out=step)
        step *= devices.scale[int(up)]
        return step if up else np.negative(step, out=step)


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
