"""Whether a preset makes sense: its numbers, and its curves tried where cells will be."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, cast

import numpy as np

from hwzo.errors import ConfigError, HwzoError
from hwzo.parameters import Array
from hwzo_backends.crossbar.preset import IV, Curve, Drift, Flicker, Preset, Relaxation, TimeCurve

_POINTS = 65  # at which a curve is tried
_BEYOND = 1.2  # noise carries conductances beyond g_max; curves of the real conductance are tried up to here
_AGES = (1.0, 60.0, 3600.0, 86400.0, 30 * 86400.0, 3.2e7)  # seconds after the first use: up to a year


def check(preset: Preset) -> None:
    """See `preset.Preset.check`."""
    _check_numbers(preset)
    aims = np.linspace(preset.g_min, preset.g_max, _POINTS)
    low, high = preset.limits
    real = np.linspace(low, min(_BEYOND * preset.g_max, high), _POINTS)
    _of_type(preset, "fits", preset.fits, Mapping)
    for name, curve in preset.fits.items():
        _try(preset, f"fits[{name!r}]", curve, aims)
    if preset.drift is not None:
        _of_type(preset, "drift", preset.drift, Drift)
        _try(preset, "drift.mean", preset.drift.mean, aims / preset.g_max, signed=True)
        _try(preset, "drift.sd", preset.drift.sd, aims / preset.g_max)
    if preset.relaxation is not None:
        law = preset.relaxation
        _of_type(preset, "relaxation", law, Relaxation)
        if law.replaces is not None and law.replaces not in preset.fits:
            raise _refused(preset, "relaxation.replaces", law.replaces, f"one of its fits: {', '.join(preset.fits)}")
        for seconds in _AGES:
            _try(preset, "relaxation.mean", _at_age(law.mean, preset.t0 + seconds), aims, signed=True)
            _try(preset, "relaxation.sd", _at_age(law.sd, preset.t0 + seconds), aims)
    if preset.flicker is not None:
        _of_type(preset, "flicker", preset.flicker, Flicker)
        _positive(preset, "flicker.t_read", preset.flicker.t_read)
        _try(preset, "flicker.q", preset.flicker.q, real / preset.g_max)
    if preset.read_sd is not None:
        _try(preset, "read_sd", preset.read_sd, real)
    if preset.iv is not None:
        _of_type(preset, "iv", preset.iv, IV)
        _positive(preset, "iv.v_read", preset.iv.v_read)
        _try(preset, "iv.second", preset.iv.second, real, signed=True)
        _try(preset, "iv.third", preset.iv.third, real, signed=True)


def _check_numbers(preset: Preset) -> None:
    if not isinstance(preset.name, str) or not preset.name:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise _refused(preset, "name", preset.name, "a short text")
    for key in ("g_min", "node_noise", "read_noise", "read_error", "read_joules", "write_joules"):
        _positive(preset, key, getattr(preset, key), zero=True)
    for key in ("g_max", "t0", "t_sample", "t_write"):
        _positive(preset, key, getattr(preset, key))
    if not preset.g_min < preset.g_max:
        raise _refused(preset, "g_min", preset.g_min, f"less than g_max={preset.g_max:g} (microsiemens)")
    for key in ("drift_ev", "conductance_ev"):
        if not _is_number(getattr(preset, key)) or not math.isfinite(getattr(preset, key)):
            raise _refused(preset, key, getattr(preset, key), "a finite number of electronvolts")
    if not isinstance(preset.bits, int) or preset.bits not in (0, *range(2, 25)):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise _refused(preset, "bits", preset.bits, "0 (ideal), or 2 to 24")
    limits = cast(Any, preset.limits)  # a user's own may be anything
    if not (type(limits) is tuple and len(cast(Any, limits)) == 2 and all(map(_is_number, cast(Any, limits)))):
        raise _refused(preset, "limits", preset.limits, "two conductances in microsiemens")
    if not 0 <= preset.limits[0] <= preset.g_min < preset.g_max <= preset.limits[1]:
        window = f"{preset.g_min:g} to {preset.g_max:g}"
        raise _refused(preset, "limits", preset.limits, f"at least 0, and around the window of {window} microsiemens")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | np.floating | np.integer) and not isinstance(value, bool)


def _positive(preset: Preset, key: str, value: object, *, zero: bool = False) -> None:
    number = float(cast(float, value)) if _is_number(value) else math.nan
    if not math.isfinite(number) or number < 0 or (number == 0 and not zero):
        raise _refused(preset, key, value, "a finite number, " + ("at least 0" if zero else "above 0"))


def _of_type(preset: Preset, key: str, value: object, kind: type) -> None:
    if not isinstance(value, kind):
        raise _refused(preset, key, value, f"a {kind.__name__}")


def _refused(preset: Preset, key: str, value: object, allowed: str) -> ConfigError:
    return ConfigError(f"{_named(preset)}: {key}={value!r}: should be {allowed}", key="device")


def _named(preset: Preset) -> str:
    return f"preset {preset.name!r}" + (f" of {preset.source}" if preset.source else "")


def _at_age(curve: TimeCurve, age: float) -> Curve:
    """The law at one age; it is tried with an age for all cells, and with one for each."""

    def at(g: Array) -> Array:
        together, apart = curve(g, np.full(1, age)), curve(g, np.full(len(g), age))
        if np.shape(together) == np.shape(apart) and not np.allclose(together, apart, rtol=1e-4, equal_nan=True):
            raise ConfigError(f"one age of {age:g} s for all cells gives something else than that age for each cell")
        return together

    return at


def _try(preset: Preset, key: str, curve: Curve, points: Array, *, signed: bool = False) -> None:
    """Evaluate a curve as cells do: in both precisions, all points at once and one alone."""
    what = f"{_named(preset)}: the curve {key}"
    if not callable(curve):
        raise _refused(preset, key, curve, "a function of an array")
    for dtype in (np.float64, np.float32):
        given, tried = (cast(Array, points.astype(dtype)) for _ in range(2))
        try:
            result, one = cast(Any, curve(tried)), cast(Any, curve(given[-1:]))
        except HwzoError as error:
            raise ConfigError(f"{what}: {error}", key="device") from error
        except (Exception, SystemExit) as error:  # a user's code may do anything
            raise ConfigError(f"{what} failed: {type(error).__name__}: {error}", key="device") from error
        values = cast(Array, result)
        if type(result) is not np.ndarray or values.shape != given.shape or values.dtype.kind != "f":
            form = f"{values.dtype} of shape {values.shape}" if type(result) is np.ndarray else type(result).__name__
            raise ConfigError(
                f"{what} gave {form} for an array of shape {given.shape}; it should give floats of the same shape, "
                "such as a constant by numpy.full_like",
                key="device",
            )
        if not np.array_equal(given, tried):
            raise ConfigError(f"{what} changes its argument; it should make a new array", key="device")
        bad = ~np.isfinite(values) if signed else ~(np.isfinite(values) & (values >= 0))
        if bad.any():
            where = int(np.argmax(bad))
            allowed = "a finite number" if signed else "finite and at least 0"
            raise ConfigError(
                f"{what} gave {values[where]:g} at {given[where]:g}; it should be {allowed}", key="device"
            )
        if np.shape(one) != (1,) or not np.allclose(one, values[-1:], rtol=1e-4):
            raise ConfigError(
                f"{what} gave {values[-1]:g} at {given[-1]:g} among other points and {one} at that point alone; "
                "it should work element by element",
                key="device",
            )
