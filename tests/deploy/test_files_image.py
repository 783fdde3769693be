"""A board begins with the weights of its image: after every reset, to the bit, and it computes with them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest

import hwzo
from hwzo import firmware
from hwzo.data.catalogue import load_task
from hwzo.deploy.board_image import board_image
from hwzo.deploy.clone import clone
from hwzo.deploy.sources import load_source
from hwzo.errors import ConfigError
from hwzo.firmware import BOARDS, Image
from hwzo.firmware.build import recipe
from hwzo.firmware.image import HEADER, Limits
from hwzo.network import Network, accuracy
from hwzo.probes import Batch, Probes
from hwzo.train.weights import Weights
from hwzo.wire.client import Client
from hwzo.wire.schema import BeginBatch, Evaluate, Fetch, Hash, Latch, LossCode, Read, Sample
from hwzo.wire.transport import SerialTransport


def need(name: str, *, run: bool = True) -> None:
    """Skip with the reason where a laptop lacks the tools; fail where CI is set."""
    board = BOARDS[name]
    lacking = firmware.missing((*board.to_build, *(board.to_run if run else ())))
    if lacking:
        reason = f"needs Debian's {' '.join(sorted({requirement.package for requirement in lacking}))}"
        assert not os.environ.get("CI"), reason
        pytest.skip(reason)


def weights_of(label: str, activation: str = "tanh", seed: int = 130, window: float = 1.0) -> Weights:
    network = Network.parse(label, activation)
    spec = network.parameter_spec(window)
    theta = np.random.default_rng(seed).uniform(-window, window, spec.size)
    return Weights(theta, spec, "nist7x7", network.label, activation, window, "", emulated=False)


def outputs_of(client: Client, batch: Batch, n_out: int) -> np.ndarray:
    """What a board computes with the weights that it holds, (batch, n_out), in its units; it is given none."""
    rows = np.rint(batch.inputs * 127).astype(int).tolist()
    client.request(BeginBatch(len(batch), LossCode.CROSS_ENTROPY))
    for index, (row, target) in enumerate(zip(rows, batch.targets.tolist(), strict=True)):
        values = (*row, target)
        for at in range(0, len(values), 56):
            client.request(Sample(index, at, tuple(values[at : at + 56])))
    client.request(Evaluate(0, 0, 0, Latch.OUTPUTS))
    count = len(batch) * n_out
    parts = [client.request(Fetch(at, min(32, count - at))).values for at in range(0, count, 32)]
    return np.concatenate(parts).reshape(len(batch), n_out)


@pytest.mark.parametrize(("name", "activation"), [("posix", "relu"), ("cortex-m3", "tanh"), ("atmega328p", "tanh")])
def test_a_board_begins_with_the_weights_of_its_image(name: str, activation: str):
    need(name)
    weights = weights_of("49-4-4", activation)
    image = board_image(weights)
    assert np.abs(image.theta - weights.theta).max() <= 0.5 / 4096
    whole = load_task("nist7x7").batch("test")
    batch = Batch(whole.inputs[:8], whole.targets[:8], whole.loss)
    twin = hwzo.connect(f"board:twin?layers=49-4-4&activation={activation}")
    twin.program(weights.theta)
    expected = twin.measure(Probes.plain(want="outputs"), batch).outputs
    assert expected is not None
    twin.close()
    with firmware.start(name, image=image) as board:
        client = Client(SerialTransport(board.port, BOARDS[name].baud))
        for _ in range(2):
            client.connect()
            assert client.request(Hash()).crc == zlib.crc32(image.units.astype("<i2").tobytes())
            held = np.concatenate([client.request(Read(at, 20)).values for at in range(0, 220, 20)])
            np.testing.assert_array_equal(held, image.units)
            outputs = outputs_of(client, batch, 4) / 1024
            np.testing.assert_array_equal(outputs, expected[0])
            assert accuracy(outputs, batch.targets, batch.loss) == accuracy(expected[0], batch.targets, batch.loss)
            board.reset()
        client.close()
        copy = clone(f"{board.url}?layers=49-4-4&activation={activation}&baud={BOARDS[name].baud}", repeats=2)
        np.testing.assert_array_equal(copy.weights.theta, image.theta)


def test_an_array_at_the_pins_is_programmed_at_reset():
    need("atmega328p")
    weights = weights_of("49-4-4")
    image = board_image(weights)
    with firmware.start("atmega328p", array="spi", image=image) as board:
        copy = clone(f"{board.url}?layers=49-4-4&baud=1000000", repeats=2)
        # Cells are read through the ADC, whose step is a 64th, and whose middle is somewhat off.
        np.testing.assert_allclose(copy.weights.theta, weights.theta, rtol=0, atol=2 / 64)
        stack = firmware.deepest_stack(board)
        assert BOARDS["atmega328p"].budget is not None
        assert firmware.sizes("atmega328p", board.firmware).static_ram + stack <= BOARDS["atmega328p"].budget[1]


def test_a_host_may_still_give_it_another_network():
    need("posix")
    with firmware.start("posix", image=board_image(weights_of("49-4-4"))) as board:
        device = hwzo.connect(f"{board.url}?layers=6-5-3")
        theta = np.random.default_rng(131).uniform(-1, 1, device.parameters.size)
        device.program(theta)
        np.testing.assert_allclose(device.read(1)[0], theta, rtol=0, atol=0.5 / 4096)
        device.close()


def test_the_commands_take_any_source(tmp_path: Path):
    need("posix")
    weights = weights_of("6-5-3")
    weights.save(saved := tmp_path / "w.safetensors")
    command = [sys.executable, "-m", "hwzo", "firmware"]
    built = subprocess.run([*command, "build", "posix", "--weights", str(saved)], capture_output=True, text=True)
    assert built.returncode == 0
    assert "6-5-3 tanh, 53 weights" in built.stdout
    fixture = str(Path(__file__).with_name("fixtures") / "mlp.pt")
    run = [*command, "run", "posix", "--weights", fixture, "--activation", "tanh", "--json"]
    with subprocess.Popen(run, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as running:
        assert running.stdout is not None
        url = json.loads(running.stdout.readline())["url"]
        copy = clone(f"{url}?layers=6-5-4-3", repeats=2)
        running.terminate()
    np.testing.assert_allclose(
        copy.weights.theta, load_source(fixture, activation="tanh").theta, rtol=0, atol=0.5 / 4096
    )
    refused = subprocess.run([*command, "build", "posix", "--weights", fixture], capture_output=True, text=True)
    assert refused.returncode == 2
    assert "--activation" in refused.stderr


def test_without_an_image_the_firmware_is_as_it_was(tmp_path: Path):
    need("posix", run=False)
    command = recipe("posix").command(tmp_path / "x.elf")
    assert not any("BOOT" in part for part in command)
    one, other = board_image(weights_of("6-5-3")), board_image(weights_of("6-5-3", seed=132))
    files = {firmware.build("posix"), firmware.build("posix", image=one), firmware.build("posix", image=other)}
    assert len(files) == 3
    assert firmware.build("posix", image=board_image(weights_of("6-5-3"))) in files


@pytest.mark.parametrize(("name", "array"), [(name, "sim") for name in BOARDS] + [("atmega328p", "spi")])
def test_an_image_builds_without_warnings(name: str, array: firmware.Array, tmp_path: Path):
    need(name, run=False)
    image = board_image(weights_of("6-5-3"))
    (tmp_path / HEADER).write_text(image.header)
    command = recipe(name, array=array, image=image).command(tmp_path / "out.elf")
    done = subprocess.run([*command, "-Werror"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", ["atmega328p", "atmega2560"])
def test_weights_fit_into_the_flash_of_a_chip_whenever_they_fit_into_its_memory(name: str):
    need(name, run=False)
    board = BOARDS[name]
    assert board.flash is not None
    pool = Limits.of(board).pool
    largest = next(n for n in range(2000, 0, -1) if _fits(weights_of(f"{n}-2"), name))
    image = board_image(weights_of(f"{largest}-2"))
    assert 2 * image.units.size > 0.6 * pool
    assert firmware.sizes(name, firmware.build(name, image=image)).flash <= board.flash


def _fits(weights: Weights, name: str) -> bool:
    try:
        board_image(weights).check_fits(BOARDS[name])
    except ConfigError:
        return False
    return True


@pytest.mark.parametrize(("label", "fits"), [("192-2", True), ("193-2", False)])
def test_what_fits_is_what_the_board_itself_takes(label: str, fits: bool):
    need("atmega328p")
    weights = weights_of(label)
    assert _fits(weights, "atmega328p") == fits
    with firmware.start("atmega328p") as board:
        told = ""
        try:
            hwzo.connect(f"{board.url}?layers={label}&baud=1000000").close()
        except ConfigError as error:
            told = str(error)
    assert (told == "") == fits


def test_what_a_board_cannot_begin_with_is_told():
    for weights, says in (
        (weights_of("4x4x1-2c3-2"), "not dense"),
        (weights_of("4-3-2", "sigmoid"), "sigmoid: boards have linear, tanh, relu"),
        (weights_of("4-3-2", window=20.0), "beyond 7.99"),
        (Weights(np.zeros(3), weights_of("2-1").parameters, "", "", "", None, "", emulated=False), "no network"),
    ):
        with pytest.raises(ConfigError, match=says):
            board_image(weights)
    outside = weights_of("4-3-2")
    with pytest.raises(ConfigError, match=r"1 of 23 weights lie beyond 1, the largest is 1\.5"):
        Image.of(Network.parse("4-3-2"), np.r_[outside.theta[:-1], 1.5], 1.0)
    for label, says in (
        ("64-32-10", r"2,410 parameters, takes 5,\d\d\d bytes of RAM.*atmega328p has 1,104"),
        ("4-4-4-4-4", "4 layers of weights; atmega328p takes 3"),
        ("5000-1", "a layer of 5000; atmega328p takes 4096"),
    ):
        with pytest.raises(ConfigError, match=says):
            firmware.build("atmega328p", image=board_image(weights_of(label, window=0.5)))


def test_extreme_weights_keep_their_value():
    network = Network.parse("2-1")
    image = Image.of(network, np.array([32767 / 4096, -32767 / 4096, 0.0]))
    assert image.units.tolist() == [32767, -32767, 0]
    assert "0x7FFF, 0x8001, 0x0000" in image.header
    assert (image.lower, image.upper) == (-32767, 32767)
