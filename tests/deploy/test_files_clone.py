"""A device's weights are read off it: the means, how sure they are, and never a write to a board."""

from __future__ import annotations

import os

import numpy as np
import pytest

import hwzo
from hwzo import firmware
from hwzo.deploy.clone import clone
from hwzo.errors import CapabilityError, ConfigError, DeviceError
from hwzo.wire.server import SocketServer
from hwzo.wire.service import DeviceService, endpoint_of

LAYERS = "5-4-3"
SIZE = 6 * 4 + 5 * 3


def theta_on_grid(seed: int = 120) -> np.ndarray:
    return np.random.default_rng(seed).integers(-3000, 3001, SIZE) / 4096


def test_an_open_device_is_cloned_with_how_sure_it_is():
    theta = theta_on_grid()
    url = f"crossbar:pcm?layers={LAYERS}&seed=121"
    with_noise = hwzo.connect(url)
    with_noise.program(theta)
    truth = with_noise.read(4000).mean(axis=0)  # what it holds, to a 60th of a read's error
    said: list[str] = []
    copy = clone(with_noise, task="xor", repeats=50, say=said.append)
    error = copy.weights.theta - truth
    z = error / copy.standard_error
    # 39 weights, t with 49 degrees of freedom: the mean square of z is 1.04 +- 0.25; 4 deviations, 1 in 10,000.
    assert 0.2 < float(np.mean(np.square(z))) < 2.2
    assert (copy.repeats, copy.weights.task, copy.weights.layers) == (50, "xor", LAYERS)
    assert copy.weights.emulated
    assert "50 times each" in said[0]
    with_noise.close()


def test_output_gains_are_part_of_what_is_cloned():
    device = hwzo.connect(f"crossbar:ideal?layers={LAYERS}")
    theta = theta_on_grid()
    device.program(theta)
    if not device.capabilities.output_gains:
        pytest.skip("this crossbar has no output gains")
    gains = np.linspace(0.5, 3.0, 7)
    device.set_gains(gains)  # pyright: ignore[reportAttributeAccessIssue]
    plain = device.read(2).mean(axis=0)
    copy = clone(device, repeats=2)
    network = device.capabilities.network
    assert network is not None
    inputs = np.random.default_rng(122).uniform(-1, 1, (6, 5))
    blocks = [np.array(block) for block in network.blocks(plain)]
    first = np.tanh((np.c_[inputs, np.ones(6)] @ blocks[0]) * gains[:4])
    expected = (np.c_[first, np.ones(6)] @ blocks[1]) * gains[4:]
    np.testing.assert_allclose(network.forward(copy.weights.theta, inputs)[-1], expected, rtol=0, atol=1e-12)
    copy.weights.parameters.check(copy.weights.theta)
    device.close()


def test_what_cannot_be_cloned_is_told():
    for url in ("crossbar:ideal", "crossbar:pcm?seed=3"):
        with pytest.raises(ConfigError, match="begins anew with each connection"):
            clone(url)
    device = hwzo.connect(f"crossbar:ideal?layers={LAYERS}&readback=nodes")
    with pytest.raises(CapabilityError, match=r"reads back 'nodes', not its weights"):
        clone(device)
    with pytest.raises(ConfigError, match="at least 2"):
        clone(device, repeats=1)
    device.close()
    with pytest.raises(ConfigError, match="layers=49-4-4"):
        clone("serial:/dev/nowhere")
    with pytest.raises(ConfigError, match="dense"):
        clone("serial:/dev/nowhere?layers=4x4x1-2c3-2")
    with pytest.raises(ConfigError, match="baud=x"):
        clone("serial:/dev/nowhere?layers=4-2&baud=x")
    with pytest.raises(DeviceError, match="no such port"):
        clone("serial:/dev/nowhere?layers=4-2")
    with pytest.raises(ConfigError, match="socket://host:port"):
        clone("serial:socket://nobody?layers=4-2")


def need_posix() -> None:
    board = firmware.BOARDS["posix"]
    lacking = firmware.missing((*board.to_build, *board.to_run))
    if lacking:
        reason = f"needs Debian's {' '.join(sorted({requirement.package for requirement in lacking}))}"
        assert not os.environ.get("CI"), reason
        pytest.skip(reason)


def test_a_board_is_cloned_as_it_stands():
    need_posix()
    theta = theta_on_grid()
    with firmware.start("posix") as board:
        url = f"{board.url}?layers={LAYERS}&activation=relu"
        with pytest.raises(DeviceError, match=r"holds no network.*firmware build --weights"):
            clone(url)
        device = hwzo.connect(url)
        device.program(theta)
        device.close()
        for _ in range(2):  # reading changes nothing
            copy = clone(url, repeats=3)
            np.testing.assert_array_equal(copy.weights.theta, theta)
            np.testing.assert_array_equal(copy.standard_error, 0.0)
        assert (copy.weights.layers, copy.weights.activation) == (LAYERS, "relu")
        assert copy.weights.emulated
        with pytest.raises(ConfigError, match=rf"holds {SIZE} parameters; layers=5-5-3 has 48"):
            clone(f"{board.url}?layers=5-5-3")


def test_a_noisy_board_is_cloned_as_its_array_is_read():
    need_posix()
    theta = theta_on_grid()
    with firmware.start("posix") as board:
        url = f"{board.url}?layers={LAYERS}&programming=0.05&read_noise=0.02&seed=123"
        device = hwzo.connect(url)
        device.program(theta)
        device.close()
        copy = clone(url, repeats=100)
    off = copy.weights.theta - theta
    # Programming and the one evaluation's noise are kept, sd 0.054; the reading's own, 0.005 a reading, is averaged.
    # 39 weights: the sd of a sample sd is 11%; 4 of them, 1 in 10,000.
    assert 0.030 < float(off.std()) < 0.078
    typical = float(np.sqrt(np.mean(np.square(copy.standard_error))))
    assert typical == pytest.approx(0.02 / 4 / 10, rel=0.1)


def test_a_served_device_is_cloned():
    theta = theta_on_grid()
    chip = hwzo.connect(f"crossbar:ideal?layers={LAYERS}")
    with SocketServer(endpoint_of(DeviceService(chip), 1), "localhost:0") as server:
        import threading

        stop = threading.Event()
        thread = threading.Thread(target=server.run, args=(stop.is_set,))
        thread.start()
        try:
            device = hwzo.connect(f"{server.url}?layers={LAYERS}")
            device.program(theta)
            device.close()
            copy = clone(f"{server.url}?layers={LAYERS}", repeats=2)
        finally:
            stop.set()
            thread.join(10)
    np.testing.assert_allclose(copy.weights.theta, theta, rtol=0, atol=1.0 / 4096)
