"""NIR models on Lava's LIF neurons, and trained ones back: from time constants in seconds to shares lost in a step.

With a time step dt, Euler's rule turns NIR's equations into Lava's, v standing for v - v_reset. A unit's input, the sum
of its weights and inputs plus its bias b, is worth a factor k; what is constant adds to v in each step::

    kind             du             dv             k                      added to v in each step
    LIF, LI          1              dt / tau       r dt / tau             k b + dv (v_leak - v_reset)
    CubaLIF, CubaLI  dt / tau_syn   dt / tau_mem   r w_in dv du           k b / du + dv (v_leak - v_reset)
    IF, I            1              0              r dt                   k b

A layer's neurons share du, dv and the threshold in Lava. Thresholds that differ are folded into the weights, and each
layer is scaled so that its largest weight nearly fills the device's window, its threshold with it: no spike changes by
that. A bias on a synapse with memory comes in at its steady value from the first step, where NIR's would take a few
tau_syn to get there; `Placed.notes` says where that matters, and what else was approximated.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from hwzo.errors import ConfigError
from hwzo.nir.model import Layer, Model, Neurons
from hwzo.parameters import Array
from hwzo.registry import DeviceURL
from hwzo.stages import Convolution
from hwzo_backends.lava.lif import DECAY_ONE
from hwzo_backends.lava.options import LEVELS, REGISTER, Options, resolve
from hwzo_backends.lava.registers import Registers

DT = 1e-4
"""Seconds a step, where neither the caller nor the file's metadata say: what snnTorch and lava-dl take, too."""
LONG = 1e9
"""Time steps that stand for a membrane without leak in a kind of neurons that has one."""


@dataclass(frozen=True, eq=False)
class Placed:
    """A model as it lies on a Lava device.

    Args:
        model: its layers dense, in its own units.
        url: opens the device, such as ``lava:lif?layers=...``.
        theta: (n_params,) float64, weight units: program this.
        dt: seconds a time step.
        weight_scales, bias_scales, offsets: a layer each, (units,): a weight in the device is the model's times
            ``weight_scales``, a bias is the model's times ``bias_scales`` plus ``offsets``.
        notes: what was approximated, a sentence each.
    """

    model: Model
    url: str
    theta: Array
    dt: float
    weight_scales: tuple[Array, ...]
    bias_scales: tuple[Array, ...]
    offsets: tuple[Array, ...]
    notes: tuple[str, ...] = ()

    def model_with(self, theta: Array) -> Model:
        """The model with parameters (n_params,) of the device, such as trained ones, in its own units again.

        Raises:
            ConfigError: another number of parameters, or one that is not finite.
        """
        if theta.shape != self.theta.shape:
            raise ConfigError(f"parameters have shape {theta.shape}; this model's are {self.theta.shape}")
        if not np.isfinite(theta).all():
            raise ConfigError("parameters hold a number that is not finite")
        layers: list[Layer] = []
        scales = zip(self.weight_scales, self.bias_scales, self.offsets, strict=True)
        blocks = self.model.network.blocks(theta)
        for layer, block, (weights, biases, offset) in zip(self.model.layers, blocks, scales, strict=True):
            bias = np.divide(block[-1] - offset, biases, out=np.zeros_like(offset), where=biases != 0)
            weight = np.divide(block[:-1], weights, out=np.zeros_like(layer.weight), where=weights != 0)
            layers.append(replace(layer, weight=weight, bias=bias))
        return replace(self.model, layers=tuple(layers), metadata={**self.model.metadata, "dt": repr(self.dt)})


@dataclass(frozen=True, eq=False)
class _Step:
    """A layer's neurons by the step; voltages from the reset on."""

    du: float
    dv: float
    weights: Array
    biases: Array
    constant: Array
    threshold: Array | None


