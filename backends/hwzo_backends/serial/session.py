"""What a board holds, as its host knows it: commands that bring it there, and bring it back after a reset.

The host's own integers are the truth. Whatever goes wrong between a command and its answer, the board is given network,
noise, key and parameters anew before anything else is asked of it; see docs/decisions/0006-what-a-reset-costs.md.
"""

from __future__ import annotations

import logging
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from hwzo.errors import ConfigError, DeviceError
from hwzo.network import Network
from hwzo.probes import Batch, Cost, Law
from hwzo.wire.client import Client
from hwzo.wire.errors import (
    CommandError,
    DeviceResetError,
    FirmwareMismatchError,
    MalformedError,
    SessionLostError,
)
from hwzo.wire.messages import pack
from hwzo.wire.schema import (
    ActivationCode,
    ArrayCode,
    BeginBatch,
    Cause,
    Describe,
    DescribeReply,
    Evaluate,
    Hash,
    HelloReply,
    LatchWeights,
    LawCode,
    LossCode,
    Noise,
    Request,
    SafeClear,
    SafeEnter,
    SafeTimeout,
    Sample,
    SetKey,
    SetNetwork,
    Statistics,
    StatisticsReply,
    Status,
    Step,
    Update,
    Write,
)
from hwzo.wire.statistics import LinkStatistics
from hwzo_backends.serial.lines import Line, StrangerError
from hwzo_backends.serial.options import Options
from hwzo_backends.serial.units import Scale, Units, rows

log = logging.getLogger("hwzo.serial")

REQUEST_BYTES, REPLY_BYTES = 12, 13
"""Of a frame, beside its payload."""
PATIENCE = 5
"""Resets without a single answer in between, after which a board is given up."""
GREETING_S = 5.0
PAUSE_S = 0.2

Ask = tuple[Request[Any], Callable[[Any], None] | None]
"""A command, and who takes its answer."""
Run = tuple[int, Law, int]
"""Key and law of the directions, and the step."""
Pairs = tuple[tuple[int, int], ...]
"""(counter, coefficient in units)."""


@dataclass(frozen=True)
class Restart:
    """A board that was given all it held anew.

    Args:
        reason: what had happened.
        cause: why the board says that it started last.
        seconds: until it could go on.
    """

    reason: str
    cause: str
    seconds: float


