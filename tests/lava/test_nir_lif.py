"""NIR models on Lava's neurons: against other libraries' own spikes, against Euler's rule, and there and back."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwzo import nir
from hwzo.errors import ConfigError
from hwzo.nir import Layer, Model, Neurons
from hwzo.registry import DeviceURL
from hwzo.stages import Dense
from hwzo_backends.lava.lif import simulate
from hwzo_backends.lava.nir_lif import model_on, place
from hwzo_backends.lava.options import resolve
from hwzo_backends.lava.registers import Registers

VECTORS = Path(__file__).parents[1] / "vectors" / "nir"


def run(url, theta, spikes):
    """The kernel's answer for a device of this URL, as its worker would give it; spikes (B, T, n_in)."""
    options = resolve(DeviceURL.parse(url), network=None, window=None, seed=None)
    plan = options.plan()
    registers = Registers.by(options).of(theta)[None]
    return simulate(registers, spikes, plan.units, plan.layers, precision=plan.precision, raster=True)


def euler(model, spikes, dt):
    """NIR's equations by Euler's rule, straight from their definition: spikes (B, T, n_in) to (spikes, v) a layer."""
    answers = []
    for layer in model.layers:
        c = layer.neurons.constants
        v = np.broadcast_to(c.get("v_reset", np.zeros(1)), (len(spikes), layer.stage.units)).copy()
        current = np.zeros_like(v)
        fired = []
        for t in range(spikes.shape[1]):
            drive = spikes[:, t] @ layer.weight + layer.bias
            if "tau_syn" in c:
                current = current + dt / c["tau_syn"] * (c["w_in"] * drive - current)
                drive = current
            if layer.neurons.kind in ("IF", "I"):
                v = v + dt * c["r"] * drive
            else:
                tau = c["tau_mem"] if "tau_mem" in c else c["tau"]
                v = v + dt / tau * (c["v_leak"] - v + c["r"] * drive)
            z = v > c.get("v_threshold", np.inf)
            v = np.where(z, c.get("v_reset", 0.0), v)
            fired.append(z)
        spikes = np.stack(fired, axis=1).astype(float)
        answers.append((spikes, v))
    return answers


def chain(rng, kinds, units=(7, 6, 4), bias=True):
    layers = []
    for kind, n, m in zip(kinds, units[:-1], units[1:], strict=True):
        each = {
            "tau": rng.uniform(1e-3, 5e-3) * np.ones(m),
            "tau_syn": rng.uniform(1e-3, 3e-3) * np.ones(m),
            "tau_mem": rng.uniform(1e-3, 5e-3) * np.ones(m),
            "r": rng.uniform(0.5, 2.0, m) * (1000.0 if kind in ("IF", "I") else 1.0),
            "v_leak": rng.normal(0, 0.3, m),
            "v_threshold": rng.uniform(0.8, 1.6, m),
            "v_reset": rng.normal(0, 0.2, m),
            "w_in": rng.uniform(0.5, 2.0, m),
        }
        neurons = Neurons(kind, {name: each[name] for name in nir.CONSTANTS[kind]})
        biases = rng.normal(0, 0.3, m) if bias else np.zeros(m)
        layers.append(Layer(Dense(n, m), rng.normal(0, 1.5, (n, m)), biases, neurons, f"{kind} {n}"))
    return Model(tuple(layers))


@pytest.mark.parametrize(
    ("name", "dt"),
    # Norse 1.1.0 writes tau = dt / tau_mem_inv with dt = 1 ms where its neuron loses dt * tau_mem_inv a step.
    [("snntorch-leaky", 1e-4), ("snntorch-synaptic", 1e-4), ("norse-lifbox", 1e-6)],
)
def test_a_file_of_another_library_spikes_as_that_library_does(name, dt):
    with np.load(VECTORS / f"{name}.npz") as file:
        inputs, theirs = np.moveaxis(file["inputs"], 1, 0), np.moveaxis(file["spikes"], 1, 0)
    model = nir.load(VECTORS / f"{name}.nir")
    assert theirs.mean() > 0.05
    exact = place(model, dt=dt, steps=inputs.shape[1], options={"precision": "float"})
    for steps in (10, 20, inputs.shape[1]):
        trial = run(exact.url, exact.theta, inputs[:, :steps])
        assert np.array_equal(trial.counts[0], theirs[:, :steps].sum(axis=1))
    # Eight-bit weights: not the same spikes, but nearly as many.
    rounded = place(model, dt=dt, steps=inputs.shape[1])
    counts = run(rounded.url, rounded.theta, inputs).counts[0]
    assert np.abs(counts - theirs.sum(axis=1)).mean() < 0.05 * inputs.shape[1]
    assert any("rounded to levels" in note for note in rounded.notes)


