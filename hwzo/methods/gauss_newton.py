"""Gauss-Newton, a host-side reference. Schraudolph, Neural Computation 14, 1723 (2002), https://doi.org/10.1162/08997660260028683.

Solves ``(G + damping I) p = -g`` with the generalised Gauss-Newton matrix G = mean over samples of J^T H J, where J is
the Jacobian of a sample's outputs and H the second derivative of its loss by them: never negative, and exact where the
outputs are linear in the parameters. G is only ever multiplied with, as Martens advises (ICML 2010), forward by
`pushed_forward` and back by backpropagation, within conjugate gradients. Damping is that of Levenberg and Marquardt:
it falls while the quadratic model foretells what the batch's loss does, and rises otherwise; a step uphill isn't taken.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field

from hwzo.methods.forward_gradient import pushed_forward
from hwzo.methods.host_reference import HostReference, known_network
from hwzo.methods.method import Start, State
from hwzo.methods.options import Options
from hwzo.methods.settings import Settings
from hwzo.methods.weight_perturbation import rate_of
from hwzo.network import Network, sample_losses
from hwzo.parameters import Array
from hwzo.probes import Batch
from hwzo.update import UPDATES

DEFAULTS = Settings(rate=1.0, schedule="constant")
TAKES = ("rate", "schedule")

TOLERANCE = 1e-10
"""Residual of the conjugate gradients, relative to that of p = 0."""
GOOD, BAD, FACTOR = 0.75, 0.25, 1.5
"""Damping falls by the factor where the loss fell by more than GOOD of what was foretold, and rises below BAD."""
LEAST_DAMPING = 1e-12


class GaussNewtonOptions(Options):
    """Of Gauss-Newton.

    Args:
        damping: at the start.
        iterations: most conjugate gradients a step.
    """

    damping: Annotated[float, Field(ge=0)] = 1.0
    iterations: Annotated[int, Field(ge=1)] = 50


@dataclass(frozen=True)
class GaussNewton:
    """See the module; it remembers its damping.

    Args:
        network: what to compute.
        damping: at the start; 0 stays 0.
        iterations: most conjugate gradients a step.
    """

    network: Network
    damping: float
    iterations: int

    def begin(self, n_params: int) -> State:
        """The damping."""
        return {"damping": np.array([self.damping])}

    def descent(self, state: State, theta: Array, batch: Batch, t: int) -> tuple[State, float, Array]:
        """See `HostRule`: what to go against is -p."""
        damping = float(state["damping"][0])
        loss, gradient = self.network.gradient(theta, batch.inputs, batch.targets, batch.loss)

        def damped(p: Array) -> Array:
            return curvature_product(self.network, theta, p, batch) + damping * p

        p = 0.0 - conjugate_gradients(damped, gradient, self.iterations)
        curved = curvature_product(self.network, theta, p, batch)
        foretold = float(np.vdot(gradient, p)) + 0.5 * float(np.vdot(p, curved))
        outputs = self.network.forward(theta + p, batch.inputs)[-1]
        change = float(sample_losses(outputs, batch.targets, batch.loss).mean()) - loss
        agreement = change / foretold if foretold < 0.0 else 1.0
        if agreement > GOOD:
            damping = max(damping / FACTOR, LEAST_DAMPING if damping else 0.0)
        elif not agreement >= BAD:
            damping *= FACTOR
        return {"damping": np.array([damping])}, loss, -p if change <= 0.0 else np.zeros_like(p)


def curvature_product(network: Network, theta: Array, p: Array, batch: Batch) -> Array:
    """G p, (n_params,), with G the generalised Gauss-Newton matrix of the batch's mean loss."""
    outputs, moved = pushed_forward(network, theta, p, batch.inputs)
    if batch.loss == "cross-entropy":
        shares = np.exp(outputs - outputs.max(axis=-1, keepdims=True))
        shares /= shares.sum(axis=-1, keepdims=True)
        bent: Array = shares * (moved - (shares * moved).sum(axis=-1, keepdims=True))
    else:
        bent = moved * (2.0 / outputs.shape[-1])
    # The squared error whose derivative by the outputs is ``bent`` brings it back to the parameters: J^T bent / batch.
    _, product = network.gradient(theta, batch.inputs, outputs - bent * (0.5 * outputs.shape[-1]), "squared-error")
    return product


def conjugate_gradients(multiply: Callable[[Array], Array], right: Array, most: int) -> Array:
    """x (n_params,) with multiply(x) = right (n_params,), for a symmetric matrix that is nowhere negative.

    Hestenes and Stiefel 1952, https://doi.org/10.6028/jres.049.044; ``most`` products at most.
    """
    x = np.zeros_like(right)
    residual: Array = np.array(right)
    direction: Array = np.array(right)
    size = float(np.vdot(residual, residual))
    enough = TOLERANCE**2 * size
    for _ in range(most):
        if size <= enough:
            break
        product: Array = multiply(direction)
        bend = float(np.vdot(direction, product))
        if bend <= 0.0:  # flat: no step along it would be too long
            break
        x = np.add(x, (size / bend) * direction)
        residual = np.subtract(residual, (size / bend) * product)
        before, size = size, float(np.vdot(residual, residual))
        direction = np.add(residual, (size / before) * direction)
    return x


def build(settings: Settings, start: Start, options: GaussNewtonOptions | None = None) -> HostReference:
    """The reference, for a device that is a layered network."""
    options = options or GaussNewtonOptions()
    start.settings = chosen = settings.only("gauss-newton", TAKES).over(DEFAULTS)
    return HostReference(
        GaussNewton(known_network(start, "gauss-newton"), options.damping, options.iterations),
        UPDATES["sgd"],
        rate_of(chosen),
        start.device.parameters,
        "host-side reference: second-order steps are computed in float64, the device is only written to",
    )
