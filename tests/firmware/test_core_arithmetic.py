"""The posix board against a twin in plain whole numbers, written from docs/firmware-arithmetic.md alone."""

import math
import os
import runpy
import shutil
import subprocess
import zlib
from pathlib import Path

import numpy as np
import pytest

from hwzo.directions import directions
from hwzo.network import Network, sample_losses
from hwzo.philox import philox4x32
from hwzo.wire.frames import Frame, Splitter, burst, encoded
from hwzo.wire.messages import pack, unpack
from hwzo.wire.schema import (
    COMMANDS,
    BatchReply,
    BeginBatch,
    Describe,
    Evaluate,
    Fetch,
    Hash,
    Hello,
    LatchWeights,
    Noise,
    Read,
    Sample,
    SetKey,
    SetNetwork,
    Status,
    Step,
    Update,
    Write,
    schema_hash,
)

FIRMWARE = Path(__file__).parents[2] / "firmware"
OPS = {command.request: command for command in COMMANDS}
LINEAR, TANH, RELU = range(3)
LAWS = ("rademacher", "rank1-sign")


class Board:
    """The posix board on its standard input and output, one command at a time."""

    def __init__(self, program):
        self.process = subprocess.Popen([program, "--boot-id", "7"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.splitter, self.session, self.seq = Splitter(), 0, 0
        self.session = self(Hello(1, 1, schema_hash())).session
        self.seq = 0

    def __call__(self, request):
        command = OPS[type(request)]
        frame = Frame(0, self.session, self.seq, command.op, 0, pack(request))
        self.process.stdin.write(burst([encoded(frame)]))
        self.process.stdin.flush()
        while True:
            data = self.process.stdout.read1(65536)
            assert data, "the board ended"
            for frame in self.splitter.feed(data):
                if frame.type == 1:
                    assert (frame.seq, frame.op) == (self.seq, command.op)
                    self.seq += 1
                    assert frame.status == Status.OK, f"{request}: {Status(frame.status).name} {frame.payload}"
                    return unpack(command.reply, frame.payload)

    def close(self):
        self.process.stdin.close()
        assert self.process.wait(10) == 0, "a sanitizer found something"
        self.process.stdout.close()


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """The posix board, built with sanitizers."""
    compiler = shutil.which("gcc")
    if compiler is None:
        assert "CI" not in os.environ, "needs gcc"
        pytest.skip("needs gcc (sudo apt-get install gcc)")
    path = tmp_path_factory.mktemp("posix") / "board"
    flags = ["-std=c99", "-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    flags += ['-DHZ_CONFIG="board_config.h"']
    folders = [FIRMWARE / "core", FIRMWARE / "boards/posix"]
    sources = [source for folder in folders for source in sorted(folder.glob("*.c"))]
    subprocess.run([compiler, *flags, *(f"-I{folder}" for folder in folders), *sources, "-o", path], check=True)
    return path


@pytest.fixture
def board(program):
    board = Board(program)
    yield board
    board.close()


def clamp(x, low, high):
    return max(low, min(high, x))


E = [round(32768 * 2 ** (-n / 64)) for n in range(65)]
G = [round(65536 * math.log(1 + n / 64)) for n in range(65)]
T = [round(127 * math.tanh((8 * n + 3.5) / 1024)) for n in range(400)]


def exponential(d):
    q = d * 47274
    m, n, r = q >> 25, q >> 19 & 63, q >> 9 & 1023
    return 0 if m > 24 else (E[n] - ((E[n] - E[n + 1]) * r + 512 >> 10) << 9) >> m


def logarithm(s):
    m = 0
    while s >= 1 << 25:
        s, m = s >> 1, m + 1
    n, r = s >> 18 & 63, s >> 8 & 1023
    return 45426 * m + G[n] + ((G[n + 1] - G[n]) * r + 512 >> 10)


class Twin:
    """A board with array_sim, as the document tells it."""

    def __init__(self, widths, activation, lower, upper):
        self.widths, self.activation, self.lower, self.upper = widths, activation, lower, upper
        self.spec = Network(tuple(widths)).parameter_spec()
        self.w = [0] * self.spec.size
        self.limit = min(32767, 2113000000 // (127 * (max(widths[:-1]) + 1)))
        self.t = self.evaluation = self.write = 0
        self.seed, self.gains = 0, {16: 0, 17: 0, 18: 0, 19: 0}
        self.d = self.w

    def key(self, key, law, step):
        self.run, self.law, self.t = key, LAWS[law], step
        self.d = self.w

    def noise(self, seed, read_sd, programming_sd, node_sd):
        gain = [(sd * 4013 + 128) >> 8 for sd in (programming_sd, read_sd, node_sd)]
        self.seed, self.gains = seed, {16: gain[0], 17: gain[1], 18: gain[2], 19: gain[1] >> 2}
        self.evaluation = self.write = 0

    def draw(self, stream, n, when, again=0):
        word = int(philox4x32(np.array([n >> 2, when, again, stream], dtype=np.uint32), self.seed)[n & 3])
        g = 256 * bin(word & 0xFFFF).count("1") + (word >> 16 & 0xFF) + (word >> 24) - 2303
        return (g * self.gains[stream] + 4096) >> 13

    def z(self, k):
        row = directions(self.law, self.spec, key=self.run, step=self.t, counters=np.array([k]))[0]
        return [int(z) for z in row]

    def realised(self, i):
        r = self.d[i]
        if self.gains[16]:
            r = clamp(r + self.draw(16, i, self.write), -self.limit, self.limit)
        if self.gains[17]:
            r = clamp(r + self.draw(17, i, self.evaluation), -self.limit, self.limit)
        return r

    def reading(self, i, repeat):
        error = self.draw(19, i, self.evaluation, repeat) if self.gains[19] else 0
        return clamp(self.realised(i) + error, -32767, 32767)

    def evaluate(self, k, scale):
        self.evaluation += 1
        z = self.z(k) if scale else [0] * len(self.w)
        self.d = [clamp(w + scale * s, self.lower, self.upper) for w, s in zip(self.w, z, strict=True)]
        r = [self.realised(i) for i in range(len(self.w))]
        self.nodes = [self.forward(s, row[: self.widths[0]], r) for s, row in enumerate(self.rows)]
        losses = [
            self.loss(nodes[-self.widths[-1] :], row[self.widths[0] :])
            for nodes, row in zip(self.nodes, self.rows, strict=True)
        ]
        return (sum(losses) + len(losses) // 2) // len(losses)

    def forward(self, sample, x, r):
        nodes, first, fine = [], 0, True
        for n, m in zip(self.widths[:-1], self.widths[1:], strict=True):
            driven = [*x, 127 if fine else 32]
            a = []
            for j in range(m):
                s = sum(v * r[first + i * m + j] for i, v in enumerate(driven))
                node = clamp((s + (s >> 7) + 256) >> 9 if fine else (s + 64) >> 7, -32767, 32767)
                if self.gains[18]:
                    number = sample * sum(self.widths[1:]) + len(nodes) + j
                    node = clamp(node + self.draw(18, number, self.evaluation), -32767, 32767)
                a.append(node)
            nodes += a
            first += (n + 1) * m
            fine = self.activation == TANH
            if fine:
                x = [int(math.copysign(T[abs(v) >> 3] if abs(v) >> 3 < 400 else 127, v)) for v in a]
            else:
                x = [clamp((v + 16) >> 5, 0 if self.activation == RELU else -127, 127) for v in a]
        return nodes

    def loss(self, o, target):
        if len(target) == 1 and self.classes:
            s = sum(exponential(max(o) - v) for v in o)
            return logarithm(s) + (max(o) - o[target[0]] << 6)
        squares = [min(abs(v - ((1032 * t + 64) >> 7)), 8191) ** 2 for v, t in zip(o, target, strict=True)]
        return (sum((square + 8) >> 4 for square in squares) + len(o) // 2) // len(o)

    def update(self, pairs):
        moves = [(c, self.z(k)) for k, c in pairs]
        self.w = [clamp(w + sum(c * z[i] for c, z in moves), self.lower, self.upper) for i, w in enumerate(self.w)]
        self.d = self.w
        self.t += 1
        self.write += 1

    def hash(self):
        return zlib.crc32(np.array(self.w, dtype="<i2").tobytes())


CASES = [
    # widths, activation, law, cross-entropy, window, (read, programming, node) sd
    ((49, 4, 4), TANH, 0, True, 8192, (0, 0, 0)),
    ((49, 4, 4), TANH, 0, True, 8192, (120, 80, 60)),
    ((9, 7, 5, 3), RELU, 1, True, 4096, (0, 0, 90)),
    ((12, 6, 2), LINEAR, 1, False, 32767, (300, 0, 0)),
    ((130, 3, 1), TANH, 1, False, 2000, (0, 4096, 0)),
    ((3, 2), RELU, 0, True, 32767, (4096, 4096, 4096)),
    ((20, 12, 2), RELU, 0, False, 32767, (0, 0, 0)),
]


@pytest.mark.parametrize(("widths", "activation", "law", "classes", "window", "sds"), CASES)
def test_board_equals_the_twin_bit_for_bit(board, widths, activation, law, classes, window, sds):
    rng = np.random.default_rng(sum(widths) + law)
    key, seed = 0x0123456789ABCDEF, 0xFEDCBA9876543210
    twin = Twin(widths, activation, -window, window - 1)
    assert board(SetNetwork(activation, -window, window - 1, widths)).parameters == len(twin.w)
    board(SetKey(key, law, 40))
    twin.key(key, law, 40)
    board(Noise(seed, *sds))
    twin.noise(seed, *sds)
    twin.w = [int(v) for v in np.clip(rng.normal(0, window / 3, len(twin.w)), -window, window - 1)]
    for offset in range(0, len(twin.w), 500):
        board(Write(offset, tuple(twin.w[offset : offset + 500])))
        twin.write += 1
    twin.classes = classes
    twin.rows = rng.integers(-127, 128, (6, widths[0] + (1 if classes else widths[-1]))).tolist()
    twin.rows[0][: widths[0]] = [127] * widths[0]  # the largest sums
    twin.rows[1][: widths[0]] = [-127] * widths[0]
    assert board(BeginBatch(len(twin.rows), 0 if classes else 1)) == BatchReply(len(twin.rows[0]))
    for index, row in enumerate(twin.rows):
        if classes:
            row[-1] = int(rng.integers(widths[-1]))
        board(Sample(index, 0, tuple(row[:5])))
        board(Sample(index, 5, tuple(row[5:])) if len(row) > 5 else Describe())

    for k, scale in ((0, 0), (1, 77), (1, -77), (60000, 32767)):
        assert board(Evaluate(40, k, scale, 2)).loss == twin.evaluate(k, scale)
        nodes = [node for row in twin.nodes for node in row]
        assert board(Fetch(0, len(nodes))).values == tuple(nodes)
        count = min(len(twin.w), 200)
        for repeat in (0, 1, 500):
            board(LatchWeights(2, count - 2, repeat))
            assert board(Fetch(1, count - 3)).values == tuple(twin.reading(i, repeat) for i in range(3, count))
    assert board(Evaluate(40, 3, 50, 1)).loss == twin.evaluate(3, 50)
    outputs = [node for row in twin.nodes for node in row[-widths[-1] :]]
    assert board(Fetch(0, len(outputs))).values == tuple(outputs)

    pairs = ((5, 300), (6, -200), (7, 1), (5, 32767), (5, -32768))
    assert board(Update(40, pairs)).step == 41
    twin.update(pairs)
    assert board(Read(0, min(500, len(twin.w)))).values == tuple(twin.w[:500])
    evaluations = ((0, 20), (0, -20), (9, 0), (2, 5))
    losses = board(Step(41, ((0, -30),), evaluations)).losses
    twin.update(((0, -30),))
    assert losses == tuple(twin.evaluate(k, scale) for k, scale in evaluations)
    reply = board(Hash())
    assert (reply.crc, reply.step) == (twin.hash(), 42)


def test_tables_are_those_of_the_document():
    headers = runpy.run_path(str(FIRMWARE / "core/make_tables.py"))["headers"]()
    for name, text in headers.items():
        assert (FIRMWARE / "core" / name).read_text() == text, f"run firmware/core/make_tables.py: {name} is old"
        for table in (T, E, G) if "crc" not in name else ():
            body = ", ".join(map(str, table))
            assert (body in " ".join(text.split())) == ((table is T) == ("tanh" in name))


def test_network_in_whole_numbers_is_near_the_network(board):
    """Within what rounding to the board's units can do, for weights and inputs that it holds exactly."""
    rng = np.random.default_rng(3)
    network = Network((20, 8, 5))
    spec = network.parameter_spec()
    weights = rng.normal(0, 1200, spec.size).round().astype(int)
    inputs = rng.integers(-127, 128, (16, 20))
    labels = rng.integers(0, 5, 16)
    board(SetNetwork(TANH, -32767, 32767, network.layers))
    board(Write(0, tuple(weights.tolist())))
    board(BeginBatch(16, 0))
    for index in range(16):
        board(Sample(index, 0, (*inputs[index].tolist(), int(labels[index]))))
    loss = board(Evaluate(0, 0, 0, 2)).loss / 65536
    nodes = np.array(board(Fetch(0, 16 * 13)).values).reshape(16, 13) / 1024
    hidden, outputs = network.forward(weights / 4096, inputs / 127)
    # A node: half a unit of its own, and 6e-5 of itself; an activation: half a unit of 1/127, and of its table's step.
    np.testing.assert_allclose(nodes[:, :8], hidden, atol=0.6 / 1024, rtol=7e-5)
    step = 0.5 / 127 + 4 / 1024
    spread = np.abs(weights[-45:-5].reshape(8, 5) / 4096).sum(axis=0) * step
    assert (np.abs(nodes[:, 8:] - outputs) <= spread + 1e-3).all()
    # The loss, of the outputs as the board has them: interpolation and rounding of its tables.
    exact = sample_losses(nodes[:, 8:], labels, "cross-entropy").mean()
    assert abs(loss - exact) < 1e-4


def test_noise_has_the_moments_of_the_document(board):
    """Programming and read noise of 3,010 weights, read twice over: means within 5 standard errors, variances too.

    False alarm: six numbers, each beyond 5 standard errors with probability 6e-7.
    """
    parameters, sd = 3010, 400
    board(SetNetwork(TANH, -8192, 8192, (300, 10)))
    board(BeginBatch(1, 0))
    expected = 273066.5 * (((sd * 4013 + 128) >> 8) / 8192) ** 2 + 1 / 12
    assert abs(expected / sd**2 - 1) < 1e-3

    def reading(repeat):
        values = []
        board(LatchWeights(0, parameters, repeat))
        for offset in range(0, parameters, 500):
            values += board(Fetch(offset, min(500, parameters - offset))).values
        return np.array(values, dtype=float)

    def check(values, variance):
        n = len(values)
        assert abs(values.mean()) < 5 * math.sqrt(variance / n)
        assert abs(values.var() - variance) < 5 * variance * math.sqrt(2 / n)  # kurtosis is below 3

    board(Noise(11, 0, sd, 0))
    board(Evaluate(0, 0, 0, 0))
    first = reading(0)
    check(first, expected)
    board(Evaluate(0, 0, 0, 0))
    assert (reading(0) == first).all()  # it lasts until the next write
    board(Write(7, (0,)))
    second = reading(0)
    check(second, expected)
    assert abs(np.corrcoef(first, second)[0, 1]) < 5 / math.sqrt(parameters)
    board(Noise(11, sd, 0, 0))
    board(Evaluate(0, 0, 0, 0))
    realised, again = reading(1), reading(2)  # a quarter of sd apart from what was realised, each
    difference = (realised - again) / math.sqrt(2)
    quarter = 273066.5 * ((((sd * 4013 + 128) >> 8) >> 2) / 8192) ** 2
    check(difference, quarter + 1 / 12)
