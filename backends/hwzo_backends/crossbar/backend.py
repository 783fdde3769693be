"""Opens emulated crossbars: the backend behind ``crossbar:PRESET?option=value``."""

from __future__ import annotations

from collections.abc import Sequence

from hwzo.network import Network
from hwzo.registry import DeviceURL, Listing
from hwzo_backends.crossbar.device import CrossbarDevice
from hwzo_backends.crossbar.options import resolve
from hwzo_backends.crossbar.preset import presets


class CrossbarBackend:
    """Implements `hwzo.registry.Backend`. Any number of emulated crossbars may be open at once."""

    def open(
        self, url: DeviceURL, *, network: Network | None, window: float | None, seed: int | None
    ) -> CrossbarDevice:
        """See `hwzo.registry.Backend.open`; what neither URL nor arguments give is 64-32-10 tanh, window 1, seed 0."""
        preset, options = resolve(url, network=network, window=window, seed=seed)
        return CrossbarDevice(preset, options)

    def listings(self) -> Sequence[Listing]:
        """One line a preset."""
        return [
            Listing(f"crossbar:{preset.name}", emulated=True, available=True, reason=preset.summary)
            for preset in presets().values()
        ]

    def lock_name(self, url: DeviceURL) -> str | None:
        """Nothing to hold."""
        return None
