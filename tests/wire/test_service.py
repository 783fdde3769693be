"""HZ1 in front of devices: answers are the device's own, in units; what it can't do is refused and changes nothing."""

import threading
import zlib

import numpy as np
import pytest

from hwzo.directions import Directions
from hwzo.errors import CapabilityError, ConfigError
from hwzo.network import Network
from hwzo.probes import Batch, Probes
from hwzo.registry import connect
from hwzo.testing.conformance import run_conformance
from hwzo.testing.quadratic import QuadraticDevice
from hwzo.wire.client import Client
from hwzo.wire.errors import CommandError
from hwzo.wire.schema import (
    Action,
    BeginBatch,
    Checkpoint,
    Describe,
    Evaluate,
    Fetch,
    Hash,
    Latch,
    LatchWeights,
    LawCode,
    LossCode,
    Noise,
    Read,
    Sample,
    SetKey,
    SetNetwork,
    Statistics,
    Status,
    Step,
    Update,
    Write,
)
from hwzo.wire.server import SocketServer, TerminalServer
from hwzo.wire.service import DeviceService, endpoint_of
from hwzo.wire.transport import MemoryTransport

WIDTHS, SIZE, KEY, UNIT = (4, 3, 2), 23, 0x1234, 2.0**-12
URL = "crossbar:ideal?layers=4-3-2&window=2&engine=numpy"
INPUTS = np.array([[127, -127, 0, 64], [1, 2, 3, 4], [-90, 80, -70, 60]])
CLASSES = np.array([1, 0, 1])


def client_of(service):
    client = Client(MemoryTransport(endpoint_of(service, 3).receive))
    client.connect()
    return client


def fixed(url=URL):
    return DeviceService(connect(url))


def prepared(url=URL, seed=1):
    """A client of a board with network, key, batch and parameters; the parameters, units."""
    client = client_of(fixed(url))
    client.request(SetNetwork(1, -8192, 8192, WIDTHS))
    client.request(SetKey(KEY, LawCode.RADEMACHER, 7))
    client.request(BeginBatch(3, LossCode.CROSS_ENTROPY))
    for index, row in enumerate(INPUTS):
        client.request(Sample(index, 0, (*row.tolist(), int(CLASSES[index]))))
    held = np.random.default_rng(seed).integers(-8192, 8193, SIZE)
    client.request(Write(0, tuple(held[:10].tolist())))
    client.request(Write(10, tuple(held[10:].tolist())))
    return client, held


def refused(client, request):
    with pytest.raises(CommandError) as error:
        client.request(request)
    return error.value.status, error.value.field


def batch():
    return Batch(INPUTS / 127, CLASSES)


@pytest.mark.parametrize(("k", "scale"), [(0, 0), (3, 200), (65535, -410)])
def test_a_loss_is_the_devices_own(k, scale):
    client, held = prepared()
    device = connect(URL)
    device.program(held * UNIT)
    probes = Probes(np.array([k]), np.array([scale * UNIT]), key=KEY, step=7)
    expected = device.measure(probes, batch()).losses[0]
    assert client.request(Evaluate(7, k, scale, 0)).loss == round(expected * 65536)


def test_an_update_is_what_the_directions_say_and_stops_at_the_bounds():
    client, held = prepared()
    pairs = ((0, 500), (1, -30), (9, 32000))
    assert client.request(Update(7, pairs)).step == 8
    along = Directions("rademacher", Network(WIDTHS).parameter_spec(), KEY).at(7, np.array([0, 1, 9]))
    expected = np.clip(held + np.array([500, -30, 32000]) @ along.astype(int), -8192, 8192)
    assert np.array_equal(client.request(Read(0, SIZE)).values, expected)
    reply = client.request(Hash())
    assert (reply.crc, reply.step) == (zlib.crc32(expected.astype("<i2").tobytes()), 8)


def test_a_step_is_an_update_and_evaluations():
    one, _ = prepared()
    other, _ = prepared()
    pairs, evaluations = ((2, 11), (3, -12)), ((0, 40), (1, -40), (5, 0))
    one.request(Update(7, pairs))
    losses = tuple(one.request(Evaluate(8, k, scale, 0)).loss for k, scale in evaluations)
    assert other.request(Step(7, pairs, evaluations)).losses == losses
    assert other.request(Hash()) == one.request(Hash())
    assert other.request(Step(8, (), ())).losses == ()


