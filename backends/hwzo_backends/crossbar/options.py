"""Options of a crossbar URL: what they are called, what they may be, and what a preset makes of those left out."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hwzo.errors import ConfigError
from hwzo.network import Activation, Network
from hwzo.probes import Readback
from hwzo.registry import DeviceURL
from hwzo_backends.crossbar.preset import Preset, find_preset

ADC_MAX = 8.0  # default full scale of a column's converter, pre-activation units, for a window of 1
MAX_PARAMETERS = 50_000_000  # about 10 GB of emulated cells

Amount = Annotated[float, Field(ge=0.0, le=1e6, allow_inf_nan=False)]
Positive = Annotated[float, Field(ge=1e-6, le=1e6, allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]
Bits = Annotated[int, Field(ge=0, le=24)]


class Options(BaseModel):
    """All options of an emulated crossbar, resolved. Weights and pre-activations in weight units."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    layers: str = "64-32-10"
    activation: Activation = "tanh"
    window: Positive = 1.0
    """Weights lie in [-window, window]."""
    seed: Annotated[int, Field(ge=0, lt=2**64)] = 0
    engine: Literal["auto", "numpy", "numba"] = "auto"
    """What computes: numba where it is installed, or NumPy, the reference. Noise has the same law, other draws."""
    threads: Annotated[int, Field(ge=1, le=256)] = 1
    """Of the numba engine; they change no bit."""
    readback: Readback = "weights"
    perturb: Literal["write", "overlay"] = "write"
    """How a commanded displacement is made: by writing the cells, or by a volatile one on top of them."""
    sigma: Amount = 0.0
    """sd of each parameter's own noise, constant in an evaluation, drawn anew for the next; weight units."""
    node_noise: Amount
    """sd at each column's output, pre-activation units, drawn for each sample and evaluation."""
    read_noise: Amount
    """White noise of a cell in each read, sd as a fraction of g_max."""
    proportional: Amount = 0.0
    """White noise of a weight in each read, sd as a fraction of the weight."""
    variance: Literal["base", "exact"] = "base"
    """Whether proportional noise stays that of the cells under a volatile displacement, or follows it."""
    read_error: Amount
    """sd of one read-back of one weight, weight units."""
    fit: str
    """Which published curve of programming noise."""
    programming: Amount
    """Factor on programming noise."""
    drift: bool
    flicker: Amount
    """Factor on the preset's 1/f noise."""
    telegraph: Annotated[float, Field(ge=0.0, le=2.0, allow_inf_nan=False)] = 0.0
    """Relative amplitude, peak to peak, of random telegraph noise."""
    telegraph_fraction: Fraction = 0.1
    """Of the cells that have it."""
    telegraph_tau: Annotated[float, Field(ge=1e-9, le=1e9, allow_inf_nan=False)] = 0.01
    """Its correlation time, seconds."""
    temperature: Annotated[float, Field(ge=150.0, le=600.0, allow_inf_nan=False)] = 300.0
    """Kelvin; conductances, drift and relaxation follow by Arrhenius' law."""
    iv: bool
    """Whether the preset's nonlinear current-voltage curve counts."""
    d2d: Fraction = 0.0
    """Relative sd of a cell's gain, fixed for a device."""
    stuck: Fraction = 0.0
    """Fraction of the cells that can't be written, half at g_min, half at g_max."""
    endurance: Annotated[int, Field(ge=0, le=10**15)] = 0
    """Writes, or pulses, after which a pair can't be changed any more; 0 is never."""
    verify: Annotated[int, Field(ge=0, le=50)]
    """Rounds of reading and correcting when pulses program a cell; 0 sends pulses without a look."""
    pulse_noise: Amount
    """Factor on the cycle-to-cycle noise of a pulse."""
    pulse_spread: Amount
    """Factor on how devices that are programmed by pulses differ."""
    corrupt: bool = False
    """Whether the devices of an array that its source found not to move don't."""
    ir_drop: Literal["off", "fast", "exact"] = "off"
    """Voltage lost along the wires: by an approximation, or by solving Kirchhoff's equations."""
    wire_ohm: Amount = 0.35
    """Of a wire between neighbouring cells, rows and columns alike."""
    slices: Annotated[int, Field(ge=1, le=16)] = 1
    """Pairs that share a weight's bits, most significant first."""
    slice_bits: Annotated[int, Field(ge=1, le=12)] = 4
    """Bits of the magnitude that a slice holds, if there is more than one."""
    tile: Annotated[str, Field(pattern=r"^\d{1,6}(x\d{1,6})?$")] = "256"
    """Rows, or rows x columns, of a tile; a column is a differential pair."""
    dac_bits: Bits
    adc_bits: Bits
    """Resolution of the converters, sign included; 0 is ideal."""
    adc_max: Annotated[float, Field(ge=1e-9, le=1e9, allow_inf_nan=False)]
    """Full scale of a column's converter, pre-activation units."""

    @property
    def tile_size(self) -> tuple[int, int]:
        """Rows and columns of a tile."""
        rows, _, columns = self.tile.partition("x")
        return int(rows), int(columns or rows)

    @property
    def network(self) -> Network:
        """The network of ``layers`` and ``activation``."""
        return Network.parse(self.layers, self.activation)

    def url(self, preset: Preset) -> DeviceURL:
        """The URL that opens the same device again: the essentials, and whatever differs from the defaults."""
        usual = _defaults(preset, self.window)
        query: dict[str, str] = {}
        for key, value in self.model_dump(exclude={"threads"}).items():
            if key in ("layers", "activation", "window", "seed", "engine") or value != usual.get(key):
                query[key] = ("on" if value else "off") if isinstance(value, bool) else str(value)
        return DeviceURL("crossbar", preset.target, query)


