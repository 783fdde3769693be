"""Transports on a pseudo-terminal and a socket, with the board's side in a thread; and every way that opening fails."""

import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
import tty
from pathlib import Path

import pytest

from hwzo.errors import ConfigError, DeviceBusyError, DeviceError, DeviceTimeoutError
from hwzo.wire import transport as transports
from hwzo.wire.client import Client
from hwzo.wire.schema import Evaluate, Write
from hwzo.wire.transport import MemoryTransport, SerialTransport, SocketTransport


@contextlib.contextmanager
def pseudo_terminal():
    """(descriptor of the board's end, path of the host's end)."""
    board, host = os.openpty()
    tty.setraw(board)
    tty.setraw(host)
    path = os.ttyname(host)
    try:
        yield board, path
    finally:
        for descriptor in (board, host):
            with contextlib.suppress(OSError):
                os.close(descriptor)


@contextlib.contextmanager
def served(endpoint, receive, send):
    """Answers in a thread until ``receive`` gives nothing or fails."""

    def loop():
        with contextlib.suppress(OSError):
            while data := receive():
                answer = endpoint.receive(data)
                if answer:
                    send(answer)

    thread = threading.Thread(target=loop, daemon=True)
    thread.start()
    yield


def test_a_thousand_commands_through_a_pseudo_terminal(hostile_line):
    line = hostile_line()
    with (
        pseudo_terminal() as (board, path),
        served(line.endpoint, lambda: os.read(board, 4096), lambda data: os.write(board, data)),
    ):
        client = Client(SerialTransport(path))
        client.connect()
        assert path in client.where
        commands = [Write(i % 64, tuple(range(20))) for i in range(1000)]
        list(client.requests(commands))
        assert line.service.done == commands
        seen = client.statistics
        assert seen.naks == seen.dropped == 0
        assert seen.timeouts or not seen.resent  # a busy machine may keep it waiting; nothing else makes it ask again
        client.close()
        client.close()
        with pytest.raises(RuntimeError, match="connect"):
            client.request(Evaluate(0, 0, 0, 0))


def test_a_thousand_commands_through_a_socket(hostile_line):
    line = hostile_line()
    with socket.create_server(("127.0.0.1", 0)) as server:
        transport = SocketTransport(*server.getsockname())
        accepted, _ = server.accept()
        with accepted, served(line.endpoint, lambda: accepted.recv(4096), accepted.sendall):
            client = Client(transport)
            client.connect()
            start = time.monotonic()
            losses = [client.request(Evaluate(0, k, 1, 0)).loss for k in range(100)]
            assert losses == list(range(1, 101))
            assert time.monotonic() - start < 2.0  # with Nagle's algorithm a round trip would take 40 ms
            transport.close()
            transport.close()
    with pytest.raises(DeviceError, match="closed"):
        transport.write(b"1")


def test_nobody_listens():
    with socket.create_server(("127.0.0.1", 0)) as server:
        host, port = server.getsockname()
    with pytest.raises(DeviceError, match="no connection"):
        SocketTransport(host, port)
    with pytest.raises(ConfigError, match="port=70000"):
        SocketTransport(host, 70_000)


def test_reads_take_what_there_is_and_wait_no_longer_than_asked():
    with pseudo_terminal() as (board, path):
        transport = SerialTransport(path, 1_000_000)
        start = time.monotonic()
        assert transport.read(0.1) == b""
        assert 0.09 < time.monotonic() - start < 1.0
        os.write(board, b"abc")
        start = time.monotonic()
        assert transport.read(5.0) == b"abc"
        assert time.monotonic() - start < 1.0
        transport.write(bytes(range(256)))
        assert os.read(board, 1000) == bytes(range(256))  # no byte is special
        transport.close()


def test_a_pulled_plug_is_an_error_of_the_device():
    with pseudo_terminal() as (board, path):
        transport = SerialTransport(path)
        os.close(board)
        with pytest.raises(DeviceError, match=r"is gone.*unplugged"):
            transport.read(0.5)
        with pytest.raises(DeviceError, match="is gone"):
            transport.write(b"1")
        transport.close()


def test_a_board_that_takes_nothing(monkeypatch):
    monkeypatch.setattr(transports, "WRITE_TIMEOUT_S", 0.2)
    with pseudo_terminal() as (_, path):
        transport = SerialTransport(path)
        with pytest.raises(DeviceTimeoutError, match="took no bytes"):
            transport.write(bytes(1 << 20))
        transport.close()


def test_a_port_in_use_names_who_uses_it():
    with pseudo_terminal() as (_, path):
        code = f"import serial,time; p=serial.Serial({path!r}, exclusive=True); print(1, flush=True); time.sleep(30)"
        holder = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
        try:
            assert holder.stdout is not None
            holder.stdout.readline()
            with pytest.raises(DeviceBusyError, match=f"process {holder.pid}"):
                SerialTransport(path)
        finally:
            holder.kill()
            holder.communicate()
        SerialTransport(path).close()  # and once it is gone, it is free


def test_ports_that_cannot_be_opened(tmp_path, monkeypatch):
    with pytest.raises(DeviceError, match=r"no such port; serial ports here"):
        SerialTransport("/dev/ttyNOSUCH9")
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(DeviceError, match="can't be opened as a serial port"):
        SerialTransport(str(file))
    with pytest.raises(ConfigError, match="baud=0"):
        SerialTransport(str(file), 0)

    import serial

    def denied(*args, **kwargs):
        raise serial.SerialException(13, "could not open port: Permission denied")

    monkeypatch.setattr(serial, "Serial", denied)
    file.chmod(0o600)
    with pytest.raises(DeviceError, match=r"no permission.*udev"):  # no group would help
        SerialTransport(str(file))
    file.chmod(0o660)
    monkeypatch.setattr(Path, "group", lambda path: "dialout")
    with pytest.raises(DeviceError, match=r"no permission.*usermod -aG dialout"):
        SerialTransport(str(file))


def test_memory_has_a_clock_of_its_own():
    transport = MemoryTransport(lambda data: data[::-1], latency_s=0.5)
    transport.write(b"abc")
    assert transport.read(9.0) == b"cba"
    assert transport.clock() == 0.5
    assert transport.read(9.0) == b""
    assert transport.clock() == 9.5
    transport.close()
    with pytest.raises(DeviceError):
        transport.read(0.0)
