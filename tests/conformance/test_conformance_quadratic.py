"""The quadratic device against its closed form, and the device that fails on purpose."""

import time

import numpy as np
import pytest
from scipy import stats

from hwzo.device import EmulatedDevice, Update
from hwzo.directions import directions
from hwzo.errors import CapabilityError, ConfigError, DeviceError, FileError
from hwzo.probes import Batch, Probes
from hwzo.testing.faulty import FaultyDevice
from hwzo.testing.quadratic import QuadraticDevice

BATCH = Batch(np.zeros((3, 1)), np.zeros(3, dtype=np.int64))
THETA = np.linspace(-1, 1, 8)
FALSE_ALARM = 1e-6


def test_loss_is_the_written_quadratic():
    device = QuadraticDevice(3, optimum=np.array([1.0, 0.0, -1.0]), curvature=np.array([1.0, 2.0, 4.0]))
    device.program(np.array([0.0, 1.0, 1.0]))
    # 0.1 + (1 * 1 + 2 * 1 + 4 * 4) / 2
    assert device.measure(Probes.plain(), BATCH).losses == pytest.approx([9.6])


def test_gradient_is_the_central_difference_of_the_loss():
    device = QuadraticDevice(seed=4)
    h = 0.5  # exact for a quadratic, whatever the step
    differences = [(device.loss_at(THETA + h * e) - device.loss_at(THETA - h * e)) / (2 * h) for e in np.eye(8)]
    assert device.gradient_at(THETA) == pytest.approx(np.array(differences))


def test_displaced_loss_is_the_loss_of_the_displaced_parameters():
    device = QuadraticDevice(seed=5)
    device.program(THETA)
    probes = Probes(np.array([3, 3, 9]), np.array([0.1, -0.1, 0.4]), law="gaussian", key=11, step=2)
    rows = directions("gaussian", device.parameters, key=11, step=2, counters=probes.counters)
    expected = [device.loss_at(THETA + scale * z) for scale, z in zip(probes.scales, rows, strict=True)]
    assert device.measure(probes, BATCH).losses == pytest.approx(expected)


def test_noise_has_the_mean_and_variance_of_its_closed_form():
    # w = theta + sigma xi: E loss = loss(theta) + sigma^2/2 sum h;
    # var loss = sigma^2 sum g^2 + sigma^4/2 sum h^2 + loss_sd^2.
    device = QuadraticDevice(seed=6, parameter_noise="per-evaluation", sigma=0.3, loss_sd=0.2)
    device.program(THETA)
    n = 100_000
    losses = np.concatenate([device.measure(Probes.plain(1000), BATCH).losses for _ in range(n // 1000)])
    h, g = device.curvature, device.gradient_at(THETA)
    mean = device.loss_at(THETA) + 0.5 * 0.09 * h.sum()
    variance = 0.09 * (g @ g) + 0.5 * 0.0081 * (h @ h) + 0.04
    z = stats.norm.isf(FALSE_ALARM / 2)
    assert abs(losses.mean() - mean) < z * np.sqrt(variance / n)
    fourth = np.mean((losses - losses.mean()) ** 4)
    assert abs(losses.var() - variance) < z * np.sqrt((fourth - variance**2) / n)


def test_retained_noise_stays_until_the_next_write():
    device = QuadraticDevice(parameter_noise="retained", sigma=0.1, readback="weights")
    device.program(THETA)
    before = device.read()[0]
    device.measure(Probes.plain(5), BATCH)
    assert np.array_equal(device.read()[0], before)
    mask = np.arange(8) < 4
    device.program(THETA + 0.5, mask=mask)
    after = device.read()[0]
    assert np.all(after[:4] != before[:4])
    assert np.array_equal(after[4:], before[4:])


def test_writing_the_same_again_draws_retained_noise_anew():
    device = QuadraticDevice(parameter_noise="retained", sigma=0.1, readback="weights")
    device.program(THETA)
    before = device.read()[0]
    assert device.program(THETA).cell_writes == 8
    assert np.all(device.read()[0] != before)
    between = device.read()[0]
    assert device.apply(Update(THETA, np.zeros(8))).cell_writes == 0  # a step of nothing writes nothing
    assert np.array_equal(device.read()[0], between)


def test_resolution_rounds():
    device = QuadraticDevice(2, resolution=0.25, readback="weights")
    device.program(np.array([0.3, -0.9]))
    assert device.read()[0] == pytest.approx([0.25, -1.0])


def test_refusals():
    device = QuadraticDevice(laws=frozenset({"walsh"}))
    assert isinstance(device, EmulatedDevice)
    with pytest.raises(CapabilityError, match="losses only"):
        device.read()
    with pytest.raises(CapabilityError, match="walsh"):
        device.measure(Probes(np.array([0]), np.array([0.1])), BATCH)
    with pytest.raises(ConfigError, match="outside"):
        device.apply(Update(np.full(8, 3.0), np.ones(8)))
    with pytest.raises(FileError, match="seed"):
        QuadraticDevice(seed=2).restore(device.snapshot())
    device.close()
    with pytest.raises(DeviceError, match="closed"):
        device.measure(Probes.plain(), BATCH)


@pytest.mark.parametrize(
    ("arguments", "key"),
    [
        ({"sigma": 0.1}, "sigma"),
        ({"parameter_noise": "retained"}, "sigma"),
        ({"loss_sd": -1.0}, "loss_sd"),
        ({"read_sd": np.nan}, "read_sd"),
        ({"readback": "nodes"}, "readback"),
        ({"window": np.inf}, "window"),
    ],
)
def test_arguments_out_of_range(arguments, key):
    with pytest.raises(ConfigError) as caught:
        QuadraticDevice(**arguments)
    assert caught.value.key == key


def test_fault_nan_at_the_chosen_measurement_only():
    device = FaultyDevice(QuadraticDevice(), after=2, fault="nan")
    losses = [device.measure(Probes.plain(3), BATCH).losses for _ in range(3)]
    assert [bool(np.isnan(row).all()) for row in losses] == [False, True, False]


def test_fault_raises_what_it_was_given():
    device = FaultyDevice(QuadraticDevice(), after=1, error=OSError(5, "Input/output error"))
    with pytest.raises(OSError, match="Input/output"):
        device.measure(Probes.plain(), BATCH)
    device.measure(Probes.plain(), BATCH)
    with pytest.raises(DeviceError, match="measurement 1"):
        FaultyDevice(QuadraticDevice(), after=1).measure(Probes.plain(), BATCH)


def test_fault_hangs_and_the_rest_is_the_device():
    inner = QuadraticDevice(readback="weights")
    device = FaultyDevice(inner, after=1, fault="hang", hang_s=0.05)
    assert isinstance(device, EmulatedDevice)
    device.program(THETA)
    start = time.monotonic()
    device.measure(Probes.plain(), BATCH)
    assert time.monotonic() - start >= 0.05
    assert np.array_equal(device.read()[0], THETA)
    assert (device.info, device.capabilities, device.parameters) == (inner.info, inner.capabilities, inner.parameters)
    state = device.snapshot()
    device.advance(1.0)
    assert device.snapshot() != state
    device.restore(state)
    assert device.snapshot() == state
    with pytest.raises(ConfigError, match="first measurement is 1"):
        FaultyDevice(inner, after=0)
