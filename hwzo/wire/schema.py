"""The one description of HZ1: every message, its fields and units; the codecs and the C header are made from it.

A message is a dataclass; its fields travel in the order in which they stand here, little-endian, without gaps. Weights
and displacements are int16 in units of 2^-weight_bits weight units, nodes (pre-activations) int16 in units of
2^-node_bits, inputs int8 in units of 1/127, losses u32 in units of 2^-loss_bits; `DescribeReply` tells the exponents.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, fields
from enum import IntEnum, IntFlag
from functools import cache
from typing import Annotated, Any, Generic, TypeVar, get_type_hints

from hwzo.wire.fields import I16, U8, U16, U32, U64, I8s, I16s, List, Number, String, Text, U16s, U32s

PROTOCOL = 1
"""Version of frames and sessions: HZ1."""
CACHED_REPLY = 16
"""Most bytes of payload of a reply that the board keeps for a resend."""
LEAST_PAYLOAD = 64
"""What every board takes and gives, in bytes of payload."""
ANY_FIELD = 255
"""In the payload of an E_RANGE: no field is at fault; something else has to come first."""


class FrameType(IntEnum):
    """What a frame is."""

    REQUEST = 0
    REPLY = 1
    EVENT = 2
    NAK = 3


class Status(IntEnum):
    """How a command went; of all but OK, nothing was changed."""

    OK = 0
    E_OP = 1
    E_LEN = 2
    E_RANGE = 3
    E_NOSESS = 4
    E_VERSION = 5
    E_BUSY = 6
    E_SAFE = 7


class Cause(IntEnum):
    """Why the board last started."""

    UNKNOWN = 0
    POWER_ON = 1
    RESET_PIN = 2
    WATCHDOG = 3
    BROWN_OUT = 4
    SOFTWARE = 5


class LawCode(IntEnum):
    """Laws of directions, numbered as their streams."""

    RADEMACHER = 0
    RANK1_SIGN = 1


class ActivationCode(IntEnum):
    """Activations of hidden layers."""

    LINEAR = 0
    TANH = 1
    RELU = 2


class LossCode(IntEnum):
    """Losses."""

    CROSS_ENTROPY = 0
    SQUARED_ERROR = 1


class ArrayCode(IntEnum):
    """What holds the weights."""

    SIM = 0
    SPI = 1
    EMULATED = 2
    OTHER = 255


class Reads(IntFlag):
    """What can be read back beside the loss."""

    OUTPUTS = 1
    NODES = 2
    WEIGHTS = 4


class Latch(IntFlag):
    """What an evaluation leaves in the latch."""

    OUTPUTS = 1
    NODES = 2


class Action(IntEnum):
    """What to do with the checkpoint."""

    SAVE = 0
    LOAD = 1


class Kind(IntEnum):
    """What happens to a command that arrives again."""

    CACHED = 0
    FETCH = 1


@dataclass(slots=True)
class Message:
    """What a payload says."""


R = TypeVar("R", bound=Message)


@dataclass(slots=True)
class Request(Message, Generic[R]):
    """A message that is answered by one of type R."""


@dataclass(slots=True)
class Done(Message):
    """Nothing but the status."""


@dataclass(slots=True)
class HelloReply(Message):
    """Who answers, and how to go on."""

    nonce: Annotated[U32, "the request's"]
    protocol: Annotated[U8, "1"]
    firmware_major: Annotated[U8, "version of the firmware"]
    firmware_minor: Annotated[U8, "version of the firmware"]
    schema: Annotated[U32, "hash of the schema that the firmware was built from"]
    session: Annotated[U8, "goes into every frame from now on; not 0"]
    window: Annotated[U8, "most requests in flight"]
    max_payload: Annotated[U16, "most bytes of payload, of a request or a reply; at least 64"]
    max_parameters: Annotated[U32, "most parameters that a network may have"]
    boot_id: Annotated[U32, "another one after every start"]
    reset_cause: Annotated[U8, "a Cause"]
    next_seq: Annotated[U16, "of the next request"]
    step: Annotated[U32, "of the training"]


@dataclass(slots=True)
class Hello(Request[HelloReply]):
    """Open a session; with the nonce of the open session, only ask again."""

    nonce: Annotated[U32, "any number; a new one opens a new session"]
    protocol: Annotated[U8, "the host's, 1"]
    schema: Annotated[U32, "hash of the host's schema"]


@dataclass(slots=True)
class DescribeReply(Message):
    """What the device is."""

    lower: Annotated[I16, "least weight that it holds, weight unit"]
    upper: Annotated[I16, "largest weight that it holds, weight unit"]
    resolution: Annotated[U16, "smallest step of a weight, weight unit"]
    weight_bits: Annotated[U8, "the weight unit is 2^-weight_bits"]
    node_bits: Annotated[U8, "the node unit is 2^-node_bits"]
    loss_bits: Annotated[U8, "the loss unit is 2^-loss_bits nat, or squared output"]
    array: Annotated[U8, "an ArrayCode"]
    reads: Annotated[U8, "Reads"]
    laws: Annotated[U8, "bit LawCode is set if it knows that law"]
    activations: Annotated[U8, "bit ActivationCode is set if it knows that activation"]
    losses: Annotated[U8, "bit LossCode is set if it knows that loss"]
    max_layers: Annotated[U8, "most weight layers"]
    max_width: Annotated[U16, "most inputs, or nodes of a layer"]
    max_samples: Annotated[U16, "most samples of a batch"]
    batch_bytes: Annotated[U32, "room for the rows of a batch"]
    latch_values: Annotated[U32, "most values that the latch holds"]
    receive_buffer: Annotated[U16, "most bytes of unanswered frames that it can receive while it computes"]
    nonvolatile: Annotated[U16, "room for a checkpoint, bytes; 0 if there is none"]
    serial: Annotated[U32, "serial number; 0 if it has none"]
    model: Annotated[String, "name of the board, at most 24 characters"]


@dataclass(slots=True)
class Describe(Request[DescribeReply]):
    """Ask what the device is."""


@dataclass(slots=True)
class NetworkReply(Message):
    """The network stands."""

    parameters: Annotated[U32, "their number"]


@dataclass(slots=True)
class SetNetwork(Request[NetworkReply]):
    """Make it a network of dense layers: parameters and step become 0; batch, key and latch are void.

    A layer's parameters are its weights, (inputs, outputs) row by row, then its biases, (outputs,).
    """

    activation: Annotated[U8, "ActivationCode of the hidden layers; the output layer is linear"]
    lower: Annotated[I16, "no parameter goes below, weight unit"]
    upper: Annotated[I16, "no parameter goes above, weight unit"]
    widths: Annotated[U16s, "number of inputs, then of each layer's nodes"]


@dataclass(slots=True)
class SetKey(Request[Done]):
    """Begin, or go on with, a run: the key of its directions, their law, and the step that it is at."""

    key: Annotated[U64, "of Philox4x32-10"]
    law: Annotated[U8, "LawCode"]
    step: Annotated[U32, "becomes the device's"]


@dataclass(slots=True)
class Write(Request[Done]):
    """Program parameters; those outside the network's bounds are E_RANGE, and none is written."""

    offset: Annotated[U32, "of the first, in the vector of parameters"]
    values: Annotated[I16s, "targets, weight unit"]


