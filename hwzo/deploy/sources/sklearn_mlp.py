"""A fitted ``MLPClassifier`` or ``MLPRegressor`` of scikit-learn, taken by its attributes: nothing is imported."""

from __future__ import annotations

from typing import Any

import numpy as np

from hwzo.deploy.sources.chain import Chain, Say
from hwzo.errors import ConfigError
from hwzo.network import Network
from hwzo.parameters import Array


def looks_like_one(source: object) -> bool:
    """Whether it is an MLP of scikit-learn, fitted or not."""
    return hasattr(source, "hidden_layer_sizes") and hasattr(source, "get_params")


def network_of(model: Any, say: Say = lambda text: None) -> tuple[Network, Array]:  # noqa: ANN401
    """The network, and its parameters (n_params,).

    A classifier of two classes has one output z, the log odds of the second; here it gets two, -z/2 and z/2, whose
    softmax is the same.

    Raises:
        ConfigError: it isn't fitted, or has weights that aren't finite.
    """
    where = f"scikit-learn's {type(model).__name__}"
    if not hasattr(model, "coefs_"):
        raise ConfigError(f"{where} is not fitted: it has no weights; call fit first", key="source")
    weights = [np.asarray(each, dtype=np.float64) for each in model.coefs_]
    biases = [np.asarray(each, dtype=np.float64) for each in model.intercepts_]
    output = str(model.out_activation_)
    classes = getattr(model, "classes_", None)
    if classes is not None and not np.array_equal(classes, np.arange(len(classes))):
        named = ", ".join(str(each) for each in list(classes)[:12])
        say(f"its outputs are the classes {named}, in this order; to hwzo they are 0, 1, ...")
    chain = Chain(where, None, say)
    for index, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        chain.dense(f"coefs_[{index}]", weight, bias)
        chain.activate(f"coefs_[{index}]", str(model.activation) if index + 1 < len(weights) else output)
    if output == "logistic" and weights[-1].shape[1] == 1:
        chain.two_classes("its last layer")
    return chain.end()
