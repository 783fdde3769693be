"""How the rate changes over a run: a factor on it, as a function of how much is done."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hwzo.errors import ConfigError

Schedule = Callable[[float], float]
"""What is done so far, 0 at the start, to the factor on the rate."""


def constant(done: float) -> float:
    """The rate as it is."""
    return 1.0


@dataclass(frozen=True)
class LinearDecay:
    """From 1 at the start straight to ``fraction`` at ``horizon``, and ``fraction`` after it.

    Args:
        horizon: how long the run is known to be, in whatever ``done`` counts: steps, evaluations, seconds.
        fraction: what is left of the rate then, 0 to 1.

    Raises:
        ConfigError: a horizon that isn't above 0, or a fraction outside [0, 1].
    """

    horizon: float
    fraction: float = 0.0

    def __post_init__(self) -> None:
        if not self.horizon > 0:
            raise ConfigError(f"a linear decay needs a horizon above 0, got {self.horizon:g}", key="horizon")
        if not 0 <= self.fraction <= 1:
            raise ConfigError(f"fraction = {self.fraction:g} must be 0 to 1", key="fraction")

    def __call__(self, done: float) -> float:
        """The factor on the rate once ``done`` of the horizon is done."""
        share = min(max(done / self.horizon, 0.0), 1.0)
        return 1.0 - share * (1.0 - self.fraction)
