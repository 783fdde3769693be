"""A bad cable: its faults come at their rates and from the seed, and HZ1 runs every command once through them."""

import os
import threading
import time
import zlib
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwzo import firmware
from hwzo.directions import Directions
from hwzo.errors import ConfigError, DeviceError
from hwzo.network import Network
from hwzo.testing.faults import Cable, Faults, Rates
from hwzo.wire.client import Client
from hwzo.wire.endpoint import Endpoint, Identity, RefusalError
from hwzo.wire.schema import (
    BeginBatch,
    Describe,
    DescribeReply,
    Evaluate,
    Hash,
    LawCode,
    LossCode,
    LossReply,
    Sample,
    SetKey,
    SetNetwork,
    Status,
    StepReply,
    Update,
)
from hwzo.wire.server import SocketServer, TerminalServer
from hwzo.wire.transport import SerialTransport, SocketTransport

BAD = Rates(drop=0.002, flip=0.002, duplicate=0.002, replay=0.002, delay=0.002, delay_s=0.002)


def joined(pieces):
    return b"".join(piece for _, piece in pieces)


@given(st.binary(max_size=2000))
def test_without_faults_nothing_happens(data):
    faults = Faults(Rates())
    assert joined(faults.pieces(data)) == data
    assert (faults.carried, set(faults.happened.values())) == (len(data), {0})


@given(st.binary(min_size=1, max_size=600), st.lists(st.integers(0, 600), max_size=8), st.integers(0, 2**32))
def test_faults_follow_from_seed_and_bytes_not_from_their_grouping(data, cuts, seed):
    rates = Rates(0.05, 0.05, 0.05, 0.05, 0.05)
    whole, parted = Faults(rates, seed), Faults(rates, seed)
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    parts = [piece for a, b in pairwise(edges) for piece in parted.pieces(data[a:b])]
    expected = whole.pieces(data)
    assert joined(parts) == joined(expected)
    assert sum(held for held, _ in parts) == sum(held for held, _ in expected)
    assert parted.happened == whole.happened


def test_rates_are_as_asked():
    n, rates = 400_000, Rates(0.002, 0.004, 0.006, 0.001, 0.003)
    for way in (0, 1):
        faults = Faults(rates, 7, way)
        faults.pieces(bytes(n))
        for kind, rate in rates.by_kind.items():  # binomial; 4.9 standard deviations are left once in 10^6
            assert abs(faults.happened[kind] - n * rate) < 4.9 * np.sqrt(n * rate * (1 - rate)), kind


def test_each_fault_does_what_it_is_called():
    data = bytes(np.random.default_rng(3).integers(0, 256, 20_000, dtype=np.uint8))

    def through(**rates):
        faults = Faults(Rates(**rates), 5)
        pieces = faults.pieces(data)
        (count,) = {faults.happened[kind] for kind in rates}
        assert count > 100
        return joined(pieces), count, pieces

    out, count, _ = through(drop=0.01)
    assert len(out) == len(data) - count
    out, count, _ = through(flip=0.01)
    differing = np.frombuffer(out, np.uint8) ^ np.frombuffer(data, np.uint8)
    assert np.bitwise_count(differing).sum() == count if hasattr(np, "bitwise_count") else True
    assert np.count_nonzero(differing) == count
    bits = np.bincount(np.log2(differing[differing > 0]).astype(int), minlength=8)
    assert (bits > 0).all()
    out, count, _ = through(duplicate=0.01)
    assert len(out) == len(data) + count
    out, count, pieces = through(delay=0.01)
    assert out == data
    assert sum(held for held, _ in pieces) == count
    out, count, _ = through(replay=0.01)
    assert len(data) + count <= len(out) <= len(data) + 128 * count
    # What is replayed was there before: every run of 8 bytes of it stands in the data, those across a seam aside.
    known = {data[i : i + 8] for i in range(len(data))}
    strange = sum(out[i : i + 8] not in known for i in range(len(out) - 7))
    assert strange <= 2 * 7 * count


def test_rates_that_cannot_be():
    for rates in ({"drop": -0.1}, {"flip": 1.1}, {"drop": 0.6, "delay": 0.6}, {"delay_s": float("nan")}):
        with pytest.raises(ConfigError):
            Rates(**rates)


class Counting:
    """A service that keeps what it was made to do; a loss is a number never given before."""

    def __init__(self):
        self.done, self.step = [], 0

    def run(self, request):
        if isinstance(request, Describe):
            numbers = (-32767, 32767, 1, 12, 10, 16, 0, 7, 3, 7, 3, 4, 512, 256, 8192, 8192, 4095, 0, 0)
            return DescribeReply(*numbers, "counting")
        if not isinstance(request, Evaluate | Update):
            raise RefusalError(Status.E_OP)
        if request.t != self.step:
            raise RefusalError(Status.E_RANGE, 0)
        self.done.append(request)
        if isinstance(request, Evaluate):
            return LossReply(len(self.done))
        self.step += 1
        return StepReply(self.step)

    def make_safe(self):
        pass


@pytest.fixture
def board():
    """A counting board at a terminal, or at a TCP port."""
    stop, threads = threading.Event(), []

    def start(tcp=False):
        service = Counting()
        endpoint = Endpoint(service, Identity(boot_id=5))
        server = SocketServer(endpoint, "localhost:0") if tcp else TerminalServer(endpoint)

        def run():
            with server:
                server.run(stop.is_set)

        threads.append(threading.Thread(target=run))
        threads[-1].start()
        return server.url, service

    yield start
    stop.set()
    for thread in threads:
        thread.join()


def commands(steps):
    for t in range(steps):
        yield from (Evaluate(t, 0, 100, 0), Evaluate(t, 1, -100, 0), Update(t, ((0, t % 50), (1, -3))))


