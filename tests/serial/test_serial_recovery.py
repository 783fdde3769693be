"""Boards that are reset, unplugged, muted, stolen or killed: nothing is lost, nothing measured twice, all is told."""

import logging
import os
import time
from dataclasses import replace

import numpy as np
import pytest

import hwzo
from hwzo import firmware
from hwzo.device import Update
from hwzo.directions import directions
from hwzo.errors import ConfigError, DeviceError
from hwzo.lease import LeasedDevice
from hwzo.network import Network
from hwzo.probes import Batch, Probes
from hwzo.train.journal import Journal
from hwzo.wire.errors import FirmwareMismatchError
from hwzo.wire.frames import Splitter
from hwzo.wire.schema import BY_OP, Evaluate, Step
from hwzo_backends.serial import lines
from hwzo_backends.serial.lines import PortLine
from hwzo_backends.serial.session import PATIENCE
from hwzo_backends.serial.twin_service import Build

UNIT = 2.0**-12
KEY = 99
RNG = np.random.default_rng(0)
BATCH = Batch(RNG.uniform(-1, 1, (6, 5)), RNG.integers(0, 3, 6))


def train(device, steps, on_step=lambda t: None):
    """Antithetic descent by hand: losses of all steps, and the host's parameters."""
    theta = np.round(device.parameters.initial(np.random.default_rng(3)) / UNIT) * UNIT
    device.program(theta)
    losses = []
    for t in range(steps):
        on_step(t)
        pair = device.measure(Probes(np.array([0, 0]), np.array([40, -40]) * UNIT, key=KEY, step=t), BATCH).losses
        coefficient = np.round(-0.5 * (pair[0] - pair[1]) / UNIT) * UNIT
        z = directions("rademacher", device.parameters, key=KEY, step=t, counters=np.array([0]))[0]
        target = device.parameters.clip(theta + coefficient * z)
        device.apply(Update(target, target - theta, t, np.array([0]), np.array([coefficient])))
        theta = target
        losses.append(pair)
    return np.array(losses), theta


EVENTS = ["reset", "reset after", "gone", "gone 3", "mute", "stolen"]


@pytest.mark.parametrize("event", EVENTS)
def test_training_comes_out_the_same(eventful, event, caplog):
    """Without noise: a run that loses the board three times gives the losses and integers of one that doesn't."""
    calm, _ = eventful()
    losses, theta = train(calm, 100)
    device, line = eventful({40: event, 70: event, 100: event})
    with caplog.at_level(logging.WARNING, "hwzo.serial"):
        again, also = train(device, 100)
    np.testing.assert_array_equal(losses, again)
    np.testing.assert_array_equal(theta, also)
    assert not line.events
    assert len(device.restarts) == 3
    assert all(restart.reason and restart.cause == "WATCHDOG" for restart in device.restarts)
    assert sum("on again" in record.message for record in caplog.records) == 3
    np.testing.assert_array_equal(device.read()[0], theta)


@pytest.mark.parametrize("event", ["reset", "reset after", "gone", "mute", "stolen"])
@pytest.mark.parametrize("where", range(8))
def test_wherever_it_happens(eventful, event, where):
    """A loss of the board at any command of a step, the setting-up included, changes nothing in the end."""
    calm, _ = eventful()
    losses, theta = train(calm, 3)
    device, line = eventful()
    line.events[line.bursts + 2 * where + 1] = event
    again, also = train(device, 3)
    np.testing.assert_array_equal(losses, again)
    np.testing.assert_array_equal(theta, also)
    np.testing.assert_array_equal(device.read()[0], theta)


def readings(line):
    """(step, counter, scale) of all evaluations that any boot of the board took."""
    found = []
    for each in line.done:
        if isinstance(each, Evaluate):
            found.append((each.t, each.k, each.scale))
        if isinstance(each, Step):
            found += [(each.t + 1, k, scale) for k, scale in each.evaluations]
    return found


def test_what_was_answered_is_not_measured_again(eventful):
    device, line = eventful()
    device.program(np.zeros(device.parameters.size))
    probes = Probes(np.arange(12), np.full(12, 30 * UNIT), key=KEY, step=0)
    device.measure(Probes.plain(), BATCH)  # the batch is loaded
    line.events[line.bursts + 7] = "reset"
    measured = device.measure(probes, BATCH)
    assert len(device.restarts) == 1
    found = [each for each in readings(line) if each[2]]
    assert sorted(found) == sorted({(0, k, 30) for k in range(12)})  # each once
    assert measured.losses.shape == (12,)


def test_what_was_lost_on_the_way_is_measured_anew_and_told(eventful, caplog):
    device, line = eventful(node_noise=0.3)
    device.program(np.zeros(device.parameters.size))
    device.measure(Probes.plain(), BATCH)
    line.events[line.bursts + 4] = "reset after"
    with caplog.at_level(logging.WARNING, "hwzo.serial"):
        device.measure(Probes(np.arange(6), np.full(6, 30 * UNIT), key=KEY, step=0), BATCH)
    counts = {k: sum(1 for each in readings(line) if each[1:] == (k, 30)) for k in range(6)}
    assert sorted(counts.values()) == [1, 1, 1, 1, 1, 2]
    assert "simulated noise starts from the beginning" in caplog.text


