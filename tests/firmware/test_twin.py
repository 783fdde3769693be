"""Boards against their twin in NumPy: every answer, refusals too, bit for bit; on posix, an AVR and a Cortex-M3."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hwzo
from hwzo import firmware
from hwzo.device import Update as ParameterUpdate
from hwzo.directions import directions
from hwzo.errors import ConfigError
from hwzo.network import Network, sample_losses
from hwzo.probes import Batch, Probes
from hwzo.wire.client import Client
from hwzo.wire.endpoint import Endpoint
from hwzo.wire.errors import CommandError
from hwzo.wire.schema import (
    Action,
    ActivationCode,
    BeginBatch,
    Checkpoint,
    Describe,
    Evaluate,
    Fetch,
    Hash,
    Latch,
    LatchWeights,
    LossCode,
    Noise,
    Read,
    Request,
    Sample,
    SetKey,
    SetNetwork,
    Statistics,
    Step,
    Update,
    Write,
)
from hwzo.wire.transport import MemoryTransport, SerialTransport
from hwzo_backends.serial.twin import Twin
from hwzo_backends.serial.twin_service import BUILDS, TwinService, identity

KEY = 0x0123456789ABCDEF


def need(name: str) -> None:
    """Skip with the reason where a laptop lacks the tools; fail where CI is set."""
    board = firmware.BOARDS[name]
    lacking = firmware.missing((*board.to_build, *board.to_run))
    if lacking:
        reason = f"needs Debian's {' '.join(sorted({requirement.package for requirement in lacking}))}"
        assert not os.environ.get("CI"), reason
        pytest.skip(reason)


def outcome(client: Client, request: Request):
    """What is answered: a message, or status and field of the refusal."""
    try:
        return client.request(request)
    except CommandError as error:
        return error.status, error.field


class Pair:
    """A board and its twin, told the same."""

    def __init__(self, board: firmware.VirtualBoard) -> None:
        self.board, self.build = board, BUILDS[board.board.name]
        self.real = Client(SerialTransport(board.port), timeout_s=60.0)
        self.service = TwinService(self.build)
        self.boots = 0
        self.board.eeprom.unlink(missing_ok=True)
        self.reset()

    def reset(self) -> None:
        """Both start anew; what is non-volatile stays."""
        self.board.reset()
        self.boots += 1
        self.service = TwinService(self.build, self.service.saved)
        endpoint = Endpoint(self.service, identity(self.boots, self.build))
        memory = MemoryTransport(endpoint.receive)
        self.twin = Client(memory, clock=memory.clock)
        real, twin = self.real.connect(), self.twin.connect()
        for name in ("window", "max_payload", "max_parameters", "step", "schema"):
            assert getattr(real, name) == getattr(twin, name), name

    def __call__(self, request: Request):
        """The answer, which is the same of both."""
        real, twin = outcome(self.real, request), outcome(self.twin, request)
        if isinstance(request, Statistics):  # time and line aren't the twin's
            real, twin = ((reply.safe, reply.reads, reply.writes) for reply in (real, twin))
        if isinstance(request, Describe):
            real.receive_buffer = twin.receive_buffer
            real.serial = 0
        assert real == twin, f"{request}: the board says {real}, the twin {twin}"
        return real

    def latched(self, count: int) -> np.ndarray:
        """All of the latch, in chunks."""
        chunk = self.build.max_payload // 2
        parts = [self(Fetch(at, min(chunk, count - at))).values for at in range(0, count, chunk)]
        return np.array([value for part in parts for value in part])

    def close(self) -> None:
        self.real.close()


@contextmanager
def paired(name: str) -> Iterator[Pair]:
    need(name)
    with firmware.start(name) as board:
        pair = Pair(board)
        try:
            yield pair
        finally:
            pair.close()


@pytest.fixture(scope="module")
def posix() -> Iterator[firmware.VirtualBoard]:
    need("posix")
    with firmware.start("posix") as board:
        yield board


def exercise(pair: Pair, rng, widths, activation, law, loss, window, sds, samples, steps, chunk) -> None:
    """A short training: network, noise, parameters, batch; probes read back; steps; the same parameters at the end."""
    size = pair(SetNetwork(activation, -window, window, widths)).parameters
    pair(Describe())
    pair(SetKey(KEY, law, 7))
    pair(Noise(0xFEDCBA9876543210, *sds))
    values = np.clip(rng.normal(0, window / 3, size), -window, window).astype(int).tolist()
    for at in range(0, size, chunk):
        pair(Write(at, tuple(values[at : at + chunk])))
    row = pair(BeginBatch(samples, loss)).row
    rows = rng.integers(-128, 128, (samples, row))
    rows[0, : widths[0]], rows[-1, : widths[0]] = 127, -128  # the largest sums
    if loss == LossCode.CROSS_ENTROPY:
        rows[:, -1] = rng.integers(0, widths[-1], samples)
    for index, values in enumerate(rows.tolist()):
        for at in range(0, row, chunk):
            pair(Sample(index, at, tuple(values[at : at + chunk])))
    nodes = samples * sum(widths[1:])
    for k, scale in ((0, 0), (1, 77), (1, -77), (60000, 32767)):
        pair(Evaluate(7, k, scale, Latch.NODES))
        pair.latched(nodes)
        for repeat in (0, 65535):
            pair(LatchWeights(1, size - 1, repeat))
            pair.latched(min(size - 1, 200))
    pair(Evaluate(7, 3, 50, Latch.OUTPUTS))
    pair.latched(samples * widths[-1])
    pair(Update(7, ((5, 300), (6, -200), (5, 32767), (5, -32768), (9, 1))))
    for t in range(8, 8 + steps):
        pair(Step(t, ((0, int(rng.integers(-300, 300))),), ((0, 20), (0, -20), (t, 0), (2, 5))))
    pair(Hash())
    pair(Statistics())


TANH, RELU, LINEAR = ActivationCode.TANH, ActivationCode.RELU, ActivationCode.LINEAR


@pytest.mark.parametrize("seed", range(24))
def test_any_network_on_posix(posix: firmware.VirtualBoard, seed: int):
    rng = np.random.default_rng(seed)
    widths = tuple(int(n) for n in rng.integers(1, 40, rng.integers(2, 6)))
    widths = (int(rng.integers(100, 700)), *widths[1:]) if seed % 4 == 0 else widths
    sds = (0, 0, 0) if seed % 3 == 0 else tuple(int(sd) for sd in rng.choice([0, 1, 30, 400, 4096], 3))
    window = int(rng.choice([200, 4096, 23000]))
    pair = Pair(posix)
    try:
        exercise(
            pair,
            rng,
            widths,
            ActivationCode(seed % 3),
            seed // 3 % 2,
            LossCode(seed // 2 % 2),
            window,
            sds,
            int(rng.integers(1, 20)),
            6,
            500,
        )
    finally:
        pair.close()


@pytest.mark.parametrize("sds", [(0, 0, 0), (120, 80, 60)])
@pytest.mark.parametrize("law", [0, 1])
def test_49_4_4_on_an_avr(law: int, sds):
    with paired("atmega328p") as pair:
        exercise(pair, np.random.default_rng(law), (49, 4, 4), TANH, law, LossCode(law), 8192, sds, 4, 3, 28)


@pytest.mark.parametrize(
    ("widths", "activation", "sds"), [((64, 32, 10), TANH, (0, 0, 40)), ((30, 7, 9, 3), RELU, (9, 9, 9))]
)
def test_on_a_cortex_m3(widths, activation, sds):
    with paired("cortex-m3") as pair:
        exercise(pair, np.random.default_rng(5), widths, activation, 1, LossCode.CROSS_ENTROPY, 8192, sds, 8, 4, 240)


# --- sequences of commands ---

NUMBERS = st.one_of(st.integers(0, 6), st.integers(0, 65535))
SMALL = st.integers(0, 5)
I16 = st.one_of(st.integers(-300, 300), st.sampled_from([-32768, -32767, 32767]))
I16S = st.lists(I16, max_size=12).map(tuple)
PAIRS = st.lists(st.tuples(NUMBERS, I16), max_size=4).map(tuple)
STEPS = st.one_of(SMALL, st.sampled_from([2**32 - 2, 2**32 - 1]))
SDS = st.sampled_from([0, 1, 50, 4096, 4097])
COMMANDS = st.one_of(
    st.builds(
        SetNetwork,
        st.integers(0, 3),
        st.sampled_from([-32768, -32767, -4096, -1, 0, 1]),
        st.sampled_from([32767, 4096, 0, -1]),
        st.lists(st.integers(0, 6), max_size=4).map(tuple),
    ),
    st.builds(SetNetwork, st.integers(0, 2), st.just(-4096), st.just(4096), st.just((3, 4, 2))),
    st.builds(SetKey, st.integers(0, 2**64 - 1), st.integers(0, 2), STEPS),
    st.builds(Write, st.integers(0, 40), I16S),
    st.builds(Read, st.integers(0, 40), NUMBERS),
    st.builds(LatchWeights, st.integers(0, 40), st.integers(0, 40), NUMBERS),
    st.builds(Fetch, st.integers(0, 40), st.integers(0, 40)),
    st.builds(BeginBatch, st.one_of(SMALL, st.sampled_from([512, 513])), st.integers(0, 2)),
    st.builds(Sample, SMALL, SMALL, st.lists(st.integers(-128, 127), max_size=6).map(tuple)),
    st.builds(Evaluate, STEPS, NUMBERS, I16, st.integers(0, 4)),
    st.builds(Update, STEPS, PAIRS),
    st.builds(Step, STEPS, PAIRS, st.lists(st.tuples(NUMBERS, I16), max_size=5).map(tuple)),
    st.builds(Noise, st.integers(0, 2**64 - 1), SDS, SDS, SDS),
    st.builds(Checkpoint, st.sampled_from([*Action, 2])),
    st.builds(Hash),
    st.builds(Describe),
    st.builds(Statistics),
    st.none(),  # a reset
)
READY = (
    SetNetwork(TANH, -4096, 4096, (3, 4, 2)),
    SetKey(KEY, 1, 0),
    Noise(3, 20, 30, 40),
    BeginBatch(3, 0),
    Sample(1, 0, (5, -100, 127, 1)),
)


@settings(max_examples=120)
@given(ready=st.booleans(), commands=st.lists(COMMANDS, min_size=5, max_size=30))
def test_any_sequence_of_commands(posix: firmware.VirtualBoard, ready: bool, commands: list[Request | None]):
    pair = Pair(posix)
    try:
        for request in (*(READY if ready else ()), *commands):
            if request is None:
                pair.reset()
            else:
                pair(request)
        pair(Hash())
        pair(Statistics())
    finally:
        pair.close()


def test_steps_that_do_not_change_between_them(posix: firmware.VirtualBoard):
    """A session that no command of it fails: every kind of command at the step that the board is at."""
    rng = np.random.default_rng(11)
    pair = Pair(posix)
    try:
        for request in READY:
            pair(request)
        t = 0
        for turn in range(300):
            choice = int(rng.integers(7))
            pairs = tuple(
                (int(k), int(c)) for k, c in zip(rng.integers(0, 9, 2), rng.integers(-500, 500, 2), strict=True)
            )
            if choice == 0:
                t = pair(Update(t, pairs)).step
            elif choice == 1:
                pair(Step(t, pairs, pairs))
                t += 1
            elif choice == 2:
                pair(Write(int(rng.integers(20)), (int(rng.integers(-4096, 4097)),)))
            elif choice == 3:
                pair(LatchWeights(0, 26, turn))
                pair.latched(26)
            elif choice == 4 and turn % 3 == 0:
                pair(Checkpoint(Action.SAVE))
            elif choice == 4:
                t = getattr(pair(Checkpoint(Action.LOAD)), "step", t)
                pair(BeginBatch(3, 0))
            else:
                pair(Evaluate(t, turn, int(rng.integers(-4000, 4000)), Latch.NODES))
                pair.latched(18)
        pair(Hash())
    finally:
        pair.close()


def test_a_board_counts_its_largest_numbers_right(posix: firmware.VirtualBoard):
    """At the bounds of what a network may hold, sums, nodes, losses and noise reach their ends."""
    for widths in ((506, 2), (507, 2), (4096, 3, 3), (2, 255)):
        limit = min(32767, 2113000000 // (127 * (widths[0] + 1)))
        pair = Pair(posix)
        try:
            pair(SetNetwork(LINEAR, -limit - 1, limit, widths))
            size = pair(SetNetwork(LINEAR, -limit, limit, widths)).parameters
            columns = np.resize([limit, -limit], size).tolist()
            for at in range(0, size, 500):
                pair(Write(at, tuple(columns[at : at + 500])))
            for sds in ((0, 0, 0), (4096, 4096, 4096)):
                pair(Noise(5, *sds))
                for loss in LossCode:
                    row = pair(BeginBatch(2, loss)).row
                    for index, drive in enumerate((127, -128)):
                        full = [drive] * widths[0] + [0] * (row - widths[0])
                        for at in range(0, row, 1000):
                            pair(Sample(index, at, tuple(full[at : at + 1000])))
                    pair(Evaluate(0, 0, 0, Latch.NODES))
                    pair.latched(2 * sum(widths[1:]))
        finally:
            pair.close()


# --- the twin alone ---


def test_the_twin_is_near_the_network_in_real_numbers():
    """Within what rounding to a board's units can do."""
    rng = np.random.default_rng(3)
    network = Network((20, 8, 5))
    twin = Twin(network.layers)
    weights = rng.normal(0, 1200, twin.spec.size).round()
    rows = rng.integers(-127, 128, (16, 21))
    rows[:, -1] = rng.integers(0, 5, 16)
    twin.program(0, weights.astype(np.int64))
    twin.set_batch(rows.astype(np.int8), LossCode.CROSS_ENTROPY)
    loss = twin.evaluate() / 65536
    hidden, outputs = network.forward(weights / 4096, rows[:, :20] / 127)
    np.testing.assert_allclose(twin.nodes[:, :8] / 1024, hidden, atol=0.6 / 1024, rtol=7e-5)
    spread = np.abs(weights[-45:-5].reshape(8, 5) / 4096).sum(axis=0) * (0.5 / 127 + 4 / 1024)
    assert (np.abs(twin.nodes[:, 8:] / 1024 - outputs) <= spread + 1e-3).all()
    assert abs(loss - sample_losses(twin.nodes[:, 8:] / 1024, rows[:, -1], "cross-entropy").mean()) < 1e-4


