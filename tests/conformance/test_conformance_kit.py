"""The kit passes devices that keep the contract, and fails broken ones, each for its own reason and no other."""

import json
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from hwzo.device import Device
from hwzo.errors import ConfigError, DeviceError
from hwzo.parameters import ParameterSpec, TensorSpec
from hwzo.probes import Batch
from hwzo.testing.check import Bench, BreachError, SkipError, check, run_check
from hwzo.testing.conformance import CHECKS, run_conformance
from hwzo.testing.faulty import FaultyDevice
from hwzo.testing.quadratic import QuadraticDevice

SOUND: dict[str, dict] = {
    "silent": {},
    "noisy loss": {"loss_sd": 0.05},
    "one parameter": {"n": 1},
    "retained": {"parameter_noise": "retained", "sigma": 0.05, "readback": "weights", "read_sd": 0.02},
    "per evaluation": {"parameter_noise": "per-evaluation", "sigma": 0.05, "readback": "weights", "loss_sd": 0.01},
    "coarse": {"resolution": 0.02, "readback": "weights", "laws": frozenset()},
}


@pytest.mark.parametrize("name", list(SOUND))
def test_sound_black_boxes_pass(name: str):
    report = run_conformance(lambda: QuadraticDevice(**SOUND[name]))
    assert report.failures == []
    assert report.passed + report.skipped == report.checks == len(CHECKS)
    assert report.false_alarm < 1e-4


@pytest.mark.parametrize("readback", ["loss", "outputs", "nodes", "weights"])
@pytest.mark.parametrize("preset", ["ideal", "pcm", "reram-wan"])
def test_the_crossbar_passes(preset: str, readback: str):
    report = run_conformance(f"crossbar:{preset}?readback={readback}")
    assert report.failures == []
    assert report.emulated
    # Whatever it can do was tested: a displacement that drowns in noise would be skipped.
    skipped = [result.name for result in report.results if result.status == "skipped"]
    assert not [name for name in skipped if name.startswith("displacement") or "leads" in name or "mask" in name]


def test_the_crossbar_passes_with_noise_of_its_own_and_one_output():
    for url in (
        "crossbar:pcm?layers=6-5-1&sigma=0.03&seed=3",
        "crossbar:ideal?layers=4-3&node_noise=0.1&activation=relu",
    ):
        assert run_conformance(url, seed=5).failures == []


def test_a_device_without_bounds_passes():
    class Unbounded(QuadraticDevice):
        def __init__(self):
            super().__init__(loss_sd=0.01)
            self._spec = ParameterSpec((TensorSpec("theta", (8,), initial_sd=0.3),))

        def program(self, theta, *, mask=None):
            if not np.isfinite(theta).all():
                raise ConfigError("not finite")
            return super().program(theta, mask=mask)

    report = run_conformance(Unbounded)
    assert report.failures == []
    assert {result.status for result in report.results if result.name.startswith("displacement")} == {"passed"}


# Broken devices -----------------------------------------------------------------------------------------------------

RETAINED = {"parameter_noise": "retained", "sigma": 0.05, "readback": "weights", "read_sd": 0.02}


class Deaf(QuadraticDevice):
    """Ignores commanded displacements."""

    def measure(self, probes, batch):
        known = probes.law in self.capabilities.laws
        return super().measure(replace(probes, scales=0 * probes.scales) if known else probes, batch)


class Mirrored(QuadraticDevice):
    """Displaces along the right direction with the wrong sign."""

    def measure(self, probes, batch):
        return super().measure(replace(probes, scales=-probes.scales), batch)


class Doubled(QuadraticDevice):
    """Displaces twice as far."""

    def measure(self, probes, batch):
        return super().measure(replace(probes, scales=2 * probes.scales), batch)


class Stepless(QuadraticDevice):
    """Generates the directions of step 0, whatever the step."""

    def measure(self, probes, batch):
        return super().measure(replace(probes, step=0), batch)


