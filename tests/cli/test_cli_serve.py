"""``hwzo serve``: a line that says where, answers there, and nothing left behind when it is ended."""

import json
import signal
from pathlib import Path

import numpy as np
import pytest

from hwzo.probes import Batch, Probes
from hwzo.registry import connect
from hwzo.wire.client import Client
from hwzo.wire.transport import SerialTransport, SocketTransport

DEVICE = "crossbar:ideal?layers=4-2"


@pytest.mark.parametrize(("where", "number"), [("--pty", signal.SIGTERM), ("--tcp", signal.SIGINT)])
def test_serves_until_it_is_ended(process, ended, where, number):
    words = ("--tcp", "localhost:0") if where == "--tcp" else (where,)
    child = process("serve", "--device", DEVICE, *words, "--json")
    line = json.loads(child.stdout.readline())
    assert line.keys() == {"url", "device", "emulated", "pid"}
    assert (line["emulated"], line["pid"]) == (True, child.pid)
    path = line["url"].removeprefix("serial:")
    assert path.startswith("socket://localhost:" if where == "--tcp" else "/dev/pts/")
    device = connect(f"{line['url']}?layers=4-2&window=1")
    try:
        assert device.info.emulated
        device.program(np.zeros(10))
        losses = device.measure(Probes.plain(), Batch(np.zeros((1, 4)), np.zeros(1, dtype=np.int64))).losses
        assert abs(losses[0] - np.log(2)) < 1e-4
    finally:
        device.close()
    child.send_signal(number)
    done = ended(child)
    assert (done.code, done.out) == (128 + number, "")
    if where == "--tcp":
        with pytest.raises(Exception, match="no connection"):
            SocketTransport("localhost", int(path.rpartition(":")[2]))
    else:
        assert not Path(path).exists()


def test_a_signal_while_a_host_asks(process, ended):
    child = process("serve", "--device", DEVICE)
    url, says = child.stdout.readline().split(" ", 1)
    assert "speaks for crossbar:ideal?layers=4-2 (emulated)" in says
    client = Client(SerialTransport(url.removeprefix("serial:")))
    assert client.connect().window > 1
    assert client.description.model == "crossbar:ideal"
    child.send_signal(signal.SIGINT)
    assert ended(child).code == 130
    client.close()


def test_what_cannot_be_served(hwzo):
    assert hwzo("serve", "--device", DEVICE, "--pty", "--tcp", "localhost:0").code == 2
    assert hwzo("serve", "--device", "crossbar:nosuch").code == 2
    assert "HOST:PORT" in hwzo("serve", "--device", DEVICE, "--tcp", "5000").err
    assert hwzo("serve", "--device", DEVICE, "--tcp", "nosuch.invalid:5000").code == 3
    done = hwzo("serve", "--device", "crossbar:ideal?layers=4-2-2&activation=sigmoid", "--json")
    assert (done.code, done.json["error"]["type"]) == (4, "CapabilityError")
