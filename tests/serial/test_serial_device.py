"""A board as a device: what goes over the line, what is refused, and that host and board hold the same integers."""

import numpy as np
import pytest

import hwzo
from hwzo.data.catalogue import load_task
from hwzo.device import Update
from hwzo.directions import directions
from hwzo.errors import CapabilityError, ConfigError, DeviceError
from hwzo.probes import Batch, Probes
from hwzo.testing.conformance import run_conformance
from hwzo.train.replay import replay
from hwzo.wire.schema import BeginBatch, Evaluate, Sample, SetKey, Step, Write
from hwzo.wire.schema import Update as UpdateCommand

UNIT = 2.0**-12
KEY = 0xFEDCBA9876543210


def batch_of(n=8, inputs=5, outputs=3, seed=0):
    rng = np.random.default_rng(seed)
    return Batch(rng.uniform(-1, 1, (n, inputs)), rng.integers(0, outputs, n))


def pair(step, scale=40 * UNIT, counter=0):
    return Probes(np.array([counter, counter]), np.array([scale, -scale]), key=KEY, step=step)


def started(device, seed=0):
    theta = np.round(device.parameters.initial(np.random.default_rng(seed)) / UNIT) * UNIT
    device.program(theta)
    return theta


def step_of(device, theta, t, coefficient, counter=0):
    """Theta after step t, and the update that makes it."""
    counters, coefficients = np.array([counter]), np.array([coefficient])
    z = directions("rademacher", device.parameters, key=KEY, step=t, counters=counters)
    target = device.parameters.clip(theta + coefficients @ z)
    return target, Update(target, target - theta, t, counters, coefficients)


def test_conformance_on_the_posix_board(posix):
    posix()
    report = run_conformance("board:posix?node_noise=0.05&programming=0.01")
    assert report.failed == 0, report.failures
    assert report.passed >= 20


def test_a_step_takes_one_frame_and_sixty_bytes(posix):
    device = posix("layers=49-4-4")
    theta, batch = started(device), batch_of(8, 49, 4)
    for t in range(3):
        device.measure(pair(t), batch)
        theta, update = step_of(device, theta, t, 3 * UNIT)
        assert device.apply(update).bytes == 0
    before = device.statistics.link
    costs = []
    for t in range(3, 103):
        costs.append(device.measure(pair(t), batch).cost.bytes)
        theta, update = step_of(device, theta, t, -2 * UNIT)
        costs.append(device.apply(update).bytes)
    link = device.statistics.link - before
    assert sum(costs) / 100 <= 60
    # What really crossed the line, the question after it (65 bytes) and its greeting-free session included.
    assert (link.bytes_sent + link.bytes_received - 100) / 100 <= 60
    assert link.commands <= 102
    np.testing.assert_array_equal(device.read()[0], theta)


def test_host_and_board_agree_at_the_bounds(posix):
    """Steps so large that most parameters hit a bound: the board's integers are the host's, element by element."""
    device = posix("layers=6-5-4&window=0.25")
    theta, batch = started(device), batch_of(8, 6, 4)
    rng = np.random.default_rng(1)
    for t in range(50):
        device.measure(pair(t), batch)
        theta, update = step_of(device, theta, t, float(rng.integers(-900, 900)) * UNIT)
        device.apply(update)
        if t % 10 == 9:
            np.testing.assert_array_equal(device.read()[0], theta)
    assert (np.abs(theta) == 0.25).mean() > 0.3
    np.testing.assert_array_equal(device.units, np.rint(theta / UNIT))


def test_training_by_replay_leaves_the_result_on_the_board(posix, tmp_path):
    device = posix("layers=49-4-4&window=2")
    result = hwzo.train(
        task="nist7x7",
        device=device,
        method="spsa",
        update="sgd",
        rate=0.05,
        batch=8,
        budget="3000 evaluations",
        validate_every=2000,
        run=tmp_path / "run",
    )
    np.testing.assert_array_equal(device.read()[0], hwzo.load_run(tmp_path / "run").weights().theta)
    assert result.steps > 1000
    # Replayed by the journal alone, the steps give the same.
    assert (
        replay(tmp_path / "run", task=load_task("nist7x7"), device=device).parameters_crc32 == result.parameters_crc32
    )