class Session:
    """A board that is a network.

    Args:
        line: the way to it.
        options: of the URL.

    Raises:
        ConfigError: the network doesn't fit; says how many parameters do.
        DeviceError: nobody there, or somebody else.
    """

    def __init__(self, line: Line, options: Options) -> None:
        self._line, self._options = line, options
        self.network = options.network
        self.cost = Cost()
        """Of all that was answered."""
        self.restarts: list[Restart] = []
        self._link = LinkStatistics()  # of lines that are gone
        self._known = False  # the board answered before, so that it should be there again
        self._stale = False  # it is not known what the board holds
        self._failures = 0
        self._closed = False
        self._forget()
        self._client = self._connected(GREETING_S)
        try:
            self.scale = Scale.of(self._client.description)
            check_fit(self.network, self._client.hello, self._client.description, self._client.where)
            held = np.zeros(self.network.n_params, dtype=np.int16)
            self.held: Units = held
            """Targets of the parameters, units."""
            self._establish()
            self.board = self._client.description
            """What the device is, the network standing."""
            self.hello = self._client.hello
            self._known = True
        except BaseException:
            self._client.close()
            raise

    @property
    def closed(self) -> bool:
        """True once it was let go of."""
        return self._closed

    @property
    def where(self) -> str:
        """What the board is connected by."""
        return self._client.where

    @property
    def link(self) -> LinkStatistics:
        """What the link took and lost, over all reconnections."""
        return _sum(self._link, self._client.statistics)

    @property
    def bounds(self) -> tuple[int, int]:
        """Least and largest parameter, units."""
        board = self._client.description
        reach = int(np.floor(self._options.window / self.scale.weight))
        return max(-reach, board.lower), min(reach, board.upper)

    def statistics(self) -> StatisticsReply:
        """How the board says that it was used."""
        return self._client.request(Statistics())

    def attempt(self, work: Callable[[], None], again: Callable[[], None] | None = None) -> None:
        """Do ``work``; if the board is lost meanwhile, bring it back and go on.

        Args:
            work: asks for what has not been answered yet.
            again: what is left to do once the board was given all that the host holds; None: ``work``.

        Raises:
            DeviceError: the board doesn't come back, or only to be lost again.
        """
        if self._closed:
            raise DeviceError(f"{self.where} is closed; connect to it again")
        if self._stale:
            self._recover(DeviceError(f"{self.where}: a command was interrupted"))
        while True:
            try:
                work()
                self._failures = 0
                return
            except DeviceError as error:
                if not _may_pass(error):
                    raise
                self._recover(error)
            work = work if again is None else again

    def ask(self, asks: Iterable[Ask]) -> None:
        """Send commands, as many at a time as the board takes; answers are given away in order, costs counted."""
        waiting: deque[tuple[Cost, Callable[[Any], None] | None]] = deque()

        def requests() -> Iterator[Request[Any]]:
            for request, taker in asks:
                waiting.append((self._cost_of(request), taker))
                yield request

        self._stale = True
        for reply in self._client.requests(requests()):
            cost, taker = waiting.popleft()
            self.cost += cost + Cost(bytes=len(pack(reply)) + REPLY_BYTES)
            if cost.reads:
                self._failures = 0
            if taker is not None:
                taker(reply)
        self._stale = False

    # --- commands that leave the board in a certain state; what it is in already isn't asked for ---

    def keyed(self, run: Run) -> Iterator[Ask]:
        """The key, law and step of a run."""
        if self.run != run:
            key, law, step = self.run = run
            yield SetKey(key, LAWS[law], step), None

    def loaded(self, batch: Batch) -> Iterator[Ask]:
        """The samples of a batch, which has room."""
        table = rows(batch)
        content = (batch.loss, table.shape, table.tobytes())
        if self._batch == content:
            return
        self._batch = content
        self._samples = len(table)
        yield BeginBatch(len(table), LOSSES[batch.loss]), None
        chunk = self._client.hello.max_payload - 4
        for index, row in enumerate(table.tolist()):
            for offset in range(0, len(row), chunk):
                yield Sample(index, offset, tuple(row[offset : offset + chunk])), None

    def flushed(self) -> Iterator[Ask]:
        """The update that was held back."""
        if self._pending is not None:
            t, pairs = self._took()
            yield Update(t, pairs), None

    def stepped(self, evaluations: Pairs, taker: Callable[[Any], None]) -> Iterator[Ask]:
        """The update that was held back, and evaluations behind it."""
        t, pairs = self._took()
        yield Step(t, pairs, evaluations), taker

    def written(self, where: np.ndarray[Any, np.dtype[np.bool_]]) -> Iterator[Ask]:
        """What the host holds, at the parameters where ``where`` (n_params,) is True."""
        at = np.flatnonzero(where)
        most = (self._client.hello.max_payload - 4) // 2
        for run in np.split(at, np.flatnonzero(np.diff(at) > 1) + 1):
            for start in range(0, len(run), most):
                part = run[start : start + most]
                yield Write(int(part[0]), tuple(self.held[part].tolist())), None

    def checked(self) -> Iterator[Ask]:
        """The board's parameters compared with the host's, by their CRC-32."""
        crc = zlib.crc32(self.held.astype("<i2").tobytes())

        def compare(reply: Any) -> None:  # noqa: ANN401
            if reply.crc != crc:
                raise DivergedError(
                    f"{self.where}: the board holds other parameters than its host (CRC-32 {reply.crc:08x}, not "
                    f"{crc:08x}); that is a defect of its firmware or memory"
                )

        yield Hash(), compare

    # --- updates held back ---

    @property
    def pending(self) -> int | None:
        """How many pairs the update has that waits for the next evaluation; None if none waits."""
        return None if self._pending is None else len(self._pending[1])

    def hold_back(self, t: int, pairs: Pairs, held: Units) -> None:
        """Let an update of step t wait for the next evaluation; ``held`` is what it makes of the parameters."""
        self._pending = (t, pairs)
        self.held = held

    def drop_pending(self) -> None:
        """Forget the update that was held back, since all parameters are written."""
        self._pending = None

    def _took(self) -> tuple[int, Pairs]:
        assert self._pending is not None
        assert self.run is not None
        t, pairs = self._pending
        self._pending = None
        self.run = (*self.run[:2], t + 1)
        return t, pairs

    # --- coming and going ---

    def close(self) -> None:
        """Bring the board up to date, make its outputs safe, and let go; closing twice is fine.

        Raises:
            DeviceError: the board could not be told.
        """
        if self._closed:
            return
        self._closed = True
        try:
            if self._stale:  # after an interrupted command the session isn't in order: a new one
                self._client.connect(GREETING_S)
                self._client.request(SafeEnter())
            else:
                self.ask([*self.flushed(), (SafeEnter(), None)])
        finally:
            self._client.close()

    def _connected(self, timeout_s: float) -> Client:
        transport = self._line.open()
        try:
            client = Client(transport, timeout_s=self._options.timeout_s)
            client.connect(timeout_s)
            return client
        except BaseException:
            transport.close()
            raise

    def _establish(self) -> None:
        """Network, noise and parameters, on a board of which nothing is known."""
        self._forget()
        options, (lower, upper) = self._options, self.bounds
        activation = ACTIVATIONS.get(self.network.activation, ActivationCode.LINEAR)
        network = SetNetwork(activation, lower, upper, self.network.layers)
        asks: list[Ask] = [(SafeClear(), None), (SafeTimeout(round(1e3 * options.safe_s)), None), (network, None)]
        if self._client.description.array == ArrayCode.SIM:
            asks.append((self._noise(), None))
        try:
            self.ask(asks)
        except CommandError as error:
            if error.request is network and error.status == Status.E_RANGE:
                raise self._refused(error) from error
            raise
        self._client.description = self._client.request(Describe())
        if self._known or self.held.any():
            self.ask([*self.written(np.ones(len(self.held), dtype=np.bool_)), *self.checked()])

    def _noise(self) -> Noise:
        options, scale = self._options, self.scale

        def units(key: str, sd: float, unit: float) -> int:
            if not sd / unit <= MOST_NOISE:
                raise ConfigError(f"{key}={sd:g}: the board makes noise up to {MOST_NOISE * unit:g}", key=key)
            if 0 < sd <= unit / 2:
                raise ConfigError(f"{key}={sd:g}: the board makes noise in steps of {unit:g}; 0 is none", key=key)
            return round(sd / unit)

        return Noise(
            options.seed,
            units("read_noise", options.read_noise, scale.weight),
            units("programming", options.programming, scale.weight),
            units("node_noise", options.node_noise, scale.node),
        )

    def _refused(self, error: CommandError) -> ConfigError:
        label = self.network.label
        if error.field in (1, 2):
            text = f"window={self._options.window:g}: layers as wide as those of {label} need a smaller one ({error})"
            return ConfigError(text, key="window")
        most = self._client.hello.max_parameters
        text = (
            f"layers={label}: {len(self.held)} parameters, and no room beside them for a batch of one sample; "
            f"{self.where} holds up to {most} parameters in all ({error})"
        )
        return ConfigError(text, key="layers")

    def _forget(self) -> None:
        self.run: Run | None = None
        """What the board's KEY and updates have come to."""
        self._batch: object = None
        self._samples = 0
        self._displaced = False
        self._pending: tuple[int, Pairs] | None = None  # what it does to the parameters is in `held` already

    def _recover(self, error: DeviceError) -> None:
        """Find the board again and give it all that it held.

        Raises:
            DeviceError: it doesn't come back in time, it is another one, or it is lost again and again.
        """
        self._failures += 1
        if self._failures > PATIENCE:
            raise DeviceError(
                f"{error}; that was the {self._failures}th time without an answer in between: it is given up"
            ) from error
        begun = time.monotonic()
        deadline = begun + self._options.reconnect_s
        log.warning("%s; trying for up to %g s to bring it back", error, self._options.reconnect_s)
        line_stands = isinstance(error, (DeviceResetError, SessionLostError, CommandError))
        while True:
            try:
                self._return(max(0.5, min(GREETING_S, deadline - time.monotonic())), line_stands=line_stands)
                break
            except DeviceError as again:
                if not _may_pass(again):
                    raise
                if time.monotonic() >= deadline:
                    raise DeviceError(
                        f"{error}; it did not come back within {self._options.reconnect_s:g} s ({again}); "
                        f"{self._seen()}{'' if self._line.virtual else 'plug it in and '}go on with --resume"
                    ) from again
                line_stands = False
                time.sleep(PAUSE_S)
        reply = self._client.hello
        cause = Cause(reply.reset_cause).name if reply.reset_cause in set(Cause) else str(reply.reset_cause)
        self.restarts.append(Restart(str(error), cause, time.monotonic() - begun))
        noisy = self._options.programming or self._options.read_noise or self._options.node_noise
        noise = "; its simulated noise starts from the beginning" if noisy else ""
        log.warning("%s: on again after %.1f s (last start: %s)%s", self.where, time.monotonic() - begun, cause, noise)

    def _return(self, timeout_s: float, *, line_stands: bool) -> None:
        if line_stands:
            self._client.connect(timeout_s)
        else:
            self._client.close()
            self._link = _sum(self._link, self._client.statistics)
            self._client.statistics = LinkStatistics()
            self._client = self._connected(timeout_s)
        now, before = self._client.description, self.board
        same = ("lower", "upper", "weight_bits", "node_bits", "loss_bits", "array", "reads", "serial", "model")
        if any(getattr(now, name) != getattr(before, name) for name in same):
            raise StrangerError(
                f"{self.where}: another board answers now, {now.model!r} with serial {now.serial:08x}, not "
                f"{before.model!r} with serial {before.serial:08x}; put that one back and go on with --resume"
            )
        self._establish()

    def _seen(self) -> str:
        """What the link lost, if it lost much: the line may be at fault, not the board."""
        link = self.link
        lost = link.dropped + link.timeouts
        return f"{link.dropped} damaged frames and {link.timeouts} silences on this line before; " if lost > 10 else ""

    def _cost_of(self, request: Request[Any]) -> Cost:
        """What a command costs, its answer aside."""
        reads = writes = 0
        reading = self._samples * len(self.network.stages)
        if isinstance(request, Evaluate):
            reads, writes = reading, self._moved(request.scale)
        elif isinstance(request, Step):
            self._displaced = False
            reads = reading * len(request.evaluations)
            writes = sum(self._moved(scale) for _, scale in request.evaluations)
        elif isinstance(request, Write):
            self._displaced = False
            writes = len(request.values)
        elif isinstance(request, LatchWeights):
            reads = request.count
        return Cost(reads=reads, cell_writes=writes, bytes=len(pack(request)) + REQUEST_BYTES)

    def _moved(self, scale: int) -> int:
        """Cells that an evaluation writes: on a real array, all of them for a displacement, and all to undo it."""
        if self._client.description.array == ArrayCode.SIM:
            return 0
        moved = scale != 0 or self._displaced
        self._displaced = scale != 0
        return len(self.held) if moved else 0


