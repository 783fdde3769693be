"""How well a device's weights can be read back."""

from __future__ import annotations

import numpy as np

from hwzo.device import Device


def read_error_variance(device: Device, repeats: int = 8) -> float:
    """Mean variance of one read-back of one parameter, weight units squared, from ``repeats`` reads of one state.

    What is read is latched, so that reads of one state differ by the read's own error only.

    Raises:
        CapabilityError: the device doesn't read its weights back.
    """
    return float(np.var(device.read(repeats), axis=0, ddof=1).mean())