def place(
    model: Model,
    *,
    dt: float | None = None,
    steps: int = 16,
    window: float = 1.0,
    options: Mapping[str, str] | None = None,
) -> Placed:
    """Find the device and the parameters that compute a model.

    Args:
        model: its last layer spikes, or integrates (LI, CubaLI, I or no neurons at all: a plain sum over the steps);
            all others spike.
        dt: seconds a time step; None: as its metadata say, else `DT`.
        steps: T, time steps a sample is shown for.
        window: weights of the device lie in [-window, window].
        options: more of the URL, such as ``{"noise": "loihi1"}``; without, there is none.

    Raises:
        ConfigError: a layer that Lava's LIF can't be, named; a time step longer than a time constant; an option.
    """
    dt = _dt(model) if dt is None else dt
    if not (np.isfinite(dt) and dt > 0):
        raise ConfigError(f"dt = {dt:g}: a time step is above 0, in seconds", key="dt")
    notes: list[str] = []
    layers = [layer.dense() for layer in model.layers]
    for layer in model.layers:
        if isinstance(layer.stage, Convolution):
            notes.append(f"{layer.name}: the convolution is unrolled, each connection a weight of its own")
    by_step = [_stepped(layer, dt, index == len(layers) - 1, notes) for index, layer in enumerate(layers)]
    blocks: list[Array] = []
    weight_scales: list[Array] = []
    bias_scales: list[Array] = []
    offsets: list[Array] = []
    thresholds: list[float] = []
    gain = 1.0
    for layer, step in zip(layers, by_step, strict=True):
        each: Array = 1.0 / step.threshold if step.threshold is not None else np.ones(layer.stage.columns)
        weight, bias = layer.weight * (step.weights * each), (layer.bias * step.biases + step.constant) * each
        most = max(float(np.abs(weight).max()), float(np.abs(bias).max())) or 1.0
        scale = window * (LEVELS - 1) / LEVELS / most
        if step.threshold is None:
            gain = 1.0 / scale
        else:
            whole = int(scale * REGISTER / window)  # a threshold that a register holds exactly
            if whole < 1:
                raise ConfigError(
                    f"layer {layer.name!r}: its largest weight is {most:.3g} thresholds; a device whose threshold is "
                    f"at least a {REGISTER}th of its window holds up to {REGISTER * (LEVELS - 1) // LEVELS}"
                )
            scale = whole * window / REGISTER
        thresholds.append(scale if step.threshold is not None else 1.0)
        blocks.append(np.concatenate([weight * scale, (bias * scale)[None]]).ravel())
        weight_scales.append(step.weights * each * scale)
        bias_scales.append(step.biases * each * scale)
        offsets.append(step.constant * each * scale)
    query = {
        "layers": "-".join(str(n) for n in (layers[0].stage.n_in, *(layer.stage.units for layer in layers))),
        "window": repr(window),
        "T": str(steps),
        "du": ",".join(repr(step.du) for step in by_step),
        "dv": ",".join(repr(step.dv) for step in by_step),
        "vth": ",".join(repr(threshold) for threshold in thresholds),
        "weight_exp": "0",
        "noise": "none",
        "readout": "counts" if by_step[-1].threshold is not None else "membrane",
        **({"gain": repr(gain)} if by_step[-1].threshold is None else {}),
        **(options or {}),
    }
    url = DeviceURL("lava", "lif", query)
    chosen = resolve(url, network=None, window=None, seed=None)
    theta = Registers.by(chosen).spec().clip(np.concatenate(blocks))  # the largest may lie a rounding error outside
    notes += _rounded(chosen, by_step, theta)
    dense = Model(tuple(layers), model.metadata)
    return Placed(dense, str(url), theta, dt, tuple(weight_scales), tuple(bias_scales), tuple(offsets), tuple(notes))


def model_on(url: str, theta: Array, *, dt: float = DT) -> Model:
    """The model that a Lava device computes: its constants as it holds them, and its parameters, rounded as it does.

    NIR knows nothing of rounding in each step. With ``weight_exp=0`` in the URL that is of no account; with exponents
    below 0, sums of weights are rounded down to multiples of ``2**-weight_exp``: what that takes on average is part of
    the exported biases, what it adds in noise is not.

    Args:
        url: of the device, such as ``device.info.url``.
        theta: (n_params,) what it was programmed with, weight units.
        dt: seconds a time step: the file needs one, Lava has none.

    Raises:
        ConfigError: not the URL of a network of LIF layers; parameters that the device couldn't hold, named.
    """
    parsed = DeviceURL.parse(url)
    if (parsed.scheme, parsed.target) != ("lava", "lif"):
        raise ConfigError(
            f"{url!r} is not the URL of Lava's LIF layers, such as lava:lif?layers=64-32-10", key="device"
        )
    options = resolve(parsed, network=None, window=None, seed=None)
    registers = Registers.by(_nearest(options))
    theta = registers.parameters(registers.of(registers.spec().check(theta)))
    plan, network = options.plan(), options.network
    unit = options.window / REGISTER * 2.0 ** -(options.weight_exp if plan.fixed else 0)
    # Sums of even registers that are shifted down by an exponent below 0 lose this on average.
    lost = max(0.0, 2.0**-options.weight_exp - 2.0) / 2.0 * options.window / REGISTER if plan.fixed else 0.0
    layers: list[Layer] = []
    for index, (layer, constants) in enumerate(zip(Model.of(network, theta).layers, plan.layers, strict=True)):
        last = index == len(plan.layers) - 1
        du = (constants.du + 1) / DECAY_ONE if plan.fixed else constants.du
        dv = constants.dv / DECAY_ONE if plan.fixed else constants.dv
        threshold = None if last and options.readout == "membrane" else constants.vth * unit
        # A device adds a bias to v; NIR's comes through the synapse, which in the end makes 1 / du of it.
        bias = layer.bias * du - lost
        layers.append(replace(layer, bias=bias, neurons=_neurons(du, dv, threshold, dt)))
    return Model(tuple(layers), {"dt": repr(dt), "device": url})


