"""Which engine computes: numba where it is there and works, otherwise NumPy; said once a process."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from importlib.util import find_spec

from hwzo_backends.crossbar.converters import Converter
from hwzo_backends.crossbar.engine import Engine
from hwzo_backends.crossbar.noise import CounterNoise, NoiseSource
from hwzo_backends.crossbar.options import Options
from hwzo_backends.crossbar.tiles import LayerTiles

_LOG = logging.getLogger("hwzo")
_said: set[str] = set()


def settled(options: Options) -> Options:
    """``options`` with ``engine`` either numpy or numba: what will compute here."""
    if options.engine == "numpy":
        return options
    reason = _why_not_numba()
    if reason is None:
        return options.model_copy(update={"engine": "numba"})
    if reason not in _said:
        _said.add(reason)
        _LOG.warning("emulated crossbar: %s; the NumPy engine computes instead, slower and to the same law", reason)
    return options.model_copy(update={"engine": "numpy"})


def _why_not_numba() -> str | None:
    if find_spec("numba") is None:
        return "numba is not installed (pip install 'hwzo[fast]')"
    try:
        from hwzo_backends.crossbar import fast
    except ImportError as error:
        return f"numba can't be imported ({error})"
    works, reason = fast.available()
    return None if works else f"numba doesn't work here ({reason})"


def make_noise(options: Options) -> NoiseSource:
    """The source of everything random in the chip; each engine has its own, so that it is quick."""
    if options.engine == "numba":
        from hwzo_backends.crossbar.fast.noise import FastNoise

        return FastNoise(options.seed)
    return CounterNoise(options.seed)


def make_engine(
    options: Options, layers: Sequence[LayerTiles], noise: NoiseSource, scales: tuple[float, ...]
) -> Engine:
    """The engine of settled ``options``."""
    dac, adc = Converter(options.dac_bits, 1.0), Converter(options.adc_bits, options.adc_max)
    if options.engine == "numba":
        from hwzo_backends.crossbar.fast.engine import FastEngine

        return FastEngine(options.network, layers, dac, adc, options.node_noise, noise, scales, options.threads)
    return Engine(options.network, layers, dac, adc, options.node_noise, noise, scales)
