"""A run's parameters by layer: which part of the flat vector is which, and what to call it."""

from __future__ import annotations

from dataclasses import dataclass

from hwzo.errors import HwzoError
from hwzo.network import Network
from hwzo.parameters import ParameterSpec
from hwzo.train.run import Run


@dataclass(frozen=True)
class Layer:
    """One layer, its bias included.

    Args:
        name: such as ``"layer 1 (64 → 32)"``, or the tensor's own name on a device that isn't a network.
        part: where it lies in the flat vector.
        shape: (inputs, outputs) of its weights; None if it has no such thing.
        lower, upper: the range that the device holds, weight units.
    """

    name: str
    part: slice
    shape: tuple[int, int] | None = None
    lower: float = float("-inf")
    upper: float = float("inf")

    @property
    def size(self) -> int:
        """Number of parameters."""
        return self.part.stop - self.part.start


def parameters_of(run: Run, size: int) -> ParameterSpec | None:
    """What a run's ``size`` parameters are: as its weights file says, else as its network; None if neither does."""
    try:
        spec = run.weights().parameters
    except HwzoError:
        device = run.description.get("device")
        label = device.get("layers") if isinstance(device, dict) else None  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
        try:
            spec = Network.parse(str(label)).parameter_spec()  # pyright: ignore[reportUnknownArgumentType]
        except HwzoError:
            return None
    return spec if spec.size == size else None


def layers_of(spec: ParameterSpec | None, size: int) -> list[Layer]:
    """Layers of a vector of ``size`` parameters: tensors named ``"l.weight"`` and ``"l.bias"`` are one."""
    if spec is None:
        return [Layer("all parameters", slice(0, size))]
    layers: dict[str, Layer] = {}
    for tensor in spec.tensors:
        stem, dot, kind = tensor.name.partition(".")
        part = spec.slices[tensor.name]
        if dot and stem in layers:
            first = layers[stem]
            layers[stem] = Layer(first.name, slice(first.part.start, part.stop), first.shape, first.lower, first.upper)
        elif kind == "weight" and stem.isdigit() and len(tensor.shape) == 2:
            n_in, n_out = tensor.shape
            name = f"layer {int(stem) + 1} ({n_in}\u00a0→\u00a0{n_out})"
            layers[stem] = Layer(name, part, (n_in, n_out), tensor.lower, tensor.upper)
        else:
            layers[stem if dot else tensor.name] = Layer(tensor.name, part, None, tensor.lower, tensor.upper)
    return list(layers.values())
