"""Weights as a board's image has them."""

from __future__ import annotations

from hwzo.errors import ConfigError
from hwzo.firmware import Image
from hwzo.network import Network
from hwzo.train.weights import Weights


def board_image(weights: Weights) -> Image:
    """What `hwzo.firmware.build` puts into firmware, so that a board begins with these weights.

    They are rounded to the board's unit, 2^-12. Bounds of later training are the weights' own window.

    Raises:
        ConfigError: layers, an activation or weights that boards don't have; weights of no network.
    """
    if not weights.layers:
        raise ConfigError("these weights are of a device that is no network; a board needs its layers", key="weights")
    return Image.of(Network.parse(weights.layers, weights.activation), weights.theta, weights.window)
