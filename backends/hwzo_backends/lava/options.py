"""Options of a ``lava:lif`` URL: what they are called, what they may be, and the network of LIF layers they make."""

from __future__ import annotations

import math
from dataclasses import replace
from difflib import get_close_matches
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hwzo.errors import CapabilityError, ConfigError
from hwzo.network import Network
from hwzo.probes import Readback
from hwzo.registry import DeviceURL
from hwzo.stages import Dense
from hwzo_backends.lava.coding import Coding
from hwzo_backends.lava.lif import DECAY_ONE, LARGEST_VTH, SHIFT, Neurons, Precision
from hwzo_backends.lava.loihi_noise import Noise, NoiseTarget
from hwzo_backends.lava.plan import Plan
from hwzo_backends.lava.quantised import Rounding

LEVELS = 128
"""Weight levels of one sign; a register holds twice a level, as Dense's mixed sign mode drops the lowest of 9 bits."""
REGISTER = 2 * LEVELS
"""What the window is in registers."""
MOST_COPIES = 64
PATIENCE_S = 600.0
"""That a call may take where each step is one of Lava's: 0.6 ms on a quiet machine, ten times that on a busy one."""
MOST_PARAMETERS = 5_000_000
ACTIVATION = "relu"
"""What the rate of a neuron without leak is of its mean input, in units of its threshold and below one spike a step."""

Positive = Annotated[float, Field(gt=0.0, le=1e6, allow_inf_nan=False)]