@pytest.mark.parametrize(("array", "query"), [("dense", ""), ("noisy", "programming=0.02&node_noise=0.05")])
def test_dense_steps_are_rounded_from_a_master_copy(posix, array, query):
    """Steps of a third of a unit add up on the host; on the board, every third or so moves a unit."""
    device = posix("layers=5-4-3&readback=loss&" + query if query else "layers=5-4-3")
    theta, written = started(device), 0
    for t in range(30):
        target = device.parameters.clip(theta + UNIT / 3)
        written += device.apply(Update(target, target - theta, t)).cell_writes
        theta = target
        assert np.abs(device.units * UNIT - theta).max() <= UNIT / 2
    assert 9 * len(theta) <= written <= 11 * len(theta)


def test_same_seed_same_noise(posix):
    def losses():
        device = posix("layers=5-4-3&seed=7&read_noise=0.05&node_noise=0.1&programming=0.02")
        started(device)
        return device.measure(Probes.plain(5), batch_of()).losses

    first = losses()
    assert len(set(first.tolist())) == 5
    np.testing.assert_array_equal(first, losses())


# --- what goes over the line, on a board in memory ---


def test_a_batch_is_loaded_when_it_changes(eventful):
    device, line = eventful()
    started(device)
    batch = batch_of()
    for _ in range(3):
        device.measure(Probes.plain(2), batch)
        device.measure(Probes.plain(), Batch(np.array(batch.inputs), np.array(batch.targets)))
    assert sum(isinstance(each, BeginBatch) for each in line.done) == 1
    changed = np.array(batch.inputs)
    changed[2, 3] += 0.1 * (-1 if changed[2, 3] > 0 else 1)
    device.measure(Probes.plain(), Batch(changed, batch.targets))
    assert sum(isinstance(each, BeginBatch) for each in line.done) == 2
    loaded = [each for each in line.done if isinstance(each, Sample)]
    assert len(loaded) == 2 * len(batch)


def test_an_update_waits_for_the_next_measurement(eventful):
    device, line = eventful()
    theta = started(device)
    device.measure(pair(0), batch_of())
    before = len(line.done)
    theta, update = step_of(device, theta, 0, 5 * UNIT)
    device.apply(update)
    assert len(line.done) == before
    device.measure(pair(1), batch_of())
    assert [type(each) for each in line.done[before:]] == [Step]
    assert line.done[-1] == Step(0, ((0, 5),), ((0, 40), (0, -40)))


def test_more_evaluations_than_a_step_takes_follow_it(eventful):
    device, line = eventful()
    theta = started(device)
    probes = Probes(np.arange(6), np.full(6, 30 * UNIT), key=KEY, step=0)
    one = device.measure(probes, batch_of())
    theta, update = step_of(device, theta, 0, 0.0)
    device.apply(update)
    before = len(line.done)
    again = device.measure(Probes(np.arange(6), np.full(6, 30 * UNIT), key=KEY, step=1), batch_of())
    assert [type(each) for each in line.done[before:]] == [Step, Evaluate, Evaluate]
    assert one.losses.shape == again.losses.shape
    assert not np.array_equal(one.losses, again.losses)


