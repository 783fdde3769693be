"""The device's contract: readings, levels, batching, costs, snapshots, errors."""

import numpy as np
import pytest

from hwzo.device import EmulatedDevice, Update
from hwzo.directions import directions
from hwzo.errors import CapabilityError, ConfigError, DeviceError, FileError, MeasurementError
from hwzo.network import Network, sample_losses
from hwzo.probes import Batch, Cost, Probes
from hwzo.registry import connect
from hwzo_backends.crossbar import device as device_module
from hwzo_backends.crossbar import engine as engine_module

EVERYTHING = (
    "layers=12-9-4&sigma=0.02&telegraph=0.1&telegraph_fraction=0.3&telegraph_tau=1e-4&d2d=0.02&stuck=0.02"
    "&read_noise=0.005&tile=8x4&seed=7"
)
URLS = [
    f"{url}&engine={engine}"
    for engine in ("numpy", "numba")
    for url in (
        f"crossbar:pcm?{EVERYTHING}",
        f"crossbar:pcm?{EVERYTHING}&perturb=overlay",
        f"crossbar:reram-wan?{EVERYTHING}",
        f"crossbar:ideal?{EVERYTHING}",
        "crossbar:ideal?layers=12-9-4&sigma=0.02",
    )
]


def batch_of(n_samples, n_inputs=12, n_classes=4, seed=0):
    rng = np.random.default_rng(seed)
    return Batch(rng.uniform(-1, 1, (n_samples, n_inputs)), rng.integers(0, n_classes, n_samples))


def opened(url, theta_seed=1):
    device = connect(url)
    device.program(
        device.parameters.clip(0.3 * np.random.default_rng(theta_seed).standard_normal(device.parameters.size))
    )
    return device