def test_nodes_and_outputs_are_latched_sample_by_sample():
    client, held = prepared()
    device = connect(URL)
    device.program(held * UNIT)
    nodes = device.measure(Probes.plain(want="nodes"), batch()).nodes
    expected = np.concatenate([layer[0] for layer in nodes], axis=1)
    client.request(Evaluate(7, 0, 0, Latch.NODES))
    got = np.array(client.request(Fetch(0, 15)).values).reshape(3, 5)
    assert np.abs(got / 1024 - expected).max() <= 0.5 / 1024
    client.request(Evaluate(7, 0, 0, Latch.OUTPUTS))
    assert np.array_equal(client.request(Fetch(2, 4)).values, got[1:, 3:].ravel())
    client.request(Write(0, (5,)))
    assert refused(client, Fetch(0, 1)) == (Status.E_RANGE, 255)


def test_weights_are_latched_in_parts_of_one_reading_and_read_anew_for_another_repeat():
    client, _ = prepared(URL + "&sigma=0.1&seed=4")
    client.request(Evaluate(7, 0, 0, 0))

    def read(repeat, parts):
        got = []
        for offset, count in parts:
            client.request(LatchWeights(offset, count, repeat))
            got += client.request(Fetch(0, count)).values
        return got

    whole = read(0, [(0, SIZE)])
    assert read(0, [(0, 9), (9, SIZE - 9)]) == whole
    held = client.request(Read(0, SIZE)).values
    apart = (np.array(whole) - held) * UNIT
    assert 0.05 < apart.std() < 0.2  # 23 draws of sd 0.1: chi^2 leaves [0.05, 0.2] once in 10^5
    client.request(Evaluate(7, 0, 0, 0))
    assert read(0, [(0, SIZE)]) != whole


def test_squared_error_rows():
    client, held = prepared()
    assert client.request(BeginBatch(1, LossCode.SQUARED_ERROR)).row == 6
    client.request(Sample(0, 0, (127, 0, 0, 0, -127, 127)))
    device = connect(URL)
    device.program(held * UNIT)
    expected = device.measure(
        Probes.plain(), Batch(np.array([[1.0, 0, 0, 0]]), np.array([[-1.0, 1.0]]), "squared-error")
    ).losses[0]
    assert client.request(Evaluate(7, 0, 0, 0)).loss == round(expected * 65536)


def test_what_it_cannot_do_is_refused_and_changes_nothing():
    client, _ = prepared()
    before = client.request(Hash())
    batches = client.request(Evaluate(7, 0, 0, 0)).loss
    cases = [
        (Evaluate(8, 0, 0, 0), (Status.E_RANGE, 0)),
        (Update(6, ((0, 1),)), (Status.E_RANGE, 0)),
        (Step(7, ((0, 1),), ((0, 1),) * 5), (Status.E_RANGE, 2)),
        (Write(0, (0, 8193)), (Status.E_RANGE, 1)),
        (Write(22, (0, 0)), (Status.E_RANGE, 0)),
        (Read(20, 4), (Status.E_RANGE, 0)),
        (Sample(3, 0, (1,)), (Status.E_RANGE, 0)),
        (Sample(0, 4, (2,)), (Status.E_RANGE, 2)),
        (Sample(0, 3, (1, 1, 1)), (Status.E_RANGE, 1)),
        (BeginBatch(0, 0), (Status.E_RANGE, 0)),
        (BeginBatch(1, 9), (Status.E_RANGE, 1)),
        (SetKey(1, 7, 0), (Status.E_RANGE, 1)),
        (SetNetwork(1, -8192, 8192, (4, 2)), (Status.E_RANGE, 3)),
        (SetNetwork(2, -8192, 8192, WIDTHS), (Status.E_RANGE, 0)),
        (SetNetwork(1, -9000, 8192, WIDTHS), (Status.E_RANGE, 1)),
        (SetNetwork(1, 1, 8192, WIDTHS), (Status.E_RANGE, 1)),
        (SetNetwork(1, -8192, 9000, WIDTHS), (Status.E_RANGE, 2)),
        (Checkpoint(Action.SAVE), (Status.E_OP, 255)),
        (Noise(1, 1, 1, 1), (Status.E_OP, 255)),
        (LatchWeights(20, 4, 0), (Status.E_RANGE, 0)),
    ]
    for request, reason in cases:
        assert refused(client, request) == reason, request
    assert client.request(Hash()) == before
    assert client.request(Evaluate(7, 0, 0, 0)).loss == batches


