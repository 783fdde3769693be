"""What is compared: methods, devices, seeds, and what is the same for all of them."""

from __future__ import annotations

import difflib
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import tomlkit
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hwzo.errors import ConfigError
from hwzo.methods.registry import method_named
from hwzo.train.config import TrainConfig, read_toml
from hwzo.train.result import Result
from hwzo.train.tuning import Tuning

Names = Annotated[list[str], Field(min_length=1)]
Seeds = Annotated[list[Annotated[int, Field(ge=0, le=2**32 - 1, strict=True)]], Field(min_length=1)]

FIXED = ("method", "device", "seed", "task", "budget", "batch", "layers", "activation", "validate_every", "target")
"""Keys that a comparison sets itself, for all alike, so that no method has them to itself."""
OWN = tuple(sorted(set(TrainConfig.model_fields) - set(FIXED)))
"""Keys that single methods may have in ``settings``."""

EXAMPLES = {"methods": "methods = ['intrinsic', 'spsa']", "tuning.runs": "runs = 8"}
"""Of what has to be given."""


class Comparison(BaseModel):
    """What is compared.

    Args:
        methods: names, with options if there are any, such as ``"mgd?tau_x=4"``.
        devices: URLs.
        task: for all.
        seeds: of the runs whose test accuracy counts; also of an emulated device whose URL sets none.
        budget: of each run, the same for all.
        batch, layers, activation: as in `TrainConfig`; what isn't set is each method's own.
        validate_every: evaluations between two looks at the validation split.
        processes: at most so many runs at a time; None: one for each core that this process may use. Where a device is
            one that only one run can hold, such as a board, it is one.
        tuning: how each method's settings are chosen on each device; None: they are the method's own.
        settings: of single methods, by name: keys of `TrainConfig`, such as ``{"spsa": {"probes": 4}}``; these are not
            tuned.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    methods: Names
    devices: Names = ["crossbar:pcm"]
    task: str = "digits"
    seeds: Seeds = [0, 1, 2, 3, 4]
    budget: str = "10000 evaluations"
    batch: Annotated[int, Field(ge=1, strict=True)] | None = None
    layers: str | None = None
    activation: str | None = None
    validate_every: Annotated[int, Field(ge=1, strict=True)] = 200
    processes: Annotated[int, Field(ge=1, strict=True)] | None = None
    tuning: Tuning | None = None
    settings: dict[str, dict[str, Any]] = {}

    @classmethod
    def load(cls, path: Path) -> Comparison:
        """From a TOML file.

        Raises:
            FileError: missing or not TOML.
            ConfigError: as for ``build``.
        """
        return cls.build(read_toml(path))

    @classmethod
    def build(cls, values: Mapping[str, object]) -> Comparison:
        """From plain values, each run's configuration checked before the first one begins.

        Raises:
            ConfigError: an unknown key, method or setting, one that isn't for a single method to have, seeds that the
                tuning has seen, or the same method, device or seed twice; names the key and what is allowed.
        """
        try:
            comparison = cls.model_validate(values)
        except ValidationError as error:
            raise _explained(error, cls) from None
        comparison._check()
        return comparison

    def _check(self) -> None:
        lists: dict[str, list[Any]] = {"methods": self.methods, "devices": self.devices, "seeds": self.seeds}
        if self.tuning is not None:
            lists["tuning.seeds"] = self.tuning.seeds
        for key, given in lists.items():
            for value in given:
                if given.count(value) > 1:
                    raise ConfigError(f"{key}: {value!r} stands there twice", key=key)
        if self.tuning is not None and (both := sorted(set(self.seeds) & set(self.tuning.seeds))):
            raise ConfigError(
                f"seeds: {both} are those of the tuning, too; settings must not have seen the seeds that count",
                key="seeds",
            )
        for name, keys in self.settings.items():
            if name not in self.methods:
                raise ConfigError(
                    f"settings.{name}: no such method is compared; they are {self.methods}", key="settings"
                )
            for key in keys:
                if key in FIXED:
                    raise ConfigError(f"settings.{name}.{key}: {key} is the same for all; set it above", key=key)
                if key not in OWN:
                    near = difflib.get_close_matches(key, OWN, n=1)
                    hint = f"did you mean {near[0]!r}? " if near else ""
                    raise ConfigError(
                        f"settings.{name}.{key}: no such setting; {hint}a method's own are {', '.join(OWN)}", key=key
                    )
        for cell in self.cells():
            method_named(cell.method)
            try:
                TrainConfig.build(self.keys_of(cell, self.seeds[0]))
            except ConfigError as error:
                if error.key not in self.settings.get(cell.method, {}):
                    raise
                raise ConfigError(f"settings.{cell.method}.{error}", key=error.key) from None

    def cells(self) -> list[Cell]:
        """Every method on every device, devices first."""
        return [Cell(method, device) for device in self.devices for method in self.methods]

    def keys_of(self, cell: Cell, seed: int) -> dict[str, Any]:
        """What a run of a cell is configured with, before tuning."""
        shared = ("task", "budget", "batch", "layers", "activation", "validate_every")
        keys = {key: value for key in shared if (value := getattr(self, key)) is not None}
        return keys | self.settings.get(cell.method, {}) | {"method": cell.method, "device": cell.device, "seed": seed}

    def to_toml(self) -> str:
        """As a TOML document that ``load`` reads back."""
        return tomlkit.dumps(self.model_dump(exclude_none=True))


@dataclass(frozen=True)
class Cell:
    """One method on one device."""

    method: str
    device: str

    @property
    def folder(self) -> str:
        """A name for its folder: readable, and another one for another cell."""
        text = f"{self.method} {self.device}"
        return f"{re.sub(r'[^A-Za-z0-9.=-]+', '-', text).strip('-')[:80]}-{zlib.crc32(text.encode()):08x}"


@dataclass
class Outcome:
    """What a cell came to.

    Args:
        cell: which.
        settings: found by tuning; empty if nothing was tuned.
        tuning_evaluations: what finding them took.
        results: by seed.
        left_out: why there is nothing, if there is nothing.
    """

    cell: Cell
    settings: dict[str, Any] = field(default_factory=dict[str, Any])
    tuning_evaluations: int = 0
    results: dict[int, Result] = field(default_factory=dict[int, Result])
    left_out: str | None = None


def _explained(error: ValidationError, kind: type[BaseModel]) -> ConfigError:
    """A pydantic error as one of ours."""
    first = error.errors()[0]
    where = [str(part) for part in first["loc"]]
    key = ".".join(where) or "?"
    if first["type"] == "extra_forbidden":
        allowed = Tuning.model_fields if where[0] == "tuning" else kind.model_fields
        return ConfigError(f"unknown key {key!r}: allowed are {', '.join(sorted(allowed))}", key=key)
    if first["type"] == "missing":
        return ConfigError(f"{key}: must be given, such as {EXAMPLES[key]}", key=key)
    if first["type"] == "too_short":
        return ConfigError(f"{key} = {first['input']!r}: must have at least 1 entry", key=key)
    if isinstance(cause := first.get("ctx", {}).get("error"), ConfigError):
        return cause
    return ConfigError(f"{key} = {first['input']!r}: {first['msg'].replace('Input should', 'should')}", key=key)
