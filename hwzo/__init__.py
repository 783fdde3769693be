"""hwzo: train noisy neuromorphic hardware in place, with its own noise as the exploration.

Read `hwzo.device` next: it is the contract that all else stands on.
"""

from hwzo.deploy import deploy
from hwzo.deploy.evaluation import evaluate
from hwzo.device import Capabilities, Device, DeviceInfo, EmulatedDevice, Update
from hwzo.errors import (
    CapabilityError,
    ConfigError,
    DeviceError,
    HwzoError,
    MeasurementError,
    VerificationError,
)
from hwzo.network import Network
from hwzo.parameters import ParameterSpec, TensorSpec
from hwzo.probes import Batch, Cost, Probes, Readings
from hwzo.registry import connect
from hwzo.train import calibrate, load_run, train

__all__ = [
    "Batch",
    "Capabilities",
    "CapabilityError",
    "ConfigError",
    "Cost",
    "Device",
    "DeviceError",
    "DeviceInfo",
    "EmulatedDevice",
    "HwzoError",
    "MeasurementError",
    "Network",
    "ParameterSpec",
    "Probes",
    "Readings",
    "TensorSpec",
    "Update",
    "VerificationError",
    "calibrate",
    "connect",
    "deploy",
    "evaluate",
    "load_run",
    "train",
]