class Options(BaseModel):
    """All options of a network of LIF layers in Lava, resolved. Weights, biases and thresholds in weight units."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    layers: str = "64-32-10"
    window: Positive = 1.0
    """Weights lie in [-window, window]; in fixed precision a 128th of it is a level."""
    T: Annotated[int, Field(ge=1, le=4096)] = 16
    """Time steps that a sample is shown for."""
    coding: Coding = "rate"
    """How inputs become spikes."""
    readout: Literal["counts", "membrane"] = "membrane"
    """What outputs are made of: spikes of the last layer, or the v of one that integrates and never spikes."""
    gain: Annotated[float, Field(ge=0.0, le=1e6, allow_inf_nan=False)] = 0.0
    """Outputs are it times spikes a step, or times v a step, weight units; 0: 8 for counts, 1 for membrane."""
    precision: Precision = "fixed"
    """fixed: whole numbers, 8-bit weights, 24-bit u and v; float: the same network without rounding."""
    du: str = "1"
    """Share of its current that a neuron loses in a step; one number, or one a layer."""
    dv: str = "0"
    """Share of its membrane that a neuron loses in a step; one number, or one a layer."""
    vth: str = "1"
    """Threshold, weight units; one number, or one a layer."""
    weight_exp: Annotated[int, Field(ge=-6, le=1)] = -6
    """Exponent that all weights share, biases with them. The threshold follows, and so does what noise is beside it."""
    rounding: Rounding = "nearest"
    """How parameters between two levels are rounded when they are written."""
    noise: Literal["loihi1", "none"] = "loihi1"
    """Noise of the form that Loihi 1 has, emulated; or none, as in Lava's own processes."""
    exponent: Annotated[int, Field(ge=0, le=15)]
    """Of that noise, (-127..127 + 64 mant_offset) 2^(exponent - 7); default: 7, but 3 on weights."""
    mant_offset: Annotated[int, Field(ge=0, le=1)] = 0
    target: NoiseTarget = "current"
    """What that noise is on: current or membrane in each step, or weights, once an evaluation."""
    readback: Readback
    """loss, outputs, nodes (they carry noise on current or membrane) or weights (with noise on weights)."""
    read_error: Annotated[float, Field(ge=0.0, le=1e6, allow_inf_nan=False)]
    """sd of one read-back of one weight, weight units; default: half a level."""
    mode: Literal["trial", "graph"] = "trial"
    """trial: a Lava process of ours whose step is a whole call; graph: Lava's own Dense and LIFReset, slowly."""
    copies: Annotated[int, Field(ge=1, le=MOST_COPIES)] = 32
    """Networks side by side in the graph, each with parameters of its own."""
    hardware: Literal["none", "loihi2"] = "none"
    """The run configuration of graph mode; loihi2 takes Intel's own extension of Lava, and was never run."""
    seed: Annotated[int, Field(ge=0, lt=2**64)] = 0
    timeout: Annotated[float, Field(ge=0.1, le=1e6, allow_inf_nan=False)]
    """Seconds that one call may take; default: 60, in graph mode `PATIENCE_S`."""

    @property
    def network(self) -> Network:
        """The network of ``layers``; its activation is what a neuron's rate comes close to."""
        return Network.parse(self.layers, ACTIVATION)

    @property
    def level(self) -> float:
        """Weight units of one level of a weight."""
        return self.window / LEVELS

    @property
    def output_gain(self) -> float:
        """``gain``, resolved."""
        return self.gain or (8.0 if self.readout == "counts" else 1.0)

    def plan(self) -> Plan:
        """What a worker is to run.

        Raises:
            ConfigError: a constant is out of range; names the option.
        """
        units = self.network.layers
        n = len(units) - 1
        constants = {key: _each(key, getattr(self, key), n) for key in ("du", "dv", "vth")}
        fixed = self.precision == "fixed"
        layers: list[Neurons] = []
        for du, dv, vth in zip(constants["du"], constants["dv"], constants["vth"], strict=True):
            for key, share in (("du", du), ("dv", dv)):
                least = 1 / DECAY_ONE if key == "du" and fixed else 0.0
                if not least <= share <= 1:
                    raise refuse(key, getattr(self, key), f"a share lies in [{least:g}, 1]")
            threshold = vth * REGISTER / self.window
            if not fixed:
                if not threshold > 0:
                    raise refuse("vth", self.vth, "must be above 0")
                layers.append(Neurons(du, dv, threshold))
                continue
            whole = round(threshold * 2.0**self.weight_exp)
            if not 1 <= whole <= LARGEST_VTH:
                unit = self.window / REGISTER * 2.0**-self.weight_exp
                allowed = (
                    f"with this window and weight_exp it can be {unit:g} to {LARGEST_VTH * unit:g}, in as many steps"
                )
                raise refuse("vth", self.vth, allowed)
            decay = round(du * DECAY_ONE) - 1, min(round(dv * DECAY_ONE), DECAY_ONE - 1)
            layers.append(Neurons(*decay, whole, self.weight_exp, self.weight_exp + SHIFT))
        if self.readout == "membrane":
            last = layers[-1]
            never = float(LARGEST_VTH) if fixed else 1e300
            layers[-1] = replace(last, vth=int(never) if fixed else never)
        noise = None
        if self.noise == "loihi1":
            # Float weights carry no exponent: instead of them, noise on what they add up to is scaled.
            shift = 0 if fixed or self.target == "weights" else -self.weight_exp
            noise = Noise(self.target, self.exponent + shift, self.mant_offset)
        return Plan(units, tuple(layers), self.T, self.precision, self.coding, noise, self.seed)

    def url(self) -> DeviceURL:
        """The URL that opens the same device again: the essentials, and whatever differs from the defaults."""
        usual = _defaults(self.model_dump())
        query: dict[str, str] = {}
        for key, value in self.model_dump().items():
            if key in ("layers", "window", "seed", "noise", "precision", "mode") or value != usual[key]:
                query[key] = str(value)
        return DeviceURL("lava", "lif", query)


def refuse(key: str, value: object, message: str) -> ConfigError:
    """An error that names the option."""
    return ConfigError(f"lava option {key}={value}: {message}", key=key)


def _each(key: str, text: str, n: int) -> list[float]:
    """One number for each of n layers."""
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        raise refuse(key, text, "should be a number, or one a layer with commas between them") from None
    if not all(math.isfinite(number) for number in numbers):
        raise refuse(key, text, "should be finite")
    if len(numbers) not in (1, n):
        raise refuse(key, text, f"{len(numbers)} numbers for {n} layers of neurons; give one, or {n}")
    return numbers * n if len(numbers) == 1 else numbers