def test_nodes_of_which_a_part_had_come_are_dropped(eventful):
    """Every reading that comes back belongs to one evaluation: losses are those of the outputs, weights those read."""
    build = Build("small", 6000, max_payload=64, receive_buffer=1)
    for burst in range(1, 30, 2):
        device, line = eventful(build=build, node_noise=0.3, read_noise=0.1)
        device.program(np.zeros(device.parameters.size))
        line.events[line.bursts + burst] = "reset"
        found = device.measure(Probes.plain(3, want="weights"), BATCH)
        network = device.capabilities.network
        for k in range(3):
            clean = network.forward(found.realised[k], BATCH.inputs)[0]
            assert np.abs(found.nodes[0][k] - clean).max() < 6 * 0.3 + 0.2


def test_a_board_that_is_lost_again_and_again_is_given_up(eventful):
    device, line = eventful()
    device.program(np.zeros(device.parameters.size))
    device.measure(Probes.plain(), BATCH)
    answer = line._answer

    def answering(data):
        if not any(BY_OP[frame.op].request is Evaluate for frame in Splitter().feed(data)):
            return answer(data)
        line.boot()  # an EVALUATE brings it down
        return b""

    line._answer = answering
    device._session._client._transport._answer = answering
    with pytest.raises(DeviceError, match=f"{PATIENCE + 1}th time without an answer"):
        device.measure(Probes.plain(), BATCH)


def test_a_board_that_stays_away_ends_the_run(eventful):
    device, line = eventful(reconnect_s=0.5)
    device.program(np.zeros(device.parameters.size))
    line.events[line.bursts + 1] = "gone 1000000"
    begun = time.monotonic()
    with pytest.raises(DeviceError, match=r"did not come back within 0.5 s .*--resume") as caught:
        device.measure(Probes.plain(), BATCH)
    assert caught.value.exit_code == 3
    assert time.monotonic() - begun < 5
    line.refused = 0
    assert device.measure(Probes.plain(), BATCH).losses.shape == (1,)  # asked again, it looks again


def test_another_board_is_not_taken_for_it(eventful):
    device, line = eventful()
    device.program(np.zeros(device.parameters.size))
    line.build = Build("impostor", receive_buffer=1)
    line.events[line.bursts + 1] = "reset"
    with pytest.raises(DeviceError, match="another board answers now, 'impostor'"):
        device.measure(Probes.plain(), BATCH)


def test_other_firmware_after_a_reset_is_refused(eventful, monkeypatch):
    device, line = eventful()
    device.program(np.zeros(device.parameters.size))
    line.boot()
    monkeypatch.setattr(line.endpoint, "identity", line.endpoint.identity.__class__(777, schema=1))
    with pytest.raises(FirmwareMismatchError):
        device.measure(Probes.plain(), BATCH)


def test_an_interrupted_command_leaves_it_usable(eventful):
    """An alarm or Ctrl-C in the middle of a command: the next one begins by bringing the board in order."""
    device, line = eventful()
    theta = np.full(device.parameters.size, 0.25)
    device.program(theta)
    expected = device.measure(Probes.plain(), BATCH).losses
    answer = line._answer

    def interrupted(data):
        answer(data)
        raise KeyboardInterrupt

    device._session._client._transport._answer = interrupted
    with pytest.raises(KeyboardInterrupt):
        device.measure(Probes.plain(), BATCH)
    device._session._client._transport._answer = answer
    np.testing.assert_array_equal(device.measure(Probes.plain(), BATCH).losses, expected)
    assert len(device.restarts) == 1


def test_a_killed_and_reset_virtual_board(posix):
    device = posix("layers=5-4-3&reconnect_s=10&timeout_s=2")
    calm = posix("layers=5-4-3")
    losses, theta = train(calm, 60)
    board = device.line.board
    events = {10: board.reset, 25: board.power_cycle, 40: board.kill}
    again, also = train(device, 60, lambda t: events.pop(t, lambda: None)())
    assert not events
    np.testing.assert_array_equal(losses, again)
    np.testing.assert_array_equal(theta, also)
    assert len(device.restarts) == 3
    np.testing.assert_array_equal(device.read()[0], theta)


