"""The journal: what it keeps, a disk that is full, damage of any kind, other formats."""

import shutil
import sqlite3

import numpy as np
import pytest

from hwzo.errors import FileError
from hwzo.explore.evidence import Evidence
from hwzo.methods.method import Outcome
from hwzo.probes import Cost
from hwzo.train.journal import Journal, Validation


def outcome(t, n_params=50):
    rng = np.random.default_rng(t)
    evidence = Evidence(rng.standard_normal(3), rng.integers(-(2**62), 2**62, 3), np.array([0.0, 0.1, -0.1]))
    gradient = rng.standard_normal(n_params).astype(np.float32)
    return Outcome(np.zeros(n_params), {}, evidence, 0.1 / (t + 1), gradient, rng.standard_normal(2) if t % 2 else None)


def cost(t):
    return Cost(t, 2 * t, 3 * t, 0.1 * t, 1e-9 * t)


def take(journal, t, **keep):
    journal.intend(t)
    journal.record(t, outcome(t), cost(t), t / 1000, keep_gradient=keep.get("keep_gradient", True))


def filled(path, n=40):
    journal = Journal(path, create=True)
    for t in range(n):
        take(journal, t)
    journal.close()
    return path


def same(record, t):
    expected = outcome(t)
    return (
        record.t == t
        and np.array_equal(record.losses, expected.evidence.losses)
        and np.array_equal(record.counters, expected.evidence.counters)
        and np.array_equal(record.scales, expected.evidence.scales)
        and record.rate == expected.rate
        and record.progress == t / 1000
        and np.array_equal(record.gradient, expected.gradient)
        and (record.coefficients is None) == (expected.coefficients is None)
    )


def test_steps_come_back_as_they_were(tmp_path):
    journal = Journal(filled(tmp_path / "j"))
    records = list(journal.records())
    assert len(records) == 40
    assert all(same(record, t) for t, record in enumerate(records))
    assert [record.t for record in journal.records(10, 13)] == [10, 11, 12]
    evaluations, commanded, costs = zip(*journal.costs(38), strict=True)
    assert (evaluations, commanded, costs) == ((3, 3), (2, 2), (cost(38), cost(39)))
    curve = journal.curve()
    np.testing.assert_array_equal(curve["t"], np.arange(40))
    np.testing.assert_array_equal(curve["evaluations"], 3 * np.arange(1, 41))
    np.testing.assert_allclose(curve["joules"], 1e-9 * np.cumsum(np.arange(40)))
    assert journal.last_done() == 39
    journal.close()


def test_an_intent_without_an_outcome_is_no_step(tmp_path):
    journal = Journal(filled(tmp_path / "j", 3))
    journal.intend(3)
    journal.close()
    journal = Journal(tmp_path / "j")
    assert journal.last_done() == 2
    assert len(list(journal.records())) == 3
    journal.close()


def test_an_outcome_is_durable_with_the_next_intent(tmp_path):
    journal = Journal(tmp_path / "j", create=True)
    take(journal, 0)
    journal.intend(1)
    journal.record(1, outcome(1), cost(1), 0.0, keep_gradient=True)  # in memory only, as when the process is killed now
    shutil.copytree(tmp_path, tmp_path.with_name(tmp_path.name + "-copy"))
    other = Journal(tmp_path.with_name(tmp_path.name + "-copy") / "j")
    assert other.last_done() == 0
    other.close()
    journal.close()
    journal = Journal(tmp_path / "j")
    assert journal.last_done() == 1
    journal.close()


def test_what_is_forgotten_is_gone_and_can_be_taken_again(tmp_path):
    journal = Journal(filled(tmp_path / "j"))
    journal.validated(Validation(5, 15, 0, 1.0, 0.5, 10))
    journal.validated(Validation(25, 75, 0, 1.0, 0.5, 10))
    journal.forget(20)
    assert journal.last_done() == 19
    assert [look.t for look in journal.validations()] == [5]
    take(journal, 20)
    journal.close()
    journal = Journal(tmp_path / "j")
    journal.check()
    assert journal.last_done() == 20
    journal.close()


def test_looks_events_and_values_are_durable_at_once(tmp_path):
    journal = Journal(tmp_path / "j", create=True)
    look = Validation(4, 8, 100, 0.5, None, 40)
    journal.validated(look)
    journal.event(4, "failed", "a pulled plug")
    journal.remember("result", "{}")
    other = Journal(tmp_path / "j")
    assert other.validations() == [look]
    assert other.events()[0][1:] == (4, "failed", "a pulled plug")
    assert (other.recall("result"), other.recall("nothing")) == ("{}", None)
    other.close()
    journal.close()


def test_a_full_disk_is_said_and_nothing_before_it_is_lost(tmp_path):
    journal = Journal(tmp_path / "j", create=True)
    pages = journal._db.execute("PRAGMA page_count").fetchone()[0]
    journal._db.execute(f"PRAGMA max_page_count = {pages + 8}")
    step = 0

    def fill():
        nonlocal step
        while step < 1000:
            take(journal, step)
            step += 1

    with pytest.raises(FileError, match=r"full; make room, then go on with --resume"):
        fill()
    assert step > 8
    journal.close()
    journal = Journal(tmp_path / "j")
    journal.check()
    last = journal.last_done()
    assert last in (step - 1, step - 2)
    assert all(same(record, t) for t, record in enumerate(journal.records()))
    take(journal, last + 1)
    journal.close()


