"""Comparisons: ordinary runs side by side, resumed, summed up by statistics that somebody else would find, too."""

import math
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from scipy import stats

import hwzo
from hwzo.errors import CapabilityError, ConfigError, DeviceBusyError, FileError
from hwzo.lease import Lease
from hwzo.registry import backends, load
from hwzo.report.comparison import curves_of, write_comparison_page
from hwzo.report.comparison_curves import averaged
from hwzo.train.compare import compare
from hwzo.train.comparison import Cell, Comparison, Outcome
from hwzo.train.standing import standings
from hwzo.train.tuning import Tuning, tuned

comparing = sys.modules["hwzo.train.compare"]

SMALL = {
    "task": "xor",
    "budget": "120 evaluations",
    "methods": ["intrinsic", "noisezo"],
    "devices": ["crossbar:ideal?sigma=0.05"],
    "seeds": [11, 12],
    "validate_every": 40,
    "processes": 1,
}


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A comparison of which one method can't be served, its outcomes and folder."""
    folder = tmp_path_factory.mktemp("compare") / "small"
    comparison, heard = Comparison.build(SMALL), []
    return comparison, compare(comparison, folder, heard.append), folder, heard


def test_its_runs_are_those_of_train(small, tmp_path):
    _, outcomes, _, heard = small
    for seed in (11, 12):
        alone = hwzo.train(
            "xor",
            "crossbar:ideal?sigma=0.05",
            method="intrinsic",
            budget="120 evaluations",
            validate_every=40,
            seed=seed,
            run=tmp_path / str(seed),
        )
        assert outcomes[0].results[seed].parameters_crc32 == alone.parameters_crc32
        assert outcomes[0].results[seed].test_accuracy == alone.test_accuracy
    assert len(heard) == 3  # what is left out, too


def test_what_a_device_cannot_serve_is_left_out_with_the_reason(small):
    comparison, outcomes, _, _ = small
    assert outcomes[1].left_out is not None
    assert "retained" in outcomes[1].left_out
    rows = standings(outcomes, comparison.task)
    assert [row.method for row in rows] == ["intrinsic", "noisezo"]
    assert rows[1].accuracy is None
    assert rows[1].left_out == outcomes[1].left_out


def test_it_goes_on_without_doing_anything_twice(small):
    comparison, outcomes, folder, _ = small
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("journal.sqlite")}
    again = compare(comparison, folder)
    assert again[0].results == outcomes[0].results
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("journal.sqlite")} == before


def test_everybodys_first_seed_comes_before_anybodys_second(tmp_path):
    given = SMALL | {"methods": ["mgd", "intrinsic"], "validate_every": 120}
    heard = []
    compare(Comparison.build(given), tmp_path / "c", heard.append)
    assert [text.split(", seed ")[1][:2] for text in heard] == ["11", "11", "12", "12"]


def test_where_nothing_is_left_it_says_why(tmp_path):
    """An error of its own, with every method's reason, not an empty table."""
    given = SMALL | {"methods": ["noisezo", "cma-es"], "devices": ["crossbar:ideal?readback=loss"], "task": "digits"}
    with pytest.raises(CapabilityError, match="no method is left") as caught:
        compare(Comparison.build(given), tmp_path / "c")
    assert "'retained'" in str(caught.value)
    assert "'sep-cma' for more" in str(caught.value)


@pytest.mark.parametrize(
    "wrong",
    [
        {"settings": {"hebbian": {"law": "walsh"}}},
        {"settings": {"spsa": {"probes": 3}}},
        {"budget": "3 evaluations"},
    ],
)
def test_what_a_run_would_refuse_is_told_before_any_begins(tmp_path, wrong):
    """Of the last method, too; and the folder is free for the corrected configuration."""
    given = SMALL | {"methods": ["spsa", "hebbian"], "devices": ["crossbar:pcm"], "seeds": [11], "processes": 1}
    with pytest.raises(ConfigError, match=r"on crossbar:pcm, seed 11: (law|probes|budget)"):
        compare(Comparison.build(given | wrong), tmp_path / "c")
    assert not (tmp_path / "c").exists()


