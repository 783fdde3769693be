"""Options of a board's URL: what they are called, and what they may be."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hwzo.errors import ConfigError
from hwzo.network import Activation, Network
from hwzo.probes import Readback
from hwzo.registry import DeviceURL

Amount = Annotated[float, Field(ge=0.0, le=1e3, allow_inf_nan=False)]
Positive = Annotated[float, Field(ge=1e-6, le=1e6, allow_inf_nan=False)]
Seconds = Annotated[float, Field(gt=0.0, le=1e5, allow_inf_nan=False)]
Wait = Annotated[float, Field(ge=0.0, le=1e5, allow_inf_nan=False)]


class Options(BaseModel):
    """What any board takes. Weights and pre-activations in weight units."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    layers: str = "64-32-10"
    activation: Activation = "tanh"
    window: Positive = 1.0
    """Weights lie in [-window, window], as far as the board holds that."""
    readback: Readback | None = None
    """How much to read back; None: all that the board can."""
    seed: Annotated[int, Field(ge=0, lt=2**64)] = 0
    """Key of a simulated array's noise."""
    programming: Amount = 0.0
    """sd of a weight's noise that lasts until the next write, weight units; simulated array only."""
    read_noise: Amount = 0.0
    """sd of a weight's noise, drawn anew for each evaluation, weight units; simulated array only."""
    node_noise: Amount = 0.0
    """sd of a node's noise, drawn anew for each sample and evaluation, pre-activation units; simulated array only."""
    timeout_s: Seconds = 10.0
    """How long a command may go without an answer."""
    reconnect_s: Wait = 30.0
    """How long a board that was reset or unplugged may stay away; 0 looks once."""
    safe_s: Annotated[float, Field(ge=0.0, le=4e6, allow_inf_nan=False)] = 0.0
    """How long a board hears nothing before it makes its outputs safe by itself; 0: for ever."""

    @property
    def network(self) -> Network:
        """The network of ``layers`` and ``activation``."""
        return Network.parse(self.layers, self.activation)

    @property
    def noisy_pins(self) -> bool:
        """Whether an array that isn't simulated on the board gives other numbers each time: a real one does."""
        return True

    def query(self) -> dict[str, str]:
        """What opens the same device again: the essentials, and whatever isn't as usual."""
        usual = type(self)()
        always = ("layers", "activation", "window", "seed")
        return {
            key: str(value)
            for key, value in self.model_dump().items()
            if value is not None and (key in always or value != getattr(usual, key))
        }


class PortOptions(Options):
    """What a board at a serial port takes."""

    baud: Annotated[int, Field(ge=300, le=12_000_000)] = 115_200
    """Bits a second; a USB device that is its own port takes any."""


class BoardOptions(Options):
    """What a virtual board takes."""

    array: Literal["sim", "spi"] = "sim"
    """A noisy chip in software on the board, or a crossbar at an AVR's pins, behind SPI and the ADC."""
    adc_noise: Annotated[float, Field(ge=0.0, le=5000.0, allow_inf_nan=False)] = 0.0
    """sd of the noise at the ADC's pin, millivolts; ``array=spi`` only."""
    baud: Annotated[int, Field(ge=300, le=4_000_000)] | None = None
    """Of the UART; None: a rate that the board makes exactly."""
    paced: bool = False
    """Hold an AVR back to its real speed."""
    like: Literal["posix", "atmega328p", "atmega2560", "cortex-m3"] | None = None
    """Which board ``board:twin`` is as large as; None: posix."""

    @property
    def noisy_pins(self) -> bool:
        """Whether the crossbar at its pins is noisy."""
        return self.adc_noise > 0


Chosen = TypeVar("Chosen", bound=Options)


def resolve(
    kind: type[Chosen], url: DeviceURL, *, network: Network | None, window: float | None, seed: int | None
) -> Chosen:
    """The options of a URL: as given there, else as suggested, else as usual.

    Raises:
        ConfigError: an unknown option, or a value out of range; names the key, the value and what is allowed.
    """
    suggested: dict[str, object] = {}
    if network is not None:
        suggested |= {"layers": network.label, "activation": network.activation}
    if window is not None:
        suggested["window"] = window
    if seed is not None:
        suggested["seed"] = seed
    given = {**suggested, **url.options}
    try:
        options = kind.model_validate(given)
    except ValidationError as invalid:
        error = invalid.errors()[0]
        key = str(error["loc"][0])
        if error["type"] == "extra_forbidden":
            near = get_close_matches(key, kind.model_fields, 1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            message = f"unknown option; {hint}there are: {', '.join(sorted(kind.model_fields))}"
        else:
            message = error["msg"].replace("Input should", "should")
        raise ConfigError(f"{url.scheme} option {key}={given[key]!s}: {message}", key=key) from None
    _ = options.network  # layers that can't be are told here
    return options
