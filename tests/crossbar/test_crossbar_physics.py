"""What the options of a URL do to a whole device: against formulas, twins and the exact network."""

import numpy as np
import pytest

from hwzo.device import Update
from hwzo.directions import directions
from hwzo.network import Network, sample_losses
from hwzo.probes import Batch, Probes
from hwzo.registry import connect
from hwzo_backends.crossbar.nodal import effective_conductances
from hwzo_backends.crossbar.rram_milo import RRAM_MILO

IDEAL = "crossbar:ideal?engine=numpy"
CNN = "28x28x1-16c3-p2-32c3-p2-32c3-p2-10"


def batch_for(device, n=6, seed=0, classes=None):
    rng = np.random.default_rng(seed)
    network = device.capabilities.network
    return Batch(rng.uniform(-1, 1, (n, network.layers[0])), rng.integers(0, classes or network.layers[-1], n))


def started(device, seed=1, sd=0.3):
    theta = device.parameters.clip(sd * np.random.default_rng(seed).standard_normal(device.parameters.size))
    device.program(theta)
    return theta


@pytest.mark.parametrize("layers", ["7-5-3", "6x5x2-4c3-a2-3", "8x8x1-3c3s2p1-5-2", "5x4-6r-3", CNN])
@pytest.mark.parametrize("activation", ["tanh", "relu", "sigmoid", "lif-rate"])
def test_every_kind_of_layer_is_the_network_where_nothing_is_noisy(layers, activation):
    device = connect(f"{IDEAL}&layers={layers}&activation={activation}&tile=7x5")
    theta = started(device)
    batch = batch_for(device)
    readings = device.measure(Probes.plain(2, want="nodes"), batch)
    expected = Network.parse(layers, activation).forward(theta, batch.inputs)
    for nodes, exact in zip(readings.nodes, expected, strict=True):
        np.testing.assert_allclose(nodes[1], exact, rtol=0, atol=1e-12)


def test_a_convolution_costs_a_read_a_position_and_a_recurrence_one_a_step():
    cnn = connect(f"{IDEAL}&layers={CNN}")
    assert cnn.parameters.size == 14_378
    cost = cnn.measure(Probes.plain(), batch_for(cnn, 2)).cost
    # 9, 144 and 288 + 1 rows: the third has two tiles of up to 256.
    assert cost.reads == 2 * (26 * 26 + 11 * 11 + 2 * 3 * 3 + 1)
    rnn = connect(f"{IDEAL}&layers=28x28-64r-10")
    assert rnn.measure(Probes.plain(), batch_for(rnn, 2)).cost.reads == 2 * (28 + 1)


@pytest.mark.parametrize("layers", ["6x6x1-4c3-3", "5x4-6r-3"])
def test_noise_of_positions_and_steps_is_independent(layers):
    """Correlations between nodes of the first layer over 3,000 passes; five standard errors each."""
    device = connect(f"{IDEAL}&layers={layers}&node_noise=0.1&adc_bits=0")
    batch = Batch(np.zeros((1, device.capabilities.network.layers[0])), np.zeros(1, dtype=np.int64))
    nodes = np.concatenate([device.measure(Probes.plain(1000, want="nodes"), batch).nodes[0][:, 0] for _ in range(3)])
    first = nodes[:, :6] if "r" in layers else nodes  # later steps feel the earlier ones' noise
    assert first.std() == pytest.approx(0.1, rel=5 / np.sqrt(2 * first.size))
    between = np.corrcoef(first.T)[np.triu_indices(first.shape[1], 1)]
    assert np.abs(between).max() < 5.5 / np.sqrt(3000)


def test_slices_hold_a_weight_to_half_a_level():
    device = connect(f"{IDEAL}&layers=9-4&slices=3&slice_bits=2&window=2")
    theta = started(device, sd=1.0)
    np.testing.assert_allclose(device.read()[0], theta, rtol=0, atol=0.5 * 2 / 63 + 1e-12)
    assert device.program(theta).cell_writes == 2 * 3 * device.parameters.size
    held = device.read()[0]
    batch = batch_for(device)
    outputs = device.measure(Probes.plain(want="outputs"), batch).outputs[0]
    np.testing.assert_allclose(outputs, Network((9, 4)).forward(held, batch.inputs)[0], atol=1e-12)