@pytest.mark.parametrize(
    "then",
    [
        lambda device: device.read(),
        lambda device: device.measure(Probes.plain(want="outputs"), batch_of()),
        lambda device: device.close(),
        lambda device: device.program(np.zeros(device.parameters.size), mask=np.arange(device.parameters.size) < 3),
        lambda device: device.measure(pair(17), batch_of()),
    ],
)
def test_whatever_comes_next_the_update_goes_first(eventful, then):
    device, line = eventful()
    theta = started(device)
    device.measure(pair(0), batch_of())
    theta, update = step_of(device, theta, 0, 5 * UNIT)
    device.apply(update)
    before = len(line.done)
    then(device)
    assert line.done[before] == UpdateCommand(0, ((0, 5),))


def test_a_whole_program_needs_no_update_before_it(eventful):
    device, line = eventful()
    theta = started(device)
    device.measure(pair(0), batch_of())
    _, update = step_of(device, theta, 0, 5 * UNIT)
    device.apply(update)
    device.program(theta)
    assert not any(isinstance(each, (UpdateCommand, Step)) for each in line.done)
    np.testing.assert_array_equal(device.read()[0], theta)


@pytest.mark.parametrize("fault", ["half a unit", "another step", "a large counter", "other parameters"])
def test_steps_that_cannot_be_replayed_are_written(eventful, fault):
    device, line = eventful()
    theta = started(device)
    device.measure(pair(0), batch_of())
    t = 1 if fault == "another step" else 0
    counter = 70000 if fault == "a large counter" else 0
    coefficient = 5.5 * UNIT if fault == "half a unit" else 5 * UNIT
    if fault == "other parameters":
        device.program(device.parameters.clip(theta + 3 * UNIT))
    theta, update = step_of(device, theta, t, coefficient, counter)
    device.apply(update)
    assert isinstance(line.done[-1], Write)
    assert np.abs(device.read()[0] - theta).max() <= UNIT / 2


def test_keys_are_told_when_they_change(eventful):
    device, line = eventful()
    started(device)
    for step in (0, 0, 3, 3):
        device.measure(pair(step), batch_of())
    assert [each.step for each in line.done if isinstance(each, SetKey)] == [0, 3]
    device.measure(Probes.plain(), batch_of())
    assert [each.step for each in line.done if isinstance(each, SetKey)] == [0, 3]


def test_a_large_batch_is_evaluated_in_parts(eventful):
    """Without noise the loss of all is the mean of the parts', by samples, to within the board's rounding."""
    from hwzo_backends.serial.twin_service import Build

    small, line = eventful(build=Build("small", 800, receive_buffer=1))
    large, _ = eventful()
    room = small.capabilities.max_batch
    assert 3 < room < 30
    batch = batch_of(3 * room + 2)
    for device in (small, large):
        started(device)
    probes = Probes(np.arange(3), np.full(3, 30 * UNIT), key=KEY, step=0)
    parts, whole = small.measure(probes, batch), large.measure(probes, batch)
    np.testing.assert_allclose(parts.losses, whole.losses, atol=2.0**-16)
    assert parts.cost.reads == whole.cost.reads
    sizes = [each.samples for each in line.done if isinstance(each, BeginBatch)]
    assert sum(sizes) == len(batch)
    assert max(sizes) <= room
    for want in ("outputs", "nodes", "weights"):
        one = small.measure(Probes.plain(2, want=want), batch)
        other = large.measure(Probes.plain(2, want=want), batch)
        np.testing.assert_array_equal(one.outputs, other.outputs)
        np.testing.assert_allclose(one.losses, other.losses, rtol=1e-12)
    np.testing.assert_array_equal(one.realised, other.realised)
    np.testing.assert_array_equal(one.nodes[0], other.nodes[0])


def test_squared_error_in_parts(eventful):
    from hwzo_backends.serial.twin_service import Build

    small, _ = eventful(build=Build("small", 700, receive_buffer=1))
    started(small)
    rng = np.random.default_rng(2)
    batch = Batch(rng.uniform(-1, 1, (40, 5)), rng.uniform(-1, 1, (40, 3)), "squared-error")
    mean = small.measure(Probes.plain(), batch).losses[0]
    exact = small.measure(Probes.plain(want="outputs"), batch).losses[0]
    assert abs(mean - exact) < 0.01  # targets in 1/127 on the board


