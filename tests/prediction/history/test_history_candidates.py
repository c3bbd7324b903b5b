"""What candidates are made of: records and what is missing of them, values that were used, words that fit."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from specflow.prediction.history import pool as pools
from specflow.prediction.history import worth_a_look
from specflow.prediction.history.choices import values
from specflow.prediction.history.chooser import options
from specflow.prediction.history.dialogue import Dialogue, args_of
from specflow.prediction.history.fits import WHOLE, fits_of
from specflow.prediction.history.joins import rows_of
from specflow.prediction.history.lesson import train
from specflow.prediction.history.pool import Pooled, pool
from specflow.prediction.history.standing import NEVER, Part, Standing
from specflow.prediction.history.tables import Tables
from specflow.prediction.predictor import HistoryItem, PastCall

NUMBER, DATE = "list_flights:$.flights[*].number", "list_flights:$.flights[*].date"
NOWHERE = Part(0, 0, 0, 0, NEVER, NEVER, 0, 0, 0, False, frozenset(), frozenset(), 0, 0, -1)


def tool(name: str, result: str, **args: str) -> HistoryItem:
    return HistoryItem(role="tool", text=result, call=PastCall(tool=name, args=args, result=result))


def user(text: str) -> HistoryItem:
    return HistoryItem(role="user", text=text)


def listed(flights: int, cabins: int = 1) -> list[HistoryItem]:
    """The user asks; cabins are listed, then flights."""
    text = ", ".join(f'{{"number": "HAT10{at}", "date": "2024-05-1{at}"}}' for at in range(flights))
    names = ", ".join(f'{{"cabin": "cabin_{at}"}}' for at in range(cabins))
    return [
        user("What do they cost?"),
        tool("list_cabins", f'{{"cabins": [{names}]}}', of="all"),
        tool("list_flights", f'{{"flights": [{text}]}}', trip="T1"),
    ]


def fare(at: int, cabin: int = 0) -> dict[str, str]:
    return {"cabin": f"cabin_{cabin}", "number": f"HAT10{at}", "when": f"2024-05-1{at}"}


def told(items: list[HistoryItem]) -> Dialogue:
    dialogue = Dialogue(year=2024)
    for item in items:
        dialogue.take(item)
    return dialogue


@pytest.fixture(scope="module")
def tables() -> Tables:
    """Fares were asked of flights that stood in one record, and of cabins from elsewhere."""
    found = Tables()
    for at in (0, 1, 2, 0, 1):
        for cabin in (0, 1):
            found.learn(told(listed(3, 2)), "get_fare", args_of(fare(at, cabin)))
    return found


@given(st.sets(st.sampled_from("abcdefg"), min_size=2), st.data())
def test_what_is_missing_of_a_record_is_put_in_its_place(names: set[str], data: st.DataObject) -> None:
    form = tuple(sorted(names))
    filled = data.draw(st.sets(st.sampled_from(form), min_size=1))
    fills = pools._fills(tuple((name, f"t:$.{name}") for name in sorted(filled)), form)
    assert fills is not None
    assert fills.missing == tuple(name for name in form if name not in filled)
    assert fills.insert(tuple(name for name in form if name in filled), fills.missing) == form
    ways = [f"u:$.{name}" for name in fills.missing]
    assert fills.insert(fills.paths, ways) == tuple(
        f"{'t' if name in filled else 'u'}:$.{name}" for name in form
    )
    assert pools._fills((("z", "t:$.z"),), form) is None


def test_records_are_filled_up_with_each_of_the_best_values(tables: Tables) -> None:
    found = [one for one in pool(tables, told(listed(2, 2)), "get_fare") if one.joined == 2]
    wanted = {args_of(fare(at, cabin)) for at in (0, 1) for cabin in (0, 1)}
    assert {one.args for one in found} == wanted
    assert all(len(one.paths) == 3 and "cabin" in one.paths[0] for one in found)


def test_a_record_that_was_filled_up_and_called_already_comes_later(tables: Tables) -> None:
    fresh = {one.args: one.prior for one in pool(tables, told(listed(3)), "get_fare")}
    last, other = args_of(fare(2)), args_of(fare(1))
    assert fresh[last] == pytest.approx(fresh[other])
    made = told([*listed(3), tool("get_fare", "12", **fare(2))])
    after = {one.args: one.prior for one in pool(tables, made, "get_fare")}
    assert after[last] < 0.5 * after[other]


@given(st.lists(st.sampled_from(["HAT100", "2024-05-12", "HAT101 please", "Yes", "HAT102 on 2024-05-12"])))
def test_rows_know_what_was_said_whenever_they_were_asked_for(said: list[str]) -> None:
    join = (("number", NUMBER), ("when", DATE))
    asked, once = told(listed(4)), told(listed(4))
    for text in said:
        rows_of(asked, join)
        asked.take(user(text))
        once.take(user(text))
    rows, anew = rows_of(asked, join), rows_of(once, join)
    assert rows.ordered == anew.ordered
    assert all(rows.by_args[row.args] is row for row in rows.ordered)
    assert len(rows.by_args) == len(rows.ordered) == 4


def test_values_that_the_parameter_had_are_not_counted_among_those_that_may_be_next() -> None:
    tables = Tables()
    for at in (0, 1, 2):
        tables.learn(told(listed(3)), "get_status", (("number", f"HAT10{at}"),))
    dialogue = told(
        [
            *listed(4),
            tool("get_status", "on time", number="HAT100"),
            tool("get_status", "late", number="HAT102"),
        ]
    )
    found = {value: prior for value, prior, path in values(tables, dialogue, "get_status", "number", 9)}
    weight = dict(tables.paths("get_status", "number"))[NUMBER]
    assert found["HAT101"] == pytest.approx(weight / math.sqrt(2) / (1 + 0.05 * 2))
    places = {
        number: Standing(dialogue, "get_status").of(Pooled((("number", number),), 1.0, (NUMBER,)))
        for number in ("HAT100", "HAT101", "HAT103")
    }
    assert [(part.place, part.tail, part.used) for part in places.values()] == [
        (0, 0, True),
        (0, 1, False),
        (1, 0, False),
    ]
    assert [part.after for part in places.values()] == [False, False, True]


WORDS = st.sets(st.sampled_from(["kettle", "lamp", "violin", "tent", "mirror", "drill"]))


@given(st.lists(WORDS, min_size=1, max_size=14), st.lists(WORDS, min_size=1, max_size=3), WORDS)
def test_a_word_counts_less_the_more_calls_it_fits(
    about: list[set[str]], said: list[set[str]], wrote: set[str]
) -> None:
    dialogue = Dialogue()
    for words in said:
        dialogue.take(user(" ".join(sorted(words)) or "yes"))
    dialogue.take(HistoryItem(role="assistant", text=" ".join(sorted(wrote)) or "no"))
    found = fits_of(dialogue, [NOWHERE._replace(words=frozenset(words)) for words in about])
    now, ever = said[-1], set[str]().union(*said)
    times = {word: sum(word in words for words in about) for word in set[str]().union(*about)}
    for words, fit in zip(about, found, strict=True):
        for heard, points in ((now, fit.now), (ever, fit.ever), (wrote, fit.model)):
            assert points == WHOLE * sum((Fraction(1, times[word]) for word in words & heard), Fraction(0))
        alone = [sorted(now).index(word) for word in words & now if times[word] == 1]
        assert fit.said_at == min(alone, default=NEVER)


def test_a_run_is_that_of_the_tool_that_was_called_last() -> None:
    dialogue = told([*listed(2), tool("list_flights", "{}", trip="T2")])
    found = options(Tables(), dialogue, ["list_cabins", "list_flights"], lambda _name: False)
    keys = {name: own[0] for name, own in zip(found.names, found.keys, strict=True) if name}
    # `just`, and the length of the run.
    assert (keys["list_cabins"][4], keys["list_cabins"][6]) == (False, 0)
    assert (keys["list_flights"][4], keys["list_flights"][6]) == (True, 2)


def test_far_tools_are_looked_at_only_where_the_model_may_read_on(
    kit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    patterns = train(kit.lessons(range(14)), early=kit.early)
    for limit, value in {"NEAR": -99.0, "FAR": 99.0}.items():
        monkeypatch.setattr(worth_a_look, limit, value)
    (lesson,) = kit.lessons([70])
    seen = set()
    for dialogue, _ in lesson.walk(year=None):
        spoken = dialogue.events[-1] == worth_a_look.USER
        for share in (0.0, 1.0):
            monkeypatch.setattr(patterns.tables, "share_after", lambda *_, share=share: share)
            considered = patterns.consider(dialogue, lesson.tools, kit.early)
            offers = any(args is not None for args in considered.options.args)
            assert not offers or spoken or share
            seen.add((spoken, share, offers))
    assert {(True, 0.0, True), (False, 0.0, False), (False, 1.0, True)} <= seen