@pytest.mark.parametrize(
    "kinds", [("LIF", "LIF"), ("IF", "IF"), ("CubaLIF", "CubaLIF"), ("LIF", "LI"), ("CubaLIF", "CubaLI"), ("IF", "I")]
)
def test_placed_models_follow_eulers_rule(kinds):
    """Leak, reset, threshold and resistance that differ by unit, both kinds of synapse: the same spikes, the same v."""
    rng = np.random.default_rng(len("".join(kinds)))
    model = chain(rng, kinds, bias="CubaLIF" not in kinds)
    inputs = (rng.random((5, 30, 7)) < 0.4).astype(float)
    dt = 1e-3 if "IF" not in kinds else 1e-4
    placed = place(model, dt=dt, steps=30, options={"precision": "float"})
    trial = run(placed.url, placed.theta, inputs)
    expected = euler(model, inputs, dt)
    for index, (spikes, _) in enumerate(expected):
        assert np.array_equal(trial.raster[index][0].sum(axis=1), spikes.sum(axis=1))
    assert expected[0][0].sum() > 10
    if not model.layers[-1].neurons.spike:
        options = resolve(DeviceURL.parse(placed.url), network=None, window=None, seed=None)
        read = trial.membrane[0] * options.output_gain * options.window / 256
        assert read == pytest.approx(expected[1][1], rel=1e-3, abs=1e-3)


def test_a_bias_on_a_slow_synapse_comes_in_at_its_steady_value_and_a_note_says_so():
    model = chain(np.random.default_rng(3), ("CubaLIF", "CubaLI"))
    placed = place(model, dt=1e-3)
    assert sum("steady value" in note for note in placed.notes) == 2
    assert not place(chain(np.random.default_rng(3), ("LIF", "LI")), dt=1e-3, options={"precision": "float"}).notes
    # After many time constants both have the same current: biases alone, no input.
    layer = model.layers[0]
    alone = Model(
        (
            Layer(
                layer.stage,
                layer.weight,
                layer.bias,
                chain(np.random.default_rng(3), ("CubaLI",), (7, 6)).layers[0].neurons,
            ),
        )
    )
    placed = place(alone, dt=1e-3, steps=200, options={"precision": "float"})
    trial = run(placed.url, placed.theta, np.zeros((1, 200, 7)))
    options = resolve(DeviceURL.parse(placed.url), network=None, window=None, seed=None)
    read = trial.membrane[0] * options.output_gain * options.window / 256
    assert read == pytest.approx(euler(alone, np.zeros((1, 200, 7)), 1e-3)[0][1], rel=1e-3, abs=1e-3)


