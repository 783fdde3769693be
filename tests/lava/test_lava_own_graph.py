"""A user's own graph as a device: its losses are those of its equations, and what is wrong with it is said."""

import os
import signal
from pathlib import Path

import numpy as np
import pytest

import hwzo
from hwzo.errors import CapabilityError, ConfigError, DeviceError, FileError
from hwzo.network import sample_losses
from hwzo.probes import Batch, Probes
from hwzo.registry import connect
from hwzo_backends.lava.coding import encode

GRAPHS = Path(__file__).with_name("own_graphs.py")
EXAMPLE = Path(__file__).parents[2] / "examples" / "05_your_own_lava_graph.py"
RNG = np.random.default_rng(3)
BATCH = Batch(np.round(RNG.uniform(-1, 1, (5, 4)) * 6) / 6, RNG.integers(0, 3, 5))
STEPS = 6


def by_hand(theta, batch=BATCH):
    """The graph's losses in plain arithmetic, a step late as Dense is."""
    return loss_of(theta[:12].reshape(3, 4), theta[12:], batch)


def loss_of(weights, bias, batch, *, signed=False):
    drive = encode(batch.inputs, STEPS).astype(float) @ weights.T
    v, counts = np.zeros((len(batch), 3)), np.zeros((len(batch), 3))
    for step in range(STEPS):
        v += bias + (drive[:, step - 1] if step else 0.0)
        spikes = (v > 1) * 1.0 - signed * (v < -1)
        v[spikes != 0] = 0.0
        counts += spikes
    return sample_losses(2.0 * counts, batch.targets, "cross-entropy").mean()


@pytest.fixture(scope="module")
def device(lava_python):
    device = connect(f"lava:{GRAPHS}:build?steps={STEPS}")
    yield device
    device.close()


def test_its_parameters_are_the_named_vars(device):
    tensors = {tensor.name: tensor for tensor in device.parameters.tensors}
    assert {name: tensor.shape for name, tensor in tensors.items()} == {"weights": (3, 4), "bias": (3,)}
    assert (tensors["weights"].lower, tensors["weights"].upper) == (-2, 2)
    assert np.isinf(tensors["bias"].upper)
    assert device.info.emulated
    assert device.capabilities.network is None
    assert not device.capabilities.snapshot


def test_losses_are_those_of_its_equations(device):
    for seed in range(3):
        theta = np.random.default_rng(seed).uniform(-1, 1, 15)
        device.program(theta)
        assert device.measure(Probes.plain(), BATCH).losses[0] == pytest.approx(by_hand(theta), abs=1e-12)


def test_sparse_weights_and_neurons_of_either_sign(lava_python):
    device = connect(f"lava:{GRAPHS}:sparse")
    try:
        assert device.parameters.size == 6
        theta = np.array([1.5, -0.7, 0.4, 0.9, -1.2, 0.3])
        weights = np.zeros((3, 4))
        rows, columns = np.nonzero(np.indices((3, 4)).sum(axis=0) % 2)
        weights[rows, columns] = theta
        device.program(theta)
        readings = device.measure(Probes(np.array([0, 1]), np.array([0.0, 0.25]), law="coordinate"), BATCH)
        moved = weights.copy()
        moved[rows[1], columns[1]] += 0.25
        expected = [loss_of(each, 0.0, BATCH, signed=True) for each in (weights, moved)]
        assert readings.losses == pytest.approx(expected, abs=1e-12)
    finally:
        device.close()


def test_displacements_are_commanded_one_after_the_other(device):
    from hwzo.directions import directions

    theta = np.random.default_rng(9).uniform(-1, 1, 15)
    device.program(theta)
    counters, scales = np.array([0, 0, 1]), np.array([0.2, -0.2, 0.3])
    readings = device.measure(Probes(counters, scales, key=4), BATCH)
    rows = directions("rademacher", device.parameters, key=4, step=0, counters=counters)
    expected = [
        by_hand(np.clip(theta + c * z, device.parameters.lower, device.parameters.upper))
        for c, z in zip(scales, rows, strict=True)
    ]
    assert readings.losses == pytest.approx(expected, abs=1e-12)
    assert readings.cost.cell_writes > 0
    assert device.measure(Probes.plain(), BATCH).losses[0] == pytest.approx(by_hand(theta), abs=1e-12)


