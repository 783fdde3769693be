"""NoiseZO: the noise of two writes is the perturbation. Wang et al., DAC 2025, https://doi.org/10.1109/DAC63849.2025.11132557.

The same weights are written twice; what the two writes left differs by their noise, D_1 and D_2, which is read back,
and two evaluations a step make the estimate::

    g = (L_1 - L_2) (D_1 - D_2) / (2 s2),    s2 the mean variance of one write's noise

The paper holds the two on paired arrays, here one array is written one after the other: the same displacements and
readings, without a second array's own defects. It is `block` with a population of two; more writes a step (``probes``)
are allowed. The paper's control of the perturbation's size is not built: the noise is as large as the device makes it.
"""

from __future__ import annotations

from hwzo.errors import CapabilityError
from hwzo.methods.composition import Composition
from hwzo.methods.method import Start
from hwzo.methods.serving import instead
from hwzo.methods.settings import Settings
from hwzo.methods.weight_perturbation import compose

DEFAULTS = Settings(
    probes=2, law="rademacher", estimator="block", update="normalised-momentum", rate=0.01, schedule="linear"
)


def build(settings: Settings, start: Start) -> Composition:
    """The method, on a device whose writes are noisy and whose weights are read back."""
    capabilities = start.device.capabilities
    if capabilities.parameter_noise != "retained" or not capabilities.reads_back("weights"):
        raise CapabilityError(
            f"{start.device.info} has parameter noise {capabilities.parameter_noise!r} and reads back "
            f"{capabilities.readback!r}; noisezo needs noise that a write leaves ('retained') and weights that are "
            f"read back: {instead(start.device)}"
        )
    takes = ("probes", "update", "rate", "schedule")
    reason = "the same weights are written twice, and what the writes' noise differs by is the displacement"
    return compose(settings, DEFAULTS, start, "intrinsic-weight", reason, method="noisezo", takes=takes)
