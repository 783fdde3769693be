"""Budgets: how much a run may spend, in evaluations, wall-clock time, cell writes, joules or device seconds."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal

from hwzo.errors import ConfigError
from hwzo.probes import Cost

Unit = Literal["evaluations", "seconds", "writes", "joules", "device seconds"]

_UNITS: dict[str, tuple[Unit, float]] = {
    "evaluation": ("evaluations", 1),
    "evaluations": ("evaluations", 1),
    "s": ("seconds", 1),
    "second": ("seconds", 1),
    "seconds": ("seconds", 1),
    "min": ("seconds", 60),
    "minute": ("seconds", 60),
    "minutes": ("seconds", 60),
    "h": ("seconds", 3600),
    "hour": ("seconds", 3600),
    "hours": ("seconds", 3600),
    "write": ("writes", 1),
    "writes": ("writes", 1),
    "cell writes": ("writes", 1),
    "j": ("joules", 1),
    "joule": ("joules", 1),
    "joules": ("joules", 1),
    "mj": ("joules", 1e-3),
    "device s": ("device seconds", 1),
    "device second": ("device seconds", 1),
    "device seconds": ("device seconds", 1),
}
_EXAMPLES = '"20000 evaluations", "10 min", "1e6 writes", "0.5 J" or "3 device seconds", joined by commas if several'


@dataclass
class Spent:
    """What a run has spent so far.

    Args:
        evaluations: minibatch loss readings for training and calibration.
        commanded_probes: how many of them had a commanded displacement.
        cost: what the device counted for them; looks at the validation and test splits are not in it.
        wall_seconds: time on the host's clock, over all sessions of the run.
    """

    evaluations: int = 0
    commanded_probes: int = 0
    cost: Cost = field(default_factory=Cost)
    wall_seconds: float = 0.0

    def add(self, evaluations: int, commanded: int, cost: Cost) -> None:
        """Count a step's."""
        self.evaluations += evaluations
        self.commanded_probes += commanded
        self.cost = self.cost + cost

    def of(self, unit: Unit) -> float:
        """The amount in one unit."""
        match unit:
            case "evaluations":
                return self.evaluations
            case "seconds":
                return self.wall_seconds
            case "writes":
                return self.cost.cell_writes
            case "joules":
                return self.cost.joules
            case "device seconds":
                return self.cost.device_seconds


@dataclass(frozen=True)
class Budget:
    """Limits, the first of which to be reached ends the run.

    Args:
        limits: amount by unit, each above 0.
        text: as the user wrote it.
    """

    limits: dict[Unit, float]
    text: str

    @classmethod
    def parse(cls, text: str) -> Budget:
        """From text such as ``"20000 evaluations"`` or ``"1e6 writes, 10 min"``.

        Raises:
            ConfigError: not a number and a unit, or not above 0.
        """
        limits: dict[Unit, float] = {}
        for part in text.split(","):
            match = re.fullmatch(r"\s*([-+]?[0-9.]+(?:e[-+]?[0-9]+)?)\s*([a-z ]+?)\s*", part.replace("_", ""), re.I)
            if match is None or match[2].lower() not in _UNITS:
                raise ConfigError(f"budget={text!r}: expected an amount and a unit, such as {_EXAMPLES}", key="budget")
            unit, factor = _UNITS[match[2].lower()]
            try:
                amount = float(match[1]) * factor
            except ValueError:
                raise ConfigError(f"budget={text!r}: {match[1]!r} is not a number", key="budget") from None
            if not 0 < amount < float("inf"):
                raise ConfigError(f"budget={text!r}: must be above 0 and finite; got {match[1]}", key="budget")
            limits[unit] = min(amount, limits.get(unit, amount))
        return cls(limits, text)

    def allows(self, spent: Spent, evaluations: int) -> bool:
        """True if a step of this many evaluations may still be taken."""
        for unit, limit in self.limits.items():
            if unit == "evaluations":
                if spent.evaluations + evaluations > limit:
                    return False
            elif spent.of(unit) >= limit:
                return False
        return True

    def progress(self, spent: Spent) -> float:
        """Share spent of the limit that is nearest, 0 to 1."""
        return min(1.0, max(spent.of(unit) / limit for unit, limit in self.limits.items()))