def test_node_noise_is_the_same_with_slices():
    device = connect(f"{IDEAL}&layers=4-50&slices=3&slice_bits=2&node_noise=0.1&adc_bits=0&tile=3")
    batch = Batch(np.zeros((400, 4)), np.zeros(400, dtype=np.int64))
    outputs = device.measure(Probes.plain(want="outputs"), batch).outputs
    assert outputs.std() == pytest.approx(0.1, rel=5 / np.sqrt(2 * outputs.size))


@pytest.mark.parametrize("method", ["exact", "fast"])
def test_ir_drop_is_kirchhoffs(method):
    """Tiles of 8 x 6 pairs with 20 ohm a segment; the approximation may be off by 3% of the largest output."""
    device = connect(
        f"crossbar:pcm?engine=numpy&layers=11-9&ir_drop={method}&wire_ohm=20&tile=8x6&programming=0&drift=off"
        "&flicker=0&node_noise=0&adc_bits=0&dac_bits=0"
    )
    theta = started(device, sd=0.5)
    batch = batch_for(device)
    outputs = device.measure(Probes.plain(want="outputs"), batch).outputs[0]
    k = 25.0  # microsiemens a weight unit
    pairs = np.maximum(np.stack([theta, -theta]) * k, 0.0).reshape(2, 12, 9)
    effective = np.zeros_like(pairs)
    for rows in (slice(0, 8), slice(8, 12)):
        for columns in (slice(0, 6), slice(6, 9)):
            for member in (0, 1):
                block = pairs[member, rows, columns] * 1e-6
                effective[member, rows, columns] = effective_conductances(block, 20.0, 20.0) * 1e6
    driven = np.hstack([batch.inputs, np.ones((len(batch), 1))])
    exact = driven @ (effective[0] - effective[1]) / k
    lost = np.abs(driven @ theta.reshape(12, 9) - exact).max()
    assert lost > 0.002  # there is something to get right
    assert np.abs(outputs - exact).max() < (1e-9 if method == "exact" else 0.1 * lost)


def test_milos_current_is_not_proportional_to_voltage():
    device = connect(
        "crossbar:rram-milo?engine=numpy&layers=1-1&programming=0&node_noise=0&adc_bits=0&dac_bits=0&read_noise=0"
    )
    w = 0.8
    device.program(np.array([w, 0.0]))
    x = np.linspace(-1, 1, 9)
    outputs = device.measure(Probes.plain(want="outputs"), Batch(x[:, None], np.zeros(9, dtype=np.int64))).outputs[
        0, :, 0
    ]
    g = np.array([50 + w * 175, 50.0])  # microsiemens: the pair
    law = np.log10(g * 1e-6)
    nl2 = 0.0001388 * law**3 + 0.001541 * law**2 + 0.005711 * law + 0.007063
    nl3 = 8.8710e-5 * law**2 + 6.7919e-4 * law + 1.2968e-3
    volts = x[:, None] * RRAM_MILO.iv.v_read
    current = (g * 1e-6 * volts + nl2 * volts**2 + nl3 * volts**3) @ [1.0, -1.0]
    np.testing.assert_allclose(outputs, current / (175e-6 * RRAM_MILO.iv.v_read), rtol=1e-9, atol=1e-12)
    assert np.abs(outputs - w * x).max() > 0.01


def test_proportional_noise_grows_with_the_weight_and_follows_an_overlay_if_told_to():
    """sd of a column: rho |w x|, of the undisplaced weights or of the displaced; five standard errors."""
    n = 20_000
    batch = Batch(np.full((n, 1), 0.5), np.zeros(n, dtype=np.int64))
    for variance, seen in (("base", 0.6), ("exact", 0.9)):
        device = connect(f"{IDEAL}&layers=1-1&proportional=0.05&adc_bits=0&perturb=overlay&variance={variance}")
        device.program(np.array([0.6, 0.0]))
        sign = directions("rademacher", device.parameters, key=3, step=0, counters=np.array([0]))[0, 0]
        probes = Probes(np.array([0]), np.array([0.3 * sign]), key=3, want="outputs")
        outputs = device.measure(probes, batch).outputs[0]
        bias = 0.3 * sign * directions("rademacher", device.parameters, key=3, step=0, counters=np.array([0]))[0, 1]
        expected = np.hypot(0.5 * seen, bias if variance == "exact" else 0.0) * 0.05
        assert outputs.std() == pytest.approx(expected, rel=5 / np.sqrt(2 * n))


