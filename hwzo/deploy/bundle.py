"""A bundle: weights, their mapping, the device's profile and what the outputs should be, in one checked file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwzo.parameters import Array
from hwzo.train.weights import Weights


@dataclass(frozen=True)
class ProbeSet:
    """Samples, and what the network makes of them.

    Args:
        inputs: (samples, n_in), as the network takes them.
        outputs: (samples, n_out), of the float network, without noise.
        measured: (samples, n_out), mean outputs of the device that the bundle was made on; None if it gave none.
        spread: (samples, n_out), standard deviation of one evaluation's outputs on that device; None likewise.
    """

    inputs: Array
    outputs: Array
    measured: Array | None = None
    spread: Array | None = None


@dataclass(frozen=True)
class Bundle:
    """What a bundle holds.

    Args:
        weights: of the network.
        probes: the probe set.
        mapping: arrays of `hwzo.deploy.mapping.Mapping`; empty if there is none.
        profile: bytes of profile.h5, or None.
        manifest: what manifest.json says: hwzo's version, the device, the sha256 and size of every part.
    """

    weights: Weights
    probes: ProbeSet
    mapping: Mapping[str, NDArray[Any]] = field(default_factory=dict[str, NDArray[Any]])
    profile: bytes | None = None
    manifest: Mapping[str, Any] = field(default_factory=dict[str, Any])


def write_bundle(
    path: Path,
    weights: Weights,
    probes: ProbeSet,
    *,
    mapping: Mapping[str, NDArray[Any]] | None = None,
    profile: Path | bytes | None = None,
) -> Path:
    """Write a bundle; the same content gives the same bytes.

    Raises:
        FileError: not writable, or the profile can't be read.
    """
    raise NotImplementedError


def read_bundle(path: Path) -> Bundle:
    """Read a bundle, after checking every part against its sha256.

    Raises:
        FileError: missing, no bundle, or altered; names the part.
    """
    raise NotImplementedError


def check_outputs(bundle: Bundle, outputs: Array) -> tuple[bool, float]:
    """Whether a device's outputs (samples, n_out) on the probe set agree with the bundle's.

    Returns:
        True if they do, and the root mean square of the difference, in units of the outputs.
    """
    raise NotImplementedError


_ = np
