"""Presets: the physics of one kind of memory cell, as published, and what a crossbar of it defaults to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from hwzo.errors import ConfigError
from hwzo.parameters import Array

Curve = Callable[[Array], Array]


@dataclass(frozen=True)
class Drift:
    """Structural relaxation, ``g(t) = g_P ((t_inf + t0) / t0)^-nu`` with ``nu = |mean(r) + sd(r) xi|``, a cell each.

    Args:
        mean, sd: of the exponent, functions of r = g_target / g_max; dimensionless.
    """

    mean: Curve
    sd: Curve


@dataclass(frozen=True)
class Flicker:
    """1/f noise, ``sd(t) = g Q(r) sqrt(ln((t + t_read) / (2 t_read)))`` at ``t = t_inf + t0``.

    Args:
        t_read: integration time of the read that the law was fitted for, seconds.
        q: Q as a function of r = g_programmed / g_max; dimensionless.
    """

    t_read: float
    q: Curve


@dataclass(frozen=True)
class Preset:
    """One kind of memory cell.

    Args:
        name: the target of the device URL.
        summary: one line for listings.
        g_min, g_max: range of conductances that weights are mapped on, microsiemens.
        fits: published curves of the standard deviation of programming noise (microsiemens) against the target
            conductance (microsiemens), by name, the default first; what remains after the source's own iterative
            programming. Empty: writes are exact.
        t0: age of a cell when it is first used, seconds after programming: where drift and 1/f noise start.
        drift, flicker: None if the source gives no law.
        t_sample: one input vector through one layer, or one row read back, seconds.
        t_write: programming one cell, verification included, seconds.
        read_joules: one input vector through one tile, or one row of it read back.
        write_joules: programming one cell.
        bits: of the converters; 0 is ideal.
        node_noise: sd at a column's output, pre-activation units.
        read_noise: white noise of a cell in each read, sd as a fraction of g_max.
        read_error: sd of one read-back of one weight, as a fraction of the window.
    """

    name: str
    summary: str
    g_min: float
    g_max: float
    fits: Mapping[str, Curve] = field(default_factory=dict[str, Curve])
    t0: float = 1.0
    drift: Drift | None = None
    flicker: Flicker | None = None
    t_sample: float = 1e-6
    t_write: float = 1e-6
    read_joules: float = 1e-8
    write_joules: float = 1e-10
    bits: int = 8
    node_noise: float = 0.0
    read_noise: float = 0.0
    read_error: float = 0.0


def presets() -> dict[str, Preset]:
    """All presets by name."""
    # Imported here since each of them imports the classes above.
    from hwzo_backends.crossbar.ideal import IDEAL
    from hwzo_backends.crossbar.pcm import PCM
    from hwzo_backends.crossbar.reram_wan import RERAM_WAN

    return {preset.name: preset for preset in (IDEAL, PCM, RERAM_WAN)}


def find_preset(name: str) -> Preset:
    """The preset of that name.

    Raises:
        ConfigError: there is none; lists those that there are.
    """
    known = presets()
    if name not in known:
        raise ConfigError(
            f"crossbar preset {name!r} is not known; there are: {', '.join(sorted(known))}; such as crossbar:pcm",
            key="device",
        )
    return known[name]
