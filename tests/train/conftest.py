"""A device that hides what an emulated one could do, and a run that is quick to make."""

from dataclasses import replace

import numpy as np
import pytest


class Hardware:
    """A device as if it were hardware: no snapshot, not labelled emulated; remembers what it was told to hold."""

    def __init__(self, device):
        self.device = device
        self.info = replace(device.info, emulated=False)
        self.capabilities = replace(device.capabilities, snapshot=False)
        self.parameters = device.parameters
        self.targets = []

    def program(self, theta, *, mask=None):
        self.targets.append(np.array(theta))
        return self.device.program(theta, mask=mask)

    def apply(self, update):
        self.targets.append(np.array(update.target))
        return self.device.apply(update)

    def measure(self, probes, batch):
        return self.device.measure(probes, batch)

    def read(self, repeats=1):
        return self.device.read(repeats)

    def close(self):
        self.device.close()


@pytest.fixture(scope="session")
def hardware():
    """Makes a device look like hardware."""
    return Hardware
