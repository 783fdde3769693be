"""A device around the device, which speaks of a network's weights while the cells hold what a mapping makes of them."""

from __future__ import annotations

import io
import zipfile
import zlib
from dataclasses import replace
from typing import cast

import numpy as np
from numpy.typing import NDArray

from hwzo.deploy.layout import Mapping
from hwzo.device import Capabilities, Device, DeviceInfo, EmulatedDevice, GainedDevice, Update
from hwzo.errors import CapabilityError, ConfigError, FileError
from hwzo.parameters import Array, ParameterSpec
from hwzo.probes import Batch, Cost, Probes, Readings

_MAGIC = b"hwzo-mapped\0"
SAME = 1e-9
"""What is asked of a cell is the same if it moved by less than this share of the range."""


class MappedDevice:
    """A `Device` around another: takes and gives a network's weights, and writes and reads cells.

    Parameters, bounds, nodes, outputs and what is read back are the network's; costs are the device's. Only cells are
    written of which something else is asked than before, so that what was verified stays.

    A commanded direction would be another one in the cells: unless the mapping is trivial, no laws are declared.

    Args:
        device: which holds the cells; its gains are set.
        mapping: which weight lies where.
        corrections: (n,) added to what is asked of each cell, in the device's weight units: what verification found.
        held: (n,) what was last asked of the cells; None: unknown, so that the first write writes all.

    Raises:
        CapabilityError: the mapping has gains, and the device has none.
        ConfigError: mapping, corrections or held of another shape.
    """

    def __init__(
        self, device: Device, mapping: Mapping, corrections: Array | None = None, held: Array | None = None
    ) -> None:
        mapping.check_device(device)
        n = device.parameters.size
        for name, array in (("corrections", corrections), ("held", held)):
            if array is not None and array.shape != (n,):
                raise ConfigError(f"{name} have shape {array.shape}, the device has {n} cells", key=name)
        self.device = device
        self.corrections: Array = np.zeros(n) if corrections is None else np.asarray(corrections, dtype=np.float64)
        self.held: Array | None = None if held is None else np.array(held, dtype=np.float64)
        self.info: DeviceInfo = device.info
        self._wide = device.parameters.upper - device.parameters.lower
        self._use(mapping)
        can = device.capabilities
        changes: dict[str, object] = {"output_gains": False}
        if not mapping.trivial or self.corrections.any():
            changes["laws"] = frozenset()
        self.capabilities: Capabilities = replace(can, **changes)  # pyright: ignore[reportArgumentType]

    def __repr__(self) -> str:
        return f"<MappedDevice {self.info.url}>"

    def _use(self, mapping: Mapping) -> None:
        self.mapping = mapping
        self.parameters: ParameterSpec = mapping.bounds
        if self.device.capabilities.output_gains:
            cast(GainedDevice, self.device).set_gains(mapping.gains)

    # --- writing ---

    def asked(self, theta: Array) -> Array:
        """What is asked of the cells, (n,), for the network's weights ``theta`` (n,): within the cells' ranges."""
        return self.device.parameters.clip(self.mapping.cells(theta) + self.corrections)

    def program(self, theta: Array, *, mask: NDArray[np.bool_] | None = None) -> Cost:
        """See `Device.program`; cells of which the same is asked as before are left alone."""
        theta = self.parameters.check(theta)
        if mask is not None and (np.shape(mask) != theta.shape or np.asarray(mask).dtype != np.bool_):
            raise ConfigError(f"mask has shape {np.shape(mask)}, expected bool {theta.shape}; nothing was written")
        asked = self.asked(theta)
        where = self._differs(asked)
        if mask is not None:
            where &= cast(NDArray[np.bool_], self.mapping.to_cells(mask))
        return self._write(asked, where)

    def apply(self, update: Update) -> Cost:
        """See `Device.apply`; directions are replayed only where they are the cells' own."""
        if self.capabilities.laws and update.counters is not None:
            asked = self.asked(self.parameters.check(update.target))
            cost = self.device.apply(update)
            self.held = asked
            return cost
        return self.program(update.target, mask=np.asarray(update.step) != 0)

    def _differs(self, asked: Array) -> NDArray[np.bool_]:
        if self.held is None:
            return np.ones(len(asked), dtype=np.bool_)
        wide = np.where(np.isfinite(self._wide), self._wide, np.maximum(np.abs(asked), np.abs(self.held)))
        return np.abs(asked - self.held) > SAME * wide

    def _write(self, asked: Array, where: NDArray[np.bool_]) -> Cost:
        whole = bool(where.all())  # and if none: a device that is closed or lost shall say so all the same
        cost = self.device.program(asked, mask=None if whole else where)
        if whole or self.held is not None:
            self.held = asked if whole else np.where(where, asked, cast(Array, self.held))
        return cost

    def rewrite(self, theta: Array, where: NDArray[np.bool_]) -> Cost:
        """Write the weights ``where`` (n,) of ``theta`` (n,), the same as before or not: refreshes what has drifted."""
        asked = self.asked(self.parameters.check(theta))
        return self._write(asked, cast(NDArray[np.bool_], self.mapping.to_cells(where)))

    def forget(self) -> None:
        """Take nothing for granted: the next write writes all cells."""
        self.held = None

    def scale(self, factors: Array) -> None:
        """Multiply the columns' gains by ``factors`` (n_columns,), of the physical columns; nothing is written.

        What the cells were asked to hold stands for the same weights as before: so columns that have faded are made
        right.

        Raises:
            CapabilityError: the device has no gains.
        """
        self.set_gains(self.mapping.gains * factors)

    def set_gains(self, gains: Array) -> None:
        """Set the columns' gains to ``gains`` (n_columns,), likewise.

        Raises:
            CapabilityError: the device has no gains.
        """
        if not self.device.capabilities.output_gains:
            raise CapabilityError(f"{self.info} has no gains at its columns' outputs: rewrite what has drifted instead")
        before, after = self.mapping, self.mapping.with_gains(gains)
        if self.held is not None:
            part = before.gain_of_cells / after.gain_of_cells
            self.held = (self.held - self.corrections) * part + self.corrections
        self._use(after)

    # --- measuring ---

    def measure(self, probes: Probes, batch: Batch) -> Readings:
        """See `Device.measure`."""
        if probes.scales.any() and not self.capabilities.laws:
            raise CapabilityError(
                f"{self.info} is mapped: a commanded direction would be another one in its cells; explore by the "
                "device's own noise (method intrinsic), or deploy without gains and orders (--no-gains --no-orders)"
            )
        readings = self.device.measure(probes, batch)
        nodes = readings.nodes
        if nodes is not None:
            nodes = tuple(self.mapping.nodes(layer, each) for layer, each in enumerate(nodes))
        realised = None if readings.realised is None else self.mapping.weights(readings.realised)
        return replace(readings, nodes=nodes, realised=realised)

    def read(self, repeats: int = 1) -> Array:
        """See `Device.read`."""
        return self.mapping.weights(self.device.read(repeats))

    def close(self) -> None:
        """See `Device.close`."""
        self.device.close()

    # --- what only an emulated device can do ---

    def snapshot(self) -> bytes:
        """See `hwzo.device.EmulatedDevice.snapshot`: what the cells were asked to hold, the gains, and the device's."""
        state = cast(EmulatedDevice, self.device).snapshot()
        archive = io.BytesIO()
        held = np.empty(0) if self.held is None else self.held
        np.savez(archive, device=np.frombuffer(state, dtype=np.uint8), held=held, gains=self.mapping.gains)
        payload = archive.getvalue()
        return _MAGIC + zlib.crc32(payload).to_bytes(4, "little") + payload

    def restore(self, state: bytes) -> None:
        """See `hwzo.device.EmulatedDevice.restore`."""
        head = len(_MAGIC) + 4
        if not state.startswith(_MAGIC) or zlib.crc32(state[head:]).to_bytes(4, "little") != state[head - 4 : head]:
            raise FileError("this is not the state of a mapped device, or it is damaged: its checksum doesn't fit")
        try:
            with np.load(io.BytesIO(state[head:]), allow_pickle=False) as archive:
                inner, held, gains = archive["device"].tobytes(), archive["held"], archive["gains"]
        except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile) as error:
            raise FileError(f"the state of a mapped device can't be read: {error}") from error
        cast(EmulatedDevice, self.device).restore(inner)
        self.held = held if len(held) else None
        self._use(self.mapping.with_gains(gains))

    def advance(self, seconds: float) -> None:
        """See `hwzo.device.EmulatedDevice.advance`."""
        cast(EmulatedDevice, self.device).advance(seconds)
