"""Step laws of pulsed devices: how far one pulse moves a cell, on average, from where it is.

Weights here are in device units, in which a source gives its constants (about -1 to 1); the step of a device for one
pulse at weight w is

    step law          up                               down
    constant          a+                               -a-
    linear            a+ (1 - gamma+ w / w_max)        -a- (1 - gamma- w / w_min)
    soft bounds       a+ (1 - w / b_max)               -a- (1 - w / b_min)
    exponential       a+ max(1 - A+ exp(gamma+ z), 0)  -a- max(1 - A- exp(-gamma- z), 0)

with a+, a- the device's own step sizes, b_min, b_max its own bounds, w_min, w_max their means and
z = 2 a w / (b_max - b_min) + b.

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