def test_a_network_needs_a_key_for_its_directions():
    with pytest.raises(RuntimeError, match="set_key"):
        Twin((2, 2)).update([(0, 1)])


# --- as a device ---


def test_as_a_device_it_is_the_board(posix: firmware.VirtualBoard):
    """The same numbers, read back and lost alike, whatever noise is on; nothing has to be compiled for one of them."""
    options = "layers=5-4-3&read_noise=0.01&programming=0.02&node_noise=0.03&seed=9"
    rng = np.random.default_rng(0)
    batch = Batch(rng.uniform(-1, 1, (7, 5)), rng.integers(0, 3, 7))
    seen = []
    for name in ("posix", "twin"):
        device = hwzo.connect(f"board:{name}?{options}")
        theta = np.round(np.linspace(-0.5, 0.5, device.parameters.size) * 4096) / 4096
        device.program(theta)
        losses = device.measure(Probes(np.arange(5), np.full(5, 0.1), key=3), batch)
        step = 0.25 * directions("rademacher", device.parameters, key=3, step=0, counters=np.array([2]))[0]
        device.apply(ParameterUpdate(theta + step, step, 0, np.array([2]), np.array([0.25])))
        nodes = device.measure(Probes(np.arange(2), np.full(2, 0.1), key=3, step=1, want="weights"), batch)
        seen.append((losses.losses, nodes.losses, *nodes.nodes, nodes.realised, device.read(2)))
        assert device.info.emulated
        device.close()
    for real, twin in zip(*seen, strict=True):
        np.testing.assert_array_equal(real, twin)


