"""URLs of boards: what they may say, what they lock, what is listed, and what an unlucky user is told."""

import os
import socket
import subprocess
import sys
import threading
import tty

import pytest
from hypothesis import given
from hypothesis import strategies as st

import hwzo
from hwzo import firmware
from hwzo.errors import ConfigError, DeviceBusyError, DeviceError, DeviceTimeoutError
from hwzo.network import Network
from hwzo.registry import DeviceURL
from hwzo_backends.serial import BACKEND, BOARDS
from hwzo_backends.serial import backend as backends
from hwzo_backends.serial.lines import PortLine, SocketLine, line_of
from hwzo_backends.serial.options import BoardOptions, PortOptions, resolve


def resolved(kind, text, **suggestions):
    given = {"network": None, "window": None, "seed": None, **suggestions}
    return resolve(kind, DeviceURL.parse(text), **given)


@pytest.mark.parametrize(
    ("text", "key", "says"),
    [
        ("serial:/dev/null?boud=9600", "boud", "did you mean 'baud'"),
        ("serial:/dev/null?baud=fast", "baud", "baud=fast"),
        ("serial:/dev/null?baud=10", "baud", "300"),
        ("serial:/dev/null?window=-1", "window", "window=-1"),
        ("serial:/dev/null?node_noise=nan", "node_noise", "node_noise=nan"),
        ("serial:/dev/null?readback=all", "readback", "'nodes'"),
        ("serial:/dev/null?layers=64", "layers", "layers"),
        ("serial:/dev/null?array=sim", "array", "unknown option"),
        ("board:posix?array=pci", "array", "'spi'"),
        ("board:atmega328p?adc_noise=3", "adc_noise", "array=spi"),
        ("board:posix?paced=yes&array=spi", "paced", "paced"),
        ("board:arduino", "device", "atmega328p"),
        ("board:", "device", "posix"),
        ("serial:", "device", "needs a port"),
        ("serial:socket://localhost", "device", "socket://host:port"),
        ("serial:socket://:99", "device", "socket://host:port"),
        ("serial:socket://localhost:x", "device", "socket://host:port"),
        ("serial:socket://localhost:99999", "port", "65535"),
    ],
)
def test_what_a_url_may_not_say(text, key, says):
    with pytest.raises(ConfigError, match=says) as caught:
        hwzo.connect(text)
    assert caught.value.key == key


def test_suggestions_fill_in_and_urls_win():
    options = resolved(PortOptions, "serial:/dev/x?layers=3-2-1", network=Network((9, 8), "relu"), window=2.0, seed=5)
    assert (options.layers, options.activation, options.window, options.seed) == ("3-2-1", "relu", 2.0, 5)


@given(
    window=st.floats(1e-3, 8, allow_nan=False),
    seed=st.integers(0, 2**64 - 1),
    noise=st.floats(0, 0.5, allow_nan=False),
    timeout=st.floats(0.1, 100, allow_nan=False),
    readback=st.sampled_from([None, "loss", "nodes"]),
    array=st.sampled_from(["sim", "spi"]),
    paced=st.booleans(),
)
def test_options_survive_their_url(window, seed, noise, timeout, readback, array, paced):
    options = BoardOptions(
        window=window, seed=seed, read_noise=noise, timeout_s=timeout, readback=readback, array=array, paced=paced
    )
    text = str(DeviceURL("board", "posix", options.query()))
    assert resolved(BoardOptions, text) == options


@pytest.mark.parametrize(
    ("target", "kind"),
    [("/dev/ttyACM0", PortLine), ("socket://box:7000", SocketLine), ("socket://[::1]:7000", SocketLine)],
)
def test_targets(target, kind):
    assert isinstance(line_of(DeviceURL.parse(f"serial:{target}"), 9600), kind)


def test_one_port_one_lock(tmp_path):
    port = tmp_path / "ttyUSB0"
    port.touch()
    link = tmp_path / "by-id"
    link.symlink_to(port)
    names = {BACKEND.lock_name(DeviceURL.parse(f"serial:{path}?baud=9600")) for path in (port, link)}
    assert len(names) == 1
    assert BOARDS.lock_name(DeviceURL.parse("board:posix")) is None