@dataclass(slots=True)
class Values(Message):
    """A chunk of a vector."""

    values: Annotated[I16s, "weight unit, or node unit"]


@dataclass(slots=True)
class Read(Request[Values]):
    """The targets that parameters were last given, without noise."""

    offset: Annotated[U32, "of the first, in the vector of parameters"]
    count: Annotated[U16, "how many"]


@dataclass(slots=True)
class LatchWeights(Request[Done]):
    """Read parameters off the array, with the read's noise, into the latch."""

    offset: Annotated[U32, "of the first, in the vector of parameters"]
    count: Annotated[U32, "how many, at most latch_values"]
    repeat: Annotated[U16, "number of this reading: only the read's own error differs between repeats"]


@dataclass(slots=True)
class Fetch(Request[Values]):
    """A chunk of the latch.

    After an evaluation it holds, sample by sample, the nodes of every layer in order (or the last layer's only).
    """

    offset: Annotated[U32, "of the first value, in the latch"]
    count: Annotated[U16, "how many"]


@dataclass(slots=True)
class BatchReply(Message):
    """The batch stands, all its rows 0."""

    row: Annotated[U16, "bytes of a row: the inputs, then one class number, or a target for each output"]


@dataclass(slots=True)
class BeginBatch(Request[BatchReply]):
    """Make room for a batch and set its rows to 0."""

    samples: Annotated[U16, "their number"]
    loss: Annotated[U8, "LossCode"]


@dataclass(slots=True)
class Sample(Request[Done]):
    """Part of a sample's row."""

    index: Annotated[U16, "which sample"]
    offset: Annotated[U16, "of the first value, in the row"]
    values: Annotated[I8s, "inputs in 1/127; a class number from 0, or targets in 1/127"]


@dataclass(slots=True)
class LossReply(Message):
    """A loss."""

    loss: Annotated[U32, "mean over the batch, loss unit"]


@dataclass(slots=True)
class Evaluate(Request[LossReply]):
    """Loss of the batch with the parameters displaced by scale * direction(t, k)."""

    t: Annotated[U32, "step; E_RANGE if it isn't the device's"]
    k: Annotated[U16, "which direction of that step"]
    scale: Annotated[I16, "weight unit; 0 leaves the parameters where they are"]
    latch: Annotated[U8, "Latch: what to leave in the latch"]