@pytest.mark.parametrize("content", [b"", b"not a database at all, but text of some length" * 20, bytes(8192)])
def test_what_is_no_journal_is_said(tmp_path, content):
    (tmp_path / "j").write_bytes(content)
    with pytest.raises(FileError, match="no step in it can be read"):
        Journal(tmp_path / "j")


def test_a_missing_journal_is_said(tmp_path):
    with pytest.raises(FileError, match="does not exist"):
        Journal(tmp_path / "j")


@pytest.mark.parametrize("version", ["0", "2", "next"])
def test_another_format_is_refused_by_name(tmp_path, version):
    path = filled(tmp_path / "j", 2)
    db = sqlite3.connect(path)
    db.execute("UPDATE meta SET value = ? WHERE key = 'format'", (version,))
    db.commit()
    db.close()
    with pytest.raises(FileError, match=f"has format {version}, this version reads format 1"):
        Journal(path)


def readable(path):
    """Steps of a journal, in order; what it says instead, if it is damaged."""
    try:
        journal = Journal(path)
        try:
            journal.check()
            return list(journal.records())
        finally:
            journal.close()
    except FileError as error:
        return str(error)


def test_damage_is_said_or_is_none(tmp_path):
    """A byte changed anywhere: either it is told, or every step still reads back as it was written."""
    path = filled(tmp_path / "j")
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    told = 0
    for at in rng.integers(100, len(whole), 150):
        damaged = bytearray(whole)
        damaged[at] ^= 1 << int(rng.integers(8))
        copy = tmp_path / "copy"
        copy.write_bytes(damaged)
        found = readable(copy)
        if isinstance(found, str):
            told += 1
            assert "its last good step is" in found or "no step in it can be read" in found
        else:
            assert len(found) == 40
            assert all(same(record, t) for t, record in enumerate(found))
    assert told > 50  # most of the file is steps


@pytest.mark.parametrize("share", [0.9, 0.5, 0.2])
def test_a_truncated_journal_is_said(tmp_path, share):
    path = filled(tmp_path / "j", 200)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    found = readable(path)
    assert isinstance(found, str)
    assert "damaged" in found


def test_the_last_good_step_is_named(tmp_path):
    path = filled(tmp_path / "j")
    db = sqlite3.connect(path)
    db.execute("UPDATE steps SET losses = zeroblob(24) WHERE t = 17")
    db.commit()
    db.close()
    assert "the checksum of step 17 does not fit; its last good step is 16" in readable(path)
    journal = Journal(path)
    with pytest.raises(FileError, match="its last good step is 16"):
        list(journal.records(10))
    assert len(list(journal.records(18))) == 22
    journal.close()


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE events SET t = NULL",
        "UPDATE events SET t = 'x'",
        "UPDATE events SET time = 'x'",
        "UPDATE events SET time = 1e300",
        "UPDATE events SET time = -1",
        "UPDATE events SET kind = x'00'",
        "UPDATE validations SET loss = NULL",
        "UPDATE validations SET evaluations = 'x'",
        "UPDATE validations SET accuracy = x'00'",
        "UPDATE steps SET loss = NULL WHERE t = 3",
        "UPDATE steps SET cell_writes = 'x' WHERE t = 3",
    ],
)
def test_columns_that_hold_something_else_are_damage(tmp_path, damage):
    path = filled(tmp_path / "j", 5)
    journal = Journal(path)
    journal.event(5, "stopped", "SIGINT")
    journal.validated(Validation(5, 15, 0, 1.0, None, 10))
    journal._db.execute(damage)
    with pytest.raises(FileError, match="damaged"):
        (journal.events(), journal.validations(), journal.curve())
    journal.close()


@pytest.mark.parametrize("writes", [2**63, -(2**70), float("inf"), "many"])
def test_costs_that_do_not_fit_are_said(tmp_path, writes):
    journal = Journal(tmp_path / "j", create=True)
    journal.intend(0)
    with pytest.raises(FileError):
        journal.record(0, outcome(0), Cost(1, writes, 1, 0.1, 0.1), 0.0, keep_gradient=False)
    journal.close()


def test_a_reader_changes_nothing_and_can_not(tmp_path):
    path = filled(tmp_path / "j")
    before = path.read_bytes()
    journal = Journal(path, read_only=True)
    assert len(list(journal.records())) == 40
    with pytest.raises(FileError, match="readonly"):
        journal.event(1, "stopped", "")
    journal.close()
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["j"]


def test_a_look_before_a_forgotten_step_is_kept(tmp_path):
    journal = Journal(filled(tmp_path / "j"))
    for t in (10, 20, 21):
        journal.validated(Validation(t, 3 * t, 0, 1.0, 0.5, 10))
    journal.forget(20)
    assert [look.t for look in journal.validations()] == [10, 20]  # the look at 20 was taken before step 20
    journal.close()


def test_a_missing_step_is_damage(tmp_path):
    path = filled(tmp_path / "j")
    db = sqlite3.connect(path)
    db.execute("DELETE FROM steps WHERE t = 17")
    db.commit()
    db.close()
    assert "step 17 is missing; its last good step is 16" in readable(path)
    journal = Journal(path)
    with pytest.raises(FileError, match="step 17 is missing"):
        list(journal.records(10))
    journal.close()
