"""The file of a profile: plain HDF5, for any viewer.

::

    /                       attributes: format, manifest (JSON), crc32
    /quantities/NAME/value  a number; attributes unit, standard_error, low, high (95% interval), n, dof, about
    /curves/NAME/values     an array; attributes unit, n, about; beside it standard_error and axis, where there are any
    /readings/NAME/ARRAY    raw readings

A name may hold a slash, such as ``node_noise_sd/layer1``. A number that was read off and not estimated has NaN as its
standard error.
"""

from __future__ import annotations

import math
import os
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from hwzo.errors import ConfigError, FileError
from hwzo.noise.quantity import Curve, Quantity
from hwzo.noise.setup import Raw

FORMAT = 1


@dataclass(frozen=True)
class Contents:
    """What the file holds.

    Args:
        manifest: JSON.
        quantities, curves: by name.
        readings: raw readings, of each measurement by its name.
    """

    manifest: str
    quantities: Mapping[str, Quantity]
    curves: Mapping[str, Curve]
    readings: Mapping[str, Raw]


def write_contents(target: Path, contents: Contents) -> None:
    """Write the file in one piece: aside, then renamed.

    Raises:
        FileError: it can't be written.
    """
    aside = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        try:
            with _open(aside, "w") as file:
                file.attrs["format"] = FORMAT
                file.attrs["manifest"] = contents.manifest
                for name, quantity in contents.quantities.items():
                    _put_quantity(file, name, quantity)
                for name, curve in contents.curves.items():
                    _put_curve(file, name, curve)
                for name, arrays in contents.readings.items():
                    for key, array in arrays.items():
                        file.create_dataset(f"readings/{name}/{key}", data=array)
                file.attrs["crc32"] = _crc32(file)
            aside.replace(target)
        finally:
            aside.unlink(missing_ok=True)
    except OSError as error:
        raise FileError(f"profile {target} can't be written: {reason(error)}", key="output") from error


def read_contents(source: Path) -> Contents:
    """Read it back.

    Raises:
        FileError: missing, unreadable, damaged, not a profile, or of another version.
    """
    if not source.is_file():
        raise FileError(
            f"profile {source} doesn't exist; `hwzo calibrate --device URL -o {source}` makes one", key="profile"
        )
    try:
        with _open(source, "r") as file:
            version, manifest = file.attrs.get("format"), file.attrs.get("manifest")
            if version is None or manifest is None:
                raise FileError(f"profile {source} is HDF5, but no noise profile of hwzo", key="profile")
            if int(version) != FORMAT:
                raise FileError(
                    f"profile {source} has format {int(version)}, this version of hwzo reads {FORMAT}; calibrate "
                    "again, or use the version that made it",
                    key="profile",
                )
            if int(file.attrs.get("crc32", -1)) != _crc32(file):
                raise FileError(
                    f"profile {source} is damaged: its checksum doesn't fit; calibrate again", key="profile"
                )
            return Contents(str(manifest), _quantities(file), _curves(file), _readings(file))
    except ConfigError:
        raise
    except (OSError, KeyError, ValueError, TypeError, RuntimeError) as error:
        raise damaged(source, error) from error


def damaged(source: Path, error: Exception) -> FileError:
    """The file is no profile, or not any more."""
    told = str(error).splitlines()[0] if str(error) else type(error).__name__
    return FileError(f"profile {source} is damaged or no HDF5 file: {told}", key="profile")


def reason(error: OSError) -> str:
    """Why the operating system refused, in its words: HDF5 wraps them in a report of its own."""
    number = re.search(r"errno = (\d+)", str(error))
    code = error.errno or (int(number[1]) if number else None)
    return os.strerror(code) if code else str(error).splitlines()[0]


def _open(path: Path, mode: str) -> Any:  # noqa: ANN401  (h5py has no types)
    import h5py  # pyright: ignore[reportMissingTypeStubs]

    return cast(Any, h5py).File(path, mode)


def _put_quantity(file: Any, name: str, quantity: Quantity) -> None:  # noqa: ANN401
    dataset = file.create_dataset(f"quantities/{name}/value", data=quantity.value)
    error = math.nan if quantity.standard_error is None else quantity.standard_error
    dataset.attrs.update(
        unit=quantity.unit,
        standard_error=error,
        low=quantity.low,
        high=quantity.high,
        n=quantity.n,
        dof=quantity.dof,
        about=quantity.about,
    )


def _put_curve(file: Any, name: str, curve: Curve) -> None:  # noqa: ANN401
    dataset = file.create_dataset(f"curves/{name}/values", data=curve.values)
    dataset.attrs.update(unit=curve.unit, n=curve.n, about=curve.about)
    if curve.standard_error is not None:
        file.create_dataset(f"curves/{name}/standard_error", data=curve.standard_error).attrs["unit"] = curve.unit
    if curve.axis is not None:
        file.create_dataset(f"curves/{name}/axis", data=curve.axis).attrs["unit"] = curve.axis_unit


def _datasets(group: Any) -> dict[str, Any]:  # noqa: ANN401
    """All datasets below a group, by their path in it, in a fixed order."""
    found: dict[str, Any] = {}

    def visit(name: str, item: Any) -> None:  # noqa: ANN401
        if hasattr(item, "shape"):
            found[name] = item

    group.visititems(visit)
    return {name: found[name] for name in sorted(found)}


def _quantities(file: Any) -> dict[str, Quantity]:  # noqa: ANN401
    found: dict[str, Quantity] = {}
    for path, dataset in (_datasets(file["quantities"]) if "quantities" in file else {}).items():
        at = dataset.attrs
        error = float(at["standard_error"])
        found[path.removesuffix("/value")] = Quantity(
            float(dataset[()]),
            None if math.isnan(error) else error,
            float(at["low"]),
            float(at["high"]),
            str(at["unit"]),
            int(at["n"]),
            float(at["dof"]),
            str(at["about"]),
        )
    return found


def _curves(file: Any) -> dict[str, Curve]:  # noqa: ANN401
    found: dict[str, Curve] = {}
    datasets = _datasets(file["curves"]) if "curves" in file else {}
    for path, dataset in datasets.items():
        if not path.endswith("/values"):
            continue
        name = path.removesuffix("/values")
        error, axis = datasets.get(f"{name}/standard_error"), datasets.get(f"{name}/axis")
        found[name] = Curve(
            np.asarray(dataset[()], dtype=np.float64),
            str(dataset.attrs["unit"]),
            int(dataset.attrs["n"]),
            None if error is None else np.asarray(error[()], dtype=np.float64),
            None if axis is None else np.asarray(axis[()], dtype=np.float64),
            "" if axis is None else str(axis.attrs["unit"]),
            str(dataset.attrs["about"]),
        )
    return found


def _readings(file: Any) -> dict[str, Raw]:  # noqa: ANN401
    found: dict[str, dict[str, NDArray[np.float64]]] = {}
    for path, dataset in (_datasets(file["readings"]) if "readings" in file else {}).items():
        name, _, key = path.partition("/")
        found.setdefault(name, {})[key] = np.asarray(dataset[()])
    return cast("dict[str, Raw]", found)


def _crc32(file: Any) -> int:  # noqa: ANN401
    """Of the manifest and of every dataset with its attributes."""
    total = zlib.crc32(str(file.attrs["manifest"]).encode())
    for path, dataset in _datasets(file).items():
        attributes = "".join(f"{key}={dataset.attrs[key]!s};" for key in sorted(dataset.attrs))
        total = zlib.crc32(f"{path};{attributes}".encode(), total)
        total = zlib.crc32(np.ascontiguousarray(dataset[()]).tobytes(), total)
    return total