def test_what_one_run_alone_can_hold_is_compared_run_by_run(tmp_path, monkeypatch):
    """Two runs at a time would find the device held by the other one."""
    url, pools, heard = "crossbar:ideal?sigma=0.05", [], []
    point = next(point for name, point in backends().items() if name == "crossbar")
    monkeypatch.setattr(type(load(point)), "lock_name", lambda self, url: "one port")
    made = comparing._pool
    monkeypatch.setattr(comparing, "_pool", lambda processes: pools.append(processes) or made(processes))
    given = SMALL | {"methods": ["spsa"], "seeds": [11], "processes": 2, "devices": [url]}
    assert compare(Comparison.build(given), tmp_path / "c", heard.append)[0].results
    assert pools == [1]
    assert heard[0] == f"one run at a time: only one can hold {url}"


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="needs /proc")
def test_a_killed_command_leaves_no_runs_behind(tmp_path):
    """Killed in the middle, its process ends by itself, and the same command goes on to the same numbers."""
    given = SMALL | {"methods": ["spsa"], "budget": "800 evaluations", "seeds": [11]}
    script = tmp_path / "command.py"
    script.write_text(
        "import sys; from pathlib import Path; from hwzo.train.compare import compare; "
        "from hwzo.train.comparison import Comparison\n"
        f"if __name__ == '__main__': compare(Comparison.build({given!r}), Path(sys.argv[1]))"
    )
    command = subprocess.Popen([sys.executable, script, tmp_path / "killed"])
    until(lambda: list((tmp_path / "killed" / "runs").glob("*/journal.sqlite")))
    children = Path(f"/proc/{command.pid}/task/{command.pid}/children").read_text().split()
    command.kill()
    command.wait()
    assert children
    until(lambda: not any(alive(child) for child in children))
    again = compare(Comparison.build(given), tmp_path / "killed")[0].results[11]
    keys = {key: given[key] for key in ("budget", "validate_every")}
    whole = hwzo.train("xor", given["devices"][0], method="spsa", seed=11, run=tmp_path / "whole", **keys)
    assert again.parameters_crc32 == whole.parameters_crc32


def test_a_signal_ends_runs_after_their_step(tmp_path):
    """Sent to the command alone, as a batch system does; its processes are told."""
    given = {key: value for key, value in SMALL.items() if key != "methods"} | {"processes": 1}
    config = tmp_path / "config.toml"
    config.write_text(Comparison.build(given | {"methods": ["spsa"], "budget": "1e6 evaluations"}).to_toml())
    words = [sys.executable, "-m", "hwzo", "compare", config, "--run", tmp_path / "ended"]
    command = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
    try:
        until(lambda: list((tmp_path / "ended" / "runs").glob("*/journal.sqlite")))
        command.terminate()
        _, said = command.communicate(timeout=180)
    finally:
        command.kill()
    assert command.returncode == 143
    assert "the same command goes on" in said