@pytest.mark.parametrize(
    "extra", ["", "&proportional=0.05&variance=exact", "&node_noise=0.1", "&slices=2", "&sigma=0.01"]
)
def test_a_population_is_measured_as_its_probes_one_by_one(extra):
    url = f"{IDEAL}&layers=12-9-4&perturb=overlay&seed=3{extra}"
    whole, single = connect(url), connect(url)
    started(whole), started(single)
    batch = batch_for(whole)
    probes = Probes(np.arange(9) // 2, np.tile([0.05, -0.05, 0.0], 3), key=5, step=2, law="rank1-sign")
    losses = whole.measure(probes, batch).losses
    np.testing.assert_array_equal([single.measure(probes.part(i, i + 1), batch).losses[0] for i in range(9)], losses)
    assert whole.snapshot() == single.snapshot()
    np.testing.assert_array_equal(whole.read(), single.read())


def test_an_overlay_without_noise_is_the_displaced_network():
    device = connect(f"{IDEAL}&layers=12-9-4&perturb=overlay")
    theta, batch = started(device), batch_for(device)
    probes = Probes(np.arange(4), np.full(4, 0.1), key=5, law="rank1-sign")
    rows = directions("rank1-sign", device.parameters, key=5, step=0, counters=np.arange(4))
    network = device.capabilities.network
    expected = [
        sample_losses(network.forward(theta + 0.1 * row, batch.inputs)[-1], batch.targets, batch.loss).mean()
        for row in rows
    ]
    np.testing.assert_allclose(device.measure(probes, batch).losses, expected, rtol=1e-12)


def test_heat_makes_a_cell_drift_faster_and_conduct_more():
    """By Arrhenius' law with .1 eV, at 350 K against 300 K: a factor exp(.1 / k_B (1/300 - 1/350)) = 1.738 on both."""
    factor = np.exp(0.1 / 8.617333262e-5 * (1 / 300 - 1 / 350))
    quiet = "programming=0&flicker=0&node_noise=0&adc_bits=0&dac_bits=0&read_error=0&seed=4&layers=50-50"
    cold, hot = (connect(f"crossbar:pcm?engine=numpy&{quiet}&temperature={t}") for t in (300, 350))
    theta = np.full(cold.parameters.size, 0.5)
    for device in (cold, hot):
        device.program(theta)
        device.advance(1e5)
    later = connect(f"crossbar:pcm?engine=numpy&{quiet}")
    later.program(theta)
    later.advance(factor * 1e5)
    np.testing.assert_allclose(hot.read(), factor * later.read(), rtol=1e-5)
    assert hot.read().mean() / factor < cold.read().mean()


def test_a_pair_wears_out():
    device = connect(f"{IDEAL}&layers=3-2&endurance=2")
    for value in (0.1, 0.2, 0.3):
        device.program(np.full(8, value))
    np.testing.assert_allclose(device.read()[0], 0.2)


def test_pulses_follow_small_steps_and_are_counted():
    """Noise off: a step of 10 dw_min takes 10 pulses, and ends there."""
    device = connect(
        "crossbar:gokmen-vlasov?engine=numpy&layers=3-2&pulse_noise=0&pulse_spread=0&read_noise=0&read_error=0"
        "&adc_bits=0&dac_bits=0"
    )
    device.program(np.zeros(8))
    step = np.full(8, 10 * 0.0016)
    cost = device.apply(Update(step, step))
    assert cost.cell_writes == 80
    np.testing.assert_allclose(device.read()[0], step, atol=1e-9)


def test_advancing_by_months_is_retention():
    """Median drift of a pcm pair after 30 days: ((t + t0) / t0)^-nu with the law's mean nu at r = .5; three percent."""
    device = connect("crossbar:pcm?engine=numpy&layers=100-100&programming=0&flicker=0&adc_bits=0&read_error=0&seed=6")
    device.program(np.full(device.parameters.size, 0.5))
    device.advance(30 * 86400.0)
    nu = max(-0.0155 * np.log(0.5) + 0.0244, 0.049)
    expected = 0.5 * ((30 * 86400.0 + 20) / 20) ** -nu
    assert np.median(device.read()[0]) == pytest.approx(expected, rel=0.03)
