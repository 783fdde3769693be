"""Opens networks in Lava's simulation: the backend behind ``lava:lif?option=value``."""

from __future__ import annotations

from collections.abc import Sequence

from hwzo.errors import ConfigError
from hwzo.network import Network
from hwzo.registry import DeviceURL, Listing
from hwzo.say import Say
from hwzo_backends.lava import environment
from hwzo_backends.lava.device import LavaDevice
from hwzo_backends.lava.options import resolve
from hwzo_backends.lava.own_graph import OwnGraphDevice, open_graph


class LavaBackend:
    """Implements `hwzo.registry.Backend`. Any number of networks may be open at once, each with its own worker."""

    def open(
        self, url: DeviceURL, *, network: Network | None, window: float | None, seed: int | None
    ) -> LavaDevice | OwnGraphDevice:
        """See `hwzo.registry.Backend.open`; a graph of one's own takes no network and no window."""
        if ".py" in url.target:
            return open_graph(url, seed)
        if url.target != "lif":
            raise ConfigError(
                f"lava:{url.target} is not known; there are lava:lif, and lava:FILE.py:FUNCTION for your own graph",
                key="device",
            )
        return LavaDevice(resolve(url, network=network, window=window, seed=seed))

    def listings(self) -> Sequence[Listing]:
        """Layers of LIF neurons, if Lava is installed."""
        what = "layers of LIF neurons, Loihi's arithmetic in Lava's simulation, with emulated noise"
        if environment.find() is None:
            return [Listing("lava:lif", True, False, f"{what}; {environment.lacking()}")]
        return [Listing("lava:lif", emulated=True, available=True, reason=what)]

    def lock_name(self, url: DeviceURL) -> str | None:
        """Nothing to hold."""
        return None

    def examine(self) -> str:
        """What is there, after Lava has counted spikes as it should: some seconds.

        Raises:
            DeviceError: it isn't installed, or damaged.
        """
        return str(environment.checked(environment.python()))

    def install(self, say: Say) -> str:
        """Make Lava's environment unless it is there, telling ``say`` what takes long; what is there now.

        Raises:
            DeviceError: it can't be made.
        """
        return str(environment.install(say))