def test_a_convolution_is_unrolled():
    model = nir.load(VECTORS / "nir-convolution.nir")
    placed = place(model, dt=1e-4, options={"precision": "float"}, steps=20)
    assert "layers=25-18-4" in placed.url
    assert any("unrolled" in note for note in placed.notes)
    weight, bias = model.layers[0].weight.reshape(3, 3, 2), model.layers[0].bias
    image = (np.random.default_rng(0).random((5, 5)) < 0.5).astype(float)
    slow = np.array(
        [[(image[y : y + 3, x : x + 3, None] * weight).sum(axis=(0, 1)) + bias for x in range(3)] for y in range(3)]
    )
    dense = placed.model.layers[0]
    assert image.ravel() @ dense.weight + dense.bias == pytest.approx(slow.ravel())


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10**6), kind=st.sampled_from(["LIF", "CubaLIF", "IF"]), last=st.sampled_from(["LI", "I", "LIF"])
)
def test_there_and_back_keeps_every_scale(seed, kind, last):
    rng = np.random.default_rng(seed)
    model = chain(rng, (kind, last))
    placed = place(model, dt=1e-4)
    back = placed.model_with(placed.theta)
    for one, other in zip(model.layers, back.layers, strict=True):
        assert other.weight == pytest.approx(one.weight, rel=1e-9)
        assert other.bias == pytest.approx(one.bias, rel=1e-6, abs=1e-9)
        for name, value in one.neurons.constants.items():
            assert np.array_equal(other.neurons.constants[name], value)
    spec = Registers.by(resolve(DeviceURL.parse(placed.url), network=None, window=None, seed=None)).spec()
    assert np.array_equal(spec.check(placed.theta), placed.theta), "fits the device"
    again = place(back)  # its metadata say dt
    assert again.dt == placed.dt
    assert again.theta == pytest.approx(placed.theta, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize(
    ("query", "spikes"),
    [
        ("layers=7-6-4&weight_exp=0", 0.0),
        ("layers=7-6-4&precision=float&dv=0.3", 0.0),
        ("layers=7-6-4&weight_exp=0&dv=0.0625,0&vth=0.7&window=2.0", 0.2),  # decays are rounded in each step
        ("layers=7-6-4&weight_exp=0&du=0.5,1&dv=0.1,0.2&readout=counts", 0.6),  # biases through a synapse
        ("layers=7-6-4&weight_exp=0&du=0.5&dv=0", 0.6),
        ("layers=7-6-4", 2.0),  # sums rounded down to quarters of a threshold
    ],
)
def test_what_a_device_computes_is_exported_as_it_holds_it(query, spikes, tmp_path):
    """Device to file: NIR's equations give the device's spikes, up to ``spikes`` of 24 in the mean; and so does the
    device that the file is placed on."""
    url = f"lava:lif?{query}&noise=none&T=24"
    options = resolve(DeviceURL.parse(url), network=None, window=None, seed=None)
    spec = Registers.by(options).spec()
    rng = np.random.default_rng(2)
    theta = spec.clip(rng.uniform(-0.5, 0.9, spec.size) * options.window)
    nir.save(tmp_path / "trained.nir", model_on(url, theta))
    model = nir.load(tmp_path / "trained.nir")
    placed = place(model, steps=24, window=options.window, options={"precision": options.precision})
    inputs = (rng.random((6, 24, 7)) < 0.3).astype(float)
    device, again = run(url, theta, inputs), run(placed.url, placed.theta, inputs)
    hidden = device.raster[0][0].sum(axis=1)
    assert hidden.sum() > 20
    assert np.abs(euler(model, inputs, 1e-4)[0][0].sum(axis=1) - hidden).mean() <= spikes
    assert np.abs(again.raster[0][0].sum(axis=1) - hidden).mean() <= spikes + 0.2


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"tau": np.linspace(1e-3, 2e-3, 6)}, "share"),
        ({"tau": np.full(6, 1e-5)}, "longer than tau"),
        ({"v_threshold": np.full(6, -1.0)}, "above v_reset"),
        ({"v_threshold": np.full(6, 1e-6), "v_reset": np.zeros(6)}, "thresholds"),
    ],
)
def test_neurons_that_lava_cant_be(change, word):
    model = chain(np.random.default_rng(1), ("LIF", "LIF"))
    first = model.layers[0]
    neurons = Neurons("LIF", {**first.neurons.constants, **change})
    changed = Model((Layer(first.stage, first.weight, first.bias, neurons, "first"), model.layers[1]))
    with pytest.raises(ConfigError, match=word) as caught:
        place(changed, dt=1e-4)
    assert "first" in str(caught.value)


def test_other_things_that_dont_go():
    good = chain(np.random.default_rng(1), ("LIF", "LIF"))
    bare = Layer(Dense(7, 6), np.ones((7, 6)), np.zeros(6), None, "bare")
    with pytest.raises(ConfigError, match=r"'bare' has no neurons"):
        place(Model((bare, good.layers[1])))
    with pytest.raises(ConfigError, match="all but the last one spike"):
        place(chain(np.random.default_rng(1), ("LI", "LIF")))
    with pytest.raises(ConfigError, match="above 0"):
        place(good, dt=0.0)
    with pytest.raises(ConfigError, match="no number"):
        place(Model(good.layers, {"dt": "soon"}))
    with pytest.raises(ConfigError, match="unknown option"):
        place(good, options={"colour": "blue"})
    placed = place(good)
    with pytest.raises(ConfigError, match="shape"):
        placed.model_with(np.zeros(3))
    with pytest.raises(ConfigError, match="not the URL"):
        model_on("crossbar:pcm", np.zeros(3))
    with pytest.raises(ConfigError, match="shape"):
        model_on("lava:lif", np.zeros(3))
    for wrong, message in ((np.nan, "is nan, not a finite number"), (np.inf, "not a finite"), (1.5, "is outside")):
        with pytest.raises(ConfigError, match=message):
            model_on("lava:lif?layers=2-1", np.array([0.1, wrong, 0.2]))
