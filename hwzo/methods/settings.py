"""What can be set of a method; each method says which of these it takes and what they are by default."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from typing import Literal, TypeVar

from hwzo.errors import ConfigError
from hwzo.probes import Law

Exploration = Literal["commanded", "intrinsic-weight", "intrinsic-node", "mixed", "selection", "none"]
ExplorationChoice = Literal["auto", "commanded", "intrinsic-weight", "intrinsic-node", "mixed", "selection"]
Estimator = Literal["block", "antithetic", "least-squares", "difference", "forward"]
UpdateName = Literal["sgd", "momentum", "adam", "normalised-momentum", "sign", "adamm", "diffgrad", "classp"]
Schedule = Literal["constant", "linear"]
T = TypeVar("T")


@dataclass(frozen=True)
class Settings:
    """Settings of a method; None means not set.

    Args:
        exploration: where displacements come from; ``auto`` lets the method choose by what the device reads back.
        probes: N, loss readings a step (in an antithetic method both readings of a pair count).
        scale: c, size of a commanded displacement of each parameter, weight units; the c* rule measures one if not set.
        law: law of commanded directions.
        estimator: how displacements and losses become a gradient.
        update: how a gradient becomes a step.
        rate: learning rate at the start.
        schedule: ``linear`` falls to 2% of the rate as the budget is spent; ``constant`` stays.
        gains: ``spall`` lets rate and scale decay as Spall (1998) advises; overrides ``schedule``. ``constant``, the
            usual, leaves the rate to ``schedule``.
    """

    exploration: ExplorationChoice | None = None
    probes: int | None = None
    scale: float | None = None
    law: Law | None = None
    estimator: Estimator | None = None
    update: UpdateName | None = None
    rate: float | None = None
    schedule: Schedule | None = None
    gains: Literal["constant", "spall"] | None = None

    @classmethod
    def names(cls) -> list[str]:
        """Names of all settings."""
        return [field.name for field in fields(cls)]

    @property
    def given(self) -> dict[str, object]:
        """Those that are set."""
        return {name: value for name in self.names() if (value := getattr(self, name)) is not None}

    def over(self, defaults: Settings) -> Settings:
        """These, with ``defaults`` where they are not set."""
        return replace(defaults, **self.given)  # pyright: ignore[reportArgumentType]

    def keep(self, names: Iterable[str]) -> Settings:
        """Those of these names, the others not set."""
        return Settings(**{name: value for name, value in self.given.items() if name in set(names)})  # pyright: ignore[reportArgumentType]

    def only(self, method: str, allowed: Iterable[str]) -> Settings:
        """The same, after checking that nothing else is set.

        Raises:
            ConfigError: names the setting that the method doesn't take, and those it does.
        """
        names = sorted(allowed)
        for name in self.given:
            if name not in names:
                raise ConfigError(
                    f"{name}: method {method!r} has no such setting; it takes {', '.join(names)}", key=name
                )
        return self


def known(value: T | None) -> T:
    """A setting that a method's defaults set, once `Settings.over` has put them in."""
    assert value is not None
    return value
