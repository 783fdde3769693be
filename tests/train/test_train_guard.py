"""What stands between a run and its device: numbers that aren't, calls that hang, requests too large for one call."""

import json
import signal
import time
from dataclasses import asdict, replace

import numpy as np
import pytest

from hwzo.data.logic import xor
from hwzo.device import Capabilities
from hwzo.errors import ConfigError, DeviceError, DeviceTimeoutError, MeasurementError
from hwzo.probes import Batch, Cost, Probes, Readings
from hwzo.registry import connect
from hwzo.testing.quadratic import QuadraticDevice
from hwzo.train.bench import Bench
from hwzo.train.guard import GuardedDevice

BATCH = Batch(np.zeros((4, 2)), np.zeros((4, 1)), "squared-error")


class Answering(QuadraticDevice):
    """Answers with whatever it was given."""

    def __init__(self, answer):
        super().__init__(4, readback="weights")
        self.answer = answer

    def measure(self, probes, batch):
        return self.answer() if callable(self.answer) else self.answer

    def read(self, repeats=1):
        return self.measure(None, None)


@pytest.fixture
def guarded():
    made = []

    def guard(device, timeout_s=None):
        made.append(GuardedDevice(device, timeout_s))
        return made[-1]

    yield guard
    for each in made:
        each.release()


def raising(error):
    def answer():
        raise error

    return answer


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "losses",
    [
        [np.nan, 1.0],
        [np.inf, 1.0],
        [np.inf, -np.inf],  # whose sum would warn
        [1e308, 1e308],
        [1.0],
        [1.0, 2.0, 3.0],
        [[1.0], [2.0]],
    ],
)
def test_losses_that_are_no_measurement(guarded, losses):
    with pytest.raises(MeasurementError):
        guarded(Answering(Readings(np.array(losses)))).measure(Probes.plain(2), BATCH)


@pytest.mark.parametrize("part", ["outputs", "nodes", "realised"])
def test_nan_anywhere_is_counted(guarded, part):
    bad = np.zeros((2, 4) if part == "realised" else (2, 4, 1))
    bad[1, 2] = np.nan
    readings = Readings(np.ones(2), **{part: (np.zeros((2, 4, 3)), bad) if part == "nodes" else bad})
    with pytest.raises(MeasurementError, match="returned 1 of 8 values"):
        guarded(Answering(readings)).measure(Probes.plain(2), BATCH)


@pytest.mark.parametrize("answer", [None, "losses", Readings(["x", "y"]), Readings(np.ones(2), cost=None)])
def test_an_answer_that_is_no_readings_is_the_devices_fault(guarded, answer):
    with pytest.raises(DeviceError, match=r"measure|returned losses|cost"):
        guarded(Answering(answer)).measure(Probes.plain(2), BATCH)


def test_numbers_of_other_kinds_are_taken_as_doubles(guarded):
    cost = Cost(cell_writes=np.int64(3))
    readings = guarded(Answering(Readings(np.ones(2, dtype=np.float32), cost=cost))).measure(Probes.plain(2), BATCH)
    assert readings.losses.dtype == np.float64


@pytest.mark.parametrize("values", [np.zeros(4), np.zeros((2, 4)), np.full((1, 4), np.nan)])
def test_a_read_back_that_is_none(guarded, values):
    with pytest.raises(MeasurementError):
        guarded(Answering(values)).read(1)


@pytest.mark.parametrize("error", [OSError("pulled out"), ValueError("odd"), ZeroDivisionError()])
def test_whatever_a_backend_raises_says_where(guarded, error):
    with pytest.raises(DeviceError, match=f"failed in measure: {type(error).__name__}") as caught:
        guarded(Answering(raising(error))).measure(Probes.plain(), BATCH)
    assert caught.value.__cause__ is error


def test_errors_of_ours_pass_as_they_are(guarded):
    error = DeviceError("lost")
    with pytest.raises(DeviceError) as caught:
        guarded(Answering(raising(error))).measure(Probes.plain(), BATCH)
    assert caught.value is error


def test_a_call_that_hangs_is_ended(guarded):
    begun = time.monotonic()
    with pytest.raises(DeviceTimeoutError, match=r"0\.1 s.*timeout_s"):
        guarded(Answering(lambda: time.sleep(30)), timeout_s=0.1).measure(Probes.plain(), BATCH)
    assert time.monotonic() - begun < 5