class Hasty(QuadraticDevice):
    """Writes first, checks afterwards."""

    def program(self, theta, *, mask=None):
        try:
            return super().program(theta, mask=mask)
        except ConfigError:
            if np.shape(theta) == (self.parameters.size,):
                super().program(self.parameters.clip(np.nan_to_num(theta)))
            raise


class Lenient(QuadraticDevice):
    """Clips what is out of bounds, and says nothing."""

    def program(self, theta, *, mask=None):
        fits = np.shape(theta) == (self.parameters.size,) and not np.isnan(theta).any()
        return super().program(self.parameters.clip(theta) if fits else theta, mask=mask)


class Fickle(QuadraticDevice):
    """Promises determinism, but draws its noise from the operating system."""

    def __init__(self, **arguments):
        super().__init__(**arguments)
        self._rng = np.random.default_rng()


class Cheap(QuadraticDevice):
    """Counts half of its cell writes."""

    def program(self, theta, *, mask=None):
        cost = super().program(theta, mask=mask)
        return replace(cost, cell_writes=cost.cell_writes // 2)


class Biased(QuadraticDevice):
    """Reads back a fifth too little."""

    def read(self, repeats=1):
        return 0.8 * super().read(repeats)

    def measure(self, probes, batch):
        readings = super().measure(probes, batch)
        return readings if readings.realised is None else replace(readings, realised=0.8 * readings.realised)


class Pretender(QuadraticDevice):
    """Says that it realised what was programmed, without its noise."""

    def measure(self, probes, batch):
        readings = super().measure(probes, batch)
        return readings if readings.realised is None else replace(readings, realised=readings.realised - self._held)


class Boaster(QuadraticDevice):
    """Declares node noise that it doesn't have."""

    @property
    def capabilities(self):
        return replace(super().capabilities, node_noise=True)


class Discreet(QuadraticDevice):
    """Has noise that it doesn't declare."""

    @property
    def capabilities(self):
        return replace(super().capabilities, node_noise=False)


class Forgetful(QuadraticDevice):
    """Declares retained noise, but draws it anew for each evaluation."""

    @property
    def capabilities(self):
        return replace(super().capabilities, parameter_noise="retained", node_noise=True)


class Amnesiac(QuadraticDevice):
    """Leaves the programmed parameters out of what it restores."""

    def restore(self, state):
        theta = self._theta
        super().restore(state)
        self._theta = theta


class Undead(QuadraticDevice):
    """Answers after it was closed."""

    def close(self):
        pass


class Parasite(QuadraticDevice):
    """Keeps the caller's array instead of a copy."""

    def program(self, theta, *, mask=None):
        cost = super().program(theta, mask=mask)
        if mask is None and not self.parameters.tensors[0].resolution:
            self._theta = theta
        return cost


class Maskless(QuadraticDevice):
    """Ignores the mask of a write."""

    def program(self, theta, *, mask=None):
        if mask is not None and (mask.shape != self._theta.shape or not mask.any()):
            return super().program(theta, mask=mask)
        return super().program(theta)


class Lazy(QuadraticDevice):
    """Takes half of each training step."""

    def apply(self, update):
        self.parameters.check(update.target)
        return super().apply(replace(update, target=update.target - 0.5 * update.step))


class Generous(QuadraticDevice):
    """Does laws that it doesn't declare."""

    @property
    def capabilities(self):
        return replace(super().capabilities, laws=frozenset({"walsh"}))


ONE_LAW = frozenset({"rademacher"})
BROKEN: list[tuple[Callable[[], Device], str, str]] = [
    # device, the one check that fails, words of its reason
    (lambda: Deaf(laws=ONE_LAW, loss_sd=0.05), "displacement: rademacher", "was to be reproduced"),
    (lambda: Mirrored(laws=ONE_LAW, **RETAINED), "displacement: rademacher", "was to be reproduced"),
    (lambda: Doubled(laws=frozenset({"walsh"})), "displacement: walsh", "was to be reproduced"),
    (lambda: Stepless(laws=frozenset({"sparse"})), "displacement: sparse", "was to be reproduced"),
    (lambda: Hasty(loss_sd=0.05), "program refuses before any write", "refused, but the device's state changed"),
    (lambda: Lenient(), "program refuses before any write", "was accepted, expected ConfigError"),
    (lambda: Fickle(loss_sd=0.05), "deterministic where promised", "answers other bytes"),
    (lambda: Cheap(), "cost of writing", "8 parameters changed, but only 4 cell writes"),
    (lambda: Biased(**RETAINED), "program and read agree", "has slope 0."),
    (lambda: Pretender(**RETAINED), "realised is what read reads", "more than the read's own error"),
    (lambda: Boaster(), "node noise as declared", "16 repeats are equal"),
    (lambda: Discreet(loss_sd=0.01), "node noise as declared", "no noise is declared"),
    (
        lambda: Forgetful(parameter_noise="per-evaluation", sigma=0.1, readback="weights", loss_sd=0.01),
        "parameter noise as declared",
        "between two evaluations it changes",
    ),
    (lambda: Amnesiac(), "snapshot and restore", "after a restore"),
    (lambda: Undead(), "closing and opening again", "measure after close: was accepted"),
    (lambda: Parasite(), "program copies", "it must copy"),
    (lambda: Maskless(laws=ONE_LAW), "a mask writes where it is True", "was to be reproduced"),
    (lambda: Lazy(loss_sd=0.01), "apply leads where program leads", "was to be reproduced"),
    (lambda: Generous(), "laws that aren't declared raise CapabilityError", "was accepted"),
]


@pytest.mark.parametrize(
    ("factory", "name", "reason"), BROKEN, ids=lambda value: value if isinstance(value, str) else ""
)
def test_broken_devices_fail_for_their_reason_only(factory, name: str, reason: str):
    for seed in range(5):
        report = run_conformance(factory, seed=seed)
        assert [failure["name"] for failure in report.failures] == [name]
        assert reason in report.failures[0]["reason"]


def test_refusal_is_seen_by_the_loss_where_there_is_no_snapshot():
    class Opaque(Hasty):
        @property
        def capabilities(self):
            return replace(super().capabilities, snapshot=False)

    report = run_conformance(lambda: Opaque(**RETAINED))
    assert report.failures == [
        {
            "name": "program refuses before any write",
            "reason": "unusable parameters: refused, but the loss is that of the refused parameters",
        }
    ]


# False alarms -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["noisy loss", "retained", "per evaluation"])
def test_sound_noisy_devices_do_not_fail_over_many_seeds(name: str):
    # 60 kits at a stated false-alarm rate below 1e-4 each: all pass with probability above 0.99.
    for seed in range(60):
        assert run_conformance(lambda seed=seed: QuadraticDevice(seed=seed, **SOUND[name]), seed=seed).failures == []


def test_the_noisy_crossbar_does_not_fail_over_seeds():
    for seed in range(8):
        assert run_conformance("crossbar:pcm?layers=5-4-3", seed=seed).failures == []


# Running a check ----------------------------------------------------------------------------------------------------


def test_a_device_that_hangs_fails_in_time():
    hanging = next(c for c in CHECKS if c.name == "measure gives what it declares")
    start = time.monotonic()
    result = run_check(
        hanging, lambda: FaultyDevice(QuadraticDevice(), after=1, fault="hang", hang_s=60), time_limit_s=0.2
    )
    assert time.monotonic() - start < 5
    assert (result.status, result.detail) == ("failed", "no answer within 0.2 s")


def test_a_time_limit_leaves_an_earlier_timer_running():
    rung: list[int] = []
    handler = signal.signal(signal.SIGALRM, lambda *_: rung.append(1))
    before = signal.setitimer(signal.ITIMER_REAL, 0.3)
    try:
        assert run_check(CHECKS[0], QuadraticDevice, time_limit_s=5).status == "passed"
        assert 0 < signal.getitimer(signal.ITIMER_REAL)[0] <= 0.3
        time.sleep(0.4)
        assert rung == [1]
    finally:
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, *before)