def test_a_run_on_it_is_the_run_on_the_board(posix: firmware.VirtualBoard, tmp_path: Path):
    """A board with all kinds of noise, trained by seeds: every look and the last bit of the parameters."""
    runs = []
    for name in ("posix", "twin"):
        result = hwzo.train(
            "xor",
            f"board:{name}?read_noise=0.01&programming=0.02&node_noise=0.02",
            method="spsa",
            update="sgd",
            rate=0.05,
            scale=0.1,
            budget="200 evaluations",
            validate_every=50,
            run=tmp_path / name,
        )
        run = hwzo.load_run(result.run)
        runs.append((result.parameters_crc32, result.loss, run.curve["loss"].tolist(), run.validations))
    assert runs[0] == runs[1]


@pytest.mark.parametrize("like", [name for name in BUILDS if name != "posix"])
def test_it_is_as_small_as_another_board(like: str):
    need(like)
    with firmware.start(like) as board:
        client = Client(SerialTransport(board.port))
        client.connect()
        client.request(SetNetwork(TANH, -4096, 4096, (9, 5, 2)))
        real = client.request(Describe())
        client.close()
    device = hwzo.connect(f"board:twin?like={like}&layers=9-5-2")
    assert device.capabilities.max_batch == real.max_samples
    device.close()


@pytest.mark.parametrize(
    ("url", "key"),
    [("board:twin?baud=9600", "baud"), ("board:twin?paced=1", "paced"), ("board:posix?like=atmega328p", "like")],
)
def test_what_makes_no_sense_is_refused(url: str, key: str):
    with pytest.raises(ConfigError, match=key) as caught:
        hwzo.connect(url)
    assert caught.value.key == key