def test_somebody_elses_alarm_goes_on(guarded):
    rung = []

    def handler_of_mine(number, frame):
        rung.append(number)

    handler = signal.signal(signal.SIGALRM, handler_of_mine)
    before = signal.setitimer(signal.ITIMER_REAL, 0.3)
    try:
        guard = guarded(QuadraticDevice(4))
        for _ in range(3):
            guard.measure(Probes.plain(), BATCH)
        assert 0 < signal.getitimer(signal.ITIMER_REAL)[0] <= 0.3
        deadline = time.monotonic() + 5
        while not rung and time.monotonic() < deadline:
            time.sleep(0.01)
        assert rung == [signal.SIGALRM]
        guard.release()
        assert signal.getsignal(signal.SIGALRM) is handler_of_mine
    finally:
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, *before)


@pytest.mark.parametrize("most", [1, 3, 7, 8])
def test_more_probes_than_one_call_takes_are_the_same_measurement(guarded, most):
    url = "crossbar:pcm?layers=2-3-1&seed=4"
    inputs = np.random.default_rng(0).uniform(-1, 1, (4, 2))
    batch = Batch(inputs, np.zeros((4, 1)), "squared-error")
    probes = Probes(np.arange(7), np.full(7, 0.05), key=3, want="weights")
    whole = connect(url).measure(probes, batch)
    device = connect(url)
    device.capabilities = replace(device.capabilities, max_probes=most)
    guard = guarded(device)
    parts = guard.measure(probes, batch)
    np.testing.assert_array_equal(parts.losses, whole.losses)
    np.testing.assert_array_equal(parts.realised, whole.realised)
    np.testing.assert_array_equal(parts.outputs, whole.outputs)
    for ours, theirs in zip(parts.nodes, whole.nodes, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert guard.cost.reads == parts.cost.reads == whole.cost.reads
    assert guard.cost.joules == pytest.approx(whole.cost.joules)


def test_weights_that_do_not_fit_reach_no_device(guarded):
    device = QuadraticDevice(4, window=1.0)
    device.program(np.full(4, 0.5))
    guard = guarded(device)
    for bad in (np.zeros(3), np.full(4, np.nan), np.full(4, 1.01)):
        with pytest.raises(ConfigError):
            guard.program(bad)
    assert guard.cost == Cost()
    assert device.loss_at(np.full(4, 0.5)) == pytest.approx(device.measure(Probes.plain(), BATCH).losses[0])


def test_costs_add_up(guarded):
    guard = guarded(QuadraticDevice(4, readback="weights"))
    writes = guard.program(np.full(4, 0.5)).cell_writes
    guard.measure(Probes.plain(3), BATCH)
    guard.read(2)
    assert (writes, guard.cost.cell_writes) == (4, 4)
    assert guard.cost.reads == 3 * 4 + 2 * guard.capabilities.read_cost.reads


@pytest.mark.parametrize(
    "cost",
    [
        Cost(device_seconds=np.nan),
        Cost(joules=np.inf),
        Cost(device_seconds=-1.0),
        Cost(reads=2.5),
        Cost(reads="two"),
        Cost(cell_writes=-1),
        Cost(bytes=2**70),
        Cost(joules=None),
        None,
    ],
)
def test_a_cost_that_is_none_is_refused(guarded, cost):
    guard = guarded(Answering(Readings(np.ones(2), cost=cost)))
    with pytest.raises(MeasurementError, match="cost"):
        guard.measure(Probes.plain(2), BATCH)
    assert guard.cost == Cost()


def test_costs_whose_sum_no_journal_holds_are_refused(guarded):
    guard = guarded(Answering(Readings(np.ones(1), cost=Cost(reads=2**62))))
    guard.measure(Probes.plain(), BATCH)
    with pytest.raises(MeasurementError, match="below"):
        guard.measure(Probes.plain(), BATCH)


def test_costs_of_numpy_become_pythons_own(guarded):
    given = Cost(reads=np.int64(3), cell_writes=np.uint8(2), device_seconds=np.float32(0.5), joules=1)
    guard = guarded(Answering(Readings(np.ones(1), cost=given)))
    assert guard.measure(Probes.plain(), BATCH).cost == Cost(3, 2, 0, 0.5, 1.0)
    assert json.loads(json.dumps(asdict(guard.cost)))["reads"] == 3


def test_a_cost_of_reading_that_is_none_is_refused(guarded):
    device = Answering(np.zeros((1, 4)))
    device._capabilities = replace(device.capabilities, read_cost=Cost(reads=1.5))
    with pytest.raises(MeasurementError, match="cost"):
        guarded(device).read(1)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"outputs": np.zeros((2, 4, 3))}, "outputs"),
        ({"outputs": np.zeros((2, 3, 2))}, "outputs"),
        ({"outputs": np.zeros((2, 4, 2), dtype=complex)}, "complex"),
        ({"nodes": (np.zeros((2, 4, 2)),)}, "nodes"),
        ({"nodes": np.zeros((2, 2, 4, 3))}, "nodes"),
        ({"nodes": (np.zeros((2, 4, 2)), np.zeros((2, 4, 2)))}, "nodes of layer 0"),
        ({"nodes": ([[1.0], [2.0, 3.0]], np.zeros((2, 4, 2)))}, "no array"),
        ({"realised": np.zeros((2, 16))}, "realised"),
        ({"losses": np.ones(2, dtype=complex)}, "complex"),
        ({"losses": np.array(["1", "2"])}, "losses"),
        ({"realised": None}, "weights"),
    ],
)
def test_answers_of_another_shape_or_kind_are_refused(guarded, wrong, says):
    device = connect("crossbar:ideal?layers=2-3-2&seed=1")  # 17 parameters
    batch = Batch(np.zeros((4, 2)), np.zeros(4, dtype=np.int64))
    good = device.measure(Probes.plain(2, want="weights"), batch)
    bad = replace(good, **wrong)
    device.measure = lambda probes, batch: bad
    with pytest.raises(MeasurementError, match=says):
        guarded(device).measure(Probes.plain(2, want="weights"), batch)