@dataclass(slots=True)
class StepReply(Message):
    """The step taken."""

    step: Annotated[U32, "the device's from now on"]


@dataclass(slots=True)
class Update(Request[StepReply]):
    """Add coefficient * direction(t, k) for each pair, stop at the bounds, and go on to step t + 1."""

    t: Annotated[U32, "step; E_RANGE if it isn't the device's"]
    pairs: Annotated[
        tuple[tuple[int, int], ...],
        List((("k", "u16"), ("coefficient", "i16"))),
        "directions and their coefficients, weight unit",
    ]


@dataclass(slots=True)
class LossesReply(Message):
    """Losses, in the order of the evaluations."""

    losses: Annotated[U32s, "mean over the batch, loss unit"]


@dataclass(slots=True)
class Step(Request[LossesReply]):
    """An update at step t, then the first evaluations of step t + 1, in one round trip."""

    t: Annotated[U32, "step of the update; E_RANGE if it isn't the device's"]
    pairs: Annotated[
        tuple[tuple[int, int], ...],
        List((("k", "u16"), ("coefficient", "i16")), counted=True),
        "directions of step t and their coefficients, weight unit",
    ]
    evaluations: Annotated[
        tuple[tuple[int, int], ...],
        List((("k", "u16"), ("scale", "i16"))),
        "directions of step t + 1 and how far to go along them, weight unit; at most 4",
    ]


@dataclass(slots=True)
class HashReply(Message):
    """Which parameters the device holds."""

    crc: Annotated[U32, "CRC-32 of the targets as little-endian int16"]
    step: Annotated[U32, "the device's"]


@dataclass(slots=True)
class Hash(Request[HashReply]):
    """Ask which parameters the device holds, without reading them."""


@dataclass(slots=True)
class StatisticsReply(Message):
    """Counts since the start, that wrap at their size."""

    frames: Annotated[U32, "well-formed frames received"]
    bad: Annotated[U16, "frames dropped for their coding, length or CRC"]
    overruns: Annotated[U16, "bytes lost before they could be looked at"]
    duplicates: Annotated[U16, "requests that had been run already"]
    gaps: Annotated[U16, "NAKs sent"]
    safe: Annotated[U16, "times that the outputs were made safe"]
    boots: Annotated[U16, "starts that the board knows of"]
    reads: Annotated[U32, "input vectors applied to the array"]
    writes: Annotated[U32, "cells programmed"]
    uptime_ms: Annotated[U32, "milliseconds since the start"]


@dataclass(slots=True)
class Statistics(Request[StatisticsReply]):
    """Ask how the link and the array have been used."""


@dataclass(slots=True)
class Checkpoint(Request[StepReply]):
    """Save network, key, step and parameters in non-volatile memory, or load them from there."""

    action: Annotated[U8, "Action"]


@dataclass(slots=True)
class SafeClear(Request[Done]):
    """Leave the safe state."""


@dataclass(slots=True)
class SafeTimeout(Request[Done]):
    """How long the board waits for a well-formed frame before it makes its outputs safe."""

    milliseconds: Annotated[U32, "0: for ever"]


@dataclass(slots=True)
class Noise(Request[Done]):
    """Noise of an array that is simulated on the board; E_OP on any other."""

    seed: Annotated[U64, "key of the noise's Philox4x32-10; never the directions' key"]
    read_sd: Annotated[U16, "of a weight, drawn anew for each evaluation, weight unit"]
    programming_sd: Annotated[U16, "of a weight, drawn anew when it is written, weight unit"]
    node_sd: Annotated[U16, "of a node, drawn anew for each sample, node unit"]


@dataclass(slots=True)
class SafeEnter(Request[Done]):
    """Make the outputs safe now."""


@dataclass(slots=True)
class NoSession(Message):
    """What an E_NOSESS carries."""

    boot_id: Annotated[U32, "as in HelloReply"]


@dataclass(slots=True)
class OutOfRange(Message):
    """What an E_RANGE carries."""

    field: Annotated[U8, "number of the request's field at fault, from 0; 255 if something has to come first"]


@dataclass(slots=True)
class Nak(Message):
    """What a NAK carries."""

    expected: Annotated[U16, "seq that the board waits for"]


@dataclass(slots=True)
class Booted(Message):
    """Event: the board has started."""

    boot_id: Annotated[U32, "as in HelloReply"]
    reset_cause: Annotated[U8, "a Cause"]


@dataclass(slots=True)
class MadeSafe(Message):
    """Event: no frame came for too long, the outputs were made safe."""