def test_a_device_that_gives_a_loss_only():
    client, _ = prepared(URL + "&readback=loss")
    assert client.request(Describe()).reads == 0
    assert refused(client, Evaluate(7, 0, 0, Latch.NODES)) == (Status.E_RANGE, 3)
    assert refused(client, LatchWeights(0, 1, 0)) == (Status.E_OP, 255)


def test_first_things_come_first():
    client = client_of(fixed())
    for request in (Hash(), Read(0, 1), Evaluate(0, 0, 0, 0), BeginBatch(1, 0), Update(0, ()), SetKey(0, 0, 0)):
        assert refused(client, request) == (Status.E_RANGE, 255), request


def test_a_host_chooses_network_and_window_where_the_url_leaves_them_open():
    opened = []

    def reopen(network, window):
        opened.append((network.layers, network.activation, window))
        if network.layers[-1] == 7:
            raise ConfigError("no seven")
        return connect("crossbar:ideal", network=network, window=window)

    client = client_of(DeviceService(connect("crossbar:ideal?engine=numpy"), reopen, any_window=True))
    assert (client.description.lower, client.description.upper) == (-32767, 32767)
    assert client.request(SetNetwork(2, -2048, 2048, (3, 2, 2))).parameters == 14
    client.request(Write(0, (7, 8, 9)))
    assert refused(client, SetNetwork(1, -4096, 4096, (3, 7))) == (Status.E_RANGE, 3)
    assert opened == [((3, 2, 2), "relu", 0.5), ((3, 7), "tanh", 1.0), ((3, 2, 2), "relu", 0.5)]
    assert client.request(Read(0, 4)).values == (7, 8, 9, 0)
    assert client.request(Describe()) == client.description


def test_devices_that_hz1_has_no_words_for():
    for device in (
        QuadraticDevice(),
        connect("crossbar:ideal?layers=8x8x1-4c3-2"),
        connect(URL + "&activation=sigmoid"),
    ):
        with pytest.raises(CapabilityError, match="HZ1 knows"):
            DeviceService(device)


def test_statistics_count_what_the_device_did():
    client, _ = prepared()
    before = client.request(Statistics())
    client.request(Evaluate(7, 0, 0, 0))
    after = client.request(Statistics())
    assert after.frames == before.frames + 2
    assert after.reads == before.reads + 2 * 3  # two layers, three samples
    assert (after.bad, after.duplicates, after.gaps, after.safe) == (0, 0, 0, 0)


@pytest.fixture
def serving():
    """Serve devices in threads."""
    stop, threads = threading.Event(), []

    def start(service, address=None):
        endpoint = endpoint_of(service, 9)
        server = TerminalServer(endpoint) if address is None else SocketServer(endpoint, address)

        def run():
            with server:
                server.run(stop.is_set)

        threads.append(threading.Thread(target=run))
        threads[-1].start()
        return server.url

    yield start
    stop.set()
    for thread in threads:
        thread.join()


@pytest.mark.parametrize("address", [None, "localhost:0"])
def test_a_served_device_is_a_device_and_says_that_it_is_emulated(serving, address):
    url = serving(fixed(), address)
    theta = np.random.default_rng(2).integers(-8192, 8193, SIZE) * UNIT
    probes = Probes(np.arange(4), np.full(4, 100 * UNIT), key=5, step=1, want="nodes")
    here = connect(URL)
    here.program(theta)
    expected = here.measure(probes, batch())
    for _ in range(2):  # a host may come again
        there = connect(f"{url}?layers=4-3-2&window=2")
        try:
            assert there.info.emulated
            there.program(theta)
            got = there.measure(probes, batch())
            for mine, theirs in zip(got.nodes, expected.nodes, strict=True):
                assert np.abs(mine - theirs).max() <= 0.5 / 1024
            # Of outputs rounded to 2^-10 a loss is computed by the host: the mean of |softmax - onehot| <= 2 roundings.
            assert np.abs(got.losses - expected.losses).max() <= 2**-10
        finally:
            there.close()


def test_a_served_device_passes_the_conformance_kit(serving):
    url = serving(fixed(URL + "&node_noise=0.1"))  # a host takes it that a chip's nodes are noisy
    report = run_conformance(f"{url}?layers=4-3-2&window=2")
    assert report.failed == 0, [r for r in report.results if r.status == "failed"]


def test_addresses():
    endpoint = endpoint_of(fixed(), 1)
    for address in ("5000", "localhost", "localhost:x", "localhost:99999", ":1"):
        with pytest.raises(ConfigError, match="HOST:PORT"):
            SocketServer(endpoint, address)