def alive(process):
    with suppress(OSError):
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def until(condition, seconds=180.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_another_comparison_has_to_go_elsewhere(small, tmp_path):
    _, _, folder, _ = small
    with pytest.raises(ConfigError, match="budget") as caught:
        compare(Comparison.build(SMALL | {"budget": "200 evaluations"}), folder)
    assert caught.value.key == "budget"
    (tmp_path / "something.txt").write_text("mine")
    with pytest.raises(ConfigError, match="no comparison's folder"):
        compare(Comparison.build(SMALL), tmp_path)


def test_it_is_read_back_as_it_was_written(small, tmp_path):
    comparison, _, folder, _ = small
    assert Comparison.load(folder / "compare.toml") == comparison
    with pytest.raises(FileError):
        Comparison.load(tmp_path / "absent.toml")


def page_of(comparison, outcomes, page):
    """Draws it, and gives its text."""
    write_comparison_page(comparison, outcomes, standings(outcomes, comparison.task), page)
    return page.read_text(encoding="utf-8")


def test_the_page_shows_all_of_it(small, tmp_path):
    pytest.importorskip("matplotlib")
    comparison, outcomes, _, _ = small
    page = page_of(comparison, outcomes, tmp_path / "report.html")
    for text in ("EMULATED", "intrinsic", "noisezo", "was left out", "Accuracy against evaluations", "n = 2"):
        assert text in page
    assert "<script" not in page
    assert "http://" not in page.replace("http://www.w3.org", "")


def test_curves_are_means_of_what_each_run_said_last(small):
    _, outcomes, _, _ = small
    runs = [hwzo.load_run(result.run) for result in outcomes[0].results.values()]
    curve = averaged("intrinsic", runs, "evaluations")
    for at in (0, 40, 63):
        by_hand = [
            [look.accuracy for look in run.validations if look.evaluations <= curve.cost[at] + 1e-9][-1] for run in runs
        ]
        assert curve.accuracy[at] == pytest.approx(np.mean(by_hand))
        assert curve.error[at] == pytest.approx(np.std(by_hand, ddof=1) / math.sqrt(2))
    assert curve.cost[0] == 40  # where there is more than the start
    assert curve.cost[-1] == 120
    np.testing.assert_allclose(curve.cost[1:] / curve.cost[:-1], 3 ** (1 / 63))


def test_the_curves_are_also_a_picture_of_their_own(small, tmp_path):
    pytest.importorskip("matplotlib")
    comparison, outcomes, _, _ = small
    page_of(comparison, outcomes, tmp_path / "report.html")
    picture = ElementTree.parse(tmp_path / "report.svg").getroot()
    assert picture.tag.endswith("svg")
    assert (tmp_path / "report.svg").stat().st_size < 200_000


def made_up(method, accuracies, result, device="crossbar:pcm"):
    results = {seed: result.model_copy(update={"test_accuracy": a}) for seed, a in enumerate(accuracies)}
    return Outcome(Cell(method, device), results=results)


def test_differences_are_judged_pair_by_pair(small):
    """Against scipy's paired t test; the mean and standard error by their definitions."""
    result = small[1][0].results[11]
    rng = np.random.default_rng(0)
    good = 0.9 + 0.02 * rng.standard_normal(6)
    worse = good - 0.03 + 0.005 * rng.standard_normal(6)
    rows = standings([made_up("worse", worse, result), made_up("good", good, result)], "xor")
    assert [row.method for row in rows] == ["good", "worse"]
    assert (rows[0].below_best, rows[0].p) == (0.0, None)
    assert rows[1].accuracy == pytest.approx(worse.mean())
    assert rows[1].accuracy_standard_error == pytest.approx(worse.std(ddof=1) / math.sqrt(6))
    assert rows[1].below_best == pytest.approx((worse - good).mean())
    assert rows[1].below_best_standard_error == pytest.approx((worse - good).std(ddof=1) / math.sqrt(6))
    assert rows[1].p == pytest.approx(stats.ttest_rel(worse, good).pvalue)


def test_equal_differences_have_no_spread_though_their_subtraction_leaves_one(small):
    """110/360 - 300/360 and 109/360 - 299/360 are the same, and two floats: that is no evidence of anything."""
    result = small[1][0].results[11]
    good, worse = [300 / 360, 299 / 360], [110 / 360, 109 / 360]
    assert len({a - b for a, b in zip(worse, good, strict=True)}) == 2
    rows = standings([made_up("worse", worse, result), made_up("good", good, result)], "xor")
    assert (rows[1].below_best_standard_error, rows[1].p) == (0.0, None)


def test_a_method_has_one_colour_on_all_devices(small):
    outcomes = [
        made_up(method, [accuracy], small[1][0].results[11], device)
        for device, accuracies in (("crossbar:pcm", (0.9, 0.8)), ("crossbar:ideal", (0.7, 0.95)))
        for method, accuracy in zip("ab", accuracies, strict=True)
    ]
    rows = standings(outcomes, "xor")
    assert [row.method for row in rows] == ["a", "b", "b", "a"]
    for device in ("crossbar:pcm", "crossbar:ideal"):
        for _, curves in curves_of(device, rows, outcomes).by_cost:
            assert {curve.method: curve.place for curve in curves} == {"a": 0, "b": 1}


def test_a_run_that_lost_its_journal_is_in_the_table_only(tmp_path):
    pytest.importorskip("matplotlib")
    given = SMALL | {"methods": ["spsa"]}
    folder, comparison = tmp_path / "c", Comparison.build(given)
    compare(comparison, folder)
    next((folder / "runs").glob("*seed11")).joinpath("journal.sqlite").unlink()
    outcomes = compare(comparison, folder)
    assert sorted(outcomes[0].results) == [11, 12]
    page = page_of(comparison, outcomes, tmp_path / "report.html")
    assert "whose journal is gone, and which are in the table only: 1." in page


def test_a_mistake_in_a_url_shows_before_anything_runs_and_can_be_mended(tmp_path):
    given = SMALL | {"devices": ["crossbar:ideal?sigma=0.05", "crossbar:pcm?foo=1"]}
    with pytest.raises(ConfigError, match="foo"):
        compare(Comparison.build(given), tmp_path / "c")
    assert not (tmp_path / "c").exists()


def test_a_folder_in_which_nothing_could_run_takes_the_mended_comparison(tmp_path):
    given = SMALL | {"methods": ["mgd"], "budget": "3 evaluations"}
    with pytest.raises(ConfigError, match="allows no step"):
        compare(Comparison.build(given), tmp_path / "c")
    assert compare(Comparison.build(given | {"budget": "120 evaluations"}), tmp_path / "c")[0].results


def test_two_commands_are_not_at_one_comparison(small):
    """The second is refused, and the first goes on."""
    comparison, _, folder, _ = small
    held = Lease(folder / ".lock", "this")
    try:
        with pytest.raises(DeviceBusyError, match="wait for it"):
            compare(comparison, folder)
    finally:
        held.release()


def test_devices_are_judged_apart_and_one_seed_has_no_spread(small):
    result = small[1][0].results[11]
    outcomes = [made_up("a", [0.5], result, "crossbar:pcm"), made_up("a", [0.9], result, "crossbar:ideal")]
    rows = standings(outcomes, "xor")
    assert [row.below_best for row in rows] == [0.0, 0.0]
    assert rows[0].accuracy_standard_error is None
    assert rows[0].p is None
    lossy = made_up("b", [None, None], result)
    assert standings([lossy], "xor")[0].accuracy is None


@pytest.mark.parametrize(
    ("change", "key", "says"),
    [
        ({"methods": []}, "methods", "at least 1"),
        ({"methods": ["magic"]}, "method", "allowed are"),
        ({"methods": ["mgd?tau=1"]}, "tau", "tau_x"),
        ({"methods": ["spsa", "spsa"]}, "methods", "twice"),
        ({"devices": ["nowhere"]}, "device", "scheme:target"),
        ({"seeds": [1, 1]}, "seeds", "twice"),
        ({"seeds": [-1]}, "seeds.0", "greater than or equal to 0"),
        ({"budget": "much"}, "budget", "amount and a unit"),
        ({"tuning": {"runs": 0}}, "tuning.runs", "greater than or equal to 1"),
        ({"tuning": {"runs": 2, "seeds": [11]}}, "seeds", "must not have seen"),
        ({"tuning": {"runs": 2, "run": 2}}, "tuning.run", "allowed are runs, seeds"),
        ({"tuning": {"runs": 2, "seeds": [5, 5]}}, "tuning.seeds", "twice"),
        ({"tuning": {"runs": 2, "seeds": []}}, "tuning.seeds", "at least 1"),
        ({"tuning": {}}, "tuning.runs", "such as runs = 8"),
        ({"settings": {"intrinsic": {"rate": -1.0}}}, "rate", "settings.intrinsic.rate"),
        ({"settings": {"spsa": {"probes": 4}}}, "settings", "no such method"),
        ({"settings": {"intrinsic": {"budget": "1 s"}}}, "budget", "the same for all"),
        ({"settings": {"intrinsic": {"rat": 1.0}}}, "rat", "did you mean 'rate'"),
        ({"colour": "red"}, "colour", "allowed are"),
        ({"processes": 0}, "processes", "greater than or equal to 1"),
    ],
)
def test_what_cannot_be_compared_is_said_before_anything_runs(change, key, says):
    with pytest.raises(ConfigError) as caught:
        Comparison.build(SMALL | change)
    assert caught.value.key == key
    assert says in str(caught.value)
    assert key.split(".")[0] in str(caught.value)


def test_methods_must_be_given():
    with pytest.raises(ConfigError, match="must be given"):
        Comparison.build({})


def test_cells_have_folders_of_their_own():
    cells = [Cell("mgd?tau_x=4", "crossbar:pcm"), Cell("mgd?tau_x=4", "crossbar-pcm"), Cell("mgd", "crossbar:pcm")]
    names = {cell.folder for cell in cells}
    assert len(names) == 3
    assert all(set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789.=-_?") - {"?", "_"} | {"-"} for name in names)


# --- tuning


def trained(keys, folder):
    return hwzo.train(run=folder, resume=True, **keys)


KEYS = {
    "task": "xor",
    "device": "crossbar:ideal",
    "method": "backprop",
    "budget": "60 evaluations",
    "validate_every": 10,
}


def test_tuning_of_one_run_takes_the_methods_own_settings(tmp_path):
    found, spent = tuned(KEYS, Tuning(runs=1, seeds=[10, 11]), tmp_path, trained)
    assert found == {}
    assert spent == 120


def test_what_is_set_is_not_tuned(tmp_path):
    found, spent = tuned({**KEYS, "rate": 0.01}, Tuning(runs=5), tmp_path, trained)
    assert (found, spent) == ({}, 60)  # and optuna isn't needed


def test_tuning_says_what_it_needs(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ConfigError, match="optuna") as caught:
        tuned(KEYS, Tuning(runs=2), tmp_path, trained)
    assert caught.value.key == "tuning"


def test_tuning_finds_better_settings_and_the_same_ones_again(tmp_path):
    pytest.importorskip("optuna")
    asked = []

    def counted(keys, folder):
        asked.append(keys.get("rate"))
        return trained(keys, folder)

    keys = {**KEYS, "device": "crossbar:ideal?readback=outputs"}
    found, spent = tuned(keys, Tuning(runs=6), tmp_path, counted)
    assert spent == 6 * 60
    assert asked[0] is None
    assert all(0.001 <= rate <= 0.1 for rate in asked[1:])
    first = list(asked)
    asked.clear()
    assert tuned(keys, Tuning(runs=6), tmp_path, counted) == (found, spent)
    assert asked == first
