"""Budgets: what text means, and when a run has to stop."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwzo.errors import ConfigError
from hwzo.probes import Cost
from hwzo.train.budget import Budget, Spent

amounts = st.floats(1e-3, 1e9)
UNITS = {
    "evaluations": ("evaluations", 1),
    "s": ("seconds", 1),
    "min": ("seconds", 60),
    "hours": ("seconds", 3600),
    "writes": ("writes", 1),
    "J": ("joules", 1),
    "mJ": ("joules", 1e-3),
    "device seconds": ("device seconds", 1),
}


@given(amounts, st.sampled_from(list(UNITS)), st.sampled_from(["", " ", "   "]))
def test_an_amount_and_a_unit(amount, word, space):
    unit, factor = UNITS[word]
    assert Budget.parse(f"{amount!r}{space}{word}").limits == {unit: pytest.approx(amount * factor)}


@given(st.dictionaries(st.sampled_from(["evaluations", "seconds", "writes", "joules", "device seconds"]), amounts))
def test_several_joined_by_commas(limits):
    if limits:
        assert Budget.parse(", ".join(f"{amount!r} {unit}" for unit, amount in limits.items())).limits == limits


@given(st.text(max_size=30))
def test_any_text_is_a_budget_or_an_error_that_names_the_key(text):
    try:
        budget = Budget.parse(text)
    except ConfigError as error:
        key = error.key
    else:
        key = None
        assert all(0 < limit < float("inf") for limit in budget.limits.values())
    assert key in (None, "budget")


@pytest.mark.parametrize("text", ["1e6 writes", "1_000_000 writes", "1000000 WRITES", "5 h, 1e6 writes, 2e6 writes"])
def test_ways_to_write_a_million(text):
    assert Budget.parse(text).limits["writes"] == 1e6


@pytest.mark.parametrize(
    "text",
    ["", "10", "evaluations", "-5 s", "0 evaluations", "1e999 s", "nan s", "1.2.3 s", "5 parsecs", "5 s,"],
)
def test_what_is_none_is_refused(text):
    with pytest.raises(ConfigError) as caught:
        Budget.parse(text)
    assert caught.value.key == "budget"
    assert repr(text) in str(caught.value)


SPENT = Spent(100, 50, Cost(reads=7, cell_writes=1000, device_seconds=2.0, joules=0.5), wall_seconds=60.0)


@pytest.mark.parametrize(
    ("text", "allowed"),
    [
        ("102 evaluations", True),
        ("101 evaluations", False),  # the step takes two
        ("61 s", True),
        ("1 min", False),
        ("1001 writes", True),
        ("1000 writes", False),
        ("0.6 J", True),
        ("500 mJ", False),
        ("2.1 device s", True),
        ("2 device seconds", False),
        ("1e9 evaluations, 2 device seconds", False),
        ("1e9 evaluations, 1 h", True),
    ],
)
def test_the_first_limit_to_be_reached_ends_the_run(text, allowed):
    assert Budget.parse(text).allows(SPENT, 2) is allowed


def test_progress_is_that_of_the_nearest_limit():
    assert Budget.parse("200 evaluations, 2 min, 4000 writes").progress(SPENT) == 0.5
    assert Budget.parse("1000 evaluations, 1 J, 50 writes").progress(SPENT) == 1.0
