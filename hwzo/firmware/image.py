"""A network that a board begins with: quantised as the board holds it, and as the C header that goes into its image."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hwzo.errors import ConfigError
from hwzo.firmware.boards import Board
from hwzo.firmware.sources import source_folder
from hwzo.network import Network
from hwzo.parameters import Array
from hwzo.stages import Dense

WEIGHT_UNIT = 2.0**-12
"""See firmware/core/model.h, as for all numbers here."""
MOST_UNITS = 32767
INPUT_ONE = 127
SUM_LIMIT = 2_113_000_000
LEAST_SUMS = 32
ACTIVATIONS = {"linear": 0, "tanh": 1, "relu": 2}
HEADER = "boot_weights_data.h"


@dataclass(frozen=True, eq=False)
class Image:
    """Weights in a board's units.

    Args:
        network: of dense layers.
        units: (n_params,) int16, in units of 2^-12.
        lower, upper: bounds of the parameters, units.
    """

    network: Network
    units: NDArray[np.int16]
    lower: int
    upper: int

    @classmethod
    def of(cls, network: Network, theta: Array, window: float | None = None) -> Image:
        """Weights (n_params,), rounded as a host that writes them to a board would.

        Args:
            network: what they are the weights of.
            theta: (n_params,).
            window: bounds [-window, window] of later training, weight units; None: all that the board holds.

        Raises:
            ConfigError: layers or an activation that boards don't have; a weight beyond what they hold.
        """
        for stage in network.stages:
            if not isinstance(stage, Dense):
                raise ConfigError(
                    f"layers={network.label}: {stage.token!r} is not dense; boards have dense layers only"
                )
        if network.activation not in ACTIVATIONS and len(network.stages) > 1:
            raise ConfigError(
                f"activation={network.activation}: boards have {', '.join(ACTIVATIONS)}", key="activation"
            )
        deepest = max(network.layers[:-1])
        bound = min(SUM_LIMIT // (INPUT_ONE * (deepest + 1)), MOST_UNITS)
        reach = bound if window is None else min(int(window / WEIGHT_UNIT), bound)
        most = bound * WEIGHT_UNIT if window is None else min(window, bound * WEIGHT_UNIT)
        over = int(np.count_nonzero(np.abs(theta) > most))
        if over:
            raise ConfigError(
                f"{over} of {theta.size} weights lie beyond {most:g}, the largest is {float(np.abs(theta).max()):g}; "
                f"with {deepest} inputs a board holds up to {bound * WEIGHT_UNIT:g}",
                key="weights",
            )
        return cls(network, np.rint(theta / WEIGHT_UNIT).clip(-reach, reach).astype(np.int16), -reach, reach)

    @property
    def theta(self) -> Array:
        """The weights as the board has them, (n_params,), weight units."""
        return self.units.astype(np.float64) * WEIGHT_UNIT

    @cached_property
    def header(self) -> str:
        """The C header that firmware/core/boot_weights.c takes."""
        widths = ", ".join(f"{n & 0xFF}, {n >> 8}" for n in self.network.layers)
        words = [f"0x{n:04X}" for n in self.units.astype("<i2").view("<u2").tolist()]
        rows = "\n".join(f"    {', '.join(words[n : n + 14])}," for n in range(0, len(words), 14))
        return (
            f"/* {self.network.label} {self.network.activation}, {self.units.size} parameters; made by hwzo. */\n"
            '#include "rom.h"\n\n'
            f"static const uint8_t boot_activation = {ACTIVATIONS.get(self.network.activation, 0)};\n"
            f"static const int16_t boot_lower = {self.lower}, boot_upper = {self.upper};\n"
            f"static const uint8_t boot_widths[] HZ_ROM = {{{widths}}};\n"
            f"static const uint16_t boot_parameters[] HZ_ROM = {{\n{rows}\n}};\n"
        )

    @property
    def key(self) -> str:
        """What tells one image from another, in 24 hex digits."""
        return hashlib.sha256(self.header.encode()).hexdigest()[:24]

    def check_fits(self, board: Board) -> None:
        """Check that a board has room for the network and a batch of one sample.

        Raises:
            ConfigError: it hasn't; says how many bytes of its memory are needed, and how many there are.
        """
        limits = Limits.of(board)
        layers, widths = self.network.label, self.network.layers
        if len(self.network.stages) > limits.layers:
            raise ConfigError(
                f"{layers} has {len(self.network.stages)} layers of weights; {board.name} takes {limits.layers}",
                key="weights",
            )
        if max(widths) > limits.width:
            raise ConfigError(
                f"{layers} has a layer of {max(widths)}; {board.name} takes {limits.width}", key="weights"
            )
        widest, nodes = max(widths[1:]), sum(widths[1:])
        weights = _aligned(2 * self.units.size) + _aligned(2 * widest)
        sample = 2 * nodes + widths[0] + 1 + 4 * max(widest, LEAST_SUMS)
        if weights + sample > limits.pool:
            raise ConfigError(
                f"{layers}, {self.units.size:,} parameters, takes {weights + sample:,} bytes of RAM with a batch of "
                f"one sample; {board.name} has {limits.pool:,}: a smaller network, or a larger board",
                key="weights",
            )


@dataclass(frozen=True)
class Limits:
    """Sizes that a board's firmware is built for; see firmware/core/config.h.

    Args:
        pool: bytes for weights, batch, nodes and sums.
        layers: most weight layers.
        width: most inputs, or units of a layer.
    """

    pool: int
    layers: int
    width: int

    @classmethod
    def of(cls, board: Board) -> Limits:
        """Of a board, from its header, and from config.h where that leaves one out."""
        root = source_folder()
        own = next(path for folder in board.folders if (path := root / folder / "board_config.h").is_file())
        usual = _defines(root / "core" / "config.h")
        values = {**usual, **_defines(own)}
        return cls(values["HZ_POOL_BYTES"], values["HZ_MAX_LAYERS"], values["HZ_MAX_WIDTH"])


def _defines(path: Path) -> dict[str, int]:
    found = re.findall(r"^#define\s+(HZ_\w+)\s+(\d+)[UL]*\s*$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {name: int(value) for name, value in found}


def _aligned(count: int) -> int:
    return (count + 3) & ~3