def test_it_runs_in_a_thread():
    results = []
    thread = threading.Thread(target=lambda: results.append(run_conformance(QuadraticDevice)))
    thread.start()
    thread.join()
    assert results[0].failures == []


@pytest.mark.parametrize(("fault", "words"), [("nan", "aren't finite"), ("raise", "OSError: [Errno 5] gone")])
def test_faults_are_failures_with_a_reason(fault: str, words: str):
    report = run_conformance(
        lambda: FaultyDevice(QuadraticDevice(), after=1, fault=fault, error=OSError(5, "gone"))  # type: ignore[arg-type]
    )
    reasons = {failure["name"]: failure["reason"] for failure in report.failures}
    assert words in reasons["measure gives what it declares"]


def test_whatever_a_check_meets_is_a_result():
    for error, status, detail in (
        (BreachError("broken"), "failed", "broken"),
        (SkipError("not here"), "skipped", "not here"),
        (ZeroDivisionError("zero"), "failed", "ZeroDivisionError: zero"),
    ):

        @check("meets")
        def meets(bench: Bench, error: Exception = error) -> str:
            raise error

        result = run_check(meets, QuadraticDevice)
        assert (result.status, result.detail) == (status, detail)


def test_a_close_that_fails_is_a_failure():
    class Stuck(QuadraticDevice):
        def close(self):
            raise OSError("stuck")

    assert run_check(CHECKS[0], Stuck).detail == "close: OSError: stuck"