@dataclass(frozen=True)
class Command:
    """A row of the table of commands.

    Args:
        op: its number.
        name: of the op, in capitals.
        request, reply: the messages.
        kind: what happens when it arrives again.
        guarded: True if it is answered E_SAFE in the safe state.
    """

    op: int
    name: str
    request: type[Request[Any]]
    reply: type[Message]
    kind: Kind
    guarded: bool = False


COMMANDS = (
    Command(0x01, "HELLO", Hello, HelloReply, Kind.FETCH),
    Command(0x02, "DESCRIBE", Describe, DescribeReply, Kind.FETCH),
    Command(0x03, "NETWORK", SetNetwork, NetworkReply, Kind.CACHED, guarded=True),
    Command(0x04, "KEY", SetKey, Done, Kind.CACHED, guarded=True),
    Command(0x05, "WRITE", Write, Done, Kind.CACHED, guarded=True),
    Command(0x06, "READ", Read, Values, Kind.FETCH),
    Command(0x07, "LATCH", LatchWeights, Done, Kind.CACHED, guarded=True),
    Command(0x08, "FETCH", Fetch, Values, Kind.FETCH),
    Command(0x09, "BATCH", BeginBatch, BatchReply, Kind.CACHED, guarded=True),
    Command(0x0A, "SAMPLE", Sample, Done, Kind.CACHED, guarded=True),
    Command(0x0B, "EVALUATE", Evaluate, LossReply, Kind.CACHED, guarded=True),
    Command(0x0C, "UPDATE", Update, StepReply, Kind.CACHED, guarded=True),
    Command(0x0D, "STEP", Step, LossesReply, Kind.CACHED, guarded=True),
    Command(0x0E, "HASH", Hash, HashReply, Kind.FETCH),
    Command(0x0F, "STATISTICS", Statistics, StatisticsReply, Kind.FETCH),
    Command(0x10, "CHECKPOINT", Checkpoint, StepReply, Kind.CACHED, guarded=True),
    Command(0x11, "SAFE_CLEAR", SafeClear, Done, Kind.CACHED),
    Command(0x12, "SAFE_TIMEOUT", SafeTimeout, Done, Kind.CACHED),
    Command(0x13, "NOISE", Noise, Done, Kind.CACHED, guarded=True),
    Command(0x14, "SAFE_ENTER", SafeEnter, Done, Kind.CACHED),
)
"""Every command. HELLO stands outside the window."""

_BY_REQUEST = {command.request: command for command in COMMANDS}
BY_OP = {command.op: command for command in COMMANDS}
"""The rows of the table, by op."""


def command_of(request: type[Request[Any]]) -> Command:
    """The row of the table that a request belongs to."""
    return _BY_REQUEST[request]


EVENTS: dict[int, type[Message]] = {0x01: Booted, 0x02: MadeSafe}
"""What a board may say unasked, by op; a board that never does is a good board too."""

ENUMERATIONS: tuple[type[IntEnum] | type[IntFlag], ...] = (
    *(FrameType, Status, Cause, LawCode, ActivationCode, LossCode, ArrayCode, Reads, Latch, Action, Kind),
)


@dataclass(frozen=True)
class Field:
    """A field of a message: its name, how it lies in the payload, what it means."""

    name: str
    layout: Number | List | Text
    about: str


@cache
def layout_of(message: type[Message]) -> tuple[Field, ...]:
    """The fields of a message, in the order in which they travel."""
    hints = get_type_hints(message, include_extras=True)
    found: list[Field] = []
    for field in fields(message):
        layout, about = hints[field.name].__metadata__
        found.append(Field(field.name, layout, about))
    return tuple(found)


def canonical() -> Iterator[str]:
    """The schema as lines of text, without what is said about it: two sides agree if these lines do."""
    yield f"HZ{PROTOCOL} cached-reply={CACHED_REPLY} least-payload={LEAST_PAYLOAD}"
    for enumeration in ENUMERATIONS:
        yield f"{enumeration.__name__}: {' '.join(f'{member.name}={member.value}' for member in enumeration)}"
    for command in COMMANDS:
        guarded = " guarded" if command.guarded else ""
        yield f"{command.op:#04x} {command.name} {command.kind.name}{guarded}"
        yield f"  request: {_line(command.request)}"
        yield f"  reply: {_line(command.reply)}"
    for op, event in EVENTS.items():
        yield f"event {op:#04x}: {_line(event)}"
    for message in (NoSession, OutOfRange, Nak):
        yield f"{message.__name__}: {_line(message)}"


def _line(message: type[Message]) -> str:
    return "; ".join(f"{field.name} {field.layout}" for field in layout_of(message))


@cache
def schema_hash() -> int:
    """CRC-32 (zlib) of the canonical lines joined by newlines, ASCII."""
    return zlib.crc32("\n".join(canonical()).encode("ascii"))