def test_a_port_is_found_again_by_its_serial_number(monkeypatch, tmp_path):
    """The adapter comes back under another name; another adapter has taken the old one's place in between."""

    class Port:
        def __init__(self, device, serial_number):
            self.device, self.serial_number = device, serial_number

    plugged = [Port(str(tmp_path / "ttyUSB0"), "A50285BI"), Port(str(tmp_path / "ttyUSB1"), "FT000001")]
    opened = []

    class Transport:
        def __init__(self, port, baud):
            opened.append((port, baud))

    monkeypatch.setattr(lines, "SerialTransport", Transport)
    monkeypatch.setattr("serial.tools.list_ports.comports", lambda: plugged)
    (tmp_path / "ttyUSB0").touch()
    line = PortLine(str(tmp_path / "ttyUSB0"), 115200)
    line.open()
    assert line.serial == "A50285BI"
    plugged[0].device = str(tmp_path / "ttyUSB2")
    (tmp_path / "ttyUSB0").unlink()
    line.open()
    plugged[1].device = str(tmp_path / "ttyUSB0")
    (tmp_path / "ttyUSB0").touch()
    line.open()
    assert [port.rpartition("/")[2] for port, _ in opened] == ["ttyUSB0", "ttyUSB2", "ttyUSB2"]


def test_a_run_survives_a_board_that_dies_for_good(posix, tmp_path):
    """The journal is whole: with the board back, --resume gives what the run would have given."""
    settings = {"task": "xor", "method": "spsa", "update": "sgd", "rate": 0.1, "batch": 3, "scale": 0.05, "seed": 4}
    whole = hwzo.train(**settings, device=posix("layers=2-3-1"), budget="400 evaluations", run=tmp_path / "whole")
    device = posix("layers=2-3-1&reconnect_s=0.3&timeout_s=0.3")
    board, measured = device.line.board, device.measure
    count = [0]

    def no_power():
        raise DeviceError("no power")

    def measure(probes, batch):
        count[0] += 1
        if count[0] == 120:
            board.kill()
            board.restart = lambda: (_ for _ in ()).throw(DeviceError("no power"))
        return measured(probes, batch)

    device.measure = measure
    with pytest.raises(DeviceError, match="did not come back"):
        hwzo.train(**settings, device=device, budget="400 evaluations", run=tmp_path / "cut")
    whole_again = posix("layers=2-3-1&reconnect_s=0.3&timeout_s=0.3")
    result = hwzo.train(**settings, device=whole_again, run=tmp_path / "cut", resume=True)
    assert result.parameters_crc32 == whole.parameters_crc32
    assert result.steps == whole.steps


@pytest.fixture
def terminals():
    """Paths of two pseudo-terminals."""
    pairs = [os.openpty() for _ in range(2)]
    yield [os.ttyname(slave) for _, slave in pairs]
    for end in (end for pair in pairs for end in pair):
        os.close(end)


def test_a_terminal_of_the_same_number_is_another_one(terminals, monkeypatch):
    """The kernel gives out numbers again; a board behind a new terminal isn't the one that was trained."""
    port, _ = terminals
    line = PortLine(port, 115200)
    line.open().close()
    line.open().close()
    born = lines.birth_of(port)
    assert born is not None
    monkeypatch.setattr(lines, "birth_of", lambda path: born + 1)
    with pytest.raises(lines.StrangerError, match=f"{port} is another terminal now"):
        line.open()


def test_a_link_to_a_terminal_may_lead_elsewhere_later(terminals, tmp_path):
    link = tmp_path / "port"
    line = PortLine(str(link), 115200)
    for port in terminals:
        link.symlink_to(port)
        line.open().close()
        link.unlink()


def test_resets_are_in_the_journal(tmp_path):
    """A board that dies in the midst of a run: the journal says when, and why the line was lost."""
    done = []

    def watch(progress):
        if not done and progress.share > 0.2:
            done.append(device.line.board.kill())

    device = opened_board()
    try:
        hwzo.train(
            "xor", device, method="spsa", scale=0.1, budget="4000 evaluations", run=tmp_path / "run", watch=watch
        )
    finally:
        device.close()
    journal = Journal(tmp_path / "run" / "journal.sqlite", read_only=True)
    said = [detail for _, _, kind, detail in journal.events() if kind == "link"]
    journal.close()
    assert done
    assert sum("on again after" in text for text in said) == 1


def test_a_run_goes_on_on_its_own_kind_of_board_only(tmp_path):
    """Which the port's name can't tell: it is asked who it is."""
    settings = {"method": "spsa", "scale": 0.1, "seed": 1, "run": tmp_path / "run"}
    device = opened_board()
    try:
        hwzo.train("xor", device, budget="20 evaluations", **settings)
        device.info = replace(device.info, model="atmega328p")
        with pytest.raises(ConfigError, match=r"is of posix, serial none, and here is .*atmega328p"):
            hwzo.train("xor", device, budget="40 evaluations", resume=True, **settings)
    finally:
        device.close()


def opened_board():
    """A virtual board of its own, as a network for xor; without the lease."""
    board = firmware.BOARDS["posix"]
    lacking = firmware.missing((*board.to_build, *board.to_run))
    if lacking:
        assert not os.environ.get("CI"), lacking
        pytest.skip(f"needs {lacking}")
    device = hwzo.connect("board:posix", network=Network.parse("2-2-1"), window=3.0)
    return device.device if isinstance(device, LeasedDevice) else device
