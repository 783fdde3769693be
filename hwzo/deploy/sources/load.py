"""One entry for every kind of source; a file is told by its name's ending and by what it says of itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from hwzo.errors import ConfigError
from hwzo.train.evaluate import load_weights
from hwzo.train.weights import Weights

Say = Callable[[str], None]


def load_source(
    source: str | Path | object,
    *,
    task: str | None = None,
    activation: str | None = None,
    say: Say = lambda text: None,
) -> Weights:
    """Learned weights from wherever they lie.

    Args:
        source: a run's folder; a file of weights (.safetensors, .pt, .pth, .onnx, .nir, a bundle's .zip); or an object:
            `Weights`, a scikit-learn MLP, a torch module or its state dict.
        task: what they were learned for, if the source doesn't say.
        activation: of the hidden layers, if the source doesn't say.
        say: is told what a user should know, a line each.

    Raises:
        FileError: missing, damaged, or of a kind that isn't read.
        ConfigError: a network that hwzo has no layers for; names what it is.
    """
    if isinstance(source, Weights):
        return source
    if isinstance(source, str | Path):
        return load_weights(Path(source))
    raise ConfigError(f"{type(source).__name__} is no source of weights that hwzo knows", key="source")