def test_a_device_that_cannot_be_opened_is_an_error_not_a_report():
    with pytest.raises(ConfigError, match="no backend"):
        run_conformance("no-such-backend:x")

    def broken() -> Device:
        raise RuntimeError("no board")

    with pytest.raises(DeviceError, match="RuntimeError: no board"):
        run_conformance(broken)


def test_report_has_the_keys_of_the_command():
    report = run_conformance(lambda: Cheap())
    found = json.loads(json.dumps(report.as_dict()))
    assert {"device", "checks", "passed", "failed", "skipped", "failures"} <= set(found)
    assert found["failed"] == 1 == len(found["failures"])
    assert found["passed"] + found["failed"] + found["skipped"] == found["checks"] == len(found["results"])
    assert found["failures"][0].keys() == {"name", "reason"}


def test_names_are_unique_and_statistical_rates_add_up_to_less_than_stated():
    assert len({c.name for c in CHECKS}) == len(CHECKS)
    assert 0 < sum(c.false_alarm for c in CHECKS) < 1e-4


def test_a_batch_of_ones_own_is_used():
    widths = set()

    class Watching(QuadraticDevice):
        def measure(self, probes, batch):
            widths.add(batch.inputs.shape)
            return super().measure(probes, batch)

    batch = Batch(np.zeros((2, 7)), np.zeros(2, dtype=np.int64))
    assert run_conformance(Watching, batch=batch).failures == []
    assert widths == {(2, 7)}


def test_a_device_cannot_end_the_program_nor_fail_the_kit_by_its_first_close():
    class Ending(QuadraticDevice):
        def close(self):
            raise SystemExit(0)

        def measure(self, probes, batch):
            raise SystemExit(0)

    report = run_conformance(Ending)
    reasons = [failure["reason"] for failure in report.failures]
    assert any("SystemExit" in reason for reason in reasons)
    assert report.passed + report.failed + report.skipped == len(CHECKS)


class Hollow(QuadraticDevice):
    info = None


@pytest.mark.parametrize("factory", [Hollow, lambda: QuadraticDevice(no_such_argument=1), exit])
def test_what_opens_no_device_is_the_devices_error(factory):
    with pytest.raises(DeviceError):
        run_conformance(factory)