def test_lists_are_as_good_as_arrays(guarded):
    device = connect("crossbar:ideal?layers=2-3-2&seed=1")
    batch = Batch(np.zeros((4, 2)), np.zeros(4, dtype=np.int64))
    good = device.measure(Probes.plain(2, want="nodes"), batch)
    listed = replace(good, losses=good.losses.tolist(), nodes=[layer.tolist() for layer in good.nodes])
    device.measure = lambda probes, batch: listed
    readings = guarded(device).measure(Probes.plain(2, want="nodes"), batch)
    for ours, theirs in zip(readings.nodes, good.nodes, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_retry_loop_that_swallows_every_error_is_ended(guarded):
    def retry():
        while True:
            try:
                time.sleep(30)
            except Exception:
                continue

    begun = time.monotonic()
    with pytest.raises(DeviceTimeoutError):
        guarded(Answering(retry), timeout_s=0.1).measure(Probes.plain(), BATCH)
    assert time.monotonic() - begun < 5


def test_a_bare_except_gets_another_alarm(guarded):
    tries = []

    def retry():
        while len(tries) < 2:
            try:
                time.sleep(30)
            except:  # noqa: E722
                tries.append(1)
        time.sleep(30)

    with pytest.raises(DeviceTimeoutError):
        guarded(Answering(retry), timeout_s=0.1).measure(Probes.plain(), BATCH)
    assert len(tries) == 2


def test_a_backend_cannot_end_the_program(guarded):
    with pytest.raises(DeviceError, match="failed in measure: SystemExit"):
        guarded(Answering(raising(SystemExit(0)))).measure(Probes.plain(), BATCH)


def test_a_device_is_closed_once_only(guarded):
    closed = []

    class Closing(QuadraticDevice):
        def close(self):
            closed.append(1)
            raise OSError("the port is gone")

    guard = guarded(Closing(4))
    with pytest.raises(DeviceError, match="failed in close: OSError: the port is gone"):
        guard.close()
    guard.close()
    assert closed == [1]


def test_a_close_that_fails_hides_no_result(caplog):
    class Closing(QuadraticDevice):
        def close(self):
            raise OSError("the port is gone")

    bench = Bench(xor(), GuardedDevice(Closing(4)), ours=True)
    bench.close()
    assert "the port is gone" in caplog.text


def test_close_has_time_however_short_the_timeout(guarded):
    class Slow(QuadraticDevice):
        def close(self):
            time.sleep(0.2)

    guarded(Slow(4), timeout_s=0.05).close()


def test_the_state_of_an_emulated_device_is_guarded_too(guarded):
    class Broken(QuadraticDevice):
        def snapshot(self):
            raise RuntimeError("no memory")

    guard = guarded(Broken(4))
    with pytest.raises(DeviceError, match="failed in snapshot"):
        guard.emulation.snapshot()


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_probes": 0},
        {"max_probes": 2.5},
        {"max_probes": "8"},
        {"timeout_s": 0},
        {"timeout_s": np.nan},
        {"timeout_s": 1e9},
        {"timeout_s": "60"},
        {"readback": "everything"},
        {"readback": ["loss"]},
    ],
)
def test_capabilities_that_cannot_be_are_refused_by_key(wrong):
    with pytest.raises(ConfigError) as caught:
        Capabilities(**wrong)
    assert caught.value.key in wrong
