"""A task: data in three splits, and the network, weight window and loss that suit it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from numbers import Real
from operator import index
from typing import Any, Literal, cast, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hwzo.data import splits
from hwzo.errors import ConfigError
from hwzo.network import Activation, Loss, Network
from hwzo.parameters import Array
from hwzo.probes import Batch

SplitName = Literal["train", "validation", "test"]
SPLIT_NAMES: tuple[SplitName, ...] = get_args(SplitName)


@dataclass(frozen=True, eq=False)
class Split:
    """Samples of one split.

    Args:
        inputs: (n, n_inputs) float64, in [-1, 1].
        targets: (n,) int64 class numbers for cross-entropy; (n, n_outputs) float64 for squared error.
    """

    inputs: Array
    targets: NDArray[np.int64] | Array

    def __len__(self) -> int:
        return len(self.inputs)

    def take(self, indices: NDArray[np.int64]) -> Split:
        """The samples with these numbers, in this order, copied."""
        return Split(self.inputs[indices], self.targets[indices])


@dataclass(frozen=True, eq=False)
class Task:
    """What is to be learnt, and from what.

    The splits may be given as anything that makes arrays of the right shape; the task holds them as float64 and int64.

    Args:
        name: what ``load_task`` calls it, or the user's own name for it.
        network: suggested layers and activation.
        train: what is learnt from.
        validation: what hyper-parameters are chosen on, and progress is shown on.
        test: read once, at the end.
        window: suggested range [-window, window] of a device's weights, weight units.
        loss: what is minimised, see `hwzo.network.sample_losses`.
        class_names: a name for each output, or none.
        source: one line: where the data come from, their licence, how they were reached, whether they are generated.

    Raises:
        ConfigError: data that aren't finite, don't fit the network, lie outside [-1, 1] or name unknown classes;
            arguments of another type.
    """

    name: str
    network: Network
    train: Split
    validation: Split
    test: Split
    window: float = 1.0
    loss: Loss = "cross-entropy"
    class_names: tuple[str, ...] = ()
    source: str = ""

    def __post_init__(self) -> None:
        _check_types(self)
        if self.loss not in get_args(Loss):
            raise ConfigError(
                f"task {self.name!r}: loss={self.loss!r} is not one of {', '.join(get_args(Loss))}", key="loss"
            )
        if not (math.isfinite(self.window) and self.window > 0):
            raise ConfigError(
                f"task {self.name!r}: window={self.window} must be a positive, finite number of weight units",
                key="window",
            )
        object.__setattr__(self, "class_names", tuple(self.class_names))
        n_outputs = self.network.layers[-1]
        if self.class_names and len(self.class_names) != n_outputs:
            raise ConfigError(
                f"task {self.name!r}: {len(self.class_names)} class_names for {n_outputs} outputs; "
                "give one for each, or none",
                key="class_names",
            )
        for name in SPLIT_NAMES:
            given: Split = getattr(self, name)
            where = f"task {self.name!r}, {name} split"
            inputs = _inputs(where, given.inputs, self.network)
            targets = _targets(where, given.targets, self.network, self.loss)
            if len(targets) != len(inputs):
                raise ConfigError(f"{where}: {len(inputs)} inputs but {len(targets)} targets", key="targets")
            object.__setattr__(self, name, Split(inputs, targets))

    @classmethod
    def from_arrays(
        cls,
        name: str,
        inputs: ArrayLike,
        targets: ArrayLike,
        *,
        layers: Sequence[int] | str,
        activation: Activation = "tanh",
        window: float = 1.0,
        loss: Loss = "cross-entropy",
        class_names: Sequence[str] = (),
        source: str = "arrays given by the user",
    ) -> Task:
        """A task from all samples in one pair of arrays, split as `hwzo.data.splits.three_way` says.

        Args:
            name: your name for it.
            inputs: (n, n_inputs), in [-1, 1].
            targets: (n,) class numbers from 0 for cross-entropy; (n, n_outputs), or (n,) if there is one output, for
                squared error.
            layers: units a layer, inputs first, such as (64, 32, 10); or as `hwzo.Network.parse` takes them.
            activation, window, loss, class_names, source: see `Task`.

        Raises:
            ConfigError: as for `Task`, and for fewer than three samples.
        """
        network = _network(f"task {name!r}", layers, activation)
        # Object arrays pass through here unharmed, so that the checks of Task can say what is wrong with them.
        x, y = _as_array(f"task {name!r}", inputs, "inputs"), _as_array(f"task {name!r}", targets, "targets")
        if x.ndim == 0 or y.ndim == 0 or len(x) != len(y):
            raise ConfigError(
                f"task {name!r}: inputs of shape {x.shape} and targets of shape {y.shape}; "
                "both need one row for each sample",
                key="targets",
            )
        whole = Split(x, y)
        train, validation, test = (whole.take(indices) for indices in splits.three_way(len(x)))
        return cls(
            name,
            network,
            train,
            validation,
            test,
            window=window,
            loss=loss,
            class_names=class_names,  # pyright: ignore[reportArgumentType]  (any sequence; made a tuple there)
            source=source,
        )

    def batch(self, split: SplitName) -> Batch:
        """A whole split as a batch, without copying.

        Raises:
            ConfigError: there is no such split.
        """
        if split not in SPLIT_NAMES:
            raise ConfigError(f"split={split!r} is not one of {', '.join(SPLIT_NAMES)}", key="split")
        samples: Split = getattr(self, split)
        return Batch(samples.inputs, samples.targets, self.loss)


def _check_types(task: Task) -> None:
    """That what a user gave is of the kinds that a task is made of: a wrong one shall be told by its name."""
    where = f"task {task.name!r}"
    kinds: tuple[tuple[str, type, str], ...] = (
        ("name", str, "text"),
        ("network", Network, "a Network"),
        *((name, Split, "a Split") for name in SPLIT_NAMES),
        ("window", Real, "a number"),
        ("source", str, "text"),
    )
    for key, kind, what in kinds:
        value = getattr(task, key)
        if not isinstance(value, kind):
            raise ConfigError(f"{where}: {key} is a {type(value).__name__}; it must be {what}", key=key)
    names = cast(object, task.class_names)
    if isinstance(names, str) or not isinstance(names, Iterable):
        raise ConfigError(
            f"{where}: class_names={names!r} must be a list of text, one for each output", key="class_names"
        )
    strange = [name for name in cast("Iterable[object]", names) if not isinstance(name, str)]
    if strange:
        raise ConfigError(f"{where}: class_names holds {strange[0]!r}; each must be text", key="class_names")


def _network(where: str, layers: Sequence[int] | str, activation: Activation) -> Network:
    if isinstance(layers, str):
        return Network.parse(layers, activation)
    try:
        return Network(tuple(index(n) for n in layers), activation)
    except TypeError:
        raise ConfigError(
            f"{where}: layers={layers!r} must be whole numbers, such as (64, 32, 10)", key="layers"
        ) from None


def _as_array(where: str, values: ArrayLike, key: str) -> NDArray[Any]:
    try:
        return np.asarray(values)
    except ValueError as error:  # rows of different lengths
        raise ConfigError(f"{where}: {key} don't make an array: {error}", key=key) from None


def _numbers(where: str, values: ArrayLike, key: str) -> Array:
    array = _as_array(where, values, key)
    if np.iscomplexobj(array):
        raise ConfigError(f"{where}: {key} are complex; real numbers are needed", key=key)
    try:
        numbers = np.ascontiguousarray(array, dtype=np.float64)
    except (TypeError, ValueError):
        raise ConfigError(f"{where}: {key} are {array.dtype}, not numbers", key=key) from None
    if not np.isfinite(numbers).all():
        raise ConfigError(f"{where}: {key} contain NaN or infinity", key=key)
    return numbers


def _inputs(where: str, values: ArrayLike, network: Network) -> Array:
    inputs = _numbers(where, values, "inputs")
    if inputs.ndim != 2 or len(inputs) == 0:
        raise ConfigError(
            f"{where}: inputs have shape {inputs.shape}, not (n, n_inputs) with n >= 1; "
            "flatten images with x.reshape(len(x), -1)",
            key="inputs",
        )
    if inputs.shape[1] != network.layers[0]:
        raise ConfigError(
            f"{where}: {inputs.shape[1]} inputs a sample, but layers={network.label!r} takes "
            f"{network.layers[0]}; let the first layer be {inputs.shape[1]}",
            key="layers",
        )
    low, high = float(inputs.min()), float(inputs.max())
    if low < -1.0 or high > 1.0:
        raise ConfigError(
            f"{where}: inputs lie in [{low:g}, {high:g}], outside [-1, 1]; scale them, such as by dividing by "
            f"{max(-low, high):g}",
            key="inputs",
        )
    return inputs


def _targets(where: str, values: ArrayLike, network: Network, loss: Loss) -> NDArray[np.int64] | Array:
    targets = _numbers(where, values, "targets")
    n_outputs = network.layers[-1]
    if loss == "squared-error":
        if targets.ndim == 1 and n_outputs == 1:
            targets = targets[:, None]
        if targets.ndim != 2:
            raise ConfigError(f"{where}: targets have shape {targets.shape}, not (n, {n_outputs})", key="targets")
        if targets.shape[1] != n_outputs:
            raise ConfigError(
                f"{where}: {targets.shape[1]} targets a sample, but layers={network.label!r} ends with {n_outputs}; "
                f"let the last layer be {targets.shape[1]}",
                key="layers",
            )
        return targets
    if targets.ndim != 1:
        raise ConfigError(
            f"{where}: targets have shape {targets.shape}; cross-entropy needs class numbers (n,)", key="targets"
        )
    classes = np.trunc(targets)
    if (classes != targets).any() or (targets < 0).any():
        raise ConfigError(f"{where}: targets for cross-entropy must be whole class numbers from 0", key="targets")
    if len(targets) and targets.max() >= n_outputs:
        raise ConfigError(
            f"{where}: class {int(targets.max())} occurs in targets, but layers={network.label!r} has {n_outputs} "
            f"outputs, for classes 0 to {n_outputs - 1}; classes are numbered from 0, one output each",
            key="layers",
        )
    return classes.astype(np.int64)
