"""A run's configuration: from a TOML file, the command line or keyword arguments; every key checked, none ignored."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Literal

import tomlkit
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from tomlkit.exceptions import TOMLKitError

from hwzo.errors import ConfigError, FileError
from hwzo.methods.settings import Estimator, ExplorationChoice, Schedule, Settings, UpdateName
from hwzo.network import Activation, Network
from hwzo.probes import Law
from hwzo.registry import DeviceURL
from hwzo.train.budget import Budget

# Strict: an integer is a number too, but true and "0.1" are none.
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False, strict=True)]
Moderate = Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False, strict=True)]
Count = Annotated[int, Field(ge=1, strict=True)]
Reaction = Literal["re-read", "re-calibrate", "stop"]
WATCHED = 0.95
"""Validation accuracy that is watched for where no target is set."""


class TrainConfig(BaseModel):
    """What a run is. Keys left at None are filled in by the task or the method; ``run.toml`` holds what they became.

    Args:
        task: a task's name, or ``file.py:function`` for one of your own.
        device: device URL.
        method: method name.
        budget: such as ``"8000 evaluations"``, see `Budget.parse`; None: the method's own.
        target: validation accuracy in (0, 1] that ends the run; None: spend the budget.
        seed: of learning and data order, and of an emulated device whose URL sets none.
        layers, activation: the network, such as ``"64-32-10"``, see `Network.parse`; the device URL's own come first.
        batch: samples a minibatch.
        validate_every: training evaluations between two looks at the validation split.
        timeout_s: the longest a device call may take, up to 1e6; None: as the device declares.
        start: a run's folder or a weights file whose parameters are begun with; None: a fresh draw.
        record: keep all that the device answers in the journal, so that ``replay:RUN`` can stand in for it; None: on a
            device whose state can't be put back, such as hardware.
        on_drift: what to do if the device isn't what its profile says any more: ``re-read`` what the method knows of
            it, ``re-calibrate``, or ``stop``; None: don't look. Needs a profile.
        check_every: training evaluations between two such looks.
        exploration, probes, scale, law, estimator, update, rate, schedule, gains: of the method, see `Settings`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    task: str = "digits"
    device: str = "crossbar:pcm"
    method: str = "intrinsic"
    budget: str | None = None
    target: Annotated[float, Field(gt=0, le=1, strict=True)] | None = None
    seed: Annotated[int, Field(ge=0, le=2**32 - 1, strict=True)] = 0
    layers: str | None = None
    activation: Activation | None = None
    batch: Count | None = None
    validate_every: Count = 100
    timeout_s: Moderate | None = None
    start: str | None = None
    record: Annotated[bool, Field(strict=True)] | None = None
    on_drift: Reaction | None = None
    check_every: Count = 2000

    exploration: ExplorationChoice | None = None
    probes: Annotated[int, Field(ge=1, le=1_000_000, strict=True)] | None = None
    scale: Moderate | None = None
    law: Law | None = None
    estimator: Estimator | None = None
    update: UpdateName | None = None
    rate: Positive | None = None
    schedule: Schedule | None = None
    gains: Literal["constant", "spall"] | None = None

    @field_validator("device")
    @classmethod
    def _device_is_a_url(cls, value: str) -> str:
        DeviceURL.parse(value)
        return value

    @field_validator("budget")
    @classmethod
    def _budget_is_one(cls, value: str | None) -> str | None:
        if value is not None:
            Budget.parse(value)
        return value

    @field_validator("layers")
    @classmethod
    def _layers_are_some(cls, value: str | None) -> str | None:
        if value is not None:
            Network.parse(value)
        return value

    @property
    def settings(self) -> Settings:
        """The method's settings among the keys."""
        return Settings(**{name: getattr(self, name) for name in Settings.names()})

    @property
    def watched(self) -> float:
        """Validation accuracy of which is told when it was first reached."""
        return self.target or WATCHED

    @classmethod
    def build(cls, values: Mapping[str, object]) -> TrainConfig:
        """From plain values.

        Raises:
            ConfigError: an unknown key, a wrong type or value; names the key and what is allowed.
        """
        try:
            return cls(**values)  # pyright: ignore[reportArgumentType]  (validation is the point)
        except ValidationError as error:
            first = error.errors()[0]
            key = str(first["loc"][0]) if first["loc"] else "?"
            if first["type"] == "extra_forbidden":
                near = difflib.get_close_matches(key, cls.model_fields, n=1)
                hint = f"did you mean {near[0]!r}? " if near else ""
                message = f"unknown key {key!r}: {hint}allowed are {', '.join(sorted(cls.model_fields))}"
            elif isinstance(cause := first.get("ctx", {}).get("error"), ConfigError):
                message = str(cause)
            else:
                message = f"{key} = {values.get(key)!r}: {first['msg'].replace('Input should', 'should')}"
            raise ConfigError(message, key=key) from None

    @classmethod
    def load(
        cls, path: Path | None = None, assignments: Sequence[str] = (), overrides: Mapping[str, object] | None = None
    ) -> TrainConfig:
        """From a TOML file, then ``KEY=VALUE`` assignments, then overrides that aren't None; the later wins.

        The file may be a run's run.toml.

        Raises:
            FileError: the file is missing or not TOML.
            ConfigError: as for ``build``.
        """
        values: dict[str, object] = _configuration(read_toml(path)) if path is not None else {}
        for assignment in assignments:
            key, equals, text = assignment.partition("=")
            if not equals or not key.strip():
                raise ConfigError(f"--set {assignment!r} is not of the form KEY=VALUE", key=key.strip() or None)
            values[key.strip()] = _value(text.strip())
        values.update({key: value for key, value in (overrides or {}).items() if value is not None})
        return cls.build(values)

    def to_toml(self) -> str:
        """As a TOML document that ``load`` reads back; keys at None stand there as comments."""
        values = self.model_dump()
        unset = [f"# {key} is left to the task, the method or the device" for key in values if values[key] is None]
        return tomlkit.dumps(self.model_dump(exclude_none=True)) + "\n".join(["", *unset, ""])


def read_toml(path: Path) -> dict[str, object]:
    """The contents of a TOML file as plain values.

    Raises:
        FileError: missing, unreadable or not TOML; names the line.
    """
    try:
        return dict(tomlkit.parse(path.read_text(encoding="utf-8")).unwrap())
    except (OSError, UnicodeDecodeError) as error:
        raise FileError(f"configuration {path} can't be read: {error}") from error
    except TOMLKitError as error:
        raise FileError(f"configuration {path} is not TOML: {error}") from error


def _configuration(document: dict[str, Any]) -> dict[str, object]:
    """What a document configures: all of it, or of a run's run.toml what was chosen, not what was measured then."""
    if not isinstance(document.get("config"), dict):
        return document
    measured: object = document.get("method", {}).get("measured", {})
    return {
        key: value
        for key, value in document["config"].items()
        if not (key == "scale" and isinstance(measured, dict) and "probe_size" in measured)
    }


def _value(text: str) -> object:
    """A value as TOML would read it; bare words are strings."""
    try:
        value: object = tomlkit.parse(f"x = {text}").unwrap()["x"]
    except TOMLKitError:
        with suppress(ValueError):
            return float(text)  # .1 and 1. are numbers to everybody else
        return text
    return value if isinstance(value, (bool, int, float, str)) else text  # 1024-10-10 is layers here, not a date