def _defaults(preset: Preset, window: float) -> dict[str, object]:
    """What the preset and the window make of options that aren't given."""
    fields: dict[str, object] = {
        name: info.default for name, info in Options.model_fields.items() if not info.is_required()
    }
    return fields | {
        "window": window,
        "node_noise": preset.node_noise,
        "read_noise": preset.read_noise,
        "read_error": preset.read_error * window,
        "fit": next(iter(preset.fits), "none"),
        "programming": 1.0 if preset.fits else 0.0,
        "drift": preset.ages,
        "flicker": 1.0 if preset.flicker is not None else 0.0,
        "iv": preset.iv is not None,
        "verify": 5 if preset.pulses is not None else 0,
        "pulse_noise": 1.0 if preset.pulses is not None else 0.0,
        "pulse_spread": 1.0 if preset.pulses is not None else 0.0,
        "dac_bits": preset.bits,
        "adc_bits": preset.bits,
        "adc_max": ADC_MAX * window,
    }


def resolve(
    url: DeviceURL, *, network: Network | None, window: float | None, seed: int | None
) -> tuple[Preset, Options]:
    """The preset of a URL and its options: as given there, else as suggested, else the preset's.

    Raises:
        ConfigError: unknown preset or option, or a value out of range; names the key, the value and what is allowed.
    """
    preset = find_preset(url.target)
    suggested: dict[str, object] = {}
    if network is not None:
        suggested |= {"layers": network.label, "activation": network.activation}
    if window is not None:
        suggested["window"] = window
    if seed is not None:
        suggested["seed"] = seed
    given = {**suggested, **preset.options, **url.options}
    # The window first: other defaults follow from it.
    first = _validate({**_defaults(preset, 1.0), **{k: v for k, v in given.items() if k == "window"}})
    options = _validate({**_defaults(preset, first.window), **given})
    _check(preset, options)
    return preset, options


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
        elif key == "tile":
            message = "should be rows or rows x columns, such as 256 or 256x128"
        else:
            message = error["msg"].replace("Input should", "should").replace("Value error, ", "")
        raise ConfigError(f"crossbar option {key}={values[key]!s}: {message}", key=key) from None


def _check(preset: Preset, options: Options) -> None:
    """What a single value can't tell."""

    def refuse(key: str, message: str) -> ConfigError:
        return ConfigError(f"crossbar option {key}={getattr(options, key)}: {message}", key=key)

    if min(options.tile_size) < 2:
        raise refuse("tile", "a tile needs at least 2 rows and 2 columns")
    for key in ("dac_bits", "adc_bits"):
        if getattr(options, key) == 1:
            raise refuse(key, "should be 2 to 24, or 0 for an ideal converter")
    if options.fit not in (*preset.fits, *(() if preset.fits else ("none",))):
        raise refuse("fit", f"preset {preset.name} has {', '.join(preset.fits) or 'none'}")
    laws = {
        "programming": bool(preset.fits),
        "drift": preset.ages,
        "flicker": preset.flicker is not None,
        "iv": preset.iv is not None,
        "verify": preset.pulses is not None,
        "corrupt": preset.pulses is not None and preset.pulses.corrupt > 0,
        "pulse_noise": preset.pulses is not None,
        "pulse_spread": preset.pulses is not None,
    }
    for key, has in laws.items():
        if getattr(options, key) and not has:
            raise refuse(key, f"preset {preset.name} has no such law; leave it out")
    if preset.pulses is not None and options.d2d:
        raise refuse("d2d", f"devices of preset {preset.name} differ as published; scale that by pulse_spread")
    if options.slices > 1 and options.slices * options.slice_bits > 24:
        raise refuse("slices", f"{options.slices} slices of {options.slice_bits} bits; at most 24 bits in all")
    n = options.network.n_params * options.slices
    if n > MAX_PARAMETERS:
        raise refuse("layers", f"{n} parameters, slices counted; at most {MAX_PARAMETERS} can be emulated")
