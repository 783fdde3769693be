"""The crossbar emulator: a NumPy reference of in-memory computing with noisy cells.

``hwzo.connect("crossbar:pcm?layers=64-32-10&seed=1")`` opens one; `options.Options` lists what a URL may set,
`preset.Preset` what a kind of memory cell is made of.
"""

from __future__ import annotations

from hwzo_backends.crossbar.backend import CrossbarBackend
from hwzo_backends.crossbar.device import CrossbarDevice

BACKEND = CrossbarBackend()

__all__ = ["BACKEND", "CrossbarBackend", "CrossbarDevice"]