def test_a_good_cable_changes_nothing(board):
    url, service = board()
    with Cable(url) as cable:
        client = Client(SerialTransport(cable.port))
        client.connect()
        assert sum(1 for _ in client.requests(commands(200))) == 600
        seen = client.statistics
        assert (seen.naks, seen.dropped) == (0, 0)
        assert seen.timeouts or not (seen.resent or seen.stray)  # a busy machine may keep the host waiting
        assert cable.carried == seen.bytes_sent + seen.bytes_received
        assert set(cable.happened.values()) == {0}
        client.close()
    assert service.done == list(commands(200))


@pytest.mark.parametrize("tcp", [False, True])
def test_every_command_is_run_once_through_a_bad_cable(board, tcp):
    url, service = board(tcp)
    steps = 300 if tcp else 700
    with Cable(url, BAD, seed=3, tcp="localhost:0" if tcp else None) as cable:
        if tcp:
            host, port = cable.port.removeprefix("socket://").split(":")
            client = Client(SocketTransport(host, int(port)))
        else:
            client = Client(SerialTransport(cable.port))
        client.connect(20.0)
        losses = [reply.loss for reply in client.requests(commands(steps)) if isinstance(reply, LossReply)]
        client.close()
        assert min(cable.happened.values()) > 20
    assert service.done == list(commands(steps))  # each once, in order
    assert losses == [number for number in range(1, 3 * steps + 1) if number % 3]  # and answered as it was run


def test_a_real_core_behind_a_bad_cable(tmp_path):
    lacking = firmware.missing(firmware.BOARDS["posix"].to_build)
    if lacking:
        assert not os.environ.get("CI"), lacking
        pytest.skip(f"needs Debian's {lacking[0].package}")
    steps, key = 500, 99
    with firmware.start("posix") as posix, Cable(posix.url, BAD, seed=4) as cable:
        client = Client(SerialTransport(cable.port))
        client.connect(20.0)
        client.request(SetNetwork(1, -8192, 8192, (4, 3, 2)))
        client.request(SetKey(key, LawCode.RADEMACHER, 0))
        client.request(BeginBatch(1, LossCode.CROSS_ENTROPY))
        client.request(Sample(0, 0, (1, 2, 3, 4, 1)))
        for _ in client.requests(commands(steps)):
            pass
        reply = client.request(Hash())
        client.close()
        assert min(cable.happened.values()) > 10
    along = Directions("rademacher", Network((4, 3, 2)).parameter_spec(), key)
    held = np.zeros(23, dtype=int)
    for t in range(steps):
        held = np.clip(held + np.array([t % 50, -3]) @ along.at(t, np.arange(2)).astype(int), -8192, 8192)
    assert (reply.step, reply.crc) == (steps, zlib.crc32(held.astype("<i2").tobytes()))


def test_the_plug_is_pulled_and_comes_back_elsewhere_behind_the_same_link(board, tmp_path):
    url, service = board()
    link = tmp_path / "board"
    with Cable(url, link=link) as cable:
        assert cable.url == f"serial:{link}"
        before = link.resolve()
        client = Client(SerialTransport(str(link)))
        client.connect()
        client.request(Update(0, ()))
        cable.unplug()
        assert not cable.plugged
        assert not link.is_symlink()
        with pytest.raises(DeviceError, match="gone"):
            client.request(Update(1, ()))
        client.close()
        with pytest.raises(DeviceError, match="no such port"):
            SerialTransport(str(link))
        cable.plug()
        assert link.resolve() not in (before, link)
        client = Client(SerialTransport(str(link)))
        assert client.connect().step == service.step == 1
        client.request(Update(1, ()))
        client.close()
    assert service.step == 2
    assert not link.is_symlink()
    with pytest.raises(DeviceError, match="closed"):
        cable.plug()


def test_the_plug_of_a_tcp_connection(board):
    url, service = board()
    with Cable(url, tcp="localhost:0") as cable:
        host, port = cable.port.removeprefix("socket://").split(":")
        client = Client(SocketTransport(host, int(port)))
        client.connect()
        cable.unplug()
        with pytest.raises(DeviceError, match="gone"):
            client.request(Update(0, ()))
        client.close()
        with pytest.raises(DeviceError, match="no connection"):
            SocketTransport(host, int(port))
        cable.plug()
        client = Client(SocketTransport(host, int(port)))
        assert client.connect().step == 0
        client.request(Update(0, ()))
        client.close()
    assert service.step == 1


def test_a_board_that_goes_away_takes_the_plug_with_it(tmp_path):
    master, slave = os.openpty()
    with Cable(os.ttyname(slave)) as cable:
        os.close(slave)
        os.close(master)
        deadline = time.monotonic() + 5
        while cable.plugged and time.monotonic() < deadline:
            time.sleep(0.01)
        assert "board's end" in cable.error
        with pytest.raises(DeviceError, match="board's end"):
            cable.plug()


def test_cables_that_cannot_be(board, tmp_path):
    url, _ = board()
    there = tmp_path / "file"
    there.touch()
    with pytest.raises(ConfigError, match="isn't a link"):
        Cable(url, link=there)
    with pytest.raises(ConfigError, match="HOST:PORT"):
        Cable(url, tcp="5000")
    with pytest.raises(ConfigError, match="with a link, or"):
        Cable(url, tcp="localhost:0", link=tmp_path / "x")
    with pytest.raises(DeviceError, match="can't be opened"):
        Cable(str(tmp_path / "nosuch"))
    with pytest.raises(DeviceError, match="no connection"):
        Cable("socket://localhost:1")
    assert Path(there).exists()