def _nearest(options: Options) -> Options:
    """The same options with levels that are the nearest ones: a file holds one set, not a draw."""
    return options.model_copy(update={"rounding": "nearest"})


def _neurons(du: float, dv: float, threshold: float | None, dt: float) -> Neurons:
    """Neurons that lose these shares in a step of dt, and take inputs as they are."""
    one, zero = np.ones(1), np.zeros(1)
    spikes = {} if threshold is None else {"v_threshold": one * threshold, "v_reset": zero}
    if du < 1:
        tau = dt / dv if dv > 0 else LONG * dt
        syn = {"tau_syn": one * (dt / du), "w_in": one / du}
        constants = {**syn, "tau_mem": one * tau, "r": one * (tau / dt), "v_leak": zero, **spikes}
        return Neurons("CubaLI" if threshold is None else "CubaLIF", constants)
    if dv > 0:
        constants = {"tau": one * (dt / dv), "r": one / dv, "v_leak": zero, **spikes}
        return Neurons("LI" if threshold is None else "LIF", constants)
    return Neurons("I" if threshold is None else "IF", {"r": one / dt, **spikes})


def _dt(model: Model) -> float:
    text = model.metadata.get("dt", repr(DT))
    try:
        return float(text)
    except ValueError:
        raise ConfigError(f"the file's metadata say dt = {text!r}, which is no number; give dt", key="dt") from None


def _stepped(layer: Layer, dt: float, last: bool, notes: list[str]) -> _Step:
    """A layer's neurons by the step."""
    units, neurons = layer.stage.units, layer.neurons
    one, zero = np.ones(units), np.zeros(units)
    if neurons is None:
        if not last:
            raise ConfigError(f"layer {layer.name!r} has no neurons; on Lava, all but the last one spike")
        return _Step(1.0, 0.0, one, one, zero, None)
    if not neurons.spike and not last:
        raise ConfigError(f"layer {layer.name!r} has {neurons.kind} neurons; on Lava, all but the last one spike")

    def each(name: str) -> Array:
        return neurons.each(name, units)

    def share(name: str) -> float:
        """Of what decays with a time constant, lost in a step; one for the layer."""
        tau = each(name)
        if float(np.ptp(tau)) > 1e-6 * float(tau.max()):
            raise ConfigError(
                f"layer {layer.name!r}: {name} goes from {tau.min():g} to {tau.max():g} s; Lava's neurons of a layer "
                "share one"
            )
        if dt > float(tau[0]) * (1 + 1e-6):
            raise ConfigError(
                f"layer {layer.name!r}: a time step of {dt:g} s is longer than {name} = {tau[0]:g} s; take dt of at "
                "most that",
                key="dt",
            )
        return min(1.0, float(dt / tau[0]))

    reset = each("v_reset") if neurons.spike else zero
    threshold = each("v_threshold") - reset if neurons.spike else None
    if threshold is not None and not (threshold > 0).all():
        raise ConfigError(f"layer {layer.name!r}: v_threshold must lie above v_reset")
    if neurons.kind in ("IF", "I"):
        return _Step(1.0, 0.0, each("r") * dt, each("r") * dt, zero, threshold)
    if neurons.kind in ("LIF", "LI"):
        dv = share("tau")
        factor = each("r") * (dt / each("tau"))
        return _Step(1.0, dv, factor, factor, dv * (each("v_leak") - reset), threshold)
    du, dv = share("tau_syn"), share("tau_mem")
    steady = each("r") * (dt / each("tau_mem")) * each("w_in")
    if du < 1 and layer.bias.any():
        notes.append(f"{layer.name}: biases come in at their steady value, without the synapses' rise")
    return _Step(du, dv, steady * du, steady, dv * (each("v_leak") - reset), threshold)


def _rounded(options: Options, by_step: list[_Step], theta: Array) -> list[str]:
    """What fixed precision does to the constants and the parameters."""
    if options.precision == "float":
        return []
    notes: list[str] = []
    for index, (step, held) in enumerate(zip(by_step, options.plan().layers, strict=True)):
        for name, wanted, got in (("du", step.du, (held.du + 1) / DECAY_ONE), ("dv", step.dv, held.dv / DECAY_ONE)):
            if abs(got - wanted) > 0.01 * wanted:
                notes.append(f"layer {index}: {name} = {wanted:.4g} a step is held as {got:.4g}")
    registers = Registers.by(options)
    error = registers.parameters(registers.of(theta)) - theta
    size = float(np.sqrt(np.mean(np.square(theta)))) or 1.0
    notes.append(
        f"parameters are rounded to levels of {options.level:.3g}: {np.sqrt(np.mean(error**2)) / size:.1%} rms"
    )
    return notes