def _defaults(values: dict[str, object]) -> dict[str, object]:
    """What options that aren't given are, by those that are."""
    fields: dict[str, object] = {
        name: info.default for name, info in Options.model_fields.items() if not info.is_required()
    }
    noisy = values.get("noise", "loihi1") != "none"
    on_weights = noisy and values.get("target", "current") == "weights"
    window = values.get("window", 1.0)
    size = float(window) if isinstance(window, int | float) else 1.0
    graph = values.get("mode", "trial") == "graph"
    return fields | {
        "exponent": 3 if on_weights else 7,
        "readback": "outputs" if graph or not noisy else "weights" if on_weights else "nodes",
        "timeout": PATIENCE_S if graph else 60.0,
        "read_error": 0.5 * size / LEVELS if on_weights and not graph else 0.0,
    }


def resolve(url: DeviceURL, *, network: Network | None, window: float | None, seed: int | None) -> Options:
    """The options of a URL: as given there, else as suggested, else their defaults.

    Raises:
        ConfigError: an unknown option, or a value out of range; names the key, the value and what is allowed.
        CapabilityError: something is to be read back that these options don't give.
    """
    suggested: dict[str, object] = {}
    if network is not None:
        suggested["layers"] = network.label
    if window is not None:
        suggested["window"] = window
    if seed is not None:
        suggested["seed"] = seed
    given = {**suggested, **url.options}
    if "activation" in given:
        raise refuse("activation", given["activation"], "neurons here are leaky integrate-and-fire ones; leave it out")
    first = _validate(
        {**_defaults({}), **{k: v for k, v in given.items() if k in ("window", "noise", "target", "mode")}}
    )
    options = _validate({**_defaults(first.model_dump()), **given})
    _check(options, url)
    return options


def _validate(values: dict[str, object]) -> Options:
    try:
        return Options.model_validate(values)
    except ValidationError as invalid:
        error = invalid.errors()[0]
        key = str(error["loc"][0])
        if error["type"] == "extra_forbidden":
            near = get_close_matches(key, Options.model_fields, 1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            message = f"unknown option; {hint}there are: {', '.join(sorted(Options.model_fields))}"
        else:
            message = error["msg"].replace("Input should", "should").replace("Value error, ", "")
        raise refuse(key, values[key], message) from None


def _check(options: Options, url: DeviceURL) -> None:
    """What a single value can't tell."""
    network = options.network
    if not all(isinstance(stage, Dense) for stage in network.stages):
        raise refuse("layers", options.layers, "layers of LIF neurons are dense here, such as 64-32-10")
    n = sum((a + 1) * b for a, b in zip(network.layers[:-1], network.layers[1:], strict=True))
    if n > MOST_PARAMETERS:
        raise refuse("layers", options.layers, f"{n} parameters; at most {MOST_PARAMETERS} are taken")
    noisy = options.noise != "none"
    for key in ("exponent", "mant_offset", "target"):
        if not noisy and key in url.options:
            raise refuse(key, url.options[key], "there is no noise to set; leave it out, or take noise=loihi1")
    on_weights = noisy and options.target == "weights"
    if options.readback == "weights" and not on_weights:
        raise CapabilityError(
            f"lava option readback=weights: weights carry no noise of their own with "
            f"{'target=' + options.target if noisy else 'noise=none'}, so there is nothing to be read in them; take "
            "target=weights, or readback=nodes" + ("" if noisy else " with noise=loihi1")
        )
    if options.readback == "nodes" and on_weights:
        raise refuse("readback", "nodes", "with target=weights, nodes come with the weights: readback=weights")
    if options.mode == "graph" and options.readback in ("nodes", "weights"):
        raise refuse("readback", options.readback, "graph mode reads back outputs at most; mode=trial reads more")
    if options.read_error and options.readback != "weights":
        raise refuse("read_error", options.read_error, "weights aren't read back; leave it out")
    if options.hardware != "none" and (options.mode != "graph" or noisy):
        reason = "only Lava's own processes can go to a chip, and no emulated noise"
        raise refuse("hardware", options.hardware, f"{reason}: add mode=graph&noise=none")
    options.plan()
