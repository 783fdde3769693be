"""Your own device in about 60 lines: implement `hwzo.Device`, then train it like any other.

    python examples/02_your_own_device.py

The "chip" here is a small analogue classifier behind 6-bit DACs, and all that comes back is one noisy number: a loss.
It can be programmed, and nothing else; so the toolkit picks what works for such a device, and says what.
"""

import numpy as np

import hwzo
from hwzo import Batch, Capabilities, Cost, DeviceInfo, Network, ParameterSpec, Probes, Readings, TensorSpec, Update
from hwzo.network import sample_losses

NETWORK = Network((2, 4, 1), "tanh")
STEP = 4.0 / 63  # weight units a DAC code, for weights in [-2, 2]


class AnalogueChip:
    """The contract: who it is, what it can do, what its parameters are, and five verbs."""

    info = DeviceInfo("mychip:", model="analogue classifier", serial="7", firmware="1.0", emulated=True)
    capabilities = Capabilities(readback="loss")

    def __init__(self) -> None:
        tensors = [TensorSpec(t.name, t.shape, -2.0, 2.0, STEP, 0.7) for t in NETWORK.parameter_spec().tensors]
        self.parameters = ParameterSpec(tuple(tensors))
        self.codes = np.zeros(self.parameters.size)
        self.noise = np.random.default_rng(7)

    def program(self, theta: np.ndarray, *, mask: np.ndarray | None = None) -> Cost:
        theta = self.parameters.check(theta)  # refuses bad values before anything is written
        chosen = np.ones(theta.size, dtype=bool) if mask is None else mask
        self.codes[chosen] = np.round(theta[chosen] / STEP)
        return Cost(cell_writes=int(chosen.sum()), device_seconds=1e-6 * chosen.sum())

    def measure(self, probes: Probes, batch: Batch) -> Readings:
        if probes.want != "loss" or probes.scales.any():
            raise hwzo.CapabilityError(f"{self.info} gives a loss and can't be displaced; use method 'selection'")
        outputs = NETWORK.forward(self.codes * STEP, batch.inputs)[-1]
        loss = sample_losses(outputs, batch.targets, batch.loss).mean()
        losses = loss + 0.001 * self.noise.standard_normal(len(probes))
        return Readings(
            losses, cost=Cost(reads=len(probes) * len(batch), device_seconds=1e-6 * len(probes) * len(batch))
        )

    def apply(self, update: Update) -> Cost:
        return self.program(update.target, mask=update.step != 0)

    def read(self, repeats: int = 1) -> np.ndarray:
        raise hwzo.CapabilityError(f"{self.info} can't be read back")

    def close(self) -> None:
        """Nothing to make safe here; a real chip's outputs would be switched off."""


if __name__ == "__main__":
    chip = AnalogueChip()
    result = hwzo.train("xor", chip, budget="4000 evaluations", seed=0)
    print(f"exploration: {result.exploration} ({result.reason})")
    print(f"mean squared error on xor: {result.loss:.3f} +- 0.001 after {result.evaluations} evaluations")
    print(f"cell writes: {result.cell_writes}, device seconds: {result.device_seconds:.3f}")