def mixed_probes(n, want="weights"):
    scales = np.tile([0.0, 0.05, -0.05, 0.1, 0.0], n)[:n]
    return Probes(np.arange(n) // 2, scales, key=99, step=3, want=want)


def assert_same(a, b):
    np.testing.assert_array_equal(a.losses, b.losses)
    np.testing.assert_array_equal(a.realised, b.realised)
    np.testing.assert_array_equal(a.outputs, b.outputs)
    for x, y in zip(a.nodes, b.nodes, strict=True):
        np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("url", URLS)
@pytest.mark.parametrize("n_samples", [1, 5, 128])
def test_one_call_or_many_give_the_same_bits(url, n_samples, monkeypatch):
    batch, probes = batch_of(n_samples), mixed_probes(13)
    whole = opened(url)
    readings = whole.measure(probes, batch)
    for sizes in ([1] * 13, [2, 5, 6], [12, 1]):
        device, start, costs = opened(url), 0, Cost()
        for size in sizes:
            part = device.measure(probes.part(start, start + size), batch)
            np.testing.assert_array_equal(part.losses, readings.losses[start : start + size])
            np.testing.assert_array_equal(part.realised, readings.realised[start : start + size])
            for a, b in zip(part.nodes, readings.nodes, strict=True):
                np.testing.assert_array_equal(a, b[start : start + size])
            start, costs = start + size, costs + part.cost
        assert device.snapshot() == whole.snapshot()
        assert (costs.reads, costs.cell_writes) == (readings.cost.reads, readings.cost.cell_writes)
        assert costs.device_seconds == pytest.approx(readings.cost.device_seconds)
    monkeypatch.setattr(engine_module, "CHUNK", 1)
    monkeypatch.setattr(device_module, "CHUNK", 1)  # nor does it matter how the device goes about it
    device = opened(url)
    assert_same(device.measure(probes, batch), readings)
    assert device.snapshot() == whole.snapshot()


def test_a_large_network_and_population_give_the_same_bits():
    url = "crossbar:pcm?layers=64-32-10&seed=2"
    batch, probes = batch_of(128, 64, 10), mixed_probes(9, "nodes")
    a, b = opened(url), opened(url)
    losses = [a.measure(probes.part(i, i + 1), batch).losses[0] for i in range(9)]
    np.testing.assert_array_equal(b.measure(probes, batch).losses, losses)


@pytest.mark.parametrize("url", URLS)
def test_same_seed_same_bytes_other_seed_other_bytes(url):
    batch, probes = batch_of(7), mixed_probes(5)
    assert_same(opened(url).measure(probes, batch), opened(url).measure(probes, batch))
    other = opened(url.replace("seed=7", "seed=8") if "seed" in url else f"{url}&seed=8")
    assert (other.measure(probes, batch).losses != opened(url).measure(probes, batch).losses).all()


def test_wanting_more_does_not_change_what_is_measured_while_the_clock_allows():
    """Reading weights takes time, so this holds where nothing moves with time."""
    batch = batch_of(7)
    url = "crossbar:ideal?layers=12-9-4&sigma=0.02&node_noise=0.1&seed=1"
    losses = [opened(url).measure(mixed_probes(5, want), batch).losses for want in ("loss", "outputs", "nodes")]
    losses.append(opened(url).measure(mixed_probes(5, "weights"), batch).losses)
    for other in losses[1:]:
        np.testing.assert_array_equal(losses[0], other)


@pytest.mark.parametrize("url", URLS)
def test_after_a_restore_everything_goes_on_bit_for_bit(url):
    batch, probes = batch_of(9), mixed_probes(4)
    device = opened(url)
    device.measure(probes, batch)  # ends displaced, and with something latched
    device.advance(0.3)
    device.measure(probes.part(1, 3), batch)
    state = device.snapshot()

    def go_on(d):
        latched = d.read(2)
        first = d.measure(probes, batch)
        step = np.zeros(d.parameters.size)
        step[::3] = 0.01
        d.apply(Update(d.parameters.clip(step), step))
        d.advance(100.0)
        return latched, first, d.measure(probes, batch)

    latched, *readings = go_on(device)
    for again in (connect(device.info.url), device):
        again.restore(state)
        assert again.snapshot() == state
        same_latched, *same = go_on(again)
        np.testing.assert_array_equal(same_latched, latched)
        for a, b in zip(readings, same, strict=True):
            assert_same(a, b)
        assert again.snapshot() == device.snapshot()


def test_a_damaged_or_foreign_state_is_refused_and_changes_nothing():
    device = opened(URLS[0])
    device.measure(mixed_probes(3), batch_of(4))
    state = device.snapshot()
    rng = np.random.default_rng(0)
    damaged = [b"", b"nonsense", state[:-1], state[: len(state) // 2]]
    for position in rng.integers(0, len(state), 50):
        flipped = bytearray(state)
        flipped[position] ^= 1 << int(rng.integers(8))
        damaged.append(bytes(flipped))
    for other in damaged:
        with pytest.raises(FileError):
            device.restore(other)
        assert device.snapshot() == state
    foreign = opened(URLS[0].replace("seed=7", "seed=8")).snapshot()
    with pytest.raises(FileError, match="another device"):
        device.restore(foreign)
    assert device.snapshot() == state


def test_the_loss_is_that_of_the_digitised_outputs():
    rng = np.random.default_rng(3)
    device = opened(URLS[0])
    classes = batch_of(20)
    values = Batch(classes.inputs, rng.uniform(-1, 1, (20, 4)), "squared-error")
    for batch in (classes, values):
        readings = device.measure(mixed_probes(6, "outputs"), batch)
        expected = sample_losses(readings.outputs, batch.targets, batch.loss).mean(axis=-1)
        np.testing.assert_allclose(readings.losses, expected, rtol=1e-12)
        assert readings.outputs.shape == (6, 20, 4)


def test_readback_levels_fill_what_they_name():
    device = opened(URLS[0])
    filled = {"loss": "", "outputs": "outputs", "nodes": "outputs nodes", "weights": "outputs nodes realised"}
    for want, names in filled.items():
        readings = device.measure(Probes.plain(3, want=want), batch_of(5))
        for name in ("outputs", "nodes", "realised"):
            assert (getattr(readings, name) is not None) == (name in names.split()), (want, name)
        if readings.nodes is not None:
            assert [nodes.shape for nodes in readings.nodes] == [(3, 5, 9), (3, 5, 4)]
            np.testing.assert_array_equal(readings.nodes[-1], readings.outputs)
        if readings.realised is not None:
            assert readings.realised.shape == (3, device.parameters.size)


@pytest.mark.parametrize(("has", "wants"), [("loss", "outputs"), ("outputs", "nodes"), ("nodes", "weights")])
def test_a_level_above_its_own_is_refused_naming_both(has, wants):
    device = connect(f"crossbar:pcm?layers=12-9-4&readback={has}")
    with pytest.raises(CapabilityError, match=f"reads back '{has}', not '{wants}'; methods that work"):
        device.measure(Probes.plain(want=wants), batch_of(3))
    with pytest.raises(CapabilityError):
        device.read()
    assert device.measure(Probes.plain(want=has), batch_of(3)).losses.shape == (1,)
    assert device.capabilities.readback == has


@pytest.mark.parametrize(("engine", "rounding"), [("numpy", 1e-12), ("numba", 3e-6)])
@pytest.mark.parametrize("perturb", ["write", "overlay"])
@pytest.mark.parametrize("law", ["rademacher", "rank1-sign", "gaussian", "gaussian-rank1", "walsh", "coordinate"])
def test_a_commanded_displacement_moves_the_parameters(perturb, law, engine, rounding):
    device = connect(f"crossbar:ideal?layers=12-9-4&window=2&perturb={perturb}&engine={engine}")
    theta = device.parameters.initial(np.random.default_rng(4))
    device.program(theta)
    batch = batch_of(15)
    probes = Probes(np.array([0, 1, 1, 2]), np.array([0.1, 0.1, -0.1, 0.0]), law=law, key=5, step=6, want="weights")
    readings = device.measure(probes, batch)
    z = directions(law, device.parameters, key=5, step=6, counters=probes.counters)
    moved = theta + probes.scales[:, None] * z
    np.testing.assert_allclose(readings.realised, moved, atol=1e-12)
    network = Network((12, 9, 4))
    for loss, parameters in zip(readings.losses, moved, strict=True):
        expected = sample_losses(network.forward(parameters, batch.inputs)[-1], batch.targets, batch.loss).mean()
        assert loss == pytest.approx(expected, abs=rounding)
    assert device.capabilities.probe_writes == (perturb == "write")


def test_a_written_displacement_stops_at_the_window_and_costs_writes_both_ways():
    device = connect("crossbar:ideal?layers=12-9-4&window=1")
    n = device.parameters.size
    device.program(np.ones(n))
    batch = batch_of(3)
    up = device.measure(Probes(np.zeros(1, dtype=np.int64), np.array([0.1]), law="rademacher", want="weights"), batch)
    z = directions("rademacher", device.parameters, key=0, step=0, counters=np.zeros(1, dtype=np.int64))[0]
    np.testing.assert_allclose(up.realised[0], np.where(z > 0, 1.0, 0.9), atol=1e-12)
    assert up.cost.cell_writes == 2 * np.count_nonzero(z < 0)
    back = device.measure(Probes.plain(2, want="weights"), batch)
    assert back.cost.cell_writes == up.cost.cell_writes  # put back once
    np.testing.assert_allclose(back.realised, 1.0, atol=1e-12)


def test_coordinate_probes_write_two_cells_each_way():
    device = opened("crossbar:pcm?layers=12-9-4")
    one = np.ones(1)
    first = device.measure(Probes(np.array([3]), 0.05 * one, law="coordinate"), batch_of(3))
    second = device.measure(Probes(np.array([8]), 0.05 * one, law="coordinate"), batch_of(3))
    assert (first.cost.cell_writes, second.cost.cell_writes) == (2, 4)
    assert device.measure(Probes.plain(2), batch_of(3)).cost.cell_writes == 2


def test_a_masked_write_overwrites_a_displacement_too():
    device = connect("crossbar:ideal?layers=12-9-4")
    n = device.parameters.size
    theta = 0.5 * np.ones(n)
    device.program(theta)
    device.measure(Probes(np.zeros(1, dtype=np.int64), np.array([0.1])), batch_of(3))
    target, mask = theta.copy(), np.arange(n) == 5
    target[5] = 0.25
    cost = device.program(target, mask=mask)
    assert cost.cell_writes == 2 * n  # the others are put back
    np.testing.assert_allclose(device.read()[0], target, atol=1e-12)


def test_costs_are_counted_and_are_the_clock():
    device = connect("crossbar:pcm?layers=64-32-10&tile=16")
    # 65 rows on 5 tiles by 2 for 32 columns; 33 rows on 3 tiles by 1 for 10.
    tiles, row_reads = 5 * 2 + 3 * 1, 65 * 2 + 33 * 1
    n, start = device.parameters.size, device.clock
    cost = device.program(np.zeros(n))
    assert cost.cell_writes == 2 * n
    mask = np.arange(n) < 10
    cost += device.program(np.zeros(n), mask=mask)
    assert cost.cell_writes == 2 * n + 20
    step = np.where(mask, 0.0, 0.1)
    cost += device.apply(Update(step, step))
    assert cost.cell_writes == 4 * n
    assert device.apply(Update(step, np.zeros(n))) == Cost()
    readings = device.measure(Probes.plain(3, want="nodes"), batch_of(20, 64, 10))
    assert readings.cost.reads == 3 * 20 * tiles
    cost += readings.cost
    readings = device.measure(Probes.plain(2, want="weights"), batch_of(20, 64, 10))
    assert readings.cost.reads == 2 * (20 * tiles + row_reads)
    cost += readings.cost
    device.read(4)
    assert device.capabilities.read_cost.reads == row_reads
    cost += device.capabilities.read_cost * 4
    assert cost.bytes == 0
    assert cost.joules > 0
    assert device.clock - start == pytest.approx(cost.device_seconds, rel=1e-9)
    device.advance(12.0)
    assert device.clock - start == pytest.approx(cost.device_seconds + 12.0, rel=1e-9)


def test_inputs_beyond_the_converter_saturate():
    device = connect("crossbar:pcm?layers=12-4&programming=0&drift=off&flicker=0&node_noise=0")
    device.program(device.parameters.initial(np.random.default_rng(0)))
    batch = batch_of(6)
    far = Batch(np.sign(batch.inputs) * 7.0, batch.targets)
    edge = Batch(np.sign(batch.inputs), batch.targets)
    np.testing.assert_array_equal(
        device.measure(Probes.plain(), far).losses, device.measure(Probes.plain(), edge).losses
    )


@pytest.mark.parametrize(
    ("theta", "mask"),
    [
        (lambda n: np.zeros(n - 1), None),
        (lambda n: np.full(n, np.nan), None),
        (lambda n: np.full(n, 1.1), None),
        (lambda n: np.zeros(n), lambda n: np.ones(n - 1, dtype=bool)),
        (lambda n: np.zeros(n), lambda n: np.ones(n)),
    ],
)
def test_bad_parameters_are_refused_before_any_write(theta, mask):
    device = opened(URLS[0])
    n, state = device.parameters.size, device.snapshot()
    with pytest.raises(ConfigError, match=r"nothing was written|the device needs"):
        device.program(theta(n), mask=mask(n) if mask else None)
    assert device.snapshot() == state


def test_bad_batches_and_probes_are_refused():
    device = opened("crossbar:pcm?layers=12-9-4")
    good = batch_of(4)
    nan = good.inputs.copy()
    nan[1, 2] = np.nan
    bad = [
        batch_of(4, n_inputs=11),
        batch_of(4, n_classes=400),
        Batch(nan, good.targets),
        Batch(good.inputs, -good.targets - 1),
        Batch(good.inputs, np.zeros((4, 4))),
        Batch(good.inputs, np.zeros((4, 3)), "squared-error"),
        Batch(good.inputs, np.full((4, 4), np.inf), "squared-error"),
        Batch(good.inputs, good.targets, "hinge"),
    ]
    state = device.snapshot()
    for batch in bad:
        with pytest.raises(ConfigError):
            device.measure(Probes.plain(), batch)
    with pytest.raises(ConfigError):
        device.measure(Probes(np.zeros(1, dtype=np.int64), np.array([np.nan])), good)
    for seconds in (-1.0, np.nan, np.inf):
        with pytest.raises(ConfigError):
            device.advance(seconds)
    with pytest.raises(ConfigError):
        device.read(0)
    assert device.snapshot() == state


def test_closing_twice_is_fine_and_using_it_then_is_not():
    device = opened("crossbar:ideal?layers=12-9-4")
    device.close()
    device.close()
    with pytest.raises(DeviceError, match="closed"):
        device.measure(Probes.plain(), batch_of(3))
    with pytest.raises(DeviceError, match="closed"):
        device.program(np.zeros(device.parameters.size))


def test_it_declares_what_it_is():
    device = connect("crossbar:pcm?layers=12-9-4")
    assert isinstance(device, EmulatedDevice)
    assert device.capabilities.network == Network((12, 9, 4))
    assert device.capabilities.node_noise
    assert device.capabilities.deterministic
    assert device.capabilities.snapshot
    ideal = connect("crossbar:ideal?layers=12-9-4").capabilities
    assert not ideal.node_noise
    assert ideal.parameter_noise == "none"


@pytest.mark.filterwarnings("ignore:overflow")
@pytest.mark.filterwarnings("ignore:invalid value")
def test_an_overflow_is_no_measurement():
    device = connect("crossbar:ideal?layers=2-2-2&activation=linear&window=1e6")
    device.program(np.full(device.parameters.size, 1e6))
    with pytest.raises(MeasurementError, match="not a finite number"):
        device.measure(Probes.plain(), Batch(np.full((1, 2), 1e305), np.zeros(1, dtype=np.int64)))