def test_weights_of_several_evaluations_are_not_passed_off_as_one(eventful):
    from hwzo_backends.serial.twin_service import Build

    device, _ = eventful(build=Build("small", 800, receive_buffer=1), read_noise=0.01)
    started(device)
    with pytest.raises(CapabilityError, match=rf"use batch = {device.capabilities.max_batch}"):
        device.measure(Probes.plain(want="weights"), batch_of(100))


def test_training_takes_batches_that_fit(eventful, tmp_path):
    from hwzo_backends.serial.twin_service import BUILDS

    device, line = eventful(build=BUILDS["atmega328p"], layers="49-4-4", window=2.0)
    hwzo.train(task="nist7x7", device=device, budget="100 evaluations", validate_every=1000, run=tmp_path / "run")
    assert device.capabilities.max_batch == 8
    assert max(each.samples for each in line.done if isinstance(each, BeginBatch)) == 8


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"layers": "500-100-10"}, "51110 parameters; small at .* holds 336"),
        ({"layers": "30-9-3"}, "309 parameters, and no room"),
        ({"layers": "2-2-2-2-2-2-2-2-2-2"}, "9 layers; .* takes 8"),
        ({"layers": "28x28x1-16c3-p2-10"}, "dense layers only"),
        ({"activation": "sigmoid"}, "knows linear, tanh, relu"),
        ({"read_noise": 2.0}, "up to 1"),
    ],
)
def test_networks_that_do_not_fit(eventful, options, says):
    from hwzo_backends.serial.twin_service import Build

    with pytest.raises(ConfigError, match=says):
        eventful(build=Build("small", 800, receive_buffer=1), **options)


@pytest.mark.parametrize(
    ("probes", "batch", "says"),
    [
        (Probes(np.array([0]), np.array([9.0])), batch_of(), "takes up to 7.99976"),
        (Probes(np.array([0]), np.array([1e-5])), batch_of(), "smallest displacement"),
        (Probes(np.array([70000]), np.array([0.1])), batch_of(), "counter"),
        (Probes(np.array([0]), np.array([np.nan])), batch_of(), "finite"),
        (Probes.plain(), Batch(np.full((2, 5), 1.5), np.zeros(2, dtype=np.int64)), "inputs reach 1.5"),
        (Probes.plain(), Batch(np.zeros((2, 5)), np.full((2, 3), -2.0), "squared-error"), "targets reach 2"),
    ],
)
def test_what_a_board_cannot_take_is_told_before_anything_is_sent(eventful, probes, batch, says):
    device, line = eventful()
    before = line.bursts
    with pytest.raises(ConfigError, match=says):
        device.measure(probes, batch)
    assert line.bursts == before


def test_read_back_can_be_narrowed_not_widened(eventful):
    device, _ = eventful(readback="loss")
    assert device.capabilities.readback == "loss"
    with pytest.raises(CapabilityError):
        device.measure(Probes.plain(want="outputs"), batch_of())


def test_closing_leaves_it_safe(eventful):
    device, line = eventful()
    device.close()
    device.close()
    assert line.done[-1] == "safe"
    assert line.closed


def test_a_board_that_holds_other_parameters_is_found_out(eventful, monkeypatch):
    monkeypatch.setattr("hwzo_backends.serial.device.CHECK_EVERY", 4)
    device, line = eventful()
    theta = started(device)

    def train(steps):
        target = theta
        for t in steps:
            device.measure(pair(t), batch_of())
            target, update = step_of(device, target, t, 5 * UNIT)
            device.apply(update)
        return target

    theta = train(range(4))
    line.service.run(Write(3, (int(device.units[3]) ^ 1,)))  # a bit of the board's memory flips
    with pytest.raises(DeviceError, match="holds other parameters than its host"):
        train(range(4, 10))
