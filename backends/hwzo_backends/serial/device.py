"""A board over HZ1 as a device: probes and updates go as seeds, only what can't be regenerated goes as numbers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from hwzo.device import Capabilities, DeviceInfo, ParameterNoise, Update
from hwzo.errors import CapabilityError, ConfigError, DeviceError
from hwzo.parameters import Array, ParameterSpec
from hwzo.probes import READBACK_LEVELS, Batch, Cost, Probes, Readback, Readings
from hwzo.registry import DeviceURL
from hwzo.wire.schema import ArrayCode, Reads, StatisticsReply
from hwzo.wire.statistics import LinkStatistics
from hwzo_backends.serial.lines import Line
from hwzo_backends.serial.options import Options
from hwzo_backends.serial.readings import Measurement, joined, read_back
from hwzo_backends.serial.session import LAWS, REPLY_BYTES, REQUEST_BYTES, Pairs, Restart, Session
from hwzo_backends.serial.units import Units

CALL_S = 600.0
"""What one call may take beside the waits that the options allow: a whole split goes to an 8-bit board in one."""
MOST_COUNTER = 0xFFFF
CHECK_EVERY = 256
"""Updates between two looks whether board and host still hold the same parameters."""


@dataclass(frozen=True)
class BoardStatistics:
    """How a board and the line to it were used.

    Args:
        link: as the host counts: everything that went over the line, frames sent again and greetings too.
        board: as the board counts, since its last start.
        restarts: each time that the board was lost and brought back.
    """

    link: LinkStatistics
    board: StatisticsReply
    restarts: tuple[Restart, ...]

    def __str__(self) -> str:
        link, board = self.link, self.board
        lost = (
            f"{link.resent} sent again, {link.dropped} damaged here, {board.bad} there, {board.overruns} bytes overrun"
        )
        return (
            f"{link.frames:,} frames, {link.bytes_sent + link.bytes_received:,} bytes; {lost}; {len(self.restarts)} "
            f"restarts; the array took {board.reads:,} reads and {board.writes:,} writes since its last start"
        )


class BoardDevice:
    """A board as a `hwzo.device.Device`.

    ``Cost.bytes`` are those of the frames that HZ1 takes if none is lost, 12 a request and 13 a reply beside their
    payloads, the loading of batches among them; `statistics` has what really went over the line. An update that a board
    replays is held back until the next measurement and goes out with it: its bytes are counted there. Seconds are not
    counted: a board says nothing of its own time that is worth a round trip.

    Args:
        line: the way to the board; closed with the device, and if opening fails.
        options: of the URL.
        url: opens it again; options that aren't in it are added.

    Raises:
        ConfigError: network, read-back or noise don't fit the board; says what would.
        DeviceError: nobody there, another program there, or somebody who doesn't speak HZ1.
    """

    def __init__(self, line: Line, options: Options, url: DeviceURL) -> None:
        self._line = line
        try:
            self._session = Session(line, options)
            self._told = 0  # restarts that were told of
        except BaseException:
            line.close()
            raise
        try:
            self._describe(line, options, url)
        except BaseException:
            self.close()
            raise
        self._repeat = 0  # of the next reading of the weights that the last evaluation realised
        self._unchecked = 0

    def _describe(self, line: Line, options: Options, url: DeviceURL) -> None:
        session, board = self._session, self._session.board
        network, simulated = session.network, board.array == ArrayCode.SIM
        if not simulated:
            for key in ("programming", "read_noise", "node_noise"):
                if getattr(options, key):
                    raise ConfigError(f"{key}: {board.model} has an array of its own; its noise isn't set", key=key)
        unit = session.scale.weight
        lower, upper = (bound * unit for bound in session.bounds)
        spec = network.parameter_spec(options.window)
        self.parameters = ParameterSpec(
            tuple(replace(tensor, lower=lower, upper=upper, resolution=unit) for tensor in spec.tensors)
        )
        hello = session.hello
        self.info = DeviceInfo(
            url=str(DeviceURL(url.scheme, url.target, {**url.options, **options.query()})),
            model=board.model,
            serial=f"{board.serial:08x}" if board.serial else line.serial or "none",
            firmware=f"hwzo {hello.firmware_major}.{hello.firmware_minor}, HZ{hello.protocol}",
            emulated=line.virtual or simulated or board.array == ArrayCode.EMULATED,
        )
        noise: ParameterNoise = "none"
        if options.read_noise:
            noise = "per-evaluation"
        elif options.programming:
            noise = "retained"
        readback = readback_of(options.readback, board.reads, board.model)
        size = self.parameters.size
        read = Cost()
        if readback == "weights":
            read = Cost(reads=size, bytes=_read_bytes(size, hello.max_payload, board.latch_values))
        self.capabilities = Capabilities(
            readback=readback,
            laws=frozenset(law for law, code in LAWS.items() if board.laws >> code & 1),
            probe_writes=not simulated,
            node_noise=bool(options.node_noise) if simulated else options.noisy_pins,
            parameter_noise=noise,
            network=network,
            deterministic=simulated,
            timeout_s=CALL_S + options.timeout_s + options.reconnect_s,
            read_cost=read,
            max_batch=board.max_samples,
        )

    def __repr__(self) -> str:
        return f"<BoardDevice {self.info.url}, {'emulated' if self.info.emulated else 'hardware'}>"

    @property
    def statistics(self) -> BoardStatistics:
        """How board and line were used so far; asks the board."""
        session = self._session
        return BoardStatistics(session.link, session.statistics(), tuple(session.restarts))

    def link_report(self) -> str:
        """See `hwzo.device.LinkedDevice`."""
        return str(self.statistics)

    def link_events(self) -> list[str]:
        """See `hwzo.device.LinkedDevice`: each time that the board was lost and brought back."""
        restarts = self._session.restarts
        told, self._told = self._told, len(restarts)
        return [
            f"{restart.reason}; on again after {restart.seconds:.1f} s (last start: {restart.cause})"
            for restart in restarts[told:]
        ]

    @property
    def restarts(self) -> tuple[Restart, ...]:
        """Each time that the board was lost and brought back."""
        return tuple(self._session.restarts)

    @property
    def units(self) -> Units:
        """The parameters (n_params,) as the board holds them, once what was held back has gone out: int16, units."""
        return np.array(self._session.held)

    @property
    def line(self) -> Line:
        """The way to the board."""
        return self._line

    # --- writing ---

    def program(self, theta: Array, *, mask: NDArray[np.bool_] | None = None) -> Cost:
        """See `hwzo.device.Device.program`. Writes every parameter asked for, also where its target didn't change."""
        self._check_open()
        theta = self.parameters.check(theta)
        if mask is None:
            where = np.ones(theta.size, dtype=np.bool_)
        else:
            where = np.asarray(mask)
            if where.shape != theta.shape or where.dtype != np.bool_:
                raise ConfigError(
                    f"mask is {where.dtype} of shape {where.shape}, expected bool {theta.shape}; nothing was written"
                )
        target = np.where(where, self._session.scale.weights(theta), self._session.held)
        return self._write(target, where, check=bool(where.all()))

    def apply(self, update: Update) -> Cost:
        """See `hwzo.device.Device.apply`.

        A step that is told in coefficients on the board's grid, along directions of the run that the board is in, is
        replayed there; of any other step, what changes on the grid is written.
        """
        self._check_open()
        session = self._session
        target = session.scale.weights(self.parameters.check(update.target))
        pairs = self._pairs(update)
        if pairs is None or not np.array_equal(session.scale.weights(update.target - update.step), session.held):
            self._unchecked += 1
            return self._write(target, target != session.held)
        session.hold_back(update.t, pairs, target)
        self._unchecked += 1
        return Cost(cell_writes=target.size)

    def _pairs(self, update: Update) -> Pairs | None:
        """What UPDATE takes, if the board can replay this step."""
        session = self._session
        counters, coefficients, run = update.counters, update.coefficients, session.run
        if counters is None or coefficients is None or run is None or session.pending is not None:
            return None
        if run[2] != update.t or len(counters) != len(coefficients):
            return None
        units = session.scale.coefficients(coefficients)
        if units is None or int(counters.min(initial=0)) < 0 or int(counters.max(initial=0)) > MOST_COUNTER:
            return None
        pairs = tuple((k, c) for k, c in zip(counters.tolist(), units, strict=True) if c)
        return pairs if 4 + 4 * len(pairs) <= session.hello.max_payload else None

    def _write(self, target: Units, where: NDArray[np.bool_], *, check: bool = False) -> Cost:
        session = self._session
        before = session.cost
        if where.all():
            session.drop_pending()
        session.held = target

        def work() -> None:
            checks = session.checked() if check else ()
            session.ask(chain(session.flushed(), session.written(where), checks))

        session.attempt(work, again=lambda: None)  # who was lost has been given all of the target when it is back
        return session.cost - before

    # --- measuring ---

    def measure(self, probes: Probes, batch: Batch) -> Readings:
        """See `hwzo.device.Device.measure`.

        Where outputs are read back, losses are computed from them here, with the batch's own targets; else they are the
        board's, whose targets and sums are rounded as docs/firmware-arithmetic.md says. A batch that is larger than the
        board has room for is evaluated in parts, see `Capabilities`.
        """
        self._check_open()
        session = self._session
        scales = self._check(probes, batch)
        before = session.cost
        parts = [Measurement(session, probes, scales, part) for part in self._parts(batch)]
        for part in parts:
            session.attempt(part.run)
        self._repeat = 1 if probes.want == "weights" else 0
        if self._unchecked >= CHECK_EVERY and session.pending is None:
            self._unchecked = 0
            session.attempt(lambda: session.ask(session.checked()))
        return joined(parts, batch, probes.want, session.cost - before)

    def _parts(self, batch: Batch) -> list[Batch]:
        room = self._session.board.max_samples
        if batch.loss == "squared-error":  # its rows are longer; the board tells the room for a class number only
            n_in, n_out = self._session.network.layers[0], self._session.network.layers[-1]
            room = max(1, room * (n_in + 1) // (n_in + n_out))
        if len(batch) <= room:
            return [batch]
        size = -(-len(batch) // -(-len(batch) // room))  # alike, but for the last
        return [
            Batch(batch.inputs[i : i + size], batch.targets[i : i + size], batch.loss)
            for i in range(0, len(batch), size)
        ]

    def _check(self, probes: Probes, batch: Batch) -> NDArray[np.int64]:
        """Scales (K,) in units."""
        can, session = self.capabilities, self._session
        can.check(probes)
        if probes.scales.any():
            if int(probes.counters.min()) < 0 or int(probes.counters.max()) > MOST_COUNTER:
                raise ConfigError(f"a probe's counter is beyond 0 to {MOST_COUNTER}, which a board takes")
            if not 0 <= probes.step < 1 << 32:
                raise ConfigError(f"step {probes.step} is beyond 0 to 2^32 - 1, which a board takes")
        batch.check(session.network)
        if probes.want == "weights" and can.parameter_noise == "per-evaluation" and len(self._parts(batch)) > 1:
            raise CapabilityError(
                f"{self.info} evaluates {can.max_batch} samples at once, its weights differ between evaluations, and "
                f"{len(batch)} samples need several: reading the weights once won't do; use batch = {can.max_batch}"
            )
        return session.scale.displacements(probes.scales)

    # --- reading back ---

    def read(self, repeats: int = 1) -> Array:
        """See `hwzo.device.Device.read`."""
        self._check_open()
        if not self.capabilities.reads_back("weights"):
            has = self.capabilities.readback
            raise CapabilityError(
                f"{self.info} reads back {has!r}, not 'weights'; method 'intrinsic' picks what works with {has!r}"
            )
        if repeats < 1:
            raise ConfigError(f"repeats={repeats}: should be at least 1", key="repeats")
        session = self._session
        values: list[Array] = []

        def work() -> None:
            session.ask(session.flushed())
            while len(values) < repeats:
                session.ask(read_back(session, (self._repeat + len(values)) & 0xFFFF, values.append))

        session.attempt(work)
        self._repeat += repeats
        return np.stack(values)

    def close(self) -> None:
        """See `hwzo.device.Device.close`: the update that was held back goes out, outputs are made safe."""
        try:
            self._session.close()
        finally:
            self._line.close()

    # --- checks ---

    def _check_open(self) -> None:
        if self._session.closed:
            raise DeviceError(f"device {self.info.url} is closed; connect to it again")


def readback_of(asked: Readback | None, reads: int, model: str) -> Readback:
    """The level of read-back of a board, or the lower one that was asked for.

    Raises:
        ConfigError: the board reads back less than that.
    """
    level: Readback = "loss"
    steps: tuple[tuple[Readback, Reads], ...] = (
        ("outputs", Reads.OUTPUTS),
        ("nodes", Reads.NODES),
        ("weights", Reads.WEIGHTS),
    )
    for name, flag in steps:
        if not reads & flag:
            break
        level = name
    if asked is None:
        return level
    if READBACK_LEVELS.index(asked) > READBACK_LEVELS.index(level):
        raise ConfigError(f"readback={asked}: {model} reads back {level!r} at most", key="readback")
    return asked


def _read_bytes(size: int, max_payload: int, latch_values: int) -> int:
    """What reading all parameters once takes on the line."""
    frame = REQUEST_BYTES + REPLY_BYTES
    total = 0
    for offset in range(0, size, latch_values):
        count = min(latch_values, size - offset)
        total += frame + 10 + -(-count // (max_payload // 2)) * (frame + 6) + 2 * count
    return total