def test_ports_are_listed_with_what_is_missing(monkeypatch, tmp_path):
    class Port:
        hwid, description, serial_number = "USB VID:PID=2341:0043", "Arduino Uno", "7563"

        def __init__(self, device):
            self.device = str(device)

        def __lt__(self, other):
            return self.device < other.device

    mine, foreign = tmp_path / "ttyACM0", tmp_path / "ttyACM1"
    mine.touch()
    monkeypatch.setattr("serial.tools.list_ports.comports", lambda: [Port(foreign), Port(mine)])
    first, second = BACKEND.listings()
    assert (first.url, first.available, first.emulated) == (f"serial:{mine}", True, False)
    assert "Arduino Uno, serial number 7563" in first.reason
    assert not second.available
    assert "dialout" in second.reason


def test_boards_are_listed_with_what_is_missing(monkeypatch):
    monkeypatch.setattr(backends.firmware, "missing", lambda needs: [n for n in needs if n.name == "avr-gcc"])
    lines = {line.url: line for line in BOARDS.listings()}
    assert set(lines) >= {f"board:{name}" for name in firmware.BOARDS}
    assert lines["board:posix"].available
    assert not lines["board:atmega328p"].available
    assert "sudo apt-get install gcc-avr" in lines["board:atmega328p"].reason
    assert all(line.emulated for line in lines.values())


# --- nobody, somebody else, something else ---


@pytest.fixture
def terminal():
    """(descriptor of the board's end, path)."""
    board, host = os.openpty()
    tty.setraw(board)
    tty.setraw(host)
    yield board, os.ttyname(host)
    os.close(board)
    os.close(host)


def test_no_such_port():
    with pytest.raises(DeviceError, match="no such port"):
        hwzo.connect("serial:/dev/ttyNONE9")


def test_nobody_listens():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(DeviceError, match="no connection"):
        hwzo.connect(f"serial:socket://127.0.0.1:{port}")


def test_a_busy_port_names_its_holder(terminal):
    _, path = terminal
    program = "import serial, sys; p = serial.Serial(sys.argv[1], exclusive=True); print('has it', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", program, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout.readline() == "has it\n"
        with pytest.raises(DeviceBusyError, match=rf"in use by process {holder.pid} \(python"):
            hwzo.connect(f"serial:{path}")
        holder.communicate("\n")


@pytest.mark.parametrize(
    ("says", "heard"),
    [
        (b"", "nothing came at all"),
        (b"\x8f\x1c\xe0\x7f\x00\x93", "no frames: another baud rate, or no HZ1 firmware"),
        (None, "looped back"),
    ],
)
def test_whoever_answers_is_told(terminal, monkeypatch, says, heard):
    """Silence, the noise of another baud rate, and a line that echoes."""
    monkeypatch.setattr("hwzo_backends.serial.session.GREETING_S", 0.6)
    board, path = terminal
    ended = threading.Event()

    def talk():
        while not ended.is_set():
            data = os.read(board, 4096)
            if says is None or says:
                os.write(board, data if says is None else says)

    thread = threading.Thread(target=talk, daemon=True)
    thread.start()
    with pytest.raises(DeviceTimeoutError, match=heard):
        hwzo.connect(f"serial:{path}")
    ended.set()
    host = os.open(path, os.O_RDWR | os.O_NOCTTY)
    os.write(host, b"x")
    thread.join(5)
    os.close(host)


def test_a_port_of_a_board_is_a_device(posix):
    """The terminal of a virtual board, opened as a user opens a real port: the same board, the same numbers."""
    del posix
    with firmware.start("posix") as board:
        device = hwzo.connect(f"{board.url}?layers=5-4-3&seed=2")
        assert device.info.emulated  # its array is
        assert device.info.url.startswith("serial:/dev/pts/")
        device.close()