def test_it_reads_back_a_loss_only(device):
    with pytest.raises(CapabilityError, match="'outputs'"):
        device.measure(Probes.plain(want="outputs"), BATCH)
    with pytest.raises(CapabilityError, match="not weights"):
        device.read()


def test_a_batch_that_does_not_fit(device):
    with pytest.raises(ConfigError, match="takes 4"):
        device.measure(Probes.plain(), Batch(np.zeros((2, 5)), np.zeros(2, dtype=np.int64)))


def test_a_lost_worker_is_an_error_and_the_next_call_starts_another(device):
    theta = np.random.default_rng(1).uniform(-1, 1, 15)
    device.program(theta)
    os.kill(device._worker.pid, signal.SIGKILL)
    with pytest.raises(DeviceError, match="has ended: killed by SIGKILL"):
        device.measure(Probes.plain(), BATCH)
    assert device.measure(Probes.plain(), BATCH).losses[0] == pytest.approx(by_hand(theta), abs=1e-12)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("without_loss", r"has no loss port: Graph\(loss=...\) must be an OutPort of shape \(1,\), it is None"),
        ("with_a_wide_loss", r"OutPort of shape \(3,\)"),
        ("without_parameters", "no parameters"),
        ("with_no_var", "parameter 'weights' of the graph .* is a Dense, not a Var"),
        ("failing", r"RuntimeError: no luck today \(line \d+\)"),
        ("of_another_kind", "returned a dict"),
        ("missing", "no function 'missing'; functions in it: .*build"),
        ("build?stepps=3", "unexpected keyword argument 'stepps'"),
        ("without_steps", "steps=0; a sample is shown for at least 1"),
    ],
)
def test_what_is_wrong_with_a_graph_is_said(lava_python, function, message):
    with pytest.raises(ConfigError, match=message):
        connect(f"lava:{GRAPHS}:{function}")


def test_a_file_that_is_not_there(lava_python):
    with pytest.raises(FileError, match=r"nothing\.py doesn't exist"):
        connect("lava:nothing.py:build")
    with pytest.raises(ConfigError, match="which function"):
        connect(f"lava:{GRAPHS}")
    with pytest.raises(ConfigError, match="precision"):
        connect(f"lava:{GRAPHS}:build?precision=double")


def test_what_lies_beside_the_file_is_not_executed(lava_python, tmp_path):
    """Lava's compiler runs every file beside a process's; here it finds none."""
    (tmp_path / "graph.py").write_text(GRAPHS.read_text() + OWN_PROCESS)
    (tmp_path / "beside.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()")
    connect(f"lava:{tmp_path / 'graph.py'}:with_own_process").close()
    assert not (tmp_path / "ran").exists()


OWN_PROCESS = """
from lava.magma.core.decorator import implements, requires
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.process.variable import Var
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol


class Bowl(AbstractProcess):
    def __init__(self):
        super().__init__()
        self.x = Var(shape=(2,), init=np.zeros(2))
        self.loss = OutPort(shape=(1,))


@implements(proc=Bowl, protocol=LoihiProtocol)
@requires(CPU)
class PyBowl(PyLoihiProcessModel):
    x: np.ndarray = LavaPyType(np.ndarray, float)
    loss: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, float)

    def run_spk(self):
        self.loss.send(np.array([np.square(self.x - 1).sum()]))


def with_own_process():
    from hwzo_backends.lava.graph import Graph

    bowl = Bowl()
    return Graph(loss=bowl.loss, parameters={"x": bowl.x}, steps=1)
"""


def test_the_example_trains(lava_python, tmp_path):
    """Stock processes of Lava's, on a task of its own; it tells how far it is."""
    seen = []
    result = hwzo.train(
        f"{EXAMPLE}:bars",
        f"lava:{EXAMPLE}:build?steps=2",
        method="spsa",
        scale=0.1,
        budget="20 evaluations",
        seed=10,
        run=tmp_path / "run",
        batch=4,
        watch=lambda progress: seen.append(progress.share),
    )
    assert result.emulated
    assert result.n_parameters == 9 * 3 + 3
    assert seen == sorted(seen)
    assert 0.0 < seen[-1] <= 1.0  # told a few times a second, so not each step
