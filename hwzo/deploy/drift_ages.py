"""Ages after programming, as people write them: ``"1 s, 1 h, 1 d, 30 d"``."""

from __future__ import annotations

import re
from collections.abc import Iterable

from hwzo.errors import ConfigError

SECONDS = {
    "s": 1.0,
    "min": 60.0,
    "h": 3600.0,
    "d": 86400.0,
    "w": 7 * 86400.0,
    "month": 365.25 * 86400.0 / 12,
    "y": 365.25 * 86400.0,
}
"""Of each unit; years are Julian ones."""
LONGEST = 1000 * SECONDS["y"]
MOST = 1000
_WORDS = {
    "s": ("sec", "second", "seconds"),
    "min": ("minute", "minutes"),
    "h": ("hr", "hour", "hours"),
    "d": ("day", "days"),
    "w": ("week", "weeks"),
    "month": ("months",),
    "y": ("year", "years"),
}
_UNITS = SECONDS | {word: SECONDS[unit] for unit, words in _WORDS.items() for word in words}
_AGE = re.compile(r"([0-9]*\.?[0-9]+(?:[eE][+-]?[0-9]+)?)\s*([a-z]+)")
_FORM = "a number and s, min, h, d, w, month or y, separated by commas, such as '1 s, 1 h, 30 d'"


def parse_ages(text: str | Iterable[str | float]) -> tuple[float, ...]:
    """Ages in seconds, rising, each once.

    Args:
        text: such as ``"1 s, 1 h, 30 d"``; or a list of such, or of numbers of seconds.

    Raises:
        ConfigError: not of that form, or none at all; names the part.
    """
    parts: list[str | float] = [*text.split(",")] if isinstance(text, str) else [*text]
    ages = {_age(part) for part in parts}
    if not ages or len(ages) > MOST:
        raise ConfigError(f"at = {text!r} has {len(ages)} ages; 1 to {MOST} are allowed: {_FORM}", key="at")
    return tuple(sorted(ages))


def _age(part: str | float) -> float:
    if isinstance(part, str):
        match = _AGE.fullmatch(part.strip())
        if match is None or match[2] not in _UNITS:
            raise ConfigError(f"at = {part.strip()!r} is no age; one is {_FORM}", key="at")
        seconds = float(match[1]) * _UNITS[match[2]]
    else:
        seconds = float(part)
    if not 0.0 <= seconds <= LONGEST:
        raise ConfigError(f"at = {part!r} is {seconds:g} s; 0 s to 1000 y are allowed", key="at")
    return seconds


def age_label(seconds: float) -> str:
    """Such as ``"30 d"``: in the largest unit that gives a whole number or, beyond 1, three digits."""
    if seconds == 0.0:
        return "0 s"
    units = [*SECONDS.items()][::-1]
    for name, unit in units:
        if seconds >= unit and abs(seconds / unit - round(seconds / unit)) < 1e-9 * seconds / unit:
            return f"{round(seconds / unit)} {name}"
    for name, unit in units:
        if seconds >= unit:
            return f"{seconds / unit:.3g} {name}"
    return f"{seconds:.3g} s"