class DivergedError(DeviceError):
    """Board and host don't hold the same parameters."""


LAWS: dict[Law, LawCode] = {"rademacher": LawCode.RADEMACHER, "rank1-sign": LawCode.RANK1_SIGN}
LOSSES = {"cross-entropy": LossCode.CROSS_ENTROPY, "squared-error": LossCode.SQUARED_ERROR}
ACTIVATIONS = {"linear": ActivationCode.LINEAR, "tanh": ActivationCode.TANH, "relu": ActivationCode.RELU}
MOST_OUTPUTS = 255
"""A sample's class is one byte."""
MOST_NOISE = 4096
"""Units, of any standard deviation."""


def check_fit(network: Network, hello: HelloReply, board: DescribeReply, where: str) -> None:
    """That the board can be this network.

    Raises:
        ConfigError: layers that aren't dense, too many, too wide, or more parameters than fit; an activation unknown.
    """
    if any(stage.units != stage.columns or stage.rows != n for stage, n in zip(network.stages, network.layers)):  # noqa: B905
        raise ConfigError(f"layers={network.label}: a board takes dense layers only, such as 64-32-10", key="layers")
    known = [name for name, code in ACTIVATIONS.items() if board.activations >> code & 1]
    if len(network.layers) > 2 and network.activation not in known:
        raise ConfigError(f"activation={network.activation}: {where} knows {', '.join(known)}", key="activation")
    if len(network.stages) > board.max_layers:
        raise ConfigError(
            f"layers={network.label}: {len(network.stages)} layers; {where} takes {board.max_layers}", key="layers"
        )
    if max(network.layers) > board.max_width:
        raise ConfigError(f"layers={network.label}: {where} takes layers of up to {board.max_width}", key="layers")
    if network.stages[-1].units > MOST_OUTPUTS:
        raise ConfigError(f"layers={network.label}: a board takes up to {MOST_OUTPUTS} outputs", key="layers")
    size = network.n_params
    if size > hello.max_parameters:
        raise ConfigError(
            f"layers={network.label}: {size} parameters; {board.model} at {where} holds {hello.max_parameters}",
            key="layers",
        )


def _may_pass(error: DeviceError) -> bool:
    """True for what a board may come back from."""
    if isinstance(error, CommandError):
        return error.status == Status.E_SAFE
    lasting = (FirmwareMismatchError, MalformedError, StrangerError, DivergedError)
    return not isinstance(error, lasting)


def _sum(one: LinkStatistics, other: LinkStatistics) -> LinkStatistics:
    return one - (LinkStatistics() - other)
